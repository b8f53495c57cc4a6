"""What can go wrong with OAuth."""

from typing import Literal, TypeAlias

from negotiator.errors import NotPossible, PeerError

TokenError: TypeAlias = Literal["invalid_request", "invalid_token", "insufficient_scope"]
"""RFC 6750's words for why a token does not do."""


class AuthorizationNeeded(NotPossible):
    """A server asks for an authorization that is not at hand; the message says of whom to get it, or why not."""


class AuthorizationUntrusted(PeerError):
    """What a server or its authorization server says of itself does not fit together; nothing secret was sent to it."""


class TokenRefused(PeerError):
    """The token that a caller shows does not do.

    `error` is RFC 6750's word for it, `scopes` those that would; the message is for the peer.
    """

    code = "unauthenticated"

    def __init__(self, error: TokenError, message: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.error: TokenError = error
        self.scopes = scopes
