"""Cost policies to compare, each as the settings of the same engine: what differs is when tiers are changed."""

from dataclasses import dataclass, replace
from typing import Any, Final

from negotiator import CostPolicy
from negotiator.plan import COST_POLICIES, NEVER, Counts

NO_BUDGET: Final = 1e9
"""Strangers' budgets are no part of the comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """How all agents of one run are set up."""

    name: str
    what: str
    """For the report."""
    senders: CostPolicy
    receivers: CostPolicy
    server_options: dict[str, Any]
    asks_back_after: int = NEVER
    """A server has the next asker negotiate after so many exchanges in words with anybody, as in Agora's paper."""


def _contender(name: str, what: str, policy: CostPolicy, *, askers: bool = True, **options: Any) -> Contender:
    free = replace(policy, max_strangers_usd_per_day=NO_BUDGET, max_strangers_seconds_per_day=NO_BUDGET)
    back = options.pop("asks_back_after", NEVER)
    return Contender(
        name=name,
        what=what,
        senders=free,
        receivers=replace(free, documents_of_askers=askers),
        server_options={"publish": "agreed", **options},
        asks_back_after=back,
    )


_AT_ONCE: Final = Counts(look=0, agree=1, routine=1)
OURS: Final = CostPolicy()
"""As shipped."""

CONTENDERS: Final = {
    each.name: each
    for each in (
        _contender(
            "nl_only",
            "natural language always",
            CostPolicy(counts=Counts(look=NEVER, agree=NEVER, routine=NEVER)),
        ),
        _contender(
            "structured_only",
            "servers list their tools' schemas, the asker's model fills and reads JSON each time; never a routine",
            CostPolicy(counts=Counts(look=0, agree=1, routine=NEVER), shadow_exchanges=NEVER),
            askers=False,
            publish="all",
        ),
        _contender(
            "agora_paper",
            "Agora's counts 3/5/10 in this engine: its documents are drafted by rule for nothing, a routine serves "
            "after one shadow run",
            replace(COST_POLICIES["agora-paper"], shadow_exchanges=1),
            asks_back_after=10,
        ),
        _contender(
            "agora_package",
            "the counts 5/10/5 of agora-protocol 0.2.0 in this engine, on the same terms",
            replace(COST_POLICIES["agora-package"], shadow_exchanges=1),
        ),
        _contender("greedy", "an agreement after each first exchange", CostPolicy(counts=_AT_ONCE)),
        _contender("ours", "the cost policy as it is shipped, with predictions", OURS),
        _contender("ours_without_predictions", "the cost policy alone", replace(OURS, trust=1.0)),
        _contender(
            "ours_without_agreeing_first",
            "the cost policy, words before every agreement",
            replace(OURS, agree_first=False),
        ),
        _contender(
            "ours_askers_adapt",
            "the cost policy, servers agree to their own tools' schemas only",
            OURS,
            askers=False,
        ),
    )
}
