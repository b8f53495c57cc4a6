"""Each nonce once: what keeps a request that was overheard from being made again, in all workers of a store."""

import hashlib
from typing import Final

from negotiator.clock import Clock
from negotiator.errors import Overloaded
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

MAX_NONCES: Final = 65_536
"""Nonces that are remembered, about: they are counted at each look for old ones."""
_PREFIX: Final = "nonce/"
_SWEEP_EVERY: Final = 512


class Nonces:
    """The nonces of signatures that were taken."""

    def __init__(self, store: TextStore, clock: Clock) -> None:
        """Remember them in `store`."""
        self._store = store
        self._clock = clock
        self._until_sweep = 0
        self._full = False

    def first_use(self, key_id: str, nonce: str, *, until: float) -> bool:
        """Whether a key's nonce was not used before; from now on, and until Unix second `until`, it was.

        Raises `Overloaded` where no more can be remembered: what is not remembered must not be taken.
        """
        if self._until_sweep <= 0 or self._full:
            self._sweep()
        if self._full:
            raise Overloaded("too many signatures are remembered")
        self._until_sweep -= 1
        key = _PREFIX + hashlib.sha256(f"{key_id}\0{nonce}".encode()).hexdigest()
        try:
            return self._store.add(key, str(int(until) + 1))
        except StoreUnusable as error:
            raise Overloaded("signatures cannot be remembered") from error

    def _sweep(self) -> None:
        now, left = self._clock.time(), 0
        for key in self._store.keys(_PREFIX):
            text = self._store.get(key) or "0"
            if text.isdecimal() and float(text) > now:
                left += 1
            else:
                self._store.delete(key)
        self._until_sweep = _SWEEP_EVERY
        self._full = left >= MAX_NONCES
