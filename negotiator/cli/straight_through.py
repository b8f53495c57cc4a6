"""A warm request answered below the application: from the parser to the reply, in uvicorn's protocol on httptools.

An ASGI server makes of each request a scope, an exchange, an event and a handful of messages, which are worth more than
a warm request is. Of a request that is plainly one, whole at once and alone on its connection, nothing of that is
needed: its body goes to the short way past the agent's doors (`negotiator.warm_door`), in a task of its own as under
ASGI, and the reply leaves in one piece. Any other request is the application's from its start, and says there the same.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from negotiator.cli.shedding import Shedding
from negotiator.transports.asgi import WarmDoors, few_of
from negotiator.wire import ANONYMOUS, WireReply

BODY_BYTES: Final = 65_536
"""Of a larger body the application decides how fast it is read."""
REST_SECONDS: Final = 0.25
"""What of a body has not come with its head is waited for so long; then it is the application's, with its own limit."""
_DIGITS: Final = len(str(BODY_BYTES))
_FORWARDED: Final = b"x-forwarded-for"


class _UnderWay:
    """Stands for the exchange of a request that is answered here, with what uvicorn looks at."""

    __slots__ = ("counted", "disconnected", "keep_alive", "response_complete", "task")

    task: "asyncio.Task[None]"

    class message_event:  # noqa: N801 - uvicorn's name
        @staticmethod
        def set() -> None:
            """Nobody waits."""

    def __init__(self, *, counted: bool) -> None:
        self.counted = counted
        """Whether the backlog waits for it to begin."""
        self.disconnected = self.response_complete = False
        self.keep_alive = True


