"""Schemas and values as short lines of text, for prompts and for natural language. Pure."""

import re
from collections.abc import Iterator

import orjson

from negotiator.jsonvalue import JsonObject, JsonValue

MAX_FIELDS = 120
"""Fields of one schema that a prompt shows."""
MAX_DESCRIPTION = 240
"""Characters of one description that a prompt shows."""
_MAX_ENUM = 24
_MAX_NAME = 120
_PLAIN_NAME = re.compile(r"[\w$@.:/ -]{1,80}")


def fields_of(schema: JsonObject) -> str:
    """The fields of a JSON Schema, one a line: name, type, whether optional, description."""
    lines = list(_lines(schema, schema, "", 0))
    if not lines:
        return f"- the value itself ({_kind(schema, schema)})"
    if len(lines) > MAX_FIELDS:
        lines = [*lines[:MAX_FIELDS], f"- (and {len(lines) - MAX_FIELDS} more)"]
    return "\n".join(lines)


def value_of(value: JsonValue, limit: int = 6_000) -> str:
    """A value as JSON text, cut to `limit` characters."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= limit else text[:limit] + " (cut)"


def sentence_of(description: str, value: JsonObject, schema: JsonObject, wanted: JsonObject) -> str:
    """A request in plain words: what is wanted, what is given, and what the answer is to hold."""
    parts = [description.strip()]
    given = list(_given(value, schema))
    if given:
        parts.append("Given:\n" + "\n".join(given))
    asked = list(_lines(wanted, wanted, "", 0))
    if asked:
        parts.append("Please answer with:\n" + "\n".join(asked[:MAX_FIELDS]))
    return "\n\n".join(parts)


def result_text(description: str, result: JsonValue, schema: JsonObject) -> str:
    """A tool's result in plain words."""
    if not isinstance(result, dict):
        return f"{description.strip()}\nResult: {value_of(result)}"
    return "\n".join([f"Result of: {description.strip()}", *_given(result, schema)])


def resolve(schema: JsonValue, root: JsonObject) -> JsonObject:
    """Follow local `$ref`s, and take the one part of an optional (`anyOf` with null) that is not null."""
    for _ in range(16):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            found: JsonValue = root
            for step in reference[2:].split("/"):
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
            if not isinstance(found, dict):
                return {}
            schema = {**found, **{key: item for key, item in schema.items() if key != "$ref"}}
            continue
        options = schema.get("anyOf")
        if isinstance(options, list):
            real = [item for item in options if not (isinstance(item, dict) and item.get("type") == "null")]
            if len(real) == 1 and isinstance(real[0], dict):
                schema = {**real[0], **{key: item for key, item in schema.items() if key != "anyOf"}}
                continue
        return schema
    return {}


def _lines(schema: JsonObject, root: JsonObject, indent: str, depth: int) -> Iterator[str]:
    schema = resolve(schema, root)
    if schema.get("type") == "array" and depth < 6:  # noqa: PLR2004 -- deep enough for any prompt
        yield from _lines(resolve(schema.get("items", {}), root), root, indent, depth + 1)
        return
    properties = schema.get("properties")
    if not isinstance(properties, dict) or depth >= 6:  # noqa: PLR2004
        return
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    for name, part in properties.items():
        field = resolve(part, root)
        notes = [_kind(field, root)]
        if name not in required:
            notes.append("optional")
        description = field.get("description")
        if isinstance(description, str) and description.strip():
            notes.append(" ".join(description.split())[:MAX_DESCRIPTION])
        examples = field.get("examples")
        if isinstance(examples, list) and examples:
            notes.append("such as " + ", ".join(value_of(item, 60) for item in examples[:2]))
        yield f"{indent}- {_name(name)} ({'; '.join(notes)})"
        yield from _lines(field, root, indent + "  ", depth + 1)


def _kind(field: JsonObject, root: JsonObject) -> str:
    choices = field.get("enum")
    if isinstance(choices, list):
        shown = " | ".join(value_of(item, 60) for item in choices[:_MAX_ENUM])
        return f"one of {shown}" + (" ..." if len(choices) > _MAX_ENUM else "")
    if "const" in field:
        return f"always {value_of(field['const'], 60)}"
    kind = field.get("type", "any")
    if isinstance(kind, list):
        kind = " or ".join(str(item) for item in kind)
    if kind == "array":
        return f"list of {_kind(resolve(field.get('items', {}), root), root)}"
    form = field.get("format")
    if isinstance(form, str) and form:
        spelled = {"date": "YYYY-MM-DD", "date-time": "RFC 3339 date and time", "time": "HH:MM:SS"}
        return f"{kind}, {spelled.get(form) or _name(form)}"
    return _name(str(kind))


def _name(name: str) -> str:
    """A name as it is, where it looks like one; else as JSON text, since a stranger's may hold lines of its own."""
    return name if _PLAIN_NAME.fullmatch(name) else value_of(name, _MAX_NAME)


def _given(value: JsonObject, schema: JsonObject) -> Iterator[str]:
    properties = resolve(schema, schema).get("properties", {})
    for name, item in value.items():
        if item is None:
            continue
        field = resolve(properties.get(name, {}), schema) if isinstance(properties, dict) else {}
        note = field.get("description")
        note = f" ({' '.join(note.split())[:MAX_DESCRIPTION]})" if isinstance(note, str) and note.strip() else ""
        shown = item if isinstance(item, str) else value_of(item) if item != [] else "none (an empty list)"
        yield f"- {name}{note}: {shown}"
