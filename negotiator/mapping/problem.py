"""Two sides laid out for pairing: their fields, the evidence for each pair, and the best reading of it all."""

import math
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from negotiator.jsonvalue import JsonObject
from negotiator.mapping import words
from negotiator.mapping.assignment import FORBIDDEN, assign, assign_with_margins
from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.examples import Examples
from negotiator.mapping.fields import Field, Shape, shape_of
from negotiator.mapping.layout import Direction, Scope, Slot, lay_out, slots_of
from negotiator.mapping.likeness import beyond_words, evidence, in_words, log_odds, read
from negotiator.mapping.nearness import Nearness
from negotiator.mapping.templates import TEMPLATE_BONUS, Template, candidates, imagined
from protocol_docs.search_index import Embedder

MAX_PAIRED: Final = 256
"""Fields of both sides together; with more, only what is exact is mapped (256 take some four seconds)."""
_SPOKEN: Final = 0.75
"""Log-odds in words and values from which something speaks for a pair beside what remains at the end."""
_LEAST_LIKELY: Final = -0.75
"""Log-odds of a pair below which that nothing else remains does not speak for it, however many fields there are."""
_OTHER_PLACE: Final = 1.85
"""Log-odds lost where a field stands in request and reply on one side and in one of them on the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Margins in log-odds, chosen on the training split of SGD-X.

    `python -m benchmarks run sgdx-mapping` chooses them anew and says what they come to.
    """

    margin: float = 1.0
    """A pair is used where every reading without it is less likely by this much, with embeddings and without."""
    complete_bonus: float = 0.15
    """Added for every wanted field to the readings that leave none of them out: a whole fit is evidence.

    Who offers something mostly has what is asked for, so that the last field is one of those that are left. Of two
    schemas that lost fields at random this is not so, and the bonus is as large as they allow.
    """


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
    spoken: frozenset[tuple[int, int]] = frozenset()
    """Pairs for which more speaks than that nothing else is left."""


def state_problem(
    schemas: MappingOf[Direction, tuple[JsonObject, JsonObject]],
    thresholds: Thresholds | None = None,
    examples: MappingOf[Direction, Examples] | None = None,
    embedder: Embedder | None = None,
) -> Problem:
    """Lay out the fields of both sides and the evidence for each pair.

    What words settle stays, and an embedder is asked about the rest alone: nothing is lost by having one.
    """
    shapes: dict[Scope, tuple[Shape, Shape]] = {}
    arrays: dict[Scope, tuple[tuple[Field, Field], ...]] = {}
    for direction, (source, target) in schemas.items():
        lay_out((direction, ()), shape_of(source), shape_of(target), shapes, arrays)
    ours = slots_of(shapes, arrays, examples or {}, ours=True)
    theirs = slots_of(shapes, arrays, examples or {}, ours=False)
    nothing = ((FORBIDDEN,) * len(theirs),) * len(ours)
    problem = Problem(ours, theirs, nothing, shapes, arrays, thresholds or Thresholds())
    if len(ours) + len(theirs) > MAX_PAIRED:
        return problem
    weigh = _Weigher(
        words.rarity([slot.reading.both for slot in (*ours, *theirs)]), kinds_of(ours, theirs), _imagined(ours, theirs)
    )
    problem = weigh.told(problem, range(len(ours)), range(len(theirs)), None)
    if embedder is None:
        return problem
    settled, rows, columns = _settled(problem)
    if not any(_carried(ours[row], theirs[column]) for row in rows for column in columns):
        return problem
    left = (*(ours[row] for row in rows), *(theirs[column] for column in columns), *(slot for _, slot in weigh.made))
    return weigh.told(settled, rows, columns, nearness_of(embedder, left))


def _settled(problem: Problem) -> tuple[Problem, list[int], list[int]]:
    """The problem with the pairs and templates that are sure and no others; ours and theirs that this leaves."""
    pairing = pair_up(problem)
    sure = {
        row: column
        for row, column in enumerate(pairing.partner)
        if column is not None and pairing.margin[row] >= problem.thresholds.margin
    }
    gains = tuple(
        tuple(pairing.margin[row] if sure.get(row) == column else FORBIDDEN for column in range(len(problem.theirs)))
        for row in range(len(problem.ours))
    )
    taken = set[tuple[bool, int]]().union(*map(_slots_of, problem.templates))
    taken |= {(True, row) for row in sure} | {(False, column) for column in sure.values()}
    settled = replace(problem, gains=gains, spoken=frozenset(sure.items()), contested=frozenset())
    return (
        settled,
        [row for row in range(len(problem.ours)) if (True, row) not in taken],
        [column for column in range(len(problem.theirs)) if (False, column) not in taken],
    )


@dataclass(frozen=True, slots=True)
class _Weigher:
    """What the evidence for pairs and templates is measured by."""

    rarity: MappingOf[str, float]
    kinds: MappingOf[str, float]
    made: list[tuple[Template, Slot]]
    """Templates that may hold, each with the whole that its parts would make."""

    def told(self, problem: Problem, rows: Sequence[int], columns: Sequence[int], near: Nearness | None) -> Problem:
        """The problem with the evidence for the pairs, and for the templates, of these slots."""
        gains = [list(line) for line in problem.gains]
        spoken = set(problem.spoken)
        for row, column in product(rows, columns):
            one, other = problem.ours[row], problem.theirs[column]
            gains[row][column], said = _gain(one, other, self.rarity, self.kinds, near)
            if said >= _SPOKEN:
                spoken.add((row, column))
        weighed = replace(problem, gains=tuple(map(tuple, gains)), spoken=frozenset(spoken))
        free = {(True, row) for row in rows} | {(False, column) for column in columns}
        for template, slot in self.made:
            if _slots_of(template) <= free:
                whole = (weighed.ours if template.whole_is_ours else weighed.theirs)[template.whole]
                odds = log_odds(evidence(slot.reading, whole.reading, self.rarity, self.kinds, near))
                weighed = _with_template(weighed, template, odds + TEMPLATE_BONUS * (len(template.parts) - 1))
        return weighed


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


