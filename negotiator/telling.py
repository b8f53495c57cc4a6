"""What is told on the way to an answer, from whatever thread it is told, for a reader who may be slow."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

MAX_WAITING: Final = 256
"""Messages that wait for a reader who does not read; more of them are dropped, the answer never."""
KEEP_ALIVE_SECONDS: Final = 15.0
"""After so long without a message the reader hears that there is still somebody."""


class Telling:
    """Messages on the way to one answer. Belongs to the event loop that it was made in."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def put(self, message: bytes) -> None:
        """Tell `message`; from any thread."""
        if len(self._waiting) >= MAX_WAITING:
            return
        self._waiting.append(message)
        with suppress(RuntimeError):  # the loop has ended, and its readers with it
            self._loop.call_soon_threadsafe(self._more.set)

    async def before(self, answering: "asyncio.Future[Any]") -> bool:
        """Wait until something is told or the answer is there; True where something was told."""
        answering.add_done_callback(self._ended)
        await self._more.wait()
        return bool(self._waiting)

    async def messages(self, answering: "asyncio.Future[Any]") -> AsyncGenerator[bytes | None, None]:
        """What is told until the answer is there; None after `KEEP_ALIVE_SECONDS` in which nothing was."""
        answering.add_done_callback(self._ended)
        while True:
            self._more.clear()
            while self._waiting:
                yield self._waiting.popleft()
            if answering.done():
                return
            try:
                async with asyncio.timeout(KEEP_ALIVE_SECONDS):
                    await self._more.wait()
            except TimeoutError:
                yield None

    def _ended(self, _answering: "asyncio.Future[Any]") -> None:
        self._more.set()
