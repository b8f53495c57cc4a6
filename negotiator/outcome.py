"""What a request came to."""

from dataclasses import dataclass, field
from typing import Any

from negotiator.jsonvalue import JsonValue
from negotiator.messages import PeerTier, Tier
from negotiator.models.base import Usage


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request, for people and for traces. Holds no payload."""

    what: str
    """A short word: `plan`, `encode`, `send`, `decode`, `demote`, `fall_back`, `shadow`, `retry`."""
    detail: str
    """A sentence."""
    ms: float
    """Milliseconds from the start of the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to `Agent.ask`, with how it was reached."""

    output: Any
    """The value in the task's output type."""
    json: JsonValue
    """The same as plain JSON."""
    tier: Tier
    """How this side handled its half."""
    peer_tier: PeerTier
    """How the peer handled its half; `unknown` for a foreign peer."""
    protocol_hash: str | None
    """`sha256:<hex>` of the document used; None in natural language."""
    reason: str
    """Why this tier."""
    usage: Usage
    """This side's model calls for this request; learning off the request's path is not in it."""
    seconds: float
    """Wall time of the request."""
    model: str
    """Which model served this side; `none` where none was called."""
    trace: tuple[Step, ...] = field(default_factory=tuple)
