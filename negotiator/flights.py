"""One at a time for work that is dear, among all that share a state: tasks, event loops, processes.

Whoever takes the turn looks first whether the one before has left nothing to do. Among processes a turn is a lock
on a file, which ends with the process that holds it, however that ends. A holder that neither works nor ends is
passed by once its time is over.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from negotiator.clock import Clock, Deadline
from negotiator.errors import Overloaded
from negotiator.models.file_locks import held, is_at, lock, open_lock

GRACE_SECONDS: Final = 5.0
"""What a holder has beyond its own deadline before others pass it by."""
_POLL_SECONDS: Final = 0.05
_BUSY: Final = "another is at the same work"
_LOG = logging.getLogger(__name__)


class Flights(Protocol):
    """Turns by name."""

    def alone(self, name: str, deadline: Deadline) -> AbstractAsyncContextManager[None]:
        """Hold the turn of this name, until `deadline` at the latest.

        Raises `Overloaded` where it does not come by then, and `DeadlinePassed` where there is no time at all.
        """
        ...


class OwnFlights:
    """Turns among the tasks and event loops of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def alone(self, name: str, deadline: Deadline) -> AsyncIterator[None]:
        """See `Flights.alone`."""
        left = deadline.require()
        turn = self._queue(name)
        if turn is not None:
            try:
                async with asyncio.timeout(left):
                    await turn
            except BaseException as error:
                self._give_up(name, turn)
                if isinstance(error, TimeoutError):
                    raise Overloaded(_BUSY) from error
                raise
        try:
            yield
        finally:
            self._pass_on(name)

    def _queue(self, name: str) -> "asyncio.Future[None] | None":
        with self._lock:
            queue = self._waiting.get(name)
            if queue is None:
                self._waiting[name] = deque()
                return None
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            queue.append(turn)
            return turn

    def _give_up(self, name: str, turn: "asyncio.Future[None]") -> None:
        with self._lock:
            queue = self._waiting.get(name, deque())
            if turn in queue:
                queue.remove(turn)
                return
        # It came at the very moment that it was given up.
        self._pass_on(name)

    def _pass_on(self, name: str) -> None:
        while True:
            with self._lock:
                queue = self._waiting[name]
                if not queue:
                    del self._waiting[name]
                    return
                turn = queue.popleft()
            # A loop that has been closed since has nobody left to wake.
            with contextlib.suppress(RuntimeError):
                turn.get_loop().call_soon_threadsafe(_wake, turn)
                return


def _wake(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_result(None)


class FileFlights:
    """Turns among the processes that share a folder of lock files, and among the tasks of each.

    Where the folder cannot be written, everybody has the turn at once: work may then be done twice, and nothing
    else comes of it.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    @contextlib.asynccontextmanager
    async def alone(self, name: str, deadline: Deadline) -> AsyncIterator[None]:
        """See `Flights.alone`."""
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()[:32]
        handle: int | None = None
        try:
            handle = await self._take(path, deadline)
        except OSError as error:
            _LOG.warning("no turns among processes: %s", error.strerror)
        try:
            yield
        finally:
            if handle is not None:
                self._remove(path, handle)
                os.close(handle)

    async def _take(self, path: Path, deadline: Deadline) -> int:
        left = deadline.require()
        waiting = False
        while (handle := self._try(path, left)) is None:
            if not waiting:
                waiting = True
                _LOG.debug("waiting for another's turn to end")
            await asyncio.sleep(min(_POLL_SECONDS, left))
            left = deadline.remaining()
            if left <= 0:
                raise Overloaded(_BUSY)
        return handle

    def _try(self, path: Path, left: float) -> int | None:
        handle = open_lock(path)
        try:
            if not lock(handle):
                if self._overdue(handle):
                    self._remove(path, handle)
            elif is_at(handle, path):
                until = self._clock.time() + left + GRACE_SECONDS
                os.pwrite(handle, f"{until:20.3f}".encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return None

    def _overdue(self, handle: int) -> bool:
        try:
            return float(os.pread(handle, 20, 0)) < self._clock.time()
        except ValueError:  # its holder has only just begun
            return False

    def _remove(self, path: Path, handle: int) -> None:
        # Under a lock of its own, so that nobody removes the file that another has put in its place.
        with contextlib.suppress(OSError), held(self._folder / "removing", wait=False) as mine:
            if mine and is_at(handle, path):
                path.unlink()
