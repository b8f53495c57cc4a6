"""Worker processes: their death, their replacement, their memory, and what is left of them."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox import processes
from sandbox.locked import Locked
from sandbox.processes import BOOTSTRAP
from sandbox.storms import DEATHS, LONGEST_PAUSE, Storms
from tests.sandbox.gone import wait_until_gone

ROOT = Path(__file__).parents[2]
ECHO = "def handle(data):\n    return data"
WAITING = "def handle(data):\n    return wait()"
LOOP = "def handle(data):\n    while True:\n        pass"
ANY_PYTHON = BOOTSTRAP.replace("inside.worker import serve", "inside.unguarded import serve_anything as serve")
FORBIDDEN = "def handle(data):\n    import os\n    os.fork()"


@pytest.fixture
def executor() -> Iterator[Locked]:
    made = Locked(workers=1)
    yield made
    made.close()


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)


def test_a_new_executor_starts_nothing() -> None:
    executor = Locked()
    assert executor.processes == ()
    executor.close()


@pytest.mark.anyio
@pytest.mark.parametrize("face", ["run", "arun"])
async def test_workers_that_died_while_they_were_idle_are_not_noticed_by_callers(executor: Locked, face: str) -> None:
    for number in range(3):
        if face == "run":
            assert executor.run(ECHO, number) == number
        else:
            assert await executor.arun(ECHO, number) == number
        for pid in executor.processes:
            end(pid)


def test_a_worker_is_replaced_after_so_many_calls(executor: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "RETIRE_AFTER_CALLS", 3)
    used: list[int] = []

    def note() -> int:
        (busy,) = executor._pool._busy
        used.append(busy.process.pid)
        return len(used)

    for _ in range(6):
        executor.run("def handle(data):\n    return note()", None, tools={"note": note})
    assert used[0] == used[1] == used[2] != used[3] == used[4] == used[5]
    wait_until_gone(used[0])


def test_the_pieces_of_a_long_answer_are_put_together(executor: Locked) -> None:
    """Longer than what a pipe holds, in both directions at once."""
    limits = sandbox.Limits(output_bytes=4_000_000)
    data = ["é" * 1000] * 1500
    assert executor.run(ECHO, data, limits=limits) == data
    assert asyncio.run(executor.arun(ECHO, data, limits=limits)) == data


@pytest.mark.parametrize("source", [ECHO, LOOP], ids=["idle", "busy"])
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL, None], ids=["terminated", "killed", "at its end"])
def test_no_worker_outlives_its_host(source: str, way: signal.Signals | None) -> None:
    program = (
        "import sandbox, sys, threading\n"
        "sandbox.run('def handle(data):\\n    return data', 1)\n"
        "executor = sandbox.default_executor()\n"
        f"busy = threading.Thread(target=sandbox.run, args=({source!r}, 1), daemon=True)\n"
        "busy.start()\n"
        "template = executor._pool._starts._template\n"
        "print(*executor.processes, *([template._process.pid] if template else []), flush=True)\n"
        "sys.stdin.read()\n"
    )
    host = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        if way is not None:
            host.send_signal(way)
    assert len(pids) > 1
    for pid in pids:
        wait_until_gone(pid)


def test_a_fork_of_the_host_keeps_none_of_its_workers_alive() -> None:
    program = (
        "import os, sandbox, sys\n"
        "sandbox.run('def handle(data):\\n    return data', 1)\n"
        "executor = sandbox.default_executor()\n"
        "template = executor._pool._starts._template\n"
        "if os.fork() == 0:\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "print(*executor.processes, *([template._process.pid] if template else []), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    host = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        host.kill()
        host.wait()
        # The fork lives until its input is closed, and holds what the host had open.
        for pid in pids:
            wait_until_gone(pid)
    assert len(pids) > 1


def test_closing_ends_a_call_that_is_under_way(executor: Locked) -> None:
    begun, errors = threading.Event(), []

    def call() -> None:
        source = "def handle(data):\n    begin()\n    while True:\n        pass"
        try:
            executor.run(source, None, tools={"begin": begun.set}, limits=sandbox.Limits(wall_s=30))
        except sandbox.SandboxError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert begun.wait(20)
    executor.close()
    thread.join(20)
    assert [type(error) for error in errors] == [sandbox.SandboxUnavailable]
    assert executor.processes == ()


def cancelled_at(step: int, executor: Locked) -> bool:
    """Run a call with a tool, cancel it after `step` turns of the loop; False where it was over by then."""

    async def main() -> bool:
        async def wait() -> int:
            await asyncio.sleep(0)
            return 1

        task = asyncio.create_task(executor.arun(WAITING, None, tools={"wait": wait}))
        for _ in range(step):
            await asyncio.sleep(0)
            if task.done():
                return False
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return True

    return asyncio.run(main())


def test_a_call_cancelled_at_any_step_leaks_no_worker_and_no_place(executor: Locked) -> None:
    assert executor.run(ECHO, 0) == 0
    # The loop turns as often as it likes while the worker is at work: these are the first turns and some late ones.
    for step in (*range(12), 20, 50, 100, 1000):
        cancelled_at(step, executor)
        assert not executor._pool._busy
        assert not executor._pool._waiting
    assert executor.run(ECHO, 1) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(4))
async def test_a_call_cancelled_while_a_worker_is_handed_to_it_gives_it_back(executor: Locked, turns: int) -> None:
    inside, leave = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        inside.set()
        await leave.wait()

    busy = asyncio.create_task(executor.arun(WAITING, None, tools={"wait": wait}))
    await inside.wait()
    waiting = asyncio.create_task(executor.arun(ECHO, 1))
    await asyncio.sleep(0)
    leave.set()
    await busy
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert await executor.arun(ECHO, 2) == 2
    assert not executor._pool._busy


def test_threads_with_loops_of_their_own_share_one_worker(executor: Locked) -> None:
    results: list[int] = []

    async def calls(first: int) -> None:
        results.extend(await asyncio.gather(*(executor.arun(ECHO, first + i, tenant="one") for i in range(8))))

    threads = [threading.Thread(target=asyncio.run, args=(calls(10 * i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(results) == [10 * i + j for i in range(4) for j in range(8)]
    assert not executor._pool._busy


def test_a_program_that_ends_every_worker_is_held_back_and_others_are_not() -> None:
    executor = Locked(workers=1, _bootstrap=ANY_PYTHON)
    executor._storms = Storms(clock=lambda: 0.0)
    try:
        if executor.level is not sandbox.Level.FULL:
            pytest.skip("without seccomp a fork fails and does not end the worker")
        for _ in range(DEATHS):
            with pytest.raises(sandbox.WorkerDied, match="not allowed"):
                executor.run(FORBIDDEN, None)
        assert executor.run(ECHO, 1) == 1
        before = executor.processes
        for _ in range(50):
            with pytest.raises(sandbox.WorkerDied, match="in a row"):
                executor.run(FORBIDDEN, None)
        assert set(before) <= set(executor.processes)
        assert executor.run(ECHO, 2) == 2
    finally:
        executor.close()


def test_who_is_held_back_may_try_again_and_is_free_once_a_worker_outlives_it() -> None:
    now, program = [0.0], ("tenant", "digest")
    storms = Storms(clock=lambda: now[0])
    for _ in range(DEATHS - 1):
        storms.died(program)
        storms.check(program)
    waited = []
    for _ in range(12):
        storms.died(program)
        began = now[0]
        with pytest.raises(sandbox.WorkerDied):
            storms.check(program)
        storms.check(("another tenant", "digest"))
        while True:
            now[0] += 0.05
            with contextlib.suppress(sandbox.WorkerDied):
                storms.check(program)
                break
        waited.append(round(now[0] - began, 1))
    assert waited == sorted(waited)
    assert waited[0] < 1
    assert LONGEST_PAUSE <= waited[-1] < LONGEST_PAUSE + 0.2
    storms.died(program)
    storms.lived(program)
    storms.check(program)


def test_what_is_known_of_programs_is_bounded(executor: Locked) -> None:
    for number in range(300):
        assert executor.run(f"def handle(data):\n    return {number}", None) == number
    (worker,) = executor._pool._idle
    assert len(worker.known) <= 256
    assert executor.run("def handle(data):\n    return 0", None) == 0


def test_many_calls_leave_no_memory_behind(executor: Locked) -> None:
    source = (
        "def handle(data):\n"
        "    def again(n):\n        return n and again(n - 1)\n"
        "    loop = [data]\n    loop.append(loop)\n"
        "    try:\n        raise ValueError(str(again(3)))\n    except ValueError as error:\n        kept = error\n"
        "    return [row['a'] for row in data]\n"
    )
    data: list[Any] = [{"a": "x" * 50, "b": [1, 2.5, None]} for _ in range(20)]

    def resident() -> int:
        (worker,) = executor._pool._idle
        return int(Path(f"/proc/{worker.process.pid}/statm").read_text(encoding="ascii").split()[1]) * 4096

    for _ in range(500):
        executor.run(source, data)
    before = resident()
    for _ in range(4000):
        executor.run(source, data)
    assert resident() - before < 1 << 20
