"""The evidence for each pair of fields of two sides, from their schemas, from values that were seen and from nearness."""

import math
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from negotiator.jsonvalue import JsonObject
from negotiator.mapping import words
from negotiator.mapping.assignment import FORBIDDEN
from negotiator.mapping.examples import Examples
from negotiator.mapping.fields import Field, Shape, shape_of
from negotiator.mapping.layout import Direction, Scope, Slot, lay_out, slots_of
from negotiator.mapping.likeness import beyond_words, evidence, in_words, log_odds, read
from negotiator.mapping.nearness import Nearness
from negotiator.mapping.problem import (
    MAX_PAIRED,
    Problem,
    Thresholds,
    carried_between,
    pair_up,
    slots_of_template,
    total_gain,
)
from negotiator.mapping.templates import TEMPLATE_BONUS, Template, candidates, imagined
from protocol_docs.search_index import Embedder

_SPOKEN: Final = 0.75
"""Log-odds in words and values from which something speaks for a pair beside what remains at the end."""
_OTHER_PLACE: Final = 1.85
"""Log-odds lost where a field stands in request and reply on one side and in one of them on the other."""


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
    taken = set[tuple[bool, int]]().union(*map(slots_of_template, problem.templates))
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
            if slots_of_template(template) <= free:
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
    taken = slots_of_template(template)
    if any(taken & slots_of_template(other) for other in problem.templates):
        return problem
    apart = _without(problem.gains, taken)
    margin = gain + total_gain(apart) - total_gain(problem.gains)
    if margin >= problem.thresholds.margin:
        return replace(problem, gains=apart, templates=(*problem.templates, replace(template, margin=margin)))
    if margin <= -problem.thresholds.margin:
        return problem
    open_ = {(template.whole_is_ours, template.whole)}
    return replace(problem, gains=_without(problem.gains, open_), contested=problem.contested | open_)


def _without(gains: tuple[tuple[float, ...], ...], taken: set[tuple[bool, int]]) -> tuple[tuple[float, ...], ...]:
    """The gains where some slots may have no partner."""
    return tuple(
        tuple(
            FORBIDDEN if (True, row) in taken or (False, column) in taken else gain for column, gain in enumerate(line)
        )
        for row, line in enumerate(gains)
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
