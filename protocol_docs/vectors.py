"""The vectors of an index's documents, kept in one piece; what has changed is read, and no more."""

import sqlite3
from array import array
from collections.abc import Container
from typing import Final

from protocol_docs.postings import State
from protocol_docs.scores import nearest

_FLOAT: Final = 4
"""Bytes of a number."""
_READ_AT_ONCE: Final = 500
"""Vectors that are read with one statement."""


class Vectors:
    """What one embedder has made of the documents in an index.

    To be asked under the index's lock. Raises sqlite3.Error.
    """

    def __init__(self, database: sqlite3.Connection, embedder: str) -> None:
        """Read of `database` what was made by the embedder of this name."""
        self._database = database
        self._embedder = embedder
        self._state: State | None = None
        self._by_size: dict[int, tuple[list[str], array[float]]] = {}
        """By their length in numbers, the documents' hashes and their vectors, one after the other."""

    def __len__(self) -> int:
        return sum(len(names) for names, _ in self._by_size.values())

    def refresh(self, state: State) -> None:
        """Read what has come since, and forget what has gone."""
        if state == self._state:
            return
        rows = self._database.execute(
            "SELECT hash FROM vector JOIN document ON document.id = vector.document WHERE embedder = ? ORDER BY hash",
            (self._embedder,),
        )
        there = dict.fromkeys(name for (name,) in rows)
        known = [name for names, _ in self._by_size.values() for name in names]
        if any(name not in there for name in known):
            left = {size: _only(there, size, *kept) for size, kept in self._by_size.items()}
            self._by_size = {size: kept for size, kept in left.items() if kept[0]}
        for name in known:
            there.pop(name, None)
        self._read(list(there))
        self._state = state

    def nearest(self, vector: "array[float]", number: int) -> list[tuple[str, float]]:
        """The hashes of the documents that are nearest to a vector with their products, best first, equal ones by hash.

        Documents whose vectors have another length than this one are left out.
        """
        if len(vector) not in self._by_size:
            return []
        names, rows = self._by_size[len(vector)]
        found = [(-product, names[row]) for row, product in nearest(rows, vector, number)]
        return [(name, -product) for product, name in sorted(found)[:number]]

    def _read(self, names: list[str]) -> None:
        for first in range(0, len(names), _READ_AT_ONCE):
            some = names[first : first + _READ_AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._database.execute(
                f"SELECT hash, data FROM vector JOIN document ON document.id = vector.document "  # noqa: S608 - placeholders
                f"WHERE embedder = ? AND hash IN ({marks}) ORDER BY hash",
                (self._embedder, *some),
            )
            for name, data in rows:
                if size := len(data) // _FLOAT:
                    kept, vectors = self._by_size.setdefault(size, ([], array("f")))
                    kept.append(name)
                    vectors.frombytes(data[: size * _FLOAT])


def _only(
    wanted: Container[str], size: int, names: list[str], rows: "array[float]"
) -> tuple[list[str], "array[float]"]:
    kept = [(name, row * size) for row, name in enumerate(names) if name in wanted]
    left = array("f")
    for _, start in kept:
        left += rows[start : start + size]
    return [name for name, _ in kept], left
