"""Tasks that are kept: bounded, expiring, and each its principal's."""

import pytest

from negotiator.a2a import TaskLimits, Tasks
from negotiator.dialects.a2a.objects import Artifact, Message, TaskView, data_part, text_part
from negotiator.errors import Overloaded
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore


def view(name: str, state: str = "completed") -> TaskView:
    return TaskView(id=name, context="c", state=state, artifacts=(Artifact(id="a", parts=(data_part({"n": 1}),)),))


def test_a_task_is_had_by_its_principal_alone_and_as_it_was_put() -> None:
    tasks = Tasks(MemoryTextStore(), VirtualClock())
    tasks.begin(tasks.stamped(view("t")), "did:example:a", seconds=60)
    kept = tasks.get("t", "did:example:a")
    assert kept is not None
    assert kept.view == tasks.stamped(view("t"))
    assert tasks.get("t", "anonymous") is None


def text_of(size: int) -> Message:
    return Message(id="m", speaker="user", parts=(text_part("x" * size),))


def kept_by(tasks: Tasks, principal: str) -> set[str]:
    return {kept.view.id for kept in tasks.of(principal)}


def test_the_oldest_that_ended_make_room_and_those_under_way_stay() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    tasks = Tasks(store, clock, TaskLimits(at_most=16))
    tasks.begin(view("busy", "working"), "p", seconds=10_000)
    for number in range(200):
        clock.advance(0.1)
        tasks.claim_message("p", f"m{number}", "d", f"t{number}")
        tasks.begin(view(f"t{number}"), "p", seconds=60)
        # Of one principal, half: never more, and none that came later than one that stays.
        assert len(list(store.keys("a2a/task/"))) == min(number + 2, 8)
    clock.advance(5)
    tasks.sweep()
    assert len(list(store.keys("a2a/"))) == 8 + 7 + 8  # tasks, messages of those that rest, places
    assert kept_by(tasks, "p") == {"busy", *(f"t{number}" for number in range(193, 200))}


def test_strangers_and_any_other_principal_have_half_of_the_tasks_and_of_the_bytes() -> None:
    for limits, size in ((TaskLimits(at_most=16), 1), (TaskLimits(total_bytes=16 * 5_500), 4_000)):
        tasks = Tasks(MemoryTextStore(), VirtualClock(), limits)
        for number in range(100):
            made = TaskView(id=f"t{number}", context="c", state="completed", history=(text_of(size),))
            tasks.begin(made, "anonymous", seconds=1)
        assert kept_by(tasks, "anonymous") == {f"t{number}" for number in range(92, 100)}
        # What they hold is in nobody else's way.
        for number in range(8):
            tasks.begin(view(f"p{number}"), "p", seconds=1)
        assert len(kept_by(tasks, "p")) == len(kept_by(tasks, "anonymous")) == 8


def test_where_all_is_taken_who_has_the_most_makes_room() -> None:
    tasks = Tasks(MemoryTextStore(), VirtualClock(), TaskLimits(at_most=16))
    for principal, count in (("a", 8), ("b", 5), ("c", 3), ("d", 1), ("e", 1)):
        for number in range(count):
            tasks.begin(view(f"{principal}{number}"), principal, seconds=1)
    assert {each: len(kept_by(tasks, each)) for each in "abcde"} == {"a": 6, "b": 5, "c": 3, "d": 1, "e": 1}


@pytest.mark.parametrize("state", ["working", "input-required"])
def test_where_none_has_ended_a_new_one_is_refused_and_what_came_of_others_is_kept(state: str) -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    tasks = Tasks(store, clock, TaskLimits(at_most=8))
    for number in range(4):
        tasks.begin(view(f"t{number}", state), "anonymous", seconds=1_000)
    for _ in range(2):
        with pytest.raises(Overloaded):
            tasks.begin(view("new"), "anonymous", seconds=1)
    assert tasks.get("new", "anonymous") is None
    assert "new" not in "".join(store.keys())
    # Those that are there go on, and one that ends makes room.
    tasks.put(view("t0"), "anonymous")
    tasks.begin(view("new"), "anonymous", seconds=1)
    assert kept_by(tasks, "anonymous") == {"t1", "t2", "t3", "new"}


def test_one_that_waits_for_a_peer_who_does_not_come_makes_room_after_a_while() -> None:
    clock = VirtualClock()
    tasks = Tasks(MemoryTextStore(), clock, TaskLimits(at_most=8, patience=300))
    for number in range(4):
        tasks.begin(view(f"t{number}", "input-required"), "anonymous", seconds=1)
        clock.advance(1)
    clock.advance(297)
    tasks.begin(view("new"), "anonymous", seconds=1)
    assert kept_by(tasks, "anonymous") == {"t1", "t2", "t3", "new"}


def test_rows_of_other_processes_are_counted_too() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    one, other = (Tasks(store, clock, TaskLimits(at_most=8)) for _ in range(2))
    for number in range(4):
        one.begin(view(f"t{number}"), "p", seconds=1)
        clock.advance(1)
    other.begin(view("new"), "p", seconds=1)
    assert kept_by(one, "p") == {"t1", "t2", "t3", "new"}


def test_what_is_too_large_or_finds_no_room_when_it_ends_is_not_kept_half() -> None:
    store = MemoryTextStore()
    tasks = Tasks(store, VirtualClock(), TaskLimits(row_bytes=10_000, total_bytes=30_000))
    with pytest.raises(Overloaded):
        tasks.begin(TaskView(id="t", context="c", state="working", history=(text_of(10_000),)), "p", seconds=60)
    for name in ("t", "u"):
        tasks.begin(view(name, "working"), "p", seconds=60)
    tasks.put(TaskView(id="t", context="c", state="completed", history=(text_of(10_000),)), "p")
    assert kept_by(tasks, "p") == {"u"}
    assert len(list(store.keys())) == 2


def test_expired_rows_are_swept_messages_too() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    tasks = Tasks(store, clock, TaskLimits(seconds=10))
    tasks.begin(view("t"), "p", seconds=1)
    assert tasks.claim_message("p", "m", "d", "t") is None
    assert tasks.claim_message("p", "m", "e", "u") == ("t", "d")
    assert tasks.claim_message("q", "m", "e", "u") is None
    clock.advance(11)
    assert tasks.claim_message("p", "m", "e", "u") is None
    clock.advance(11)
    tasks.sweep()
    assert list(store.keys("a2a/")) == []


def test_a_row_that_is_none_of_ours_is_a_row_that_is_not_there() -> None:
    store = MemoryTextStore()
    tasks = Tasks(store, VirtualClock())
    for text in ("{", "[]", "{}", '{"task": {}, "principal": "p", "updated": 1e12}'):
        store.put("a2a/task/t", text)
        assert tasks.get("t", "p") is None
    tasks.sweep()
    assert list(store.keys()) == []


def test_a_principals_tasks_are_listed_by_context_or_all() -> None:
    tasks = Tasks(MemoryTextStore(), VirtualClock())
    for name, principal, context in (("a", "p", "c"), ("b", "p", "d"), ("e", "q", "c")):
        tasks.begin(TaskView(id=name, context=context, state="completed"), principal, seconds=1)
    assert [kept.view.id for kept in tasks.of("p", "c")] == ["a"]
    assert {kept.view.id for kept in tasks.of("p")} == {"a", "b"}
    assert tasks.of("p", "nowhere") == []
