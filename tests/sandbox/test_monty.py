"""The executor `monty`: what it holds, what it cannot run, and that it never gives another result."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox import vetting
from sandbox.conformance import check_executor
from sandbox.executor import Executor, Level
from sandbox.inside.apart import found_in
from sandbox.monty import Monty
from sandbox.vetting import Import, vet
from tests.sandbox.gone import wait_until_gone

pytest.importorskip("pydantic_monty", reason="the extra monty is not installed")

CANARY = "canary-71ad"
ECHO = "def handle(data):\n    return data"
SHORT = sandbox.Limits(wall_s=0.1, memory_bytes=48 * 1024 * 1024)


def vet_here(source: str, entry: str) -> tuple[Import, ...]:
    """As `vet`, without a process for each program."""
    found = found_in(source, entry)
    if found["violations"]:
        raise sandbox.PolicyViolation(tuple(found["violations"]))
    return tuple(Import(*each) for each in found["imports"])


@pytest.fixture(scope="module")
def monty() -> Iterator[Monty]:
    executor = Monty(_vet=vet_here)
    yield executor
    executor.close()


@pytest.fixture(scope="module")
def alone() -> Iterator[Monty]:
    """Without the language of handlers before it."""
    executor = Monty(_vet=lambda _source, _entry: ())
    yield executor
    executor.close()


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SANDBOX_CANARY", CANARY)
    file = tmp_path / "canary"
    file.write_text(CANARY)
    return file


def calling(body: str) -> str:
    return f"def handle(data):\n    {body}"


# --- the contract ---


def test_it_conforms_and_says_what_it_is() -> None:
    executor = Monty()
    try:
        assert check_executor(executor) == []
        assert isinstance(executor, Executor)
        assert (executor.name, executor.level) == ("monty", Level.MONTY)
    finally:
        executor.close()


def test_the_self_test_holds_every_probe() -> None:
    report = sandbox.self_test("monty")
    assert report.level is Level.MONTY
    assert {probe.name for probe in report.probes} >= {"file", "socket", "fork", "memory", "loop", "flood"}
    assert report.ok, report


# --- hostile programs ---


def attempt(executor: Monty, source: str, canary: Path, looked: list[Any]) -> Any:
    def look(value: Any = None) -> dict[str, bool]:
        looked.append(value)
        return {"seen": True}

    try:
        return executor.run(source, {"file": str(canary)}, tools={"look": look}, limits=SHORT)
    except sandbox.SandboxError as error:
        return error


def nothing_got_out(outcome: Any, canary: Path, looked: list[Any]) -> None:
    assert not isinstance(outcome, sandbox.SandboxUnavailable)
    said = str(outcome) if isinstance(outcome, sandbox.SandboxError) else json.dumps(outcome)
    assert CANARY not in said
    assert len(said) < 20_000
    assert canary.read_text() == CANARY
    assert len(looked) <= SHORT.tool_calls
    assert all(type(value) in {str, int, dict, type(None)} for value in looked)


def test_an_attack_gets_nothing(monty: Monty, canary: Path, attack: str) -> None:
    looked: list[Any] = []
    nothing_got_out(attempt(monty, attack, canary, looked), canary, looked)


def test_few_hostile_programs_end_by_themselves(monty: Monty, canary: Path, quick_attacks: dict[str, str]) -> None:
    """Types, functions and broken characters as text, mostly: values that show nothing of the host."""
    ended = {
        name: outcome
        for name, source in quick_attacks.items()
        if not isinstance(outcome := attempt(monty, source, canary, []), sandbox.SandboxError) and outcome != "safe"
    }
    assert len(ended) <= 0.06 * len(quick_attacks), ended


def test_an_attack_gets_nothing_of_the_host_from_monty_alone(alone: Monty, canary: Path, attack: str) -> None:
    looked: list[Any] = []
    nothing_got_out(attempt(alone, attack, canary, looked), canary, looked)


# --- harmless programs ---


def test_a_harmless_program_gives_its_result_or_says_what_is_missing(monty: Monty, benign: Any) -> None:
    try:
        got = monty.run(benign.source, benign.data)
    except (sandbox.PolicyViolation, sandbox.HandlerFailed):
        return
    assert got == benign.expected


def test_an_everyday_program_gives_what_it_gives_in_plain_python_or_says_what_is_missing(
    monty: Monty, idiom: Any
) -> None:
    try:
        got = monty.run(idiom.source, idiom.copied())
    except (sandbox.PolicyViolation, sandbox.HandlerFailed):
        return
    space: dict[str, Any] = {"__name__": "handler"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Our own file.
        exec(idiom.source, space)  # noqa: S102
    assert got == json.loads(json.dumps(space["handle"](idiom.copied())))


def test_about_half_of_the_everyday_programs_run(monty: Monty, idioms: dict[str, Any]) -> None:
    ran = 0
    for idiom in idioms.values():
        try:
            monty.run(idiom.source, idiom.copied())
            ran += 1
        except sandbox.SandboxError:
            pass
    assert ran >= len(idioms) * 0.45


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("def handle(data):\n    x = 1\n    yield x", 3, "yield"),
        ("import math\nimport statistics\n\ndef handle(data):\n    return 1", 2, "statistics"),
        ("from datetime import date\nfrom heapq import merge\n\ndef handle(data):\n    return 1", 2, "heapq"),
        ("def handle(data):\n    import calendar\n    return 1", 2, "calendar"),
        ("class Mine(ValueError):\n    pass\n\ndef handle(data):\n    return 1", 1, "inheritance"),
    ],
)
def test_what_this_monty_does_not_know_is_a_violation_with_its_line(
    monty: Monty, source: str, line: int, said: str
) -> None:
    with pytest.raises(sandbox.PolicyViolation, match=said) as caught:
        monty.check(source)
    assert [number for number, _ in caught.value.violations] == [line]


def test_checking_runs_nothing(monty: Monty) -> None:
    monty.check("x = 1 / 0\nwhile True:\n    pass\ndef handle(data):\n    return 1")
    with pytest.raises(sandbox.HandlerFailed, match="ZeroDivisionError") as caught:
        monty.run("x = 1 / 0\ndef handle(data):\n    return 1", None)
    assert caught.value.line == 1


# --- what Monty's defaults leave open ---


@pytest.mark.parametrize(
    "expression",
    [
        "handle",
        "[handle]",
        "len",
        "range(3)",
        "{}.keys()",
        "(lambda: 1)",
        "ValueError",
        "b'x'",
        "1e999",
        "[float('nan')]",
    ],
)
def test_what_monty_would_send_as_text_is_no_result(monty: Monty, expression: str) -> None:
    with pytest.raises(sandbox.HandlerFailed, match="not plain JSON"):
        monty.run(calling(f"return {expression}"), None)


@pytest.mark.parametrize("expression", ["handle", "{1}", "(lambda: 1)", "float('nan')", "{1: 2}"])
def test_what_monty_would_send_as_text_is_no_argument(monty: Monty, expression: str) -> None:
    calls: list[Any] = []
    with pytest.raises(sandbox.HandlerFailed, match="TypeError"):
        monty.run(calling(f"return look({expression})"), None, tools={"look": calls.append})
    assert calls == []


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndef handle(data):\n    return str(datetime.datetime.now())",
        "import datetime\ndef handle(data):\n    return str(datetime.date.today())",
        calling("import time\n    return time.time()"),
        calling("import random\n    return random.random()"),
        calling("import os\n    return os.getenv('SANDBOX_CANARY')"),
        calling("return open('/etc/hostname').read()"),
    ],
)
def test_what_it_asks_of_the_host_is_answered_with_no(alone: Monty, canary: Path, source: str) -> None:
    with pytest.raises(sandbox.HandlerFailed, match="a handler has no clock, no files"):
        alone.run(source, None)


def test_sleeping_takes_no_time_and_printing_goes_nowhere(alone: Monty, capfd: pytest.CaptureFixture[str]) -> None:
    source = "import sys, time\ndef handle(data):\n    print('out')\n    print('x' * 10000)\n    time.sleep(10)\n    return 1"
    assert alone.run(source, None, limits=SHORT) == 1
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_a_loop_of_questions_ends(alone: Monty) -> None:
    source = calling("while True:\n        try:\n            missing\n        except NameError:\n            pass")
    with pytest.raises(sandbox.SandboxError) as caught:
        alone.run(source, None)
    assert not isinstance(caught.value, sandbox.SandboxUnavailable)


def test_computing_that_cannot_be_interrupted_is_killed_and_the_next_call_is_served(monty: Monty) -> None:
    with pytest.raises(sandbox.LimitExceeded) as caught:
        monty.run(
            calling("x = 7\n    for _ in range(40):\n        x = x * x\n    return len(str(x))"), None, limits=SHORT
        )
    assert caught.value.limit == "wall_s"
    assert monty.run(ECHO, 1) == 1


def test_a_result_that_holds_one_list_many_times_costs_what_it_says(monty: Monty) -> None:
    source = calling("a = ['x'] * 10\n    for _ in range(30):\n        a = [a] * 10\n    return a")
    with pytest.raises(sandbox.LimitExceeded):
        monty.run(source, None)


def test_errors_are_short_and_name_their_line_and_kind(monty: Monty) -> None:
    with pytest.raises(sandbox.HandlerFailed) as caught:
        monty.run("def handle(data):\n    x = 1\n    raise KeyError('y' * 1000000)", None)
    assert caught.value.line == 3
    assert str(caught.value).startswith("KeyError: yyy")
    assert len(str(caught.value)) <= 300


def test_a_tool_error_has_its_own_name(monty: Monty) -> None:
    def tool() -> None:
        raise sandbox.ToolError("no such city")

    caught = calling("try:\n        tool()\n    except ToolError as error:\n        return str(error)")
    assert monty.run(caught, None, tools={"tool": tool}) == "no such city"
    missed = calling("try:\n        tool()\n    except ValueError:\n        return 1")
    with pytest.raises(sandbox.HandlerFailed, match=r"^ToolError: no such city"):
        monty.run(missed, None, tools={"tool": tool})


def test_a_name_of_the_program_stands_before_a_tools(monty: Monty) -> None:
    source = "def look(value):\n    return 'own'\ndef handle(data):\n    return look(1)"
    assert monty.run(source, None, tools={"look": lambda value: "host"}) == "own"


@pytest.mark.parametrize("entry", ["_private", "a.b", "", "a b"])
def test_an_entry_that_is_no_public_name_is_the_callers_mistake(monty: Monty, entry: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        monty.run(ECHO, 1, entry=entry)


# --- processes ---


def pids(executor: Monty, tenant: str) -> int:
    with executor._lent(tenant) as running, executor._session(running, SHORT) as session:
        return session.worker_pid


def test_a_worker_serves_one_tenant() -> None:
    executor = Monty(_vet=vet_here)
    try:
        assert pids(executor, "a") == pids(executor, "a")
        assert pids(executor, "a") != pids(executor, "b")
    finally:
        executor.close()


def test_more_tenants_than_are_kept_warm_are_all_served() -> None:
    executor = Monty(tenants=2, _vet=vet_here)
    try:
        for i in range(5):
            assert executor.run(ECHO, i, tenant=str(i)) == i
        assert len(executor._tenants) == 2
    finally:
        executor.close()


def test_workers_see_nothing_of_the_environment(monty: Monty, canary: Path) -> None:
    file = Path(f"/proc/{pids(monty, 'a')}/environ")
    if not file.exists():
        pytest.skip("no /proc here")
    assert CANARY.encode() not in file.read_bytes()


def test_a_call_that_finds_every_worker_busy_ends_with_a_typed_error() -> None:
    executor = Monty(workers=1, patience_s=0.05, _vet=vet_here)
    inner: list[BaseException] = []

    def tool() -> None:
        try:
            executor.run(ECHO, 1)
        except sandbox.SandboxBusy as error:
            inner.append(error)

    try:
        executor.run(calling("tool()"), None, tools={"tool": tool})
        assert len(inner) == 1
        assert executor.run(ECHO, 2) == 2
    finally:
        executor.close()


@pytest.mark.anyio
async def test_calls_run_side_by_side_and_the_loop_stays_free(monty: Monty) -> None:
    met = asyncio.Barrier(2)

    async def meet() -> None:
        await met.wait()

    async with asyncio.timeout(30):
        results = await asyncio.gather(
            *(monty.arun(calling("meet()\n    return data"), i, tools={"meet": meet}) for i in range(2))
        )
    assert results == [0, 1]


@pytest.mark.anyio
async def test_many_tasks_share_the_workers(monty: Monty) -> None:
    results = await asyncio.gather(*(monty.arun(ECHO, i, tenant=str(i % 3)) for i in range(30)))
    assert results == list(range(30))


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_neither_its_tool_nor_its_worker_running() -> None:
    executor = Monty(_vet=vet_here)
    inside, tool_ended = asyncio.Event(), asyncio.Event()

    async def tool() -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        finally:
            tool_ended.set()

    try:
        task = asyncio.create_task(executor.arun(calling("tool()"), None, tools={"tool": tool}))
        await inside.wait()
        (running,) = executor._running
        pid = running._pid
        assert pid is not None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await tool_ended.wait()
            await asyncio.to_thread(wait_until_gone, pid)
        assert await executor.arun(ECHO, 1) == 1
    finally:
        executor.close()


def test_closing_ends_what_is_under_way_and_may_be_done_twice() -> None:
    executor = Monty(_vet=vet_here)
    inside = threading.Event()
    ended: list[BaseException] = []

    def tool() -> None:
        inside.set()

    def work() -> None:
        try:
            executor.run(calling("tool()\n    while True:\n        pass"), None, tools={"tool": tool})
        except sandbox.SandboxError as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(30)
    executor.close()
    executor.close()
    thread.join(30)
    assert [type(error) for error in ended] == [sandbox.SandboxUnavailable]
    with pytest.raises(sandbox.SandboxUnavailable):
        executor.run(ECHO, 1)


def test_a_fork_of_the_host_is_refused_and_not_hung() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    program = (
        "import os, sandbox\n"
        "from sandbox.monty import Monty\n"
        "executor = Monty()\n"
        "src = 'def handle(data):\\n    return data'\n"
        "assert executor.run(src, 1) == 1\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        executor.run(src, 2)\n"
        "    except sandbox.SandboxUnavailable:\n"
        "        os._exit(7)\n"
        "    os._exit(1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "assert os.waitstatus_to_exitcode(status) == 7, status\n"
        "assert executor.run(src, 3) == 3\n"
        "print('both')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.stdout == "both\n", ran.stderr


# --- the language, in a process of its own ---


def test_vetting_finds_violations_and_imports_with_their_lines() -> None:
    assert vet("import math\nfrom datetime import date, time\ndef handle(data):\n    return 1", "handle") == (
        Import(1, "import math"),
        Import(2, "from datetime import date"),
        Import(2, "from datetime import time"),
    )
    with pytest.raises(sandbox.PolicyViolation) as caught:
        vet("import os\ndef handle(data):\n    return data.__class__", "handle")
    assert [line for line, _ in caught.value.violations] == [1, 3]
    with pytest.raises(sandbox.PolicyViolation, match="must define a function decode"):
        vet(ECHO, "decode")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"VET_SECONDS": 0.0001}, sandbox.LimitExceeded),
        ({"BOOTSTRAP": "import os\nos._exit(9)\n"}, sandbox.WorkerDied),
    ],
)
def test_a_compiler_that_does_not_answer_is_a_typed_error(
    change: dict[str, Any], kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in change.items():
        monkeypatch.setattr(vetting, name, value)
    with pytest.raises(kind):
        vet(ECHO, "handle")


def test_without_the_extra_the_words_that_install_it_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_monty", None)
    with pytest.raises(sandbox.SandboxUnavailable, match=r'pip install "metaparley\[monty\]"'):
        Monty()
