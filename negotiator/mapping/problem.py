"""Two sides laid out for pairing: their fields, the evidence for each pair, and the best reading of it all."""

import math
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import words
from negotiator.mapping.assignment import FORBIDDEN, assign, assign_with_margins
from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.examples import Examples, profile, values_at
from negotiator.mapping.fields import Field, Shape, shape_of
from negotiator.mapping.likeness import Reading, beyond_words, evidence, in_words, log_odds, read
from negotiator.mapping.nearness import Nearness
from negotiator.mapping.templates import TEMPLATE_BONUS, Template, candidates, imagined
from protocol_docs.search_index import Embedder

Direction: TypeAlias = Literal["request", "reply"]
Scope: TypeAlias = tuple[Direction, tuple[tuple[str, ...], ...]]
"""A direction and the arrays gone into, by their paths at the source."""

MAX_ARRAYS_DEEP: Final = 4
MAX_PAIRED: Final = 256
"""Fields of both sides together; with more, only what is exact is mapped (256 take some two seconds)."""
_WORDS_FOR_BONUS: Final = 1.0
_OTHER_PLACE: Final = 1.85
"""Log-odds lost where a field stands in request and reply on one side and in one of them on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Margins in log-odds, chosen on the training split of SGD-X, the same with embeddings and without.

    `python -m benchmarks run sgdx-mapping` chooses them anew and says what they come to.
    """

    margin: float = 1.0
    """A pair is used where every reading without it is less likely by this much."""
    closed_bonus: float = 0.75
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
    templates: tuple[Template, ...] = ()
    """Fields that several make, or that make several. Their slots have no partner of their own."""
    contested: frozenset[tuple[bool, int]] = frozenset()
    """Slots (whether ours, index) for which a template is nearly as likely as a pair: they are left open."""
    voted: frozenset[tuple[int, int]] = frozenset()
    """Pairs that a model spoke for."""


def state_problem(
    schemas: MappingOf[Direction, tuple[JsonObject, JsonObject]],
    thresholds: Thresholds | None = None,
    examples: MappingOf[Direction, Examples] | None = None,
    embedder: Embedder | None = None,
) -> Problem:
    """Lay out the fields of both sides and the evidence for each pair."""
    shapes: dict[Scope, tuple[Shape, Shape]] = {}
    arrays: dict[Scope, tuple[tuple[Field, Field], ...]] = {}
    for direction, (source, target) in schemas.items():
        _lay_out((direction, ()), shape_of(source), shape_of(target), shapes, arrays)
    ours = _slots(shapes, arrays, examples or {}, ours=True)
    theirs = _slots(shapes, arrays, examples or {}, ours=False)
    rarity = words.rarity([slot.reading.both for slot in (*ours, *theirs)])
    chosen = thresholds or Thresholds()
    if len(ours) + len(theirs) > MAX_PAIRED:
        gains = ((FORBIDDEN,) * len(theirs),) * len(ours)
        return Problem(ours, theirs, gains, shapes, arrays, chosen)
    kinds = kinds_of(ours, theirs)
    made = _imagined(ours, theirs)
    near = None if embedder is None else nearness_of(embedder, (*ours, *theirs, *(slot for _, slot in made)))

    def laid_out(closed_bonus: float) -> Problem:
        gains = tuple(tuple(_gain(one, other, rarity, kinds, near, closed_bonus) for other in theirs) for one in ours)
        problem = Problem(ours, theirs, gains, shapes, arrays, chosen)
        for template, slot in made:
            whole = (ours if template.whole_is_ours else theirs)[template.whole]
            odds = log_odds(evidence(slot.reading, whole.reading, rarity, kinds, near))
            problem = _with_template(problem, template, odds + TEMPLATE_BONUS * (len(template.parts) - 1))
        return problem

    problem = laid_out(0.0)
    return laid_out(chosen.closed_bonus) if _is_closed(problem) else problem


def _is_closed(problem: Problem) -> bool:
    """Whether both sides have equally many fields at the same places, templates apart."""
    taken: set[tuple[bool, int]] = set().union(*map(_slots_of, problem.templates))
    left = [
        sorted(sorted(map(str, slot.places)) for at, slot in enumerate(side) if (is_ours, at) not in taken)
        for is_ours, side in ((True, problem.ours), (False, problem.theirs))
    ]
    return left[0] == left[1]


