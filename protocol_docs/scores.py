"""What documents score, and the best of them: in plain Python, or the same on numpy's arrays in a fraction of the time.

numpy comes with an embedder, and is not loaded for a search by words alone: that would take longer than the search.
"""

from array import array
from functools import cache
from importlib import import_module
from math import floor
from typing import Any, Final, Protocol

_STEP: Final = 2.0**-30
"""Scores are rounded to steps: sums of the same parts in another order are equal, and so may two documents be."""


class Scores(Protocol):
    """Sums of what terms add to documents, which go by their numbers."""

    def add(self, documents: "array[int]", parts: "array[float]", weight: float) -> None:
        """Add to each of these documents, which stand there once, its part times the weight."""
        ...

    def best(self, number: int) -> list[tuple[int, float]]:
        """The best documents above nothing, with their scores: so many and all that equal the last, in no order."""
        ...


class PlainScores:
    """Scores of any documents, without numpy."""

    def __init__(self) -> None:
        self._sums: dict[int, float] = {}

    def add(self, documents: "array[int]", parts: "array[float]", weight: float) -> None:
        """See `Scores`."""
        sums, before = self._sums, self._sums.get
        for document, part in zip(documents, parts, strict=True):
            sums[document] = before(document, 0.0) + weight * part

    def best(self, number: int) -> list[tuple[int, float]]:
        """See `Scores`."""
        least = _least(_last(list(self._sums.values()), number))
        return [(one, floor(score / _STEP + 0.5) * _STEP) for one, score in self._sums.items() if score >= least]


class NumpyScores:
    """Scores of the documents from number `first` to `last`, which take 8 bytes each."""

    def __init__(self, numpy: Any, first: int, last: int) -> None:
        self._numpy = numpy
        self._first = first
        self._sums = numpy.zeros(last - first + 1)

    def add(self, documents: "array[int]", parts: "array[float]", weight: float) -> None:
        """See `Scores`."""
        at = self._numpy.frombuffer(documents, dtype=self._numpy.int64) - self._first
        self._sums[at] += weight * self._numpy.frombuffer(parts)

    def best(self, number: int) -> list[tuple[int, float]]:
        """See `Scores`."""
        at = self._numpy.flatnonzero(self._sums >= _least(_last_of(self._numpy, self._sums, number)))
        scores = self._numpy.floor(self._sums[at] / _STEP + 0.5) * _STEP
        return list(zip((at + self._first).tolist(), scores.tolist(), strict=True))


def nearest(rows: "array[float]", vector: "array[float]", number: int) -> list[tuple[int, float]]:
    """The rows with the greatest products with a vector, and these: so many and all that equal the last, in no order.

    `rows` holds one row after the other, each as long as the vector.
    """
    numpy = load_numpy()
    if numpy is None:
        size = len(vector)
        starts = range(0, len(rows), size)
        products = [sum(a * b for a, b in zip(rows[at : at + size], vector, strict=True)) for at in starts]
        least = _last(products, number)
        return [(row, product) for row, product in enumerate(products) if product >= least]
    one = numpy.frombuffer(vector, dtype=numpy.float32)
    # Not `dot`: its threads wait for each other longer than this takes, where the machine is busy.
    found = numpy.einsum("ij,j->i", numpy.frombuffer(rows, dtype=one.dtype).reshape(-1, len(one)), one)
    at = numpy.flatnonzero(found >= _last_of(numpy, found, number))
    return list(zip(at.tolist(), found[at].tolist(), strict=True))


@cache
def load_numpy() -> Any:
    """The module, or None where it is not installed."""
    try:
        return import_module("numpy")
    except ImportError:
        return None


def _last(scores: list[float], number: int) -> float:
    """The least of so many of the greatest."""
    return sorted(scores, reverse=True)[:number][-1] if scores else 0.0


def _last_of(numpy: Any, scores: Any, number: int) -> float:
    """The same of numpy's arrays."""
    number = min(number, len(scores))
    return float(numpy.partition(scores, -number)[-number])


def _least(last: float) -> float:
    """The least sum that may equal this one, and is not nothing, once it is rounded."""
    return max(last - _STEP, _STEP / 2)
