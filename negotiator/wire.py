"""Bytes between agents: what a dialect makes and a transport carries.

A dialect says how bytes mean, a transport how they travel. Both meet in `WireRequest` and `WireReply`,
which have the shape of HTTP because every dialect so far has it; other transports carry the same fields.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

from negotiator.clock import Deadline
from negotiator.jsonvalue import JsonObject

ANONYMOUS: Final = "anonymous"
"""The principal of whoever has proved nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One request as bytes."""

    method: str = "POST"
    path: str = "/"
    """Relative to the peer's base address; starts with a slash; may hold a query."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""
    peer: str | None = None
    """Where a received request came from, as its transport saw it (an address); never taken from the bytes."""
    local: str | None = None
    """Which address of this machine a received request came to, as its transport saw it."""
    target: str | None = None
    """`path` as it came, its percent-encoding untouched, where that is another text."""
    base: str | None = None
    """Where the agent itself was reached, as its transport saw it: `https://host/mount`. What its own cards name."""
    principal: str = ANONYMOUS
    """Whom a received request is made for, as far as that was proved before it got here: a DID, or `host:<name>` for
    whom the program around this one vouches. Never taken from the bytes unproved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireReply:
    """One reply as bytes."""

    status: int = 200
    """An HTTP status code."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes = b""
    chunks: AsyncGenerator[bytes, None] | None = None
    """The body in parts as they come, in place of `body`, such as server-sent events. Whoever holds the reply reads
    them to their end or closes them (`aclose`); what they wait for, an effect under way, goes on without them."""


class _OpenRequest:
    """A `WireRequest` while it is made; see `negotiator.outcome.warm_outcome`."""

    __slots__ = ("base", "body", "headers", "local", "method", "path", "peer", "principal", "target")


class _OpenReply:
    """A `WireReply` while it is made."""

    __slots__ = ("body", "chunks", "headers", "status")


def post_of(headers: Mapping[str, str], body: bytes) -> WireRequest:
    """`WireRequest(headers=headers, body=body)`, in a quarter of the time."""
    made: Any = _OpenRequest()
    made.method, made.path, made.headers, made.body, made.principal = "POST", "/", headers, body, ANONYMOUS
    made.peer = made.local = made.target = made.base = None
    made.__class__ = WireRequest
    closed: WireRequest = made
    return closed


def success_of(headers: Mapping[str, str], body: bytes) -> WireReply:
    """`WireReply(headers=headers, body=body)`, in a quarter of the time."""
    made: Any = _OpenReply()
    made.status, made.headers, made.body, made.chunks = 200, headers, body, None
    made.__class__ = WireReply
    closed: WireReply = made
    return closed


WireHandler: TypeAlias = Callable[[WireRequest], Awaitable[WireReply]]
"""An agent, seen from the wire. It answers errors as bytes and raises only on cancellation."""


@runtime_checkable
class Door(Protocol):
    """A handler with limits and words of its own for what is refused before it is read."""

    @property
    def body_bytes(self) -> int:
        """Bytes that a body may have."""
        ...

    def refuse(self, code: str) -> WireReply:
        """The reply for `too_large` and `slow_request`."""
        ...

    async def __call__(self, wire: WireRequest) -> WireReply:
        """See `WireHandler`."""
        ...


@runtime_checkable
class SeveralDoors(Protocol):
    """A handler that leads to doors by path."""

    def at(self, path: str) -> Door:
        """The door that a path, with or without a query, belongs to."""
        ...

    async def __call__(self, wire: WireRequest) -> WireReply:
        """See `WireHandler`."""
        ...


@runtime_checkable
class Transport(Protocol):
    """Carries bytes to a peer."""

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """Carry one request and return the reply, of any status.

        Raises `PeerUnreachable` where nothing was sent, `PeerHungUp` where something was and no whole reply
        came (a passed deadline included), `PeerMisspoke` where the reply is over the size limit.
        """
        ...

    async def aclose(self) -> None:
        """Release connections."""
        ...


@runtime_checkable
class StreamTransport(Transport, Protocol):
    """A transport that also hands over a reply while it comes."""

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """Carry one request and return the reply once its head is there, the body in `chunks`.

        Raises as `send` does; so do the chunks, for which the deadline and the size limit hold too. The chunks must
        be read to their end or closed.
        """
        ...


@runtime_checkable
class InTime(Transport, Protocol):
    """A transport that sets a timer of its own for each deadline, so that nobody need set a second one around it."""

    @property
    def sets_timers(self) -> bool:
        """Whether it does."""
        ...


class TakesMessages(Protocol):
    """An agent of this process and event loop, for whoever would else write the message and have it read there."""

    def __call__(
        self, body: JsonObject, hashes: tuple[str, ...], key: str, data: bytes, size: int, seconds: float, /
    ) -> Coroutine[Any, Any, JsonObject | WireReply] | None:
        """What answers a message, to be awaited at once: the body of a success, anything else as its bytes.

        None where nothing was done, and it is to travel as bytes. The body of a success is plain JSON that nobody else
        holds.

        Args:
            body: Plain JSON, of which the caller keeps nothing.
            hashes: The document's, as `dialects.agora.fields.read_hashes` gives them.
            key: The idempotency key, of A-Z a-z 0-9 - _ alone.
            data: The body's bytes, which are not read.
            size: Bytes that the whole request would have.
            seconds: How long the caller waits at most, more than none, and then ends it. Nobody hears of its events.
        """
        ...


@runtime_checkable
class HandsOver(Transport, Protocol):
    """A transport that also hands a request's message to an agent of this process, without its bytes."""

    def taker(self, base_url: str) -> TakesMessages | None:
        """Who takes messages at this address; None where nobody does, and they are to travel as bytes."""
        ...


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL; empty for what is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, standard) else "")
