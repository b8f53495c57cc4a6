"""The peers that an agent knows of, in its own person's words, and how each has served before; in the text store."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.errors import UsageError
from negotiator.messages import Tier
from protocol_docs.changes import Watched
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

MAX_KNOWN = 1024
"""Peers that one agent knows of."""
MAX_ABOUT = 1000
"""Characters of what is said about a peer."""
MAX_ADDRESS = 2048
_MAX_SEEN = 4096
_KNOWN, _SERVED = "known/", "served/"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPeer:
    """A peer that may be asked without being named."""

    base_url: str
    about: str = ""
    """What it is there for, in the words of whoever made it known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How a peer served a task the last time."""

    tier: Literal["natural_language", "structured", "routine", "failed"]
    at: float
    """Unix seconds."""


class KnownPeers:
    """Addresses, and the tier each peer was last asked in by task."""

    def __init__(self, store: TextStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[tuple[str, str], Served] = Watched()

    def add(self, base_url: str, about: str = "") -> KnownPeer:
        """Know a peer from now on; what is said of it now stands instead of what was said before.

        Raises `UsageError` for what is no address, and where too many are known.
        """
        base_url = base_url.rstrip("/")
        if not base_url or len(base_url) > MAX_ADDRESS or not base_url.isprintable():
            raise UsageError(f"not an address: {base_url[:80]!r}")
        key = _KNOWN + _digest(base_url)
        if self._store.get(key) is None and sum(1 for _ in self._store.keys(_KNOWN)) >= MAX_KNOWN:
            raise UsageError(f"{MAX_KNOWN} peers are known, and no more may be: forget one")
        peer = KnownPeer(base_url=base_url, about=about[:MAX_ABOUT])
        self._store.put(key, adapter(KnownPeer).dump_json(peer).decode())
        return peer

    def forget(self, base_url: str) -> bool:
        """Know a peer no longer; True if it was known."""
        return self._store.delete(_KNOWN + _digest(base_url.rstrip("/")))

    def all(self) -> list[KnownPeer]:
        """All that are known, by address."""
        found: list[KnownPeer] = []
        for key in self._store.keys(_KNOWN):
            with suppress(ValidationError):
                found.append(adapter(KnownPeer).validate_json(self._store.get(key) or "null"))
        return sorted(found, key=lambda peer: peer.base_url)

    def note(self, task_digest: str, base_url: str, tier: Tier | Literal["failed"]) -> None:
        """Remember how a peer served a task; the store is written only where that is another tier than before."""
        before = self._seen.get((task_digest, base_url))
        if before is not None and before.tier == tier:
            return
        served = Served(tier=tier, at=self._clock.time())
        keep(self._seen, (task_digest, base_url), served, _MAX_SEEN)
        # To remember is a convenience; a full disk fails no request.
        with suppress(StoreUnusable):
            self._store.put(_served(task_digest, base_url), adapter(Served).dump_json(served).decode())

    def served(self, task_digest: str, base_url: str) -> Served | None:
        """How the peer served the task the last time; None where it never did."""
        found = self._seen.get((task_digest, base_url))
        if found is None and (text := self._store.get(_served(task_digest, base_url))) is not None:
            with suppress(ValidationError):
                found = adapter(Served).validate_json(text)
        return found


def _digest(base_url: str) -> str:
    return hashlib.sha256(base_url.encode()).hexdigest()[:32]


def _served(task_digest: str, base_url: str) -> str:
    return f"{_SERVED}{task_digest}/{_digest(base_url)}"
