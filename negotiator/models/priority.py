"""Who goes first on a model that a machine shares: requests that somebody waits for, then learning.

Work that runs inside `in_background()` waits while any foreground call of this process is under way, and
goes one at a time, so that a request never queues behind more than one such call. Between processes there is
no order; the server has a second slot for that.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar

_background: ContextVar[bool] = ContextVar("negotiator_background", default=False)


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """Model calls made in here, and in tasks that are started in here, let requests go first."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def is_background() -> bool:
    """Whether this is work inside `in_background()`."""
    return _background.get()


class Turnstile:
    """Lets foreground calls through at once, and background calls one by one where no foreground call runs.

    Safe to share between event loops and threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._foreground = 0
        self._background_runs = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held for the time of one call; in the background, waits for its turn first."""
        background = _background.get()
        if background:
            await self._wait_for_quiet()
        else:
            with self._lock:
                self._foreground += 1
        try:
            yield
        finally:
            with self._lock:
                if background:
                    self._background_runs = False
                else:
                    self._foreground -= 1
                waiting, self._waiting = self._waiting, []
            for loop, event in waiting:
                # A loop that has been closed since has nobody left to wake.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(event.set)

    async def _wait_for_quiet(self) -> None:
        while True:
            event = asyncio.Event()
            with self._lock:
                if self._foreground == 0 and not self._background_runs:
                    self._background_runs = True
                    return
                self._waiting.append((asyncio.get_running_loop(), event))
            await event.wait()
