"""A program and one call of it, whatever process it runs in."""

import re
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sandbox.inside.guards import BUILTINS
from sandbox.inside.policy import FILENAME, Refused, compile_handler

KEPT_PROGRAMS = 256
TEXT_LIMIT = 300
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


class EndOfCall(BaseException):
    """The host has ended this call. No handler can catch it: the language has no name for it."""


class Failed(Exception):
    """The handler raised. Holds text only: nothing of the handler's own leaves with it."""

    def __init__(self, text: str, line: int | None) -> None:
        self.text = text
        self.line = line
        super().__init__(text)


class Language(NamedTuple):
    """What source may say, and which builtins it finds."""

    compiler: Callable[[str], types.CodeType]
    builtins: Mapping[str, Any]


HANDLERS = Language(compile_handler, BUILTINS)
"""The language of handlers."""


class Unknown(Exception):
    """This process has not seen the program, or has forgotten it."""


class Programs:
    """Compiled programs by the digest of their source, the most recently used 256."""

    def __init__(self, language: Language = HANDLERS) -> None:
        self._language = language
        self._codes: OrderedDict[str, types.CodeType] = OrderedDict()

    def code(self, digest: str, source: str | None) -> types.CodeType:
        """The program under `digest`, compiled from `source` where it is new.

        Raises:
            Refused: The source is not in the language.
            Unknown: It is new and there is no source.
        """
        code = self._codes.get(digest)
        if code is None:
            if source is None:
                raise Unknown
            code = self._codes[digest] = self._language.compiler(source)
            if len(self._codes) > KEPT_PROGRAMS:
                self._codes.popitem(last=False)
        else:
            self._codes.move_to_end(digest)
        return code


def require_entry(code: types.CodeType, entry: str) -> None:
    """Raises `Refused` where no function of that name is defined at the top of the program."""
    if entry not in code.co_names:
        raise Refused([(None, f"the program must define a function {entry}(data)")])


def call(code: types.CodeType, entry: str, data: Any, tools: Mapping[str, Any], language: Language = HANDLERS) -> Any:
    """Run the program with fresh globals and call its entry function.

    Raises:
        Failed: The program or the function raised.
        EndOfCall: The host ended the call.
    """
    space: dict[str, Any] = {"__builtins__": language.builtins, "__name__": "handler", **tools}
    try:
        exec(code, space)  # noqa: S102 - compiled by our policy; this is the one place where handlers run
        handler = space.get(entry)
        if type(handler) is types.FunctionType:
            return handler(data)
    except (EndOfCall, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it leaves as text
        raise Failed(describe(error), line_of(error)) from None
    finally:
        # Functions hold these globals and these hold them: emptied, they go now and not when the collector runs.
        space.clear()
    raise Failed(f"the program must define a function {entry}(data)", None)


def describe(error: BaseException) -> str:
    """The error's kind and text, at most 300 characters."""
    kind = type(error).__name__
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text is a stranger's
        text = ""
    # Where an object lies is nobody's business, and differs from run to run.
    text = _ADDRESS.sub("0x", text[: 4 * TEXT_LIMIT])
    return f"{kind[:60]}: {text}"[:TEXT_LIMIT] if text else kind[:60]


def line_of(error: BaseException) -> int | None:
    """The last line of the handler's own source on the error's way."""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILENAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
