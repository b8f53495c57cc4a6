"""Several processes at one listening socket, and one that watches over them.

The parent listens and answers nothing itself. Each worker inherits the socket and is an agent of its own; what they
share is the state directory. A worker's standard input is its end of a socket to the parent: there it says when it is
ready, and when that closes, however the parent ends, it ends what it has accepted and goes.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from negotiator.cli import exits
from negotiator.cli.serving import serve_agent
from negotiator.errors import UsageError

if TYPE_CHECKING:
    from negotiator.agent import Agent

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_MOST_PAUSE: Final = 30.0
"""Seconds between two starts of a worker that does not come up."""


async def serve_as_one(agent: "Agent", listening: socket.socket, facts: dict[str, Any]) -> None:
    """Be one worker: serve until the parent says so, or is no more."""
    parent = socket.socket(fileno=os.dup(sys.stdin.fileno()))
    reader, writer = await asyncio.open_connection(sock=parent)
    orphaned = asyncio.Event()

    async def watch() -> None:
        await reader.read()
        orphaned.set()

    watching = asyncio.create_task(watch())
    try:
        await serve_agent(
            agent, listening, ready=lambda: writer.write(json.dumps(facts).encode() + b"\n"), until=orphaned
        )
    finally:
        watching.cancel()
        writer.close()


class _Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.process = process
        self._channel = channel

    @classmethod
    async def start(cls, agent: str, listening: socket.socket) -> "_Worker":
        """Start a process for the agent at `MODULE:NAME`."""
        here, there = socket.socketpair()
        number = listening.fileno()
        with there:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "negotiator.cli", "serve", agent, "--fd", str(number)),
                stdin=there.fileno(),
                pass_fds=[number],
                # Ctrl-C is for the parent, which tells each worker once.
                start_new_session=True,
            )
        here.setblocking(False)
        return cls(process, here)

    async def facts(self) -> dict[str, Any] | None:
        """What it says of itself when it is ready; None where it ended before that."""
        said, loop = b"", asyncio.get_running_loop()
        while not said.endswith(b"\n"):
            try:
                part = await loop.sock_recv(self._channel, 65536)
            except OSError:
                part = b""
            if not part:
                return None
            said += part
        facts: dict[str, Any] = json.loads(said)
        return facts

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        try:
            return await self.process.wait()
        finally:
            self._channel.close()

    def end(self) -> None:
        """Tell it to end; once more to have it not wait."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()


class Workers:
    """A number of workers, kept at that number until they are told to end."""

    def __init__(self, agent: str, listening: socket.socket, number: int, note: Callable[[str], None]) -> None:
        """`note` is told of each worker that was replaced. Raises `UsageError` where sockets are not handed on."""
        if sys.platform == "win32":
            raise UsageError("several workers need a system on which sockets are handed on to processes")
        self._agent = agent
        self._listening = listening
        self._number = number
        self._note = note
        self._alive: set[_Worker] = set()
        self._ending = asyncio.Event()

    async def serve(self, ready: Callable[[dict[str, Any]], None]) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code. `ready` hears of the first worker once all have started."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._end)
        try:
            # One before the others: what is wrong with the agent is said once.
            first = await self._started()
            if not isinstance(first, tuple):
                return exits.OK if self._ending.is_set() else first
            others = await asyncio.gather(*(self._started() for _ in range(self._number - 1)))
            if not self._ending.is_set():
                ready(first[1] | {"workers": self._number})
            await asyncio.gather(
                *(self._keep(each[0] if isinstance(each, tuple) else None) for each in (first, *others))
            )
            return exits.OK
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self._ending.set()
        self._listening.close()
        for worker in self._alive:
            worker.end()

    async def _started(self) -> tuple[_Worker, dict[str, Any]] | int:
        """A worker that is ready, or the exit code of one that did not come so far."""
        if self._ending.is_set():
            return exits.OK
        worker = await _Worker.start(self._agent, self._listening)
        self._alive.add(worker)
        if self._ending.is_set():
            worker.end()
        facts = await worker.facts()
        if facts is not None:
            return worker, facts
        return await self._gone(worker)

    async def _gone(self, worker: _Worker) -> int:
        code = await worker.ended()
        self._alive.discard(worker)
        return code

    async def _keep(self, worker: _Worker | None) -> None:
        """See to it that there is one worker in this place."""
        pause = 0.0
        while True:
            if worker is not None:
                code = await self._gone(worker)
                if not self._ending.is_set():
                    self._note(f"note: a worker {_how(code)}; another takes its place")
            if self._ending.is_set():
                return
            started = await self._started()
            if isinstance(started, tuple):
                worker, pause = started[0], 0.0
                continue
            worker, pause = None, min(max(2 * pause, 0.25), _MOST_PAUSE)
            if not self._ending.is_set():
                self._note(f"note: a worker {_how(started)} before it was ready; again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
