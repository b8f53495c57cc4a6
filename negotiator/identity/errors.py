"""What can go wrong with who somebody is."""

from typing import Literal, TypeAlias

from negotiator.errors import NegotiatorError, PeerError

AuthError: TypeAlias = Literal[
    "invalid_request",
    "invalid_nonce",
    "invalid_timestamp",
    "invalid_did",
    "invalid_signature",
    "invalid_verification_method",
    "invalid_content_digest",
    "invalid_access_token",
    "forbidden_did",
]
"""ANP-02's words for why a proof is not taken."""


class IdentityUnusable(NegotiatorError):
    """An identity of ours is not there, is broken, or is open to others; the message says what to do."""

    code = "identity_unusable"


class MalformedDid(PeerError):
    """Not a DID or DID document of the methods that are read here (`did:wba`, `did:web`)."""

    code = "malformed_did"


class DidUnresolvable(PeerError):
    """The document of a DID is not to be had now, or not its own."""

    code = "did_unresolvable"


class KeyChanged(PeerError):
    """A DID has other keys than the first time. `negotiator identity approve DID` takes the new ones."""

    code = "key_changed"


class NotProven(PeerError):
    """A request does not prove who sent it.

    `error` is ANP-02's word for it; the message is for the peer, and holds nothing of ours.
    """

    code = "unauthenticated"

    def __init__(self, error: AuthError, message: str) -> None:
        super().__init__(message)
        self.error: AuthError = error
