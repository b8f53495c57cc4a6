"""From a server to what it says of itself, and to the authorization server that it names: fetched under guard."""

from collections.abc import Mapping
from typing import Final, Protocol

from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.dialects.json_body import read_object
from negotiator.jsonvalue import JsonObject
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.metadata import (
    ResourceMetadata,
    ServerMetadata,
    confidential,
    legacy_server,
    origin,
    read_resource,
    read_server,
    resource_metadata_urls,
    server_metadata_urls,
)
from protocol_docs.errors import DocumentError
from protocol_docs.fetch import Answer

MAX_METADATA_BYTES: Final = 262_144
REMEMBER_SECONDS: Final = 300.0
"""How long what an authorization server says of itself is taken to hold."""
_MAX_REMEMBERED: Final = 256
_OK: Final = 200
_JSON: Final = {"accept": "application/json"}


class Exchange(Protocol):
    """One guarded request; `protocol_docs.fetch.GuardedFetcher.exchange` is one."""

    async def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """The answer, of any status. Raises `protocol_docs.DocumentError`; follows no redirect."""
        ...


async def carried(
    exchange: Exchange, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """One exchange with an authorization server. Raises `AuthorizationNeeded` where it is not to be had."""
    try:
        return await exchange(method, url, headers=headers or _JSON, body=body)
    except DocumentError as problem:
        raise AuthorizationNeeded(f"an authorization cannot be asked for: {problem}") from problem


class Discovery:
    """What is said where."""

    def __init__(self, exchange: Exchange, clock: Clock) -> None:
        """Fetch with `exchange`."""
        self._exchange = exchange
        self._clock = clock
        self._servers: dict[str, tuple[float, ServerMetadata]] = {}

    async def resource(self, url: str, named: str | None) -> ResourceMetadata | None:
        """What the server at `url` says of itself, at the address it `named` in its challenge or where it is expected.

        None where it says nothing. Raises `AuthorizationUntrusted` and `AuthorizationNeeded`.
        """
        for place in resource_metadata_urls(url) if named is None else (named,):
            found = await self._look(place)
            if found is not None:
                return read_resource(found, url)
        if named is not None:
            raise AuthorizationNeeded(f"{url} names metadata that are not there")
        return None

    async def server(self, issuer: str) -> ServerMetadata:
        """What an issuer says of itself.

        Raises `AuthorizationUntrusted`, and `AuthorizationNeeded` where it says nothing.
        """
        until, known = self._servers.get(issuer, (0.0, None))
        if known is not None and until > self._clock.monotonic():
            return known
        found = await self._server(issuer)
        if found is None:
            raise AuthorizationNeeded(f"the authorization server {issuer} does not say how it is asked")
        return found

    async def at(self, place: str) -> ServerMetadata:
        """What an authorization server says of itself at an address that a card names. Raises as `server` does."""
        found = await self._look(place)
        issuer = None if found is None else found.get("issuer")
        if found is None or not isinstance(issuer, str):
            raise AuthorizationNeeded(f"the authorization server at {place} does not say how it is asked")
        if place not in server_metadata_urls(issuer):
            raise AuthorizationUntrusted(f"what stands at {place} is said of another, {issuer[:200]!r}")
        return read_server(found, issuer).model_copy(update={"found_at": place})

    async def legacy(self, url: str) -> ServerMetadata:
        """The authorization server of a server that says nothing of itself (MCP, 2025-03-26): its own host.

        Raises as `server` does.
        """
        return await self._server(origin(url)) or legacy_server(url)

    async def _server(self, issuer: str) -> ServerMetadata | None:
        if not confidential(issuer):
            raise AuthorizationUntrusted(f"the authorization server {issuer[:200]!r} is not https")
        for place in server_metadata_urls(issuer):
            found = await self._look(place)
            if found is not None:
                read = read_server(found, issuer).model_copy(update={"found_at": place})
                keep(self._servers, issuer, (self._clock.monotonic() + REMEMBER_SECONDS, read), _MAX_REMEMBERED)
                return read
        return None

    async def _look(self, place: str) -> JsonObject | None:
        answer = await carried(self._exchange, "GET", place)
        if answer.status != _OK:
            return None
        try:
            return read_object(answer.body)
        except ValueError:
            return None
