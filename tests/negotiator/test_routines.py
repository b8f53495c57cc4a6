"""Routines as text, and the shelf they stand on."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import PeerMisspoke
from negotiator.mapping import FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.running import lay_over
from negotiator.shelf import RoutineShelf
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore
from sandbox import POLICY_VERSION
from sandbox.cache import RoutineCache

MAPPED = Routine(
    protocol_hash="sha256:" + "0" * 64,
    role="sender",
    kind="mapping",
    key_digest="d",
    into=Direction(mapping=Mapping((FieldMapping(to="/a", source="/b", required=True),))),
    back=Direction(mapping=Mapping()),
    state="serving",
    verdict=Verdict(passed=True, basis="exact", examples=2),
)
CODE = Routine(
    protocol_hash="sha256:" + "1" * 64,
    role="receiver",
    kind="code",
    key_digest="d",
    source="def handle(request):\n    return 'ä'\n",
    whole=True,
    tool="t",
    state="serving",
    verdict=Verdict(passed=True, basis="shadow_only", shadows=3, sandbox_policy=POLICY_VERSION, detail="ok"),
    made_by="scripted",
)


async def run_nothing(*_: object, **__: object) -> None:
    raise AssertionError("nothing is run here")


def shelf(store: MemoryTextStore | None = None, clock: VirtualClock | None = None) -> RoutineShelf:
    now = (clock or VirtualClock()).time
    return RoutineShelf(RoutineCache(store or MemoryTextStore(), [b"s" * 32], now=now), run_nothing, again_after=60)


@pytest.mark.parametrize("routine", [MAPPED, CODE])
def test_a_routine_comes_back_as_it_was(routine: Routine) -> None:
    assert Routine.from_json(orjson.loads(orjson.dumps(routine.to_json()))) == routine


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 3},
        {"v": "1"},
        {"role": "both"},
        {"kind": "native"},
        {"state": "excellent"},
        {"source": None},
        {"source": 3},
        {"whole": "yes"},
        {"tool": 3},
        {"into": None},
        {"into": {"mapping": {"fields": 3}, "entry": None}},
        {"into": {"mapping": None, "entry": 3}},
        {"into": {"mapping": None}},
        {"verdict": None},
        {"verdict": {"passed": True}},
        {"verdict": {"passed": "yes", "basis": "exact"}},
        {"verdict": {"passed": True, "basis": "because"}},
        {"protocol_hash": None},
    ],
)
def test_a_row_that_is_something_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a routine"):
        Routine.from_json({**MAPPED.to_json(), **changes})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(value=anything)
def test_no_json_at_all_is_taken_for_a_routine(value: Any) -> None:
    with pytest.raises(ValueError, match="not a routine"):
        Routine.from_json(value)


@given(word=st.sampled_from(sorted(MAPPED.to_json())), value=anything)
def test_a_mutated_row_is_read_or_refused(word: str, value: Any) -> None:
    try:
        routine = Routine.from_json({**MAPPED.to_json(), word: value})
    except ValueError:
        return
    assert isinstance(routine.source, str)
    assert routine.role in ("sender", "receiver")


def test_rows_that_cannot_be_read_are_no_routines_and_no_errors() -> None:
    store = MemoryTextStore()
    full = shelf(store)
    full.put(MAPPED)
    for key in list(store.keys()):
        store.put(key, (store.get(key) or "")[:-5] + "xxxx}")
    again = shelf(store)
    assert again.get(MAPPED.protocol_hash, "sender", "d") is None
    assert again.routines() == []
    again.put(MAPPED)
    assert shelf(store).serving(MAPPED.protocol_hash, "sender", "d") is not None


def test_a_routine_serves_only_with_a_passed_verdict_in_its_state() -> None:
    from dataclasses import replace

    for state, passed in (("candidate", True), ("serving", False), ("demoted", True)):
        kept = shelf()
        kept.put(replace(MAPPED, state=state, verdict=replace(MAPPED.verdict, passed=passed)))  # type: ignore[arg-type]
        assert kept.get(MAPPED.protocol_hash, "sender", "d") is not None
        assert kept.serving(MAPPED.protocol_hash, "sender", "d") is None


def test_what_was_demoted_is_wanted_again_after_its_time() -> None:
    clock = VirtualClock()
    kept = shelf(clock=clock)
    place: Any = (MAPPED.protocol_hash, "sender", "d")
    assert kept.wanted(*place)
    kept.put(MAPPED)
    assert not kept.wanted(*place)
    kept.demote(MAPPED, "it failed " * 100)
    assert kept.serving(*place) is None
    assert len(kept.routines()[0].verdict.detail) <= 300
    assert not kept.wanted(*place)
    clock.advance(61)
    assert kept.wanted(*place)
    kept.put(MAPPED)
    kept.drop(MAPPED)
    assert kept.get(*place) is None


def test_code_verified_under_another_policy_is_shown_anew() -> None:
    from dataclasses import replace

    store = MemoryTextStore()
    shelf(store).put(replace(CODE, verdict=replace(CODE.verdict, sandbox_policy="0")))
    shelf(store).put(MAPPED)
    again = shelf(store)
    found = again.get(CODE.protocol_hash, "receiver", "d")
    assert found is not None
    assert (found.routine.state, found.routine.verdict.passed, found.routine.verdict.shadows) == ("candidate", False, 0)
    assert not again.wanted(CODE.protocol_hash, "receiver", "d"), "it is not paid for anew"
    assert again.serving(MAPPED.protocol_hash, "sender", "d") is not None


def test_a_full_cache_leaves_routines_in_memory_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr("negotiator.shelf.MAX_READY", 5)
    kept = shelf(MemoryTextStore(max_bytes=3000))
    for number in range(20):
        kept.put(replace(MAPPED, key_digest=str(number)))
        assert kept.serving(MAPPED.protocol_hash, "sender", str(number)) is not None
    assert len(kept._ready) == 5


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ([{"a": 1}, {"a": 2}], [{"b": 1}, {"b": 2}], [{"a": 1, "b": 1}, {"a": 2, "b": 2}]),
        ([], [1], [1]),
        ({}, {"a": []}, {"a": []}),
        (1, {"a": 1}, {"a": 1}),
    ],
)
def test_what_code_made_lies_over_what_the_mapping_made(below: Any, above: Any, expected: Any) -> None:
    assert lay_over(below, above) == expected


def test_two_halves_that_disagree_on_the_number_of_rows_are_refused() -> None:
    with pytest.raises(PeerMisspoke):
        lay_over({"rows": [{"a": 1}]}, {"rows": [{"b": 1}, {"b": 2}]})


def test_routines_are_kept_for_the_next_start(tmp_path: Path) -> None:
    from negotiator.state import open_state

    for _ in range(2):
        opened = open_state(tmp_path)
        kept = RoutineShelf(RoutineCache(opened.text, opened.secrets, now=VirtualClock().time), run_nothing)
        kept.put(CODE)
        assert kept.routines() == [CODE]
    (tmp_path / "secret").unlink()
    opened = open_state(tmp_path)
    assert (
        RoutineShelf(RoutineCache(opened.text, opened.secrets, now=VirtualClock().time), run_nothing).routines() == []
    )
