"""An index of documents by their words, and by their vectors where an embedder is handed in; in SQLite.

It is derived from the documents, so nothing is lost with it: where its file cannot be read it is made anew, and
where it cannot be written the index is kept in memory. Several processes may share one file.

Okapi BM25 (Robertson and Zaragoza 2009, section 3) over names, descriptions and the names of a request's members,
weighed in that order; a reply's members and the first of the prose count a little where they hold a word at all. Two rankings, by words and by vectors, are joined by the reciprocals of
their ranks (Cormack, Clarke and Buettcher 2009).
"""

import sqlite3
import weakref
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from heapq import nlargest, nsmallest
from importlib import import_module
from math import log, sqrt
from pathlib import Path
from threading import RLock
from typing import Any, Final, Protocol, runtime_checkable

from protocol_docs.document import ProtocolDocument
from protocol_docs.postings import Postings, state_of
from protocol_docs.search_words import CAMEL, terms, wanted_terms
from protocol_docs.tidy import map_subschemas

_VERSION: Final = 2
"""Of what the rows mean; a file of another version is made anew."""
_NAME, _DESCRIPTION, _MEMBER, _REPLY, _PROSE = 24, 12, 4, 1, 1
"""What one occurrence counts. Members of a reply say what things are made of, seldom what is done."""
_PROSE_CHARACTERS: Final = 2000
_REQUEST_DEPTH: Final = 8
_REPLY_DEPTH: Final = 2
"""Levels of a reply's members that count: what lies deeper says what things are made of, not what is done."""
_SATURATION, _LENGTH = 14.4, 0.75
_RANK: Final = 10
"""The constant of reciprocal rank fusion: small, since the first few ranks are what is looked at."""
_DESCRIBED: Final = 200
"""Characters of a description that the longest of a document's readings holds."""
_DEEP: Final = 200
"""Ranks of each ranking that are joined."""
_POSTINGS: Final = 4000
"""Occurrences of terms that one look-up weighs, the most telling terms first: what bounds its time."""
_EQUAL: Final = 1e-8
"""Scores that are nearer than this may be equal once they are rounded."""
_BUSY_SECONDS: Final = 2.0

_TABLES = """
CREATE TABLE IF NOT EXISTS document (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, length INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS posting (
    term INTEGER NOT NULL, document INTEGER NOT NULL, weight INTEGER NOT NULL, length INTEGER NOT NULL,
    PRIMARY KEY (term, document)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS vector (
    document INTEGER NOT NULL, embedder TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (document, embedder)
) WITHOUT ROWID;
"""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose cosine says how near their meanings are."""

    @property
    def name(self) -> str:
        """Which weights: vectors of one name are compared with each other alone, and are kept under it."""
        ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector a text, all of one length."""
        ...


