"""The kit for tests keeps its own promises."""

import asyncio

import pytest

from negotiator.testing import VirtualClock, World, numbered
from tests.negotiator.engine_world import EXACT, EXACT_VALUE, SERVER, offer_forecast

pytestmark = pytest.mark.anyio


async def test_the_loops_time_is_the_clocks_and_nothing_ends_before_it_is_moved() -> None:
    clock, machine = VirtualClock(), asyncio.get_running_loop().time()
    with clock.driving():
        assert asyncio.get_running_loop().time() == 0
        ended = []

        async def wait() -> None:
            try:
                async with asyncio.timeout(5):
                    await asyncio.Event().wait()
            except TimeoutError:
                ended.append(clock.monotonic())

        waiting = asyncio.ensure_future(wait())
        for seconds in (0, 4.9):
            clock.advance(seconds)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ended == []
        await clock.sleep(0.2)
        await waiting
        assert ended == [pytest.approx(5.1)]
    assert asyncio.get_running_loop().time() >= machine


def test_the_wall_clock_may_jump_and_the_other_never_goes_back() -> None:
    clock = VirtualClock(unix=1000.0)
    clock.advance(10)
    clock.jump(-86_400)
    assert (clock.monotonic(), clock.time()) == (10.0, 1010.0 - 86_400)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


async def test_a_world_sees_what_is_sent_and_tells_dialogue_from_exchanges(world: World) -> None:
    offer_forecast(world.agent("server"))
    await world.agent("caller").ask(SERVER, EXACT, EXACT_VALUE)
    assert [message["type"] for message in world.dialogue()] == ["opening", "agreement"]
    assert [each.body["body"] for each in world.exchanges()] == [EXACT_VALUE]
    assert world.carried[0].request.method == "GET"
    await world.sent(len(world.carried))


def test_numbered_ids_repeat() -> None:
    one, other = numbered("a"), numbered("a")
    assert [one(), one()] == [other(), other()] == ["a-1", "a-2"]
