"""How a value gets from one field to another once they are known to mean the same, or why it cannot."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonValue
from negotiator.mapping import words
from negotiator.mapping.conversions import UNITS, unit_conversion
from negotiator.mapping.dates import ISO_DATE, is_date_pattern
from negotiator.mapping.enums import table_between
from negotiator.mapping.fields import Field, Shape, same_values, shape_of
from negotiator.mapping.form import MAX_TABLE_ROWS, Conversion
from negotiator.mapping.likeness import is_boolean, normal

Needs: TypeAlias = Literal["none", "conversion"]

_TIME_FORMATS: Final = frozenset({"date", "time", "date-time", "duration"})
_TRUE_WORDS: Final = frozenset({"true", "yes", "1", "y", "on", "是", "真"})
_SILENT_DIMENSIONS: Final = frozenset({"duration", "share", "data"})
"""Of these, one side may leave the unit unsaid: the field's kind says it."""
_DATE_PATTERN = re.compile(r"\b(?:YYYY|MM?|DD?|MON(?:TH)?)(?:[ ./-](?:YYYY|MONTH|MON|MM?|DD?)){2}\b|\bYYYYMMDD\b")
_CLOCK_PATTERN = re.compile(r"\bHH?[:.]?MM(?:[:.]?SS)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Carry:
    """How one value travels. With `needs="conversion"` no mapping can do it, and `reason` says why."""

    needs: Needs = "none"
    reason: str = ""
    table: tuple[tuple[JsonValue, JsonValue], ...] = ()
    convert: Conversion | None = None
    item: "Carry | None" = None
    """For arrays of scalars: how each item travels."""


_PLAIN: Final = Carry()


def _needs(reason: str) -> Carry:
    return Carry("conversion", reason)


def carry(source: Field, target: Field) -> Carry | None:
    """How values of `source` become values of `target`; None where the two cannot mean the same."""
    found = _carry(source, target)
    if found is not None and found.needs == "none" and source.nullable and not target.nullable and target.required:
        return _needs("it may be null here and not there")
    return found


def _carry(source: Field, target: Field) -> Carry | None:
    if source.is_whole_object or target.is_whole_object:
        return _carry_whole(source, target)
    if not (_is_plain_list(source.enum) and _is_plain_list(target.enum)):
        return _PLAIN if same_values(source, target) else _needs("the lists of values are long, or not of scalars")
    if ("array" in source.types) or ("array" in target.types):
        return _carry_array(source, target)
    here, there = stated_units(source), stated_units(target)
    if not here & there and (here or there) and not _may_be_unsaid(here or there, both=bool(here and there)):
        return _carry_unit(source, target, here, there)
    if is_boolean(source) and is_boolean(target):
        return _carry_boolean(source, target)
    if source.enum is not None or target.enum is not None:
        return _carry_enum(source, target)
    if source.types == {"string"} and target.types == {"string"}:
        return _carry_text(source, target)
    return _carry_type(source.types, target.types)


def _carry_whole(source: Field, target: Field) -> Carry | None:
    if same_values(source, target) or not (target.types or target.enum):
        return _PLAIN
    if source.types and target.types and not source.types & target.types:
        return None
    return _needs("an object that is not described field by field")


def _carry_array(source: Field, target: Field) -> Carry | None:
    here, there = source.items, target.items
    if source.types != target.types:
        return _needs("an array here and a single value there") if source.types and target.types else None
    if here is None or there is None:
        return _PLAIN if same_values(source, target) else _needs("an array of mixed items")
    one, other = _item_field(shape_of(here, source.document)), _item_field(shape_of(there, target.document))
    if one is None or other is None:
        return _needs("arrays of different items")
    item = carry(one, other)
    if item is None or item.needs != "none":
        return item
    return _PLAIN if item == _PLAIN else Carry(item=item)


def _item_field(shape: Shape) -> Field | None:
    return shape.fields[0] if len(shape.fields) == 1 and shape.fields[0].path == () else None


def _may_be_unsaid(stated: frozenset[str], *, both: bool) -> bool:
    silent = all(unit in UNITS and UNITS[unit][0] in _SILENT_DIMENSIONS for unit in stated)
    return not both and (silent or len(stated) > 1)


def _carry_unit(source: Field, target: Field, here: frozenset[str], there: frozenset[str]) -> Carry | None:
    """Between units that are not the same, or where one side does not say its own."""
    if not here or not there:
        return _needs(f"only one side says the unit: {', '.join(here or there)}")
    if len(here) == len(there) == 1:
        pair = (next(iter(here)), next(iter(there)))
        numbers = source.types <= {"number", "integer"} and target.types == {"number"}
        if pair[0] in UNITS and pair[1] in UNITS and UNITS[pair[0]][0] != UNITS[pair[1]][0]:
            return None
        if unit_conversion(*pair) is not None and numbers and source.enum is None and target.enum is None:
            return Carry(convert=Conversion("unit", *pair))
    return _needs(f"{', '.join(sorted(here))} here, {', '.join(sorted(there))} there")


def stated_units(field: Field) -> frozenset[str]:
    """The units that a field's name or description states, where it can be a quantity."""
    if is_boolean(field) or field.format is not None:
        return frozenset()
    named = words.units(words.words(field.unit)) if field.unit else frozenset()
    if named:
        return named
    described = _CLOCK_PATTERN.sub(" ", _DATE_PATTERN.sub(" ", field.description))
    return words.units((*words.words(field.name), *words.words(described)))


def _carry_boolean(source: Field, target: Field) -> Carry:
    if source.types == target.types == {"boolean"}:
        return _PLAIN
    here, there = _truths(source), _truths(target)
    if here is None or there is None:
        return _needs("yes and no are said in different words")
    rows = tuple((here[truth], there[truth]) for truth in (True, False))
    return _PLAIN if all(_same(*row) for row in rows) else Carry(table=rows)


def _truths(field: Field) -> dict[bool, JsonValue] | None:
    values = (True, False) if field.types == {"boolean"} else field.enum or ()
    found = {normal(value) in _TRUE_WORDS: value for value in values}
    return found if len(found) == 2 else None  # noqa: PLR2004


def _carry_enum(source: Field, target: Field) -> Carry | None:
    if source.enum is None or target.enum is None:
        if _carry_type(source.types, target.types) is None:
            return None
        if target.enum is None:
            return _carry_type(source.types, target.types)
        if source.types != target.types:
            return _needs("free values here and a closed list there")
        # What is not in the list is refused when it comes, never bent to fit.
        return Carry(table=tuple((value, value) for value in target.enum))
    if all(any(_same(value, other) for other in target.enum) for value in source.enum):
        return _PLAIN
    here = {normal(value): value for value in source.enum}
    there = {normal(value): value for value in target.enum}
    if len(here) == len(source.enum) and len(there) == len(target.enum) and here.keys() <= there.keys():
        return Carry(table=tuple((value, there[name]) for name, value in here.items()))
    table = table_between(source.enum, target.enum)
    if table:
        return Carry(table=table)
    if not here.keys() & there.keys() and source.types != target.types:
        return None
    return _needs("the lists of values differ")


def _is_plain_list(values: tuple[JsonValue, ...] | None) -> bool:
    few = values is None or len(values) <= MAX_TABLE_ROWS
    return few and all(isinstance(value, str | int | float) for value in values or ())


def _same(one: JsonValue, other: JsonValue) -> bool:
    return type(one) is type(other) and bool(one == other)


def _carry_text(source: Field, target: Field) -> Carry | None:
    here, there = stated_date_pattern(source), stated_date_pattern(target)
    if here is not None and there is not None:
        return _PLAIN if here == there else Carry(convert=Conversion("date", here, there))
    one, other = source.format, target.format
    if one == other:
        return _PLAIN if here == there else _needs("only one side says how the date is written")
    if one in _TIME_FORMATS and other in _TIME_FORMATS:
        return _needs(f"{one} here, {other} there")
    if one in _TIME_FORMATS or other in _TIME_FORMATS:
        return _needs(f"{one or 'free text'} here, {other or 'free text'} there")
    if one is None or other is None:
        return _PLAIN
    return None


def stated_date_pattern(field: Field) -> str | None:
    """The pattern that a field says its dates are written in; None where it says none, or several."""
    if field.format == "date":
        return ISO_DATE
    if field.format is not None:
        return None
    stated = {match for match in _DATE_PATTERN.findall(field.description) if is_date_pattern(match)}
    return next(iter(stated)) if len(stated) == 1 else None


def _carry_type(source: frozenset[str], target: frozenset[str]) -> Carry | None:
    if not target:
        return _PLAIN
    if not source:
        return _needs("anything may come from here")
    wider = target | {"integer"} if "number" in target else target
    if source <= wider:
        return _PLAIN
    match (min(source), min(target)) if len(source) == len(target) == 1 else ("", ""):
        case ("string", "integer"):
            return Carry(convert=Conversion("text_to_integer"))
        case ("string", "number"):
            return Carry(convert=Conversion("text_to_number"))
        case ("integer", "string"):
            return Carry(convert=Conversion("integer_to_text"))
        case ("number", "integer"):
            return Carry(convert=Conversion("number_to_integer"))
        case ("number", "string"):
            return _needs("a number here, text there")
        case ("", ""):
            return _needs("several types of value") if source & wider else None
        case _:
            return None
