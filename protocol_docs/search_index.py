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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import log, sqrt
from pathlib import Path
from threading import RLock
from typing import Any, Final, Protocol, runtime_checkable

from protocol_docs.document import ProtocolDocument
from protocol_docs.postings import Postings, State, state_of
from protocol_docs.scores import load_numpy
from protocol_docs.search_words import CAMEL, terms, wanted_terms
from protocol_docs.tidy import map_subschemas
from protocol_docs.vectors import Vectors

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
_RECIPROCALS: Final = [1 / (_RANK + rank) for rank in range(1, _DEEP + 1)]
_POSTINGS: Final = 4000
"""Occurrences of terms that one look-up weighs, the most telling terms first: what bounds its time."""
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
        self._vectors: Vectors | None = None
        self._waiting: tuple[State, list[str]] | None = None

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
        with self._lock:
            database = self._database()
            state = state_of(database)
            if self._waiting is None or self._waiting[0] != state:
                rows = database.execute(
                    "SELECT hash FROM document WHERE id NOT IN (SELECT document FROM vector WHERE embedder = ?) "
                    "ORDER BY hash",
                    (self._embedder.name,),
                )
                self._waiting = state, [name for (name,) in rows]
            return self._waiting[1].copy()

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
        if limit < 1:
            return []
        vectors: Vectors | None = None
        with self._lock, self._reading() as database:
            by_words = self._by_words(database, query, _DEEP if self._embedder else limit)
            if self._embedder is not None and query.strip():
                vectors = self._known_vectors(database, self._embedder.name)
        if self._embedder is None or not vectors:
            return by_words[:limit]
        (vector,) = self._embedder.embed([query])
        with self._lock:
            by_meaning = vectors.nearest(array("f", vector), _DEEP)
        return _joined(by_words, by_meaning, limit) if by_meaning else by_words[:limit]

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
            self._opened = self._closing = self._vectors = self._postings = self._waiting = None

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

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One content of the index, whatever other processes write meanwhile."""
        database = self._database()
        database.execute("BEGIN")
        try:
            yield database
        finally:
            database.rollback()

    def _by_words(self, database: sqlite3.Connection, query: str, limit: int) -> list[tuple[str, float]]:
        if self._postings is None:
            self._postings = Postings(database, saturation=_SATURATION, length=_LENGTH)
        postings = self._postings
        postings.refresh(state_of(database))
        rated: list[tuple[float, str, int]] = []
        for text, weight in wanted_terms(query).items():
            count = postings.count(text)
            if count:
                rated.append((weight * log(1 + (postings.total - count + 0.5) / (count + 0.5)), text, count))
        scores = postings.scores(numpy=None if self._embedder is None else load_numpy())
        weighed = 0
        for rarity, text, count in sorted(rated, reverse=True):
            if weighed and weighed + count > _POSTINGS:
                break
            weighed += count
            scores.add(*postings.of(text), rarity)
        best = scores.best(limit)
        names = postings.names([document for document, _ in best])
        found = sorted([(-score, names[document]) for document, score in best])
        return [(name, -score) for score, name in found[:limit]]

    def _known_vectors(self, database: sqlite3.Connection, embedder: str) -> Vectors:
        if self._vectors is None:
            self._vectors = Vectors(database, embedder)
        self._vectors.refresh(state_of(database))
        return self._vectors


def _joined(
    by_words: list[tuple[str, float]], by_meaning: list[tuple[str, float]], limit: int
) -> list[tuple[str, float]]:
    joined = {name: part for (name, _), part in zip(by_words, _RECIPROCALS, strict=False)}
    for (name, _), part in zip(by_meaning, _RECIPROCALS, strict=False):
        joined[name] = joined.get(name, 0.0) + part
    least = sorted(joined.values(), reverse=True)[:limit][-1]
    best = sorted([(-score, name) for name, score in joined.items() if score >= least])
    return [(name, -score) for score, name in best[:limit]]


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
