"""Nearness of meaning from embeddings: what stands out of what all have in common, and what sort of thing is meant.

An embedder is handed in, like a model. Cosines of two embedders do not compare, since some call everything alike; and
all fields of one task are alike, since they speak of one matter. So a vector is measured from the middle of the
fields that it stands among, and its sort by phrases that name one sort of thing each.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from operator import mul
from typing import Final, TypeAlias

from protocol_docs.search_index import Embedder

MAX_TEXT_CHARS: Final = 200
"""Of a text that is embedded; peers may write more."""
Phrases: TypeAlias = tuple[str, str, str]
"""A field's name, its description, and both together; empty where it has none."""
_STRANGERS: Final = (
    "phone number", "departure time", "colour of the car", "name of the artist", "account balance",
    "whether pets are allowed", "temperature in Celsius", "postal code", "number of seats", "kind of food",
    "delivery address", "checkout date", "director of the film", "tax rate", "doctor's specialty",
    "battery level", "file size", "language of the book", "team that won", "priority of the ticket",
    "width of the box", "destination airport", "email of the customer", "wind speed",
)  # fmt: skip
"""Phrases of which no two mean the same: their middle is what all that programs exchange has in common."""
_SORTS: Final = (
    ("a place", "the location", "name of the city"),
    ("a date", "on which day"),
    ("time of day", "at what time"),
    ("how long it takes", "length of time"),
    ("amount of money", "the price"),
    ("how many", "the number of"),
    ("name of a person", "who made it"),
    ("the name of the thing", "the title"),
    ("whether it is so", "is it allowed"),
    ("the type of it", "category"),
    ("average review score",),
    ("phone number", "telephone to call"),
    ("the street address",),
    ("identifier", "reference code"),
)
"""Sorts of things that fields hold, each by phrases that name it."""
_STRANGERS_AMONG: Final = 3.0
"""For how many fields the strangers' middle counts in the middle of a task's: of few, the middle says little."""
_SHARPNESS: Final = 1.5
"""How much a standard deviation of strangers' cosines tells for one sort."""


class Nearness:
    """How near two fields of one task are: with description, on the whole, and in the sort of thing that they hold."""

    def __init__(self, embedder: Embedder, fields: Sequence[Phrases], others: Sequence[Phrases] = ()) -> None:
        """Embed the phrases of the fields of both sides, which are each other's surroundings, and of others."""
        sorts = [phrase for sort in _SORTS for phrase in sort]
        wanted = [text for text in dict.fromkeys(_cut(text) for each in (*fields, *others) for text in each) if text]
        vectors = [tuple(vector) for vector in embedder.embed([*_STRANGERS, *sorts, *wanted])]
        self._strangers = _background(tuple(vectors[: len(_STRANGERS)]))
        self._sorts = _named(tuple(vectors[len(_STRANGERS) : -len(wanted) or None]), self._strangers.centre)
        self._vectors = dict(zip(wanted, vectors[len(vectors) - len(wanted) :], strict=True))
        self._middles = [self._middle([_cut(each[at]) for each in fields]) for at in range(3)]
        self._apart: dict[tuple[str, int], tuple[float, ...]] = {}
        self._held: dict[str, tuple[float, ...]] = {}

    def between(self, one: Phrases, other: Phrases) -> tuple[float, float, float, float, float]:
        """The likeness of descriptions and of both together, from -1 to 1; of the sorts of all three, from 0 to 1.

        Where either has no description, both together stand for it; 0 where either says nothing at all.
        """
        here, there = tuple(map(_cut, one)), tuple(map(_cut, other))
        both = self._alike(here[2], there[2], 2), self._same_sort(here[2], there[2])
        told = (self._alike(here[1], there[1], 1), self._same_sort(here[1], there[1])) if here[1] and there[1] else both
        return told[0], both[0], self._same_sort(here[0], there[0]), told[1], both[1]

    def _alike(self, one: str, other: str, at: int) -> float:
        return sum(map(mul, self._from_middle(one, at), self._from_middle(other, at))) if one and other else 0.0

    def _same_sort(self, one: str, other: str) -> float:
        return sum(map(mul, self._sort(one), self._sort(other))) if one and other else 0.0

    def _middle(self, texts: Sequence[str]) -> tuple[float, ...]:
        there = [self._vectors[text] for text in texts if text]
        count = len(there) + _STRANGERS_AMONG
        columns = zip(*there, strict=True) if there else ((),) * len(self._strangers.centre)
        return tuple(
            (sum(column) + _STRANGERS_AMONG * usual) / count
            for column, usual in zip(columns, self._strangers.centre, strict=True)
        )

    def _from_middle(self, text: str, at: int) -> tuple[float, ...]:
        if (text, at) not in self._apart:
            self._apart[text, at] = _from_centre(self._vectors[text], self._middles[at])
        return self._apart[text, at]

    def _sort(self, text: str) -> tuple[float, ...]:
        """How likely each sort is, as its square root: the product of two is then their overlap."""
        if text not in self._held:
            vector = _from_centre(self._vectors[text], self._strangers.centre)
            alike = [max(sum(map(mul, vector, phrase)) for phrase in sort) for sort in self._sorts]
            best = max(alike)
            raised = [math.exp(_SHARPNESS * (each - best) / self._strangers.deviation) for each in alike]
            self._held[text] = tuple(math.sqrt(each / sum(raised)) for each in raised)
        return self._held[text]


def _cut(text: str) -> str:
    return " ".join(text.split())[:MAX_TEXT_CHARS]


def _from_centre(vector: Sequence[float], centre: Sequence[float]) -> tuple[float, ...]:
    moved = [value - middle for value, middle in zip(vector, centre, strict=True)]
    length = math.sqrt(sum(map(mul, moved, moved))) or 1.0
    return tuple(value / length for value in moved)


class _Background:
    """The strangers' middle, and the standard deviation of their cosines around it."""

    def __init__(self, strangers: tuple[tuple[float, ...], ...]) -> None:
        self.centre = tuple(sum(column) / len(strangers) for column in zip(*strangers, strict=True))
        moved = [_from_centre(vector, self.centre) for vector in strangers]
        cosines = [sum(map(mul, one, other)) for at, one in enumerate(moved) for other in moved[:at]]
        mean = sum(cosines) / len(cosines)
        self.deviation = math.sqrt(sum((cosine - mean) ** 2 for cosine in cosines) / len(cosines)) or 1.0


_background = lru_cache(maxsize=8)(_Background)


@lru_cache(maxsize=8)
def _named(
    vectors: tuple[tuple[float, ...], ...], centre: tuple[float, ...]
) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """The phrases of each sort, from the strangers' middle."""
    left = iter(vectors)
    return tuple(tuple(_from_centre(next(left), centre) for _ in sort) for sort in _SORTS)
