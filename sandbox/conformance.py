"""Does an executor keep the contract? For third parties' executors as for ours.

breaches = check_executor(MyExecutor())
assert not breaches, breaches
"""

import asyncio
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from sandbox.errors import HandlerFailed, LimitExceeded, NotPlain, PolicyViolation, SandboxError, ToolError
from sandbox.executor import Executor, Level
from sandbox.limits import Limits

_ECHO = "def handle(data):\n    return data"
_Call = Callable[..., Any]


class _OfTheHost(Exception):
    """An error that only the host knows."""


class _Breach(Exception):
    """A promise was not kept."""


def check_executor(executor: Executor) -> list[str]:
    """Try what every executor promises.

    Args:
        executor: The one to try; it is not closed. One that says it is `trusted` is not asked to hold time and memory.

    Returns:
        What was not kept, one sentence each; empty where everything was. Takes a few seconds.
    """

    def through_the_loop(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(executor.arun(*args, **kwargs))

    breaches = _attempt("describes itself", lambda: _describes_itself(executor))
    breaches += _attempt("check", lambda: _compiles_only(executor))
    for face, call in (("run", executor.run), ("arun", through_the_loop)):
        for promise in _PROMISES:
            breaches += _attempt(f"{face}: {promise.__name__.strip('_').replace('_', ' ')}", partial(promise, call))
        if executor.level is not Level.TRUSTED:
            breaches += _attempt(f"{face}: holds its limits", partial(_holds_its_limits, call))
    breaches += _attempt("arun: awaits async tools", lambda: _awaits_async_tools(through_the_loop))
    return breaches


def _attempt(what: str, promise: Callable[[], None]) -> list[str]:
    try:
        promise()
    except _Breach as breach:
        return [f"{what}: {breach}"]
    except Exception as error:  # noqa: BLE001 - whatever a stranger's executor raises is a finding
        return [f"{what}: raised {type(error).__name__}: {str(error)[:200]}"]
    return []


def _require(held: bool, sentence: str) -> None:  # noqa: FBT001 - a condition
    if not held:
        raise _Breach(sentence)


def _refused(call: _Call, kind: type[BaseException], sentence: str, *args: Any, **kwargs: Any) -> Any:
    try:
        result = call(*args, **kwargs)
    except kind as error:
        return error
    except Exception as error:
        raise _Breach(f"{sentence}: {kind.__name__} was due, {type(error).__name__} came") from error
    raise _Breach(f"{sentence}: {kind.__name__} was due, {str(result)[:60]!r} came")


def _describes_itself(executor: Executor) -> None:
    _require(isinstance(executor, Executor), "it lacks a method of the port")
    _require(executor.name != "", "its name is a word")
    _require(isinstance(executor.level, Level), "its level is a Level")


def _compiles_only(executor: Executor) -> None:
    executor.check(_ECHO)
    executor.check("def decode(data):\n    return 1 / 0", entry="decode")
    for source in ("def handle(data:", "import os\ndef handle(data):\n    return 1", "def other(data):\n    return 1"):
        _refused(executor.check, PolicyViolation, "refused source passed", source)


def _carries_plain_json(call: _Call) -> None:
    values: tuple[Any, ...] = (None, True, False, 0, -1, 2**53, 1.5, "", "é", [], [[]], {}, {"a": [1, {"b": None}]})
    for value in values:
        got = call(_ECHO, value)
        _require(got == value and type(got) is type(value), f"{value!r} came back as {got!r}")


def _returns_plain_json_only(call: _Call) -> None:
    for expression in ("float('nan')", "{1: 2}", "{1}", "handle", "b'x'", "10 ** 400", "[float('inf')]"):
        _refused(call, HandlerFailed, f"{expression} was returned", f"def handle(data):\n    return {expression}", None)
    _refused(call, HandlerFailed, "a cycle", "def handle(data):\n    a = []\n    a.append(a)\n    return a", None)


def _takes_plain_data_only(call: _Call) -> None:
    values: tuple[Any, ...] = (math.nan, object(), {1, 2})
    for value in values:
        _refused(call, NotPlain, "data that is not JSON went in", _ECHO, value)


def _starts_fresh(call: _Call) -> None:
    source = "kept = []\ndef handle(data):\n    kept.append(1)\n    return len(kept)"
    _require([call(source, None) for _ in range(3)] == [1, 1, 1], "a call found what an earlier one had left")


def _says_what_can_be_repaired(call: _Call) -> None:
    error = _refused(call, PolicyViolation, "an import of os", "import os\ndef handle(data):\n    return 1", None)
    _require(error.repairable, "a violation is repairable")
    _require(any(line == 1 for line, _ in error.violations), "a violation names its line")
    failed = _refused(call, HandlerFailed, "an error", "def handle(data):\n    raise ValueError('x' * 9999)", None)
    _require(failed.repairable, "a failure is repairable")
    _require(len(str(failed)) <= 300, "an error's text is cut")  # noqa: PLR2004 - as documented


def _makes_tool_calls(call: _Call) -> None:
    seen: list[Any] = []

    def look(value: Any, *, twice: bool = False) -> Any:
        seen.append(value)
        return [value, twice]

    source = (
        "def handle(data):\n    x = [1]\n    y = look(x, twice=True)\n    x.append(2)\n    y.append(3)\n    return y"
    )
    _require(call(source, None, tools={"look": look}) == [[1], True, 3], "arguments and results pass")
    _require(seen == [[1]], "a tool gets a copy")
    _refused(
        call,
        HandlerFailed,
        "a wrong argument",
        "def handle(data):\n    return look(1, 2, 3)",
        None,
        tools={"look": look},
    )


def _lets_tools_fail(call: _Call) -> None:
    def refuse() -> None:
        raise ToolError("not today")

    source = "def handle(data):\n    try:\n        refuse()\n    except ToolError as error:\n        return str(error)"
    _require(call(source, None, tools={"refuse": refuse}) == "not today", "a handler may catch a ToolError")
    own = _OfTheHost()

    def break_() -> None:
        raise own

    swallow = (
        "def handle(data):\n    try:\n        break_()\n    except:\n        return 1\n    finally:\n        return 2"
    )
    error = _refused(call, _OfTheHost, "the host's error was swallowed", swallow, None, tools={"break_": break_})
    _require(error is own, "the host's error arrives as the same object")
    _refused(call, NotPlain, "a tool's object", "def handle(data):\n    return f()", None, tools={"f": object})


def _counts_tool_calls(call: _Call) -> None:
    calls: list[int] = []
    source = (
        "def handle(data):\n    for _ in range(9):\n        try:\n            f()\n        except:\n            pass"
    )
    error = _refused(
        call,
        LimitExceeded,
        "tool calls",
        source,
        None,
        tools={"f": lambda: calls.append(1)},
        limits=Limits(tool_calls=2),
    )
    _require(error.limit == "tool_calls" and len(calls) == 2, "exactly as many calls are made as allowed")  # noqa: PLR2004


def _bounds_the_output(call: _Call) -> None:
    small = Limits(output_bytes=100)
    error = _refused(
        call, LimitExceeded, "a long result", "def handle(data):\n    return 'x' * 200", None, limits=small
    )
    _require(error.limit == "output_bytes", "the error names its limit")


def _bounds_tool_arguments(call: _Call) -> None:
    error = _refused(
        call,
        LimitExceeded,
        "many long arguments",
        "def handle(data):\n    for _ in range(50):\n        f('x' * 100)",
        None,
        tools={"f": lambda _: None},
        limits=Limits(output_bytes=1000, tool_calls=50),
    )
    _require(error.limit == "output_bytes", "the error names its limit")


def _takes_names_and_options_that_there_are(call: _Call) -> None:
    _refused(call, ValueError, "an entry that is no public name", _ECHO, None, entry="_private")
    _refused(call, ValueError, "a tool that has no public name", _ECHO, None, tools={"a.b": print})
    _refused(call, TypeError, "an option that there is not", _ECHO, None, limit=Limits())


def _lets_nothing_out(call: _Call) -> None:
    for body in (
        "open('/etc/hostname').read()",
        "().__class__.__bases__",
        "'{0.__class__}'.format(1)",
        "getattr(data, '__class__')",
        "handle.__globals__",
        "(x for x in []).gi_frame",
        "eval('1')",
        "__import__('os')",
    ):
        _refused(call, SandboxError, f"{body} got through", f"def handle(data):\n    return str({body})", None)


def _holds_its_limits(call: _Call) -> None:
    loop = _refused(
        call,
        LimitExceeded,
        "a loop",
        "def handle(data):\n    while True:\n        pass",
        None,
        limits=Limits(wall_s=0.2),
    )
    _require(loop.limit == "wall_s", "a loop ends by the clock")
    big = _refused(call, LimitExceeded, "memory", "def handle(data):\n    return len('x' * 10 ** 10)", None)
    _require(big.limit == "memory_bytes", "memory ends by its own limit")
    _require(call(_ECHO, 1) == 1, "the next call is served")


def _awaits_async_tools(call: _Call) -> None:
    async def tool() -> int:
        await asyncio.sleep(0)
        return 7

    _require(call("def handle(data):\n    return tool()", None, tools={"tool": tool}) == 7, "an async tool is awaited")  # noqa: PLR2004


_PROMISES = (
    _carries_plain_json,
    _returns_plain_json_only,
    _takes_plain_data_only,
    _starts_fresh,
    _says_what_can_be_repaired,
    _makes_tool_calls,
    _lets_tools_fail,
    _counts_tool_calls,
    _bounds_the_output,
    _bounds_tool_arguments,
    _takes_names_and_options_that_there_are,
    _lets_nothing_out,
)
