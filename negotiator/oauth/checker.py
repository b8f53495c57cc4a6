"""Whose token a caller shows, and what for: signatures by their issuer's keys, or the issuer's own word."""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import urlencode

from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.dialects.json_body import read_object
from negotiator.errors import Overloaded
from negotiator.identity.trust import Revocations
from negotiator.oauth import jose
from negotiator.oauth.asking import identified
from negotiator.oauth.claims import Grant, read_claims
from negotiator.oauth.discovery import Discovery, Exchange, carried
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted, TokenRefused
from negotiator.oauth.messages import Client, fit_for_header, method_for
from negotiator.oauth.metadata import ServerMetadata
from negotiator.oauth.resource import Issuer, ProtectedResource

REMEMBER_SECONDS: Final = 300.0
"""How long an issuer's keys are taken to be its latest: how soon one that it withdrew is no longer taken."""
SAID_SECONDS: Final = 30.0
"""How long an issuer's word on a token holds."""
_AGAIN_SECONDS: Final = 15.0
"""The least time between two looks at the keys of one issuer: strangers can name keys that are not there."""
_SERVERS_SECONDS: Final = 3.0
_AT_ONCE: Final = 16
"""Tokens that are being asked about: strangers can show as many as they like."""
_MAX_SAID: Final = 1024
_MAX_KEYS: Final = 64
_OK: Final = 200


class _Keys:
    """The public keys of one issuer."""

    def __init__(self, issuer: Issuer, discovery: Discovery, exchange: Exchange, clock: Clock) -> None:
        self._issuer = issuer
        self._discovery = discovery
        self._exchange = exchange
        self._clock = clock
        self._keys: tuple[dict[str, Any], ...] = ()
        self._until = 0.0
        self._again = 0.0
        self._turn = asyncio.Lock()

    async def claims(self, token: str) -> Any:
        """The claims of a token that one of them signed. Raises `TokenRefused`, and `Overloaded`."""
        seen = self._until
        await self._latest(seen if self._clock.monotonic() >= seen else None)
        try:
            return jose.verified(token, self._keys, self._issuer.algorithms)
        except jose.UnknownKey:
            # It may be a new one.
            if not await self._latest(self._until):
                raise
            return jose.verified(token, self._keys, self._issuer.algorithms)

    async def _latest(self, seen: float | None) -> bool:
        """Look for them anew, if nobody has since `seen`; whether they were."""
        if seen is None:
            return False
        async with self._turn:
            now = self._clock.monotonic()
            if self._until != seen:
                return True
            if self._again > now:
                if now >= self._until:
                    raise Overloaded("the keys of an issuer are not to be had", retry_after=self._again - now)
                return False
            self._again = now + _AGAIN_SECONDS
            try:
                self._keys = await self._fetched()
            except (AuthorizationNeeded, AuthorizationUntrusted, ValueError) as problem:
                raise Overloaded("the keys of an issuer are not to be had", retry_after=_AGAIN_SECONDS) from problem
            self._until = now + REMEMBER_SECONDS
            return True

    async def _fetched(self) -> tuple[dict[str, Any], ...]:
        place = self._issuer.jwks_url or (await self._discovery.server(self._issuer.url)).jwks_uri
        if place is None:
            raise ValueError("the issuer does not say where its keys are")
        answer = await carried(self._exchange, "GET", place)
        keys = read_object(answer.body).get("keys") if answer.status == _OK else None
        if not isinstance(keys, list):
            raise ValueError("what the issuer gives for its keys are none")  # noqa: TRY004 - not our caller's fault
        return tuple(key for key in keys[:_MAX_KEYS] if isinstance(key, dict))


def _issuer_of(token: str) -> str | None:
    """Whose token it says to be, unproved; None where it says nothing that can be read."""
    try:
        named = jose.claims_of(token).get("iss") if jose.looks_signed(token) else None
    except TokenRefused:
        return None
    return named if isinstance(named, str) else None


