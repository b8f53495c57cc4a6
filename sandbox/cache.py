"""Routines kept as text, in a store that anybody may have written to.

A row is a MAC, a line break and a JSON text. The MAC (HMAC-SHA256) is over the row's own place in the store
and the whole JSON text, and is checked before a byte is parsed: a row that was edited, moved, truncated or
planted is a miss, never an error and never run. A MAC says that we wrote the row, not that it is safe: what
comes out is compiled and run in a worker like any other source.
A process that holds what it read in memory learns from `RoutineCache.generation` whether it still stands.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sandbox.errors import RoutineRefused, SecretsUnusable
from sandbox.generation import FileGeneration, Generation, OwnGeneration
from sandbox.secrets import SecretFile, load_secrets, rotate_secrets

__all__ = [
    "Entry",
    "FileGeneration",
    "Generation",
    "RoutineCache",
    "RoutineKey",
    "SecretFile",
    "TextStore",
    "load_secrets",
    "rotate_secrets",
]

MAX_ENTRIES = 10_000
MAX_TEXT_BYTES = 1024 * 1024
MAX_REASON = 300
_VERSION = 1
_ROUTINES, _REFUSALS = "routine/", "refused/"
_MAC_CHARACTERS = 64
_ROW_OVERHEAD = 8192


class TextStore(Protocol):
    """Text under text keys: what this cache asks of a store. A row that is not text reads as None."""

    def get(self, key: str) -> str | None:
        """Return the text under `key`, or None."""
        ...

    def put(self, key: str, text: str) -> None:
        """Set the text under `key`."""
        ...

    def add(self, key: str, text: str) -> bool:
        """Set the text only where there is none; True if it was set."""
        ...

    def delete(self, key: str) -> bool:
        """Remove `key`; True if it was there."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """The keys that start with `prefix`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutineKey:
    """What a routine was made for; every part is an opaque text to this package, at most 512 characters."""

    protocol_hash: str
    role: str
    task_schema_digest: str
    toolset_schema_digest: str
    handler_abi: int
    """The contract between the routine's source and its caller."""

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all parts, in hexadecimal."""
        return hashlib.sha256(_canonical(asdict(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept routine."""

    key: RoutineKey
    text: str


