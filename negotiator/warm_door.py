"""The way that a warm request takes past the doors: one function from the bytes of its body to those of the reply.

The gate, the doors and the dialect pass objects from hand to hand that are worth more than the whole of a warm
exchange. Where a request is plainly one of the 2025 standard, has no header that any of them would act on, and names a
document for which a routine stands ready, nothing is left for them to do but what is done here, with their own rules.
Of any other request nothing is done here, and they take it from its start.
"""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from negotiator.admission import UnderWay, caller_of
from negotiator.answer import answer, by_ladder, take_up
from negotiator.answer_warm import NOTHING_DONE, Ready, ResultUnread, answer_warm, may_be_kept, ready_for, taken_by
from negotiator.clock import Deadline
from negotiator.dialects.agora import STANDARD_2025, fields, told_by
from negotiator.dialects.json_body import MAX_DEPTH, write
from negotiator.dialects.sse import MEDIA_TYPE
from negotiator.engine import Engine
from negotiator.errors import DeadlinePassed
from negotiator.events import listener
from negotiator.identity.gate import Gate
from negotiator.in_time import OutOfTime, by
from negotiator.jsonvalue import JsonObject, is_flat, nests_within
from negotiator.messages import Reply, Request
from negotiator.oauth.granted import granted_scopes
from negotiator.serving import ENGINE, ENGINE_HEADER, DoorLimits, ExchangeContext, marked, rendered
from negotiator.wire import Door, WireReply, WireRequest
from protocol_docs import StoreUnusable

HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json", ENGINE_HEADER: ENGINE}
"""Of each success."""
READ_HEADERS: Final = frozenset(
    {"accept", "content-encoding", "content-length", "content-type", "host", "idempotency-key", "prefer"}
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
_BARE: Final = 3
"""Fields of an envelope that holds a document's two spellings and a body, and nothing else."""
_Asked: TypeAlias = tuple[Mapping[str, str], JsonObject, tuple[str, ...], str, str | None]
"""A request on the short way, as it came: headers, envelope, hashes, principal, and the address it came from."""


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
            begun = self.begun(wire.headers, wire.body, wire.principal, wire.peer, wire.local)
            if begun is not None:
                made = await begun
                return WireReply(headers=dict(HEADERS), body=made) if isinstance(made, bytes) else made
        return await self._gate(wire)

    def begun(
        self, headers: Mapping[str, str], data: bytes, principal: str, peer: str | None, local: str | None
    ) -> Coroutine[Any, Any, bytes | WireReply] | None:
        """What answers a POST to `/` whose only headers are `headers` (of `READ_HEADERS`) and some of `IDLE_HEADERS`.

        It is to be awaited, and returns the body of a success, anything else whole. None where nothing was done.

        Args:
            headers: Lower-case names.
            data: The request's body.
            principal: Who asks, as far as that was proved.
            peer: The address it came from, where that is known.
            local: The address it came to, where that is known.
        """
        engine, limits = self._engine, self._limits
        # In one process a peer's task may be the caller's own; what it hears and may do is not ours: see `Gate`.
        if (
            not self._gate.lets_by(principal, headers.get("host"), local)
            or listener() is not None
            or granted_scopes()
            or len(data) > limits.body_bytes
            or self._under_way.full
            or MEDIA_TYPE in headers.get("accept", "")
        ):
            return None
        try:
            fields.require_json_type(headers)
            envelope = orjson.loads(data)
            if envelope.__class__ is not dict:
                return None
            body, hashes = envelope.get("body"), fields.read_hashes(envelope)
            # Where all but the body are texts, it is quicker to look at the body than to search the bytes.
            texts = len(hashes) + ("idempotencyKey" in envelope)
            if not (len(envelope) == texts + 1 and is_flat(body)) and not nests_within(data, MAX_DEPTH):
                return None
            if body.__class__ is not dict or told_by(envelope) is not STANDARD_2025:
                return None
            key: str | None = None
            if len(envelope) != _BARE or len(hashes) != _BARE - 1 or "idempotency-key" in headers:
                fields.read_sources(envelope)
                key = fields.read_idempotency_key(envelope, headers)
                if fields.read_multiround(envelope):
                    return None
            seconds = limits.seconds_for(headers)
            # Whether it still stands is looked at where it is used, which may be a turn of the loop from here.
            ready = None if seconds <= 0 else engine.ready.get(hashes) or ready_for(engine, hashes)
            if ready is None or (key is not None and may_be_kept(engine, principal, key)):
                return None
        except Exception:  # noqa: BLE001 - whatever it is, the doors meet it again, and say it
            return None
        taken = taken_by(engine, ready, body, principal)
        if taken is NOTHING_DONE:
            return None
        deadline = Deadline(engine.clock.monotonic() + seconds, engine.clock)
        return self._answered((headers, envelope, hashes, principal, peer), ready, taken, deadline)

    def handed(
        self,
        body: JsonObject,
        hashes: tuple[str, ...],
        key: str,
        data: bytes,
        seconds: float,
        principal: str,
        peer: str,
    ) -> Coroutine[Any, Any, JsonObject | WireReply] | None:
        """`begun`, for a caller in this process and event loop who hands over the message itself.

        What it returns is the body of a success, which nobody else holds if the routine is a mapping, or anything else
        whole.

        Args:
            body: Plain JSON, of which the caller keeps nothing.
            hashes: The document's, as `dialects.agora.fields.read_hashes` gives them.
            key: The idempotency key, of A-Z a-z 0-9 - _ alone.
            data: The bytes that say the same, which are measured and not read.
            seconds: How long the caller waits.
            principal: Who asks.
            peer: What the place that it came from is called.
        """
        engine, limits = self._engine, self._limits
        if (
            not self._gate.lets_by(principal, None, None)
            or listener() is not None
            or granted_scopes()
            or len(data) > limits.body_bytes
            or self._under_way.full
            or not (is_flat(body) or nests_within(data, MAX_DEPTH))
        ):
            return None
        try:
            ready = engine.ready.get(hashes) or ready_for(engine, hashes)
            if ready is None or may_be_kept(engine, principal, key):
                return None
        except StoreUnusable:
            return None
        taken = taken_by(engine, ready, body, principal)
        if taken is NOTHING_DONE:
            return None
        deadline = Deadline(engine.clock.monotonic() + min(limits.seconds, seconds), engine.clock)
        asked: _Asked = ({}, {"body": body, "idempotencyKey": key}, hashes, principal, peer)
        return self._answered(asked, ready, taken, deadline, written=False)

    async def _answered(
        self, asked: _Asked, ready: Ready, taken: Any, deadline: Deadline, *, written: bool = True
    ) -> Any:
        engine, room = self._engine, self._under_way
        _, envelope, hashes, principal, peer = asked
        try:
            caller, document, body = caller_of(principal, peer), hashes[0], envelope["body"]
            room.enter(caller, document)
            try:
                if ready_for(engine, hashes) is not ready:
                    return await self._handed_on(asked, deadline, answer)
                made = await by(deadline, answer_warm(engine, ready, taken, body, principal, deadline))
                if made is NOTHING_DONE:
                    return await self._handed_on(asked, deadline, by_ladder)
            except ResultUnread as unread:
                return await self._handed_on(asked, deadline, partial(take_up, unread=unread))
            finally:
                room.leave(caller, document)
            if made.__class__ is dict:
                if written:
                    return STANDARD_2025.success(made, "routine")
                write(made)  # as plain as what is read from bytes
                return made
            return STANDARD_2025.encode_reply(Reply(status="success", body=made, tier="routine"), _request(asked)).body
        except OutOfTime:
            failed: Exception = DeadlinePassed()
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            failed = error
        return marked(STANDARD_2025.encode_reply(rendered(failed), _request(asked)))

    async def _handed_on(
        self, asked: _Asked, deadline: Deadline, to: Callable[..., Coroutine[Any, Any, Reply]]
    ) -> WireReply:
        request, (*_, principal, peer) = _request(asked), asked
        context = ExchangeContext(dialect=STANDARD_2025.name, deadline=deadline, principal=principal, peer=peer)
        reply = await by(deadline, to(self._engine, request, context))
        return marked(STANDARD_2025.encode_reply(reply, request))


def _request(asked: _Asked) -> Request:
    """The same as the dialect reads it."""
    headers, envelope, hashes, _, _ = asked
    sources, key = fields.read_sources(envelope), fields.read_idempotency_key(envelope, headers)
    return Request(body=envelope["body"], hashes=hashes, sources=sources, idempotency_key=key)
