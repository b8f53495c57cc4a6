"""Whole numbers over A2A, whose data parts are protobuf values: every number is a float of 64 bits there.

An integer up to 2^53 comes back as a float, one beyond it as another number. So what is beyond is written as decimal
text, and what comes is read by its schema: where it says integer, an integral float and such a text are one again.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from negotiator.jsonvalue import JsonObject, JsonValue

MAX_EXACT: Final = 2**53 - 1
"""The largest integer that a float holds and no other integer rounds to (RFC 8259, 6)."""
_WHOLE: Final = re.compile(r"-?[1-9][0-9]{15,19}")
_DEPTH: Final = 64
_COMBINED: Final = ("anyOf", "oneOf", "allOf")
_SINGLE: Final = ("then", "else")


def spelled(value: JsonValue) -> JsonValue:
    """The value with each integer that floats cannot hold as decimal text."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= MAX_EXACT else str(value)
    if isinstance(value, list):
        return [spelled(item) for item in value]
    if isinstance(value, dict):
        return {name: spelled(item) for name, item in value.items()}
    return value


def restored(value: JsonValue, schema: JsonObject) -> JsonValue:
    """The value with integers where `schema` has integers and floats, or text for a large one, came.

    Text stays text where the schema takes text as well. A value that does not fit the schema does not fit it after.
    """
    return _restored(value, list(_alternatives(schema, schema, 0)), schema, 0)


def whole(value: JsonValue) -> JsonValue:
    """The value with every integral float as an integer: for JSON that has no schema, such as a schema itself."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


def _restored(value: JsonValue, parts: list[JsonObject], root: JsonObject, depth: int) -> JsonValue:
    # Where no schema leads there is nothing to look for, however much a stranger has put there.
    if depth > _DEPTH or not parts:
        return value
    if isinstance(value, dict):
        made = dict(value)
        for name in _described(parts, value):
            made[name] = _restored(value[name], list(_of_member(parts, name, root)), root, depth + 1)
        return made
    if isinstance(value, list):
        if not any("items" in part or "prefixItems" in part for part in parts):
            return value
        return [
            _restored(item, list(_of_item(parts, index, root)), root, depth + 1) for index, item in enumerate(value)
        ]
    types = {name for part in parts for name in _types(part)}
    if isinstance(value, float) and "integer" in types and value.is_integer() and abs(value) <= MAX_EXACT:
        return int(value)
    if isinstance(value, str) and types & {"integer", "number"} and "string" not in types and _WHOLE.fullmatch(value):
        number = int(value)
        # What JSON readers here take at all: 64 bits, with or without a sign.
        return number if abs(number) > MAX_EXACT and -(2**63) <= number < 2**64 else value
    return value


def _types(part: JsonObject) -> Iterator[str]:
    named = part.get("type")
    listed = named if isinstance(named, list) else [named]
    yield from (each for each in listed if isinstance(each, str))


def _alternatives(part: JsonValue, root: JsonObject, depth: int) -> Iterator[JsonObject]:
    """A schema and all that it is made of: what local references, `anyOf` and the like lead to."""
    if not isinstance(part, dict) or depth > _DEPTH // 4:
        return
    yield part
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _alternatives(_found(reference, root), root, depth + 1)
    for word in _COMBINED:
        options = part.get(word)
        for option in options if isinstance(options, list) else ():
            yield from _alternatives(option, root, depth + 1)
    for word in _SINGLE:
        yield from _alternatives(part.get(word), root, depth + 1)


def _found(reference: str, root: JsonObject) -> JsonValue:
    found: JsonValue = root
    for step in reference[1:].strip("/").split("/") if reference != "#" else ():
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _described(parts: list[JsonObject], value: JsonObject) -> Iterable[str]:
    """The members of `value` that the schemas say anything of."""
    if any(isinstance(part.get("additionalProperties"), dict) for part in parts):
        return value
    named = (part.get("properties") for part in parts)
    return {name for each in named if isinstance(each, dict) for name in each if name in value}


def _of_member(parts: list[JsonObject], name: str, root: JsonObject) -> Iterator[JsonObject]:
    for part in parts:
        properties = part.get("properties")
        if isinstance(properties, dict) and name in properties:
            yield from _alternatives(properties[name], root, 0)
        else:
            yield from _alternatives(part.get("additionalProperties"), root, 0)


def _of_item(parts: list[JsonObject], index: int, root: JsonObject) -> Iterator[JsonObject]:
    for part in parts:
        first = part.get("prefixItems")
        if isinstance(first, list) and index < len(first):
            yield from _alternatives(first[index], root, 0)
        else:
            yield from _alternatives(part.get("items"), root, 0)
