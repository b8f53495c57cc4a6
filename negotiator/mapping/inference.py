"""From two schemas to a mapping between them, or to exactly what is missing for one.

Fields of both sides are paired one-to-one so that all pairs together are the likeliest reading. A pair is used
only where every other reading is less likely by a margin; what is below it is left open for a model or a person.
Nothing is ever guessed.
"""

import math
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject
from negotiator.mapping import words
from negotiator.mapping.assignment import FORBIDDEN, assign_with_margins
from negotiator.mapping.carry import Carry, Needs, carry
from negotiator.mapping.fields import Field, Shape, same_values, shape_of
from negotiator.mapping.form import Conversion, FieldMapping, Mapping, pointer
from negotiator.mapping.likeness import Reading, evidence, in_words, log_odds, read

Direction: TypeAlias = Literal["request", "reply"]
Basis: TypeAlias = Literal["exact", "words", "model"]
Scope: TypeAlias = tuple[Direction, tuple[tuple[str, ...], ...]]
"""A direction and the arrays gone into, by their paths at the source."""

MAX_ARRAYS_DEEP: Final = 4
MAX_PAIRED: Final = 256
"""Fields of both sides together; with more, only what is exact is mapped (256 take some two seconds)."""
_EXACT_MARGIN: Final = 100.0
"""The margin of what cannot be read otherwise."""
_WORDS_FOR_BONUS: Final = 1.0
_OTHER_PLACE: Final = 0.7
"""Log-odds lost where a field stands in request and reply on one side and in one of them on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Margins in log-odds, chosen on the training half of SGD-X."""

    margin: float = 1.0
    """A pair is used where every reading without it is less likely by this much."""
    closed_bonus: float = 1.5
    """Added to every pair where both sides have equally many fields at the same places: a whole fit is evidence."""


@dataclass(frozen=True, slots=True)
class Match:
    """One field of the target and the field of the source that it is read from."""

    target: str
    """JSON Pointer; items of arrays are reached by `/-`, such as `/results/-/city`."""
    source: str
    score: float
    """Log-odds that the two mean the same, against meaning nothing to each other."""
    margin: float
    """Log-odds by which the best other reading of the two schemas is less likely."""
    basis: Basis
    needs: Needs = "none"
    """`conversion`: they mean the same, but no mapping carries the value; code must."""
    reason: str = ""
    """Why it needs a conversion."""


@dataclass(frozen=True, slots=True)
class Inference:
    """What is known of how one schema maps to another."""

    matches: tuple[Match, ...]
    """The pairs above the margin."""
    doubtful: tuple[Match, ...]
    """The likeliest pairs that are below it; not used."""
    unmatched_required: tuple[str, ...]
    """JSON Pointers of required target fields without a pair above the margin."""
    unmatched_optional: tuple[str, ...]
    unmatched_source: tuple[str, ...]
    """JSON Pointers of source fields that no used pair reads."""
    blocking: tuple[str, ...]
    """Why there is no mapping, a sentence each; empty where there is one."""
    mapping: Mapping | None
    """The whole mapping; None where anything blocks it."""
    partial: Mapping
    """What is sure, even where something blocks the whole: code can be laid over its result."""
    rest: tuple[str, ...]
    """JSON Pointers of the target fields that `partial` leaves to code: required ones, and those that are known
    to need a conversion."""
    exact: bool
    """Names, types and values are the same throughout: this is the only mapping there can be."""
    problem: "Problem" = field(repr=False, compare=False)
    """What was solved; `negotiator.mapping.merge` solves it again with what a model says."""

    @property
    def needs_conversion(self) -> tuple[Match, ...]:
        """Pairs that are certain and that code must convert."""
        return tuple(match for match in self.matches if match.needs == "conversion")


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of one side, wherever it stands in request and reply."""

    label: str
    """Its name, unique on its side; for models and people."""
    places: MappingOf[Scope, Field]
    reading: Reading


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Two sides to be paired: `ours` sends the request and receives the reply.

    Immutable; `with_votes` makes another. `solve` is what `infer` and `infer_pair` return.
    """

    ours: tuple[Slot, ...]
    theirs: tuple[Slot, ...]
    gains: tuple[tuple[float, ...], ...]
    """Log-odds for each of ours (rows) and theirs (columns); `FORBIDDEN` where values cannot be carried."""
    shapes: MappingOf[Scope, tuple[Shape, Shape]]
    """Source and target, for each scope."""
    arrays: MappingOf[Scope, tuple[tuple[Field, Field], ...]]
    """Pairs of arrays of objects (source, target), for each scope."""
    thresholds: Thresholds
    voted: frozenset[tuple[int, int]] = frozenset()
    """Pairs that a model spoke for."""


