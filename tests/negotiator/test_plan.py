"""Which tier, and when an agreement is worth its price."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, UsageError
from negotiator.models.base import Usage
from negotiator.plan import (
    COST_POLICIES,
    CostPolicy,
    Counts,
    ReceiverSituation,
    SenderSituation,
    Spending,
    agreement_due,
    cost_policy_of,
    plan_receiver,
    plan_sender,
)

POLICY = CostPolicy()
DUE = Spending(spent=10.0, exchanges=1)
NOT_DUE = Spending()
HASH = "sha256:" + "0" * 64

BOOLS = (False, True)


@pytest.mark.parametrize(
    ("situation", "tier", "first"),
    [
        (SenderSituation(document=HASH, routine_ready=True, model=False), "routine", False),
        (SenderSituation(document=HASH, routine_ready=True, natural_language=False), "routine", False),
        (SenderSituation(document=HASH), "structured", False),
        (SenderSituation(document=HASH, natural_language=False), "structured", False),
        (SenderSituation(), "natural_language", False),
        (SenderSituation(spending=DUE), "natural_language", False),
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2), negotiable=False), "natural_language", False),
        (SenderSituation(model=False), None, True),
        (SenderSituation(natural_language=False), None, True),
        (SenderSituation(model=False, negotiable=False), None, False),
        (SenderSituation(document=HASH, model=False), None, False),
        (SenderSituation(routine_ready=True), "natural_language", False),
    ],
)
def test_the_senders_table(situation: SenderSituation, tier: str | None, first: bool) -> None:
    plan = plan_sender(situation)
    assert (plan.tier, plan.negotiate_first) == (tier, first)
    assert plan.protocol_hash == (HASH if tier in ("routine", "structured") else None)
    assert plan.reason


@pytest.mark.parametrize(
    ("situation", "due"),
    [
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2)), True),
        (SenderSituation(spending=Spending(spent=5.0, exchanges=1)), False),
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2, agreement=15.0)), False),
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2), negotiable=False), False),
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2), model=False), False),
        (SenderSituation(spending=Spending(spent=10.0, exchanges=2), document=HASH), False),
        (SenderSituation(), False),
    ],
)
def test_an_agreement_is_due_when_what_was_spent_and_the_next_exchange_cost_more(situation, due) -> None:
    assert agreement_due(situation, POLICY) is due


@pytest.mark.parametrize("flags", list(itertools.product(BOOLS, repeat=5)))
def test_a_sender_plans_no_tier_that_cannot_run(flags: tuple[bool, ...]) -> None:
    document, ready, model, words, negotiable = flags
    situation = SenderSituation(
        document=HASH if document else None,
        routine_ready=ready,
        model=model,
        natural_language=words,
        negotiable=negotiable,
        spending=Spending(spent=10.0, exchanges=2),
    )
    plan = plan_sender(situation)
    assert plan.tier != "routine" or (document and ready)
    assert plan.tier != "structured" or (document and model)
    assert plan.tier != "natural_language" or (words and model)
    assert not plan.negotiate_first or negotiable
    assert plan.tier is not None or plan.negotiate_first or not (document and ready)


@pytest.mark.parametrize("flags", list(itertools.product(BOOLS, repeat=4)))
def test_the_receivers_table(flags: tuple[bool, ...]) -> None:
    native, ready, model, budget = flags
    situation = ReceiverSituation(native=native, routine_ready=ready, model=model, within_budget=budget)
    plan = plan_receiver(situation)
    expected = "routine" if native or ready else "structured" if model and budget else None
    assert plan.tier == expected
    assert plan.reason


costs = st.floats(min_value=0, max_value=1e6, allow_nan=False)


@given(spent=costs, exchanges=st.integers(1, 10_000), agreement=costs)
def test_an_agreement_is_due_exactly_where_what_was_spent_and_one_more_pass_its_price(
    spent: float, exchanges: int, agreement: float
) -> None:
    spending = Spending(spent=spent, exchanges=exchanges, agreement=agreement)
    assert spending.tier_up_due(POLICY) == (spent + spent / exchanges > agreement)


@given(interpreted=st.floats(min_value=1e-4, max_value=100), times=st.floats(min_value=0, max_value=50))
def test_the_spending_before_an_agreement_stays_under_its_price(interpreted: float, times: float) -> None:
    """Ski rental: with every exchange costing the same, no more than C is spent before it is agreed."""
    agreement = interpreted * times
    spent, exchanges = interpreted, 1
    while not Spending(spent=spent, exchanges=exchanges, agreement=agreement).tier_up_due(POLICY):
        spent, exchanges = spent + interpreted, exchanges + 1
    assert spent <= max(agreement, interpreted) * (1 + 1e-9)


def test_nothing_is_due_before_the_first_exchange_or_where_calls_cost_nothing() -> None:
    assert not Spending(agreement=0.0).tier_up_due(POLICY)
    assert not Spending(spent=0.0, exchanges=100).tier_up_due(POLICY)
    assert Spending(spent=2.0, exchanges=2).tier_up_due(CostPolicy(agreement_in_interpreted=2.0))
    assert not Spending(spent=1.0, exchanges=1).tier_up_due(CostPolicy(agreement_in_interpreted=2.0))


def test_a_local_model_is_not_free() -> None:
    assert POLICY.cost(Usage(calls=1, seconds=5, usd=0.0)) == pytest.approx(5 * 0.0002 + 0.0001)
    assert POLICY.cost(Usage(calls=1, seconds=0, usd=None)) == pytest.approx(0.0001)


def test_agoras_counts_take_the_place_of_costs() -> None:
    paper, package = COST_POLICIES["agora-paper"], COST_POLICIES["agora-package"]
    assert (paper.counts, package.counts) == (Counts(look=3, agree=5, routine=1), Counts(look=5, agree=10, routine=5))
    for policy, agree in ((paper, 5), (package, 10)):
        due = [Spending(spent=1e-9 * n, exchanges=n, agreement=1e9).tier_up_due(policy) for n in range(1, 12)]
        assert due.index(True) + 1 == agree, "whatever it costs"
    assert not Spending(spent=4.0, exchanges=4).routine_due(package)
    assert Spending(spent=5.0, exchanges=5).routine_due(package)


def test_a_cost_policy_is_given_as_one_or_by_its_name() -> None:
    mine = CostPolicy(max_rounds=2)
    assert cost_policy_of(mine) is mine
    assert cost_policy_of(None) == CostPolicy() == cost_policy_of("default")
    with pytest.raises(UsageError, match="agora-paper"):
        cost_policy_of("agora")
    assert Agent(state="memory", cost_policy="agora-paper").engine.cost_policy == COST_POLICIES["agora-paper"]


def test_a_routine_is_due_when_what_documents_cost_passes_it_the_exchanges_before_included() -> None:
    policy = CostPolicy(trust=1.0)
    assert not Spending().routine_due(policy)
    assert not Spending(spent=1.0, exchanges=1, agreement=5.0).routine_due(policy)
    assert not Spending(spent=4.0, exchanges=4, agreement=5.0).routine_due(policy)
    assert Spending(spent=4.5, exchanges=4, agreement=5.0).routine_due(policy)
    assert Spending(spent=1.0, exchanges=1, agreement=5.0, earlier=4).routine_due(policy)
    assert Spending(spent=2.0, exchanges=2).routine_due(CostPolicy(trust=1.0, routine_in_structured=2.0))


def test_a_free_agreement_comes_before_words_and_after_nothing_else() -> None:
    assert plan_sender(SenderSituation(free_agreement=True)).negotiate_first
    assert not plan_sender(SenderSituation(free_agreement=True, negotiable=False)).negotiate_first
    assert plan_sender(SenderSituation(free_agreement=True, document=HASH)).tier == "structured"
    assert plan_sender(SenderSituation(free_agreement=True, document=HASH, routine_ready=True)).tier == "routine"