class TokenChecker:
    """Checks the tokens that callers of one agent show. For one event loop at a time."""

    def __init__(
        self,
        resource: ProtectedResource,
        exchange: Exchange,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        scopes: Collection[str] = (),
        revocations: Revocations | None = None,
    ) -> None:
        """Check as `resource` has it.

        Args:
            resource: Whose tokens are taken.
            exchange: Requests under guard.
            clock: Where time comes from.
            new_id: Unguessable identifiers.
            scopes: Those that some tool asks for.
            revocations: Principals whose tokens are not taken any more.

        Raises:
            MissingExtra: signatures cannot be checked here.
        """
        jose.require_extra()
        self.resource = resource
        self._exchange = exchange
        self._clock = clock
        self._new_id = new_id
        self.scopes = tuple(scopes)
        self._revocations = revocations
        self._discovery = Discovery(exchange, clock)
        self._issuers = resource.known
        self._keys = {
            url: _Keys(issuer, self._discovery, exchange, clock)
            for url, issuer in self._issuers.items()
            if issuer.client is None
        }
        self._turn = asyncio.Lock()
        self._servers: tuple[float, tuple[ServerMetadata, ...]] = (0.0, ())
        self._said: dict[bytes, tuple[float, Grant]] = {}
        self._asking = 0

    async def check(self, token: str) -> Grant:
        """Whose a token is and what for.

        Raises:
            TokenRefused: it is nobody's whose tokens are taken, not for this agent, not good now, or for too little.
            Overloaded: its issuer cannot be asked.
        """
        if not fit_for_header(token):
            raise TokenRefused("invalid_token", "the token is none")
        grant = await self._granted(token)
        if self._revocations is not None and not self._revocations.stands(grant.principal, grant.issuer):
            raise TokenRefused("invalid_token", "this principal is not heard here any more")
        self.require(grant, self.resource.scopes)
        return grant

    def require(self, grant: Grant | None, scopes: Collection[str]) -> None:
        """Raises `TokenRefused` where a grant does not have all of `scopes`."""
        if grant is None and scopes:
            raise TokenRefused("invalid_request", "this needs a token", tuple(scopes))
        if grant is not None and not grant.scopes.issuperset(scopes):
            raise TokenRefused("insufficient_scope", "the token is not good for this", tuple(scopes))

    def metadata_at(self, path: str) -> Any:
        """What the agent says of itself at a path; None where it says nothing there."""
        return self.resource.metadata_at(path, self.scopes)

    async def servers(self) -> tuple[ServerMetadata, ...]:
        """What the issuers say of themselves, as far as that was to be had lately."""
        async with self._turn:
            until, found = self._servers
            if until <= self._clock.monotonic():
                found = await self._heard()
                again = REMEMBER_SECONDS if len(found) == len(self._issuers) else _AGAIN_SECONDS
                self._servers = (self._clock.monotonic() + again, found)
            return found

    async def _heard(self) -> tuple[ServerMetadata, ...]:
        asked = [asyncio.ensure_future(self._discovery.server(each)) for each in self._issuers]
        done, late = await asyncio.wait(asked, timeout=_SERVERS_SECONDS)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return tuple(each.result() for each in asked if each in done and each.exception() is None)

    async def _granted(self, token: str) -> Grant:
        named = _issuer_of(token)
        if named in self._keys:
            return self._read(await self._keys[named].claims(token), named)
        # One that says whose it is is shown to nobody else.
        asked = [issuer for url, issuer in self._issuers.items() if issuer.client is not None and named in (None, url)]
        refused = TokenRefused("invalid_token", "the token is of nobody whose tokens are taken here")
        for issuer in asked:
            assert issuer.client is not None  # noqa: S101 - for the type
            try:
                return await self._introspected(token, issuer, issuer.client)
            except TokenRefused as problem:
                refused = problem
        raise refused

    def _read(self, claims: Any, issuer: str) -> Grant:
        return read_claims(claims, issuer=issuer, audiences=self.resource.identifiers, now=self._clock.time())

    async def _introspected(self, token: str, issuer: Issuer, client: Client) -> Grant:
        """The issuer's word on a token (RFC 7662). Raises as `check` does."""
        name = hashlib.sha256(f"{issuer.url} {token}".encode()).digest()
        until, grant = self._said.get(name, (0.0, None))
        if grant is not None and until > self._clock.monotonic() and grant.expires > self._clock.time():
            return grant
        claims = await self._word(token, issuer, client)
        if claims.get("active") is not True:
            raise TokenRefused("invalid_token", "the token is not good")
        now = self._clock.time()
        # It has just been said to be good: until it is asked about again, where no more is said.
        said = {"iss": issuer.url, "exp": now + SAID_SECONDS, **claims}
        grant = self._read(said, issuer.url)
        keep(self._said, name, (self._clock.monotonic() + SAID_SECONDS, grant), _MAX_SAID)
        return grant

    async def _word(self, token: str, issuer: Issuer, client: Client) -> Any:
        if self._asking >= _AT_ONCE:
            raise Overloaded("too many tokens are being asked about")
        self._asking += 1
        try:
            return read_object(await self._answer(token, issuer, client))
        except (AuthorizationNeeded, AuthorizationUntrusted, ValueError) as problem:
            raise Overloaded("the issuer of the token cannot be asked", retry_after=_AGAIN_SECONDS) from problem
        finally:
            self._asking -= 1

    async def _answer(self, token: str, issuer: Issuer, client: Client) -> bytes:
        server, place = ServerMetadata(issuer=issuer.url), issuer.introspection_url
        if place is None:
            server = await self._discovery.server(issuer.url)
            place = server.introspection_endpoint
        if place is None:
            raise AuthorizationUntrusted("the issuer does not say where its tokens are asked about")
        form = {"token": token, "token_type_hint": "access_token"}
        method, now = method_for(server, client), self._clock.time()
        headers, form = identified(form, client, server, method=method, now=now, name=self._new_id())
        answer = await carried(self._exchange, "POST", place, headers, urlencode(form).encode())
        if answer.status != _OK:
            raise AuthorizationUntrusted(f"the issuer answered with status {answer.status}")
        return answer.body