@dataclass(frozen=True, slots=True)
class PairInference:
    """Both directions of one task, inferred together."""

    request: Inference
    reply: Inference
    problem: Problem = field(repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether both directions have a mapping."""
        return self.request.mapping is not None and self.reply.mapping is not None


def infer(
    source: JsonObject,
    target: JsonObject,
    *,
    direction: Direction = "request",
    thresholds: Thresholds | None = None,
) -> Inference:
    """Infer a mapping from values of one schema to values of another.

    Args:
        source: JSON Schema of what there is.
        target: JSON Schema of what is wanted.
        direction: in a `request` every source field must find its place, or be known to have none (it is then
            refused when it comes), because leaving it out would change what is asked; of a `reply`, what nobody
            asked for is left out.
        thresholds: how sure to be.
    """
    return solve(state_problem({direction: (source, target)}, thresholds))[direction]


def infer_pair(
    request: tuple[JsonObject, JsonObject],
    reply: tuple[JsonObject, JsonObject],
    *,
    thresholds: Thresholds | None = None,
) -> PairInference:
    """Infer both directions of one task: a field that stands in both must mean the same in both.

    Args:
        request: (ours, theirs): from our input to their input.
        reply: (theirs, ours): from their output to our output.
        thresholds: how sure to be.
    """
    problem = state_problem({"request": request, "reply": reply}, thresholds)
    return pair_of(problem)


def exact_fields(source: JsonObject, target: JsonObject) -> tuple[Mapping, tuple[str, ...]]:
    """The properties of a target that the source has under the same name, with the same values and surely meant.

    A name alone does not suffice: where the descriptions of both sides say that the namesake means another thing,
    the property is left to the rest.

    Returns:
        A mapping of those properties, and the names of the target's other top-level properties.
    """
    found = infer(source, target, direction="reply")
    here = {given.path: given for given in shape_of(source).fields}
    there = {wanted.path: wanted for wanted in shape_of(target).fields}
    sure = {match.target for match in found.matches if match.source == match.target and match.needs == "none"}
    kept = {
        path
        for path, wanted in there.items()
        if pointer(path) in sure and path in here and same_values(here[path], wanted)
    }
    rest = dict.fromkeys(path[0] for path in there if path and path not in kept)
    kept_fields = tuple(part for part in found.partial.fields if part.to == "" or _first(part.to) not in rest)
    sure_fields = kept_fields if any(part.source is not None for part in kept_fields) else ()
    return Mapping(sure_fields), tuple(rest)


def _first(at: str) -> str:
    return at.split("/")[1].replace("~1", "/").replace("~0", "~") if at else ""


def pair_of(problem: Problem) -> PairInference:
    """Solve a problem that holds both directions."""
    solved = solve(problem)
    return PairInference(solved["request"], solved["reply"], problem)


def state_problem(
    schemas: MappingOf[Direction, tuple[JsonObject, JsonObject]], thresholds: Thresholds | None = None
) -> Problem:
    """Lay out the fields of both sides and the evidence for each pair."""
    shapes: dict[Scope, tuple[Shape, Shape]] = {}
    arrays: dict[Scope, tuple[tuple[Field, Field], ...]] = {}
    for direction, (source, target) in schemas.items():
        _lay_out((direction, ()), shape_of(source), shape_of(target), shapes, arrays)
    ours = _slots(shapes, arrays, ours=True)
    theirs = _slots(shapes, arrays, ours=False)
    rarity = words.rarity([slot.reading.both for slot in (*ours, *theirs)])
    chosen = thresholds or Thresholds()
    closed = sorted(sorted(map(str, slot.places)) for slot in ours) == sorted(
        sorted(map(str, slot.places)) for slot in theirs
    )
    bonus = chosen.closed_bonus if closed else 0.0
    if len(ours) + len(theirs) > MAX_PAIRED:
        gains = ((FORBIDDEN,) * len(theirs),) * len(ours)
    else:
        kinds = _kinds(ours, theirs)
        gains = tuple(tuple(_gain(one, other, rarity, kinds, bonus) for other in theirs) for one in ours)
    return Problem(ours, theirs, gains, shapes, arrays, chosen)


def with_votes(problem: Problem, votes: MappingOf[tuple[int, int], float]) -> Problem:
    """The problem with log-odds added to some pairs; what cannot be carried stays forbidden."""
    gains = [list(row) for row in problem.gains]
    for (row, column), weight in votes.items():
        if gains[row][column] > FORBIDDEN:
            gains[row][column] += weight
    spoken = frozenset(pair for pair, weight in votes.items() if weight > 0)
    return replace(problem, gains=tuple(tuple(row) for row in gains), voted=problem.voted | spoken)


@dataclass(frozen=True, slots=True)
class Pairing:
    """The best reading of a problem: who pairs with whom and how sure that is."""

    partner: tuple[int | None, ...]
    """For each of ours, the index of theirs."""
    margin: tuple[float, ...]
    """For each of ours, of its pair or of its having none."""
    margin_theirs: tuple[float, ...]


def pair_up(problem: Problem) -> Pairing:
    """The likeliest one-to-one pairing, where having no partner is worth 0."""
    rows, columns = len(problem.ours), len(problem.theirs)
    size = rows + columns
    if not size or size > MAX_PAIRED:
        return Pairing((None,) * rows, (0.0,) * rows, (0.0,) * columns)
    gains = [
        [*row, *(0.0 if at == alone else FORBIDDEN for alone in range(rows))] for at, row in enumerate(problem.gains)
    ]
    gains += [
        [*(0.0 if at == alone else FORBIDDEN for at in range(columns)), *([0.0] * rows)] for alone in range(columns)
    ]
    chosen, lost = assign_with_margins(gains)
    margin_theirs = [0.0] * columns
    for row, column in enumerate(chosen):
        if column < columns:
            margin_theirs[column] = lost[row]
    partner = tuple(column if column < columns else None for column in chosen[:rows])
    return Pairing(partner, tuple(lost[:rows]), tuple(margin_theirs))


def solve(problem: Problem) -> dict[Direction, Inference]:
    """Pair the fields and build what can be built, for each direction of the problem."""
    pairing = pair_up(problem)
    solved: dict[Direction, Inference] = {}
    for scope, (source, target) in problem.shapes.items():
        direction, inside = scope
        if inside:
            continue
        if _is_exact(source, target, direction):
            solved[direction] = _exact(source, target, problem)
        else:
            solved[direction] = _Builder(problem, pairing, direction).inference(scope)
    return solved


def _lay_out(
    scope: Scope,
    source: Shape,
    target: Shape,
    shapes: dict[Scope, tuple[Shape, Shape]],
    arrays: dict[Scope, tuple[tuple[Field, Field], ...]],
) -> None:
    shapes[scope] = (source, target)
    pairs = _array_pairs(source, target) if len(scope[1]) < MAX_ARRAYS_DEEP else ()
    arrays[scope] = pairs
    for one, other in pairs:
        inner = (scope[0], (*scope[1], one.path))
        here, there = shape_of(one.items or {}, one.document), shape_of(other.items or {}, other.document)
        _lay_out(inner, here, there, shapes, arrays)


def _holds_objects(found: Field) -> bool:
    if found.items is None:
        return False
    inner = shape_of(found.items, found.document)
    return bool(inner.required_objects) and bool(inner.fields)


def _array_pairs(source: Shape, target: Shape) -> tuple[tuple[Field, Field], ...]:
    """Arrays of objects are paired first, by their own words and those of their items."""
    here = [found for found in source.fields if _holds_objects(found)]
    there = [found for found in target.fields if _holds_objects(found)]
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


def _slots(
    shapes: MappingOf[Scope, tuple[Shape, Shape]],
    arrays: MappingOf[Scope, tuple[tuple[Field, Field], ...]],
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
        made.append(Slot(label, places, read(replace(fields[0], description=" / ".join(texts)))))
    return tuple(made)


def _kinds(ours: tuple[Slot, ...], theirs: tuple[Slot, ...]) -> dict[str, float]:
    """How telling each kind of value is: what few fields hold tells more, in nats."""
    total = len(ours) + len(theirs)
    counts: dict[str, int] = {}
    for slot in (*ours, *theirs):
        counts[slot.reading.kind] = counts.get(slot.reading.kind, 0) + 1
    return {kind: math.log(total / count) for kind, count in counts.items()}


def _gain(one: Slot, other: Slot, rarity: MappingOf[str, float], kinds: MappingOf[str, float], bonus: float) -> float:
    shared = one.places.keys() & other.places.keys()
    if not shared or any(_carried(one, other, scope) is None for scope in shared):
        return FORBIDDEN
    apart = len(one.places.keys() ^ other.places.keys())
    found = evidence(one.reading, other.reading, rarity, kinds)
    # What remains at the end is no pair for that alone: some word must speak for it.
    earned = bonus * min(1.0, in_words(found) / _WORDS_FOR_BONUS)
    return log_odds(found) + earned - _OTHER_PLACE * apart


def _carried(one: Slot, other: Slot, scope: Scope) -> Carry | None:
    source, target = (one, other) if scope[0] == "request" else (other, one)
    return carry(source.places[scope], target.places[scope])


def _is_exact(source: Shape, target: Shape, direction: Direction, depth: int = 0) -> bool:
    """Whether every field has its namesake of the same values, and nothing that was meant would be left out."""
    here = {found.path: found for found in source.fields}
    there = {found.path: found for found in target.fields}
    if here.keys() != there.keys() and (direction == "request" or not there.keys() <= here.keys()):
        return False
    for path, wanted in there.items():
        given = here[path]
        if (wanted.required and not given.required) or (given.nullable and not wanted.nullable):
            return False
        if depth < MAX_ARRAYS_DEEP and _holds_objects(given) and _holds_objects(wanted):
            if given.nullable != wanted.nullable:
                return False
            inner = shape_of(given.items or {}, given.document), shape_of(wanted.items or {}, wanted.document)
            if not _is_exact(*inner, direction, depth + 1):
                return False
        elif not same_values(given, wanted) or carry(given, wanted) != Carry():
            return False
    return True


def _exact(source: Shape, target: Shape, problem: Problem) -> Inference:
    mapping, matches = _exact_mapping(target, "")
    left = {found.path for found in source.fields} - {found.path for found in target.fields}
    return Inference(
        matches=tuple(matches),
        doubtful=(),
        unmatched_required=(),
        unmatched_optional=(),
        unmatched_source=tuple(pointer(path) for path in sorted(left)),
        blocking=(),
        mapping=mapping,
        partial=mapping,
        rest=(),
        exact=True,
        problem=problem,
    )


def _exact_mapping(target: Shape, above: str, depth: int = 0) -> tuple[Mapping, list[Match]]:
    fields = [FieldMapping(to=pointer(path), const={}) for path in target.required_objects]
    whole = Conversion("to_empty_object")
    fields += [FieldMapping(to=at, source=at, convert=whole) for at in map(pointer, target.optional_objects)]
    matches: list[Match] = []
    for wanted in target.fields:
        at = pointer(wanted.path)
        each = None
        matches.append(Match(above + at, above + at, _EXACT_MARGIN, _EXACT_MARGIN, "exact"))
        if depth < MAX_ARRAYS_DEEP and _holds_objects(wanted):
            inside = shape_of(wanted.items or {}, wanted.document)
            each, inner = _exact_mapping(inside, f"{above}{at}/-", depth + 1)
            matches += inner
        fields.append(FieldMapping(to=at, source=at, required=wanted.required, each=each))
    return Mapping(tuple(fields)), matches


class _Builder:
    """Builds one direction's inference from a pairing."""

    def __init__(self, problem: Problem, pairing: Pairing, direction: Direction) -> None:
        self._problem = problem
        self._pairing = pairing
        self._direction = direction
        self._matches: list[Match] = []
        self._doubtful: list[Match] = []
        self._required: list[str] = []
        self._optional: list[str] = []
        self._source: list[str] = []
        self._blocking: list[str] = []
        self._rest: list[str] = []

    def inference(self, scope: Scope) -> Inference:
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
            read_from.add(given.path)
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
                pair = self._sure_pair(scope, wanted)
                whole = pair is not None and pair[2].needs == "none"
                needs[wanted.within] = needs.get(wanted.within, True) and whole
        return [path for path, whole in needs.items() if not whole]

    def _field(
        self, scope: Scope, wanted: Field, above_source: str, at: str, array: Field | None
    ) -> tuple[Field, FieldMapping | None] | None:
        """The field that `wanted` is read from and how; None where that is open, and no how where code must do it."""
        if array is not None:
            start = above_source + pointer(array.path)
            inner = self._mapping((scope[0], (*scope[1], array.path)), f"{start}/-", f"{at}/-")
            if not any(field.source is not None for field in inner.fields):
                self._leave_open(wanted, at, f"shares no field with {start}")
                return None
            self._matches.append(Match(at, start, 0.0, _EXACT_MARGIN, "words"))
            there = self._is_always_there(array, wanted, start, at)
            return array, _field(array, wanted, Carry(), inner) if there else None
        found = self._match(scope, wanted, above_source, at)
        if found is None:
            return None
        given, carried = found
        start = above_source + pointer(given.path)
        if carried.needs != "none":
            self._rest.append(at)
            if wanted.required or self._direction == "request":
                self._blocking.append(f"{start} to {at}: {carried.reason}")
            return given, None
        there = self._is_always_there(given, wanted, start, at)
        return given, _field(given, wanted, carried, None) if there else None

    def _match(self, scope: Scope, wanted: Field, above_source: str, at: str) -> tuple[Field, Carry] | None:
        """The field that `wanted` is read from, where that is sure; recorded either way."""
        problem = self._problem
        pair = self._likely_pair(scope, wanted)
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

    def _likely_pair(self, scope: Scope, wanted: Field) -> tuple[int, int, Carry] | None:
        """The indexes of ours and theirs that are paired and stand in this scope, and how values travel."""
        row, column = self._pair_of(scope, wanted)
        if row is None or column is None:
            return None
        one, other = self._problem.ours[row], self._problem.theirs[column]
        carried = _carried(one, other, scope) if scope in one.places and scope in other.places else None
        return None if carried is None else (row, column, carried)

    def _sure_pair(self, scope: Scope, wanted: Field) -> tuple[int, int, Carry] | None:
        pair = self._likely_pair(scope, wanted)
        sure = pair is not None and self._pairing.margin[pair[0]] >= self._problem.thresholds.margin
        return pair if sure else None

    def _is_always_there(self, given: Field, wanted: Field, start: str, at: str) -> bool:
        if not wanted.required or given.required or given.schema.get("default") is not None:
            return True
        self._rest.append(at)
        self._blocking.append(f"{at} is required and {start} may be absent")
        return False

    def _pair_of(self, scope: Scope, wanted: Field) -> tuple[int | None, int | None]:
        problem, pairing = self._problem, self._pairing
        side = problem.theirs if self._direction == "request" else problem.ours
        index = next((at for at, slot in enumerate(side) if slot.places.get(scope) is wanted), None)
        if index is None:
            return None, None
        if self._direction == "reply":
            return index, pairing.partner[index]
        row = next((at for at, partner in enumerate(pairing.partner) if partner == index), None)
        return row, index

    def _leave_open(self, wanted: Field, at: str, why: str) -> None:
        if wanted.required:
            self._required.append(at)
            self._rest.append(at)
            self._blocking.append(f"{at} is required and {why}")
        else:
            self._optional.append(at)

    def _has_no_partner_in(self, scope: Scope, index: int) -> bool:
        """Whether one of ours surely has no counterpart at this place, though perhaps at another."""
        if self._pairing.margin[index] < self._problem.thresholds.margin:
            return False
        partner = self._pairing.partner[index]
        return partner is None or scope not in self._problem.theirs[partner].places

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
            sure = index is not None and self._has_no_partner_in(scope, index)
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
