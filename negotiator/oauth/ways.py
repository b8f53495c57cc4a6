"""Where a token for an address is to be had, and for what: as its server says, its card, or neither."""

from dataclasses import dataclass
from typing import Final

from negotiator.bounded import keep
from negotiator.dialects.a2a.security import Security
from negotiator.oauth.challenge import Challenge
from negotiator.oauth.discovery import Discovery
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.kept import Held
from negotiator.oauth.metadata import ResourceMetadata, ServerMetadata, confidential, origin
from negotiator.oauth.terms import OAuthClient

OAUTH: Final = ("oauth2", "openIdConnect")
"""The kinds of a card's schemes that lead to an authorization server."""
_MAX_CARDS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
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


class Ways:
    """The ways of one agent."""

    def __init__(self, terms: OAuthClient, discovery: Discovery) -> None:
        """Look for them with `discovery`; of several issuers one is liked best that `terms` have a client for."""
        self._terms = terms
        self._discovery = discovery
        self._cards: dict[str, Security] = {}

    def card(self, url: str, security: Security) -> None:
        """Note what the card of the agent at `url` asks for."""
        keep(self._cards, origin(url), security, _MAX_CARDS)

    async def way(self, url: str, challenge: Challenge, held: Held | None, *, looking: bool) -> Way:
        """Looked for anew each time: what a server says of itself may have changed since its token was got.

        Raises `AuthorizationNeeded` and `AuthorizationUntrusted`.
        """
        metadata = await self._discovery.resource(url, challenge.parameters.get("resource_metadata"))
        card = self._cards.get(origin(url))
        if metadata is None and card is not None and card.schemes:
            server = await self._server_of(card)
        elif looking and metadata is None:
            raise AuthorizationNeeded(f"{url} does not say whose tokens it takes")
        elif metadata is None or not metadata.authorization_servers:
            server = await self._discovery.legacy(url)
        else:
            named = metadata.authorization_servers
            known = next((each for each in named if each in self._terms.clients), named[0])
            server = await self._discovery.server(known)
        same = held is not None and held.issuer == server.issuer
        return Way(
            resource=origin(url) if metadata is None else metadata.resource,
            server=server,
            metadata=metadata,
            challenged=challenge.scopes,
            before=held.asked if same and held is not None else (),
        )

    async def renewing(self, held: Held) -> ServerMetadata:
        """The authorization server that a token is renewed at. Raises as `way` does."""
        if held.token_url is not None:
            return ServerMetadata(issuer=held.issuer, token_endpoint=held.token_url)
        return await self._discovery.server(held.issuer)

    async def _server_of(self, card: Security) -> ServerMetadata:
        """The authorization server that a card names: as it says itself, where the card or its address lead to that."""
        scheme = next((each for each in card.schemes.values() if each.kind in OAUTH), None)
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
