"""The sender's edge: which dialect a peer speaks, and one request to it and back.

A peer is asked once what it lists, which tells most of what it speaks; what it answers tells the rest. A request
is sent a second time in one case only: the peer's own words prove that it refused the first as something it could
not read, and so did nothing.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from typing import Final, Protocol, cast

from pydantic import TypeAdapter, ValidationError

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
    EffectsAlreadyMade,
    InputRequired,
    NegotiatorError,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerError,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerRejected,
    PeerUnreachable,
    UsageError,
)
from negotiator.events import listener
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.task import Task
from negotiator.watching import send_watched
from negotiator.wire import Transport, WireReply, WireRequest
from protocol_docs import ProtocolDocument
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

_PREFIX: Final = "peer/"
_IN_MEMORY: Final = 1024
_GATEWAY_LOST_IT: Final = (502, 504)
"""What a proxy answers when it has sent a request on and has no reply: then nobody knows."""
_SEEN_SECONDS: Final = 60.0
"""How stale `PeerRecord.seen` may get; it is not worth a write an exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRecord:
    """What is known of a peer."""

    dialect: str
    """The name of the dialect it is spoken to in."""
    listing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The documents it lists, canonical hash to sources: `sha256:` where the text was among the sources, else the
    `sha1:` it was listed under."""
    ours: bool = False
    """Whether its engine is this one; it then understands our additional fields. Its own word, and no proof."""
    seen: float
    """When it last answered, Unix seconds."""
    expires: float
    """When it is asked anew, Unix seconds."""
    words: bool = True
    """Whether it reads natural language, and documents that it does not list."""
    about: JsonObject = field(default_factory=dict)
    """What else is needed to speak to a peer of another wire language."""
    says: tuple[tuple[str, str], ...] = ()
    """What it says it does, (name, description), where no document that it lists says so."""
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What a document of its listing is called and about, where that was told with the listing."""
    negotiates: bool = False
    """Whether it selects by itself under what document a task is asked of it; see `Selector`."""
    refused: str | None = None
    """Why it selected none for the task at hand."""
    selection: str = ""
    """Names what it selected: asked for anew, it is looked at anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a `Speaker` learned of a peer; see `PeerRecord`."""

    listing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ours: bool = False
    words: bool = True
    about: JsonObject = field(default_factory=dict)
    says: tuple[tuple[str, str], ...] = ()
    names: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    negotiates: bool = False


class Speaker(Protocol):
    """Speaks another wire language than Agora."""

    @property
    def name(self) -> str:
        """What `PeerRecord.dialect` is of its peers."""
        ...

    def claims(self, base_url: str) -> bool:
        """Whether an address alone says that it is of this language; nothing is sent."""
        ...

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """What a peer says of itself; None where it does not speak this language.

        Asked of an address that is claimed, and of one that shows nothing of Agora. Raises `PeerUnreachable`,
        `PeerHungUp`, and `PeerMisspoke` where it does speak it and cannot be spoken to.
        """
        ...

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """One request and its reply. Raises as `Reach.exchange` does."""
        ...

    async def aclose(self) -> None:
        """Let go of sessions."""
        ...


class Selector(Speaker, Protocol):
    """A `Speaker` of a language in which the peer selects the document for a task."""

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: tuple[str, ...], deadline: Deadline
    ) -> PeerRecord:
        """The record with what the peer has selected for a task: remembered, or asked for where it must be anew.

        `words`: whether natural language may be selected; `known`: documents that would do, by their hashes.
        Raises the `PeerError`s.
        """
        ...

    async def drafted(
        self, record: PeerRecord, task: Task, document: ProtocolDocument, deadline: Deadline
    ) -> PeerRecord:
        """The record with what came of proposing a document. Raises the `PeerError`s."""
        ...


