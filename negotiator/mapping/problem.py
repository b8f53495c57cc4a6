"""Two sides laid out for pairing: their fields, the evidence for each pair, and the best reading of it all."""

import math
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject
from negotiator.mapping import words
from negotiator.mapping.assignment import FORBIDDEN, assign_with_margins
from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.fields import Field, Shape, shape_of
from negotiator.mapping.likeness import Reading, evidence, in_words, log_odds, read

Direction: TypeAlias = Literal["request", "reply"]
Scope: TypeAlias = tuple[Direction, tuple[tuple[str, ...], ...]]
"""A direction and the arrays gone into, by their paths at the source."""

MAX_ARRAYS_DEEP: Final = 4
MAX_PAIRED: Final = 256
"""Fields of both sides together; with more, only what is exact is mapped (256 take some two seconds)."""
_WORDS_FOR_BONUS: Final = 1.0
_OTHER_PLACE: Final = 0.7
"""Log-odds lost where a field stands in request and reply on one side and in one of them on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Margins in log-odds, chosen on the training half of SGD-X."""

    margin: float = 0.75
    """A pair is used where every reading without it is less likely by this much."""
    closed_bonus: float = 1.75
    """Added to every pair where both sides have equally many fields at the same places: a whole fit is evidence."""


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
    if not shared or any(carried_between(one, other, scope) is None for scope in shared):
        return FORBIDDEN
    apart = len(one.places.keys() ^ other.places.keys())
    found = evidence(one.reading, other.reading, rarity, kinds)
    # What remains at the end is no pair for that alone: some word must speak for it.
    earned = bonus * min(1.0, in_words(found) / _WORDS_FOR_BONUS)
    return log_odds(found) + earned - _OTHER_PLACE * apart


def carried_between(one: Slot, other: Slot, scope: Scope) -> Carry | None:
    """How values travel between two slots that both stand in `scope`; None where they cannot."""
    source, target = (one, other) if scope[0] == "request" else (other, one)
    return carry(source.places[scope], target.places[scope])
