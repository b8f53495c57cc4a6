"""A task that is under way in this process, and whoever follows it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from negotiator.dialects.a2a.calls import Event
from negotiator.dialects.a2a.objects import TaskView


@dataclass(slots=True, kw_only=True)
class Running:
    """One task under way. Belongs to the event loop that it runs in."""

    view: TaskView
    """As it is now."""
    principal: str
    over: bool = False
    """Whether it will not change any more: it has ended, or waits for its peer."""
    _work: "asyncio.Task[None] | None" = None
    _events: list[Event] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin the work, which tells when it is over."""
        self._work = asyncio.create_task(work)

    async def cancel(self) -> TaskView:
        """End the work where it can be ended; the task as it is then."""
        if self._work is not None:
            await asyncio.sleep(0)  # work that was canceled before it began would tell nobody
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.shield(asyncio.wait([self._work]))
        return self.view

    def tell(self, view: TaskView, *events: Event, over: bool = False) -> None:
        """The task is now `view`, and `events` say how it came to that."""
        self.view, self.over = view, over
        self._events.extend(events)
        self._changed.set()
        self._changed = asyncio.Event()

    def follow(self) -> AsyncGenerator[Event, None]:
        """The task as it is, and each event from now on, to the last. Who leaves does not end it."""
        return self._follow(Event(task=self.view), len(self._events))

    async def _follow(self, first: Event, seen: int) -> AsyncGenerator[Event, None]:
        yield first
        while True:
            for event in self._events[seen:]:
                seen += 1
                yield event
            if seen == len(self._events):
                if self.over:
                    return
                await self._changed.wait()

    async def ended(self) -> TaskView:
        """The task when it will not change any more."""
        while not self.over:
            await self._changed.wait()
        return self.view
