"""Bearer tokens: what a caller may show in place of a signature, once it has proved who it is.

They are text that only this agent, and the processes that share its state, can write: a payload and its HMAC-SHA256.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from negotiator.clock import Clock
from negotiator.identity.ed25519 import from_base64url, to_base64url
from negotiator.identity.errors import NotProven

TOKEN_SECONDS: Final = 3600
"""The life of a token."""
MAX_TOKEN: Final = 4096
"""Characters."""
_PURPOSE: Final = b"negotiator access token 1"
_SKEW_SECONDS: Final = 30


class _Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sub: str
    kid: str
    aud: str
    iat: int
    exp: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose a token is."""

    did: str
    key_id: str
    """The DID URL of the key that it was given for."""


class AccessTokens:
    """Tokens of one agent."""

    def __init__(self, secrets: Callable[[], Sequence[bytes]], audience: str, clock: Clock) -> None:
        """Sign with the first of `secrets`, read those of all; `audience` is this agent's own address or DID."""
        self._secrets = secrets
        self._audience = audience
        self._clock = clock

    def issue(self, holder: Holder) -> str:
        """A token for a caller that has just proved who it is."""
        now = int(self._clock.time())
        payload = _Payload(sub=holder.did, kid=holder.key_id, aud=self._audience, iat=now, exp=now + TOKEN_SECONDS)
        text = to_base64url(orjson.dumps(payload.model_dump()))
        return f"{text}.{to_base64url(_mac(self._secrets()[0], text))}"

    def wrote(self, token: str) -> bool:
        """Whether a token was written here, for whom and until when it may be."""
        text, _, mac = token.partition(".")
        if len(token) > MAX_TOKEN or not token.isascii():
            return False
        # Compared as text: two spellings of one MAC are not needed.
        known = (to_base64url(_mac(secret, text)) for secret in self._secrets())
        return any(hmac.compare_digest(mac, each) for each in known)

    def read(self, token: str) -> Holder:
        """Whose a token is. Raises `NotProven` (`invalid_access_token`) where it is not ours, for others, or old."""
        text = token.partition(".")[0]
        if not self.wrote(token):
            raise NotProven("invalid_access_token", "the access token is not of this agent")
        try:
            payload = _Payload.model_validate_json(from_base64url(text))
        except (ValidationError, ValueError):
            raise NotProven("invalid_access_token", "the access token is not of this agent") from None
        now = self._clock.time()
        if payload.aud != self._audience:
            raise NotProven("invalid_access_token", "the access token is for another agent")
        if not payload.iat - _SKEW_SECONDS <= now < payload.exp:
            raise NotProven("invalid_access_token", "the access token has expired")
        return Holder(payload.sub, payload.kid)


def _mac(secret: bytes, text: str) -> bytes:
    # The secret signs routines too: each purpose has a key of its own.
    key = hmac.digest(secret, _PURPOSE, hashlib.sha256)
    return hmac.digest(key, text.encode("ascii"), hashlib.sha256)
