"""The executor for handlers that a person has approved: in this process, behind the language's wall only."""

import asyncio
import inspect
import json
import warnings
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from sandbox.errors import HandlerFailed, LimitExceeded, NotPlain, PolicyViolation, SandboxUnavailable, ToolError
from sandbox.exchange import digest_of, encode_host_value, misuse
from sandbox.executor import Level, Tools
from sandbox.inside import guards, plain
from sandbox.inside.policy import Refused
from sandbox.inside.program import EndOfCall, Failed, Programs, call, require_entry
from sandbox.limits import DEFAULT_LIMITS, MAX_DATA_BYTES, Limits


class Trusted:
    """Runs handlers in this process, compiled under the same language as everywhere.

    Opt-in, and for source that a person vouches for: `wall_s` and `memory_bytes` are not held, a handler that
    loops holds its thread for ever, and whoever gets past the language is in this process.
    """

    name = "trusted"
    level = Level.TRUSTED

    def __init__(self) -> None:
        self._programs = Programs()
        self._closed = False

    def close(self) -> None:
        """See `Executor.close`."""
        self._closed = True

    def check(self, source: str, *, entry: str = "handle") -> None:
        """See `Executor.check`; compiles in this process."""
        try:
            with warnings.catch_warnings():
                # What the compiler thinks of a stranger's style is not for this process's standard error.
                warnings.simplefilter("ignore")
                code = self._programs.code(digest_of(source), source)
            require_entry(code, entry)
        except Refused as refused:
            raise PolicyViolation(tuple(refused.violations)) from None

    def run(
        self,
        source: str,
        data: Any,
        *,
        tools: Tools | None = None,
        limits: Limits | None = None,
        entry: str = "handle",
        tenant: str = "",
    ) -> Any:
        """See `sandbox.run`; `tenant` has no meaning here."""
        del tenant
        return self._run(source, data, tools or {}, limits or DEFAULT_LIMITS, entry, _call_now)

    async def arun(
        self,
        source: str,
        data: Any,
        *,
        tools: Tools | None = None,
        limits: Limits | None = None,
        entry: str = "handle",
        tenant: str = "",
    ) -> Any:
        """See `sandbox.arun`; the handler runs in a thread, its tools in the loop's."""
        del tenant
        loop = asyncio.get_running_loop()

        async def invoke(tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
            result = tool(*args, **kwargs)
            return await result if inspect.isawaitable(result) else result

        def in_the_loop(tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
            return asyncio.run_coroutine_threadsafe(invoke(tool, args, kwargs), loop).result()

        return await asyncio.to_thread(
            self._run, source, data, tools or {}, limits or DEFAULT_LIMITS, entry, in_the_loop
        )

    def _run(self, source: str, data: Any, tools: Tools, limits: Limits, entry: str, invoke: Callable[..., Any]) -> Any:
        if self._closed:
            raise SandboxUnavailable("this executor was closed")
        self.check(source, entry=entry)
        code = self._programs.code(digest_of(source), source)
        own_data = json.loads(encode_host_value(data, "the data"))
        desk = _Desk(tools, limits, invoke)
        try:
            text = plain.encode(call(code, entry, own_data, desk.stubs()), limits.output_bytes)
        except EndOfCall:
            text = b""
        except Failed as failed:
            desk.raise_error()
            raise HandlerFailed(failed.text, failed.line) from None
        except plain.NotPlainValue as error:
            desk.raise_error()
            raise HandlerFailed(f"the result is not plain JSON: {error}") from None
        except plain.TooMuch:
            desk.raise_error()
            raise LimitExceeded("output_bytes", f"more than {limits.output_bytes} bytes of output") from None
        except MemoryError:
            raise LimitExceeded("memory_bytes", "out of memory") from None
        finally:
            desk.over = True
        desk.raise_error()
        return json.loads(text)


class _Desk:
    """Where the handler's tool calls are counted, copied and made."""

    def __init__(self, tools: Tools, limits: Limits, invoke: Callable[..., Any]) -> None:
        self.over = False
        self._tools = tools
        self._limits = limits
        self._invoke = invoke
        self._calls_left = limits.tool_calls
        self._argument_bytes_left = limits.output_bytes
        self._result_bytes_left = MAX_DATA_BYTES
        self._error: BaseException | None = None

    def stubs(self) -> dict[str, Callable[..., Any]]:
        """The functions that the handler sees."""
        return {name: self._stub(name, tool) for name, tool in self._tools.items()}

    def raise_error(self) -> None:
        """Raise what ended the call, whatever the handler made of it."""
        if self._error is not None:
            raise self._error

    def _stub(self, name: str, tool: Callable[..., Any]) -> Callable[..., Any]:
        def stub(*args: Any, **kwargs: Any) -> Any:
            if self.over:
                raise EndOfCall
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

        return stub

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


def _call_now(tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    result = tool(*args, **kwargs)
    if inspect.isawaitable(result):
        if isinstance(result, Coroutine):
            result.close()
        raise TypeError("an async tool needs arun")
    return result
