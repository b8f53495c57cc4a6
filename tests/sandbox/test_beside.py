"""Where a worker runs while its caller waits for it, and where both run after that."""

import os

import pytest

from sandbox.beside import Beside
from sandbox.locked import Locked

ECHO = "def handle(data):\n    return data"
EVERYWHERE = os.sched_getaffinity(0)

pytestmark = pytest.mark.skipif(len(EVERYWHERE) < 2, reason="there is one processor only")


def brisk(executor: Locked) -> int:
    """A worker that has answered at once; its process id."""
    for _ in range(20):
        assert executor.run(ECHO, 1) == 1
        (pid,) = executor.processes
        if len(os.sched_getaffinity(pid)) == 1:
            return pid
    pytest.skip("no call was quick enough on this machine")


def test_who_waits_for_a_quick_worker_runs_where_it_may_afterwards(executor: Locked) -> None:
    brisk(executor)
    assert os.sched_getaffinity(0) == EVERYWHERE


def test_a_caller_that_may_run_in_one_place_only_stays_there(executor: Locked) -> None:
    one = {min(EVERYWHERE)}
    os.sched_setaffinity(0, one)
    try:
        assert os.sched_getaffinity(brisk(executor)) == one
        assert os.sched_getaffinity(0) == one
    finally:
        os.sched_setaffinity(0, EVERYWHERE)


def test_a_worker_that_may_have_much_to_do_runs_anywhere(executor: Locked) -> None:
    pid = brisk(executor)
    seen: list[set[int]] = []
    executor.run(
        "def handle(data):\n    return look()", 1, tools={"look": lambda: seen.append(os.sched_getaffinity(pid))}
    )
    assert seen == [EVERYWHERE]


@pytest.mark.anyio
async def test_a_worker_that_a_loop_waits_for_runs_anywhere(executor: Locked) -> None:
    pid = brisk(executor)
    assert await executor.arun(ECHO, 2) == 2
    assert os.sched_getaffinity(pid) == EVERYWHERE


def test_a_process_that_is_gone_is_no_error() -> None:
    beside = Beside()
    assert beside.hold(2**22 + 1, None) is None
    assert os.sched_getaffinity(0) == EVERYWHERE
    beside.free(2**22 + 1)
