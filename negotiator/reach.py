"""The sender's edge: which dialect a peer speaks, and one request to it and back.

A peer is asked once what it lists, which tells most of what it speaks; what it answers tells the rest. A request
is sent a second time in one case only: the peer's own words prove that it refused the first as something it could
not read, and so did nothing.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Final, cast

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.agora_replies import is_ours, other_dialect, read_reply
from negotiator.clock import Clock, Deadline
from negotiator.dialects.agora import (
    DIALECTS,
    PACKAGE_020,
    STANDARD_2024,
    STANDARD_2025,
    AgoraDialect,
    sniff_reply,
)
from negotiator.dialects.agora.listing import read_listing
from negotiator.errors import (
    NotPossible,
    PeerError,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
    UsageError,
)
from negotiator.events import listener
from negotiator.messages import Reply, Request
from negotiator.serving import BODY_BYTES_HEADER
from negotiator.speaking import PeerRecord, Selector, Speaker
from negotiator.task import Task
from negotiator.watching import send_watched
from negotiator.wire import HandsOver, InTime, Transport, WireReply, WireRequest
from protocol_docs import ProtocolDocument
from protocol_docs.changes import Watched
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

_PREFIX: Final = "peer/"
_IN_MEMORY: Final = 1024
_GATEWAY_LOST_IT: Final = (502, 504)
"""What a proxy answers when it has sent a request on and has no reply: then nobody knows."""
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_ROUNDED_UP: Final = 1 - 1e-6
SEEN_SECONDS: Final = 60.0
"""How stale `PeerRecord.seen` may get; it is not worth a write an exchange."""


class Reach:
    """Peers, as one agent reaches them. Safe to call from several tasks at once."""

    def __init__(
        self,
        transport: Transport,
        text_store: TextStore,
        clock: Clock,
        *,
        remember_seconds: float = 3600.0,
        speakers: Sequence[Speaker] = (),
    ) -> None:
        """Send through `transport`, remember peers in `text_store` for `remember_seconds`.

        An address that one of `speakers` claims is its; the others are asked, in their order, about a peer that shows
        nothing of Agora.
        """
        self._speakers = {speaker.name: speaker for speaker in speakers}
        self.transport = transport
        """What carries bytes."""
        self.in_time = isinstance(transport, InTime) and transport.sets_timers
        """Whether `carry` ends by its deadline without a timer of its caller's."""
        self.taker = transport.taker if isinstance(transport, HandsOver) else _nobody
        """Who takes messages at an address, without their bytes; see `HandsOver.taker`."""
        self._store = text_store
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._records: dict[str, PeerRecord] = Watched()
        self._asking: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[PeerRecord]] = {}

    def known(self, base_url: str) -> PeerRecord | None:
        """What is remembered of a peer and has not expired; nothing is sent."""
        key = _key(base_url)
        record = self._records.get(key)
        if record is None and (text := self._store.get(key)) is not None:
            with suppress(ValidationError):
                record = adapter(PeerRecord).validate_json(text)
                self._keep(key, record)
        if record is None or record.expires <= self._clock.time() or not self._is_spoken(record.dialect):
            return None
        return record

    def at_hand(self, base_url: str) -> PeerRecord | None:
        """Which record `known` would give, but for its expiry, without a row read."""
        return self._records.get(_key(base_url))

    def _is_spoken(self, dialect: str) -> bool:
        return dialect in DIALECTS or dialect in self._speakers

    def forget(self, base_url: str) -> None:
        """Ask the peer anew next time."""
        self._records.pop(_key(base_url), None)
        self._store.delete(_key(base_url))

    async def discover(self, base_url: str, deadline: Deadline) -> PeerRecord:
        """What a peer speaks and lists: remembered, or asked for, once for all that want to know at the same time.

        A peer without a listing, that shows nothing of another language either, is taken for the published package,
        which has none.

        Raises `PeerUnreachable`, `PeerHungUp`, and `PeerMisspoke` where what it says of itself cannot be used.
        """
        if (record := self.known(base_url)) is not None:
            return record
        place = (asyncio.get_running_loop(), _key(base_url))
        if (standing := self._asking.get(place)) is not None:
            with suppress(PeerHungUp):
                return await _by(standing, deadline)
            # Whoever asked may have had less time than there is now.
            if (record := self.known(base_url)) is not None:
                return record
        asking = self._asking.get(place)
        if asking is None:
            asking = place[0].create_task(self._ask(base_url, deadline))
            self._asking[place] = asking
            asking.add_done_callback(lambda done: self._asked(place, done))
        return await _by(asking, deadline)

    def _asked(self, place: tuple[asyncio.AbstractEventLoop, str], done: "asyncio.Task[PeerRecord]") -> None:
        del self._asking[place]
        if not done.cancelled():
            done.exception()  # nobody may be waiting for it any more

    async def _ask(self, base_url: str, deadline: Deadline) -> PeerRecord:
        for speaker in self._speakers.values():
            if speaker.claims(base_url):
                claimed = await self._looked(speaker, base_url, deadline)
                if claimed is None:
                    raise PeerMisspoke(f"{base_url} does not speak {speaker.name}")
                return claimed
        dialect: AgoraDialect = PACKAGE_020
        listing: Mapping[str, tuple[str, ...]] = {}
        ours, body_bytes = False, ""
        for path, fallback in (("/wellknown", None), ("/.wellknown", STANDARD_2024)):
            request = WireRequest(method="GET", path=path, headers={"accept": "application/json"})
            try:
                wire = await self.transport.send(base_url, request, deadline=deadline)
                ours = is_ours(wire)
                if wire.status != 200:  # noqa: PLR2004 - HTTP
                    continue
                written, listing = read_listing(wire.body)
            except PeerMisspoke:
                continue
            body_bytes = wire.headers.get(BODY_BYTES_HEADER, "")
            dialect = written if fallback is None else fallback
            break
        else:
            for speaker in () if ours else self._speakers.values():
                if (shown := await self._looked(speaker, base_url, deadline)) is not None:
                    return shown
        now = self._clock.time()
        record = PeerRecord(
            dialect=(STANDARD_2025 if ours else dialect).name,
            listing=listing,
            ours=ours,
            seen=now,
            expires=now + self._remember_seconds,
            body_bytes=int(body_bytes) if _NUMBER.fullmatch(body_bytes) else None,
        )
        self._remember(base_url, record)
        return record

    async def _looked(self, speaker: Speaker, base_url: str, deadline: Deadline) -> PeerRecord | None:
        found = await speaker.look(base_url, deadline)
        if found is None:
            return None
        now = self._clock.time()
        record = PeerRecord(
            dialect=speaker.name,
            listing=found.listing,
            ours=found.ours,
            words=found.words,
            about=found.about,
            says=found.says,
            names=found.names,
            negotiates=found.negotiates,
            body_bytes=found.body_bytes,
            seen=now,
            expires=now + self._remember_seconds,
        )
        self._remember(base_url, record)
        return record

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: Callable[[], Sequence[str]], deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.selected`; of a peer that selects nothing by itself, the record as it is."""
        speaker = self._speakers.get(record.dialect)
        if not record.negotiates or speaker is None:
            return record
        return await cast("Selector", speaker).selected(record, task, words=words, known=known, deadline=deadline)

    async def drafted(
        self, record: PeerRecord, task: Task, document: ProtocolDocument, deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.drafted`. Only for peers that negotiate."""
        return await cast("Selector", self._speakers[record.dialect]).drafted(record, task, document, deadline)

    async def exchange(self, base_url: str, request: Request, deadline: Deadline) -> Reply:
        """Carry one request, or one round of a conversation, in the peer's dialect.

        Returns the peer's reply whatever its status; `error_of` makes an error of one that is no success.

        Raises:
            PeerUnreachable: nothing was sent.
            PeerHungUp: it was sent and no whole reply came.
            PeerMisspoke: a reply came that no dialect explains.
            NotPossible: the peer's dialect has no such thing, such as conversations.
            UsageError: the request cannot be spelt in it.
            TooLarge: it has more bytes than the peer says that it takes; nothing was sent.
        """
        try:
            record = self.known(base_url) or await self.discover(base_url, deadline)
        except PeerHungUp as error:
            # It hung up on a question about itself: nothing of the request was sent.
            raise PeerUnreachable(str(error)) from error
        if (speaker := self._speakers.get(record.dialect)) is not None:
            reply = await speaker.exchange(record, request, deadline)
            self.answered(base_url, record)
            return reply
        dialect = DIALECTS[record.dialect]
        watched = record.ours and listener() is not None
        asked = dialect.encode_request(request)
        record.require_room(asked.body)
        wire = await self.carry(base_url, _waited_for(asked, deadline), deadline, watched=watched)
        return await self.received(base_url, record, request, wire, deadline)

    async def received(
        self, base_url: str, record: PeerRecord, request: Request, wire: WireReply, deadline: Deadline
    ) -> Reply:
        """What `exchange` makes of a reply from an Agora peer of this record. Raises as it does."""
        dialect = DIALECTS[record.dialect]
        reply, spoken = read_reply(wire, dialect, request)
        if (other := other_dialect(dialect, spoken, reply, request)) is not None and not is_ours(wire):
            # What the other dialect cannot say stays refused.
            with suppress(NotPossible, UsageError):
                wire = await self.carry(base_url, _waited_for(other.encode_request(request), deadline), deadline)
                reply, spoken = read_reply(wire, other, request)
        self._note(base_url, record, spoken, ours=is_ours(wire))
        return reply

    async def close(self, base_url: str, conversation: str, deadline: Deadline) -> None:
        """End a conversation, where the peer can be reached and its dialect has a word for it.

        Raises nothing for the peer's part: conversations end by themselves.
        """
        record = self.known(base_url)
        if record is not None and record.dialect not in DIALECTS:
            return
        dialect = DIALECTS[record.dialect] if record else PACKAGE_020
        with suppress(NotPossible, PeerError):
            wire = dialect.encode_request(Request(kind="close", conversation=conversation))
            await self.transport.send(base_url, wire, deadline=deadline)

    async def aclose(self) -> None:
        """Let go of the sessions that other wire languages hold."""
        for speaker in self._speakers.values():
            await speaker.aclose()

    async def carry(self, base_url: str, wire: WireRequest, deadline: Deadline, *, watched: bool = False) -> WireReply:
        """The peer's reply to these bytes, of any status; `watched`: what it tells before is heard too.

        Raises as `Transport.send` does.
        """
        if watched:
            reply = await send_watched(self.transport, base_url, wire, deadline=deadline)
        else:
            reply = await self.transport.send(base_url, wire, deadline=deadline)
        return self.arrived(base_url, reply)

    def arrived(self, base_url: str, reply: WireReply) -> WireReply:
        """A reply of the peer's own. Raises `PeerHungUp` where it is that of a gateway which has none."""
        if reply.status in _GATEWAY_LOST_IT and sniff_reply(reply) is None:
            raise PeerHungUp(f"{base_url}: a gateway before it answered {reply.status}")
        return reply

    def _note(self, base_url: str, record: PeerRecord, spoken: AgoraDialect, *, ours: bool) -> None:
        """Remember that a peer answered, and what its answer told of it."""
        dialect = STANDARD_2025.name if ours else spoken.name
        now = self._clock.time()
        if (dialect, ours) != (record.dialect, record.ours):
            self._remember(base_url, replace(record, dialect=dialect, ours=ours, seen=now))
        else:
            self.answered(base_url, record)

    def answered(self, base_url: str, record: PeerRecord) -> None:
        """Remember that a peer answered just now, as what it is known for."""
        now = self._clock.time()
        if now - record.seen > SEEN_SECONDS:
            self._remember(base_url, replace(record, seen=now))

    def _remember(self, base_url: str, record: PeerRecord) -> None:
        key = _key(base_url)
        self._keep(key, record)
        # To remember is a convenience; a full disk must not fail an exchange.
        with suppress(StoreUnusable):
            self._store.put(key, adapter(PeerRecord).dump_json(record).decode())

    def _keep(self, key: str, record: PeerRecord) -> None:
        self._records.pop(key, None)
        self._records[key] = record
        if len(self._records) > _IN_MEMORY:
            self._records.pop(next(iter(self._records)))


def _nobody(_base_url: str) -> None:
    """Messages travel as bytes."""


def waits_for(left: float) -> int:
    """How long a peer is waited for, seconds, where so many are left: whole ones are all that RFC 7240 has."""
    # A microsecond of rounding is no second more.
    return int(left + _ROUNDED_UP) if left > 1 else 1


def preferring(seconds: int) -> str:
    """The same as the header `Prefer` has it."""
    return f"wait={seconds}"


def _waited_for(wire: WireRequest, deadline: Deadline) -> WireRequest:
    headers = {**wire.headers, "prefer": preferring(waits_for(deadline.remaining()))}
    return WireRequest(method=wire.method, path=wire.path, headers=headers, body=wire.body)


async def _by(asking: "asyncio.Task[PeerRecord]", deadline: Deadline) -> PeerRecord:
    """The outcome of a look that others may wait for too: whoever leaves does not end it for them."""
    try:
        async with asyncio.timeout(max(deadline.remaining(), 0)):
            return await asyncio.shield(asking)
    except TimeoutError as error:
        raise PeerHungUp("no reply by the deadline") from error


@lru_cache(_IN_MEMORY)
def _key(base_url: str) -> str:
    return _PREFIX + sha256(base_url.rstrip("/").encode()).hexdigest()
