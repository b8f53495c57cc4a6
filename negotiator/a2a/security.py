"""What an agent's card asks of callers: as its trust policy has it, its tools' scopes, and what it takes for proof."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from negotiator.dialects.a2a.card import Offer
from negotiator.dialects.a2a.security import NOTHING, Scheme, Security
from negotiator.identity.authority import Authority
from negotiator.identity.trust import TrustPolicy
from negotiator.oauth.checker import TokenChecker
from negotiator.oauth.metadata import OPENID_PATH, ServerMetadata, server_metadata_urls

SIGNATURE: Final = "signature"
BEARER: Final = "bearer"
_SIGNED: Final = Scheme(
    kind="http",
    http="DIDWba",
    description="HTTP Message Signatures (RFC 9421) with a key of a DID, as ANP-02 has them",
)


class Asked:
    """What one agent asks of its callers, for its card."""

    def __init__(
        self,
        *,
        trust: TrustPolicy = TrustPolicy(),  # noqa: B008 - it is frozen
        authority: Authority = Authority(),  # noqa: B008 - likewise
        tokens: TokenChecker | None = None,
        signed: bool = False,
    ) -> None:
        """Say it of an agent that takes `tokens`, and where `signed` signatures."""
        self._trust = trust
        self._authority = authority
        self._tokens = tokens
        self._signed = signed

    async def of(self, offer: Offer, principal: str) -> Offer:
        """The offer with what is asked for it; to whom is not heard, nothing of what the agent does."""
        security = await self._security()
        if not self._trust.hears(principal):
            return replace(offer, skills=(), documents={}, negotiates_by=(), description="", security=security)
        skills = tuple(replace(skill, needs=self._needs(security, skill.id)) for skill in offer.skills)
        return replace(offer, skills=skills, security=security)

    async def _security(self) -> Security:
        schemes: dict[str, Scheme] = {SIGNATURE: _SIGNED} if self._signed else {}
        resource = None if self._tokens is None else self._tokens.resource
        if self._tokens is not None:
            scopes = dict.fromkeys((*self._tokens.resource.scopes, *self._tokens.scopes), "")
            for number, server in enumerate(await self._tokens.servers()):
                schemes[f"oauth{number + 1}"] = _scheme_of(server, scopes)
            schemes[BEARER] = Scheme(kind="http", http="Bearer", form="JWT", description="A token for this agent")
        if not schemes:
            return NOTHING
        wanted = () if resource is None else resource.scopes
        needs = tuple({name: _scopes(name, wanted)} for name in schemes) if self._trust.callers != "anyone" else ()
        return Security(schemes=schemes, needs=needs)

    def _needs(self, security: Security, tool: str) -> tuple[Mapping[str, tuple[str, ...]], ...]:
        """What is enough for a tool that asks for more than the agent does."""
        more = self._authority.scopes_for(tool)
        if not more or self._tokens is None:
            return ()
        wanted = tuple(dict.fromkeys((*self._tokens.resource.scopes, *more)))
        return tuple({name: _scopes(name, wanted)} for name in security.schemes)


def _scopes(name: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Only the schemes of OAuth know scopes."""
    return () if name in (SIGNATURE, BEARER) else wanted


def _scheme_of(server: ServerMetadata, scopes: Mapping[str, str]) -> Scheme:
    if server.found_at is not None and OPENID_PATH in server.found_at:
        return Scheme(kind="openIdConnect", metadata_url=server.found_at)
    return Scheme(
        kind="oauth2",
        token_url=server.token_endpoint,
        authorization_url=server.authorization_endpoint,
        for_itself="client_credentials" in (server.grant_types_supported or ()),
        s256="S256" in (server.code_challenge_methods_supported or ()),
        metadata_url=server.found_at or server_metadata_urls(server.issuer)[0],
        scopes=scopes,
    )
