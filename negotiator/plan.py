"""Which tier handles this side's half of an exchange, and when an agreement is worth its price.

Pure: what is known comes in as a situation, what to do goes out as a plan with its reason. No model, clock or
store is reached from here.

The rule of when to tier up is ski rental: an interpreted exchange costs c each time, an agreement with its
routine and its shadowed exchanges costs C once; agree when what was spent so far plus c is more than C.
"""

from dataclasses import dataclass

from negotiator.messages import Tier
from negotiator.models.base import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPolicy:
    """What things cost and what may be spent. One object, all the numbers."""

    usd_per_second: float = 0.0002
    """What a second of waiting for a model is worth, so that a local model is not free (0.72 USD an hour)."""
    usd_per_call: float = 0.0001
    """The fixed part of a model call, whatever the provider charges."""
    agreement_in_interpreted: float = 2.0
    """The prior of C, in units of c, until the ledger has seen agreements."""
    shadow_exchanges: int = 3
    """K: how many exchanges in a row a candidate routine must match before it serves."""
    max_shadow_misses: int = 2
    """Exchanges that may disagree with a candidate before it is dropped."""
    canary_share: float = 1.0
    """The share of requests, 0 to 1, that a newly verified routine serves at first; 1 gives it all of them at once.
    The others go on in the structured tier and are compared with it, so that a share costs no call of its own."""
    canary_exchanges: int = 10
    """How many of those comparisons must agree before it serves all; one that does not takes it out of service."""
    private_examples: int = 8
    """The last exchanges of the structured tier that are kept for each routine, on this machine alone; 0 keeps none."""
    max_rounds: int = 4
    """Messages that this side sends in one negotiation."""
    max_negotiation_usd: float = 0.25
    """Price of the model calls of one negotiation with its synthesis, USD."""
    max_negotiation_tokens: int = 60_000
    """Tokens of the model calls of one negotiation with its synthesis."""
    max_negotiation_seconds: float = 300.0
    """Wall time of one negotiation with its synthesis, seconds."""
    no_agreement_seconds: float = 3600.0
    """How long "no agreement" is remembered, seconds."""
    try_again_seconds: float = 60.0
    """How long it is remembered where the peer or the model was only away, seconds."""
    max_strangers_usd_per_day: float = 1.0
    """Price of all model calls made for callers, all identities together, in 24 hours, USD."""
    max_strangers_seconds_per_day: float = 7200.0
    """Seconds of model time for all callers together in 24 hours; bounds what a local model gives away."""

    def cost(self, usage: Usage) -> float:
        """The cost of model calls in USD: their price, their time and a fixed part each."""
        return (usage.usd or 0.0) + usage.seconds * self.usd_per_second + usage.calls * self.usd_per_call


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one task has cost at one class of peers, and what is expected. All in USD."""

    spent: float = 0.0
    """Cost of interpreted exchanges since the last agreement or the beginning."""
    exchanges: int = 0
    """Interpreted exchanges in `spent`."""
    agreement: float | None = None
    """What an agreement with its routine has cost, as the ledger knows it; None before the first."""

    @property
    def interpreted(self) -> float:
        """c: the expected cost of one more interpreted exchange."""
        return self.spent / self.exchanges if self.exchanges else 0.0

    def tier_up_due(self, policy: CostPolicy) -> bool:
        """Whether an agreement is worth its price now: spent + c > C."""
        if not self.exchanges:
            return False
        agreement = self.agreement
        if agreement is None:
            agreement = policy.agreement_in_interpreted * self.interpreted
        return self.spent + self.interpreted > agreement


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderSituation:
    """What the sender knows before it sends."""

    document: str | None = None
    """The hash of the document agreed with this peer for this task."""
    routine_ready: bool = False
    """Whether a routine with a passed verdict is at hand for that document."""
    model: bool = True
    natural_language: bool = True
    """Whether the caller allows natural language."""
    negotiable: bool = True
    """False while "no agreement" is remembered or the budget is spent."""
    spending: Spending = Spending()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do, and why."""

    tier: Tier | None
    """None: no tier is possible, unless an agreement makes one so first."""
    reason: str
    """A sentence for people."""
    protocol_hash: str | None = None
    negotiate_first: bool = False
    """Whether a document has to be agreed before the exchange, as nothing else can serve it."""


def plan_sender(situation: SenderSituation) -> Plan:
    """Choose the cheapest tier that is ready."""
    if situation.document is not None and situation.routine_ready:
        return Plan(tier="routine", protocol_hash=situation.document, reason="a verified routine is ready")
    if situation.document is not None and situation.model:
        return Plan(
            tier="structured",
            protocol_hash=situation.document,
            reason="a document is agreed; its routine is not verified yet",
        )
    if situation.model and situation.natural_language:
        why = "no document is agreed yet" if situation.negotiable else "no agreement could be reached lately"
        return Plan(tier="natural_language", reason=why)
    if situation.negotiable and situation.document is None:
        return Plan(
            tier=None,
            reason="no model may read natural language here: a document comes first",
            negotiate_first=True,
        )
    return Plan(tier=None, reason=_why_none(situation))


def agreement_due(situation: SenderSituation, policy: CostPolicy) -> bool:
    """Whether to agree on a document now, off the request's path, after an exchange has been paid for."""
    return (
        situation.document is None
        and situation.model
        and situation.negotiable
        and situation.spending.tier_up_due(policy)
    )


def _why_none(situation: SenderSituation) -> str:
    if situation.document is not None:
        return "the document's schemas do not map exactly and there is no model to write a routine: give the agent one"
    if not situation.model:
        return "there is no model and no agreement with this peer: give the agent a model, or align the schemas"
    return "natural language is not allowed for this task and no agreement could be reached with this peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSituation:
    """What the receiver knows before it answers under a document."""

    native: bool = False
    """Whether a person's own function is registered for the document."""
    routine_ready: bool = False
    model: bool = True
    within_budget: bool = True
    """Whether the callers' budget of model calls has anything left."""


def plan_receiver(situation: ReceiverSituation) -> Plan:
    """Choose the cheapest tier that is ready; tier None means to reject the document."""
    if situation.native:
        return Plan(tier="routine", reason="a native routine is registered")
    if situation.routine_ready:
        return Plan(tier="routine", reason="a verified routine is ready")
    if situation.model and situation.within_budget:
        return Plan(tier="structured", reason="the document has no verified routine yet")
    if situation.model:
        return Plan(tier=None, reason="the budget for callers is spent")
    return Plan(tier=None, reason="the document maps onto no tool exactly and there is no model")