def _square(
    gains: tuple[tuple[float, ...], ...], wanted: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
) -> list[list[float]]:
    """The gains with a place of worth 0 for each slot that stays alone, which none of the wanted ones may."""
    rows, columns = len(gains), len(gains[0]) if gains else 0
    square = [
        [*row, *(0.0 if at == alone and at not in wanted[0] else FORBIDDEN for alone in range(rows))]
        for at, row in enumerate(gains)
    ]
    return square + [
        [
            *(0.0 if at == alone and at not in wanted[1] else FORBIDDEN for at in range(columns)),
            *([0.0] * rows),
        ]
        for alone in range(columns)
    ]


def with_votes(problem: Problem, votes: MappingOf[tuple[int, int], float]) -> Problem:
    """The problem with log-odds added to some pairs; what cannot be carried stays forbidden."""
    gains = [list(row) for row in problem.gains]
    for (row, column), weight in votes.items():
        if gains[row][column] > FORBIDDEN:
            gains[row][column] += weight
    named = frozenset(pair for pair, weight in votes.items() if weight > 0)
    made = tuple(tuple(row) for row in gains)
    return replace(problem, gains=made, voted=problem.voted | named, spoken=problem.spoken | named)


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
    readings = [_read(_square(problem.gains), 0.0)]
    complete = _complete(problem)
    if complete is not None:
        readings.append(complete)
    best = max(readings, key=lambda reading: reading.worth)
    lost = [best.worth - max(each.worth_without(row, best.chosen[row]) for each in readings) for row in range(size)]
    margin_theirs = [0.0] * columns
    for row, column in enumerate(best.chosen):
        if column < columns:
            margin_theirs[column] = lost[row]
    partner = tuple(column if column < columns else None for column in best.chosen[:rows])
    return Pairing(partner, tuple(lost[:rows]), tuple(margin_theirs))


@dataclass(frozen=True, slots=True)
class _Assigned:
    """The likeliest reading of those that are let in."""

    chosen: list[int]
    lost: list[float]
    """For each row, what the likeliest other reading without its pair is worth less."""
    worth: float

    def worth_without(self, row: int, column: int) -> float:
        """Of the likeliest reading without this pair."""
        return self.worth - self.lost[row] if self.chosen[row] == column else self.worth


def _read(square: list[list[float]], bonus: float) -> _Assigned:
    chosen, lost = assign_with_margins(square)
    return _Assigned(chosen, lost, bonus + sum(square[row][column] for row, column in enumerate(chosen)))


def _complete(problem: Problem) -> _Assigned | None:
    """The likeliest reading that finds every wanted field a partner, something else speaking for it too.

    Wanted are theirs in the request and ours in the reply. None where there is no such reading.
    """
    taken = problem.contested.union(*map(_slots_of, problem.templates))
    wanted = (
        _standing_in("reply", problem.ours, taken, ours=True),
        _standing_in("request", problem.theirs, taken, ours=False),
    )
    count = len(wanted[0]) + len(wanted[1])
    if not problem.thresholds.complete_bonus or not count:
        return None
    gains = tuple(
        tuple(
            gain if (row, column) in problem.spoken and gain >= _LEAST_LIKELY else FORBIDDEN
            for column, gain in enumerate(line)
        )
        for row, line in enumerate(problem.gains)
    )
    found = _read(_square(gains, wanted), problem.thresholds.complete_bonus * count)
    return found if found.worth > FORBIDDEN / 2 else None


def _standing_in(
    direction: Direction, slots: tuple[Slot, ...], taken: frozenset[tuple[bool, int]], *, ours: bool
) -> frozenset[int]:
    return frozenset(
        at
        for at, slot in enumerate(slots)
        if (ours, at) not in taken and any(scope[0] == direction for scope in slot.places)
    )


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
    one: Slot, other: Slot, rarity: MappingOf[str, float], kinds: MappingOf[str, float], near: Nearness | None
) -> tuple[float, float]:
    """The log-odds that two slots are one, and what of them is in words and values that were seen."""
    if not _carried(one, other):
        return FORBIDDEN, 0.0
    apart = len(one.places.keys() ^ other.places.keys())
    found = evidence(one.reading, other.reading, rarity, kinds, near)
    beyond = beyond_words(one.reading, other.reading)
    return log_odds(found) + beyond - _OTHER_PLACE * apart, in_words(found) + max(0.0, beyond)


def _carried(one: Slot, other: Slot) -> bool:
    """Whether values can travel between two slots wherever both stand, and there is such a place."""
    shared = one.places.keys() & other.places.keys()
    return bool(shared) and all(carried_between(one, other, scope) is not None for scope in shared)


def carried_between(one: Slot, other: Slot, scope: Scope) -> Carry | None:
    """How values travel between two slots that both stand in `scope`; None where they cannot."""
    source, target = (one, other) if scope[0] == "request" else (other, one)
    return carry(source.places[scope], target.places[scope])
