"""Two shapes that can be mapped in one way only: the same names, types and values throughout."""

from typing import Final

from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.fields import Field, Shape, same_values, shape_of
from negotiator.mapping.form import Conversion, FieldMapping, Mapping
from negotiator.mapping.layout import MAX_ARRAYS_DEEP, Direction, holds_objects
from negotiator.mapping.meanings import compared
from negotiator.mapping.pointers import pointer
from negotiator.mapping.problem import Problem
from negotiator.mapping.result import Inference, Match

EXACT_MARGIN: Final = 100.0
"""The margin of what cannot be read otherwise."""


def is_exact(source: Shape, target: Shape, direction: Direction, depth: int = 0) -> bool:
    """Whether every field has its namesake of the same values, and nothing that was meant would be left out.

    A request may leave out what its receiver need not be told: of a function with options, none is then set.
    """
    if not (source.is_whole and target.is_whole):
        return False
    here = {found.path: found for found in source.fields}
    there = {found.path: found for found in target.fields}
    if direction == "request":
        if not here.keys() <= there.keys() or any(there[path].required for path in there.keys() - here.keys()):
            return False
    elif not there.keys() <= here.keys():
        return False
    if not _same_objects(source, target):
        return False
    return all(_is_same(here[path], there[path], direction, depth) for path in here.keys() & there.keys())


def _is_same(given: Field, wanted: Field, direction: Direction, depth: int) -> bool:
    """Whether a field's namesake has the same values and means nothing else."""
    if compared(given.iris, wanted.iris) == "other":
        return False
    if (wanted.required and not given.required) or (given.nullable and not wanted.nullable):
        return False
    if depth < MAX_ARRAYS_DEEP and holds_objects(given) and holds_objects(wanted):
        inner = shape_of(given.items or {}, given.document), shape_of(wanted.items or {}, wanted.document)
        return given.nullable == wanted.nullable and is_exact(*inner, direction, depth + 1)
    return same_values(given, wanted) and carry(given, wanted) == Carry()


def _same_objects(source: Shape, target: Shape) -> bool:
    """Whether objects that may be null may be so at the target, and those that must be there always are."""
    here, there = dict(source.nullable_objects), dict(target.nullable_objects)
    always = [path for path, must in there.items() if must]
    return here.keys() <= there.keys() and all(here.get(path, path in source.required_objects) for path in always)


def exact_inference(source: Shape, target: Shape, problem: Problem) -> Inference:
    """The inference of two shapes that `is_exact` holds for."""
    mapping, matches = _exact_mapping(source, target, "")
    here, there = ({found.path for found in shape.fields} for shape in (source, target))
    return Inference(
        matches=tuple(matches),
        doubtful=(),
        unmatched_required=(),
        unmatched_optional=tuple(pointer(path) for path in sorted(there - here)),
        unmatched_source=tuple(pointer(path) for path in sorted(here - there)),
        blocking=(),
        mapping=mapping,
        partial=mapping,
        rest=(),
        exact=True,
        problem=problem,
    )


def _exact_mapping(source: Shape, target: Shape, above: str, depth: int = 0) -> tuple[Mapping, list[Match]]:
    given = {found.path: found for found in source.fields}
    fields = [FieldMapping(to=pointer(path), const={}) for path in target.required_objects]
    whole = Conversion("to_empty_object")
    may_be_absent = sorted((*target.optional_objects, *(path for path, _ in target.nullable_objects)), key=len)
    fields += [FieldMapping(to=at, source=at, convert=whole) for at in map(pointer, may_be_absent)]
    matches: list[Match] = []
    for wanted in target.fields:
        if wanted.path not in given:
            continue
        at = pointer(wanted.path)
        each = None
        matches.append(Match(above + at, above + at, EXACT_MARGIN, EXACT_MARGIN, "exact"))
        read = given[wanted.path]
        if depth < MAX_ARRAYS_DEEP and holds_objects(wanted) and holds_objects(read):
            theirs, inside = shape_of(read.items or {}, read.document), shape_of(wanted.items or {}, wanted.document)
            each, inner = _exact_mapping(theirs, inside, f"{above}{at}/-", depth + 1)
            matches += inner
        fields.append(FieldMapping(to=at, source=at, required=wanted.required, each=each))
    return Mapping(tuple(fields)), matches
