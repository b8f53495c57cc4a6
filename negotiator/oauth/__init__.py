"""OAuth, both ways: tokens that callers show, and tokens that are shown to servers that ask for them."""

from typing import TYPE_CHECKING

from negotiator.exports import on_demand

if TYPE_CHECKING:
    from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted, TokenRefused
    from negotiator.oauth.loopback import LoopbackReceiver
    from negotiator.oauth.messages import Client
    from negotiator.oauth.resource import Issuer, ProtectedResource
    from negotiator.oauth.terms import Authorize, OAuthClient

__all__ = [
    "AuthorizationNeeded",
    "AuthorizationUntrusted",
    "Authorize",
    "Client",
    "Issuer",
    "LoopbackReceiver",
    "OAuthClient",
    "ProtectedResource",
    "TokenRefused",
]

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "errors": ("AuthorizationNeeded", "AuthorizationUntrusted", "TokenRefused"),
        "loopback": ("LoopbackReceiver",),
        "messages": ("Client",),
        "resource": ("Issuer", "ProtectedResource"),
        "terms": ("Authorize", "OAuthClient"),
    },
)
