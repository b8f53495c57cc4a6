"""The receiver's edge: from a peer's bytes to one `Request`, and from one `Reply` to bytes in the peer's dialect.

    POST   /                    an exchange, or the opening of a conversation
    POST   /conversations/{id}  a follow-up
    DELETE /conversations/{id}  the end of one
    GET    /wellknown           what is listed; also /.wellknown, as the standards before 2025 had it
    GET    /documents/{hash}    the exact bytes of a listed document, by any spelling of its hash

What answers is handed in, and so is all that is remembered.
"""

import logging
import re
import traceback
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

from negotiator.admission import UnderWay
from negotiator.clock import Clock, Deadline
from negotiator.conversations import Conversation, Conversations, Turn
from negotiator.dialects.agora import STANDARD_2025, AgoraDialect, read, refusal
from negotiator.dialects.agora.listing import write_listing
from negotiator.dialects.base import Refused
from negotiator.errors import DeadlinePassed, NegotiatorError, Overloaded, ToolFailed
from negotiator.in_time import OutOfTime, by
from negotiator.messages import PeerClass, Reply, Request
from negotiator.wire import ANONYMOUS, WireReply, WireRequest
from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import DocumentError, MalformedHash
from protocol_docs.hashes import parse_hash

ENGINE_HEADER: Final = "agora-engine"
"""Says on each reply whose engine this is, so that agents of this package know each other."""
ENGINE: Final = "metaparley"
BODY_BYTES_HEADER: Final = "agora-max-body-bytes"
"""Says on the listing how many bytes a request's body may have, so that nobody sends more for nothing."""

_log = logging.getLogger(__name__)
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*([0-9]{1,6})\b", re.IGNORECASE)
_LISTINGS: Final = ("/wellknown", "/.wellknown")
_CONVERSATIONS: Final = "/conversations/"
_DOCUMENTS: Final = "/documents/"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeContext:
    """What is known about a request beside what it says."""

    dialect: str
    """The dialect it came in."""
    deadline: Deadline
    history: tuple[Turn, ...] = ()
    """The conversation so far, (role, text), oldest first; without the request at hand."""
    principal: str = ANONYMOUS
    """Who asks, as far as that was proved."""
    peer: str | None = None
    """The address it came from, where the transport knows."""

    @property
    def peer_class(self) -> PeerClass:
        """Whose request it is, as far as that was proved."""
        return "stranger" if self.principal == ANONYMOUS else "known"


@dataclass(frozen=True, slots=True)
class Listed:
    """A document that this agent lists."""

    document: ProtocolDocument
    sources: tuple[str, ...] = ()
    """Where it is to be had; empty: in the listing itself, as a data URI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one agent takes from its peers."""

    body_bytes: int = 1_048_576
    """Bytes of a request's body."""
    seconds: float = 60.0
    """From the arrival of a request to its reply; a peer may ask for less (`Prefer: wait=5`, RFC 7240)."""
    under_way: int = 128
    """Requests at a time; more are answered that there is too much work. `negotiator.admission` divides them."""

    def seconds_for(self, headers: Mapping[str, str]) -> float:
        """The seconds that a request with these headers has."""
        preferred = headers.get("prefer")
        asked = None if preferred is None else _asked_to_wait(preferred)
        return self.seconds if asked is None else min(self.seconds, asked)


Answer: TypeAlias = Callable[[Request, ExchangeContext], Coroutine[Any, Any, Reply]]
"""What an agent does with a request. It may raise; the peer then gets its dialect's word for the error."""
Listing: TypeAlias = Callable[[], Mapping[str, Listed]]
"""What an agent lists at the moment, by `sha256:<hex>`."""


