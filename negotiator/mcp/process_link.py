"""How messages of MCP's client get to a server in a process of ours: by pipes."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.dialects.json_rpc import notification, request, to_bytes
from negotiator.dialects.mcp import progress
from negotiator.dialects.mcp.client import read_message
from negotiator.errors import PeerError, PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.events import Listener, listener
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mcp.elicitation import Elicit
from negotiator.mcp.links import MAX_MESSAGE, SessionEnded, answer_to, outcome, watched

_ENVIRONMENT: Final = ("HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER")
"""What a server's process is told of ours, beside what it is given: nothing that may be a secret."""
_END_SECONDS: Final = 2.0


class StdioLink:
    """A server in a process of ours, begun at the first need and again where it ended."""

    http = False

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, peer: str = "", elicit: Elicit | None = None
    ) -> None:
        self._peer = peer
        self._elicit = elicit
        self._answering: set[asyncio.Task[None]] = set()
        self._command = tuple(command)
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._number = 0
        self._waiting: dict[JsonValue, asyncio.Future[JsonObject]] = {}
        self._listening: dict[JsonValue, Listener] = {}

    async def call(
        self,
        method: str,
        params: JsonObject,
        deadline: Deadline,
        headers: Mapping[str, str],  # noqa: ARG002 - pipes have none
    ) -> JsonObject:
        """See `Link.call`."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[JsonObject] = asyncio.get_running_loop().create_future()
        fresh = method in ("server/discover", "initialize")
        process = await self._running(fresh=fresh)
        self._waiting[number] = answer
        hears = listener()
        if hears is not None:
            self._listening[number] = hears
        try:
            async with asyncio.timeout(max(deadline.remaining(), 0)) as timer:
                await self._write(process, request(method, watched(method, params, number), number))
                message = await answer
        except TimeoutError:
            if timer.expired():
                raise PeerHungUp("no response by the deadline") from None
            raise
        finally:
            self._waiting.pop(number, None)
            self._listening.pop(number, None)
        return outcome(message)

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:  # noqa: ARG002
        """See `Link.notify`."""
        await self._write(await self._running(fresh=False), notification(method))

    async def aclose(self) -> None:
        """End the process: its input first, then it."""
        process, self._process = self._process, None
        if process is None:
            return
        reading = self._reading
        if process.stdin is not None:
            process.stdin.close()
        for end in (process.terminate, process.kill):
            try:
                async with asyncio.timeout(_END_SECONDS):
                    await process.wait()
                break
            except TimeoutError:
                with suppress(ProcessLookupError):
                    end()
        if reading is not None:
            await reading
        for answering in self._answering:
            answering.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)

    async def _running(self, *, fresh: bool) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is not None and self._process.returncode is None:
                return self._process
            if not fresh:
                raise SessionEnded("the server's process has ended")
            inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={**inherited, **self._environment},
                    limit=MAX_MESSAGE,
                )
            except OSError as problem:
                raise PeerUnreachable(f"the server cannot be started: {problem.strerror or problem}") from problem
            self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _write(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        stdin: Any = process.stdin
        try:
            stdin.write(to_bytes(message) + b"\n")
            await stdin.drain()
        except (OSError, RuntimeError) as problem:
            raise PeerHungUp("the server's process has ended") from problem

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        stdout: Any = process.stdout
        why: PeerError = PeerHungUp("the server's process ended before its response")
        try:
            while line := await stdout.readline():
                # What is no message is the server's chatter; the specification has it write none.
                with suppress(PeerMisspoke):
                    await self._hear(process, read_message(line))
        except ValueError:
            why = PeerMisspoke("the server's message is larger than one may be")
        except PeerHungUp:
            pass
        # It says no more: whatever else it does, the next request gets another.
        if self._process is process:
            self._process = None
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(why)

    async def _hear(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        if (told := progress.read(message)) is not None:
            hears = self._listening.get(told[0])
            if hears is not None:
                hears(told[1])
            return
        if "method" in message:
            # Beside the reading: an answer may take a person's time, and what else comes goes on.
            answering = asyncio.create_task(self._answer(process, message))
            self._answering.add(answering)
            answering.add_done_callback(self._answering.discard)
            return
        identifier = message.get("id")
        waiting = self._waiting.get(identifier) if isinstance(identifier, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    async def _answer(self, process: asyncio.subprocess.Process, message: JsonObject) -> None:
        answer = await answer_to(message, self._peer, self._elicit)
        if answer is not None:
            # Whoever waits for a process that ended is told so where it is read.
            with suppress(PeerHungUp):
                await self._write(process, answer)
