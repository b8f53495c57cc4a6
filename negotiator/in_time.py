"""One deadline for work that mostly does not wait.

A timer costs several microseconds, which is as much as a whole exchange may take that never waits. So work is begun
at once, and a timer is set when it waits for the first time: what ends before that ends without one.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

from negotiator.clock import Deadline

T = TypeVar("T")


class OutOfTime(TimeoutError):
    """The deadline passed while the work was waiting; it was cancelled."""


async def by(limit: Deadline | float, work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, by a deadline, or within seconds from when it first waits. It runs in the running task.

    Raises what `work` does, and `OutOfTime`; a `TimeoutError` of the work's own stays what it is.
    """
    returned: T
    try:
        waits_for = work.send(None)
    except StopIteration as done:
        returned = done.value
        return returned
    return await rest(limit, work, waits_for)


async def rest(limit: Deadline | float, work: Coroutine[Any, Any, T], waits_for: Any) -> T:
    """The rest of `by` for work that was begun by `send`, and waits for what that has given."""
    returned: T
    timer = asyncio.timeout(max(limit.remaining(), 0) if isinstance(limit, Deadline) else limit)
    try:
        async with timer:
            returned = await _Rest(waits_for, work)
    except TimeoutError as error:
        if timer.expired():
            raise OutOfTime from error
        raise
    return returned


class _Rest:
    """What is left of work that waits for something."""

    __slots__ = ("_waits_for", "_work")

    def __init__(self, waits_for: Any, work: Coroutine[Any, Any, Any]) -> None:
        self._waits_for = waits_for
        self._work = work

    def __await__(self) -> Generator[Any, Any, Any]:
        waits_for, work = self._waits_for, self._work
        while True:
            raised: BaseException | None = None
            given = None
            try:
                given = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation is the work's too
                raised = error
            try:
                waits_for = work.send(given) if raised is None else work.throw(raised)
            except StopIteration as done:
                return done.value
