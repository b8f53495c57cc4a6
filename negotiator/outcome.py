"""What a request came to."""

from dataclasses import dataclass, field
from typing import Any, cast

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


class _OpenStep:
    """A `Step` while it is made."""

    __slots__ = ("detail", "ms", "what")


class _OpenOutcome:
    """An `Outcome` while it is made."""

    __slots__ = (
        "json",
        "model",
        "output",
        "peer_tier",
        "protocol_hash",
        "reason",
        "seconds",
        "tier",
        "trace",
        "usage",
    )


def step_of(what: str, detail: str, ms: float) -> Step:
    """`Step(what, detail, ms)`, in a third of the time; see `outcome_of`."""
    made: Any = _OpenStep()
    made.what, made.detail, made.ms = what, detail, ms
    made.__class__ = Step
    return cast("Step", made)


def outcome_of(
    output: Any,
    json: JsonValue,
    tier: Tier,
    peer_tier: PeerTier,
    protocol_hash: str | None,
    reason: str,
    usage: Usage,
    seconds: float,
    model: str,
    trace: tuple[Step, ...],
) -> Outcome:
    """`Outcome` of its fields in their order, in a third of the time.

    A frozen dataclass sets each of its fields by a call, which for one outcome is a twentieth of a whole warm request.
    Here they are set while it is open, and it is closed by the one assignment that makes it an `Outcome`.
    """
    made: Any = _OpenOutcome()
    made.output, made.json, made.tier, made.peer_tier = output, json, tier, peer_tier
    made.protocol_hash, made.reason, made.usage = protocol_hash, reason, usage
    made.seconds, made.model, made.trace = seconds, model, trace
    made.__class__ = Outcome
    return cast("Outcome", made)
