"""The best one-to-one assignment, and how much worse the next best is."""

from collections.abc import Sequence
from typing import Final

_INFINITE: Final = float("inf")
_NOBODY: Final = -1
FORBIDDEN: Final = -1e6
"""A gain that no assignment can want."""


def assign(gains: Sequence[Sequence[float]]) -> list[int]:
    """The column of each row in an assignment of the greatest total gain.

    The shortest augmenting path method, O(n³) (Jonker and Volgenant, Computing 38, 1987).

    Args:
        gains: a square matrix.
    """
    return _solved(gains).columns()


def assign_with_margins(gains: Sequence[Sequence[float]]) -> tuple[list[int], list[float]]:
    """The best assignment, and for each row what the whole loses when that row may not have its column.

    A small margin says that another reading of the two sides is nearly as good. O(n³) for all margins together.
    """
    best = _solved(gains)
    chosen = best.columns()
    return chosen, [best.loss_without(row, column) for row, column in enumerate(chosen)]


def _solved(gains: Sequence[Sequence[float]]) -> "_Assignment":
    found = _Assignment([[-gain for gain in row] for row in gains])
    for row in range(len(gains)):
        found.add(row)
    return found


class _Assignment:
    """Rows matched so far, with the prices that prove it cheapest."""

    def __init__(self, costs: list[list[float]]) -> None:
        self._costs = costs
        self._row_price = [0.0] * len(costs)
        self._column_price = [0.0] * len(costs)
        self._row_of = [_NOBODY] * len(costs)

    def columns(self) -> list[int]:
        chosen = [_NOBODY] * len(self._costs)
        for column, row in enumerate(self._row_of):
            chosen[row] = column
        return chosen

    def add(self, row: int) -> None:
        """Match one more row, moving others where that is cheapest."""
        size = len(self._costs)
        slack = [_INFINITE] * size
        came_from = [_NOBODY] * size
        done: list[int] = []
        open_columns = list(range(size))
        here, column, total = row, _NOBODY, 0.0
        while here != _NOBODY:
            base = total - self._row_price[here]
            costs, prices = self._costs[here], self._column_price
            for other in open_columns:
                reduced = base + costs[other] - prices[other]
                if reduced < slack[other]:
                    slack[other], came_from[other] = reduced, column
            column = min(open_columns, key=slack.__getitem__)
            total = slack[column]
            open_columns.remove(column)
            done.append(column)
            here = self._row_of[column]
        self._row_price[row] += total
        for passed in done[:-1]:
            self._row_price[self._row_of[passed]] += total - slack[passed]
            self._column_price[passed] -= total - slack[passed]
        while came_from[column] != _NOBODY:
            before = came_from[column]
            self._row_of[column] = self._row_of[before]
            column = before
        self._row_of[column] = row

    def loss_without(self, row: int, column: int) -> float:
        """How much dearer the whole is when `row` may not have `column`, which it has now."""
        other = _Assignment([*self._costs])
        other._costs[row] = [*self._costs[row]]
        other._costs[row][column] = -FORBIDDEN
        other._row_price, other._column_price = [*self._row_price], [*self._column_price]
        other._row_of = [*self._row_of]
        other._row_of[column] = _NOBODY
        other.add(row)
        now = other.columns()
        return sum(other._costs[at][now[at]] for at in range(len(now))) - self._total()

    def _total(self) -> float:
        return sum(self._costs[row][column] for row, column in enumerate(self.columns()))
