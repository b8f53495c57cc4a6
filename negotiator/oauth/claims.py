"""What a token that was proved says, and whether that holds here and now (RFC 7519, RFC 9068, RFC 7662). Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from negotiator.identity.authority import OAUTH
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.oauth.errors import TokenRefused

SKEW_SECONDS: Final = 30.0
"""Difference of clocks that is let pass."""
_MAX_NAME: Final = 255
_LAST: Final = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Whom a token was given to, and for what."""

    issuer: str
    subject: str
    scopes: frozenset[str] = frozenset()
    client: str | None = None
    expires: float
    """Unix seconds."""

    @property
    def principal(self) -> str:
        """The name of it in the authority table, which passes for no DID and no host's word: `oauth:<issuer>#<subject>`.

        An issuer has no fragment (RFC 8414 2), so that no subject of one can pass for another's.
        """
        return f"{OAUTH}{self.issuer}#{quote(self.subject, safe='@:|~')}"


def read_claims(claims: JsonObject, *, issuer: str, audiences: Collection[str], now: float) -> Grant:
    """The grant in the claims of a token.

    Args:
        claims: As they were signed, or as an introspection answered.
        issuer: Whose token it was proved to be.
        audiences: Our own identifiers, one of which it must be for (RFC 8707 2, RFC 9068 4).
        now: Unix seconds.

    Raises:
        TokenRefused: it is another issuer's or for another audience, not yet or no longer good, or names nobody.
    """
    if claims.get("iss") != issuer:
        raise TokenRefused("invalid_token", "the token is of another issuer")
    audience = claims.get("aud")
    meant = audience if isinstance(audience, list) else [audience]
    if not any(isinstance(each, str) and each in audiences for each in meant):
        raise TokenRefused("invalid_token", "the token is for somebody else")
    expires, begins = _seconds(claims, "exp"), _seconds(claims, "nbf")
    made = _seconds(claims, "iat")
    if expires is None:
        raise TokenRefused("invalid_token", "the token does not say when it ends")
    if now >= expires + SKEW_SECONDS:
        raise TokenRefused("invalid_token", "the token has expired")
    if max(begins or 0.0, made or 0.0) > now + SKEW_SECONDS:
        raise TokenRefused("invalid_token", "the token is not good yet")
    client = _name(claims.get("client_id")) or _name(claims.get("azp"))
    # A client that acts for itself may have no subject beside its own name (RFC 9068 2.2).
    subject = _name(claims.get("sub")) or client
    if subject is None:
        raise TokenRefused("invalid_token", "the token names nobody")
    return Grant(issuer=issuer, subject=subject, scopes=_scopes(claims), client=client, expires=expires)


def _seconds(claims: JsonObject, name: str) -> float | None:
    """A time, where there is one. Raises `TokenRefused` where there is something else in its place."""
    found = claims.get(name)
    if found is None:
        return None
    # No other moment is within reach, and what is no number at all is none of these.
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) < _LAST:
        raise TokenRefused("invalid_token", "a time in the token is none")
    return float(found)


def _name(found: JsonValue) -> str | None:
    return found if isinstance(found, str) and 0 < len(found) <= _MAX_NAME and found.isprintable() else None


def _scopes(claims: JsonObject) -> frozenset[str]:
    """`scope` as RFC 8693 has it, else `scp`, as text or as a list."""
    for name in ("scope", "scp"):
        found = claims.get(name)
        if isinstance(found, str):
            return frozenset(found.split())
        if isinstance(found, list):
            return frozenset(each for each in found if isinstance(each, str))
    return frozenset()
