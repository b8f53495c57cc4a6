"""A protocol document made from two JSON Schemas by template: no model, and the same everywhere.

Two agents that draft from schemas of the same meaning get the same bytes, so they have agreed before they have
spoken.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from protocol_docs import strict_json
from protocol_docs.annex import Annex, Effect, ErrorMeaning, Example, validator
from protocol_docs.document import ProtocolDocument, render_document
from protocol_docs.examples import MAX_EXAMPLES, examples_of
from protocol_docs.header import MAX_DESCRIPTION, MAX_NAME, one_line
from protocol_docs.tidy import tidy

_DEPTH = 5
_LISTED = 24
_CONSTANT = 80
_FORMATS = {
    "date": "a date as YYYY-MM-DD",
    "date-time": "a moment as in RFC 3339, such as 2025-01-15T09:30:00Z",
    "time": "a time of day as in RFC 3339",
    "duration": "a duration as in ISO 8601",
    "email": "an e-mail address",
    "uri": "a URI",
    "uuid": "a UUID",
}
_EFFECTS = {
    "safe": "This exchange is safe: it changes nothing, and a request may be sent again.",
    "transactional": (
        "This exchange is transactional: a request that is served may change something. "
        "Do not send a request again unless it is known that it was not served."
    ),
}
_ABOUT_EXAMPLES = (
    "The annex has worked examples. They are synthetic and show the form alone: a reply in them fits the schema, "
    "and is no promise of the values that a real request gets."
)


def draft_document(
    *,
    name: str,
    description: str,
    request_schema: dict[str, Any] | None,
    reply_schema: dict[str, Any] | None,
    effect: Effect,
    errors: Sequence[ErrorMeaning] = (),
) -> ProtocolDocument:
    """Write the document of one request and one reply whose bodies fit the schemas.

    Titles, `$schema` and the order of members do not change the result; references within a schema are written out
    where they can be. A schema that is None stands for free text. The annex gets at most 12 synthetic examples.

    Raises:
        AnnexProblem: where a schema is none, or refers to anything outside itself.
        MalformedDocument: where the document would be too large.
    """
    request, reply = _tidied(request_schema), _tidied(reply_schema)
    errors = sorted(errors, key=lambda error: error.code)
    annex = Annex(
        request_schema=request,
        reply_schema=reply,
        errors=tuple(errors),
        effect=effect,
        examples=_pairs(request, reply),
    )
    title = one_line(name, MAX_NAME) or "Untitled protocol"
    lines = [f"# {title}", "", one_line(description, MAX_DESCRIPTION), "", "One request is answered by one reply.", ""]
    lines += ["## Request", "", *_half(request, "request"), ""]
    lines += ["## Reply", "", *_half(reply, "reply"), ""]
    lines += ["## Errors", "", *_errors(errors), ""]
    lines += ["## Effect", "", _EFFECTS[effect]]
    if annex.examples:
        lines += [
            "",
            "## Examples",
            "",
            _ABOUT_EXAMPLES,
        ]
    return render_document(name=name, description=description, body="\n".join(lines), annex=annex)


def _tidied(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    validator(schema)
    return tidy(schema)


def _pairs(request: dict[str, Any] | None, reply: dict[str, Any] | None) -> tuple[Example, ...]:
    if request is None or reply is None:
        return ()
    requests, replies = examples_of(request), examples_of(reply)
    if not requests or not replies:
        return ()
    count = min(MAX_EXAMPLES, max(len(requests), len(replies)))
    return tuple(
        Example(request=requests[index % len(requests)], reply=replies[index % len(replies)]) for index in range(count)
    )


def _half(schema: dict[str, Any] | None, half: str) -> Iterator[str]:
    if schema is None:
        yield f"The body of the {half} is free text."
        return
    yield f"The body of the {half} is JSON text in UTF-8 that fits the {half} schema of the annex: {_kind(schema)}."
    about = one_line(str(schema.get("description", "")), MAX_DESCRIPTION)
    if about:
        yield f"{about}"
    members = list(_members(schema, 0))
    if members:
        yield ""
        yield from members


def _members(schema: dict[str, Any], depth: int) -> Iterator[str]:
    inner = _inner(schema)
    if depth >= _DEPTH or inner is None:
        return
    required = set(inner.get("required", []))
    properties = inner["properties"]
    for key in sorted(properties, key=lambda name: (name not in required, name)):
        member = properties[key] if isinstance(properties[key], dict) else {}
        parts = ["required" if key in required else "optional", _kind(member)]
        if "default" in member and len(strict_json.canonical(member["default"])) <= _CONSTANT:
            parts.append(f"default {strict_json.canonical(member['default'])}")
        about = one_line(str(member.get("description", "")), MAX_DESCRIPTION)
        label = f"`{key}`" if re.fullmatch(r"[\w.$@ -]+", key) else strict_json.canonical(key)
        yield f"{'  ' * depth}- {label} ({'; '.join(parts)}){': ' + about if about else ''}"
        yield from _members(member, depth + 1)
    if inner.get("additionalProperties") is False:
        yield f"{'  ' * depth}- No other members."


def _inner(schema: Any) -> dict[str, Any] | None:
    """The object schema whose members are worth listing below this one."""
    if not isinstance(schema, dict):
        return None
    if isinstance(schema.get("properties"), dict):
        return schema
    candidates = [schema.get("items"), *schema.get("anyOf", []), *schema.get("oneOf", [])]
    objects = [found for found in map(_inner, candidates) if found is not None]
    return objects[0] if len(objects) == 1 else None


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "const" in schema:
        return f"always {_constant(schema['const'])}"
    if isinstance(schema.get("enum"), list):
        values = schema["enum"]
        more = ", ..." if len(values) > _LISTED else ""
        return "one of " + ", ".join(_constant(value) for value in values[:_LISTED]) + more
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(_kind(branch) for branch in schema[word] if isinstance(branch, dict)))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " or ".join(_kind({**schema, "type": each}) for each in kind)
    if kind == "array":
        items = schema.get("items")
        return f"list of {_kind(items)}" if isinstance(items, dict) and items else "list"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "number": "number"}
    if kind in words:
        return words[kind] + _limits(schema)
    return str(kind) if kind else "object" if "properties" in schema else "any JSON"


def _limits(schema: dict[str, Any]) -> str:
    said = []
    if isinstance(schema.get("format"), str):
        said.append(_FORMATS.get(schema["format"], "format " + one_line(schema["format"], 40)))
    for key, words in (
        ("minimum", "at least"),
        ("exclusiveMinimum", "above"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "below"),
        ("multipleOf", "a multiple of"),
        ("minLength", "no shorter than"),
        ("maxLength", "no longer than"),
    ):
        if key in schema:
            said.append(f"{words} {_constant(schema[key])}")
    if isinstance(schema.get("pattern"), str):
        said.append("of the pattern in the schema")
    return ", " + ", ".join(said) if said else ""


def _constant(value: Any) -> str:
    text = strict_json.canonical(value)
    return text if len(text) <= _CONSTANT else text[: _CONSTANT - 3] + "..."


def _errors(errors: Sequence[ErrorMeaning]) -> Iterator[str]:
    if not errors:
        yield "This document has no errors of its own: a failure is reported by the protocol that carries the bodies."
        return
    yield 'Instead of a reply, the body may be `{"error": {"code": ..., "detail": ...}}`, with one of these codes:'
    yield ""
    for error in errors:
        yield f"- `{error.code}`: {one_line(error.meaning, MAX_DESCRIPTION)}"