def _imagined(ours: tuple[Slot, ...], theirs: tuple[Slot, ...]) -> list[tuple[Template, Slot]]:
    """Templates that may hold, each with the whole that its parts would make."""
    sides = [[next(iter(slot.places.values())) for slot in side] for side in (ours, theirs)]
    found = []
    for whole_is_ours in (True, False):
        wholes, parts = sides if whole_is_ours else sides[::-1]
        slots = theirs if whole_is_ours else ours
        for template in candidates(wholes, parts, whole_is_ours=whole_is_ours):
            whole = (ours if whole_is_ours else theirs)[template.whole]
            shared = set(whole.places).intersection(*(slots[at].places for at in template.parts))
            if shared:
                field = imagined(template, wholes[template.whole], parts)
                found.append((template, Slot(field.name, dict.fromkeys(shared, field), read(field))))
    return found


def _with_template(problem: Problem, template: Template, gain: float) -> Problem:
    """The problem under a template, where it is likelier by the margin; with its slots left open where it is close."""
    taken = _slots_of(template)
    if any(taken & _slots_of(other) for other in problem.templates):
        return problem
    apart = _without(problem.gains, taken)
    margin = gain + _total(apart) - _total(problem.gains)
    if margin >= problem.thresholds.margin:
        return replace(problem, gains=apart, templates=(*problem.templates, replace(template, margin=margin)))
    if margin <= -problem.thresholds.margin:
        return problem
    open_ = {(template.whole_is_ours, template.whole)}
    return replace(problem, gains=_without(problem.gains, open_), contested=problem.contested | open_)


def _slots_of(template: Template) -> set[tuple[bool, int]]:
    return {(template.whole_is_ours, template.whole)} | {(not template.whole_is_ours, at) for at in template.parts}


def _without(gains: tuple[tuple[float, ...], ...], taken: set[tuple[bool, int]]) -> tuple[tuple[float, ...], ...]:
    """The gains where some slots may have no partner."""
    return tuple(
        tuple(
            FORBIDDEN if (True, row) in taken or (False, column) in taken else gain for column, gain in enumerate(line)
        )
        for row, line in enumerate(gains)
    )


def _total(gains: tuple[tuple[float, ...], ...]) -> float:
    """What the likeliest pairing is worth."""
    square = _square(gains)
    return sum(square[row][column] for row, column in enumerate(assign(square)))


def _square(gains: tuple[tuple[float, ...], ...]) -> list[list[float]]:
    """The gains with a place of worth 0 for each slot that stays alone."""
    rows, columns = len(gains), len(gains[0]) if gains else 0
    square = [[*row, *(0.0 if at == alone else FORBIDDEN for alone in range(rows))] for at, row in enumerate(gains)]
    return square + [
        [*(0.0 if at == alone else FORBIDDEN for at in range(columns)), *([0.0] * rows)] for alone in range(columns)
    ]


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
    if not rows:
        return Pairing((), (), (0.0,) * columns)
    chosen, lost = assign_with_margins(_square(problem.gains))
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


def nearness_of(embedder: Embedder, slots: tuple[Slot, ...]) -> Nearness:
    """What tells how near the phrases of these slots are."""
    return Nearness(embedder, [text for slot in slots for text in slot.reading.phrases])


def kinds_of(ours: tuple[Slot, ...], theirs: tuple[Slot, ...]) -> dict[str, float]:
    """How telling each kind of value is: what few fields hold tells more, in nats."""
    total = len(ours) + len(theirs)
    counts: dict[str, int] = {}
    for slot in (*ours, *theirs):
        counts[slot.reading.kind] = counts.get(slot.reading.kind, 0) + 1
    return {kind: math.log(total / count) for kind, count in counts.items()}


def _gain(
    one: Slot,
    other: Slot,
    rarity: MappingOf[str, float],
    kinds: MappingOf[str, float],
    near: Nearness | None,
    bonus: float,
) -> float:
    shared = one.places.keys() & other.places.keys()
    if not shared or any(carried_between(one, other, scope) is None for scope in shared):
        return FORBIDDEN
    apart = len(one.places.keys() ^ other.places.keys())
    found = evidence(one.reading, other.reading, rarity, kinds, near)
    # What remains at the end is no pair for that alone: something must speak for it.
    beyond = beyond_words(one.reading, other.reading)
    earned = bonus * min(1.0, (in_words(found) + max(0.0, beyond)) / _WORDS_FOR_BONUS)
    return log_odds(found) + beyond + earned - _OTHER_PLACE * apart


def carried_between(one: Slot, other: Slot, scope: Scope) -> Carry | None:
    """How values travel between two slots that both stand in `scope`; None where they cannot."""
    source, target = (one, other) if scope[0] == "request" else (other, one)
    return carry(source.places[scope], target.places[scope])
