"""Which documents are not to be used any more, in every process that shares a text store.

The row of a document is `revoked/sha256:<hex>`, and says why.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from protocol_docs.changes import changed
from protocol_docs.text_store import TextStore

MAX_REASON = 300
"""Characters of why a document was revoked."""
_REVOKED = "revoked/"


class Generation(Protocol):
    """How processes that share a text store tell each other that something in it no longer stands."""

    def now(self) -> bytes | None:
        """Equal for as long as nothing changes; None while something does, and while nobody can tell."""
        ...

    def changing(self) -> AbstractContextManager[None]:
        """Held around each change."""
        ...


class Revoked:
    """Why documents are not to be used, by their canonical hashes."""

    def __init__(self, text_store: TextStore, generation: Generation | None) -> None:
        """Kept in `text_store`; without a `generation` each process looks once."""
        self._texts = text_store
        self._generation = generation
        self._why: dict[str, str] = {}
        self._as_of: bytes | None = None

    def why(self, protocol_hash: str) -> str | None:
        """Why the document of this hash is not to be used; None where it may be.

        What any process has revoked counts from the next look on; while nothing changes, a look reads no store.
        """
        as_of = b"" if self._generation is None else self._generation.now()
        if as_of is None or as_of != self._as_of:
            keys = list(self._texts.keys(_REVOKED))
            self._why = {key.removeprefix(_REVOKED): self._texts.get(key) or "" for key in keys}
            self._as_of = as_of
        return self._why.get(protocol_hash)

    def all(self) -> dict[str, str]:
        """Hash -> why, by ascending hash."""
        self.why("")
        return dict(sorted(self._why.items()))

    def add(self, protocol_hash: str, why: str) -> None:
        """Use a document no more. Raises `StoreFull` and `StoreUnusable`."""
        with nullcontext() if self._generation is None else self._generation.changing():
            self._texts.put(_REVOKED + protocol_hash, why[:MAX_REASON] or "no reason was given")
        self._as_of = None
        changed()

    def undo(self, protocol_hash: str) -> bool:
        """Use it again; True if it was revoked. Raises `StoreUnusable`."""
        with nullcontext() if self._generation is None else self._generation.changing():
            undone = self._texts.delete(_REVOKED + protocol_hash)
        self._as_of = None
        changed()
        return undone
