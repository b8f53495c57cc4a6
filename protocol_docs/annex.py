"""The part of a document that machines read: its last section, one JSON object in a fence.

    ## Annex

    ```json
    {"effect": "safe", "errors": [], "examples": [...], "reply_schema": {...}, "request_schema": {...}}
    ```

All members are optional; unknown ones are ignored. The same annex is always written in the same bytes.
A stranger's annex is data: one that does not keep to this is no annex, and the reason is kept.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jsonschema_rs

from protocol_docs import strict_json
from protocol_docs.errors import MalformedHash
from protocol_docs.hashes import parse_hash

Effect: TypeAlias = Literal["safe", "transactional"]
"""`safe` may be repeated; `transactional` may not."""

MAX_ERRORS = 64
MAX_EXAMPLES = 64
MAX_CODE = 64
"""Characters of an error's code."""
MAX_MEANING = 500
"""Characters of an error's meaning."""

_HEADING = re.compile(r"^##[ \t]+Annex[ \t]*\r?$", re.MULTILINE)
_FENCE = re.compile(r"^```json[ \t]*\r?\n(.*?)^```[ \t]*\r?$", re.MULTILINE | re.DOTALL)
_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        "https://json-schema.org/draft/2019-09/schema",
        "http://json-schema.org/draft-07/schema",
        "http://json-schema.org/draft-06/schema",
        "http://json-schema.org/draft-04/schema",
    }
)
# Keywords whose value is data and no schema: a "$ref" in it refers to nothing.
_DATA = frozenset({"const", "enum", "default", "examples"})
# Steps of one match. Look-around is needed: pydantic writes it into its schema of a decimal number.
_BACKTRACKS = 100_000
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")


class AnnexProblem(ValueError):
    """Why a value is no annex, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorMeaning:
    """One error that a document gives a code to."""

    code: str
    """1 to 64 characters without blanks."""
    meaning: str
    """One sentence, at most 500 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One worked exchange: bodies as they are on the wire, decoded from JSON. Synthetic, never a real payload."""

    request: Any
    reply: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Annex:
    """What a document says in a form that needs no model. Read-only, schemas and examples included."""

    request_schema: dict[str, Any] | None = None
    """JSON Schema of a request body, self-contained; None where the body is free text."""
    reply_schema: dict[str, Any] | None = None
    """JSON Schema of a reply body that reports success, self-contained; None where the body is free text."""
    errors: tuple[ErrorMeaning, ...] = ()
    effect: Effect | None = None
    """None where the document does not say; treat that as `transactional`."""
    supersedes: str | None = None
    """The canonical hash of the document that this one replaces."""
    examples: tuple[Example, ...] = ()

    def error_in(self, reply: Any) -> ErrorMeaning | None:
        """The error of this document that a reply body reports as `{"error": {"code": ..., ...}}`; None for any other."""
        error = reply.get("error") if isinstance(reply, dict) and len(reply) == 1 else None
        code = error.get("code") if isinstance(error, dict) else None
        return next((known for known in self.errors if known.code == code), None)

    def to_json(self) -> dict[str, Any]:
        """The JSON object that stands in a document; members that say nothing are left out."""
        members: dict[str, Any] = {
            "effect": self.effect,
            "errors": [{"code": error.code, "meaning": error.meaning} for error in self.errors],
            "examples": [{"request": example.request, "reply": example.reply} for example in self.examples],
            "reply_schema": self.reply_schema,
            "request_schema": self.request_schema,
            "supersedes": self.supersedes,
        }
        return {key: value for key, value in members.items() if value is not None and value != []}


class AnnexReading(NamedTuple):
    """What was found of an annex."""

    annex: Annex | None
    problem: str | None
    """Why there is no annex though there is a section of that name."""
    before: str
    """The text above the section; all of it where there is none."""


def read_annex(text: str) -> AnnexReading:
    """Read the annex of a document's text below the header; never fails."""
    headings = list(_HEADING.finditer(text))
    if not headings:
        return AnnexReading(None, None, text)
    before, section = text[: headings[-1].start()], text[headings[-1].end() :]
    fence = _FENCE.search(section)
    if fence is None:
        return AnnexReading(None, "the section Annex holds no block of json", before)
    try:
        return AnnexReading(annex_from_json(strict_json.loads(fence[1])), None, before)
    except ValueError as error:
        return AnnexReading(None, str(error)[:300], before)


def write_annex(annex: Annex) -> str:
    """The section as text, in the one form it has. Raises `AnnexProblem` for an annex that could not be read back."""
    members = annex.to_json()
    annex_from_json(members)
    return f"## Annex\n\n```json\n{strict_json.spread(members)}\n```\n"


