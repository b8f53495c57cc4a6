"""Documents by hash: a dict in front, a text store behind, and no text that its hash does not fit."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from threading import Lock

from protocol_docs.changes import Watched
from protocol_docs.document import MAX_DOCUMENT_BYTES, ProtocolDocument
from protocol_docs.document_rows import DocumentRows
from protocol_docs.errors import AmbiguousAlias, DocumentNotFound, DocumentRevoked, MalformedDocument, StoreUnusable
from protocol_docs.hashes import parse_hash
from protocol_docs.revoked import Generation, Revoked
from protocol_docs.search import Hit
from protocol_docs.search_index import SearchIndex
from protocol_docs.text_store import TextStore

DEFAULT_WARM_BYTES = 32 * 1024 * 1024
"""Bytes of documents held in memory in front of the text store."""

_SPARE = 8
"""Hits beyond those asked for, in the place of any that another process has removed."""
_EMBEDDED_AT_ONCE = 16
"""Documents that one search gives their vectors: that takes tens of milliseconds each."""


class DocumentStore:
    """Protocol documents under their hashes and aliases.

    One per process is enough; several processes may share the text store behind it. What another process adds is
    found; what another process removes may be served from this one's memory, which is harmless: a hash has one text.
    What another process revokes is served no more from the next look on, where they share a generation.
    """

    def __init__(
        self,
        text_store: TextStore,
        *,
        max_document_bytes: int = MAX_DOCUMENT_BYTES,
        warm_bytes: int = DEFAULT_WARM_BYTES,
        index: SearchIndex | None = None,
        generation: Generation | None = None,
    ) -> None:
        """`index` is what `search` looks into: one in memory, made at the first search, where none is given."""
        self.generation = generation
        """What tells of what other processes revoke; None where this one has the store to itself."""
        self._revoked = Revoked(text_store, generation)
        self._rows = DocumentRows(text_store, max_document_bytes)
        self._index = index or SearchIndex()
        self._index_whole = False
        """Whether the index is known to hold what the store holds."""
        self._max_document_bytes = max_document_bytes
        self._warm_limit = warm_bytes
        self._warm_bytes = 0
        # By hash, and by those aliases that were looked up and found to be of one text.
        self._warm: dict[str, ProtocolDocument] = Watched()
        self._stored: set[str] = set()
        self._lock = Lock()

    def get(self, hash_or_alias: str, *, though_revoked: bool = False) -> ProtocolDocument | None:
        """The document of this hash, in any spelling that `parse_hash` knows; None where it is not here, or revoked.

        A text read from the store is checked against the hash; one that does not fit reads as absent. A canonical
        name whose document is in memory costs one dict look-up.

        Raises:
            MalformedHash: where this is no hash.
            AmbiguousAlias: where two documents here have this SHA-1.
            StoreUnusable: where the text store cannot be read.
        """
        found = self._warm.get(hash_or_alias) or self._find(hash_or_alias)
        if found is None or (not though_revoked and self.revoked(found.hash) is not None):
            return None
        return found

    def stands(self, name: str, document: ProtocolDocument) -> bool:
        """Whether `get` would give this very object under a name that it gave it under before; no row is read."""
        return self._warm.get(name) is document and self._revoked.why(document.hash) is None

    def revoked(self, protocol_hash: str) -> str | None:
        """Why the document of this canonical hash is not to be used; None where it may be. See `Revoked.why`."""
        return self._revoked.why(protocol_hash)

    def revoke(self, hash_or_alias: str, why: str = "") -> str:
        """Use a document no more, here and in every process that shares this store; returns its canonical hash.

        Its text stays, so that people can look at it, and whoever sends it is refused. Nothing is told to peers.

        Raises:
            DocumentNotFound: for an alias of a text that is not here.
            MalformedHash, AmbiguousAlias, StoreFull, StoreUnusable: as `get` and `put` do.
        """
        canonical = self._resolve(parse_hash(hash_or_alias))
        if canonical is None:
            raise DocumentNotFound(f"no document here has the alias {hash_or_alias[:128]}: name its SHA-256")
        self._revoked.add(canonical, why)
        return canonical

    def reinstate(self, protocol_hash: str) -> bool:
        """Undo `revoke`; True if the document of this canonical hash was revoked."""
        return self._revoked.undo(parse_hash(protocol_hash))

    def _find(self, hash_or_alias: str) -> ProtocolDocument | None:
        name = parse_hash(hash_or_alias)
        warm = self._warm.get(name)
        if warm is not None:
            return warm
        canonical = self._resolve(name)
        if canonical is None:
            return None
        document = self._warm.get(canonical) or self._rows.read(canonical)
        if document is None or name not in document.aliases:
            return None
        self._keep_warm(document)
        if canonical in self._warm:
            self._warm[name] = document
        return document

    def put(self, document: ProtocolDocument, sources: Sequence[str] = ()) -> None:
        """Keep a document, and add `sources` to those known of it.

        Of the sources only addresses are kept: an inline text or a data URI is the document once more. The newest
        16 stay. The document is served from memory even where the store behind refuses it.

        Raises:
            MalformedDocument: where it is over this store's limit for one document.
            DocumentRevoked: where it was revoked here.
            StoreFull: where the text store has no room.
            StoreUnusable: where it cannot be written.
        """
        self.hold(document)
        if document.hash not in self._stored:
            if self._rows.write(document):
                self._note([document], [])
            for alias in document.aliases[1:]:
                if self._rows.name(alias, document.hash):
                    self._warm.pop(alias, None)
            self._stored.add(document.hash)
        self._rows.add_sources(document.hash, sources)

    def hold(self, document: ProtocolDocument) -> None:
        """Serve a document from memory as long as there is room in it, and keep it nowhere else.

        Raises `MalformedDocument` and `DocumentRevoked` as `put` does.
        """
        if len(document.data) > self._max_document_bytes:
            raise MalformedDocument(f"{document.hash} is over this store's {self._max_document_bytes} bytes")
        why = self.revoked(document.hash)
        if why is not None:
            raise DocumentRevoked(f"{document.hash} was revoked here: {why}")
        self._keep_warm(document)

    def hashes(self) -> list[str]:
        """The canonical hashes of all documents, revoked ones included, in ascending order."""
        return self._rows.hashes()

    def all_revoked(self) -> dict[str, str]:
        """Canonical hash -> why, of what is not to be used any more, whether its text is here or not."""
        return self._revoked.all()

    def documents(self) -> Iterator[ProtocolDocument]:
        """All documents that were not revoked, by ascending hash."""
        for name in self.hashes():
            document = self.get(name)
            if document is not None:
                yield document

    def sources(self, hash_or_alias: str) -> tuple[str, ...]:
        """The addresses known of a document, the newest last. Raises as `get` does."""
        canonical = self._resolve(parse_hash(hash_or_alias))
        return tuple(self._rows.sources(canonical)) if canonical else ()

    def remove(self, hash_or_alias: str) -> bool:
        """Forget a document and its sources; True if it was there. Raises as `get` does."""
        document = self.get(hash_or_alias, though_revoked=True)
        if document is None:
            return False
        self._drop_warm(document)
        self._rows.remove(document)
        self._note([], [document.hash])
        return True

    def search(self, query: str, limit: int = 10) -> list[Hit]:
        """The documents that fit `query` best, best first, at most `limit`: `find`, and each of them read.

        Raises:
            StoreUnusable: where the text store cannot be read.
        """
        hits = ((self.get(name), score) for name, score in self.find(query, limit + _SPARE))
        return list(islice((Hit(document, score) for document, score in hits if document is not None), limit))

    def find(self, query: str, limit: int = 10) -> list[tuple[str, float]]:
        """The canonical hashes of the documents that fit `query` best with their scores: milliseconds among thousands.

        What other processes add to a shared text store is found too, where they share the index. The first look
        brings the index up to date, which takes some milliseconds for each document that it has not seen.

        Raises:
            StoreUnusable: where the text store cannot be read.
        """
        self.index_all()
        try:
            found = self._index.find(query, limit)
        except sqlite3.Error:
            self._index.reset()
            self._index_whole = False
            self.index_all()
            try:
                found = self._index.find(query, limit)
            except sqlite3.Error as error:
                raise StoreUnusable(f"the index of documents cannot be read: {error}") from error
        return [(name, score) for name, score in found if self.revoked(name) is None]

    def index_all(self, *, embed: int = _EMBEDDED_AT_ONCE) -> int:
        """Bring the index up to date with the store; returns how many documents still have no vector.

        Args:
            embed: How many documents get theirs now, where the index has an embedder.
        """
        with suppress(sqlite3.Error):
            if not self._index_whole:
                there = set(self.hashes())
                indexed = self._index.hashes()
                self._index.add(document for name in sorted(there - indexed) if (document := self.get(name)))
                self._index.remove(indexed - there)
                self._index_whole = True
            waiting = self._index.without_vector()
            due = [document for name in waiting[:embed] if (document := self.get(name)) is not None]
            self._index.embed(due)
            return len(waiting) - len(due)
        return 0

    def _note(self, added: list[ProtocolDocument], removed: list[str]) -> None:
        """Keep the index up to date; where that fails, the next search sees to it."""
        if not self._index.kept:
            return
        try:
            self._index.add(added)
            self._index.remove(removed)
        except sqlite3.Error:
            self._index_whole = False

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, hash_or_alias: str) -> bool:
        return self.get(hash_or_alias) is not None

    def _resolve(self, name: str) -> str | None:
        """The canonical hash that a canonical name stands for."""
        if name.startswith("sha256:"):
            return name
        names = self._rows.named(name)
        if len(names) > 1:
            found = (self._rows.read(canonical) for canonical in names)
            names = [document.hash for document in found if document and name in document.aliases]
        if len(names) > 1:
            raise AmbiguousAlias(f"{len(names)} documents have the alias {name}")
        return names[0] if names else None

    def _keep_warm(self, document: ProtocolDocument) -> None:
        with self._lock:
            if document.hash not in self._warm and len(document.data) <= self._warm_limit:
                self._warm[document.hash] = document
                self._warm_bytes += len(document.data)
                while self._warm_bytes > self._warm_limit:
                    self._drop_warm(next(iter(self._warm.values())))

    def _drop_warm(self, document: ProtocolDocument) -> None:
        if self._warm.get(document.hash) is not None:
            self._warm_bytes -= len(document.data)
        for name in document.aliases:
            if self._warm.get(name) == document:
                del self._warm[name]
        self._stored.discard(document.hash)
