"""A token from an issuer: for a person's yes, for the agent itself, or for the token before it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

from negotiator.clock import Clock
from negotiator.oauth.asking import identified
from negotiator.oauth.clients import Clients
from negotiator.oauth.discovery import Exchange, carried
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
    read_token,
    refresh_form,
    scopes_to_ask,
)
from negotiator.oauth.metadata import ServerMetadata, require_s256
from negotiator.oauth.terms import OAuthClient
from negotiator.oauth.ways import Way

REFRESH_SECONDS: Final = 30.0
"""How long before its end a token is no longer shown."""


class Issuance:
    """What one agent asks token endpoints for."""

    def __init__(
        self, terms: OAuthClient, exchange: Exchange, kept: Kept, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        """See `Authorizer`."""
        self._terms = terms
        self._exchange = exchange
        self._kept = kept
        self._clock = clock
        self._new_id = new_id
        self._clients = Clients(terms, exchange, kept)

    def ends(self, token: Token) -> bool:
        """Whether a token has ended, or is about to."""
        return token.expires is not None and token.expires - REFRESH_SECONDS <= self._clock.time()

    async def fresh(self, url: str, way: Way) -> str:
        """A new token for `url`, which is kept. Raises `AuthorizationNeeded` and `AuthorizationUntrusted`."""
        client, redirect = await self._clients.client(url, way)
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
            form = await self._code(url, way, client, redirect, scopes)
        token = await self._asked(form, client, way.server, scopes)
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
        return token.access

    async def renewed(self, held: Held, server: ServerMetadata) -> str:
        """A token in place of `held`. Raises `TokenDenied` where there is none; it is then kept no more."""
        refresh = held.token.refresh or ""
        form = refresh_form(refresh, resource=None if held.legacy else held.resource)
        try:
            client = self._clients.renewing(held, server)
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

    async def _code(self, url: str, way: Way, client: Client, redirect: str, scopes: Sequence[str]) -> Form:
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
            redirect_uri=redirect,
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
        code = read_redirect(redirected, redirect_uri=redirect, state=state, server=server)
        return code_form(code, redirect_uri=redirect, verifier=verifier, resource=way.indicator)

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
                self._clients.forget(client, server)
            raise
