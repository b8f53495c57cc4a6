"""Nearness of meaning from embeddings: what a cosine is worth.

An embedder is handed in, like a model. Cosines of two embedders do not compare: some call everything alike. So each
is measured against phrases that have nothing to do with each other, and only what stands out from those counts.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import Final

from protocol_docs.search_index import Embedder

MAX_TEXT_CHARS: Final = 200
"""Of a text that is embedded; peers may write more."""
_STRANGERS: Final = (
    "phone number", "departure time", "colour of the car", "name of the artist", "account balance",
    "whether pets are allowed", "temperature in Celsius", "postal code", "number of seats", "kind of food",
    "delivery address", "checkout date", "director of the film", "tax rate", "doctor's specialty",
    "battery level", "file size", "language of the book", "team that won", "priority of the ticket",
    "width of the box", "destination airport", "email of the customer", "wind speed",
)  # fmt: skip
"""Phrases of which no two mean the same."""


class Nearness:
    """How much nearer two texts are than strangers, in standard deviations of strangers' cosines."""

    def __init__(self, embedder: Embedder, texts: Sequence[str]) -> None:
        wanted = list(dict.fromkeys(_cut(text) for text in texts))
        vectors = embedder.embed([*_STRANGERS, *wanted])
        strangers = tuple(tuple(vector) for vector in vectors[: len(_STRANGERS)])
        self._centre, self._mean, self._deviation = _background(strangers)
        made = vectors[len(_STRANGERS) :]
        self._vectors = {
            text: _from_centre(vector, self._centre) for text, vector in zip(wanted, made, strict=True) if text
        }

    def between(self, one: str, other: str) -> float:
        """0 for strangers and where either text is empty; at most 8."""
        here, there = self._vectors.get(_cut(one)), self._vectors.get(_cut(other))
        if here is None or there is None:
            return 0.0
        cosine = float(sum(map(mul, here, there)))
        return max(-3.0, min(8.0, (cosine - self._mean) / self._deviation))


def _cut(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT_CHARS]


def _from_centre(vector: Sequence[float], centre: Sequence[float]) -> tuple[float, ...]:
    moved = [value - middle for value, middle in zip(vector, centre, strict=True)]
    length = math.sqrt(sum(map(mul, moved, moved))) or 1.0
    return tuple(value / length for value in moved)


@lru_cache(maxsize=8)
def _background(strangers: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], float, float]:
    """The strangers' middle, and mean and standard deviation of their cosines around it."""
    centre = tuple(sum(column) / len(strangers) for column in zip(*strangers, strict=True))
    moved = [_from_centre(vector, centre) for vector in strangers]
    cosines = [sum(map(mul, one, other)) for at, one in enumerate(moved) for other in moved[:at]]
    mean = sum(cosines) / len(cosines)
    spread = math.sqrt(sum((cosine - mean) ** 2 for cosine in cosines) / len(cosines))
    return centre, mean, spread or 1.0
