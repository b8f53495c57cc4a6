"""The client's side of OAuth, top to bottom: which token is shown to whom, and how one is got where none will do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import orjson

from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.dialects.a2a.security import Scheme, Security, chosen
from negotiator.oauth.asking import identified
from negotiator.oauth.challenge import Challenge
from negotiator.oauth.discovery import Discovery, Exchange, carried
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.kept import Held, Kept
from negotiator.oauth.messages import (
    Client,
    Form,
    Token,
    TokenDenied,
    authorization_url,
    code_form,
    method_for,
    own_form,
    read_redirect,
    read_registration,
    read_token,
    refresh_form,
    registration,
    scopes_to_ask,
)
from negotiator.oauth.metadata import (
    ResourceMetadata,
    ServerMetadata,
    confidential,
    covers,
    origin,
    require_s256,
)
from negotiator.oauth.terms import OAuthClient

REFRESH_SECONDS: Final = 30.0
"""How long before its end a token is no longer shown."""
DECLINED_SECONDS: Final = 60.0
"""How long nobody is asked again after nothing came of it: one request may knock several times."""
_MAX_DECLINED: Final = 256
_MAX_CARDS: Final = 256
_OAUTH: Final = ("oauth2", "openIdConnect")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where a token is to be had, and for what."""

    resource: str
    server: ServerMetadata
    metadata: ResourceMetadata | None
    """None where the server says nothing of itself."""
    challenged: tuple[str, ...]
    before: tuple[str, ...] = ()

    @property
    def indicator(self) -> str | None:
        """The resource as the authorization server is told of it (RFC 8707), as it was published."""
        return None if self.metadata is None else self.metadata.resource


