"""One call in a session of Monty: what it is given to run, how its questions are answered, how it ends in our words."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.desk import Desk
from sandbox.errors import (
    TEXT_LIMIT,
    HandlerFailed,
    LimitExceeded,
    PolicyViolation,
    SandboxError,
    SandboxUnavailable,
    WorkerDied,
)
from sandbox.executor import Call
from sandbox.inside.guards import ToolError
from sandbox.vetting import Import

# Monty has no classes of exceptions of one's own; this built-in one derives from Exception alone and nothing here
# raises it.
_TOOL_ERROR = "binascii.Incomplete"
_PRELUDE = "import json as __json__\nfrom binascii import Incomplete as ToolError\ndef print(*args, **kwargs): pass\n"
_STUB = (
    "def {name}(*args, **kwargs):\n    __json__.dumps([args, kwargs])\n    return __tool__('{name}', args, kwargs)\n"
)
_EPILOGUE = "\n__result__ = {entry}(__data__)\n__json__.dumps(__result__)\n__result__\n"
_NOTHING_OUTSIDE = "a handler has no clock, no files, no randomness and no environment"


class Talk:
    """What is said between the host and one program in Monty.

    Args:
        monty: The package.
        call: The call.
        ended: Whether the call was ended from outside, which looks like a crash.
    """

    def __init__(self, monty: Any, call: Call, ended: Callable[[], bool]) -> None:
        self._monty = monty
        self._call = call
        self._limits = call.held_to
        self._ended = ended
        prelude = _prelude(tuple(call.tools or ()))
        self._before = prelude.count("\n")
        self._lines = call.source.count("\n") + 1
        self._program = prelude + call.source + _EPILOGUE.format(entry=call.entry)
        self._result_line = self._program.count("\n") - 1

    def run(self, session: Any, data: Any, desk: Desk) -> Any:
        """The handler's result, as Monty hands it over: of any type.

        Raises:
            SandboxError: What ended the call.
            EndOfCall: The desk ended it.
        """
        snapshot = self._turn(
            session.feed_start, self._program, inputs={"__data__": data}, print_callback=lambda *_said: None
        )
        while not isinstance(snapshot, self._monty.MontyComplete):
            if isinstance(snapshot, self._monty.FunctionSnapshot):
                snapshot = self._turn(snapshot.resume, self._answer(snapshot, desk))
            elif isinstance(snapshot, self._monty.NameLookupSnapshot):
                snapshot = self._turn(snapshot.resume)
            else:
                raise HandlerFailed("the handler waits for what nobody brings")
        return self._turn(getattr, snapshot, "output")

    def compile_only(self, session: Any) -> None:
        """In a session without time to run: raises `PolicyViolation` for what this Monty does not know."""
        try:
            self._turn(session.feed_run, self._program)
        except LimitExceeded:
            pass  # it compiled, and its time to run was none
        except HandlerFailed as error:
            raise PolicyViolation(((error.line, f"not available here: {error}"),)) from None

    def try_imports(self, session: Any, imports: Sequence[Import]) -> None:
        """Raises `PolicyViolation` for what this Monty has no module or member for."""
        violations: list[tuple[int | None, str]] = []
        for line, statement in imports:
            try:
                self._turn(session.feed_run, statement)
            except HandlerFailed as error:
                violations.append((line, f"{statement}: not available here: {error}"))
        if violations:
            raise PolicyViolation(tuple(violations[:20]))

    def _answer(self, asked: Any, desk: Desk) -> dict[str, Any]:
        name = asked.function_name
        if asked.is_os_function:
            if name == "import":
                return _raise("ModuleNotFoundError", f"No module named {str(asked.args[0])[:60]!r}")
            return _raise("RuntimeError", _NOTHING_OUTSIDE)
        match asked.args:
            case (str(tool), list() | tuple() as args, dict(kwargs)) if name == "__tool__":
                if tool in (self._call.tools or ()):
                    try:
                        return {"return_value": desk.call(tool, tuple(args), kwargs)}
                    except ToolError as error:
                        return _raise(_TOOL_ERROR, str(error))
                    except TypeError as error:
                        return _raise("TypeError", str(error))
        return _raise("NameError", f"name {name[:60]!r} is not defined")

    def _turn(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Let Monty run until it asks or ends; what ends it is put in our words."""
        try:
            return work(*args, **kwargs)
        except self._monty.MontyCrashedError as error:
            raise self._crashed(error) from None
        except self._monty.MontyError as error:
            raise self._failed(error) from None

    def _crashed(self, error: Any) -> SandboxError:
        if self._ended():
            return SandboxUnavailable("this executor was closed")
        if error.timed_out:
            return self._late()
        return WorkerDied("the worker died: the interpreter crashed, or it was killed")

    def _failed(self, error: Any) -> SandboxError:
        kind = type(error.exception())
        if kind is MemoryError:
            return LimitExceeded("memory_bytes", f"more than {self._limits.memory_bytes} bytes of memory")
        placed = hasattr(error, "traceback")
        lines = [frame.line for frame in error.traceback()] if placed else []
        text = error.display("type-msg") if placed else str(error)
        if kind is TimeoutError and "time limit exceeded" in text:
            return self._late()
        name, colon, rest = text[: 4 * TEXT_LIMIT].partition(":")
        name = "ToolError" if name == _TOOL_ERROR else name.rpartition(".")[2]
        said = f"{name}{colon}{rest}"
        if lines[-1:] == [self._result_line]:
            said = f"the result is not plain JSON: {said}"
        own = [line - self._before for line in lines if 1 <= line - self._before <= self._lines]
        return HandlerFailed(said, own[-1] if own else None)

    def _late(self) -> LimitExceeded:
        return LimitExceeded("wall_s", f"longer than {self._limits.wall_s:g} s")


@functools.lru_cache(maxsize=256)
def _prelude(tools: tuple[str, ...]) -> str:
    return _PRELUDE + "".join(_STUB.format(name=name) for name in tools)


def _raise(kind: str, message: str) -> dict[str, Any]:
    return {"exc_type": kind, "message": message[:TEXT_LIMIT].encode(errors="replace").decode()}
