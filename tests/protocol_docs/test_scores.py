"""Scores are the same with numpy and without, and what equals the last of the best comes too."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import scores as room
from protocol_docs.scores import NumpyScores, PlainScores, Scores, nearest

FIRST, LAST = 3, 12
TERMS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(FIRST, LAST), st.sampled_from([0.0, 0.1, 0.2, 0.3, 1.7])),
        st.sampled_from([0.1, 0.3, 1.0, 5.0]),
    ),
    max_size=6,
)


def add_all(scores: Scores, terms: list[tuple[dict[int, float], float]]) -> None:
    for parts, weight in terms:
        scores.add(array("q", parts), array("d", parts.values()), weight)


@given(terms=TERMS, number=st.integers(1, LAST))
def test_the_best_are_the_same_with_numpy_and_without(terms: list[tuple[dict[int, float], float]], number: int) -> None:
    numpy = pytest.importorskip("numpy")
    plain, fast = PlainScores(), NumpyScores(numpy, FIRST, LAST)
    add_all(plain, terms)
    add_all(fast, terms)
    best = sorted(plain.best(number))
    assert sorted(fast.best(number)) == best
    sums = {one: sum(weight * parts.get(one, 0.0) for parts, weight in terms) for one in range(FIRST, LAST + 1)}
    above = sorted((score for score in sums.values() if score > 0), reverse=True)
    wanted = {one for one, score in sums.items() if score > 0 and score >= above[:number][-1] - 1e-9}
    assert {one for one, _ in best} == wanted
    assert all(score == pytest.approx(sums[one]) for one, score in best)


def test_sums_of_the_same_parts_in_another_order_are_equal() -> None:
    scores = PlainScores()
    add_all(scores, [({4: 0.1, 5: 0.3}, 1.0), ({4: 0.2, 5: 0.2}, 1.0), ({4: 0.3, 5: 0.1}, 1.0)])
    assert 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1
    (_, one), (_, other) = scores.best(1)
    assert one == other


@given(
    rows=st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=1, max_size=12),
    one=st.lists(st.integers(-3, 3), min_size=4, max_size=4),
    number=st.integers(1, 14),
)
def test_the_nearest_are_the_same_with_numpy_and_without(rows: list[list[int]], one: list[int], number: int) -> None:
    pytest.importorskip("numpy")
    packed, vector = array("f", [part for row in rows for part in row]), array("f", one)
    products = [float(sum(a * b for a, b in zip(row, one, strict=True))) for row in rows]
    least = sorted(products, reverse=True)[:number][-1]
    wanted = [(row, product) for row, product in enumerate(products) if product >= least]
    assert nearest(packed, vector, number) == wanted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "load_numpy", lambda: None)
        assert nearest(packed, vector, number) == wanted
