"""The one place of this package that opens a connection, and the rules under which it does.

A source is an address that a stranger chose. So: http and https only; the name is resolved once and every address
it has is checked before any is connected to; the connection goes to a checked address, with the name only in `Host`
and in TLS; redirects are few and go through the same checks; no proxy, no cookies, no credentials; bytes are counted
before and after inflating.
"""

import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

from protocol_docs.addresses import IpAddress, check_address, check_host, parse_allowed
from protocol_docs.document import MAX_DOCUMENT_BYTES
from protocol_docs.errors import SourceRefused, SourceTooLarge, SourceUnreachable

if TYPE_CHECKING:
    import httpx

Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""From (host, port) to its addresses as text. Raises `OSError` where there are none."""

MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONNECT_SECONDS = 5.0
_SECONDS = 20.0
_OK = 200
_PORTS = {"http": 80, "https": 443}
_READING = {"accept": "text/*, */*;q=0.5"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an address answered, whatever that was."""

    status: int
    """An HTTP status code."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""
    body: bytes = field(default=b"", repr=False)


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's own answer to what addresses `host` has. Raises `OSError`."""
    import anyio  # noqa: PLC0415 - loaded on use

    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True, slots=True)
class _Asked:
    url: str
    parts: SplitResult
    method: str
    headers: Mapping[str, str]
    body: bytes


