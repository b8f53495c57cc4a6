"""What a request came to."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from negotiator.jsonvalue import JsonValue
from negotiator.messages import PeerTier, Tier
from negotiator.models.base import Usage

_NOTHING_SPENT: Final = Usage()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a request, for people and for traces. Holds no payload."""

    what: str
    """A short word: `plan`, `encode`, `send`, `decode`, `demote`, `fall_back`, `shadow`, `retry`."""
    detail: str
    """A sentence."""
    ms: float
    """Milliseconds from the start of the request."""


class _Warm:
    """What the trace of a warm request is made of, where somebody reads it."""

    __slots__ = ("planned",)

    planned: float
    """Seconds from the start to the plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(_Warm):
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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only a warm outcome's trace is not there, until it is read.
            if name != "trace":
                raise AttributeError(name)
            planned = Step("plan", f"{self.tier}: {self.reason}", self.planned * 1000)
            steps = planned, Step("send", "the peer answered: success", self.seconds * 1000)
            object.__setattr__(self, "trace", steps)
            return steps


class _OpenOutcome(_Warm):
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


def warm_outcome(
    output: Any, json: JsonValue, peer_tier: PeerTier, protocol_hash: str, reason: str, planned: float, took: float
) -> Outcome:
    """The `Outcome` of a request that a routine asked and no model, in a fraction of the time.

    A frozen dataclass sets each of its fields by a call, which for one outcome is a twentieth of a whole warm request.
    Here they are set while it is open, and it is closed by the one assignment that makes it an `Outcome`.

    Args:
        output: As in `Outcome`, like those that follow.
        json: The same as JSON.
        peer_tier: The peer's.
        protocol_hash: The document's.
        reason: Why by a routine.
        planned: Seconds from the start until it was known how; for `Outcome.trace`.
        took: Seconds of all of it.
    """
    made: Any = _OpenOutcome()
    made.output, made.json, made.tier, made.peer_tier = output, json, "routine", peer_tier
    made.protocol_hash, made.reason, made.usage = protocol_hash, reason, _NOTHING_SPENT
    made.seconds, made.model, made.planned = took, "none", planned
    made.__class__ = Outcome
    closed: Outcome = made
    return closed
