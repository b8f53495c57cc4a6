"""Replies kept by idempotency key: a request that comes again gets the same reply.

Used where a transactional tool could be called; a request of safe tools alone may simply run again.

A key alone shows nothing: many count, and a counter is guessed. So a reply is given again to the principal it was made
for (the composite key that draft-ietf-httpapi-idempotency-key-header asks for under "Security Considerations"); where
that one has proved nothing, to who says the same from the same address. Who says the same from another address may be
the same caller, elsewhere by now, or somebody who guesses: nothing is done twice for them, and nothing is told.
"""

import asyncio
import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import orjson

from negotiator.clock import Clock
from negotiator.errors import OutcomeUnknown
from negotiator.journal import digest_of
from negotiator.messages import Reply, Request
from negotiator.presence import Presence
from negotiator.wire import ANONYMOUS
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

KEEP_SECONDS = 86_400.0
"""How long a reply can be had again."""
_PURGE_EVERY = 256
"""Claims between two looks at every row, which is what a purge costs."""
_MOST_TAKEN = 8
"""Processes in a row that took over a request and ended."""
_PREFIX = "replies/"
_TAKEN = "replies-taken/"

Standing: TypeAlias = Reply | Literal["new", "elsewhere", "abandoned", "conflict", "unproved"]


@dataclass(slots=True)
class Claim:
    """One request that is being answered here."""

    key: str
    request: str
    address: str
    """What a caller who proved nothing is known by, as `address_of` has it."""
    done: "asyncio.Future[Reply | None]"


