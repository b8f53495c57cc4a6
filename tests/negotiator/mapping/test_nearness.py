"""How near two fields are by embeddings: beside the others of their task, and in the sort of thing that they hold."""

from collections.abc import Sequence

import pytest

from negotiator.mapping.nearness import Nearness, Phrases

SIZE = 300


class Axes:
    """An embedder in which a text is the sum of the axes that its words are told to stand on."""

    name = "axes"

    def __init__(self, **axes: int) -> None:
        self._axes = axes

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * SIZE
        told = [self._axes[word] for word in text.split() if word in self._axes]
        for axis in told or [20 + sum(text.encode()) % (SIZE - 20)]:
            vector[axis] += 1.0
        return vector


def field(name: str, description: str = "") -> Phrases:
    return name, description, f"{name}: {description}" if description else name


FARE, COST, WAIT, DELAY = (
    field("fare", "the ride fare"),
    field("cost", "the ride cost"),
    field("wait", "the ride wait"),
    field("delay", "the ride delay"),
)
TOLD = Axes(ride=0, fare=1, cost=1, wait=2, delay=2, money=1, price=1, long=2, length=2)


def test_what_all_fields_of_a_task_have_in_common_speaks_for_no_pair() -> None:
    near = Nearness(TOLD, [FARE, COST, WAIT, DELAY])
    assert near.between(FARE, COST)[0] > 0.5
    assert near.between(FARE, WAIT)[0] < 0.0
    apart = Nearness(TOLD, [FARE, WAIT, field("x", "flimp"), field("y", "zorgle")])
    assert apart.between(FARE, WAIT)[0] > near.between(FARE, WAIT)[0]


def test_two_fields_alone_are_not_opposites_for_want_of_others() -> None:
    near = Nearness(TOLD, [FARE, COST])
    assert min(near.between(FARE, COST)[:2]) > 0.9


def test_fields_of_one_sort_are_told_from_those_of_another() -> None:
    near = Nearness(TOLD, [FARE, COST, WAIT])
    assert near.between(FARE, COST)[2] > 0.9
    assert near.between(FARE, WAIT)[2] < 0.1


def test_a_field_without_a_description_is_compared_by_what_it_says() -> None:
    named = field("fare")
    near = Nearness(TOLD, [named, COST, WAIT])
    assert near.between(named, COST)[0] == near.between(named, COST)[1] > 0.2
    assert near.between(named, COST)[3] == near.between(named, COST)[4] > 0.9


@pytest.mark.parametrize("other", [FARE, field(""), field("fare")])
def test_what_says_nothing_is_near_nothing(other: Phrases) -> None:
    near = Nearness(TOLD, [FARE, field(""), field("fare")])
    assert near.between(field(""), other) == (0.0,) * 5


@pytest.mark.parametrize("other", [COST, WAIT, field("wait")])
def test_nearness_is_the_same_from_either_side_and_stays_in_its_bounds(other: Phrases) -> None:
    near = Nearness(TOLD, [FARE, COST, WAIT], [field("wait")])
    assert near.between(FARE, other) == pytest.approx(near.between(other, FARE))
    assert all(-1.0 - 1e-9 <= each <= 1.0 + 1e-9 for each in near.between(FARE, other))