_RECORD: Final = TypeAdapter(PeerRecord)


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
        self._transport = transport
        self._store = text_store
        self._clock = clock
        self._remember_seconds = remember_seconds
        self._records: dict[str, PeerRecord] = {}
        self._asking: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[PeerRecord]] = {}

    def known(self, base_url: str) -> PeerRecord | None:
        """What is remembered of a peer and has not expired; nothing is sent."""
        key = _key(base_url)
        record = self._records.get(key)
        if record is None and (text := self._store.get(key)) is not None:
            with suppress(ValidationError):
                record = _RECORD.validate_json(text)
                self._keep(key, record)
        if record is None or record.expires <= self._clock.time() or not self._is_spoken(record.dialect):
            return None
        return record

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
        ours = False
        for path, fallback in (("/wellknown", None), ("/.wellknown", STANDARD_2024)):
            request = WireRequest(method="GET", path=path, headers={"accept": "application/json"})
            try:
                wire = await self._transport.send(base_url, request, deadline=deadline)
                ours = _is_ours(wire)
                if wire.status != 200:  # noqa: PLR2004 - HTTP
                    continue
                written, listing = read_listing(wire.body)
            except PeerMisspoke:
                continue
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
            seen=now,
            expires=now + self._remember_seconds,
        )
        self._remember(base_url, record)
        return record

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: tuple[str, ...], deadline: Deadline
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
        """
        try:
            record = self.known(base_url) or await self.discover(base_url, deadline)
        except PeerHungUp as error:
            # It hung up on a question about itself: nothing of the request was sent.
            raise PeerUnreachable(str(error)) from error
        if (speaker := self._speakers.get(record.dialect)) is not None:
            reply = await speaker.exchange(record, request, deadline)
            self._seen(base_url, record)
            return reply
        dialect = DIALECTS[record.dialect]
        watched = record.ours and listener() is not None
        wire = await self._send(base_url, dialect.encode_request(request), deadline, watched=watched)
        reply, spoken = _read(wire, dialect, request)
        if (other := _other(dialect, spoken, reply, request)) is not None and not _is_ours(wire):
            # What the other dialect cannot say stays refused.
            with suppress(NotPossible, UsageError):
                wire = await self._send(base_url, other.encode_request(request), deadline)
                reply, spoken = _read(wire, other, request)
        self._note(base_url, record, spoken, ours=_is_ours(wire))
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
            await self._transport.send(base_url, wire, deadline=deadline)

    async def aclose(self) -> None:
        """Let go of the sessions that other wire languages hold."""
        for speaker in self._speakers.values():
            await speaker.aclose()

    async def _send(self, base_url: str, wire: WireRequest, deadline: Deadline, *, watched: bool = False) -> WireReply:
        # Whole seconds are all that RFC 7240 has; a peer that does not know it ignores it.
        wait = f"wait={max(1, math.ceil(deadline.remaining()))}"
        headers = {**wire.headers, "prefer": wait}
        wire = WireRequest(method=wire.method, path=wire.path, headers=headers, body=wire.body)
        if watched:
            reply = await send_watched(self._transport, base_url, wire, deadline=deadline)
        else:
            reply = await self._transport.send(base_url, wire, deadline=deadline)
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
            self._seen(base_url, record)

    def _seen(self, base_url: str, record: PeerRecord) -> None:
        now = self._clock.time()
        if now - record.seen > _SEEN_SECONDS:
            self._remember(base_url, replace(record, seen=now))

    def _remember(self, base_url: str, record: PeerRecord) -> None:
        key = _key(base_url)
        self._keep(key, record)
        # To remember is a convenience; a full disk must not fail an exchange.
        with suppress(StoreUnusable):
            self._store.put(key, _RECORD.dump_json(record).decode())

    def _keep(self, key: str, record: PeerRecord) -> None:
        self._records.pop(key, None)
        self._records[key] = record
        if len(self._records) > _IN_MEMORY:
            self._records.pop(next(iter(self._records)))


async def _by(asking: "asyncio.Task[PeerRecord]", deadline: Deadline) -> PeerRecord:
    """The outcome of a look that others may wait for too: whoever leaves does not end it for them."""
    try:
        async with asyncio.timeout(max(deadline.remaining(), 0)):
            return await asyncio.shield(asking)
    except TimeoutError as error:
        raise PeerHungUp("no reply by the deadline") from error


def error_of(reply: Reply) -> NegotiatorError | None:
    """The error that a reply amounts to; None for a success."""
    if reply.status == "success":
        return None
    message = reply.error or reply.code or "the peer gave no reason"
    if reply.status == "rejected":
        return PeerRejected(message)
    match reply.code:
        case "overloaded":
            return Overloaded(message, retry_after=reply.retry_after or 1.0)
        case "input_required":
            return InputRequired(message)
        case "outcome_unknown":
            return OutcomeUnknown(message)
        case "effects_already_made":
            return EffectsAlreadyMade(message)
        case _:
            return PeerFailed(message)


def _read(wire: WireReply, dialect: AgoraDialect, request: Request) -> tuple[Reply, AgoraDialect]:
    """A reply, and the dialect that it is in: the one asked in, where it may be; else the one it looks like."""
    try:
        reply = dialect.decode_reply(wire, request)
    except PeerMisspoke:
        spoken = sniff_reply(wire)
        if spoken is None or spoken is dialect:
            raise
        return spoken.decode_reply(wire, request), spoken
    if wire.status < 400:  # noqa: PLR2004 - HTTP
        return reply, dialect
    # An HTTP error is read without regard to its words, which may still be another dialect's.
    spoken = sniff_reply(wire)
    if spoken is None or dialect.says(wire):
        return reply, dialect
    return spoken.decode_reply(wire, request), spoken


def _other(dialect: AgoraDialect, spoken: AgoraDialect, reply: Reply, request: Request) -> AgoraDialect | None:
    """The dialect to repeat a request in, where the reply proves that nothing was done with it.

    A round of a conversation is not repeated: its opening was understood as it was. Nor is a request whose
    document was rejected under the same spelling of its hash: that is the peer's word about the document.
    """
    if request.conversation is not None:
        return None
    if reply.status == "rejected":
        return spoken if spoken.base64 != dialect.base64 else None
    if reply.code != "malformed":
        return None
    if spoken is not dialect:
        return spoken
    return PACKAGE_020 if dialect is STANDARD_2025 else STANDARD_2025


def _is_ours(wire: WireReply) -> bool:
    return wire.headers.get(ENGINE_HEADER) == ENGINE


@lru_cache(_IN_MEMORY)
def _key(base_url: str) -> str:
    return _PREFIX + sha256(base_url.rstrip("/").encode()).hexdigest()
