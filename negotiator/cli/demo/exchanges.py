"""What happened, exchange by exchange, and what it comes to."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Usage
from negotiator.models.prices import FREE_PROVIDERS, PRICES_AS_OF, price_of

LOWEST_FIRST: Final = ("unknown", "natural_language", "structured", "routine")
PRICED_AS: Final = "openai/gpt-4o-mini"
"""Whose prices are shown where the model that serves sends no bill."""

Phase: TypeAlias = Literal["learning", "further", "restart"]


def priced_as(model: str) -> str:
    """The name of the model whose prices are shown: the serving one's where it has any, else `PRICED_AS`."""
    free = model.partition("/")[0] in FREE_PROVIDERS
    return PRICED_AS if free or price_of(model, 1, 1) is None else model


def usd_of(usage: Usage, model: str) -> float:
    """What the tokens of `usage` cost at the prices of `model`, USD."""
    return price_of(model, usage.prompt_tokens, usage.completion_tokens) or 0.0


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its reply, both sides' model calls counted."""

    phase: Phase
    tier: str
    """The caller's; `none` where the exchange failed."""
    peer_tier: str
    usage: Usage
    """Of both sides, for this exchange alone."""
    learned: Usage = field(default_factory=Usage)
    """Of both sides, for what this exchange gave occasion to learn."""
    usd: float
    ms: float
    reason: str
    right: bool
    """Whether the output is the one worked out without any agent."""
    protocol_hash: str | None = None
    error: str | None = None

    @classmethod
    def of(cls, phase: Phase, outcome: JsonObject, *, usage: Usage, right: bool, usd_at: str) -> "Exchange":
        """From what the caller's process says of an outcome, or of an error."""
        failed = outcome.get("error")
        return cls(
            phase=phase,
            tier="none" if failed else outcome["tier"],
            peer_tier="unknown" if failed else outcome["peer_tier"],
            usage=usage,
            usd=usd_of(usage, usd_at),
            ms=outcome["seconds"] * 1000,
            reason=f"failed: {failed['message']}" if failed else outcome["reason"],
            right=right,
            protocol_hash=None if failed else outcome["protocol_hash"],
            error=failed["code"] if failed else None,
        )

    @property
    def final_tier(self) -> str:
        """The lower of the two sides' tiers; `none` where it failed."""
        return self.tier if self.error else min(self.tier, self.peer_tier, key=LOWEST_FIRST.index)

    def to_json(self, usd_at: str) -> JsonObject:
        """For programs. What was learned meanwhile stands apart from what the exchange itself took."""
        made: JsonObject = {
            "phase": self.phase,
            "tier": self.tier,
            "peer_tier": self.peer_tier,
            "model_calls": self.usage.calls,
            "tokens": self.usage.tokens,
            "usd": round(self.usd, 8),
            "ms": round(self.ms, 3),
            "reason": self.reason,
            "right": self.right,
            "learning": {
                "model_calls": self.learned.calls,
                "tokens": self.learned.tokens,
                "usd": round(usd_of(self.learned, usd_at), 8),
                "ms": round(self.learned.seconds * 1000, 3),
            },
        }
        return made | ({"error": self.error} if self.error else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The demo as a whole."""

    model: str
    """The model that served both sides."""
    exchanges: list[Exchange]
    calls_after_routine: int | None
    """Model calls of both sides in the further requests and after; None where routines were not reached."""
    calls_after_restart: int | None
    kept: dict[str, Any]
    """By side, the documents and routines that it holds at the end."""
    usd_at: str

    @property
    def final_tier(self) -> str:
        """The lower of the two sides' tiers at the end."""
        return self.exchanges[-1].final_tier

    @property
    def protocol_hash(self) -> str | None:
        """The document under which the last exchange was made."""
        return self.exchanges[-1].protocol_hash

    @property
    def good(self) -> bool:
        """Routines on both sides at the end, no model call since they were reached, and no wrong answer by them."""
        by_routine = [each for each in self.exchanges if each.final_tier == "routine" or each.phase != "learning"]
        return (
            self.final_tier == "routine"
            and self.calls_after_routine == 0
            and self.calls_after_restart == 0
            and all(each.right for each in by_routine)
        )

    def to_json(self) -> JsonObject:
        """For programs."""
        return {
            "model": self.model,
            "exchanges": [each.to_json(self.usd_at) for each in self.exchanges],
            "final_tier": self.final_tier,
            "protocol_hash": self.protocol_hash,
            "model_calls_after_routine": self.calls_after_routine,
            "model_calls_after_restart": self.calls_after_restart,
            "ok": self.good,
            "usd_at": self.usd_at,
            "prices_as_of": PRICES_AS_OF,
            "routines": {part: told["routines"] for part, told in self.kept.items()},
        }
