"""What was spent, and what may be."""

import pytest

from negotiator.errors import BudgetSpent
from negotiator.ledger import Account, Ledger
from negotiator.models.base import Completion, Usage
from negotiator.plan import CostPolicy
from protocol_docs import MemoryTextStore

POLICY = CostPolicy(usd_per_second=0.1, usd_per_call=1.0)


def account(calls: int = 1, **usage: float | None) -> Account:
    return Account(usage=Usage(calls=calls, **usage))  # type: ignore[arg-type]


def test_interpreted_exchanges_add_up_and_an_agreement_starts_anew() -> None:
    store = MemoryTextStore()
    ledger = Ledger(store, POLICY)
    ledger.exchange("sender", "natural_language", "sender/t", account(seconds=10))
    ledger.exchange("sender", "structured", "sender/t", account(usd=1.0))
    for known in (ledger, Ledger(store, POLICY)):
        spending = known.spending("sender/t")
        assert (spending.spent, spending.exchanges, spending.agreement) == (pytest.approx(4.0), 2, None)
    ledger.agreement("sender/t", account(calls=5))
    spending = ledger.spending("sender/t")
    assert (spending.spent, spending.exchanges, spending.agreement) == (0.0, 0, pytest.approx(5.0))
    ledger.agreement("sender/u", account(calls=1))
    assert ledger.spending("sender/u").agreement == pytest.approx(3.0)
    assert ledger.total.calls == 8


def test_a_routine_exchange_costs_nothing_and_touches_no_store() -> None:
    store = MemoryTextStore()
    ledger = Ledger(store, POLICY)
    for _ in range(10):
        ledger.exchange("receiver", "routine", "receiver", Account())
    assert list(store.keys()) == []
    assert ledger.exchanges == {"receiver/routine": 10}


def test_strangers_share_one_sum_a_day_whatever_prices_are_unknown() -> None:
    ledger = Ledger(MemoryTextStore(), POLICY)
    ledger.strangers(1, account(usd=0.5, seconds=2.0))
    ledger.strangers(1, account(usd=None, seconds=3.0))
    used = ledger.strangers(1)
    assert (used.calls, used.usd, used.seconds) == (2, 0.5, 5.0)
    assert ledger.strangers(2) == Usage()


@pytest.mark.parametrize("row", ["", "no json", "[]", '{"spent": "much", "exchanges": null}', '{"spent": true}'])
def test_rows_that_cannot_be_read_count_as_none(row: str) -> None:
    store = MemoryTextStore()
    for key in ("sender/t", "agreements", "strangers/1"):
        store.put(f"ledger/{key}", row)
    ledger = Ledger(store, POLICY)
    assert ledger.spending("sender/t").spent == 0
    assert ledger.strangers(1) == Usage()
    ledger.exchange("sender", "structured", "sender/t", account())
    assert ledger.spending("sender/t").exchanges == 1


def test_a_full_disk_fails_nothing_and_the_budget_still_holds() -> None:
    ledger = Ledger(MemoryTextStore(max_bytes=10), POLICY)
    ledger.strangers(1, account(usd=0.5))
    ledger.strangers(1, account(usd=0.5))
    assert ledger.strangers(1).usd == 1.0
    ledger.exchange("sender", "structured", "sender/t", account())
    assert ledger.spending("sender/t").exchanges == 1


def test_an_account_knows_who_answered_and_for_what() -> None:
    kept = Account(max_tokens=10)
    kept.record("a", Completion(text="", model="m", usage=Usage(calls=1, prompt_tokens=8)))
    kept.require_room()
    kept.record("b", Completion(text="", model="n", usage=Usage(calls=1, prompt_tokens=3)))
    assert kept.models == {"m", "n"}
    assert kept.by_purpose["a"].prompt_tokens == 8
    with pytest.raises(BudgetSpent):
        kept.require_room()
    Account(usage=kept.usage).require_room()


def test_asking_has_a_budget_for_the_day_and_one_for_each_peer() -> None:
    policy = CostPolicy(max_usd_per_day=1.0, max_peer_usd_per_day=0.6)
    store = MemoryTextStore()
    ledger = Ledger(store, policy)
    assert ledger.room(1, "mem://a") == 0.6
    ledger.asked(1, "mem://a", account(usd=0.5))
    ledger.asked(1, "mem://b", account(usd=0.3))
    ledger.asked(1, "mem://b", account(usd=None))
    for known in (ledger, Ledger(store, policy)):
        assert known.room(1, "mem://a") == pytest.approx(0.1)
        assert known.room(1, "mem://b") == pytest.approx(0.2)
        assert known.room(2, "mem://a") == 0.6
    assert Ledger(store, CostPolicy()).room(1, "mem://a") is None


def test_a_routine_alone_is_priced_apart_from_an_agreement() -> None:
    ledger = Ledger(MemoryTextStore(), POLICY)
    ledger.routine(account(calls=4))
    ledger.agreement("sender/t", account(calls=2))
    assert ledger.spending("under/d", bought="routines").agreement == pytest.approx(4.0)
    assert ledger.spending("sender/t").agreement == pytest.approx(2.0)


def test_an_account_that_asks_no_model_refuses_the_first_call() -> None:
    with pytest.raises(BudgetSpent, match="model"):
        Account(asks_no_model=True).require_room()
