"""The HTTP client on aiohttp, the extra `fast`: `Agent(transport="aiohttp")`. Import it where it is used.

As with the one on httpx, what matters is to know how far a request got. aiohttp tells when the head of a request has
been sent; a failure before that is `PeerUnreachable`, any failure after it `PeerHungUp`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Coroutine
from types import SimpleNamespace
from typing import Any, Final
from weakref import WeakKeyDictionary

import aiohttp

from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.in_time import OutOfTime, by
from negotiator.tracing import outgoing
from negotiator.transports.bodies import address, is_here, read_body
from negotiator.wire import WireReply, WireRequest

# As in `http_client`: under what common servers wait.
_KEEP_ALIVE_SECONDS: Final = 3.0
_NO_TIMERS: Final = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_FAILURES: Final = (OutOfTime, aiohttp.ClientError, OSError)


class AiohttpTransport:
    """A `Transport` over HTTP/1.1, plain or TLS, with one pool of connections per event loop."""

    sets_timers: Final = True
    """See `negotiator.wire.InTime`."""

    def __init__(
        self,
        *,
        verify: bool | ssl.SSLContext = True,
        reply_bytes: int = 4_194_304,
        connections: int = 100,
    ) -> None:
        """Connect on use; proxies are the environment's, but never for loopback.

        Args:
            verify: False for no check of certificates, or a context.
            reply_bytes: Bytes that a reply's body may have, as sent and as inflated.
            connections: Open connections per event loop, loopback counted apart.
        """
        self._verify = verify
        self._reply_bytes = reply_bytes
        self._connections = connections
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, aiohttp.ClientSession]] = (
            WeakKeyDictionary()
        )

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`. Redirects are replies like any other; none is followed.

        Raises also `UsageError` for a base address that is not plain http(s), such as one with a query.
        """
        reach = SimpleNamespace(begun=False)
        reply: WireReply = await _told_apart(base_url, self._whole(base_url, request, reach), reach, deadline)
        return reply

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`, and `send`. What comes in parts is asked for uncompressed."""
        reach = SimpleNamespace(begun=False)
        response = await _told_apart(base_url, self._begin(base_url, request, reach, "identity"), reach, deadline)
        chunks = self._in_parts(base_url, response, deadline)
        return WireReply(status=response.status, headers=_headers(response), chunks=chunks)

    async def aclose(self) -> None:
        """Close this event loop's connections; those of loops that ended went with them."""
        for session in self._sessions.pop(asyncio.get_running_loop(), {}).values():
            await session.close()

    async def _whole(self, base_url: str, request: WireRequest, reach: SimpleNamespace) -> WireReply:
        response = await self._begin(base_url, request, reach, "gzip")
        headers = _headers(response)
        try:
            body = await read_body(headers, response.content.iter_any(), self._reply_bytes)
        except BaseException:
            # A connection that is not drained is closed, never reused.
            response.close()
            raise
        response.release()
        return WireReply(status=response.status, headers=headers, body=body)

    async def _begin(
        self, base_url: str, request: WireRequest, reach: SimpleNamespace, coding: str
    ) -> aiohttp.ClientResponse:
        return await self._session(is_here(base_url)).request(
            request.method,
            address(base_url, request.path),
            headers={"user-agent": "metaparley", "accept-encoding": coding, **outgoing(), **request.headers},
            data=request.body or None,
            allow_redirects=False,
            trace_request_ctx=reach,
        )

    async def _in_parts(
        self, base_url: str, response: aiohttp.ClientResponse, deadline: Deadline
    ) -> AsyncGenerator[bytes, None]:
        raw, size, reach = response.content.iter_any(), 0, SimpleNamespace(begun=True)
        try:
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise PeerMisspoke("a reply in a coding that was not asked for")
            while True:
                part = await _told_apart(base_url, _next(raw), reach, deadline)
                if part is None:
                    return
                size += len(part)
                if size > self._reply_bytes:
                    raise PeerMisspoke(f"a reply of more than {self._reply_bytes} bytes")
                yield part
        finally:
            response.close()

    def _session(self, loopback: bool) -> aiohttp.ClientSession:  # noqa: FBT001 - one of two sessions
        sessions = self._sessions.setdefault(asyncio.get_running_loop(), {})
        if loopback not in sessions:
            sent = aiohttp.TraceConfig()
            sent.on_request_headers_sent.append(_note)
            sessions[loopback] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._connections, keepalive_timeout=_KEEP_ALIVE_SECONDS, ssl=self._verify
                ),
                # Cookies of earlier replies are not sent back.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=_NO_TIMERS,
                trust_env=not loopback,
                skip_auto_headers=("accept", "content-type"),
                trace_configs=[sent],
            )
        return sessions[loopback]


async def _note(_session: aiohttp.ClientSession, context: SimpleNamespace, _what: object) -> None:
    context.trace_request_ctx.begun = True


async def _next(raw: Any) -> bytes | None:
    part: bytes | None = await anext(raw, None)
    return part


async def _told_apart(base_url: str, work: Coroutine[Any, Any, Any], reach: SimpleNamespace, deadline: Deadline) -> Any:
    """What `work` returns; what goes wrong is told apart by whether anything was sent."""
    if deadline.remaining() <= 0 and not reach.begun:
        work.close()
        raise PeerUnreachable("no time was left to send")
    try:
        return await by(deadline, work)
    except _FAILURES as error:
        what = "no reply by the deadline" if isinstance(error, OutOfTime) else type(error).__name__
        raise (PeerHungUp if reach.begun else PeerUnreachable)(f"{base_url}: {what}") from error


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers
