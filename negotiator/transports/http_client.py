"""The HTTP client. The only module of this package that imports httpx; import it where it is used.

What matters here is to know how far a request got. httpcore tells when it begins to send; a failure before that
is `PeerUnreachable`, and repeating the request repeats nothing; any failure after it is `PeerHungUp`.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, Self
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import httpx

from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.tracing import outgoing as outgoing_trace
from negotiator.transports.bodies import address, is_here, read_body
from negotiator.wire import WireReply, WireRequest

_PROXIED: Final = ("http", "https", "all")
"""What `urllib.request.getproxies` calls the proxies that httpx takes from the environment."""
# Under the 5 s after which common servers close an idle connection: one closed at the moment of its reuse would
# leave a request's fate unknown for nothing.
_KEEP_ALIVE_SECONDS: Final = 3.0
_ADDRESSES: Final = 1024
"""URLs that are remembered as httpx has them."""


class HTTPTransport:
    """A `Transport` over HTTP/1.1, plain or TLS, with one client and its connections per event loop."""

    sets_timers: Final = True
    """See `negotiator.wire.InTime`."""

    def __init__(
        self,
        *,
        verify: bool | str | ssl.SSLContext = True,
        reply_bytes: int = 4_194_304,
        connections: int = 100,
    ) -> None:
        """Connect on use.

        Proxies are taken from the environment as httpx does, but never for loopback.

        Args:
            verify: False for no check of certificates, a path to a file or folder of authorities, or a context.
            reply_bytes: Bytes that a reply's body may have, as sent and as inflated.
            connections: Open connections per event loop.
        """
        self._verify = verify
        self._reply_bytes = reply_bytes
        self._connections = connections
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connections] = WeakKeyDictionary()

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`. Redirects are replies like any other; none is followed.

        Raises also `UsageError` for a base address that is not plain http(s), such as one with a query.
        """
        with _Attempt(base_url) as attempt:
            async with asyncio.timeout(attempt.left(deadline)):
                response = await self._begin(base_url, request, attempt, "gzip")
                headers = _headers(response)
                try:
                    body = await read_body(headers, response.aiter_raw(), self._reply_bytes)
                finally:
                    # A connection that is not drained is closed, never reused.
                    await response.aclose()
        return WireReply(status=response.status_code, headers=headers, body=body)

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `StreamTransport.open`, and `send`. What comes in parts is asked for uncompressed."""
        with _Attempt(base_url) as attempt:
            async with asyncio.timeout(attempt.left(deadline)):
                response = await self._begin(base_url, request, attempt, "identity")
        return WireReply(
            status=response.status_code,
            headers=_headers(response),
            chunks=self._in_parts(base_url, response, deadline),
        )

    async def _begin(self, base_url: str, request: WireRequest, attempt: "_Attempt", coding: str) -> httpx.Response:
        # Not by a client's own builder, which would send back the cookies of earlier replies.
        outgoing = httpx.Request(
            request.method,
            _url(base_url, request.path),
            headers={"user-agent": "metaparley", "accept-encoding": coding, **outgoing_trace(), **request.headers},
            content=request.body,
            extensions={"trace": attempt.trace},
        )
        return await self._connections_here().send(base_url, outgoing)

    async def _in_parts(
        self, base_url: str, response: httpx.Response, deadline: Deadline
    ) -> AsyncGenerator[bytes, None]:
        raw, size = response.aiter_raw(), 0
        try:
            if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
                raise PeerMisspoke("a reply in a coding that was not asked for")
            while True:
                with _Attempt(base_url, begun=True):
                    async with asyncio.timeout(max(deadline.remaining(), 0)):
                        part = await anext(raw, None)
                if part is None:
                    return
                size += len(part)
                if size > self._reply_bytes:
                    raise PeerMisspoke(f"a reply of more than {self._reply_bytes} bytes")
                yield part
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close this event loop's connections; those of loops that ended went with them."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _connections_here(self) -> "_Connections":
        loop = asyncio.get_running_loop()
        found = self._clients.get(loop)
        if found is None:
            context = self._verify if isinstance(self._verify, ssl.SSLContext) else _context(self._verify)
            limits = httpx.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            )
            found = self._clients[loop] = _Connections(context, limits)
        return found


class _Connections:
    """One event loop's connections."""

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        self._direct = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)
        self._client: httpx.AsyncClient | None = None
        """What finds the proxy for an address, where the environment names any."""
        proxies = getproxies()
        if any(proxies.get(name) for name in _PROXIED):
            self._client = httpx.AsyncClient(verify=context, limits=limits, timeout=None)  # noqa: S113 - see `send`

    async def send(self, base_url: str, request: httpx.Request) -> httpx.Response:
        """The reply's head. Sets no timer: the deadline is the one.

        What a client does besides (cookies, redirects, authentication, hooks) is not wanted, and takes a tenth of the
        whole request: so it is asked only where there may be a proxy in between.
        """
        if self._client is None or is_here(base_url):
            return await self._direct.handle_async_request(request)
        return await self._client.send(request, stream=True, follow_redirects=False)

    async def aclose(self) -> None:
        """Close them."""
        await self._direct.aclose()
        if self._client is not None:
            await self._client.aclose()


class _Attempt:
    """One request on its way: what goes wrong is told apart by whether anything was sent."""

    def __init__(self, base_url: str, *, begun: bool = False) -> None:
        self._base_url = base_url
        self._begun = begun

    def left(self, deadline: Deadline) -> float:
        """Seconds that are left. Raises `PeerUnreachable` where none are."""
        left = deadline.remaining()
        if left <= 0:
            raise PeerUnreachable("no time was left to send")
        return left

    async def trace(self, event: str, info: object) -> None:  # noqa: ARG002 - httpcore's signature
        """Hear from httpcore how far it is."""
        self._begun = self._begun or event.endswith("send_request_headers.started")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, httpx.HTTPError | httpx.InvalidURL | TimeoutError | OSError):
            return
        what = "no reply by the deadline" if isinstance(error, TimeoutError) else type(error).__name__
        if self._begun:
            raise PeerHungUp(f"{self._base_url}: {what}") from error
        raise PeerUnreachable(f"{self._base_url}: {what}") from error


@lru_cache(_ADDRESSES)
def _url(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(address(base_url, path))


def _headers(response: httpx.Response) -> dict[str, str]:
    raw = response.headers.raw
    with suppress(UnicodeDecodeError):
        plain = {name.decode("ascii").lower(): value.decode("ascii") for name, value in raw}
        if len(plain) == len(raw):
            return plain
    # Repeated, or in another coding: httpx knows what is to become of them.
    return {name.lower(): value for name, value in response.headers.items()}


def _context(verify: bool | str) -> ssl.SSLContext:  # noqa: FBT001 - httpx's own argument
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)
    folder = Path(verify).is_dir()
    return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
