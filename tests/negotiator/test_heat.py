"""How hot a task will be, from the nearest evidence there is."""

from dataclasses import replace

import pytest

from negotiator import CostPolicy
from negotiator.heat import Evidence, expected_exchanges, heat_of
from negotiator.ledger import ASKED, SERVED, Ledger, Place
from negotiator.plan import SenderSituation, Spending, agreement_due
from negotiator.testing import World
from protocol_docs import MemoryTextStore
from tests.negotiator.engine_world import OTHER, OTHER_VALUE, WORDS_FIRST, offer_forecast, oracle

DAY = 86_400.0


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (Evidence(), None),
        (Evidence(here=1), None),
        (Evidence(here=2, seconds=10), None),
        (Evidence(here=2, seconds=3_600), 2 + 24),
        (Evidence(here=2, seconds=3_600, elsewhere=1, peers=2), 2 + 24),
        (Evidence(elsewhere=30, peers=1), 30.0),
        (Evidence(elsewhere=30, peers=3), 10.0),
        (Evidence(here=20, elsewhere=30, peers=3), 20.0),
        (Evidence(family=8, family_pairs=4), 2.0),
        (Evidence(here=3, family=8, family_pairs=4), 3.0),
        (Evidence(elsewhere=30, peers=2, family=8, family_pairs=4), 15.0),
    ],
)
def test_the_nearest_evidence_counts(evidence: Evidence, expected: float | None) -> None:
    assert expected_exchanges(evidence, DAY) == expected


def test_hot_is_what_pays() -> None:
    assert heat_of(None, 3) == "unknown"
    assert (heat_of(3, 3), heat_of(2.9, 3)) == ("hot", "cold")


@pytest.mark.parametrize(
    ("expected", "trust", "after"),
    [(None, 0.5, 10), (100.0, 0.5, 5), (100.0, 1.0, 10), (2.0, 0.5, 20), (2.0, 1.0, 10), (100.0, 0.01, 1)],
)
def test_a_prediction_moves_the_point_of_buying_by_the_trust_that_it_is_given(
    expected: float | None, trust: float, after: int
) -> None:
    policy = CostPolicy(trust=trust)
    due = [
        agreement_due(
            SenderSituation(
                spending=Spending(spent=float(number), exchanges=number, agreement=10.0, expected=expected)
            ),
            policy,
        )
        for number in range(1, 41)
    ]
    assert due.index(True) + 1 == after
    assert all(due[after - 1 :]), "it stays due"


def place(task: str = "t", peer: str = "mem://a", family: str = ASKED) -> Place:
    return Place(task, family, peer)


def test_arrivals_are_counted_by_peer_task_and_family_and_outlive_the_process() -> None:
    store = MemoryTextStore()
    ledger = Ledger(store, CostPolicy())
    ledger.arrived(place(), 100.0, interpreted=True)
    ledger.arrived(place(peer="mem://b"), 110.0, interpreted=True)
    ledger.arrived(place(peer="mem://b"), 110.0, interpreted=False)
    ledger.arrived(place(peer="mem://b"), 120.0, interpreted=False)
    ledger.arrived(place("u"), 130.0, interpreted=True)
    ledger.arrived(place(), 400.0, interpreted=True)
    for known in (ledger, Ledger(store, CostPolicy())):
        assert known.evidence(place()) == Evidence(
            here=2, seconds=300.0, elsewhere=3, peers=1, family=1, family_pairs=1
        )
        new = known.evidence(place(peer="mem://new"))
        assert (new.here, new.elsewhere, new.peers) == (0, 5, 2)
        assert known.evidence(place("tool", "callers", SERVED)) == Evidence(), "what it serves is another matter"


def test_a_warm_exchange_writes_nothing() -> None:
    store = MemoryTextStore()
    ledger = Ledger(store, CostPolicy())
    for at in range(5):
        ledger.arrived(place(), float(at), interpreted=False)
    assert list(store.keys()) == []


@pytest.mark.anyio
@pytest.mark.parametrize(("trust", "words"), [(1.0, 5), (0.5, 2)])
async def test_a_task_that_is_hot_elsewhere_is_agreed_on_earlier_at_a_new_peer(trust: float, words: int) -> None:
    async with World() as world:
        offer_forecast(world.agent("server", oracle(), cost_policy=WORDS_FIRST))
        policy = replace(WORDS_FIRST, trust=trust, agreement_in_interpreted=5.5)
        caller = world.agent("caller", oracle(), cost_policy=policy)
        for _ in range(20):
            caller.engine.ledger.arrived(place(OTHER.digest, "mem://elsewhere"), 0.0, interpreted=True)
        tiers = []
        for _ in range(7):
            tiers.append((await caller.ask("mem://server", OTHER, OTHER_VALUE)).tier)
            await caller.settle()
        assert tiers.count("natural_language") == words
        assert tiers[:words] == ["natural_language"] * words
