"""MCP over a pair of pipes: one message a line, for clients that start this process themselves.

Whoever starts it is its own person, so that its peers may be asked on their behalf.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, redirect_stdout, suppress
from typing import BinaryIO, Final

from negotiator.dialects.json_rpc import INVALID_REQUEST, Id, RpcError, error, to_bytes
from negotiator.dialects.mcp.messages import (
    Call,
    read_call,
)
from negotiator.mcp import batches
from negotiator.mcp.offer import LOCAL
from negotiator.mcp.server import Caller, Handled, McpServer
from negotiator.telling import Telling

MAX_LINE: Final = 1_048_576
"""Bytes of one message."""
DRAIN_SECONDS: Final = 30.0
"""How long requests that were accepted may take once no more come."""
_TOO_LONG: Final = b""
Write = Callable[[bytes], Awaitable[None]]


class StdioDoor:
    """One connection: lines in, lines out, several requests at a time."""

    def __init__(self, server: McpServer, write: Write) -> None:
        """Answer with `server`, by `write`, which is given whole lines and called for one at a time."""
        self._server = server
        self._write = write
        self._writing = asyncio.Lock()
        self._spoken: str | None = None
        self._under_way: dict[Id, asyncio.Task[None]] = {}
        self._batches = 0
        self._unheard: set[Id] = set()
        """Requests that were cancelled: what they began goes on, and nobody is told."""

    async def run(self, lines: AsyncIterator[bytes]) -> None:
        """Answer until no more lines come; then end what was accepted. An empty line stands for one too long."""
        async for line in lines:
            if line == _TOO_LONG:
                await self._say(to_bytes(error(RpcError(INVALID_REQUEST, "the message is too large"))))
            elif line.strip():
                await self._take(line)
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=DRAIN_SECONDS)
        for task in self._under_way.values():
            task.cancel()

    async def _take(self, line: bytes) -> None:
        if batches.is_batch(line):
            # Its requests are ended together, and so cannot be cancelled alone.
            self._batches += 1
            name = f"\0batch {self._batches}"
            self._under_way[name] = asyncio.create_task(self._answer(line, name))
            return
        call: Call | None = None
        with suppress(RpcError):
            call = read_call(line, None, self._spoken)
        if call is None or call.kind != "request" or call.id is None:
            await self._answer(line, None)
            if call is not None and call.method == "notifications/cancelled":
                self._cancel(call.params.get("requestId"))
        elif call.id in self._under_way:
            twice = RpcError(INVALID_REQUEST, "a request of this id is under way", id=call.id)
            await self._say(to_bytes(error(twice)))
        elif call.method == "initialize":
            # What follows is read in the revision that this agrees on.
            await self._answer(line, None)
        else:
            task = asyncio.create_task(self._answer(line, call.id))
            self._under_way[call.id] = task

    async def _answer(self, line: bytes, identifier: Id | None) -> None:
        try:
            handled = await self._handled(line, identifier)
            self._spoken = handled.version or self._spoken
            if handled.message is not None and identifier not in self._unheard:
                await self._say(to_bytes(handled.message))
        finally:
            if identifier is not None:
                self._under_way.pop(identifier, None)
                self._unheard.discard(identifier)

    async def _handled(self, line: bytes, identifier: Id | None) -> Handled:
        """What became of a message, with what its client hears before."""
        caller = Caller(principal=LOCAL)
        if identifier is None:
            return await batches.handle(self._server, line, headers=None, caller=caller, spoken=self._spoken)
        telling = Telling()
        work = batches.handle(
            self._server,
            line,
            headers=None,
            caller=caller,
            spoken=self._spoken,
            tell=lambda said: telling.put(to_bytes(said)),
        )
        answering = asyncio.create_task(work)
        try:
            async with aclosing(telling.messages(answering)) as messages:
                async for said in messages:
                    if said is not None and identifier not in self._unheard:
                        await self._say(said)
        except BaseException:
            answering.cancel()
            raise
        return answering.result()

    def _cancel(self, identifier: object) -> None:
        if isinstance(identifier, str | int) and identifier in self._under_way:
            self._unheard.add(identifier)

    async def _say(self, message: bytes) -> None:
        async with self._writing:
            await self._write(message + b"\n")


async def serve_stdio(server: McpServer) -> None:
    """Serve this process's standard input and output until the input ends.

    Whatever else writes to the standard output meanwhile, a tool's `print` too, goes to the standard error.
    """
    out = sys.stdout.buffer

    async def write(line: bytes) -> None:
        await asyncio.to_thread(_write, out, line)

    with redirect_stdout(sys.stderr):
        await StdioDoor(server, write).run(_lines(sys.stdin.buffer))


def _write(out: BinaryIO, line: bytes) -> None:
    out.write(line)
    out.flush()


async def _lines(source: BinaryIO) -> AsyncIterator[bytes]:
    """Lines as they come, read in a daemon thread, since a pipe cannot be told to stop waiting."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(64)

    def read() -> None:
        with suppress(RuntimeError, OSError, ValueError):  # the loop or the pipe has ended
            while line := source.readline(MAX_LINE + 1):
                whole = line
                while not line.endswith(b"\n") and len(line) > MAX_LINE:
                    line, whole = source.readline(MAX_LINE + 1), _TOO_LONG
                asyncio.run_coroutine_threadsafe(lines.put(whole), loop).result()
            asyncio.run_coroutine_threadsafe(lines.put(None), loop).result()

    threading.Thread(target=read, name="negotiator-stdin", daemon=True).start()
    while (line := await lines.get()) is not None:
        yield line
