"""Who agreed with whom on what."""

import pytest

from negotiator.agreements import Agreements
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore

HASHES = [f"sha256:{number:064x}" for number in range(40)]


def test_an_agreement_holds_with_this_peer_for_this_task_until_it_expires() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    agreements = Agreements(store, clock)
    agreements.agree("task", "mem://a", HASHES[0], 100)
    for known in (agreements, Agreements(store, clock)):
        found = known.find("task", "mem://a")
        assert found is not None
        assert found.protocol_hash == HASHES[0]
        assert known.find("task", "mem://b") is None
        assert known.find("other", "mem://a") is None
    clock.advance(101)
    assert agreements.find("task", "mem://a") is None


def test_one_process_sees_what_another_has_renewed() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    one, other = Agreements(store, clock), Agreements(store, clock)
    one.agree("task", "mem://a", HASHES[0], 100)
    assert other.find("task", "mem://a") is not None
    clock.advance(101)
    one.agree("task", "mem://a", HASHES[1], 100)
    found = other.find("task", "mem://a")
    assert found is not None
    assert found.protocol_hash == HASHES[1]


def test_no_agreement_is_remembered_with_its_reason_for_its_time() -> None:
    clock = VirtualClock()
    agreements = Agreements(MemoryTextStore(), clock)
    assert agreements.refused("task", "mem://a") is None
    agreements.refuse("task", "mem://a", "w" * 1000, 60)
    assert agreements.refused("task", "mem://a") == "w" * 300
    assert agreements.find("task", "mem://a") is None
    clock.advance(61)
    assert agreements.refused("task", "mem://a") is None
    agreements.refuse("task", "mem://a", "why", 60)
    agreements.agree("task", "mem://a", HASHES[0], 60)
    assert agreements.refused("task", "mem://a") is None
    agreements.drop("task", "mem://a")
    assert agreements.find("task", "mem://a") is None


def test_documents_that_some_peer_took_are_proposed_to_the_next_latest_first() -> None:
    agreements = Agreements(MemoryTextStore(), VirtualClock())
    for name in [*HASHES[:20], HASHES[19]]:
        agreements.agree("task", "mem://a", name, 60)
    assert agreements.documents_for("task") == HASHES[19:3:-1]
    assert agreements.documents_for("other") == []


@pytest.mark.parametrize(
    "row", ["", "no json", "[]", "3", "{}", '{"protocol_hash": 3}', '{"refused": 3, "expires": 9e9}']
)
def test_rows_that_cannot_be_read_are_no_agreements(row: str) -> None:
    store = MemoryTextStore()
    agreements = Agreements(store, VirtualClock())
    agreements.agree("task", "mem://a", HASHES[0], 60)
    for key in list(store.keys()):
        store.put(key, row)
    again = Agreements(store, VirtualClock())
    assert again.find("task", "mem://a") is None
    assert again.refused("task", "mem://a") is None
    assert again.documents_for("task") == []


def test_a_full_disk_leaves_the_agreement_in_memory() -> None:
    agreements = Agreements(MemoryTextStore(max_bytes=10), VirtualClock())
    agreements.agree("task", "mem://a", HASHES[0], 60)
    assert agreements.find("task", "mem://a") is not None
    agreements.refuse("task", "mem://b", "why", 60)


def test_what_a_receiver_serves_hangs_on_its_tools() -> None:
    agreements = Agreements(MemoryTextStore(), VirtualClock())
    assert agreements.serve("tools", HASHES[0])
    assert agreements.served("tools") == [HASHES[0]]
    assert agreements.served("other tools") == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negotiator.agreements._MAX_SEEN", 5)
    agreements = Agreements(MemoryTextStore(), VirtualClock())
    for number in range(50):
        agreements.agree("task", f"mem://{number}", HASHES[0], 60)
    assert len(agreements._seen) == 5
    assert agreements.find("task", "mem://0") is not None, "the store has it"
