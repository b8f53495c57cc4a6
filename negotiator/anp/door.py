"""ANP as one more door of an agent: where it is found, what it shows, how it is negotiated with and called.

GET  /.well-known/agent-descriptions   the agents here (ANP-08)
GET  /anp/ad.json                      the agent's description (ANP-07)
GET  /anp/interface.json               its tools as OpenRPC; /anp/words.json, natural language
GET  /anp/artifacts/{digest}           a protocol artifact; below it request.json and response.json
POST /anp                              anp.get_capabilities and anp.negotiate (P1, ANP-06)
POST /anp/rpc                          business calls; /anp/words, natural language
"""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from negotiator.admission import UnderWay
from negotiator.anp.calls import Calls
from negotiator.anp.offer import WORDS_CALLS, Offer
from negotiator.anp.server import AnpServer
from negotiator.answer import answer
from negotiator.clock import Clock, Deadline
from negotiator.dialects.addresses import ANP_PAGE, ANP_PATH
from negotiator.dialects.anp.binding import Plain, is_binary, read_call, read_plain
from negotiator.dialects.anp.errors import binary_refused, refusal
from negotiator.dialects.anp.words import (
    ARTIFACTS,
    CALLS,
    DESCRIPTION,
    INTERFACE,
    TIER_HEADER,
    WORDS,
)
from negotiator.dialects.json_rpc import INTERNAL_ERROR, INVALID_REQUEST, RpcError, error, result, to_bytes
from negotiator.engine import Engine
from negotiator.errors import NotAllowed, Overloaded
from negotiator.identity.checker import Checker
from negotiator.identity.identity import Identity
from negotiator.jsonvalue import JsonValue
from negotiator.messages import Reply
from negotiator.serving import DoorLimits, ExchangeContext, Listing, rendered
from negotiator.wire import ANONYMOUS, WireReply, WireRequest

MAX_KEY: Final = 255
_HEADERS: Final = {"content-type": "application/json"}
_REFUSALS: Final = {
    "too_large": (413, "the message is too large"),
    "slow_request": (408, "the message did not come in time"),
    "method_not_allowed": (405, "this method is not taken here"),
    "not_found": (404, "there is nothing here"),
}


class AnpDoor:
    """A `WireHandler` of ANP."""

    def __init__(
        self, server: AnpServer, calls: Calls, *, clock: Clock, limits: DoorLimits, under_way: UnderWay
    ) -> None:
        """Negotiate with `server`, call through `calls`, as long as `under_way` has room."""
        self._server = server
        self._calls = calls
        self._offer = server.offer
        self._clock = clock
        self._limits = limits
        self._under_way = under_way

    @property
    def body_bytes(self) -> int:
        """Bytes that a message may have."""
        return self._limits.body_bytes

    def refuse(self, code: str) -> WireReply:
        """The reply to what is refused before it is read as a message."""
        status, words = _REFUSALS[code]
        return _error(RpcError(INVALID_REQUEST, words), status=status)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request; raises only on cancellation."""
        path = wire.path.partition("?")[0]
        if path in (ANP_PATH, CALLS, WORDS_CALLS):
            if wire.method != "POST":
                return self.refuse("method_not_allowed")
            if len(wire.body) > self._limits.body_bytes:
                return self.refuse("too_large")
            return await self._answered(wire, path)
        if wire.method not in ("GET", "HEAD"):
            return self.refuse("method_not_allowed")
        try:
            shown = await self._shown(path, self._offer.base(wire.base))
        except Exception as problem:  # noqa: BLE001 - whatever it is, callers get one sentence and the log its place
            return _error(RpcError(INTERNAL_ERROR, rendered(problem).error or ""), status=500)
        return self.refuse("not_found") if shown is None else WireReply(headers=_HEADERS, body=shown)

    async def _shown(self, path: str, base: str) -> bytes | None:
        if path.startswith(ARTIFACTS):
            return await self._offer.artifact(path, base)
        words = self._offer.words(base) if path == WORDS else None
        match path:
            case _ if path == ANP_PAGE:
                return self._offer.page(base)
            case _ if path == DESCRIPTION:
                return await self._offer.description(base)
            case _ if path == INTERFACE:
                return to_bytes(self._offer.interface(base))
            case _ if words is not None:
                return to_bytes(words)
        return None

    async def _answered(self, wire: WireRequest, path: str) -> WireReply:
        identifier: str | None = None
        try:
            if is_binary(wire.body):
                raise binary_refused()  # noqa: TRY301 - one place says errors
            key = wire.headers.get("idempotency-key")
            if key is not None and not 0 < len(key) <= MAX_KEY:
                raise refusal(1003, f"the idempotency key is no text of 1 to {MAX_KEY} characters")  # noqa: TRY301
            context = self._context(wire)
            if path == ANP_PATH:
                call = read_call(wire.body)
                identifier = call.id
                with self._under_way.of(wire.principal, wire.peer, call.method):
                    return _result(await self._server.answered(call, context, self._offer.base(wire.base)), call.id)
            plain = read_plain(wire.body)
            identifier = plain.id
            run: Callable[[Plain, ExchangeContext, str | None], Awaitable[Reply]]
            run = self._calls.structured if path == CALLS else self._calls.in_words
            with self._under_way.of(wire.principal, wire.peer, plain.method if path == CALLS else ""):
                reply = await run(plain, context, key)
            return _result(reply.body, plain.id, reply.tier)
        except RpcError as problem:
            problem.id = identifier if problem.id is None else problem.id
            return _error(problem)
        except Overloaded as busy:
            full = refusal(1012, "there is too much work: try again later", id=identifier)
            return _error(full, status=503, retry_after=busy.retry_after)
        except NotAllowed as problem:
            code = 1005 if wire.principal == ANONYMOUS else 1006
            return _error(refusal(code, str(problem), id=identifier))
        except Exception as problem:  # noqa: BLE001 - as above
            return _error(RpcError(INTERNAL_ERROR, rendered(problem).error or "", id=identifier), status=500)

    def _context(self, wire: WireRequest) -> ExchangeContext:
        return ExchangeContext(
            dialect="anp",
            deadline=Deadline.after(self._limits.seconds, self._clock),
            principal=wire.principal,
            peer=wire.peer,
        )


def door_of(
    engine: Engine,
    listing: Listing,
    limits: DoorLimits,
    under_way: UnderWay,
    *,
    identity: Identity | None,
    checker: Checker | None,
) -> AnpDoor:
    """The ANP door of an agent. Without an `identity` it is described and called, and negotiates with nobody."""
    offer = Offer(engine, listing, identity, limits.body_bytes, since=engine.clock.time())
    answers = partial(answer, engine)
    server = AnpServer(offer, answers, checker)
    return AnpDoor(server, Calls(offer, answers), clock=engine.clock, limits=limits, under_way=under_way)


def _result(value: JsonValue, identifier: str, tier: str | None = None) -> WireReply:
    headers = _HEADERS if tier is None or tier == "unknown" else {**_HEADERS, TIER_HEADER: tier}
    return WireReply(headers=headers, body=to_bytes(result(value, identifier)))


def _error(problem: RpcError, *, status: int = 200, retry_after: float | None = None) -> WireReply:
    # What JSON-RPC says is in the body: the SDK takes any other status for a failure of HTTP, and reads no further.
    headers = _HEADERS if retry_after is None else {**_HEADERS, "retry-after": str(math.ceil(retry_after))}
    return WireReply(status=status, headers=headers, body=to_bytes(error(problem)))
