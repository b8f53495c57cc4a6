"""The assignment is the best there is, and margins are what second best costs."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.mapping.assignment import FORBIDDEN, assign, assign_with_margins

GAINS = st.integers(1, 5).flatmap(
    lambda size: st.lists(
        st.lists(st.integers(-5, 5).map(float) | st.just(FORBIDDEN), min_size=size, max_size=size),
        min_size=size,
        max_size=size,
    )
)


def best(gains: list[list[float]]) -> float:
    return max(sum(gains[row][column] for row, column in enumerate(order)) for order in permutations(range(len(gains))))


@given(GAINS)
def test_no_other_assignment_gains_more(gains: list[list[float]]) -> None:
    chosen = assign(gains)
    assert sorted(chosen) == list(range(len(gains)))
    assert sum(gains[row][column] for row, column in enumerate(chosen)) == pytest.approx(best(gains))


@given(GAINS)
def test_a_margin_is_what_the_best_assignment_without_a_pair_loses(gains: list[list[float]]) -> None:
    chosen, margins = assign_with_margins(gains)
    for row, column in enumerate(chosen):
        without = [list(line) for line in gains]
        without[row][column] = FORBIDDEN
        assert margins[row] == pytest.approx(best(gains) - best(without))


def test_nothing_is_assigned_to_nothing() -> None:
    assert assign_with_margins([]) == ([], [])