class GuardedFetcher:
    """Implements `Fetcher` for addresses that strangers choose."""

    def __init__(
        self,
        allow: Sequence[str] = (),
        max_bytes: int = MAX_DOCUMENT_BYTES,
        *,
        seconds: float = _SECONDS,
        resolver: Resolver = resolve,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        """Make one; nothing is opened until `fetch`.

        Args:
            allow: What may be connected to beyond public addresses: `"loopback"`, `"private"`, or networks such as
                `"10.1.0.0/16"`.
            max_bytes: Bytes of a text, as sent and as inflated.
            seconds: For one `fetch`, redirects included.
            resolver: Where addresses of a name come from.
            transport: What requests go through instead of the network, in tests.

        Raises:
            ValueError: where `allow` holds something else.
        """
        self._allowed = parse_allowed(allow)
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._resolver = resolver
        self._transport = transport
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str) -> bytes:
        """The bytes at an address.

        Raises:
            SourceRefused: where the scheme, the host or one of its addresses is not allowed, on the way of the
                redirects too. Nothing was connected to that is not allowed.
            SourceTooLarge: where there are more than `max_bytes`.
            SourceUnreachable: where it did not answer in time with status 200.
        """
        import anyio  # noqa: PLC0415 - loaded on use

        try:
            with anyio.fail_after(self._seconds):
                return await self._follow(url)
        except TimeoutError:
            raise SourceUnreachable(f"{url[:200]} did not answer within {self._seconds:g} s") from None

    async def exchange(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """One request and its answer of any status, under the same guard. No redirect is followed.

        Args:
            method: Of HTTP, in capitals.
            url: Where to.
            headers: Lower-case names, beside those that say where it goes.
            body: What to send.

        Raises:
            SourceRefused: where the scheme, the host or one of its addresses is not allowed.
            SourceTooLarge: where the answer has more than `max_bytes`.
            SourceUnreachable: where no whole answer came in time.
        """
        import anyio  # noqa: PLC0415 - loaded on use

        try:
            with anyio.fail_after(self._seconds):
                return await self._once(method, url, headers or {}, body, of_any_status=True)
        except TimeoutError:
            raise SourceUnreachable(f"{url[:200]} did not answer within {self._seconds:g} s") from None

    async def _follow(self, url: str) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._once("GET", url, _READING, b"", of_any_status=False)
            if answer.status == _OK:
                return answer.body
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                raise SourceUnreachable(f"{url[:200]} answered with status {answer.status}")
            following = urljoin(url, answer.headers["location"])
            parts = _split(url)
            if parts.scheme == "https" and urlsplit(following).scheme != "https":
                raise SourceRefused(f"{url[:200]} redirects from https to something else")
            url = following
        raise SourceRefused(f"more than {MAX_REDIRECTS} redirects")

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, of_any_status: bool
    ) -> Answer:
        """One request; the body of its answer is read where its status is 200, or `of_any_status`."""
        parts = _split(url)
        asked = _Asked(url, parts, method, headers, body)
        return await self._send(asked, await self._checked_addresses(parts), of_any_status=of_any_status)

    async def _checked_addresses(self, parts: SplitResult) -> list[IpAddress]:
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        check_host(host)
        try:
            found = await self._resolver(host, port)
        except OSError as error:
            raise SourceUnreachable(f"{host} has no address: {error}") from None
        # All of them: a name with one public and one private address is an attempt to get at the private one.
        addresses = [check_address(text, self._allowed) for text in found]
        if not addresses:
            raise SourceUnreachable(f"{host} has no address")
        return addresses

    async def _send(self, asked: "_Asked", addresses: list[IpAddress], *, of_any_status: bool) -> Answer:
        import httpx  # noqa: PLC0415 - loaded on use

        url, parts = asked.url, asked.parts
        if self._transport is None and self._tls is None and parts.scheme == "https":
            self._tls = httpx.create_ssl_context()
        async with httpx.AsyncClient(
            transport=self._transport,
            # Plain http has no certificate to check, and reading the list of authorities takes 20 ms.
            verify=self._tls or False,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(self._seconds, connect=_CONNECT_SECONDS),
        ) as client:
            for last, address in zip([*[False] * (len(addresses) - 1), True], addresses, strict=True):
                try:
                    async with client.stream(
                        asked.method,
                        httpx.URL(url, host=str(address), fragment=None),
                        headers={"host": parts.netloc, "accept-encoding": "gzip", **asked.headers},
                        content=asked.body or None,
                        extensions={"sni_hostname": parts.hostname},
                    ) as response:
                        if response.status_code != _OK and not of_any_status:
                            return Answer(status=response.status_code, headers=_headers(response))
                        return await self._read(url, response)
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    if last:
                        raise SourceUnreachable(f"{url[:200]}: no connection") from error
                except (httpx.HTTPError, httpx.InvalidURL) as error:
                    raise SourceUnreachable(f"{url[:200]}: {type(error).__name__}") from error
        raise AssertionError  # pragma: no cover - the last address returns or raises

    async def _read(self, url: str, response: "httpx.Response") -> Answer:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("identity", "", "gzip", "x-gzip"):
            raise SourceUnreachable(f"{url[:200]} is encoded as {encoding[:40]}, which was not asked for")
        announced = response.headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20 and int(announced) > self._max_bytes:  # noqa: PLR2004
            raise SourceTooLarge(f"{url[:200]} announces {announced} bytes, over the limit of {self._max_bytes}")
        body = await self._collect(url, response.aiter_raw(), inflate=encoding not in ("identity", ""))
        return Answer(status=response.status_code, headers=_headers(response), body=body)

    async def _collect(self, url: str, chunks: AsyncIterator[bytes], *, inflate: bool) -> bytes:
        # Inflated by hand, since what one chunk can swell to must be bounded before it swells.
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32) if inflate else None
        raw = 0
        made = bytearray()
        try:
            async for chunk in chunks:
                raw += len(chunk)
                made += inflater.decompress(chunk, self._max_bytes + 1 - len(made)) if inflater else chunk
                if raw > self._max_bytes or len(made) > self._max_bytes:
                    raise SourceTooLarge(f"{url[:200]} has more than {self._max_bytes} bytes")
        except zlib.error:
            raise SourceUnreachable(f"{url[:200]} is not compressed as it says") from None
        if inflater is not None and not inflater.eof:
            raise SourceUnreachable(f"{url[:200]} ends early")
        return bytes(made)


def _headers(response: "httpx.Response") -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SourceRefused(f"{url[:200]!r} is no address") from None
    if parts.scheme not in _PORTS:
        raise SourceRefused(f"addresses with the scheme {parts.scheme[:32]!r} are not used here")
    if "@" in parts.netloc or "\\" in url or any(ord(char) <= 32 or ord(char) == 127 for char in url):  # noqa: PLR2004
        raise SourceRefused("an address with credentials, blanks or backslashes")
    return parts
