"""Who agreed with whom on what, and where no agreement could be reached; kept in the text store."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache

import orjson

from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.jsonvalue import JsonObject
from protocol_docs.changes import Watched
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

_HERE = "agreements/here/"
_WITH = "agreements/with/"
MAX_SERVED = 256
"""Documents that a receiver agrees to serve; strangers propose them, and all of them are listed."""
_MAX_SEEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """A document agreed with one peer for one task."""

    protocol_hash: str
    expires: float
    """Unix seconds; renegotiated after that."""
    demoted: float = 0.0
    """Unix seconds until which no routine reads this peer's replies where a model can: it broke the document."""


class Agreements:
    """A sender's agreements by (task, peer), and the documents that a receiver has agreed to serve."""

    def __init__(self, store: TextStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, Agreed] = Watched()

    def find(self, task_digest: str, base_url: str) -> Agreed | None:
        """The document agreed with the peer at `base_url` for the task, if it is still valid."""
        key = _key(task_digest, base_url)
        found = self._seen.get(key)
        if found is None or found.expires <= self._clock.time():
            match self._read(key):
                case {"protocol_hash": str(protocol_hash), "expires": float() | int() as expires, **more}:
                    demoted = more.get("demoted", 0.0)
                    found = Agreed(
                        protocol_hash=protocol_hash,
                        expires=float(expires),
                        demoted=demoted if isinstance(demoted, float) else 0.0,
                    )
                case _:
                    return None
            keep(self._seen, key, found, _MAX_SEEN)
        return found if found.expires > self._clock.time() else None

    def at_hand(self, task_digest: str, base_url: str) -> Agreed | None:
        """Which agreement `find` would give, but for its expiry, without a row read."""
        return self._seen.get(_key(task_digest, base_url))

    def agree(self, task_digest: str, base_url: str, protocol_hash: str, valid_seconds: float) -> None:
        """Remember an agreement, and that this document serves this task."""
        agreed = Agreed(protocol_hash=protocol_hash, expires=self._clock.time() + valid_seconds)
        key = _key(task_digest, base_url)
        keep(self._seen, key, agreed, _MAX_SEEN)
        self._write(key, {"protocol_hash": protocol_hash, "expires": agreed.expires})
        known = self.documents_for(task_digest)
        if protocol_hash not in known:
            self._write(f"agreements/documents/{task_digest}", {"hashes": [protocol_hash, *known][:16]})

    def demote(self, task_digest: str, base_url: str, seconds: float) -> None:
        """The peer broke the document that was agreed: for `seconds` no routine reads its replies. Others' are read."""
        agreed = self.find(task_digest, base_url)
        if agreed is None:
            return
        agreed = replace(agreed, demoted=self._clock.time() + seconds)
        key = _key(task_digest, base_url)
        keep(self._seen, key, agreed, _MAX_SEEN)
        row = {"protocol_hash": agreed.protocol_hash, "expires": agreed.expires, "demoted": agreed.demoted}
        self._write(key, row)

    def drop_document(self, base_url: str, protocol_hash: str) -> bool:
        """Forget every agreement with a peer on a document; whether another peer's on it still stands."""
        elsewhere, peer = False, _peer(base_url)
        for key in list(self._store.keys(_WITH)):
            row = self._read(key)
            if row is None or row.get("protocol_hash") != protocol_hash:
                continue
            if key.endswith(peer):
                self._seen.pop(key, None)
                self._store.delete(key)
            else:
                elsewhere = True
        return elsewhere

    def documents_for(self, task_digest: str) -> list[str]:
        """Documents that some peer agreed to for this task, the latest first: what to propose to the next."""
        match self._read(f"agreements/documents/{task_digest}"):
            case {"hashes": list(hashes)}:
                return [name for name in hashes if isinstance(name, str)]
        return []

    def drop(self, task_digest: str, base_url: str) -> None:
        """Forget the agreement: the peer no longer uses the document."""
        key = _key(task_digest, base_url)
        self._seen.pop(key, None)
        self._store.delete(key)

    def refuse(self, task_digest: str, base_url: str, why: str, seconds: float) -> None:
        """Remember that no agreement could be reached, for `seconds`."""
        until = self._clock.time() + seconds
        self._write(_key(task_digest, base_url), {"refused": why[:300], "expires": until})

    def refused(self, task_digest: str, base_url: str) -> str | None:
        """Why no agreement could be reached lately; None where one may be tried."""
        match self._read(_key(task_digest, base_url)):
            case {"refused": str(why), "expires": float() | int() as expires} if expires > self._clock.time():
                return why
        return None

    def serve(self, toolset: str, protocol_hash: str) -> bool:
        """A receiver with these tools has agreed to this document: it is listed from now on.

        False where it agrees to no more than it does already.
        """
        served = self.served(toolset)
        if protocol_hash in served:
            return True
        if len(served) >= MAX_SERVED:
            return False
        self._store.put(f"{_HERE}{toolset}/{protocol_hash}", "{}")
        return True

    def served(self, toolset: str) -> list[str]:
        """The documents that a receiver with these tools has agreed to."""
        prefix = f"{_HERE}{toolset}/"
        return [key.removeprefix(prefix) for key in self._store.keys(prefix)]

    def _read(self, key: str) -> JsonObject | None:
        try:
            row = orjson.loads(self._store.get(key) or "null")
        except (orjson.JSONDecodeError, StoreUnusable):
            return None
        return row if isinstance(row, dict) else None

    def _write(self, key: str, row: JsonObject) -> None:
        # Remembered in memory at least: a full disk fails no request.
        with suppress(StoreUnusable):
            self._store.put(key, orjson.dumps(row).decode())


@lru_cache(_MAX_SEEN)
def _key(task_digest: str, base_url: str) -> str:
    return f"{_WITH}{task_digest}{_peer(base_url)}"


def _peer(base_url: str) -> str:
    return "/" + hashlib.sha256(base_url.encode()).hexdigest()[:32]
