"""One request as a stream of events, which can be left, cancelled, and taken up again by its id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from negotiator.errors import UsageError
from negotiator.events import Event, Listener, Result, Sent
from negotiator.outcome import Outcome

MAX_EVENTS: Final = 1_024
"""Events of one stream that are held for who comes later; of more of them, the oldest go first."""

Ask: TypeAlias = Callable[[Listener], Coroutine[Any, Any, Outcome]]
"""Asks, and tells of what happens on the way."""


class Stream:
    """A request that is under way: iterate over its events, or wait for its result.

    It begins with the first look at it. Leaving the loop does not end it: until its deadline it can be iterated over
    again, from its first event on, here or by `Agent.resume`. Used as a context manager it is cancelled at the end.

    Example:
        ```python
        async with agent.stream(peer, task, value) as stream:
            async for event in stream:
                match event:
                    case TierChosen():
                        print("handled by", event.tier)
                    case Progress():
                        print(event.message)
                    case Partial():
                        print(event.text, end="")
                    case Result():
                        print(event.outcome.output)
        ```
    """

    def __init__(self, id: str, ask: Ask) -> None:  # noqa: A002 - the word people expect
        """Made by `Agent.stream` and `Agent.resume`."""
        self.id = id
        """What `Agent.resume` takes; the request's idempotency key."""
        self._ask = ask
        self._events: list[Event] = []
        self._dropped = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[Outcome] | None = None

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._task is not None and self._task.done()

    @property
    def may_be_resumed(self) -> bool:
        """Whether it has ended without an outcome."""
        task = self._task
        return task is not None and task.done() and (task.cancelled() or task.exception() is not None)

    async def result(self) -> Outcome:
        """The outcome. Raises what `Agent.ask` does, and `asyncio.CancelledError` where the stream was cancelled."""
        return await asyncio.shield(self._started())

    async def cancel(self) -> None:
        """End it, and return when it has ended. What a peer has begun is not undone; `resume` asks how it went."""
        if self._task is None:
            self._ask = _cancelled
            self._started()
        elif not self._task.done():
            self._task.cancel()
        await asyncio.wait({self._started()})

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, from the first one on. Raises what `Agent.ask` does, in place of a `Result`."""
        task = self._started()
        seen = 0
        while True:
            seen = max(seen, self._dropped)
            while seen - self._dropped < len(self._events):
                event = self._events[seen - self._dropped]
                seen += 1
                yield event
            if task.done():
                break
            await self._changed.wait()
        outcome = await asyncio.shield(task)
        yield Result(outcome=outcome)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cancel()

    def _started(self) -> "asyncio.Task[Outcome]":
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._ask(self._hear))
            self._task.add_done_callback(self._ended)
        elif self._task.get_loop() is not asyncio.get_running_loop():
            raise UsageError("a stream belongs to the event loop that it began in")
        return self._task

    def _hear(self, event: Event) -> None:
        if isinstance(event, Sent):
            return
        if len(self._events) >= MAX_EVENTS:
            del self._events[0]
            self._dropped += 1
        self._events.append(event)
        self._wake()

    def _ended(self, task: "asyncio.Task[Outcome]") -> None:
        if not task.cancelled():
            task.exception()  # nobody may be waiting for it
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _cancelled(_listens: Listener) -> Outcome:
    raise asyncio.CancelledError
