"""Where the tool calls of one handler are counted, copied and made, for executors that meet it in this process."""

import asyncio
import concurrent.futures
import inspect
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from sandbox.errors import LimitExceeded, NotPlain, ToolError
from sandbox.exchange import encode_host_value, misuse
from sandbox.executor import Call
from sandbox.inside import guards, plain
from sandbox.inside.program import EndOfCall
from sandbox.limits import MAX_DATA_BYTES

Invoke = Callable[[Callable[..., Any], list[Any], dict[str, Any]], Any]
"""Calls a tool with its arguments, in the thread where it belongs."""


class Desk:
    """Where the handler's tool calls are counted, copied and made."""

    def __init__(self, call: Call, invoke: Invoke) -> None:
        self.over = False
        self._tools = call.tools or {}
        limits = self._limits = call.held_to
        self._invoke = invoke
        self._calls_left = limits.tool_calls
        self._argument_bytes_left = limits.output_bytes
        self._result_bytes_left = MAX_DATA_BYTES
        self._error: BaseException | None = None

    def stubs(self) -> dict[str, Callable[..., Any]]:
        """The functions that the handler sees."""
        return {name: self._stub(name) for name in self._tools}

    def raise_error(self) -> None:
        """Raise what ended the call, whatever the handler made of it."""
        if self._error is not None:
            raise self._error

    def _stub(self, name: str) -> Callable[..., Any]:
        def stub(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, args, kwargs)

        return stub

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make a call that the handler asks for; its result is a copy.

        Raises:
            EndOfCall: Nothing more is done for this handler; `raise_error` says why.
            TypeError: The arguments are not plain JSON, or do not fit the tool.
            guards.ToolError: The tool says that it failed.
        """
        if self.over:
            raise EndOfCall
        tool = self._tools[name]
        own_args, own_kwargs = self._copied(name, args, kwargs)
        if problem := misuse(tool, name, own_args, own_kwargs):
            raise TypeError(problem)
        try:
            result = encode_host_value(self._invoke(tool, own_args, own_kwargs), "a tool's result")
        except ToolError as error:
            raise guards.ToolError(str(error)) from None
        except BaseException as error:  # noqa: BLE001 - the host's own error passes the handler by
            self._end(error)
        self._result_bytes_left -= len(result)
        if self._result_bytes_left < 0:
            self._end(NotPlain(f"the tools' results together have more than {MAX_DATA_BYTES} bytes of JSON"))
        return json.loads(result)

    def _copied(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        if self._calls_left == 0:
            self._end(LimitExceeded("tool_calls", f"more than {self._limits.tool_calls} tool calls"))
        self._calls_left -= 1
        try:
            text = plain.encode([list(args), kwargs], self._argument_bytes_left)
        except plain.NotPlainValue as error:
            raise TypeError(f"the arguments of {name} are not plain JSON: {error}") from None
        except plain.TooMuch:
            self._end(LimitExceeded("output_bytes", f"more than {self._limits.output_bytes} bytes of tool arguments"))
        self._argument_bytes_left -= len(text)
        own_args, own_kwargs = json.loads(text)
        return own_args, own_kwargs

    def _end(self, error: BaseException) -> NoReturn:
        self.over = True
        self._error = error
        raise EndOfCall


def call_now(tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """An `Invoke` for callers without an event loop. Raises `TypeError` for an async tool."""
    result = tool(*args, **kwargs)
    if inspect.isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()
        raise TypeError("an async tool needs arun")
    return result


class InLoop:
    """An `Invoke` that calls tools in an event loop, sync or async, while the handler runs in another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: concurrent.futures.Future[Any] | None = None
        self._cancelled = threading.Event()

    def __call__(self, tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """What the tool returns; blocks this thread."""
        if self._cancelled.is_set():
            raise concurrent.futures.CancelledError
        self._pending = asyncio.run_coroutine_threadsafe(_invoke(tool, args, kwargs), self._loop)
        if self._cancelled.is_set():  # meanwhile, by the loop's thread, which found nothing pending yet
            self._pending.cancel()
        return self._pending.result()

    def cancel(self) -> None:
        """Cancel the tool that is being waited for, if any, and call none any more."""
        self._cancelled.set()
        if self._pending is not None:
            self._pending.cancel()


async def _invoke(tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    result = tool(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result
