"""Two sides laid out for pairing, and the best reading of all the evidence together."""

from collections.abc import Mapping as MappingOf
from dataclasses import dataclass, replace
from typing import Final

from negotiator.mapping.assignment import FORBIDDEN, assign, assign_with_margins
from negotiator.mapping.carry import Carry, carry
from negotiator.mapping.fields import Field, Shape
from negotiator.mapping.layout import Direction, Scope, Slot
from negotiator.mapping.templates import Template

MAX_PAIRED: Final = 256
"""Fields of both sides together; with more, only what is exact is mapped (256 take some four seconds)."""
_LEAST_LIKELY: Final = -0.75
"""Log-odds of a pair below which that nothing else remains does not speak for it, however many fields there are."""


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


def slots_of_template(template: Template) -> set[tuple[bool, int]]:
    """The slots (whether ours, index) that a template takes."""
    return {(template.whole_is_ours, template.whole)} | {(not template.whole_is_ours, at) for at in template.parts}


def total_gain(gains: tuple[tuple[float, ...], ...]) -> float:
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
    taken = problem.contested.union(*map(slots_of_template, problem.templates))
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


def carried_between(one: Slot, other: Slot, scope: Scope) -> Carry | None:
    """How values travel between two slots that both stand in `scope`; None where they cannot."""
    source, target = (one, other) if scope[0] == "request" else (other, one)
    return carry(source.places[scope], target.places[scope])
