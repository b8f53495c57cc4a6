"""The way that a warm request takes past the doors: one function from the bytes of its body to those of the reply.

The gate, the doors and the dialect pass objects from hand to hand that are worth more than the whole of a warm
exchange. Where a request is plainly one of the 2025 standard, has no header that any of them would act on, and names a
document for which a routine stands ready, nothing is left for them to do but what is done here, with their own rules.
Of any other request nothing is done here, and they take it from its start.
"""

import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import orjson

from negotiator.admission import UnderWay
from negotiator.answer import answer, by_ladder, take_up
from negotiator.answer_warm import answer_warm, may_be_kept, taken_by
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
from negotiator.ready_to_answer import NOTHING_DONE, Ready, ResultUnread, ready_for
from negotiator.serving import ENGINE, ENGINE_HEADER, DoorLimits, ExchangeContext, marked, rendered
from negotiator.wire import ANONYMOUS, Door, WireReply, WireRequest
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
_success_written: Final = STANDARD_2025.success_written
_JSON: Final = "application/json"
_BARE: Final = 3
"""Fields of an envelope that holds a document's two spellings and a body, and nothing else."""
_KEYED: Final = 4
"""The same where it holds an idempotency key too."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
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
        self._preferred: tuple[str | None, float] = None, limits.seconds
        """What the last request said of how long it is waited for, and the seconds that it had."""

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
        self,
        headers: Mapping[str, str],
        data: bytes,
        principal: str,
        peer: str | None,
        local: str | None,
        ends_in: float | None = None,
    ) -> Coroutine[Any, Any, bytes | WireReply] | None:
        """What answers a POST to `/` whose only headers are `headers` (of `READ_HEADERS`) and some of `IDLE_HEADERS`.

        It is to be awaited, and returns the body of a success, anything else whole. None where nothing was done.

        Args:
            headers: Lower-case names.
            data: The request's body.
            principal: Who asks, as far as that was proved.
            peer: The address it came from, where that is known.
            local: The address it came to, where that is known.
            ends_in: Seconds from now when the caller itself ends what is not done.
        """
        engine, limits = self._engine, self._limits
        # In one process a peer's task may be the caller's own; what it hears and may do is not ours: see `Gate`.
        if (
            not self._gate.lets_by(principal, headers.get("host"), local)
            or listener() is not None
            or granted_scopes()
            or len(data) > limits.body_bytes
            or self._under_way.now >= self._under_way.at_most
            or ((accept := headers.get("accept")) is not None and accept != _JSON and MEDIA_TYPE in accept)
        ):
            return None
        try:
            if headers.get("content-type") != _JSON or "content-encoding" in headers:
                fields.require_json_type(headers)
            envelope = orjson.loads(data)
            if envelope.__class__ is not dict:
                return None
            digest, spelt = envelope.get("protocolDigest"), envelope.get("protocolHash")
            body, key = envelope.get("body"), envelope.get("idempotencyKey")
            named = headers.get("idempotency-key")
            if (
                body.__class__ is dict
                and digest.__class__ is str
                and spelt.__class__ is str
                and len(envelope) == (_BARE if key is None else _KEYED)
                and (named is None if key is None else named in (None, key) and _PLAIN_KEY.fullmatch(key))
            ):
                # As agents of this package write it: two spellings, a body, and a key that is plainly one.
                hashes = fields.hashes_of(digest, spelt)
                seen = False
            else:
                if body.__class__ is not dict or not nests_within(data, MAX_DEPTH):
                    return None
                hashes, key = _spelt(envelope, headers)
                seen = True
            preferred, seconds = self._preferred
            if headers.get("prefer") != preferred:
                seconds = limits.seconds_for(headers)
                self._preferred = headers.get("prefer"), seconds
            # Whether it still stands is looked at where it is used, which may be a turn of the loop from here.
            ready = None if seconds <= 0 else engine.ready.get(hashes) or ready_for(engine, hashes)
            if (
                ready is None
                or may_be_kept(engine, principal, key)
                or not (seen or ready.flat or is_flat(body) or nests_within(data, MAX_DEPTH))
            ):
                return None
        except Exception:  # noqa: BLE001 - whatever it is, the doors meet it again, and say it
            return None
        # Who was allowed it by this table, and has no token, is: as `taken_by` has it.
        known = ready.allowed.get(principal) is engine.authority
        taken = ready.takes(body) if known else taken_by(engine, ready, body, principal)
        if taken is NOTHING_DONE:
            return None
        monotonic = engine.clock.monotonic
        asked: _Asked = (headers, envelope, hashes, principal, peer)
        return self._answered(asked, ready, taken, monotonic() + seconds, ends_in is None or seconds < ends_in, True)

    def handed(
        self,
        principal: str,
        peer: str,
        body: JsonObject,
        hashes: tuple[str, ...],
        key: str,
        data: bytes,
        size: int,
        seconds: float,
        /,
    ) -> Coroutine[Any, Any, JsonObject | WireReply] | None:
        """`begun`, for a caller in this process and event loop who hands over the message itself.

        See `negotiator.wire.TakesMessages`; before that come who asks, and what the place is called that it came from.
        """
        engine, limits = self._engine, self._limits
        if (
            not self._gate.lets_by(principal, None, None)
            or granted_scopes()
            or size > limits.body_bytes
            or self._under_way.now >= self._under_way.at_most
        ):
            return None
        try:
            ready = engine.ready.get(hashes) or ready_for(engine, hashes)
            if (
                ready is None
                or may_be_kept(engine, principal, key)
                or not (ready.flat or is_flat(body) or nests_within(data, MAX_DEPTH))
            ):
                return None
        except StoreUnusable:
            return None
        # Who was allowed it by this table, and has no token, is: as `taken_by` has it.
        known = ready.allowed.get(principal) is engine.authority
        taken = ready.takes(body) if known else taken_by(engine, ready, body, principal)
        if taken is NOTHING_DONE:
            return None
        own, monotonic = limits.seconds < seconds, engine.clock.monotonic
        asked: _Asked = (_NO_HEADERS, {"body": body, "idempotencyKey": key}, hashes, principal, peer)
        return self._answered(asked, ready, taken, monotonic() + (limits.seconds if own else seconds), own, False)

    async def _answered(
        self,
        asked: _Asked,
        ready: Ready,
        taken: Any,
        ends: float,
        timed: bool,  # noqa: FBT001 - each warm request comes here
        written: bool,  # noqa: FBT001
    ) -> Any:
        # A second timer is set up only where the deadline comes before that of whoever waits in this process.
        engine, room = self._engine, self._under_way
        _, envelope, hashes, principal, peer = asked
        caller, document = (peer or "" if principal == ANONYMOUS else principal), hashes[0]
        try:
            room.enter(caller, document)
            try:
                if not ready.stands(engine):
                    return await self._handed_on(asked, ends, answer)
                work = answer_warm(engine, ready, taken, envelope["body"], principal, ends, (), written)
                made = await (by(Deadline(ends, engine.clock), work) if timed else work)
                if made is NOTHING_DONE:
                    return await self._handed_on(asked, ends, by_ladder)
            except ResultUnread as unread:
                return await self._handed_on(asked, ends, partial(take_up, unread=unread))
            finally:
                room.leave(caller, document)
            if made.__class__ is bytes:
                return _success_written(made, "routine")
            if made.__class__ is dict:
                if not written:
                    return made if ready.moves_back else _rewritten(made)
                data = orjson.dumps(made) if ready.moves_back else write(made)
                return _success_written(data, "routine")
            return STANDARD_2025.encode_reply(Reply(status="success", body=made, tier="routine"), _request(asked)).body
        except OutOfTime:
            failed: Exception = DeadlinePassed()
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            failed = error
        return marked(STANDARD_2025.encode_reply(rendered(failed), _request(asked)))

    async def _handed_on(self, asked: _Asked, ends: float, to: Callable[..., Coroutine[Any, Any, Reply]]) -> WireReply:
        request, (*_, principal, peer) = _request(asked), asked
        deadline = Deadline(ends, self._engine.clock)
        context = ExchangeContext(dialect=STANDARD_2025.name, deadline=deadline, principal=principal, peer=peer)
        reply = await by(deadline, to(self._engine, request, context))
        return marked(STANDARD_2025.encode_reply(reply, request))


def _rewritten(made: JsonObject) -> JsonObject:
    """The same, once it is sure to be as plain as what is read from bytes. Raises `ValueError`."""
    write(made)
    return made


def _spelt(envelope: JsonObject, headers: Mapping[str, str]) -> tuple[tuple[str, ...], str | None]:
    """The hashes and the key of an envelope of other fields than ours; no hashes where it is not for the short way.

    Raises `Malformed`.
    """
    hashes, key = fields.read_hashes(envelope), fields.read_idempotency_key(envelope, headers)
    fields.read_sources(envelope)
    if told_by(envelope) is not STANDARD_2025 or fields.read_multiround(envelope):
        return (), None
    return hashes, key


def _request(asked: _Asked) -> Request:
    """The same as the dialect reads it."""
    headers, envelope, hashes, _, _ = asked
    sources, key = fields.read_sources(envelope), fields.read_idempotency_key(envelope, headers)
    return Request(body=envelope["body"], hashes=hashes, sources=sources, idempotency_key=key)
