"""What `run` and `arun` promise to whoever calls them."""

import asyncio
from typing import Any

import anyio
import pytest

import sandbox
from sandbox.locked import Locked

ECHO = "def handle(data):\n    return data"


class JournalBroken(Exception):
    """Stands for an error of the host's own."""


def calling(body: str) -> str:
    return f"def handle(data):\n    {body}"


@pytest.fixture(params=["run", "arun"])
def call(request: pytest.FixtureRequest, locked: Locked) -> Any:
    """Both faces behind one signature."""
    if request.param == "run":
        return locked.run

    def through_the_loop(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(locked.arun(*args, **kwargs))

    return through_the_loop


@pytest.mark.parametrize("data", [None, True, 0, -(2**63), 2**64 - 1, 1.5, "é\n", [], {}, {"a": [1, {"b": None}]}])
def test_data_goes_in_and_comes_out_as_it_was(call: Any, data: Any) -> None:
    assert call(ECHO, data) == data
    assert type(call(ECHO, data)) is type(data)


def test_the_module_level_functions_use_the_executor_given(locked: Locked) -> None:
    assert sandbox.run(ECHO, 1, executor=locked) == 1
    assert asyncio.run(sandbox.arun(ECHO, 1, executor=locked)) == 1
    sandbox.check(ECHO, executor=locked)


def test_large_data_passes_both_ways(call: Any) -> None:
    data = ["x" * 1000] * 900
    assert call(ECHO, data) == data


def test_another_function_can_be_named(call: Any) -> None:
    assert call("def decode(data):\n    return data + 1", 1, entry="decode") == 2


@pytest.mark.parametrize("entry", ["_private", "a.b", "", "a b"])
def test_an_entry_that_is_no_public_name_is_the_callers_mistake(call: Any, entry: str) -> None:
    with pytest.raises(ValueError):
        call(ECHO, 1, entry=entry)


def test_a_missing_function_is_repairable(call: Any) -> None:
    with pytest.raises(sandbox.PolicyViolation, match="must define a function handle") as caught:
        call("def other(data):\n    return 1", 1)
    assert caught.value.repairable


def test_every_call_starts_with_fresh_globals(call: Any) -> None:
    source = "seen = []\ndef handle(data):\n    seen.append(data)\n    return seen"
    assert call(source, 1) == [1]
    assert call(source, 2) == [2]


def test_tools_are_global_functions(call: Any) -> None:
    calls = []

    def add(left: int, right: int = 10) -> int:
        calls.append((left, right))
        return left + right

    assert call(calling("return add(1, 2) + add(1) + add(right=3, left=4)"), None, tools={"add": add}) == 21
    assert calls == [(1, 2), (1, 10), (4, 3)]


def test_a_tool_gets_a_copy_and_gives_a_copy(call: Any) -> None:
    kept: list[Any] = []
    shared = {"rows": [1]}

    def look(value: Any) -> Any:
        kept.append(value)
        return shared

    source = calling("a = [1]\n    got = look(a)\n    a.append(2)\n    got['rows'].append(2)\n    return [a, got]")
    assert call(source, None, tools={"look": look}) == [[1, 2], {"rows": [1, 2]}]
    assert kept == [[1]]
    assert shared == {"rows": [1]}


SWALLOWING = [
    "try:\n        tool()\n    except:\n        return 1",
    "try:\n        tool()\n    except Exception:\n        return 1",
    "try:\n        tool()\n    finally:\n        return 1",
    "while True:\n        try:\n            tool()\n        finally:\n            continue",
]


@pytest.mark.parametrize("body", SWALLOWING)
def test_an_error_of_the_host_reaches_the_caller_as_the_same_object(call: Any, body: str) -> None:
    error = JournalBroken("full")
    calls = []

    def tool() -> None:
        calls.append(1)
        raise error

    with pytest.raises(JournalBroken) as caught:
        call(calling(body), None, tools={"tool": tool})
    assert caught.value is error
    assert len(calls) == 1


def test_a_tool_error_is_the_handlers_to_catch(call: Any) -> None:
    def tool() -> None:
        raise sandbox.ToolError("no such city")

    source = calling("try:\n        tool()\n    except ToolError as error:\n        return str(error)")
    assert call(source, None, tools={"tool": tool}) == "no such city"
    with pytest.raises(sandbox.HandlerFailed, match="no such city"):
        call(calling("return tool()"), None, tools={"tool": tool})


def test_wrong_arguments_are_the_handlers_mistake_and_the_tool_is_not_called(call: Any) -> None:
    calls = []

    def tool(city: str) -> None:
        calls.append(city)

    with pytest.raises(sandbox.HandlerFailed, match="TypeError: tool"):
        call(calling("return tool(town='Rome')"), None, tools={"tool": tool})
    assert calls == []


def test_a_tool_result_that_is_not_plain_is_the_hosts_mistake(call: Any) -> None:
    with pytest.raises(sandbox.NotPlain):
        call(calling("return tool()"), None, tools={"tool": object})


@pytest.mark.parametrize("data", [float("nan"), object(), {1, 2}, b"bytes"])
def test_data_that_is_not_plain_is_the_hosts_mistake(call: Any, data: Any) -> None:
    with pytest.raises(sandbox.NotPlain):
        call(ECHO, data)


RESULTS = {
    "a set": "{1}",
    "a function": "handle",
    "a type": "int",
    "NaN": "float('nan')",
    "infinity": "[1e999]",
    "a key that is a number": "{1: 2}",
    "an integer of a thousand digits": "10 ** 1000",
    "half a surrogate pair": "'\\ud800'",
    "bytes": "b'a'",
    "a generator": "(x for x in [1])",
}


@pytest.mark.parametrize("expression", RESULTS.values(), ids=RESULTS.keys())
def test_a_result_that_is_not_plain_json_is_the_handlers_mistake(call: Any, expression: str) -> None:
    with pytest.raises(sandbox.HandlerFailed, match="not plain JSON"):
        call(calling(f"return {expression}"), None)


def test_a_cycle_is_not_plain_json(call: Any) -> None:
    with pytest.raises(sandbox.HandlerFailed, match="not plain JSON"):
        call(calling("a = []\n    a.append(a)\n    return a"), None)


def test_a_result_that_repeats_itself_counts_each_time(call: Any) -> None:
    source = calling("a = ['x'] * 10\n    for _ in range(20):\n        a = [a] * 10\n    return a")
    with pytest.raises(sandbox.LimitExceeded) as caught:
        call(source, None)
    assert caught.value.limit == "output_bytes"


def test_tuples_and_the_dicts_of_collections_become_plain(call: Any) -> None:
    source = (
        "from collections import Counter, OrderedDict, defaultdict\n"
        "def handle(data):\n"
        "    d = defaultdict(list)\n"
        "    d['k'].append(1)\n"
        "    return (d, Counter('aab'), OrderedDict(b=1))\n"
    )
    assert call(source, None) == [{"k": [1]}, {"a": 2, "b": 1}, {"b": 1}]


def test_an_error_names_its_line_and_is_short(call: Any) -> None:
    with pytest.raises(sandbox.HandlerFailed) as caught:
        call("def handle(data):\n    x = 1\n    raise ValueError('y' * 10000)", None)
    assert caught.value.line == 3
    assert len(str(caught.value)) <= 300
    assert str(caught.value).startswith("ValueError: yyy")


def test_a_violation_names_its_lines_and_can_be_repaired(call: Any) -> None:
    with pytest.raises(sandbox.PolicyViolation) as caught:
        call("import os\ndef handle(data):\n    return data.__class__", None)
    assert [line for line, _ in caught.value.violations] == [1, 3]
    assert caught.value.repairable


def test_a_syntax_error_is_a_violation_with_its_line(call: Any) -> None:
    with pytest.raises(sandbox.PolicyViolation) as caught:
        call("def handle(data):\n    return data data", None)
    assert caught.value.violations[0][0] == 2


LIMITS = {
    "wall_s": (calling("while True:\n        pass"), sandbox.Limits(wall_s=0.2)),
    "memory_bytes": (calling("return len('x' * 10 ** 9)"), sandbox.Limits()),
    "output_bytes": (calling("return 'x' * 2000"), sandbox.Limits(output_bytes=1000)),
    "tool_calls": (calling("for _ in range(9):\n        tool()"), sandbox.Limits(tool_calls=3)),
}


@pytest.mark.parametrize(("limit", "case"), LIMITS.items(), ids=LIMITS.keys())
def test_a_limit_ends_the_call_and_the_next_one_is_served(call: Any, limit: str, case: Any) -> None:
    source, limits = case
    with pytest.raises(sandbox.LimitExceeded) as caught:
        call(source, None, limits=limits, tools={"tool": lambda: None})
    assert caught.value.limit == limit
    assert call(ECHO, 1) == 1


def test_no_more_tool_calls_are_made_than_allowed(call: Any) -> None:
    calls = []
    source = calling("while True:\n        try:\n            tool()\n        except:\n            pass")
    with pytest.raises(sandbox.LimitExceeded):
        call(source, None, limits=sandbox.Limits(tool_calls=3), tools={"tool": lambda: calls.append(1)})
    assert len(calls) == 3


def test_tool_arguments_count_against_the_output(call: Any) -> None:
    source = calling("for _ in range(100):\n        tool('x' * 100)")
    with pytest.raises(sandbox.LimitExceeded) as caught:
        call(source, None, limits=sandbox.Limits(output_bytes=1000, tool_calls=100), tools={"tool": lambda _: None})
    assert caught.value.limit == "output_bytes"


@pytest.mark.parametrize(
    "numbers",
    [
        {"wall_s": 0},
        {"wall_s": 61},
        {"wall_s": float("nan")},
        {"memory_bytes": 1},
        {"memory_bytes": 1 << 40},
        {"output_bytes": 0},
        {"output_bytes": 1 << 32},
        {"tool_calls": -1},
        {"tool_calls": 10**6},
    ],
)
def test_limits_out_of_range_are_refused(numbers: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        sandbox.Limits(**numbers)


def test_less_memory_is_enforced_too(call: Any) -> None:
    small = sandbox.Limits(memory_bytes=16 * 1024 * 1024)
    source = calling("return len('x' * (30 * 1024 * 1024))")
    assert call(source, None) == 30 * 1024 * 1024
    with pytest.raises(sandbox.LimitExceeded):
        call(source, None, limits=small)


def test_an_async_tool_needs_the_async_face(locked: Locked) -> None:
    async def tool() -> int:
        await anyio.lowlevel.checkpoint()
        return 7

    assert asyncio.run(locked.arun(calling("return tool()"), None, tools={"tool": tool})) == 7
    with pytest.raises(TypeError):
        locked.run(calling("return tool()"), None, tools={"tool": tool})


@pytest.mark.anyio
async def test_calls_run_side_by_side_and_the_loop_stays_free(locked: Locked) -> None:
    """Each handler waits in its tool for the other, so both are under way at once."""
    met = asyncio.Barrier(2)

    async def meet() -> None:
        await met.wait()

    source = calling("meet()\n    return data")
    async with asyncio.timeout(30):
        results = await asyncio.gather(*(locked.arun(source, i, tools={"meet": meet}) for i in range(2)))
    assert results == [0, 1]


@pytest.mark.anyio
async def test_a_cancelled_call_leaves_no_handler_running(locked: Locked) -> None:
    started = asyncio.Event()

    async def tool() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(locked.arun(calling("tool()"), None, tools={"tool": tool}))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await locked.arun(ECHO, 1) == 1


def test_a_closed_executor_says_so() -> None:
    executor = Locked()
    executor.close()
    executor.close()
    with pytest.raises(sandbox.SandboxUnavailable):
        executor.run(ECHO, 1)


def test_a_call_that_finds_every_worker_busy_ends_with_a_typed_error() -> None:
    executor = Locked(workers=1, patience_s=0.05)
    assert executor.level
    try:
        inner: list[BaseException] = []

        def tool() -> None:
            try:
                executor.run(ECHO, 1)
            except sandbox.SandboxBusy as error:
                inner.append(error)

        executor.run(calling("tool()"), None, tools={"tool": tool})
        assert len(inner) == 1
    finally:
        executor.close()