class SearchIndex:
    """Which documents a query means. Safe to call from several threads."""

    def __init__(self, path: Path | None = None, *, embedder: Embedder | None = None) -> None:
        """Keep the index in the file `path`, in a directory that only its owner can enter; None: in memory.

        Nothing is opened before the first use.
        """
        self._path = path
        self._embedder = embedder
        self._opened: sqlite3.Connection | None = None
        self._closing: weakref.finalize[[], SearchIndex] | None = None
        self._lock = RLock()
        self._postings: Postings | None = None
        self._vectors: tuple[tuple[int, int], list[str], Any] | None = None

    @property
    def kept(self) -> bool:
        """Whether what is added outlives this object, or has been read already."""
        return self._path is not None or self._opened is not None

    def add(self, documents: Iterable[ProtocolDocument]) -> None:
        """Take documents in; those that are there stay as they are. Raises sqlite3.Error."""
        with self._lock, self._database() as database:
            for document in documents:
                _insert(database, document)

    def remove(self, hashes: Iterable[str]) -> None:
        """Forget documents by their canonical hashes. Raises sqlite3.Error."""
        with self._lock, self._database() as database:
            for name in hashes:
                row = database.execute("SELECT id FROM document WHERE hash = ?", (name,)).fetchone()
                if row is not None:
                    database.execute("DELETE FROM posting WHERE document = ?", row)
                    database.execute("DELETE FROM vector WHERE document = ?", row)
                    database.execute("DELETE FROM document WHERE id = ?", row)

    def hashes(self) -> set[str]:
        """The canonical hashes of what is in it. Raises sqlite3.Error."""
        with self._lock:
            return {name for (name,) in self._database().execute("SELECT hash FROM document")}

    def without_vector(self) -> list[str]:
        """The hashes of documents that the embedder has not seen yet; none where there is no embedder."""
        if self._embedder is None:
            return []
        rows = (
            "SELECT hash FROM document WHERE id NOT IN (SELECT document FROM vector WHERE embedder = ?) ORDER BY hash"
        )
        with self._lock:
            return [name for (name,) in self._database().execute(rows, (self._embedder.name,))]

    def embed(self, documents: Sequence[ProtocolDocument]) -> None:
        """Make the vectors of documents that are in the index; the slow part of taking them in."""
        if self._embedder is None or not documents:
            return
        readings = [described(document) for document in documents]
        vectors = iter(self._embedder.embed([text for texts in readings for text in texts]))
        means = [_mean([next(vectors) for _ in texts]) for texts in readings]
        with self._lock, self._database() as database:
            for document, vector in zip(documents, means, strict=True):
                database.execute(
                    "INSERT OR REPLACE INTO vector SELECT id, ?, ? FROM document WHERE hash = ?",
                    (self._embedder.name, _packed(vector), document.hash),
                )

    def find(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """Hashes with their scores, the best first, equal ones by hash; scores compare within one search alone.

        Raises sqlite3.Error.
        """
        with self._lock:
            by_words = self._by_words(query, _DEEP if self._embedder else limit)
            if self._embedder is None or not query.strip():
                return by_words[:limit]
            by_meaning = self._by_meaning(query)
        if not by_meaning:
            return by_words[:limit]
        joined: dict[str, float] = {}
        for ranking in (by_words, by_meaning):
            for rank, (name, _) in enumerate(ranking, 1):
                joined[name] = joined.get(name, 0.0) + 1 / (_RANK + rank)
        return nsmallest(limit, joined.items(), key=lambda pair: (-pair[1], pair[0]))

    def reset(self) -> None:
        """Begin with nothing, in a new file."""
        with self._lock:
            self.close()
            if self._path is not None:
                for ending in ("", "-wal", "-shm"):
                    with suppress(OSError):
                        self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; it is opened again on use."""
        with self._lock:
            if self._closing is not None:
                self._closing()
            self._opened = self._closing = self._vectors = self._postings = None

    def _database(self) -> sqlite3.Connection:
        if self._opened is None:
            try:
                self._opened = _open(self._path)
            except sqlite3.Error:
                self.reset()
                try:
                    self._opened = _open(self._path)
                except sqlite3.Error:
                    self._path = None
                    self._opened = _open(None)
            # Not `__del__`: of an index and a connection that are garbage together, either may be looked at first.
            self._closing = weakref.finalize(self, self._opened.close)
            self._closing.atexit = False
        return self._opened

    def _by_words(self, query: str, limit: int) -> list[tuple[str, float]]:
        database = self._database()
        if self._postings is None:
            self._postings = Postings(database, saturation=_SATURATION, length=_LENGTH)
        postings = self._postings
        postings.refresh()
        rated: list[tuple[float, str, int]] = []
        for text, weight in wanted_terms(query).items():
            count = postings.count(text)
            if count:
                rated.append((weight * log(1 + (postings.total - count + 0.5) / (count + 0.5)), text, count))
        scores: dict[int, float] = {}
        left = _POSTINGS
        for rarity, text, count in sorted(rated, reverse=True):
            left -= count
            if left < 0 and scores:
                break
            postings.add(text, rarity, scores)
        least = 0.0 if len(scores) <= limit else sorted(scores.values(), reverse=True)[limit - 1] - _EQUAL
        best = [(document, round(score, 9)) for document, score in scores.items() if score >= least]
        names = postings.names([document for document, _ in best])
        found = [(-score, names[document]) for document, score in best if score > 0]
        return [(name, -score) for score, name in sorted(found)[:limit]]

    def _by_meaning(self, query: str) -> list[tuple[str, float]]:
        assert self._embedder is not None  # noqa: S101 - the caller looked
        database = self._database()
        state = state_of(database)
        if self._vectors is None or self._vectors[0] != state:
            rows = database.execute(
                "SELECT hash, data FROM vector JOIN document ON document.id = vector.document WHERE embedder = ? ORDER BY hash",
                (self._embedder.name,),
            ).fetchall()
            self._vectors = (state, [name for name, _ in rows], _matrix([data for _, data in rows]))
        _, names, matrix = self._vectors
        if not names:
            return []
        (vector,) = self._embedder.embed([query])
        return [(names[at], score) for at, score in _nearest(matrix, _packed(vector), _DEEP)]


def described(document: ProtocolDocument) -> tuple[str, ...]:
    """What of a document is turned into vectors: its first sentence, alone and with its name, and some more of it."""
    name = " ".join(CAMEL.sub(" ", document.name).replace("/", " ").replace("-", " ").replace("_", " ").split())
    first = document.description.partition(". ")[0]
    if not first:
        return (name,)
    return first, f"{name}. {first}", f"{name}. {document.description[:_DESCRIBED]}"


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None and not path.parent.is_dir():
        raise sqlite3.OperationalError("the folder of the index is gone")
    database = sqlite3.connect(
        ":memory:" if path is None else str(path), timeout=_BUSY_SECONDS, check_same_thread=False
    )
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("an index of another version")  # noqa: TRY301 - told apart from the rest below
        database.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may lose the newest rows, and whoever opens the index next adds them again.
        database.execute("PRAGMA synchronous = OFF")
        if version == 0:
            database.executescript(_TABLES)
            database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def _insert(database: sqlite3.Connection, document: ProtocolDocument) -> None:
    if database.execute("SELECT 1 FROM document WHERE hash = ?", (document.hash,)).fetchone():
        return
    counts, length = _count(document)
    cursor = database.execute("INSERT INTO document (hash, length) VALUES (?, ?)", (document.hash, length))
    database.executemany("INSERT OR IGNORE INTO term (text) VALUES (?)", ((text,) for text in counts))
    database.executemany(
        "INSERT INTO posting SELECT id, ?, ?, ? FROM term WHERE text = ?",
        ((cursor.lastrowid, weight, length, text) for text, weight in counts.items()),
    )


def _count(document: ProtocolDocument) -> tuple[Counter[str], int]:
    """What each term counts, and the length of what a query is held against."""
    counts: Counter[str] = Counter()
    annex = document.annex
    request = [] if annex is None else _member_names(annex.request_schema, _REQUEST_DEPTH)
    reply = [] if annex is None else _member_names(annex.reply_schema, _REPLY_DEPTH)
    length = 0
    for weight, text in (
        (_NAME, document.name),
        (_DESCRIPTION, document.description),
        (_MEMBER, " ".join(dict.fromkeys(request))),
    ):
        for term in terms(text):
            counts[term] += weight
            length += weight
    for weight, text in (
        (_REPLY, " ".join(dict.fromkeys(reply))),
        (_PROSE, document.body[:_PROSE_CHARACTERS]),
    ):
        for term in set(terms(text)):
            counts[term] += weight
    return counts, max(length, 1)


def _member_names(schema: Any, depth: int) -> list[str]:
    names: list[str] = []

    def collect(node: Any, left: int) -> Any:
        if isinstance(node, dict) and left:
            properties = node.get("properties")
            if isinstance(properties, dict):
                names.extend(properties)
            map_subschemas(node, lambda child: collect(child, left - isinstance(properties, dict)))
        return node

    collect(schema, depth)
    return names


def _packed(vector: Sequence[float]) -> bytes:
    """A vector of length 1, as 32-bit numbers."""
    size = sqrt(sum(part * part for part in vector)) or 1.0
    return array("f", [part / size for part in vector]).tobytes()


def _mean(vectors: Sequence[Sequence[float]]) -> list[float]:
    """The direction in the middle of some vectors."""
    units = [array("f", _packed(vector)) for vector in vectors]
    return [sum(parts) for parts in zip(*units, strict=True)]


def _matrix(rows: list[bytes]) -> Any:
    try:
        numpy = import_module(
            "numpy"
        )  # comes with embedders; without it a thousand documents take tens of milliseconds
    except ImportError:
        return [array("f", row) for row in rows]
    return numpy.frombuffer(b"".join(rows), dtype=numpy.float32).reshape(len(rows), -1)


def _nearest(matrix: Any, vector: bytes, number: int) -> list[tuple[int, float]]:
    """Which rows are the nearest to a packed vector, with their cosines; of equal ones the earlier come first."""
    if isinstance(matrix, list):
        one = array("f", vector)
        scores = [sum(left * right for left, right in zip(row, one, strict=True)) for row in matrix]
        return nlargest(number, enumerate(scores), key=lambda row: (row[1], -row[0]))
    numpy = import_module("numpy")
    # Not `dot`: its threads wait for each other longer than this takes, where the machine is busy.
    products = numpy.einsum("ij,j->i", matrix, numpy.frombuffer(vector, dtype=matrix.dtype))
    first = numpy.argsort(-products, kind="stable")[:number]
    return list(zip(first.tolist(), products[first].tolist(), strict=True))
