"""What HTTP clients share: where a request goes, and a reply's body within its limit."""

import zlib
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from negotiator.errors import PeerMisspoke, UsageError
from negotiator.loopback import is_loopback

_CODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


@lru_cache(1024)
def address(base_url: str, path: str) -> str:
    """The base address itself for "/", whether it ends in a slash or not; anything else below it. Raises `UsageError`."""
    _host(base_url)
    return base_url if path == "/" else base_url.rstrip("/") + path


@lru_cache(1024)
def is_here(base_url: str) -> bool:
    """Whether an address is on this machine, so that no proxy stands before it. Raises `UsageError`."""
    return is_loopback(_host(base_url))


def _host(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, _port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"not an address: {error}") from None
    if parts.scheme not in ("http", "https") or not host or not base_url.isprintable() or " " in base_url:
        raise UsageError(f"not an http or https address: {base_url[:200]!r}")
    if "?" in base_url or "#" in base_url or "@" in parts.netloc:
        raise UsageError("a base address holds no query, fragment or password")
    return host


async def read_body(headers: Mapping[str, str], raw: AsyncIterator[bytes], limit: int) -> bytes:
    """A whole body of at most `limit` bytes, as sent and as inflated. Raises `PeerMisspoke`."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced[:20]) > limit:
        raise PeerMisspoke(f"a reply of {announced[:20]} bytes, over the limit of {limit}")
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return await _collect(raw, limit)
    if coding not in _CODINGS:
        raise PeerMisspoke("a reply in a coding that was not asked for")
    return await _inflate(raw, _CODINGS[coding], limit)


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
