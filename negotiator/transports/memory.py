"""Agents in one process, without a network: addresses are names, and every way to fail can be had on demand."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias, TypeVar

from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.in_time import OutOfTime, by, rest
from negotiator.transports.asgi import WarmDoors
from negotiator.wire import ANONYMOUS, WireHandler, WireReply, WireRequest, success_of

Fault: TypeAlias = Literal["unreachable", "hang_up_before", "hang_up_after", "silence"]
"""What becomes of a request: nothing is sent; it is sent and lost; it is handled and the reply is lost; it is sent
and nothing comes until the deadline."""

T = TypeVar("T")

PEER: Final = "memory"
"""Where requests come from, as agents are told."""


class _ShortWay(NamedTuple):
    """The short way past an agent's doors."""

    begun: Callable[..., Coroutine[Any, Any, bytes | WireReply] | None]
    """See `WarmDoors.begun`."""
    reads: frozenset[str]
    """The headers that a request may have there."""
    head: Mapping[str, str]
    """The headers of each success."""


_NO_WAY: Final = _ShortWay(begun=lambda *_: None, reads=frozenset(), head=MappingProxyType({}))


class MemoryTransport:
    """A `Transport` over a dict of base addresses. One may be shared by every agent of a test."""

    sets_timers: Final = True
    """See `negotiator.wire.InTime`."""

    def __init__(self, agents: Mapping[str, WireHandler] | None = None, *, reply_bytes: int = 1_048_576) -> None:
        """Reach `agents` by base address; refuse replies over `reply_bytes`."""
        self._agents: dict[str, WireHandler] = {}
        self._warm: dict[str, _ShortWay] = {}
        self._faults: dict[str, deque[Fault | None]] = {}
        self._reply_bytes = reply_bytes
        for base_url, handler in (agents or {}).items():
            self.serve(base_url, handler)

    def serve(self, base_url: str, handler: WireHandler) -> None:
        """Have `handler` answer at `base_url` from now on."""
        self._agents[_bare(base_url)] = handler
        self._warm.pop(_bare(base_url), None)
        if isinstance(handler, WarmDoors):
            self._warm[_bare(base_url)] = _ShortWay(
                begun=handler.begun,
                reads=frozenset(name.decode() for name in handler.reads),
                head=MappingProxyType({name.decode(): value.decode() for name, value in handler.head}),
            )

    def addresses(self) -> tuple[str, ...]:
        """The base addresses at which somebody answers."""
        return tuple(self._agents)

    def withdraw(self, base_url: str) -> None:
        """Have nobody answer at `base_url` any more."""
        self._agents.pop(_bare(base_url), None)
        self._warm.pop(_bare(base_url), None)

    def fail(self, base_url: str, *faults: Fault | None) -> None:
        """Let the next requests to `base_url` go these ways, one each, in order; None is no fault."""
        self._faults.setdefault(_bare(base_url), deque()).extend(faults)

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`."""
        way = self._warm.get(base_url) or self._warm.get(_bare(base_url)) or _NO_WAY
        # What is called is taken out first: see `ready_to_answer.ByRoutine.takes`.
        (begins, reads, head), headers, monotonic = way, request.headers, deadline.clock.monotonic
        if (
            not self._faults
            and request.path == "/"
            and request.method == "POST"
            and headers.keys() <= reads
            and (left := deadline.at - monotonic()) > 0
            and (begun := begins(headers, request.body, ANONYMOUS, PEER, None, left)) is not None
        ):
            # As `by` does it, without a frame around what mostly does not wait.
            try:
                waits = begun.send(None)
            except StopIteration as done:
                made = done.value
            else:
                made = await _rest(deadline, begun, waits)
            return self._whole(success_of(head, made) if made.__class__ is bytes else made)
        reply = await self.open(base_url, request, deadline=deadline)
        if reply.chunks is None:
            return reply
        async with aclosing(reply.chunks) as chunks:
            body = b"".join([part async for part in chunks])
        return replace(reply, body=body, chunks=None)

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`; a reply that its handler made whole comes whole."""
        left = deadline.remaining()
        handler = self._agents.get(_bare(base_url))
        faults = self._faults.get(_bare(base_url))
        fault = faults.popleft() if faults else None
        if handler is None or fault == "unreachable" or left <= 0:
            raise PeerUnreachable(f"nobody answers at {base_url}" if left > 0 else "no time was left to send")
        try:
            reply = await by(deadline, self._handled(handler, base_url, request, fault))
        except OutOfTime:
            raise PeerHungUp("no reply by the deadline") from None
        if fault == "hang_up_after":
            raise PeerHungUp("the peer hung up after it handled the request")
        self._whole(reply)
        if reply.chunks is not None:
            return replace(reply, chunks=self._in_parts(reply.chunks, deadline))
        return reply

    def _whole(self, reply: WireReply) -> WireReply:
        if len(reply.body) > self._reply_bytes:
            raise PeerMisspoke(f"a reply of more than {self._reply_bytes} bytes")
        return reply

    async def _handled(
        self, handler: WireHandler, base_url: str, request: WireRequest, fault: Fault | None
    ) -> WireReply:
        if fault == "hang_up_before":
            raise PeerHungUp("the peer hung up before it handled the request")
        if fault == "silence":
            await asyncio.Event().wait()
        return await handler(
            WireRequest(
                method=request.method,
                path=request.path,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.body,
                peer=PEER,
                base=_bare(base_url),
            )
        )

    async def _in_parts(self, chunks: AsyncGenerator[bytes, None], deadline: Deadline) -> AsyncGenerator[bytes, None]:
        size = 0
        async with aclosing(chunks):
            while True:
                try:
                    async with asyncio.timeout(max(deadline.remaining(), 0)) as timer:
                        part = await anext(chunks, None)
                except TimeoutError:
                    if timer.expired():
                        raise PeerHungUp("no whole reply by the deadline") from None
                    raise
                if part is None:
                    return
                size += len(part)
                if size > self._reply_bytes:
                    raise PeerMisspoke(f"a reply of more than {self._reply_bytes} bytes")
                yield part

    async def aclose(self) -> None:
        """See `Transport.aclose`."""


async def _rest(deadline: Deadline, begun: Coroutine[Any, Any, T], waits: Any) -> T:
    try:
        return await rest(deadline, begun, waits)
    except OutOfTime:
        raise PeerHungUp("no reply by the deadline") from None


def _bare(base_url: str) -> str:
    return base_url.rstrip("/")
