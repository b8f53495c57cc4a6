"""Work by a deadline: begun at once, with a timer only where there is something to wait for."""

import asyncio
from collections.abc import Callable

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.in_time import OutOfTime, by

pytestmark = pytest.mark.anyio


def soon(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many timers were set."""
    loop_timeout, made = asyncio.timeout, []

    def counting(delay: float | None) -> asyncio.Timeout:
        made.append(delay)
        return loop_timeout(delay)

    monkeypatch.setattr(asyncio, "timeout", counting)
    return lambda: len(made)


async def test_what_does_not_wait_sets_no_timer(timers: Callable[[], int]) -> None:
    async def work() -> int:
        return 7

    assert await by(soon(), work()) == 7
    assert timers() == 0


async def test_what_waits_often_sets_one_timer_and_gets_what_it_waits_for(timers: Callable[[], int]) -> None:
    loop = asyncio.get_running_loop()

    async def work() -> list[int]:
        got = []
        for number in range(3):
            future: asyncio.Future[int] = loop.create_future()
            loop.call_soon(future.set_result, number)
            got.append(await future)
        return got

    assert await by(soon(), work()) == [0, 1, 2]
    assert timers() == 1


async def test_what_waits_too_long_is_cancelled_and_may_clean_up() -> None:
    cleaned = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    with pytest.raises(OutOfTime):
        await by(soon(0), work())
    assert cleaned == [True]


async def test_errors_come_through_before_and_after_waiting() -> None:
    async def work(wait: bool) -> None:
        if wait:
            await asyncio.sleep(0)
        raise LookupError

    for wait in (False, True):
        with pytest.raises(LookupError):
            await by(soon(), work(wait))


async def test_an_error_that_is_waited_for_can_be_caught_by_the_work() -> None:
    async def work() -> str:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, LookupError())
        try:
            await future
        except LookupError:
            await asyncio.sleep(0)
            return "caught"
        return "missed"

    assert await by(soon(), work()) == "caught"


async def test_a_timeout_of_the_works_own_is_not_the_deadlines() -> None:
    async def work() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError) as caught:
        await by(soon(), work())
    assert not isinstance(caught.value, OutOfTime)


async def test_a_cancellation_from_outside_stays_one() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(by(soon(), work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_in_work_each_keeps_its_own_deadline() -> None:
    async def inner() -> None:
        await asyncio.Event().wait()

    async def outer() -> str:
        with pytest.raises(OutOfTime):
            await by(soon(0), inner())
        return "went on"

    assert await by(soon(), outer()) == "went on"
