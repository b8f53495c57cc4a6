"""Refusing below the application what comes faster than it can be begun, in uvicorn's protocol on httptools.

A refusal inside the application costs most of what an answer does: at three times what a process can answer it would
do nothing but refuse, and late. Here a request is parsed, and answered with bytes that are ready.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from negotiator.admission import Backlog
from negotiator.dialects.agora import STANDARD_2025, refusal
from negotiator.errors import Overloaded
from negotiator.serving import ENGINE, ENGINE_HEADER

App = Callable[..., Awaitable[None]]


def _busy() -> bytes:
    wire = STANDARD_2025.encode_reply(refusal(Overloaded.code, retry_after=Overloaded().retry_after), None)
    headers = {**wire.headers, ENGINE_HEADER: ENGINE, "content-length": str(len(wire.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {wire.status} Service Unavailable\r\n{lines}\r\n".encode() + wire.body


_BUSY: Final = _busy()


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

    def __init__(self, *, backlog: Backlog, **options: Any) -> None:
        super().__init__(**options)
        self._backlog = backlog
        self._refusing = False

    def on_headers_complete(self) -> None:
        """Take the request, or refuse it once it is whole."""
        before: Any = self.cycle
        alone = before is None or before.response_complete
        # What waits for a sign to send its body, and what is no exchange, is left to the application.
        exchange = alone and not self.expect_100_continue and self.parser.get_method() == b"POST"
        if not exchange or self._backlog.takes(time.monotonic()):
            super().on_headers_complete()
            return
        self.cycle = _Dropped  # type: ignore[assignment]
        self._refusing = True
        self.loop.call_soon(self._end_of_refusal)

    def on_message_complete(self) -> None:
        """Answer what is refused and whole."""
        if not self._refusing:
            super().on_message_complete()
            return
        self._refusing = False
        self.transport.write(_BUSY)
        if self.parser.should_keep_alive():
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


def shedding(app: App, backlog: Backlog | None = None) -> tuple[App, Callable[..., Any]]:
    """An application, and the protocol that refuses on its behalf what it cannot begin soon enough."""
    backlog = backlog or Backlog()

    async def begun(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            backlog.begins(time.monotonic())
        await app(scope, receive, send)

    return begun, partial(Shedding, backlog=backlog)
