"""Where references to files stand in a value, by its schema: what `negotiator.files.FileRef` marks. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from negotiator.jsonvalue import JsonObject, JsonValue

MARK: Final = "x-file"
"""In a schema: true where a reference to a file stands."""
MAX_DEPTH: Final = 32
_LOCAL: Final = "#/"


def references(value: JsonValue, schema: JsonObject) -> list[JsonObject]:
    """The references in a value that fits the schema, each once, in their order."""
    found: list[JsonObject] = []
    for each in _walk(value, schema, schema, 0):
        if each not in found:
            found.append(each)
    return found


def placed(value: JsonObject, schema: JsonObject, files: Sequence[JsonObject]) -> JsonObject | None:
    """The value with files in the fields for them that it lacks, in order; None where they have no place.

    A field that holds a list takes all that are left.
    """
    left, made = list(files), dict(value)
    fields = schema.get("properties")
    for name, part in fields.items() if isinstance(fields, dict) else ():
        if name in made or not left:
            continue
        field = _resolved(part, schema)
        if _takes(field, schema):
            made[name] = left.pop(0)
        elif field.get("type") == "array" and _takes(_resolved(field.get("items"), schema), schema):
            made[name], left = list(left), []
    return None if left else made


def _walk(value: JsonValue, schema: JsonValue, root: JsonObject, depth: int) -> Iterator[JsonObject]:
    if depth > MAX_DEPTH or not isinstance(value, dict | list):
        return
    known = _resolved(schema, root)
    if isinstance(value, dict):
        if known.get(MARK) is True:
            yield value
            return
        fields = known.get("properties")
        for name, part in fields.items() if isinstance(fields, dict) else ():
            yield from _walk(value.get(name), part, root, depth + 1)
    else:
        for each in value:
            yield from _walk(each, known.get("items"), root, depth + 1)
    for branch in _branches(known):
        yield from _walk(value, branch, root, depth + 1)


def _takes(schema: JsonObject, root: JsonObject) -> bool:
    return schema.get(MARK) is True or any(_resolved(each, root).get(MARK) is True for each in _branches(schema))


def _branches(schema: JsonObject) -> list[JsonValue]:
    found: list[JsonValue] = []
    for word in ("anyOf", "oneOf", "allOf"):
        given = schema.get(word)
        found += given if isinstance(given, list) else []
    return found


def _resolved(schema: JsonValue, root: JsonObject) -> JsonObject:
    for _ in range(MAX_DEPTH):
        named = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(named, str):
            break
        schema = root
        for step in named.removeprefix(_LOCAL).split("/") if named.startswith(_LOCAL) else ("",):
            schema = schema.get(step) if isinstance(schema, dict) else None
    return schema if isinstance(schema, dict) else {}
