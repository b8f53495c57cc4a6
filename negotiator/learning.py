"""Work off the request's path: negotiation, synthesis, shadow runs. One of each kind at a time, cancellable."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

from negotiator.errors import NegotiatorError
from negotiator.models.priority import in_background
from protocol_docs.errors import DocumentError
from sandbox import SandboxError

_LOG = logging.getLogger("negotiator.learning")


class Learner:
    """Background tasks by key. What fails is logged without payload and can be tried again later.

    An agent may be used from several event loops (a server's, and the thread behind `ask_sync`): each has its own
    work here, and waits for its own alone.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[None]] = {}

    def start(self, key: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Begin `work` unless work of this key is under way; True if it was begun."""
        loop = asyncio.get_running_loop()
        if (loop, key) in self._running:
            return False
        task = loop.create_task(self._guarded(key, work))
        self._running[loop, key] = task
        task.add_done_callback(lambda _done: self._running.pop((loop, key), None))
        return True

    def busy(self, key: str) -> bool:
        """Whether work of this key is under way."""
        return (asyncio.get_running_loop(), key) in self._running

    async def wait_for(self, key: str) -> None:
        """Return when the work of this key, if any, has ended."""
        task = self._running.get((asyncio.get_running_loop(), key))
        if task is not None:
            await asyncio.wait([task])

    async def settle(self) -> None:
        """Return when nothing is under way, what was begun meanwhile included."""
        while running := self._here():
            await asyncio.wait(running)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        """Cancel what is under way, and wait for the end of what this loop runs."""
        here = self._here()
        for (loop, _), task in list(self._running.items()):
            if task in here:
                task.cancel()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)
        if here:
            await asyncio.wait(here)

    def _here(self) -> list[asyncio.Task[None]]:
        loop = asyncio.get_running_loop()
        return [task for (of, _), task in list(self._running.items()) if of is loop]

    async def _guarded(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            with in_background():
                await work()
        except (NegotiatorError, DocumentError, SandboxError) as error:
            _LOG.info("learning %s ended: %s", key.split("/", maxsplit=1)[0], type(error).__name__)
            _LOG.debug("what ended it", exc_info=error)
        except Exception as error:  # noqa: BLE001 -- nobody awaits this task; the log is its only way out
            # Its message may hold a payload.
            place = traceback.extract_tb(error.__traceback__)[-1]
            kind = key.split("/", maxsplit=1)[0]
            _LOG.error("learning %s failed: %s at %s:%s", kind, type(error).__name__, place.filename, place.lineno)
            _LOG.debug("what failed", exc_info=error)
