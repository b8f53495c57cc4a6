"""When two JSON values say the same."""

import math
from collections.abc import Sequence

from negotiator.jsonvalue import JsonValue
from negotiator.mapping import FieldMapping


def same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as canonical JSON: key order aside, a null member as good as none, numbers to nine digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        mine = {key: item for key, item in one.items() if item is not None}
        theirs = {key: item for key, item in other.items() if item is not None}
        return mine.keys() == theirs.keys() and all(same(item, theirs[key]) for key, item in mine.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def same_fields(fields: Sequence[FieldMapping], one: JsonValue, other: JsonValue) -> bool:
    """Whether two values say the same in what `fields` write, whatever else they hold."""
    return all(_same_field(field, one, other) for field in fields if field.source is not None)


def _same_field(field: FieldMapping, one: JsonValue, other: JsonValue) -> bool:
    here, there = _at(one, field.to), _at(other, field.to)
    inner = () if field.each is None else field.each.fields
    if any(each.to for each in inner) and isinstance(here, list) and isinstance(there, list):
        return len(here) == len(there) and all(same_fields(inner, a, b) for a, b in zip(here, there, strict=True))
    return same(here, there)


def _at(value: JsonValue, pointer: str) -> JsonValue:
    """What stands at a JSON Pointer through objects; None where nothing does."""
    for step in pointer.split("/")[1:]:
        value = value.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value
