"""What agents say to each other, free of any dialect: one request, one reply.

Dialects translate bytes into these and back; the engine sees nothing else.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from negotiator.jsonvalue import JsonValue

Tier: TypeAlias = Literal["natural_language", "structured", "routine"]
"""How one side handles its half of an exchange."""
PeerTier: TypeAlias = Literal["natural_language", "structured", "routine", "unknown"]
"""What we know of the other half: `unknown` for a foreign peer."""
PeerClass: TypeAlias = Literal["own", "known", "stranger"]
"""Whose values are worked on: this agent's own (examples and trials), those of a peer that its user named or that has
proved who it is, or anybody's. Code never works on two of them in one process."""
Effect: TypeAlias = Literal["safe", "transactional"]
"""`safe` may be repeated; `transactional` may not."""
Status: TypeAlias = Literal["success", "failure", "rejected"]
"""`rejected`: the document named is not used here. `failure`: an error that the document does not cover."""
RequestKind: TypeAlias = Literal["exchange", "negotiation", "close"]
"""`negotiation` is Agora 0.2.0's special protocol hash; `close` ends a conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, as understood from or for any dialect."""

    body: JsonValue = None
    """Text in natural language; under a document, text or JSON as the document says."""
    hashes: tuple[str, ...] = ()
    """The document's hash in every spelling known, canonical: `sha256:<hex>`, `sha1:<hex>`. Empty: no document."""
    sources: tuple[str, ...] = ()
    """Where the document is to be had: inline text, data URIs, http(s) URLs."""
    kind: RequestKind = "exchange"
    conversation: str | None = None
    """The id of the conversation that this continues or closes."""
    multiround: bool = False
    """Whether the peer asks for a conversation id, to go on."""
    idempotency_key: str | None = None
    """At most 255 characters; the same key from the same principal gets the same reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One reply. `body` where it succeeded; `code` and `error` where it did not."""

    status: Status
    body: JsonValue = None
    code: str | None = None
    """The word of `NegotiatorError.code` for what went wrong."""
    error: str | None = None
    """A sentence for the peer; never holds our internals. At most 300 characters."""
    conversation: str | None = None
    conversation_expires: float | None = None
    """Unix seconds."""
    tier: PeerTier = "unknown"
    """The tier that made the reply, where the dialect carries it."""
    retry_after: float | None = None
    """Seconds, with code `overloaded`."""
