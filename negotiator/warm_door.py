"""The way that a warm request takes past the doors: one function from the bytes of its body to those of the reply.

The gate, the doors and the dialect pass objects from hand to hand that are worth more than the whole of a warm
exchange. Where a request is plainly one of the 2025 standard, has no header that any of them would act on, and names a
document for which a mapping stands ready, nothing is left for them to do but what is done here, with their own rules.
Of any other request nothing is done here, and they take it from its start.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from negotiator.admission import UnderWay, caller_of
from negotiator.answer import take_up
from negotiator.answer_warm import NOTHING_DONE, Ready, ResultUnread, answer_warm, ready_for
from negotiator.clock import Deadline
from negotiator.dialects.agora import STANDARD_2025, fields, read
from negotiator.dialects.base import Refused
from negotiator.dialects.sse import MEDIA_TYPE
from negotiator.engine import Engine
from negotiator.errors import DeadlinePassed, Overloaded
from negotiator.events import listener
from negotiator.identity.gate import Gate
from negotiator.in_time import OutOfTime, by
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.oauth.granted import granted_scopes
from negotiator.serving import ENGINE, ENGINE_HEADER, DoorLimits, ExchangeContext, marked, rendered
from negotiator.wire import Door, WireReply, WireRequest

HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json", ENGINE_HEADER: ENGINE}
"""Of each success."""
READ_HEADERS: Final = frozenset(
    {"accept", "content-encoding", "content-length", "content-type", "idempotency-key", "prefer"}
)
"""Headers that are read here, by the rules of those who read them elsewhere."""
IDLE_HEADERS: Final = frozenset(
    [
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "connection",
        "dnt",
        "forwarded",
        "host",
        "keep-alive",
        "pragma",
        "priority",
        "referer",
        "te",
        "transfer-encoding",
        "upgrade-insecure-requests",
        "user-agent",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-proto",
        "x-real-ip",
        "x-request-id",
    ]
)
"""Headers that nobody acts on in a request over Agora. With any other a request goes through the doors."""
_KNOWN: Final = READ_HEADERS | IDLE_HEADERS


class _Asked(NamedTuple):
    """A request on the short way."""

    body: JsonObject
    hashes: tuple[str, ...]
    sources: tuple[str, ...]
    key: str | None
    seconds: float

    def request(self) -> Request:
        """The same as the dialect reads it."""
        return Request(body=self.body, hashes=self.hashes, sources=self.sources, idempotency_key=self.key)


class WarmDoor:
    """An agent's gate with the short way past it; a `SeveralDoors` like the gate."""

    head: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())
    """`HEADERS` as ASGI has them."""
    reads: Final = {name.encode(): name if name in READ_HEADERS else "" for name in _KNOWN}
    """The headers that a request may have here, as ASGI has them: what those are called that are read, else empty."""

    def __init__(self, gate: Gate, engine: Engine, limits: DoorLimits, under_way: UnderWay) -> None:
        """`limits` and `under_way` are those of the doors behind `gate`."""
        self._gate = gate
        self._engine = engine
        self._limits = limits
        self._under_way = under_way

    def at(self, path: str) -> Door:
        """See `SeveralDoors.at`."""
        return self._gate.at(path)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request; raises only on cancellation."""
        if wire.path == "/" and wire.method == "POST" and wire.headers.keys() <= _KNOWN:
            reply = await self.warm(wire.headers, wire.body, wire.principal, wire.peer)
            if isinstance(reply, bytes):
                return WireReply(headers=dict(HEADERS), body=reply)
            if reply is not None:
                return reply
        return await self._gate(wire)

    async def warm(
        self, headers: Mapping[str, str], data: bytes, principal: str, peer: str | None
    ) -> bytes | WireReply | None:
        """The reply to a POST to `/` whose only headers are `headers` (of `READ_HEADERS`) and some of `IDLE_HEADERS`.

        The body of a success, anything else whole, None where nothing was done.
        """
        # In one process a peer's task may be the caller's own; what it hears and may do is not ours: see `Gate`.
        if not self._gate.lets_by(principal) or listener() is not None or granted_scopes():
            return None
        asked = self._read(headers, data)
        if asked is None:
            return None
        engine, room, hashes = self._engine, self._under_way, asked.hashes
        try:
            ready = ready_for(engine, hashes)
            if ready is None:
                return None
            caller = caller_of(principal, peer)
            try:
                room.enter(caller, hashes[0])
            except Overloaded:
                return None
            try:
                deadline = Deadline.after(asked.seconds, engine.clock)
                try:
                    made = await by(deadline, answer_warm(engine, ready, asked.body, principal, deadline))
                except ResultUnread as unread:
                    return await self._taken_up(asked, ready, unread, principal, peer, deadline)
            finally:
                room.leave(caller, hashes[0])
            return None if made is NOTHING_DONE else _written(made, asked)
        except OutOfTime:
            failed: Exception = DeadlinePassed()
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            failed = error
        return marked(STANDARD_2025.encode_reply(rendered(failed), asked.request()))

    def _read(self, headers: Mapping[str, str], data: bytes) -> _Asked | None:
        """What is asked, read as the doors and the dialect read it; None where it is for them."""
        limits = self._limits
        if len(data) > limits.body_bytes or self._under_way.full or MEDIA_TYPE in headers.get("accept", ""):
            return None
        try:
            fields.require_json_type(headers)
            dialect, envelope = read(data)
            if dialect is not STANDARD_2025 or envelope is None:
                return None
            body, hashes = envelope.get("body"), fields.read_hashes(envelope)
            key, sources = fields.read_idempotency_key(envelope, headers), fields.read_sources(envelope)
            if body.__class__ is not dict or fields.read_multiround(envelope):
                return None
        except Refused:
            return None
        seconds = limits.seconds_for(headers)
        if seconds <= 0 or (key is not None and self._engine.may_have_effects):
            return None
        return _Asked(body, hashes, sources, key, seconds)

    async def _taken_up(
        self, asked: _Asked, ready: Ready, unread: ResultUnread, principal: str, peer: str | None, deadline: Deadline
    ) -> WireReply:
        request = asked.request()
        context = ExchangeContext(dialect=STANDARD_2025.name, deadline=deadline, principal=principal, peer=peer)
        reply = await by(deadline, take_up(self._engine, request, context, ready, unread))
        return marked(STANDARD_2025.encode_reply(reply, request))


def _written(made: JsonValue, asked: _Asked) -> bytes:
    if made.__class__ is dict:
        return STANDARD_2025.success(made, "routine")
    return STANDARD_2025.encode_reply(Reply(status="success", body=made, tier="routine"), asked.request()).body
