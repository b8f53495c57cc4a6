"""What an agent proves of itself, and what it has others prove: each part loaded where the owner asked for it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from negotiator.clock import Clock
from negotiator.guarded import Guarded
from negotiator.identity.authority import Authority
from negotiator.identity.trust import Revocations, TrustPolicy
from negotiator.late import Late
from negotiator.state import State
from negotiator.wire import Transport

if TYPE_CHECKING:
    from negotiator.identity.checker import Checker
    from negotiator.identity.identity import Identity
    from negotiator.identity.resolver import DidResolver, Fetch
    from negotiator.oauth.authorizer import Authorizer
    from negotiator.oauth.checker import TokenChecker
    from negotiator.oauth.resource import ProtectedResource
    from negotiator.oauth.terms import OAuthClient


def identity_of(given: "Identity | str | Path | None") -> "Identity | None":
    """Who an agent is, from an identity or the folder of its keys. Raises `IdentityUnusable`, `MissingExtra`."""
    if given is None:
        return None
    from negotiator.identity.identity import Identity  # noqa: PLC0415 - imported on use

    return given if isinstance(given, Identity) else Identity.open(given)


def signed_by(identity: "Identity | None", transport: Transport, clock: Clock, new_id: Callable[[], str]) -> Transport:
    """`transport` with every request proved; as it is where there is no identity."""
    if identity is None:
        return transport
    from negotiator.identity.signing import signing  # noqa: PLC0415 - imported on use

    return signing(transport, identity, clock, new_id)


def authorized(
    oauth: "OAuthClient | None",
    transport: Transport,
    guarded: Guarded,
    opened: State,
    clock: Clock,
    new_id: Callable[[], str],
) -> "tuple[Authorizer | None, Transport]":
    """What gets authorizations, and `transport` with what it got; None and as it is where nothing is said of that."""
    if oauth is None:
        return None, transport
    from negotiator.oauth.authorizer import Authorizer  # noqa: PLC0415 - imported on use
    from negotiator.oauth.kept import Kept  # noqa: PLC0415
    from negotiator.oauth.transport import authorizing  # noqa: PLC0415

    authorizer = Authorizer(oauth, guarded.exchange, Kept(opened.text), clock, new_id)
    return authorizer, authorizing(transport, authorizer)


def resolver_of(documents: "Fetch | None", guarded: Guarded, opened: State, clock: Clock) -> "Late[DidResolver]":
    """Where others' DID documents are had."""

    def make() -> "DidResolver":
        from negotiator.identity.resolver import DidResolver  # noqa: PLC0415 - imported on use

        return DidResolver(documents or guarded.did_document, opened.text, clock, loopback=guarded.loopback)

    return Late(make)


def checker_of(
    identity: "Identity | None", resolver: "Late[DidResolver]", trust: TrustPolicy, opened: State, clock: Clock
) -> "Checker | None":
    """What checks callers' proofs; None without an address that they could have been made for."""
    if identity is None:
        return None
    from negotiator.identity.checker import Checker  # noqa: PLC0415 - imported on use
    from negotiator.identity.replay import Nonces  # noqa: PLC0415
    from negotiator.identity.tokens import AccessTokens  # noqa: PLC0415

    return Checker(
        [identity.url],
        resolver=resolver(),
        nonces=Nonces(opened.text, clock),
        revocations=Revocations(opened.text),
        clock=clock,
        trust=trust,
        tokens=AccessTokens(opened.secrets, identity.did, clock),
    )


def tokens_of(
    resource: "ProtectedResource | None",
    authority: Authority,
    guarded: Guarded,
    opened: State,
    clock: Clock,
    new_id: Callable[[], str],
) -> "TokenChecker | None":
    """What checks the OAuth tokens that callers show; None where none are taken."""
    if resource is None:
        return None
    from negotiator.oauth.checker import TokenChecker  # noqa: PLC0415 - imported on use

    asked = [scope for _, scopes in authority.scopes for scope in scopes]
    revoked = Revocations(opened.text)
    return TokenChecker(resource, guarded.exchange, clock, new_id, scopes=asked, revocations=revoked)
