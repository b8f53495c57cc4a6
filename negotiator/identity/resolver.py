"""From a DID to its document: fetched under guard, remembered for minutes, and held to what was seen first.

A DID that is bound to a key needs no memory: its document is proved by that key. Any other is pinned at its first use,
and other keys than those are an error until somebody approves them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import Final, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from negotiator.admission import Shares, UnderWay, caller_of
from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.errors import Overloaded
from negotiator.identity.did import DidDocument, parse_did, read_document
from negotiator.identity.errors import DidUnresolvable, KeyChanged
from negotiator.wire import ANONYMOUS
from protocol_docs.errors import DocumentError, StoreUnusable
from protocol_docs.text_store import TextStore

Fetch: TypeAlias = Callable[[str], Awaitable[bytes]]
"""The bytes at an address; raises `protocol_docs.DocumentError`. `protocol_docs.fetch.GuardedFetcher.fetch` is one."""

MAX_DOCUMENT_BYTES: Final = 65_536
REMEMBER_SECONDS: Final = 300.0
"""How long a document is taken to be the latest: how soon another's rotation is seen at the latest."""
_AGAIN_SECONDS: Final = 15.0
"""The least time between two looks at one DID."""
_MAX_REMEMBERED: Final = 1024
_AT_ONCE: Final = 8
"""Fetches under way, of DIDs that are new and of those that were read before, each: strangers choose what is fetched,
and how long it takes."""
_SHARES: Final = Shares(caller_and_document=1, caller=1, document=1)
"""For one address, and of one host: half of the places that are free to it."""
_PREFIX: Final = "pin/"


class _Pin(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    did: str
    keys: tuple[str, ...]
    """Multikeys, sorted."""
    offered: tuple[str, ...] | None = None
    """Those that it has now, where that is others."""


class Pins:
    """The keys that DIDs had at their first use."""

    def __init__(self, store: TextStore) -> None:
        """Keep them in `store`."""
        self._store = store

    def hold(self, document: DidDocument) -> None:
        """Pin a document's keys, or raise `KeyChanged` where others are pinned."""
        if parse_did(document.did).bound_to is not None:
            return
        pin, keys = self._read(document.did), document.proving
        if pin is None:
            self._write(_Pin(did=document.did, keys=keys))
        elif pin.keys != keys:
            with suppress(StoreUnusable):
                self._write(_Pin(did=pin.did, keys=pin.keys, offered=keys))
            raise KeyChanged(f"{document.did} has other keys than before")

    def changed(self) -> list[str]:
        """The DIDs whose new keys wait for approval."""
        pins = (self._parse(self._store.get(key)) for key in self._store.keys(_PREFIX))
        return sorted(pin.did for pin in pins if pin is not None and pin.offered is not None)

    def approve(self, did: str) -> bool:
        """Take the keys that a DID has now; True where others were waiting for that."""
        pin = self._read(did)
        if pin is None or pin.offered is None:
            return False
        self._write(_Pin(did=did, keys=pin.offered))
        return True

    def _read(self, did: str) -> _Pin | None:
        return self._parse(self._store.get(_key(did)))

    def _parse(self, text: str | None) -> _Pin | None:
        try:
            return None if text is None else _Pin.model_validate_json(text)
        except ValidationError:
            return None

    def _write(self, pin: _Pin) -> None:
        self._store.put(_key(pin.did), pin.model_dump_json())


class DidResolver:
    """Documents by DID. For one event loop at a time."""

    def __init__(self, fetch: Fetch, store: TextStore, clock: Clock, *, loopback: bool = False) -> None:
        """Fetch with `fetch`, pin in `store`; with `loopback`, names of this machine are asked over plain http."""
        self._fetch = fetch
        self._pins = Pins(store)
        self._clock = clock
        self._loopback = loopback
        self._known: dict[str, tuple[float, DidDocument]] = {}
        self._again: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[DidDocument]] = {}
        self._rooms = {new: UnderWay(_AT_ONCE, _SHARES) for new in (True, False)}

    async def document(self, did: str, *, with_key: str | None = None, asker: str | None = None) -> DidDocument:
        """The document of a DID. One without `with_key` among its proving keys is looked for once more.

        `asker` is the address that the request came from for which it is wanted, where there is one.

        Raises:
            MalformedDid: it is no DID that is read here, or its document is none.
            DidUnresolvable: the document is not to be had.
            KeyChanged: its keys are not those that were seen first.
            Overloaded: too many are being fetched, or no more can be remembered.
        """
        now = self._clock.monotonic()
        until, document = self._known.get(did, (0.0, None))
        if document is None or until <= now or (with_key is not None and with_key not in document.authentication):
            if self._again.get(did, 0.0) > now:
                if document is not None and until > now:
                    return document
                raise DidUnresolvable("its document could not be read a moment ago")
            document = await self._once(did, asker)
        try:
            self._pins.hold(document)
        except StoreUnusable as error:
            # Keys that cannot be remembered could be others the next time.
            raise Overloaded("the keys of no more DIDs can be remembered") from error
        return document

    async def _once(self, did: str, asker: str | None) -> DidDocument:
        """One fetch for all who want the same document."""
        task = self._under_way.get(did)
        if task is None:
            host, caller = parse_did(did).host, caller_of(ANONYMOUS, asker)
            room = self._rooms[did not in self._known]
            room.enter(caller, host)
            task = asyncio.get_running_loop().create_task(self._look(did))
            task.add_done_callback(lambda _: room.leave(caller, host))
            self._under_way[did] = task
            task.add_done_callback(lambda done: self._looked(did, done))
        return await asyncio.shield(task)

    def _looked(self, did: str, done: "asyncio.Task[DidDocument]") -> None:
        self._under_way.pop(did, None)
        now = self._clock.monotonic()
        # After a success too: strangers can ask for a key that is not there as often as they like.
        keep(self._again, did, now + _AGAIN_SECONDS, _MAX_REMEMBERED)
        if not done.cancelled() and done.exception() is None:
            keep(self._known, did, (now + REMEMBER_SECONDS, done.result()), _MAX_REMEMBERED)

    async def _look(self, did: str) -> DidDocument:
        url = parse_did(did).url(loopback=self._loopback)
        try:
            return read_document(await self._fetch(url), did)
        except DocumentError as error:
            raise DidUnresolvable(f"the document of {did} is not to be had: {error}") from error


def _key(did: str) -> str:
    return _PREFIX + sha256(did.encode()).hexdigest()
