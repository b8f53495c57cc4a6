"""Refusing below the application what comes faster than it can be begun, in uvicorn's protocol on httptools.

A refusal inside the application costs most of what an answer does: at three times what a process can answer it would
do nothing but refuse, and late. Here a request is parsed, and answered with bytes that are ready. While more come than
that can be done for, one that is whole and plain is not parsed either: where it ends is all that is read of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from negotiator.admission import Backlog
from negotiator.dialects.agora import STANDARD_2025, refusal
from negotiator.errors import Overloaded
from negotiator.serving import ENGINE, ENGINE_HEADER

HEAD_SECONDS: Final = 20.0
"""How long the head of a request may take to come, from when it is waited for. Uvicorn itself waits for ever."""
_DIGITS: Final = 9
"""Of a length that is read here; a loop hands over less than that at once."""
_TAKEN: Final = "negotiator.taken"
"""In the scope of a request that the backlog counts."""

App = Callable[..., Awaitable[None]]


def _busy() -> bytes:
    wire = STANDARD_2025.encode_reply(refusal(Overloaded.code, retry_after=Overloaded().retry_after), None)
    headers = {**wire.headers, ENGINE_HEADER: ENGINE, "content-length": str(len(wire.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {wire.status} Service Unavailable\r\n{lines}\r\n".encode() + wire.body


_BUSY: Final = _busy()


def is_whole(data: bytes) -> bool:
    """Whether bytes are one POST and no more, of a length that can be said in one way, on a connection that stays.

    Whatever is said twice, or otherwise than clients write it, is for the parser to read (RFC 9112, sections 6 and 9.3).
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"POST "):
        return False
    head = data[: end + 2].lower()
    at = head.find(b"\r\ncontent-length: ")
    if (
        at < 0
        or not head[: head.find(b"\r\n")].endswith(b" http/1.1")
        or head.count(b"content-length") != 1
        or b"transfer-encoding" in head
        or b"\r\nexpect:" in head
        or head.count(b"\r\nconnection:") != head.count(b"\r\nconnection: keep-alive\r\n")
        or head.count(b"\n") != head.count(b"\r\n")
    ):
        return False
    said = head[at + 18 : head.find(b"\r\n", at + 18)]
    return said.isdigit() and len(said) <= _DIGITS and len(data) == end + 4 + int(said)


class _Dropped:
    """Stands for the exchange of a request that is refused: uvicorn drops the body of one that is complete."""

    response_complete = True
    keep_alive = True

    class message_event:  # noqa: N801 - uvicorn's name
        @staticmethod
        def set() -> None:
            """Nobody waits."""


class Shedding(HttpToolsProtocol):
    """Uvicorn's protocol, with a backlog that says what is refused."""

    cycle: Any
    """What is under way on this connection: uvicorn's exchange, or what stands for one here and has what it looks at."""
    scope: Any
    """Of the request that comes, with one member that uvicorn's type does not name."""

    def __init__(self, *, backlog: Backlog, methods: Collection[bytes] = (b"POST",), **options: Any) -> None:
        super().__init__(**options)
        self._methods = methods
        self._backlog = backlog
        self._refusing = False
        self._amid = False
        """Whether the parser is in the middle of a request."""
        self._head_since: float | None = None
        self._idle_since: float | None = None
        """Since when nothing is under way, where that is not uvicorn's to watch."""
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self._head_since = self.loop.time()
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look_again(self) -> None:
        self._watch = self.loop.call_later(min(HEAD_SECONDS, self.timeout_keep_alive), self._look)

    def _look(self) -> None:
        # One timer a connection, and none a request: so what is waited for may take up to twice as long.
        now = self.loop.time()
        head, idle = self._head_since, self._idle_since
        if (head is not None and now - head >= HEAD_SECONDS) or (
            idle is not None and now - idle >= self.timeout_keep_alive
        ):
            self.transport.close()
        else:
            self._look_again()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._backlog.crowded and not (self._amid or self.flow.write_paused) and self._alone() and is_whole(data):
            self._backlog.refused()
            self._unset_keepalive_if_required()
            self.transport.write(_BUSY)
            self._head_since, self._idle_since = None, self.loop.time()
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        """The head of a request has begun to come."""
        self._amid = True
        self._head_since, self._idle_since = self.loop.time(), None
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Take the request, or refuse it once it is whole."""
        self._head_since = None
        # What waits for a sign to send its body, and what is no exchange, is left to the application.
        exchange = self._alone() and not self.expect_100_continue and self.parser.get_method() in self._methods
        if not exchange:
            super().on_headers_complete()
        elif self._backlog.takes(time.monotonic()):
            self._hand_over()
        else:
            self._refuse()

    def _alone(self) -> bool:
        """Whether no other request of this connection is under way."""
        before = self.cycle
        return before is None or before.response_complete

    def _hand_over(self) -> None:
        """Have the application answer what the backlog has taken."""
        before = self.cycle
        self.scope[_TAKEN] = True
        try:
            HttpToolsProtocol.on_headers_complete(self)
        finally:
            # A target that cannot be read is answered by uvicorn, and never begun here.
            if self.cycle is before:
                self._backlog.begins(time.monotonic())

    def _refuse(self) -> None:
        self.cycle = _Dropped
        self._refusing = True
        self.loop.call_soon(self._end_of_refusal)

    def on_message_complete(self) -> None:
        """Answer what is refused and whole."""
        self._amid = False
        if not self._refusing:
            super().on_message_complete()
            return
        self._refusing = False
        self.transport.write(_BUSY)
        # Who does not read what is answered is not answered for ever.
        if self.parser.should_keep_alive() and not self.flow.write_paused:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()

    def _end_of_refusal(self) -> None:
        # The rest of a long body is not waited for.
        if self._refusing:
            self.transport.write(_BUSY)
            self.transport.close()


def shedding(
    app: App, backlog: Backlog | None = None, protocol: type[Shedding] = Shedding, **options: Any
) -> tuple[App, Callable[..., Any]]:
    """An application, and the protocol that refuses on its behalf what it cannot begin soon enough.

    `options` are those of `protocol`, such as the methods of what it refuses.
    """
    backlog = backlog or Backlog()

    async def begun(scope: Any, receive: Any, send: Any) -> None:
        if scope.pop(_TAKEN, False):
            backlog.begins(time.monotonic())
        await app(scope, receive, send)

    return begun, partial(protocol, backlog=backlog, **options)
