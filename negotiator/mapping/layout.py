"""Both sides of a problem as slots: which fields stand where, in request and reply and inside arrays."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonValue
from negotiator.mapping import words
from negotiator.mapping.assignment import assign_with_margins
from negotiator.mapping.examples import Examples, profile, values_at
from negotiator.mapping.fields import Field, Shape, shape_of
from negotiator.mapping.likeness import Reading, read

Direction: TypeAlias = Literal["request", "reply"]
Scope: TypeAlias = tuple[Direction, tuple[tuple[str, ...], ...]]
"""A direction and the arrays gone into, by their paths at the source."""

MAX_ARRAYS_DEEP: Final = 4


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of one side, wherever it stands in request and reply."""

    label: str
    """Its name, unique on its side; for models and people."""
    places: MappingOf[Scope, Field]
    reading: Reading


def lay_out(
    scope: Scope,
    source: Shape,
    target: Shape,
    shapes: dict[Scope, tuple[Shape, Shape]],
    arrays: dict[Scope, tuple[tuple[Field, Field], ...]],
) -> None:
    """Enter the shapes of a scope and of the arrays in it into `shapes`, and its pairs of arrays into `arrays`."""
    shapes[scope] = (source, target)
    pairs = _array_pairs(source, target) if len(scope[1]) < MAX_ARRAYS_DEEP else ()
    arrays[scope] = pairs
    for one, other in pairs:
        inner = (scope[0], (*scope[1], one.path))
        here, there = shape_of(one.items or {}, one.document), shape_of(other.items or {}, other.document)
        lay_out(inner, here, there, shapes, arrays)


def holds_objects(found: Field) -> bool:
    """Whether a field is an array whose items are objects with fields of their own."""
    if found.items is None:
        return False
    inner = shape_of(found.items, found.document)
    return bool(inner.required_objects) and bool(inner.fields)


def _array_pairs(source: Shape, target: Shape) -> tuple[tuple[Field, Field], ...]:
    """Arrays of objects are paired first, by their own words and those of their items."""
    here = [found for found in source.fields if holds_objects(found)]
    there = [found for found in target.fields if holds_objects(found)]
    if len(here) == len(there) == 1:
        return ((here[0], there[0]),)
    if not here or not there:
        return ()
    ours, theirs = [_array_words(found) for found in here], [_array_words(found) for found in there]
    rarity = words.rarity([*ours, *theirs])
    gains = [[words.cosine(one, other, rarity) for other in theirs] for one in ours]
    size = len(here) + len(there)
    square = [[*row, *([0.0] * (size - len(row)))] for row in gains] + [[0.0] * size for _ in there]
    chosen, lost = assign_with_margins(square)
    return tuple(
        (here[row], there[column])
        for row, column in enumerate(chosen[: len(here)])
        if column < len(there) and lost[row] >= _ARRAY_MARGIN
    )


_ARRAY_MARGIN: Final = 0.15
"""In cosine: two arrays of objects on one side must be told apart this clearly."""


def _array_words(found: Field) -> words.Vector:
    inner = shape_of(found.items or {}, found.document)
    own = [(word, 2.0) for text in (found.name, found.description) for word in words.words(text)]
    return words.vector([*own, *((word, 1.0) for one in inner.fields for word in words.words(one.name))])


def slots_of(
    shapes: MappingOf[Scope, tuple[Shape, Shape]],
    arrays: MappingOf[Scope, tuple[tuple[Field, Field], ...]],
    examples: MappingOf[Direction, Examples],
    *,
    ours: bool,
) -> tuple[Slot, ...]:
    """The fields of one side, those of request and reply with one path and one set of values taken together."""
    grouped: dict[object, dict[Scope, Field]] = {}
    for scope, (source, target) in shapes.items():
        is_source = ours == (scope[0] == "request")
        paired = {pair[0 if is_source else 1].path for pair in arrays[scope]}
        for found in (source if is_source else target).fields:
            if found.path in paired:
                continue
            key = (found.path, found.types, found.format, str(found.enum), len(scope[1]) > 1 and scope)
            grouped.setdefault(key, {})[scope] = found
    labels: dict[str, int] = {}
    made = []
    for places in grouped.values():
        fields = list(places.values())
        texts = dict.fromkeys(found.description for found in fields if found.description)
        label = ".".join(fields[0].path) or "value"
        labels[label] = labels.get(label, 0) + 1
        label = label if labels[label] == 1 else f"{label} ({labels[label]})"
        seen = profile(_values(places, arrays, examples, ours=ours))
        made.append(Slot(label, places, read(replace(fields[0], description=" / ".join(texts)), seen)))
    return tuple(made)


def _values(
    places: MappingOf[Scope, Field],
    arrays: MappingOf[Scope, tuple[tuple[Field, Field], ...]],
    examples: MappingOf[Direction, Examples],
    *,
    ours: bool,
) -> list[JsonValue]:
    """What was seen of a slot, in the examples and in its schema."""
    found: list[JsonValue] = []
    for scope, field in places.items():
        direction, inside = scope
        is_source = ours == (direction == "request")
        stated = field.schema.get("examples")
        found += stated if isinstance(stated, list) else []
        given = examples.get(direction)
        if given is not None:
            through = inside if is_source else _at_target(direction, inside, arrays)
            found += values_at(given.source if is_source else given.target, through, field.path)
    return found


def _at_target(
    direction: Direction,
    inside: tuple[tuple[str, ...], ...],
    arrays: MappingOf[Scope, tuple[tuple[Field, Field], ...]],
) -> tuple[tuple[str, ...], ...]:
    """The target's own paths of the arrays that a scope names by the source's."""
    paths = []
    for depth, path in enumerate(inside):
        pairs = arrays[direction, inside[:depth]]
        paths.append(next(there.path for here, there in pairs if here.path == path))
    return tuple(paths)
