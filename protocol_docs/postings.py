"""What is read of an index's words for one search, kept for the next until anything in the index has changed."""

import sqlite3
from array import array
from typing import Any, Final

from protocol_docs.scores import NumpyScores, PlainScores, Scores

MAX_KEPT: Final = 500_000
"""Postings that are kept in memory, 16 bytes each; beyond them all are let go and read again."""
MAX_COUNTED: Final = 50_000
"""Terms whose numbers of documents are kept in memory."""
_NAMED_AT_ONCE: Final = 500
"""Documents whose hashes are read with one statement."""

State = tuple[int, int]
"""What tells one content of an index from another."""


def state_of(database: sqlite3.Connection) -> State:
    """Tells one content of the index from another: the first counts what others wrote, the second what we did."""
    return database.execute("PRAGMA data_version").fetchone()[0], database.total_changes


class Postings:
    """Which documents hold a term, and what that adds to their score (Okapi BM25).

    To be asked under the index's lock. Raises sqlite3.Error.
    """

    def __init__(self, database: sqlite3.Connection, *, saturation: float, length: float) -> None:
        """Read of `database`; `saturation` and `length` are BM25's k1 and b."""
        self._database = database
        self._saturation, self._length = saturation, length
        self._state: State | None = None
        self._mean = 1.0
        self._first, self._last = 0, 0
        self._kept = 0
        self._terms: dict[str, tuple[array[int], array[float]]] = {}
        self._counts: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self.total = 0
        """Documents in the index, as `refresh` found them."""

    def refresh(self, state: State) -> None:
        """Forget what was read where the index has changed since."""
        if state == self._state:
            return
        total, mean, first, last = self._database.execute(
            "SELECT count(*), avg(length), min(id), max(id) FROM document"
        ).fetchone()
        self.total, self._mean = total, mean or 1.0
        self._first, self._last = first or 0, last or 0
        self._state = state
        self._counts.clear()
        self._names.clear()
        self._let_go()

    def count(self, text: str) -> int:
        """How many documents hold the term; 0 where none does."""
        found = self._counts.get(text)
        if found is None:
            (found,) = self._database.execute(
                "SELECT count(*) FROM posting WHERE term = (SELECT id FROM term WHERE text = ?)", (text,)
            ).fetchone()
            if len(self._counts) < MAX_COUNTED:  # what queries ask for in vain is without end
                self._counts[text] = found
        return found

    def scores(self, *, numpy: Any = None) -> Scores:
        """Scores of all documents, at nothing."""
        return PlainScores() if numpy is None else NumpyScores(numpy, self._first, self._last)

    def of(self, text: str) -> tuple["array[int]", "array[float]"]:
        """The numbers of the documents that hold a term, and what it adds to each at a weight of 1."""
        found = self._terms.get(text)
        if found is None:
            rows = self._database.execute(
                "SELECT document, ? * weight / (weight + ? + ? * length) FROM posting "
                "WHERE term = (SELECT id FROM term WHERE text = ?)",
                (
                    self._saturation + 1,
                    self._saturation * (1 - self._length),
                    self._saturation * self._length / self._mean,
                    text,
                ),
            ).fetchall()
            found = array("q", [document for document, _ in rows]), array("d", [part for _, part in rows])
            if self._kept + len(rows) > MAX_KEPT:
                self._let_go()
            self._kept += len(rows)
            self._terms[text] = found
        return found

    def names(self, documents: list[int]) -> dict[int, str]:
        """The canonical hashes of documents by their numbers, of these ones and perhaps others."""
        missing = [each for each in documents if each not in self._names]
        for first in range(0, len(missing), _NAMED_AT_ONCE):
            some = missing[first : first + _NAMED_AT_ONCE]
            marks = ", ".join("?" * len(some))
            self._names.update(
                self._database.execute(f"SELECT id, hash FROM document WHERE id IN ({marks})", some)  # noqa: S608 - placeholders
            )
        return self._names

    def _let_go(self) -> None:
        self._terms.clear()
        self._kept = 0