def annex_from_json(value: Any) -> Annex:
    """Check a decoded annex and make it one.

    Raises:
        AnnexProblem: where a member is not what it should be, a schema is no schema or refers to anything outside
            itself, or an example does not fit the schemas.
    """
    if not isinstance(value, dict):
        raise AnnexProblem("the annex is not an object")
    effect = value.get("effect")
    if effect not in (None, "safe", "transactional"):
        raise AnnexProblem("effect is neither safe nor transactional")
    request_schema, request_check = _schema(value, "request_schema")
    reply_schema, reply_check = _schema(value, "reply_schema")
    annex = Annex(
        request_schema=request_schema,
        reply_schema=reply_schema,
        errors=tuple(_error(item) for item in _list(value, "errors", MAX_ERRORS)),
        effect=effect,
        supersedes=_hash(value.get("supersedes")),
        examples=tuple(_example(item) for item in _list(value, "examples", MAX_EXAMPLES)),
    )
    _check_examples(annex, request_check, reply_check)
    return annex


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """Compile a self-contained JSON Schema. It reads nothing from anywhere, and its patterns cannot run away.

    Raises:
        AnnexProblem: where it is no schema, or not self-contained.
    """
    # jsonschema_rs fetches what "$ref" and "$schema" name, from files and from the network, unless it is stopped.
    if str(schema.get("$schema", "")).rstrip("#") not in {"", *_DIALECTS}:
        raise AnnexProblem("$schema names no known version of JSON Schema")
    _check_references(schema)
    try:
        return jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            retriever=_fetch_nothing,
            pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=_BACKTRACKS),
        )
    except ValueError as error:
        raise AnnexProblem(_first_line(error)) from None


def _fetch_nothing(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema")


def _check_references(schema: Any) -> None:
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            for key, child in node.items():
                if key in _REFERENCES and isinstance(child, str) and not child.startswith("#"):
                    raise AnnexProblem("a schema refers to something outside itself")
                if key not in _DATA:
                    pending.append(child)


def _schema(annex: dict[str, Any], member: str) -> tuple[dict[str, Any], jsonschema_rs.Validator] | tuple[None, None]:
    schema = annex.get(member)
    if schema is None:
        return None, None
    if not isinstance(schema, dict):
        raise AnnexProblem(f"{member} is not an object")
    try:
        return schema, validator(schema)
    except AnnexProblem as problem:
        raise AnnexProblem(f"{member}: {problem}") from None


def _list(annex: dict[str, Any], member: str, most: int) -> list[Any]:
    items = annex.get(member)
    if items is None:
        return []
    if not isinstance(items, list) or len(items) > most:
        raise AnnexProblem(f"{member} is not a list of at most {most}")
    return items


def _error(item: Any) -> ErrorMeaning:
    code, meaning = (item.get("code"), item.get("meaning")) if isinstance(item, dict) else (None, None)
    if not isinstance(code, str) or not re.fullmatch(r"\S{1,64}", code):
        raise AnnexProblem(f"an error's code is not 1 to {MAX_CODE} characters without blanks")
    if not isinstance(meaning, str) or len(meaning) > MAX_MEANING:
        raise AnnexProblem(f"an error's meaning is not a text of at most {MAX_MEANING} characters")
    return ErrorMeaning(code=code, meaning=meaning)


def _example(item: Any) -> Example:
    if not isinstance(item, dict) or not {"request", "reply"} <= item.keys():
        raise AnnexProblem("an example has no request and reply")
    return Example(request=item["request"], reply=item["reply"])


def _hash(spelling: Any) -> str | None:
    if spelling is None:
        return None
    try:
        return parse_hash(spelling) if isinstance(spelling, str) else parse_hash("")
    except MalformedHash:
        raise AnnexProblem("supersedes is not a hash") from None


def _check_examples(
    annex: Annex, request_check: jsonschema_rs.Validator | None, reply_check: jsonschema_rs.Validator | None
) -> None:
    for index, example in enumerate(annex.examples):
        if request_check is not None and not request_check.is_valid(example.request):
            raise AnnexProblem(f"the request of example {index} does not fit the request schema")
        fits = reply_check is None or annex.error_in(example.reply) or reply_check.is_valid(example.reply)
        if not fits:
            raise AnnexProblem(f"the reply of example {index} does not fit the reply schema")


def _first_line(error: ValueError) -> str:
    return (str(error).splitlines() or ["it is no JSON Schema"])[0][:200]
