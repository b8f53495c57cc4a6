"""The vectors of an index's documents, kept in one piece; what has changed is read, and no more."""

import sqlite3
from array import array
from collections.abc import Container
from typing import Final

from protocol_docs.postings import State
from protocol_docs.scores import nearest

_FLOAT: Final = 4
"""Bytes of a number."""


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
            "SELECT hash, id FROM document JOIN vector ON document.id = vector.document WHERE embedder = ?",
            (self._embedder,),
        )
        there = dict(rows.fetchall())
        known = [name for names, _ in self._by_size.values() for name in names]
        if any(name not in there for name in known):
            left = {size: _only(there, size, *kept) for size, kept in self._by_size.items()}
            self._by_size = {size: kept for size, kept in left.items() if kept[0]}
        for name in known:
            there.pop(name, None)
        for name, document in there.items():
            self._read(name, document)
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

    def _read(self, name: str, document: int) -> None:
        (data,) = self._database.execute(
            "SELECT data FROM vector WHERE document = ? AND embedder = ?", (document, self._embedder)
        ).fetchone()
        if size := len(data) // _FLOAT:
            names, rows = self._by_size.setdefault(size, ([], array("f")))
            names.append(name)
            rows.frombytes(data[: size * _FLOAT])


def _only(
    wanted: Container[str], size: int, names: list[str], rows: "array[float]"
) -> tuple[list[str], "array[float]"]:
    kept = [(name, row * size) for row, name in enumerate(names) if name in wanted]
    left = array("f")
    for _, start in kept:
        left += rows[start : start + size]
    return [name for name, _ in kept], left
