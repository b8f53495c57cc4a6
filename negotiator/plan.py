"""Which tier handles this side's half of an exchange, and when an agreement is worth its price.

Pure: what is known comes in as a situation, what to do goes out as a plan with its reason. No model, clock or
store is reached from here.

The rule of when to tier up is ski rental: an interpreted exchange costs c each time, an agreement with its
routine costs C once; agree when what was spent so far plus c is more than C. `negotiator.tier_up` has the rule for
all three tiers, `docs/cost.md` what it guarantees, shadow runs included.
"""

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from negotiator.errors import UsageError
from negotiator.heat import heat_of
from negotiator.messages import Tier
from negotiator.models.base import Usage
from negotiator.tier_up import Paid, Prices, cheapest_tier, moved_by

NEVER: Final = 1 << 31
"""As a count: not within this agent's life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Tiers by fixed counts in place of costs, as Agora's planners have it: for comparison.

    What counts is exchanges in natural language with one peer for one task, for documents and agreements; and
    exchanges under one document, for routines.
    """

    look: int
    """A peer's listing is looked at from so many exchanges on."""
    agree: int
    """A document is negotiated after so many exchanges."""
    routine: int
    """A routine is made with the so-manieth exchange under a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPolicy:
    """What things cost and what may be spent. One object, all the numbers."""

    usd_per_second: float = 0.0002
    """What a second of waiting for a model is worth, so that a local model is not free (0.72 USD an hour)."""
    usd_per_call: float = 0.0001
    """The fixed part of a model call, whatever the provider charges."""
    agreement_in_interpreted: float = 2.0
    """The prior of C, in units of c, until the ledger has seen agreements. Marro et al. report 2.15 for a negotiation
    with both routines (arXiv 2410.11905, section 4: 0.043 against 0.020 USD)."""
    routine_in_structured: float = 2.0
    """The prior of B, a routine for a document that is there, in units of a structured exchange, where a model has to
    be asked for it. What rules can make is made at once."""
    trust: float = 0.5
    """Lambda: how far predictions move the points of buying, above 0 and at most 1; 1 leaves them where they are."""
    horizon_seconds: float = 86_400.0
    """How far ahead a task's own rate of arrival is taken to hold."""
    counts: Counts | None = None
    """Fixed counts in place of all costs and predictions."""
    agree_first: bool = True
    """Whether a peer of our own kind is asked for a document before the first exchange, as far as that takes no model
    on this side: an agreement that costs nothing is worth its price at once. It costs two round trips, once. Fixed
    counts leave it out."""
    documents_of_askers: bool = True
    """Whether this agent, as a receiver, agrees to documents in the asker's own schemas where a tool does what is
    asked: askers that share them need no routine, and what this side's model checks once, within the strangers' budget,
    serves all of them. Else its own tools' schemas are offered, which cost this side nothing and each asker a routine."""
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
    max_peer_usd_per_day: float | None = None
    """Price of the model calls made on this side for asking one peer in 24 hours, learning included, USD."""
    max_usd_per_day: float | None = None
    """The same for all peers together."""
    max_strangers_usd_per_day: float = 1.0
    """Price of all model calls made for callers, all identities together, in 24 hours, USD."""
    max_strangers_seconds_per_day: float = 7200.0
    """Seconds of model time for all callers together in 24 hours; bounds what a local model gives away."""

    def cost(self, usage: Usage) -> float:
        """The cost of model calls in USD: their price, their time and a fixed part each."""
        return (usage.usd or 0.0) + usage.seconds * self.usd_per_second + usage.calls * self.usd_per_call


COST_POLICIES: Final = MappingProxyType(
    {
        "default": CostPolicy(),
        "agora-paper": CostPolicy(counts=Counts(look=3, agree=5, routine=1)),
        "agora-package": CostPolicy(counts=Counts(look=5, agree=10, routine=5)),
    }
)
"""Cost policies by name. Agora's counts are those of the paper (arXiv 2410.11905, appendix D.1) and the defaults of
`agora-protocol` 0.2.0 (`protocol_threshold`, `negotiation_threshold`, `implementation_threshold`)."""


def cost_policy_of(given: CostPolicy | str | None) -> CostPolicy:
    """A cost policy as it is, by its name, or the default. Raises `UsageError` for a name that is none."""
    if isinstance(given, CostPolicy):
        return given
    if given is not None and given not in COST_POLICIES:
        raise UsageError(f"there is no cost policy named {given!r}; there are {', '.join(sorted(COST_POLICIES))}")
    return COST_POLICIES[given or "default"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What one task has cost with one peer, or under one document, and what is expected. All in USD."""

    spent: float = 0.0
    """Cost of interpreted exchanges since the last agreement or the beginning."""
    exchanges: int = 0
    """Interpreted exchanges in `spent`."""
    agreement: float | None = None
    """What an agreement with its routine, or a routine alone, has cost, as the ledger knows it; None before the
    first."""
    expected: float | None = None
    """How many exchanges are expected, by `negotiator.heat`; None where nothing is known."""
    earlier: int = 0
    """Exchanges before there was a document: they would have cost as much under it as those since."""

    @property
    def interpreted(self) -> float:
        """c: the expected cost of one more interpreted exchange."""
        return self.spent / self.exchanges if self.exchanges else 0.0

    def tier_up_due(self, policy: CostPolicy) -> bool:
        """Whether an agreement is worth its price now: spent + c > C, with C moved by what is predicted."""
        if not self.exchanges:
            return False
        if policy.counts is not None:
            return self.exchanges >= policy.counts.agree
        price = self._price(policy.agreement_in_interpreted)
        paid = Paid(words=self.spent + self.interpreted)
        return cheapest_tier(paid, Prices(agreement=price), self._moved(price, policy)) != "natural_language"

    def routine_due(self, policy: CostPolicy) -> bool:
        """Whether a routine that a model has to be asked for is worth its price now, under this document."""
        if not self.exchanges:
            return False
        if policy.counts is not None:
            return self.exchanges >= policy.counts.routine
        price = self._price(policy.routine_in_structured)
        paid = Paid(words=float("inf"), structured=self.spent + (self.earlier + 1) * self.interpreted)
        return cheapest_tier(paid, Prices(routine=price), self._moved(price, policy)) == "routine"

    def _price(self, prior: float) -> float:
        return prior * self.interpreted if self.agreement is None else self.agreement

    def _moved(self, price: float, policy: CostPolicy) -> float:
        if self.interpreted <= 0:
            return 1.0
        return moved_by(heat_of(self.expected, price / self.interpreted), policy.trust)


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
    free_agreement: bool = False
    """Whether a document may be agreed on before the first exchange, without a model, and was not tried yet."""


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


@lru_cache(1024)
def by_routine(protocol_hash: str) -> Plan:
    """The plan where a routine is ready: nothing is cheaper, whatever the situation."""
    return Plan(tier="routine", protocol_hash=protocol_hash, reason="a verified routine is ready")


def plan_sender(situation: SenderSituation) -> Plan:
    """Choose the cheapest tier that is ready."""
    if situation.document is not None and situation.routine_ready:
        return by_routine(situation.document)
    if situation.document is not None and situation.model:
        return Plan(
            tier="structured",
            protocol_hash=situation.document,
            reason="a document is agreed; its routine is not verified yet",
        )
    if situation.model and situation.negotiable and situation.free_agreement:
        return Plan(tier=None, reason="a document that costs no model call comes first", negotiate_first=True)
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


def routine_due(spending: Spending, policy: CostPolicy) -> bool:
    """Whether to ask a model for a routine under a document that is there; what rules can make is made at once."""
    return spending.routine_due(policy)


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