class RoutineCache:
    """Routines under their keys, and refusals with an expiry.

    Args:
        store: Where the rows are; several processes may share it.
        secrets: The keys of the MAC, each at least 16 bytes; the first signs, all verify. Kept outside the store: a
            `SecretFile` gives those in force at each look at a row.
        now: Unix seconds, for the expiry of refusals.
        generation: Replaced by each change of a routine, whichever process makes it; of this process alone where
            none is given.
        max_entries: The most routines that are kept, and the most refusals.
        max_text_bytes: The longest text of a routine, in UTF-8 bytes.

    Raises:
        ValueError: No secret, or a short one.
    """

    def __init__(
        self,
        store: TextStore,
        secrets: bytes | Sequence[bytes] | Callable[[], Sequence[bytes]],
        *,
        now: Callable[[], float],
        generation: Generation | None = None,
        max_entries: int = MAX_ENTRIES,
        max_text_bytes: int = MAX_TEXT_BYTES,
    ) -> None:
        if callable(secrets):
            self._secrets = secrets
        else:
            given = (secrets,) if isinstance(secrets, bytes) else tuple(secrets)
            self._secrets = lambda: given
        found = self._secrets()
        if not found or any(len(secret) < 16 for secret in found):  # noqa: PLR2004 - 128 bits
            raise ValueError("a secret of at least 16 bytes is needed")
        self._store = store
        self._now = now
        self.generation = generation if generation is not None else OwnGeneration()
        """Equal for as long as no routine changes; look at it before reading what is to be kept in memory."""
        self._max_entries = max_entries
        self._max_text_bytes = max_text_bytes

    def get(self, key: RoutineKey) -> str | None:
        """The text under `key`; None where there is none or its row fails a check."""
        entry = self._entry(_ROUTINES + key.digest())
        return entry.text if entry is not None and entry.key == key else None

    def put(self, key: RoutineKey, text: str) -> None:
        """Keep `text` under `key` and forget a refusal of it.

        Raises:
            RoutineRefused: The text is too long, a part of the key is, or the cache is full.
            SecretsUnusable: Nothing can be signed.
        """
        place = _ROUTINES + key.digest()
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise RoutineRefused("a routine's text holds half a surrogate pair") from None
        if size > self._max_text_bytes:
            raise RoutineRefused(f"a routine's text has at most {self._max_text_bytes} bytes; this has {size}")
        if max(map(len, (key.protocol_hash, key.role, key.task_schema_digest, key.toolset_schema_digest))) > 512:  # noqa: PLR2004 - as documented
            raise RoutineRefused("a part of a routine's key has at most 512 characters")
        if self._store.get(place) is None and sum(1 for _ in self._store.keys(_ROUTINES)) >= self._max_entries:
            raise RoutineRefused(f"the cache keeps at most {self._max_entries} routines")
        row = self._signed(place, {"key": asdict(key), "text": text})
        with self.generation.changing():
            self._store.put(place, row)
        self._store.delete(_REFUSALS + key.digest())

    def delete(self, key: RoutineKey) -> bool:
        """Forget the routine under `key`; True if there was a row."""
        with self.generation.changing():
            return self._store.delete(_ROUTINES + key.digest())

    def entries(self) -> list[Entry]:
        """Every kept routine whose row passes its checks."""
        found = (self._entry(place) for place in self._store.keys(_ROUTINES))
        return [entry for entry in found if entry is not None]

    def values(self) -> list[str]:
        """The texts of `entries()`."""
        return [entry.text for entry in self.entries()]

    def refuse(self, key: RoutineKey, reason: str, *, seconds: float) -> None:
        """Note that no routine for `key` is to be tried for so long.

        Args:
            key: What was tried.
            reason: Why; cut to 300 characters.
            seconds: How long the refusal holds.

        Where there is no room for one more, those that have expired are forgotten, and the next to expire.

        Raises:
            SecretsUnusable: Nothing can be signed.
        """
        place, until = _REFUSALS + key.digest(), self._now() + seconds
        kept = [each for each in self._store.keys(_REFUSALS) if each != place]
        if len(kept) >= self._max_entries:
            self._forget_refusals(kept)
        self._store.put(place, self._signed(place, {"key": asdict(key), "reason": reason[:MAX_REASON], "until": until}))

    def refusal(self, key: RoutineKey) -> str | None:
        """Why no routine for `key` is to be tried now; None where it may be."""
        place = _REFUSALS + key.digest()
        match self._read(place):
            case {"key": dict(parts), "reason": str(reason), "until": float() | int() as until}:
                if parts == asdict(key) and self._now() < until:
                    return reason
        return None

    def _forget_refusals(self, places: list[str]) -> None:
        until = {place: self._refused_until(place) for place in places}
        # Some more than one, since all had to be read.
        least = len(places) - self._max_entries * 9 // 10
        for number, place in enumerate(sorted(places, key=lambda each: until[each])):
            if until[place] > self._now() and number >= least:
                break
            self._store.delete(place)

    def _refused_until(self, place: str) -> float:
        match self._read(place):
            case {"until": float() | int() as until}:
                return float(until)
        return 0.0

    def _entry(self, place: str) -> Entry | None:
        match self._read(place):
            case {"key": dict(parts), "text": str(text)}:
                try:
                    key = RoutineKey(**parts)
                except TypeError:
                    return None
                # The MAC holds the row to its place; this holds the place to the key.
                return Entry(key, text) if _ROUTINES + key.digest() == place else None
        return None

    def _signed(self, place: str, content: dict[str, Any]) -> str:
        payload = _canonical({"v": _VERSION, **content}).decode()
        return f"{_mac(self._secrets()[0], place, payload)}\n{payload}"

    def _read(self, place: str) -> Any:
        row = self._store.get(place)
        # The longest JSON of a text is six characters for each of its own.
        if type(row) is not str or len(row) > self._max_text_bytes * 6 + _ROW_OVERHEAD:
            return None
        mac, break_, payload = row[:_MAC_CHARACTERS], row[_MAC_CHARACTERS : _MAC_CHARACTERS + 1], row[65:]
        try:
            genuine = break_ == "\n" and any(
                hmac.compare_digest(_mac(secret, place, payload), mac) for secret in self._secrets()
            )
            value = json.loads(payload) if genuine else None
        except (ValueError, TypeError, RecursionError, SecretsUnusable):
            return None
        return value if isinstance(value, dict) and value.get("v") == _VERSION else None


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _mac(secret: bytes, place: str, payload: str) -> str:
    return hmac.new(secret, f"{place}\n{payload}".encode(), hashlib.sha256).hexdigest()