class StraightThrough(Shedding):
    """`Shedding`, with the short way for warm requests."""

    def __init__(self, *, warm: WarmDoors, **options: Any) -> None:
        super().__init__(**options)
        self._warm = warm
        self._plain = not self.root_path and self.limit_concurrency is None and not self.access_log
        self._few: dict[str, str] | None = None
        """The headers of a request that may go the short way, while its body comes."""
        self._body = b""
        self._waiting = False
        """Whether the backlog counts that request."""
        self._rest: asyncio.TimerHandle | None = None
        self._default: Any = None
        self._head = b""
        self._last: tuple[list[tuple[bytes, bytes]], dict[str, str] | None] = ([], None)
        """The headers of the last request, and what is read of them: a client mostly sends the same again."""
        self._peer: str | None = None
        """The address that it came from, as the application would be told."""
        self._proxied: Any = None

    # --- what the parser says ---

    def on_message_begin(self) -> None:
        """The head of a request has begun to come; a scope is made of it where the application is to have it."""
        self._amid = True
        self._head_since, self._idle_since = self.loop.time(), None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Take the request, or refuse it once it is whole."""
        few = self._simple()
        if few is None:
            self._describe()
            super().on_headers_complete()
            return
        self._head_since = None
        if self._backlog.takes(time.monotonic()):
            self._few, self._body, self._waiting = few, b"", True
        else:
            self._refuse()

    def _simple(self) -> dict[str, str] | None:
        """The headers that are read of a request that may go the short way; None of any other."""
        if self.url != b"/" or not self._plain or self.expect_100_continue or not self._alone():
            return None
        headers, few = self._last
        if headers != self.headers:
            few, self._peer = self._few_of(self.headers), self._from(self.headers)
            self._last = (self.headers, few)
        parser = self.parser
        simple = parser.get_method() == b"POST" and parser.get_http_version() == "1.1" and parser.should_keep_alive()
        return few if simple else None

    def _few_of(self, headers: list[tuple[bytes, bytes]]) -> dict[str, str] | None:
        few = few_of(headers, self._warm.reads) or {}
        length = few.get("content-length", "")
        # A length of its own says that the body is in no other coding.
        return few if length.isdecimal() and len(length) <= _DIGITS and int(length) <= BODY_BYTES else None

    def _from(self, headers: list[tuple[bytes, bytes]]) -> str | None:
        """The address that a request came from: the connection's, or by uvicorn's own rule what a trusted proxy says."""
        client = self.client
        if self.config.proxy_headers and any(name == _FORWARDED for name, _ in headers):
            if self._proxied is None:
                self._proxied = ProxyHeadersMiddleware(_nothing, self.config.forwarded_allow_ips)
            scope: Any = {"type": "http", "client": client, "scheme": self.scheme, "headers": headers}
            # It waits for nothing but the application, and that for nothing.
            with suppress(StopIteration):
                self._proxied(scope, _nothing, _nothing).send(None)
            client = scope["client"]
        return client and client[0]

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if self._few is None:
            HttpToolsProtocol.on_body(self, body)
        else:
            self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """Answer what may go the short way; what may not after all is the application's."""
        self._amid = False
        few = self._few
        if few is None:
            super().on_message_complete()
            return
        begun = self._warm.begun(few, self._body, ANONYMOUS, self._peer, self.server and self.server[0])
        if begun is None:
            self._give_up()
            super().on_message_complete()
            return
        self._forget()
        under_way = _UnderWay(counted=self._waiting)
        self.cycle, self._waiting = under_way, False
        under_way.task = self.loop.create_task(self._answer(begun, under_way))
        self.tasks.add(under_way.task)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        super().data_received(data)
        if self._few is not None and self._rest is None:
            self._begun()
            self._rest = self.loop.call_later(REST_SECONDS, self._give_up)

    # --- what the server says ---

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there to be answered."""
        self._begun()
        self._forget()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End, with what was accepted: what has not come whole is the application's to wait for."""
        self._give_up()
        super().shutdown()

    # --- what becomes of a request ---

    def _begun(self) -> None:
        if self._waiting:
            self._waiting = False
            self._backlog.begins(time.monotonic())

    def _forget(self) -> None:
        self._few = None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _give_up(self) -> None:
        """Let the application have the request that is held here, as far as it has come."""
        if self._few is None:
            return
        self._forget()
        self._describe()
        if self._waiting:
            self._waiting = False
            self._hand_over()
        else:
            HttpToolsProtocol.on_headers_complete(self)
        if self._body:
            HttpToolsProtocol.on_body(self, self._body)

    def _describe(self) -> None:
        """Make the scope, as uvicorn does, of the head that has come."""
        since, url, headers, waits = self._head_since, self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self._head_since, self.url, self.expect_100_continue = since, url, waits
        self.headers.extend(headers)

    async def _answer(self, begun: Coroutine[Any, Any, bytes | WireReply], under_way: _UnderWay) -> None:
        if under_way.counted:
            self._backlog.begins(time.monotonic())
        try:
            made = await begun
            if self.flow.write_paused and not under_way.disconnected:
                await self.flow.drain()
        except BaseException:
            self.transport.close()
            raise
        finally:
            # Nothing is waited for from here on; a callback would be one more turn of the loop for each request.
            self.tasks.discard(under_way.task)
        if not under_way.disconnected:
            self._say(made, under_way)

    def _say(self, made: bytes | WireReply, under_way: _UnderWay) -> None:
        close = b"" if under_way.keep_alive else b"connection: close\r\n"
        if isinstance(made, bytes):
            if self._default is not self.server_state.default_headers:
                self._default = self.server_state.default_headers
                self._head = _head(200, self._default, self._warm.head)
            written = b"%bcontent-length: %d\r\n%b\r\n%b" % (self._head, len(made), close, made)
        else:
            named = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in made.headers.items()]
            said = [each for each in named if each[0] != b"content-length"]
            head = _head(made.status, self.server_state.default_headers, said)
            written = b"%bcontent-length: %d\r\n%b\r\n%b" % (head, len(made.body), close, made.body)
        under_way.response_complete = True
        self.transport.write(written)
        if close:
            self.transport.close()
        if close or self.pipeline:
            self.on_response_complete()
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()


async def _nothing(*_: Any) -> None:
    pass


def _head(status: int, *headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    lines = (b"%b: %b\r\n" % (name.lower(), value) for each in headers for name, value in each)
    return STATUS_LINE[status] + b"".join(lines)
