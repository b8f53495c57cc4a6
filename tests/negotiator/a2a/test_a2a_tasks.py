"""Tasks that are kept: bounded, expiring, and each its principal's."""

from negotiator.a2a import TaskLimits, Tasks
from negotiator.dialects.a2a.objects import Artifact, TaskView, data_part
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


def test_the_oldest_that_rest_make_room_and_those_under_way_stay() -> None:
    clock, store = VirtualClock(), MemoryTextStore()
    tasks = Tasks(store, clock, TaskLimits(at_most=8))
    tasks.begin(view("busy", "working"), "p", seconds=10_000)
    for number in range(200):
        clock.advance(0.01)
        tasks.begin(view(f"t{number}"), "p", seconds=60)
        assert len(list(store.keys("a2a/task/"))) <= 8 + 64
        tasks.claim_message("p", f"m{number}", "d", f"t{number}")
    tasks.sweep()
    assert len(list(store.keys("a2a/"))) == 8 + 7 + 8  # tasks, messages of those that rest, places
    left = {kept.view.id for kept in tasks.of("p")}
    assert "busy" in left
    assert left - {"busy"} == {f"t{number}" for number in range(193, 200)}


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