class Authorizer:
    """The authorizations of one agent. Safe to call from several tasks and event loops."""

    def __init__(
        self, terms: OAuthClient, exchange: Exchange, kept: Kept, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        """Get tokens as `terms` have it.

        Args:
            terms: What the owner allows.
            exchange: Requests under guard: addresses are named by strangers.
            kept: What is held already.
            clock: Where time comes from.
            new_id: Unguessable identifiers, of letters that a URL holds as they are.
        """
        self._terms = terms
        self._exchange = exchange
        self._discovery = Discovery(exchange, clock)
        self._kept = kept
        self._clock = clock
        self._new_id = new_id
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()
        self._tasks: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[str]]] = WeakKeyDictionary()
        self._cards: dict[str, Security] = {}
        self._declined: dict[tuple[str, tuple[str, ...]], tuple[float, str]] = {}

    async def token(self, url: str, deadline: Deadline) -> str | None:
        """The token to show to `url`, renewed where it is about to end; None where none is held."""
        given = self._terms.token_for(url)
        if given is not None:
            return given
        held = self._kept.find(url)
        if held is None or not confidential(url):
            return None
        if not self._ends(held.token):
            return held.token.access
        if held.token.refresh is None:
            return None
        with suppress(AuthorizationNeeded, AuthorizationUntrusted):
            return await self._alone(url, deadline, lambda: self._refreshed_again(url, held))
        return None

    async def another(
        self, url: str, challenge: Challenge, shown: str | None, deadline: Deadline, *, looking: bool = False
    ) -> str:
        """A token that may do where `shown` did not, or none was shown.

        `looking`: it is only being found out what speaks there. Then a server has to say of itself whose tokens it
        takes, and that nothing comes of it says nothing of what is asked later.

        Raises `AuthorizationNeeded`, and `AuthorizationUntrusted`.
        """
        if not confidential(url):
            raise AuthorizationNeeded(f"{url} asks for an authorization, which is given over https alone")
        if self._terms.token_for(url) is not None:
            raise AuthorizationNeeded(f"{url} does not take the token that was given for it")
        if looking:
            return await self._alone(url, deadline, lambda: self._another(url, challenge, shown, looking=True))
        return await self._alone(url, deadline, lambda: self._noted(url, challenge, shown))

    async def prepare(self, url: str, security: Security, deadline: Deadline, *, signed: bool) -> None:
        """Have a token for an agent whose card asks for one, or another of what it takes for a proof.

        `signed`: whether requests are signed with the key of a DID. What the agent says of itself, as a protected
        resource, comes before what its card says.

        Raises `AuthorizationNeeded` where nothing that the card takes is at hand, and `AuthorizationUntrusted`.
        """
        keep(self._cards, origin(url), security, _MAX_CARDS)
        if await self.token(url, deadline) is not None:
            return
        met = chosen(security, lambda scheme: self._has(scheme, signed=signed))
        if met is None:
            kinds = ", ".join(sorted({each.kind for each in security.schemes.values()})) or "nothing that it names"
            raise AuthorizationNeeded(f"{url} takes {kinds} for a proof, of which nothing is at hand")
        scopes = [scope for scheme, asked in met if scheme.kind in _OAUTH for scope in asked]
        if any(scheme.kind in _OAUTH for scheme, _ in met):
            await self.another(url, Challenge("bearer", {"scope": " ".join(scopes)}), None, deadline)

    def _has(self, scheme: Scheme, *, signed: bool) -> bool:
        if scheme.kind == "http":
            return signed and scheme.http == "didwba"
        if scheme.kind not in _OAUTH:
            return False
        own = any(client.grant == "client_credentials" for client in self._terms.clients.values())
        return own or (self._terms.authorize is not None and (scheme.kind != "oauth2" or not _only_own(scheme)))

    async def aclose(self) -> None:
        """Give up what is under way in this event loop."""
        tasks = self._tasks.pop(asyncio.get_running_loop(), set())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one at a time for each origin ---

    async def _alone(self, url: str, deadline: Deadline, work: Callable[[], Awaitable[str]]) -> str:
        """What `work` comes to, once it is its turn. It goes on where who wants it can wait no longer."""
        loop = asyncio.get_running_loop()
        lock = self._locks.setdefault(loop, {}).setdefault(origin(url), asyncio.Lock())
        tasks = self._tasks.setdefault(loop, set())

        async def in_turn() -> str:
            async with lock:
                return await work()

        task = loop.create_task(in_turn())
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        try:
            async with asyncio.timeout(max(deadline.remaining(), 0)) as timer:
                return await asyncio.shield(task)
        except TimeoutError:
            if not timer.expired():
                raise
            # What comes of it is for the next request to find; a failure has been noted down.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise AuthorizationNeeded(f"{url} asks for an authorization, which is still being waited for") from None

    async def _noted(self, url: str, challenge: Challenge, shown: str | None) -> str:
        """`_another`, and not twice in a row where nothing comes of it."""
        place = (origin(url), challenge.scopes)
        until, why = self._declined.get(place, (0.0, ""))
        if until > self._clock.monotonic():
            raise AuthorizationNeeded(why)
        try:
            return await self._another(url, challenge, shown)
        except (AuthorizationNeeded, AuthorizationUntrusted) as problem:
            keep(self._declined, place, (self._clock.monotonic() + DECLINED_SECONDS, str(problem)), _MAX_DECLINED)
            raise

    # --- getting one ---

    async def _another(self, url: str, challenge: Challenge, shown: str | None, *, looking: bool = False) -> str:
        held = self._kept.find(url)
        if held is not None and held.token.access != shown and not self._ends(held.token):
            # Somebody else, or another process, has got one meanwhile.
            return held.token.access
        way = await self._way(url, challenge, held, looking=looking)
        if challenge.parameters.get("error") == "insufficient_scope":
            if held is not None and set(way.challenged) <= set(held.asked):
                raise AuthorizationNeeded(
                    f"{url} asks for scopes that were asked for and not given: {' '.join(way.challenged) or 'unnamed'}"
                )
        elif held is not None and held.issuer == way.server.issuer and held.token.refresh is not None:
            with suppress(TokenDenied):
                return await self._refreshed(held, way.server)
        return await self._fresh(url, way)

    async def _way(self, url: str, challenge: Challenge, held: Held | None, *, looking: bool) -> _Way:
        """Looked for anew each time: what a server says of itself may have changed since its token was got."""
        metadata = await self._discovery.resource(url, challenge.parameters.get("resource_metadata"))
        card = self._cards.get(origin(url))
        if metadata is None and card is not None and card.schemes:
            metadata, server = None, await self._server_of(card)
        elif looking and metadata is None:
            raise AuthorizationNeeded(f"{url} does not say whose tokens it takes")
        elif metadata is None or not metadata.authorization_servers:
            server = await self._discovery.legacy(url)
        else:
            named = metadata.authorization_servers
            known = next((each for each in named if each in self._terms.clients), named[0])
            server = await self._discovery.server(known)
        same = held is not None and held.issuer == server.issuer
        return _Way(
            resource=origin(url) if metadata is None else metadata.resource,
            server=server,
            metadata=metadata,
            challenged=challenge.scopes,
            before=held.asked if same and held is not None else (),
        )

    async def _server_of(self, card: Security) -> ServerMetadata:
        """The authorization server that a card names: as it says itself, where the card or its address lead to that.

        Raises `AuthorizationNeeded` and `AuthorizationUntrusted`.
        """
        scheme = next((each for each in card.schemes.values() if each.kind in _OAUTH), None)
        if scheme is None or (scheme.metadata_url is None and scheme.token_url is None):
            raise AuthorizationNeeded("the card names no authorization server")
        if scheme.metadata_url is not None:
            return await self._discovery.at(scheme.metadata_url)
        token_url = scheme.token_url or ""
        if not all(confidential(each) for each in (token_url, scheme.authorization_url or token_url)):
            raise AuthorizationUntrusted("the card names an authorization server that is not https")
        return ServerMetadata(
            issuer=origin(token_url),
            token_endpoint=token_url,
            authorization_endpoint=scheme.authorization_url,
            code_challenge_methods_supported=("S256",) if scheme.s256 else None,
            token_endpoint_auth_methods_supported=("client_secret_basic", "client_secret_post", "private_key_jwt"),
        )

    async def _fresh(self, url: str, way: _Way) -> str:
        client = await self._client(url, way)
        scopes = scopes_to_ask(
            way.challenged,
            way.metadata,
            way.server,
            before=way.before,
            otherwise=client.scopes,
            lasting=self._terms.lasting and client.grant == "authorization_code",
        )
        if client.grant == "client_credentials":
            form = own_form(scopes, resource=way.indicator)
        else:
            form = await self._code(url, way, client, scopes)
        token = await self._asked(form, client, way.server, scopes)
        self._keep(way, client, scopes, token)
        return token.access

    async def _code(self, url: str, way: _Way, client: Client, scopes: Sequence[str]) -> Form:
        """A person is asked; what the token endpoint is sent for their yes."""
        terms, server = self._terms, way.server
        if terms.authorize is None:
            raise AuthorizationNeeded(
                f"{url} asks for an authorization by a person: give Agent(oauth=OAuthClient(authorize=...)), or a token"
            )
        require_s256(server)
        # Two of them are longer than the 43 characters that a verifier has at least.
        state, verifier = self._new_id(), f"{self._new_id()}{self._new_id()}"
        asked = authorization_url(
            server,
            client_id=client.id,
            redirect_uri=terms.redirect,
            scopes=scopes,
            state=state,
            verifier=verifier,
            resource=way.indicator,
        )
        try:
            async with asyncio.timeout(terms.person_seconds):
                redirected = await terms.authorize(asked)
        except TimeoutError:
            raise AuthorizationNeeded(f"nobody gave the authorization that {url} asks for") from None
        code = read_redirect(redirected, redirect_uri=terms.redirect, state=state, server=server)
        return code_form(code, redirect_uri=terms.redirect, verifier=verifier, resource=way.indicator)

    async def _client(self, url: str, way: _Way) -> Client:
        """Who this agent is at that issuer; what one issuer calls it is told to no other."""
        terms, server = self._terms, way.server
        known = terms.client_for(server.issuer, url)
        if known is not None:
            if known.servers and not any(covers(each, url) for each in known.servers):
                raise AuthorizationNeeded(f"the client {known.id!r} of {server.issuer} is for other servers than {url}")
            return known
        if terms.metadata_url is not None and server.client_id_metadata_document_supported:
            return Client(id=terms.metadata_url, method="none")
        kept = self._kept.client(server.issuer, terms.redirect)
        if kept is not None:
            return kept
        if server.registration_endpoint is None:
            raise AuthorizationNeeded(
                f"the authorization server {server.issuer} registers nobody by itself: register this agent there, and "
                f"give OAuthClient(clients={{{server.issuer!r}: Client(id=...)}})"
            )
        if terms.authorize is None:
            raise AuthorizationNeeded(f"{url} asks for an authorization by a person, and nobody can be asked here")
        method = method_for(server)
        listed = () if way.metadata is None else way.metadata.scopes_supported or ()
        said = registration(name=terms.name, redirect_uri=terms.redirect, scopes=listed, method=method)
        headers = {"accept": "application/json", "content-type": "application/json"}
        answer = await carried(self._exchange, "POST", server.registration_endpoint, headers, orjson.dumps(said))
        client = read_registration(answer.status, answer.body, asked=method)
        self._kept.put_client(server.issuer, terms.redirect, client)
        return client

    async def _asked(
        self, form: Form, client: Client, server: ServerMetadata, scopes: Sequence[str], before: str | None = None
    ) -> Token:
        if server.token_endpoint is None:
            raise AuthorizationUntrusted(f"the authorization server {server.issuer} has no token endpoint")
        method = method_for(server, client)
        now = self._clock.time()
        headers, form = identified(form, client, server, method=method, now=now, name=self._new_id())
        answer = await carried(self._exchange, "POST", server.token_endpoint, headers, urlencode(form).encode())
        try:
            return read_token(answer.status, answer.body, now=now, asked=scopes, before=before)
        except TokenDenied as denied:
            if denied.error == "invalid_client":
                self._kept.drop_client(server.issuer, self._terms.redirect)
            raise

    def _keep(self, way: _Way, client: Client, scopes: tuple[str, ...], token: Token) -> None:
        held = Held(
            resource=way.resource,
            issuer=way.server.issuer,
            client=client.id,
            asked=scopes,
            token=token,
            legacy=way.metadata is None,
            token_url=way.server.token_endpoint if way.metadata is None else None,
        )
        self._kept.put(held)

    # --- renewing one ---

    def _ends(self, token: Token) -> bool:
        return token.expires is not None and token.expires - REFRESH_SECONDS <= self._clock.time()

    async def _refreshed_again(self, url: str, held: Held) -> str:
        latest = self._kept.find(url)
        if latest is not None and not self._ends(latest.token):
            return latest.token.access
        if held.token_url is not None:
            server = ServerMetadata(issuer=held.issuer, token_endpoint=held.token_url)
        else:
            server = await self._discovery.server(held.issuer)
        return await self._refreshed(latest or held, server)

    async def _refreshed(self, held: Held, server: ServerMetadata) -> str:
        """Raises `TokenDenied` where it is refreshed no more; the token is then kept no more."""
        client = self._terms.client_for(server.issuer, held.resource) or self._kept.client(
            server.issuer, self._terms.redirect
        )
        if client is None or client.id != held.client:
            client = Client(id=held.client, method="none")
        refresh = held.token.refresh or ""
        form = refresh_form(refresh, resource=None if held.legacy else held.resource)
        try:
            token = await self._asked(form, client, server, held.token.scopes, before=refresh)
        except TokenDenied:
            latest = self._kept.find(held.resource)
            if latest is not None and latest.token.refresh != refresh:
                # Another process was first: its token is as good.
                return latest.token.access
            self._kept.drop(held)
            raise
        self._kept.put(replace(held, token=token))
        return token.access


def _only_own(scheme: Scheme) -> bool:
    """Whether no person is asked for a token of a scheme."""
    return scheme.authorization_url is None and scheme.metadata_url is None
