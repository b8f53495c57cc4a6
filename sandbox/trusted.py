"""The executor for handlers that a person has approved: in this process, behind the language's wall only."""

import asyncio
import json
import warnings
from typing import Any, Unpack

from sandbox.desk import Desk, InLoop, Invoke, call_now
from sandbox.errors import HandlerFailed, LimitExceeded, PolicyViolation, SandboxUnavailable
from sandbox.exchange import digest_of, encode_host_value
from sandbox.executor import Call, Level, Options
from sandbox.inside import plain
from sandbox.inside.policy import Refused
from sandbox.inside.program import EndOfCall, Failed, Programs, call, require_entry


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

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.run`; `tenant` has no meaning here."""
        return self._run(Call(source, data, **options), call_now)

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.arun`; the handler runs in a thread, its tools in the loop's."""
        invoke = InLoop(asyncio.get_running_loop())
        try:
            return await asyncio.to_thread(self._run, Call(source, data, **options), invoke)
        except asyncio.CancelledError:
            invoke.cancel()
            raise

    def _run(self, made: Call, invoke: Invoke) -> Any:
        if self._closed:
            raise SandboxUnavailable("this executor was closed")
        made.require_names()
        self.check(made.source, entry=made.entry)
        code = self._programs.code(digest_of(made.source), made.source)
        own_data = json.loads(encode_host_value(made.data, "the data"))
        desk = Desk(made, invoke)
        limit = made.held_to.output_bytes
        try:
            text = plain.encode(call(code, made.entry, own_data, desk.stubs()), limit)
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
            raise LimitExceeded("output_bytes", f"more than {limit} bytes of output") from None
        except MemoryError:
            raise LimitExceeded("memory_bytes", "out of memory") from None
        finally:
            desk.over = True
        desk.raise_error()
        return json.loads(text)
