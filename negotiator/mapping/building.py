"""From a pairing to the mapping that it makes, in one direction."""

from negotiator.mapping.carry import Carry
from negotiator.mapping.exactness import EXACT_MARGIN
from negotiator.mapping.fields import Field, Shape
from negotiator.mapping.form import Conversion, FieldMapping, Mapping
from negotiator.mapping.layout import Direction, Scope
from negotiator.mapping.partners import Partners
from negotiator.mapping.pointers import pointer
from negotiator.mapping.problem import Pairing, Problem
from negotiator.mapping.result import Inference, Match


def no_inference(problem: Problem, why: str) -> Inference:
    """The inference where nothing can be said."""
    return Inference(
        matches=(),
        doubtful=(),
        unmatched_required=(),
        unmatched_optional=(),
        unmatched_source=(),
        blocking=(why,),
        mapping=None,
        partial=Mapping(),
        rest=("",),
        exact=False,
        problem=problem,
    )


class Builder:
    """Builds one direction's inference from a pairing."""

    def __init__(self, problem: Problem, pairing: Pairing, direction: Direction) -> None:
        self._problem = problem
        self._pairing = pairing
        self._direction = direction
        self._partners = Partners(problem, pairing, direction)
        self._matches: list[Match] = []
        self._doubtful: list[Match] = []
        self._required: list[str] = []
        self._optional: list[str] = []
        self._source: list[str] = []
        self._blocking: list[str] = []
        self._rest: list[str] = []

    def inference(self, scope: Scope) -> Inference:
        """What is found at `scope`, which is the root of the direction."""
        mapping = self._mapping(scope, "", "")
        return Inference(
            matches=tuple(self._matches),
            doubtful=tuple(self._doubtful),
            unmatched_required=tuple(self._required),
            unmatched_optional=tuple(self._optional),
            unmatched_source=tuple(self._source),
            blocking=tuple(self._blocking),
            mapping=None if self._blocking else mapping,
            partial=mapping,
            rest=tuple(self._rest),
            exact=False,
            problem=self._problem,
        )

    def _mapping(self, scope: Scope, above_source: str, above_target: str) -> Mapping:
        source, target = self._problem.shapes[scope]
        fields = [FieldMapping(to=pointer(path), const={}) for path in target.required_objects]
        fields += self._nullable(scope, source, target)
        read_from: set[tuple[str, ...]] = set()
        paired_arrays = {there.path: here for here, there in self._problem.arrays[scope]}
        hollow = self._hollow_objects(scope, target)
        together: list[tuple[str, str]] = []
        for wanted in target.fields:
            at = above_target + pointer(wanted.path)
            if any(wanted.path[: len(path)] == path for path in hollow):
                self._optional.append(at)
                continue
            made = self._field(scope, wanted, above_source, at, paired_arrays.get(wanted.path))
            if made is None:
                continue
            given, field = made
            read_from.update(one.path for one in given)
            if field is not None:
                fields.append(field)
                if wanted.within is not None:
                    together.append((pointer(wanted.within), pointer(wanted.path)))
        refused = self._refused(scope, source, read_from, above_source)
        return Mapping(tuple(fields), refused, tuple(together))

    def _hollow_objects(self, scope: Scope, target: Shape) -> list[tuple[str, ...]]:
        """Optional objects of the target that cannot be made whole, and so are not made at all."""
        needs: dict[tuple[str, ...], bool] = {}
        arrays = {there.path for _, there in self._problem.arrays[scope]}
        for wanted in target.fields:
            if wanted.within is not None and wanted.path not in arrays:
                pair = self._partners.sure(scope, wanted)
                whole = pair is not None and pair[2].needs == "none"
                whole = whole or self._partners.template_of(scope, wanted) is not None
                needs[wanted.within] = needs.get(wanted.within, True) and whole
        return [path for path, whole in needs.items() if not whole]

    def _nullable(self, scope: Scope, source: Shape, target: Shape) -> list[FieldMapping]:
        """What objects that may be null are read from, so that null stays null and an empty object an empty one.

        Where no one object of the source stands for it, one that must be there is null until a field of it comes.
        """
        made: list[FieldMapping] = []
        hollow = self._hollow_objects(scope, target)
        for path, always in target.nullable_objects:
            at = pointer(path)
            if any(path[: len(above)] == above for above in hollow):
                if always and path in hollow:
                    self._rest.append(at)
                    self._blocking.append(f"{at} is required and cannot be made whole")
                continue
            given = self._object_for(scope, source, path)
            if given is not None:
                whole = Conversion("to_empty_object")
                made.append(FieldMapping(to=at, source=pointer(given), has_default=always, convert=whole))
            elif always:
                made.append(FieldMapping(to=at, const=None))
        return made

    def _object_for(self, scope: Scope, source: Shape, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """The object of the source that holds all that one of the target is made of."""
        target = self._problem.shapes[scope][1]
        inside = [one for one in target.fields if one.path[: len(path)] == path]
        pairs = [pair for one in inside if (pair := self._partners.sure(scope, one)) is not None]
        side = self._problem.ours if self._direction == "request" else self._problem.theirs
        given = [side[pair[0] if self._direction == "request" else pair[1]].places[scope] for pair in pairs]
        objects = [*(held for held, _ in source.nullable_objects), *source.optional_objects, *source.required_objects]
        holders = [held for held in objects if held and all(one.path[: len(held)] == held for one in given)]
        return max(holders, key=len) if holders and given else None

    def _field(
        self, scope: Scope, wanted: Field, above_source: str, at: str, array: Field | None
    ) -> tuple[tuple[Field, ...], FieldMapping | None] | None:
        """The fields that `wanted` is read from and how; None where that is open, and no how where code must do it."""
        if array is not None:
            return self._array(scope, wanted, above_source, at, array)
        template = self._partners.template_of(scope, wanted)
        if template is not None:
            return self._from_template(above_source, at, template)
        fixed = self._fixed(scope, wanted)
        if fixed is not None:
            return (), fixed
        found = self._match(scope, wanted, above_source, at)
        if found is None:
            return None
        given, carried = found
        start = above_source + pointer(given.path)
        if carried.needs != "none":
            self._rest.append(at)
            if wanted.required or self._direction == "request":
                self._blocking.append(f"{start} to {at}: {carried.reason}")
            return (given,), None
        there = self._is_always_there(given, wanted, start, at)
        return (given,), _field(given, wanted, carried, None) if there else None

    def _array(
        self, scope: Scope, wanted: Field, above_source: str, at: str, array: Field
    ) -> tuple[tuple[Field, ...], FieldMapping | None] | None:
        start = above_source + pointer(array.path)
        inner = self._mapping((scope[0], (*scope[1], array.path)), f"{start}/-", f"{at}/-")
        if not any(field.source is not None or field.join for field in inner.fields):
            self._leave_open(wanted, at, f"shares no field with {start}")
            return None
        self._matches.append(Match(at, start, 0.0, EXACT_MARGIN, "words"))
        there = self._is_always_there(array, wanted, start, at)
        return (array,), _field(array, wanted, Carry(), inner) if there else None

    def _from_template(
        self, above_source: str, at: str, found: tuple[tuple[Field, ...], FieldMapping, float]
    ) -> tuple[tuple[Field, ...], FieldMapping]:
        given, field, margin = found
        first, *further = (above_source + pointer(one.path) for one in given)
        self._matches.append(Match(at, first, margin, margin, "template", joined_with=tuple(further)))
        return given, field

    def _fixed(self, scope: Scope, wanted: Field) -> FieldMapping | None:
        """The one value that a required field can have, or in a request the one that is taken where none is said.

        Only where nothing at the source could be meant by it.
        """
        if not wanted.required or self._partners.may_be_there(scope, wanted):
            return None
        if wanted.enum is not None and len(wanted.enum) == 1 and not wanted.nullable:
            return FieldMapping(to=pointer(wanted.path), const=wanted.enum[0])
        default = wanted.schema.get("default")
        if self._direction == "request" and default is not None:
            return FieldMapping(to=pointer(wanted.path), const=default)
        return None

    def _match(self, scope: Scope, wanted: Field, above_source: str, at: str) -> tuple[Field, Carry] | None:
        """The field that `wanted` is read from, where that is sure; recorded either way."""
        problem = self._problem
        pair = self._partners.likely(scope, wanted)
        if pair is None:
            self._leave_open(wanted, at, "has no counterpart")
            return None
        row, column, carried = pair
        given = (problem.ours[row] if self._direction == "request" else problem.theirs[column]).places[scope]
        start = above_source + pointer(given.path)
        match = Match(
            target=at,
            source=start,
            score=problem.gains[row][column],
            margin=self._pairing.margin[row],
            basis="model" if (row, column) in problem.voted else "words",
            needs=carried.needs,
            reason=carried.reason,
        )
        if match.margin < problem.thresholds.margin:
            self._doubtful.append(match)
            self._leave_open(wanted, at, f"is perhaps {start}, which is not sure enough")
            return None
        self._matches.append(match)
        return given, carried

    def _is_always_there(self, given: Field, wanted: Field, start: str, at: str) -> bool:
        if not wanted.required or given.required or given.schema.get("default") is not None:
            return True
        self._rest.append(at)
        self._blocking.append(f"{at} is required and {start} may be absent")
        return False

    def _leave_open(self, wanted: Field, at: str, why: str) -> None:
        if wanted.required:
            self._required.append(at)
            self._rest.append(at)
            self._blocking.append(f"{at} is required and {why}")
        else:
            self._optional.append(at)

    def _refused(self, scope: Scope, source: Shape, read_from: set[tuple[str, ...]], above: str) -> tuple[str, ...]:
        """Source fields that nothing reads; in a request, those that are surely without a counterpart."""
        refused = []
        for given in source.fields:
            if given.path in read_from:
                continue
            start = above + pointer(given.path)
            self._source.append(start)
            if self._direction == "reply":
                continue
            index = next((at for at, slot in enumerate(self._problem.ours) if slot.places.get(scope) is given), None)
            sure = index is not None and self._partners.surely_without(scope, index)
            if given.required:
                self._blocking.append(f"{start} is always given and has no place at the other side")
            elif sure:
                refused.append(pointer(given.path))
            else:
                self._blocking.append(f"{start} has no place that is sure enough")
        return tuple(refused)


def _field(given: Field, wanted: Field, carried: Carry, each: Mapping | None) -> FieldMapping:
    if carried.item is not None:
        item = FieldMapping(to="", source="", table=carried.item.table, convert=carried.item.convert, required=True)
        each = Mapping((item,))
    default = None if given.required else given.schema.get("default")
    return FieldMapping(
        to=pointer(wanted.path),
        source=pointer(given.path),
        has_default=default is not None,
        default=default,
        required=wanted.required,
        null_is_absent=given.nullable and not wanted.nullable,
        table=carried.table,
        convert=carried.convert,
        each=each,
    )
