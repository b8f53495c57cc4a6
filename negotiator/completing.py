"""Fields that a routine leaves out and the structured tier copies: a mapping is completed from exchanges. Pure.

Rules leave an optional field alone where they are not sure of it, and a mapping is whole without it. The structured
tier asks about such fields with each exchange. Where its answers are the same each time, they are taken over; what
comes of it is a new candidate, of which nothing has been shown.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from negotiator.errors import UsageError
from negotiator.evidence import Exchange
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine

LEAST_RULES: Final = 2
"""Exchanges that must have copied a field in the same way: one answer of a model is none."""


def completed(routine: Routine, exchanges: Sequence[Exchange]) -> Routine | None:
    """The routine with the fields that it lacks and `exchanges` copied alike; None where there is nothing to add."""
    if routine.kind != "mapping":
        return None
    into = _direction(routine.into, [each.into.mapping for each in exchanges if each.into is not None])
    back = _direction(routine.back, [each.back.mapping for each in exchanges if each.back is not None])
    return None if (into, back) == (routine.into, routine.back) else replace(routine, into=into, back=back)


def _direction(direction: Direction, rules: Sequence[Mapping]) -> Direction:
    if direction.mapping is None:
        return direction
    return replace(direction, mapping=_mapping(direction.mapping, rules))


def _mapping(mapping: Mapping, rules: Sequence[Mapping]) -> Mapping:
    told = [rule for rule in rules if rule.fields]  # a list without items says nothing of what is in its items
    if len(told) < LEAST_RULES:
        return mapping
    fields = [_inside(field, told) for field in mapping.fields]
    written = {field.to for field in fields}
    read = {place for field in fields for place in field.sources}
    for field in told[0].fields:
        alike = all(field in rule.fields for rule in told)
        if (
            alike
            and field.sources
            and field.each is None
            and field.to not in written
            and read.isdisjoint(field.sources)
        ):
            fields.append(field)
            read |= set(field.sources)
    try:
        return replace(
            mapping, fields=tuple(fields), refused=tuple(each for each in mapping.refused if each not in read)
        )
    except UsageError:
        return mapping


def _inside(field: FieldMapping, rules: Sequence[Mapping]) -> FieldMapping:
    if field.each is None:
        return field
    same = [one for rule in rules for one in rule.fields if (one.to, one.source) == (field.to, field.source)]
    return replace(field, each=_mapping(field.each, [one.each for one in same if one.each is not None]))