class Replies:
    """Claims and kept replies, in a text store that the server's workers share."""

    def __init__(
        self,
        store: TextStore,
        clock: Clock,
        abandoned_after: float,
        presence: Presence | None = None,
        *,
        prefix: str = _PREFIX,
        at_most: int | None = None,
        row_bytes: int | None = None,
    ) -> None:
        """A claim without a reply is taken for a crashed one when its process has ended.

        Where `presence` cannot tell, after `abandoned_after` seconds. They are kept under `prefix`; of more than
        `at_most`, about, the oldest are forgotten; one whose row is over `row_bytes` is not kept.
        """
        self._prefix = prefix
        self._at_most = at_most
        self._row_bytes = row_bytes
        self._store = store
        self._clock = clock
        self._abandoned_after = abandoned_after
        self._presence = presence
        self._running: dict[str, Claim] = {}
        self._until_purge = _PURGE_EVERY

    def beside(self, prefix: str, at_most: int, row_bytes: int) -> "Replies":
        """Others of the same store, of what may be done again: forgotten where there are many, or one is large."""
        presence, after = self._presence, self._abandoned_after
        return Replies(self._store, self._clock, after, presence, prefix=prefix, at_most=at_most, row_bytes=row_bytes)

    def used(self, principal: str, key: str) -> bool:
        """Whether a request of this key was begun, and is kept. Raises `StoreUnusable`."""
        return self._store.get(self._row_of(principal, key)) is not None

    async def claim(self, principal: str, request: Request, peer: str | None = None) -> tuple[Standing, Claim]:
        """Begin to answer a request that has an idempotency key, and came from the address `peer`.

        `new`: nobody has; answer it and call `finish`. A reply: it was answered before. `elsewhere`: another
        process is at it. `abandoned`: a process began it and never finished; answer it only if nothing was
        done. `conflict`: the key was used for another request. `unproved`: it was for this one, and whoever asks does
        not show that it was theirs. Raises `StoreUnusable` where no claim can be kept.
        """
        self._until_purge -= 1
        if self._until_purge <= 0:
            self._until_purge = _PURGE_EVERY
            self.purge()
        key = self._row_of(principal, request.idempotency_key)
        digest = digest_of([request.body, sorted(request.hashes), request.kind, request.conversation])
        address = address_of(principal, peer)
        running = self._running.get(key)
        if running is not None:
            if running.request != digest:
                return "conflict", running
            if running.address != address:
                return "unproved", running
            reply = await asyncio.shield(running.done)
            if reply is not None:
                return reply, running
            return await self.claim(principal, request, peer)
        claim = Claim(key, digest, address, asyncio.get_running_loop().create_future())
        standing = self._standing(claim)
        if standing in ("new", "abandoned"):
            self._running[key] = claim
        return standing, claim

    def finish(self, claim: Claim, reply: Reply | None) -> bool:
        """Keep the reply; with None, forget the claim so that the request may be made again.

        True if the store holds the outcome now. Where it could not be written, the claim stays as it is and is
        taken for a crashed one when it is old.
        """
        if self._running.get(claim.key) is not claim:
            return False
        del self._running[claim.key]
        if not claim.done.done():
            claim.done.set_result(reply)
        try:
            row = {"request": claim.request, "address": claim.address, "begun": self._clock.time()}
            text = None if reply is None else orjson.dumps(row | {"reply": asdict(reply)}).decode()
            if text is None or (self._row_bytes is not None and len(text) > self._row_bytes):
                self._store.delete(claim.key)
                return reply is None
            self._store.put(claim.key, text)
        except (StoreUnusable, TypeError):
            return False
        return True

    def purge(self) -> int:
        """Drop what is older than `KEEP_SECONDS`, and the oldest of what is too many; how many."""
        dropped = 0
        left: list[tuple[float, str]] = []
        for key in [*self._store.keys(self._prefix), *self._store.keys(_TAKEN)]:
            row = self._row(key)
            begun = 0.0 if row is None else float(str(row.get("begun", 0)))
            if row is None or self._clock.time() - begun > KEEP_SECONDS:
                dropped += self._store.delete(key)
            elif key.startswith(self._prefix):
                left.append((begun, key))
        many = 0 if self._at_most is None else max(0, len(left) - self._at_most)
        return dropped + sum(self._store.delete(key) for _, key in sorted(left)[:many])

    def _row_of(self, principal: str, key: str | None) -> str:
        return self._prefix + hashlib.sha256(f"{principal}\0{key}".encode()).hexdigest()

    def _standing(self, claim: Claim) -> Standing:
        key = claim.key
        begun = self._clock.time()
        holder = None if self._presence is None else self._presence.name()
        said = {"request": claim.request, "address": claim.address, "begun": begun, "holder": holder}
        fresh = orjson.dumps(said).decode()
        # Between the two looks another process may have given its claim up.
        while not self._store.add(key, fresh):
            if self._store.get(key) is not None:
                break
        else:
            return "new"
        row = self._row(key) or {}
        if row.get("request", claim.request) != claim.request:
            return "conflict"
        if row.get("address", "") != claim.address:
            return "unproved"
        if "reply" in row:
            return _reply(row["reply"])
        # Of several processes that find it abandoned one takes it over; and where that one has ended too, one more.
        found = row
        for _ in range(_MOST_TAKEN):
            if not self._abandoned(row, begun):
                return "elsewhere"
            marker = _TAKEN + digest_of([key, row.get("begun"), row.get("holder")])
            if self._store.add(marker, fresh):
                # What was found may be old: whoever had this marker before may have come to a reply.
                if (self._row(key) or {}) != found:
                    return "elsewhere"
                self._store.put(key, fresh)
                return "abandoned"
            row = self._row(marker) or {}
        return "elsewhere"

    def _abandoned(self, row: dict[str, Any], now: float) -> bool:
        if self._presence is not None and self._presence.gone(row.get("holder")):
            return True
        return now - float(str(row.get("begun", 0))) > self._abandoned_after

    def _row(self, key: str) -> dict[str, Any] | None:
        text = self._store.get(key)
        try:
            row = None if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return row if isinstance(row, dict) else None


def address_of(principal: str, peer: str | None) -> str:
    """What a caller who proved nothing is known by in later requests, as a digest; empty for any other."""
    return hashlib.sha256((peer or "").encode()).hexdigest()[:32] if principal == ANONYMOUS else ""


def _reply(row: object) -> Reply:
    """A kept reply. What cannot be read was a reply once: then nobody knows what it said."""
    if isinstance(row, dict) and set(row) <= set(Reply.__slots__) and "status" in row:
        return Reply(**row)
    return Reply(status="failure", code=OutcomeUnknown.code)
