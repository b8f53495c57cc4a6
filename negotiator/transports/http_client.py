"""The HTTP client. The only module of this package that imports httpx; import it where it is used.

What matters here is to know how far a request got. httpcore tells when it begins to send; a failure before that
is `PeerUnreachable`, and repeating the request repeats nothing; any failure after it is `PeerHungUp`.
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Final, Self
from weakref import WeakKeyDictionary

import httpx

from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable, UsageError
from negotiator.tracing import outgoing as outgoing_trace
from negotiator.wire import WireReply, WireRequest

_LOOPBACK: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")
_CODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
# Under the 5 s after which common servers close an idle connection: one closed at the moment of its reuse would
# leave a request's fate unknown for nothing.
_KEEP_ALIVE_SECONDS: Final = 3.0


class HTTPTransport:
    """A `Transport` over HTTP/1.1, plain or TLS, with one client and its connections per event loop."""

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
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        """See `Transport.send`. Redirects are replies like any other; none is followed.

        Raises also `UsageError` for a base address that is not plain http(s), such as one with a query.
        """
        with _Attempt(base_url) as attempt:
            async with asyncio.timeout(attempt.left(deadline)):
                response = await self._begin(base_url, request, attempt, "gzip")
                try:
                    body = await self._read(response)
                finally:
                    # A connection that is not drained is closed, never reused.
                    await response.aclose()
        return WireReply(status=response.status_code, headers=_headers(response), body=body)

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
        # Not by the client's own builder, which would send back the cookies of earlier replies.
        outgoing = httpx.Request(
            request.method,
            _address(base_url, request.path),
            headers={"user-agent": "metaparley", "accept-encoding": coding, **outgoing_trace(), **request.headers},
            content=request.body,
            extensions={"trace": attempt.trace},
        )
        return await self._client().send(outgoing, stream=True, follow_redirects=False)

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

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            context = self._verify if isinstance(self._verify, ssl.SSLContext) else _context(self._verify)
            limits = httpx.Limits(
                max_connections=self._connections,
                max_keepalive_connections=self._connections,
                keepalive_expiry=_KEEP_ALIVE_SECONDS,
            )
            direct = httpx.AsyncHTTPTransport(verify=context, limits=limits, trust_env=False)
            client = httpx.AsyncClient(
                verify=context,
                limits=limits,
                mounts=dict.fromkeys(_LOOPBACK, direct),
                timeout=None,  # noqa: S113 - the deadline is the one timer
            )
            self._clients[loop] = client
        return client

    async def _read(self, response: httpx.Response) -> bytes:
        announced = response.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > self._reply_bytes:
            raise PeerMisspoke(f"a reply of {announced[:20]} bytes, over the limit of {self._reply_bytes}")
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        raw = response.aiter_raw()
        if coding == "identity":
            return await _collect(raw, self._reply_bytes)
        if coding not in _CODINGS:
            raise PeerMisspoke("a reply in a coding that was not asked for")
        return await _inflate(raw, _CODINGS[coding], self._reply_bytes)


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


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


async def _collect(raw: AsyncIterator[bytes], limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in raw:
        size += len(part)
        if size > limit:
            raise PeerMisspoke(f"a reply of more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


async def _inflate(raw: AsyncIterator[bytes], window: int, limit: int) -> bytes:
    """Inflate at most to `limit`, whatever a small body claims to unfold to."""
    inflater = zlib.decompressobj(window)
    parts: list[bytes] = []
    size = read = 0
    async for part in raw:
        read += len(part)
        try:
            inflated = inflater.decompress(part, limit + 1 - size)
        except zlib.error:
            raise PeerMisspoke("a reply whose compression cannot be read") from None
        size += len(inflated)
        if size > limit or read > limit or inflater.unconsumed_tail:
            raise PeerMisspoke(f"a reply of more than {limit} bytes")
        parts.append(inflated)
    if read and not inflater.eof:
        raise PeerMisspoke("a reply whose compression ends too early")
    return b"".join(parts)


def _context(verify: bool | str) -> ssl.SSLContext:  # noqa: FBT001 - httpx's own argument
    if isinstance(verify, bool):
        return httpx.create_ssl_context(verify=verify)
    folder = Path(verify).is_dir()
    return ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)


def _address(base_url: str, path: str) -> str:
    """The base address itself for "/", whether it ends in a slash or not; anything else below it."""
    try:
        parts = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise UsageError(f"not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.host:
        raise UsageError(f"not an http or https address: {base_url[:200]!r}")
    if parts.query or parts.fragment or parts.userinfo:
        raise UsageError("a base address holds no query, fragment or password")
    return base_url if path == "/" else base_url.rstrip("/") + path
