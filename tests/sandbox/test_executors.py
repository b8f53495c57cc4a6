"""Executors other than by their programs: conformance, tenants, workers' lives, levels."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.conformance import check_executor
from sandbox.executor import Executor, Level
from sandbox.locked import Locked
from sandbox.trusted import Trusted
from tests.sandbox.gone import wait_until_gone

ROOT = Path(__file__).parents[2]
ECHO = "def handle(data):\n    return data"


def test_the_locked_executor_conforms(locked: Locked) -> None:
    assert check_executor(locked) == []


def test_the_trusted_executor_conforms_and_says_what_it_is() -> None:
    executor = Trusted()
    assert check_executor(executor) == []
    assert executor.name == "trusted"
    assert executor.level is Level.TRUSTED


@pytest.mark.filterwarnings("ignore")
def test_conformance_finds_an_executor_that_only_executes() -> None:
    class Careless(Trusted):
        name = "careless"

        def run(self, source: str, data: Any, *, tools: Any = None, entry: str = "handle", **_: Any) -> Any:
            space: dict[str, Any] = dict(tools or {})
            exec(source, space)  # noqa: S102 - the careless one
            return space[entry](data)

        async def arun(self, source: str, data: Any, **options: Any) -> Any:
            return self.run(source, data, **options)

        def check(self, source: str, *, entry: str = "handle") -> None:
            compile(source, "x", "exec")

    breaches = check_executor(Careless())
    for word in ("check", "returns plain json only", "takes plain data only", "lets nothing out", "lets tools fail"):
        assert any(word in breach for breach in breaches), word
    # The open files and coroutines that the careless one leaves are this test's own.
    gc.collect()


def test_a_harmless_program_gives_the_same_in_both_executors(benign: Any) -> None:
    assert Trusted().run(benign.source, benign.data) == benign.expected


def test_levels_are_ordered() -> None:
    assert Level.FULL.meets(Level.FULL)
    assert Level.FULL.meets(Level.PROCESS_ONLY)
    assert not Level.NO_LANDLOCK.meets(Level.FULL)
    assert not Level.TRUSTED.meets(Level.PROCESS_ONLY)


def test_both_are_executors(locked: Locked) -> None:
    assert isinstance(locked, Executor)
    assert isinstance(Trusted(), Executor)


def test_a_worker_serves_one_tenant_and_stays_with_it(locked: Locked) -> None:
    seen: dict[str, set[int]] = {"a": set(), "b": set()}
    pool = locked._pool
    for _ in range(3):
        for tenant in seen:
            locked.run(ECHO, 1, tenant=tenant)
            seen[tenant] |= {worker.process.pid for worker in pool._idle if worker.tenant == tenant}
    assert len(seen["a"]) == len(seen["b"]) == 1
    assert not seen["a"] & seen["b"]


def test_more_tenants_than_workers_are_all_served() -> None:
    executor = Locked(workers=2)
    try:
        for i in range(6):
            assert executor.run(ECHO, i, tenant=str(i)) == i
        assert len(executor._pool._idle) <= 2
    finally:
        executor.close()


def test_sets_iterate_in_one_order_in_every_worker(locked: Locked) -> None:
    source = "def handle(data):\n    return list(set(data))"
    words = [f"word{i}" for i in range(50)]
    assert locked.run(source, words, tenant="one") == locked.run(source, words, tenant="two")


def test_a_known_program_is_not_sent_twice_and_a_forgotten_one_is_sent_again(locked: Locked) -> None:
    assert locked.run(ECHO, 1, tenant="forgetful") == 1
    for i in range(300):
        assert locked.run(f"{ECHO} or {i + 2}", 0, tenant="forgetful") == i + 2
    assert locked.run(ECHO, 3, tenant="forgetful") == 3


def test_a_worker_killed_from_outside_is_replaced() -> None:
    executor = Locked(workers=1)
    try:
        assert executor.run(ECHO, 1) == 1
        victim = executor._pool._idle[0].process
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        assert executor.run(ECHO, 2) == 2
    finally:
        executor.close()


def test_every_worker_is_gone_after_close() -> None:
    executor = Locked(workers=2, spares=2)
    executor.run(ECHO, 1, tenant="a")
    executor.run(ECHO, 1, tenant="b")
    pool = executor._pool
    processes = [worker.process for worker in (*pool._idle, *pool._spares)]
    executor.close()
    assert processes
    assert all(process.wait(0) is not None for process in processes)


def test_many_threads_share_the_pool(locked: Locked) -> None:
    results: list[Any] = []

    def work(i: int) -> None:
        results.append((i, locked.run(ECHO, i, tenant=str(i % 3))))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [(i, i) for i in range(24)]


@pytest.mark.anyio
async def test_many_tasks_share_the_pool(locked: Locked) -> None:
    results = await asyncio.gather(*(locked.arun(ECHO, i, tenant=str(i % 4)) for i in range(40)))
    assert results == list(range(40))


@pytest.mark.anyio
async def test_a_call_cancelled_while_it_waits_for_a_worker_costs_none() -> None:
    executor = Locked(workers=1)
    try:
        assert await executor.arun(ECHO, 1) == 1
        inside, leave = asyncio.Event(), asyncio.Event()

        async def tool() -> None:
            inside.set()
            await leave.wait()

        busy = asyncio.create_task(executor.arun("def handle(data):\n    tool()", None, tools={"tool": tool}))
        await inside.wait()
        waiting = asyncio.create_task(executor.arun(ECHO, 2))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        leave.set()
        await busy
        assert await executor.arun(ECHO, 3) == 3
    finally:
        executor.close()


def test_what_a_finalizer_does_late_reaches_no_tool_of_a_later_call(locked: Locked) -> None:
    calls: list[Any] = []
    late = (
        "def gen():\n    try:\n        yield 1\n    finally:\n        look('late')\n"
        "def handle(data):\n    g = gen()\n    next(g)\n    loop = [g]\n    loop.append(loop)\n    return 1\n"
    )
    busy = "def handle(data):\n    rows = [[i] for i in range(20000)]\n    for r in rows:\n        r.append(r)\n    return 1"
    assert locked.run(late, None, tools={"look": calls.append}, tenant="late") == 1
    before = list(calls)
    for _ in range(5):
        assert locked.run(busy, None, tools={"look": calls.append}, tenant="late") == 1
    assert calls == before


def test_a_fork_of_the_host_uses_workers_of_its_own(locked: Locked) -> None:
    assert locked.run(ECHO, 1) == 1
    program = (
        "import os, sandbox\n"
        "src = 'def handle(data):\\n    return data'\n"
        "assert sandbox.run(src, 1) == 1\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    ok = sandbox.run(src, 2) == 2\n"
        "    sandbox.default_executor().close()\n"
        "    os._exit(0 if ok else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "assert status == 0\n"
        "assert sandbox.run(src, 3) == 3\n"
        "print('both')\n"
    )
    ran = _python(program, "-W", "ignore::DeprecationWarning")
    assert ran.stdout == "both\n", ran.stderr


def test_importing_the_package_starts_nothing_and_loads_little() -> None:
    program = "import sys, sandbox; print(*sorted({'asyncio', 'subprocess', 'RestrictedPython', 'ctypes'} & set(sys.modules)))"
    assert _python(program).stdout.split() == []


ELSEWHERE = (
    # Read while the platform is still the true one: the name of its file has the platform in it.
    "import asyncio, sys, sysconfig, sandbox\nsysconfig.get_config_vars()\nsys.platform = 'darwin'\n"
    "try:\n    print(sandbox.run('def handle(data):\\n    return data', 1), sandbox.default_executor().name)\n"
    "except sandbox.SandboxUnavailable as error:\n    print(error)\n"
    "report = sandbox.self_test()\nprint(report.ok, report.level, report.problem)\n"
)


def test_elsewhere_than_on_linux_monty_takes_over_where_it_is_installed() -> None:
    pytest.importorskip("pydantic_monty", reason="the extra monty is not installed")
    lines = _python(ELSEWHERE).stdout.splitlines()
    assert lines[0] == "1 monty"
    assert lines[1].startswith("False None the executor locked needs Linux")


def test_elsewhere_without_monty_one_line_says_what_still_serves() -> None:
    lines = _python("import sys\nsys.modules['pydantic_monty'] = None\n" + ELSEWHERE).stdout.splitlines()
    assert len(lines) == 2
    assert "locked needs Linux and this is darwin" in lines[0]
    assert 'pip install "metaparley[monty]"' in lines[0]
    assert "native routines still serve" in lines[0]
    assert "Trusted()" in lines[0]


def test_the_self_test_reports_locks_level_and_probes() -> None:
    report = sandbox.self_test()
    assert report.executor == "locked"
    assert {probe.name for probe in report.probes} >= {"file", "socket", "fork", "memory", "loop", "flood"}
    assert report.level is not None
    held = {probe.name for probe in report.probes if probe.held}
    assert held >= {"memory", "loop", "flood", "environment"}
    if report.level is Level.FULL:
        assert report.ok, report


def test_a_host_that_ends_takes_its_workers_along() -> None:
    program = (
        "import os, sandbox\n"
        "sandbox.run('def handle(data):\\n    return data', 1)\n"
        "pool = sandbox.default_executor()._pool\n"
        "print(*[w.process.pid for w in pool._idle])\n"
        "import sys; sys.stdout.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ran = _python(program)
    pids = [int(word) for word in ran.stdout.split()]
    assert pids
    for pid in pids:
        wait_until_gone(pid)


def _python(program: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *options, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_nothing_is_left_for_the_collector_to_complain_about() -> None:
    executor = Locked(workers=1)
    executor.run(ECHO, 1)
    executor.close()
    del executor
    gc.collect()
