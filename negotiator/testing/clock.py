"""A clock for tests."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class VirtualClock:
    """A `Clock` that moves only when it is told to. Not for several threads.

    Inside `driving()` an event loop keeps this time too, so that `asyncio.timeout` and `asyncio.sleep` end when the
    clock has been moved past them, and never because a machine is slow.

    Example:
        ```python
        clock = VirtualClock()
        with clock.driving():
            waiting = asyncio.ensure_future(agent.ask(peer, task, value, seconds=5))
            ...
            clock.advance(6)  # the request ends in DeadlinePassed
        ```
    """

    def __init__(self, unix: float = 1_800_000_000.0) -> None:
        """Start at `unix` seconds since 1970; the monotonic reading starts at 0."""
        self._unix = unix
        self._now = 0.0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now

    def time(self) -> float:
        """See `Clock.time`."""
        return self._unix + self._now

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`, at least 0."""
        if seconds < 0:
            raise ValueError("time does not go back")
        self._now += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock on or back by `seconds`, as an administrator may; the monotonic reading stays."""
        self._unix += seconds

    async def sleep(self, seconds: float) -> None:
        """Move on by `seconds` and let what is due run: for `ScriptedModel(sleep=...)`."""
        self.advance(seconds)
        await asyncio.sleep(0)

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Have the running event loop keep this clock's time."""
        loop = asyncio.get_running_loop()
        vars(loop)["time"] = self.monotonic
        try:
            yield
        finally:
            del vars(loop)["time"]
