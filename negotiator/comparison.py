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
    return not differing(fields, one, other)


def differing(fields: Sequence[FieldMapping], one: JsonValue, other: JsonValue, above: str = "") -> set[str]:
    """The places of the source, as JSON Pointers with `/-` for items, that the fields are read from in which two
    values do not say the same; of lists of several lengths, the list itself.
    """
    found: set[str] = set()
    for field in fields:
        if not field.sources:
            continue
        here, there = _at(one, field.to), _at(other, field.to)
        inner = () if field.each is None else field.each.fields
        together = isinstance(here, list) and isinstance(there, list) and len(here) == len(there)
        if together and any(each.to for each in inner):
            for a, b in zip(here, there, strict=True):
                found |= differing(inner, a, b, f"{above}{field.source}/-")
        elif not same(here, there):
            found |= {above + place for place in field.sources}
    return found


def _at(value: JsonValue, pointer: str) -> JsonValue:
    """What stands at a JSON Pointer through objects; None where nothing does."""
    for step in pointer.split("/")[1:]:
        value = value.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(value, dict) else None
    return value
