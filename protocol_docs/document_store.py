"""Documents by hash: a dict in front, a text store behind, and no text that its hash does not fit.

What stands in the text store:

    document/sha256:<hex>   the text
    alias/sha1:<hex>        the canonical hashes that share this alias, a line each: one, or the alias is refused
    sources/sha256:<hex>    the addresses that the text can be had from, a JSON list
    revoked/sha256:<hex>    why the document is not to be used any more
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from threading import Lock
from typing import Protocol

from protocol_docs import strict_json
from protocol_docs.document import MAX_DOCUMENT_BYTES, ProtocolDocument
from protocol_docs.errors import (
    AmbiguousAlias,
    DocumentError,
    DocumentNotFound,
    DocumentRevoked,
    MalformedDocument,
    StoreUnusable,
)
from protocol_docs.hashes import parse_hash
from protocol_docs.search import Hit
from protocol_docs.search_index import SearchIndex
from protocol_docs.sources import Url, read_source
from protocol_docs.text_store import TextStore

MAX_SOURCES = 16
"""Sources kept of one document."""
MAX_SOURCE_LENGTH = 2048
"""Characters of a source that is kept."""
DEFAULT_WARM_BYTES = 32 * 1024 * 1024
"""Bytes of documents held in memory in front of the text store."""

_SPARE = 8
"""Hits beyond those asked for, in the place of any that another process has removed."""
_EMBEDDED_AT_ONCE = 16
"""Documents that one search gives their vectors: that takes tens of milliseconds each."""
MAX_REASON = 300
"""Characters of why a document was revoked."""
_DOCUMENT, _ALIAS, _SOURCES, _REVOKED = "document/", "alias/", "sources/", "revoked/"
_CANONICAL = re.compile(r"sha256:[0-9a-f]{64}")


class Generation(Protocol):
    """How processes that share a text store tell each other that something in it no longer stands."""

    def now(self) -> bytes | None:
        """Equal for as long as nothing changes; None while something does, and while nobody can tell."""
        ...

    def changing(self) -> AbstractContextManager[None]:
        """Held around each change."""
        ...


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
        self._generation = generation
        self._revoked: dict[str, str] = {}
        self._revoked_as_of: bytes | None = None
        self._texts = text_store
        self._index = index or SearchIndex()
        self._index_whole = False
        """Whether the index is known to hold what the store holds."""
        self._max_document_bytes = max_document_bytes
        self._warm_limit = warm_bytes
        self._warm_bytes = 0
        # By hash, and by those aliases that were looked up and found to be of one text.
        self._warm: dict[str, ProtocolDocument] = {}
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

    def revoked(self, protocol_hash: str) -> str | None:
        """Why the document of this canonical hash is not to be used; None where it may be.

        What any process has revoked counts from the next look on; while nothing changes, a look reads no store.
        """
        as_of = b"" if self._generation is None else self._generation.now()
        if as_of is None or as_of != self._revoked_as_of:
            keys = list(self._texts.keys(_REVOKED))
            self._revoked = {key.removeprefix(_REVOKED): self._texts.get(key) or "" for key in keys}
            self._revoked_as_of = as_of
        return self._revoked.get(protocol_hash)

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
        with nullcontext() if self._generation is None else self._generation.changing():
            self._texts.put(_REVOKED + canonical, why[:MAX_REASON] or "no reason was given")
        self._revoked_as_of = None
        return canonical

    def reinstate(self, protocol_hash: str) -> bool:
        """Undo `revoke`; True if the document of this canonical hash was revoked."""
        with nullcontext() if self._generation is None else self._generation.changing():
            undone = self._texts.delete(_REVOKED + parse_hash(protocol_hash))
        self._revoked_as_of = None
        return undone

    def _find(self, hash_or_alias: str) -> ProtocolDocument | None:
        name = parse_hash(hash_or_alias)
        warm = self._warm.get(name)
        if warm is not None:
            return warm
        canonical = self._resolve(name)
        if canonical is None:
            return None
        document = self._warm.get(canonical) or self._read(canonical)
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
            # A tampered row is in the way of `add`; the text that fits takes its place.
            key = _DOCUMENT + document.hash
            if self._texts.add(key, document.text):
                self._note([document], [])
            elif self._texts.get(key) != document.text:
                self._texts.put(key, document.text)
            for alias in document.aliases[1:]:
                self._put_alias(alias, document.hash)
            self._stored.add(document.hash)
        self._put_sources(document.hash, sources)

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
        return [key.removeprefix(_DOCUMENT) for key in self._texts.keys(_DOCUMENT)]

    def all_revoked(self) -> dict[str, str]:
        """Canonical hash -> why, of what is not to be used any more, whether its text is here or not."""
        self.revoked("")
        return dict(sorted(self._revoked.items()))

    def documents(self) -> Iterator[ProtocolDocument]:
        """All documents that were not revoked, by ascending hash."""
        for name in self.hashes():
            document = self.get(name)
            if document is not None:
                yield document

    def sources(self, hash_or_alias: str) -> tuple[str, ...]:
        """The addresses known of a document, the newest last. Raises as `get` does."""
        canonical = self._resolve(parse_hash(hash_or_alias))
        return tuple(self._read_sources(canonical)) if canonical else ()

    def remove(self, hash_or_alias: str) -> bool:
        """Forget a document and its sources; True if it was there. Raises as `get` does."""
        document = self.get(hash_or_alias, though_revoked=True)
        if document is None:
            return False
        self._drop_warm(document)
        for alias in document.aliases[1:]:
            others = [name for name in self._names(alias) if name != document.hash]
            if others:
                self._texts.put(_ALIAS + alias, "\n".join(others))
            else:
                self._texts.delete(_ALIAS + alias)
        self._texts.delete(_SOURCES + document.hash)
        self._texts.delete(_DOCUMENT + document.hash)
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
        return sum(1 for _ in self._texts.keys(_DOCUMENT))

    def __contains__(self, hash_or_alias: str) -> bool:
        return self.get(hash_or_alias) is not None

    def _resolve(self, name: str) -> str | None:
        """The canonical hash that a canonical name stands for."""
        if name.startswith("sha256:"):
            return name
        names = self._names(name)
        if len(names) > 1:
            found = (self._read(canonical) for canonical in names)
            names = [document.hash for document in found if document and name in document.aliases]
        if len(names) > 1:
            raise AmbiguousAlias(f"{len(names)} documents have the alias {name}")
        return names[0] if names else None

    def _names(self, alias: str) -> list[str]:
        lines = (self._texts.get(_ALIAS + alias) or "").split("\n")
        return [line for line in lines if _CANONICAL.fullmatch(line)]

    def _put_alias(self, alias: str, canonical: str) -> None:
        if self._texts.add(_ALIAS + alias, canonical):
            return
        names = self._names(alias)
        if canonical not in names:
            self._texts.put(_ALIAS + alias, "\n".join([*names, canonical]))
            self._warm.pop(alias, None)

    def _read(self, canonical: str) -> ProtocolDocument | None:
        text = self._texts.get(_DOCUMENT + canonical)
        if text is None:
            return None
        try:
            document = ProtocolDocument.from_text(text, max_bytes=self._max_document_bytes)
        except MalformedDocument:
            return None
        return document if document.hash == canonical else None

    def _read_sources(self, canonical: str) -> list[str]:
        try:
            listed = strict_json.loads(self._texts.get(_SOURCES + canonical) or "[]")
        except ValueError:
            return []
        return [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []

    def _put_sources(self, canonical: str, sources: Sequence[str]) -> None:
        new = [source for source in sources if _is_address(source)]
        if new:
            known = self._read_sources(canonical)
            kept = [*(source for source in known if source not in new), *dict.fromkeys(new)][-MAX_SOURCES:]
            if kept != known:
                self._texts.put(_SOURCES + canonical, strict_json.canonical(kept))

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


def _is_address(source: str) -> bool:
    try:
        return len(source) <= MAX_SOURCE_LENGTH and isinstance(read_source(source), Url)
    except DocumentError:
        return False