class AgoraDoor:
    """An agent as its peers see it over Agora: a `WireHandler`. Safe to call from many tasks of one event loop."""

    def __init__(
        self,
        answer: Answer,
        *,
        listing: Listing,
        conversations: Conversations,
        clock: Clock,
        limits: DoorLimits | None = None,
        under_way: UnderWay | None = None,
    ) -> None:
        """Answer with `answer`, list `listing()`, keep conversations in `conversations`.

        `under_way` is shared with the other doors of the same agent; the limits' own number counts without it.
        """
        self._answer = answer
        self._listing = listing
        self._conversations = conversations
        self._clock = clock
        self._limits = limits or DoorLimits()
        self._under_way = under_way or UnderWay(self._limits.under_way)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request, with an error in the peer's dialect where need be; raises only on cancellation."""
        return marked(await self._route(wire))

    @property
    def body_bytes(self) -> int:
        """Bytes of a request's body; a transport in front of this should hold to it before it reads."""
        return self._limits.body_bytes

    def refuse(self, code: str) -> WireReply:
        """The reply to a request that its transport did not take, such as `too_large`, unread."""
        return marked(_refuse(code))

    async def _route(self, wire: WireRequest) -> WireReply:
        if wire.path == "/" and wire.method == "POST" and len(wire.body) <= self._limits.body_bytes:
            return await self._exchange(wire)
        path = wire.path.partition("?")[0] or "/"
        if path in _LISTINGS or path.startswith(_DOCUMENTS):
            if wire.method not in ("GET", "HEAD"):
                return _refuse("method_not_allowed", allow="GET, HEAD")
            return self._list() if path in _LISTINGS else self._document(path.removeprefix(_DOCUMENTS))
        allowed = "POST" if path == "/" else "POST, DELETE" if path.startswith(_CONVERSATIONS) else ""
        if not allowed:
            return _refuse("not_found")
        if wire.method not in allowed.split(", "):
            return _refuse("method_not_allowed", allow=allowed)
        if len(wire.body) > self._limits.body_bytes:
            return _refuse("too_large")
        return await self._exchange(wire)

    # --- documents ---

    def _list(self) -> WireReply:
        try:
            body = write_listing((listed.document, listed.sources) for listed in self._listing().values())
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            return STANDARD_2025.encode_reply(rendered(error), None)
        headers = {"content-type": "application/json", BODY_BYTES_HEADER: str(self._limits.body_bytes)}
        return WireReply(headers=headers, body=body)

    def _document(self, spelling: str) -> WireReply:
        try:
            named = parse_hash(spelling)
            found = [listed.document for listed in self._listing().values() if named in listed.document.aliases]
        except MalformedHash:
            return _refuse("not_found")
        except Exception as error:  # noqa: BLE001 - as above
            return STANDARD_2025.encode_reply(rendered(error), None)
        # Two documents on one SHA-1: neither is named by it.
        if len(found) != 1:
            return _refuse("not_found")
        headers = {
            "content-type": "text/plain; charset=utf-8",
            # The bytes of a hash never change, and a stranger's text is nothing for a browser to run.
            "cache-control": "public, max-age=31536000, immutable",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
        }
        return WireReply(headers=headers, body=found[0].data)

    # --- exchanges ---

    async def _exchange(self, wire: WireRequest) -> WireReply:
        dialect, envelope = read(wire.body)
        if self._under_way.full:
            return dialect.encode_reply(rendered(Overloaded()), None)
        request: Request | None = None
        try:
            request = dialect.decode_request(wire, envelope)
            with self._under_way.of(wire.principal, wire.peer, request.hashes[0] if request.hashes else ""):
                return await self._admitted(wire, dialect, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            return dialect.encode_reply(rendered(error), request)

    async def _admitted(self, wire: WireRequest, dialect: AgoraDialect, request: Request) -> WireReply:
        """One exchange that there is room for; raises only on cancellation."""
        opened: Conversation | None = None
        principal = wire.principal
        try:
            if request.kind == "close":
                self._conversations.close(request.conversation or "", principal=principal)
                return dialect.encode_reply(Reply(status="success"), request)
            if request.conversation is not None:
                opened = self._conversations.resume(request, principal=principal)
                request = replace(request, hashes=opened.hashes or request.hashes, kind=opened.kind, multiround=True)
            elif request.multiround:
                opened = self._conversations.open(request, principal=principal)
            context = ExchangeContext(
                dialect=dialect.name,
                deadline=Deadline.after(self._limits.seconds_for(wire.headers), self._clock),
                history=opened.history if opened else (),
                principal=principal,
                peer=wire.peer,
            )
            reply = await in_time(self._answer, request, context)
            if opened is not None:
                if reply.status == "success":
                    opened = self._conversations.record(opened, request.body, reply.body)
                reply = _of(reply, opened)
            return dialect.encode_reply(reply, request)
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            return dialect.encode_reply(_of(rendered(error), opened), request)


@lru_cache(256)
def _asked_to_wait(preferred: str) -> float | None:
    """The seconds of a `Prefer` header (RFC 7240, 4.3)."""
    asked = _WAIT.search(preferred)
    return float(asked[1]) if asked else None


async def in_time(answer: Answer, request: Request, context: ExchangeContext) -> Reply:
    """The answer by the context's deadline. Raises what `answer` does, and `DeadlinePassed`."""
    context.deadline.require()
    try:
        return await by(context.deadline, answer(request, context))
    except OutOfTime:
        raise DeadlinePassed from None


def marked(wire: WireReply) -> WireReply:
    """A reply that says whose engine this is."""
    headers = {**wire.headers, ENGINE_HEADER: ENGINE}
    return WireReply(status=wire.status, headers=headers, body=wire.body, chunks=wire.chunks)


def _of(reply: Reply, conversation: Conversation | None) -> Reply:
    if conversation is None:
        return reply
    return replace(reply, conversation=conversation.id, conversation_expires=conversation.expires)


def _refuse(code: str, *, allow: str | None = None) -> WireReply:
    """The answer to what is no exchange, in the standard's dialect: there is nothing to tell another from."""
    wire = STANDARD_2025.encode_reply(refusal(code), None)
    return wire if allow is None else replace(wire, headers={**wire.headers, "allow": allow})


def rendered(error: Exception) -> Reply:
    """What a peer hears of an error, in any dialect. The log gets its type and place; the message may hold a payload."""
    if isinstance(error, Refused):
        return refusal(error.code, text=str(error))
    if isinstance(error, Overloaded):
        return refusal(error.code, retry_after=error.retry_after)
    if isinstance(error, ToolFailed):
        return refusal(error.code, text=error.for_peer)
    expected = isinstance(error, NegotiatorError | DocumentError)
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = f"{place[0].filename}:{place[0].lineno}" if place else "an unknown place"
    _log.log(logging.INFO if expected else logging.ERROR, "a request ended in %s at %s", type(error).__name__, where)
    _log.debug("the error of that request", exc_info=error)
    return refusal(error.code if isinstance(error, NegotiatorError | DocumentError) else "internal_error")
