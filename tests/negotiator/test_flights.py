"""Turns for work that is dear: one at a time, among tasks, loops and processes; nobody waits for ever."""

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from negotiator.clock import Deadline
from negotiator.errors import DeadlinePassed, Overloaded
from negotiator.flights import GRACE_SECONDS, FileFlights, Flights, OwnFlights
from negotiator.testing import VirtualClock

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="no such locks")]

Make = Callable[[], Flights]
"""One process's flights; those of a kind share their turns as far as they can."""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["memory", "files"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: VirtualClock) -> Make:
    if request.param == "files":
        return lambda: FileFlights(tmp_path / "turns", clock)
    own = OwnFlights()
    return lambda: own


def by(clock: VirtualClock, seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, clock)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "removing")


async def test_one_is_alone_and_the_next_follows(make: Make, clock: VirtualClock) -> None:
    inside, most, done = 0, 0, []

    async def work(number: int) -> None:
        nonlocal inside, most
        async with make().alone("a", by(clock)):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1
            done.append(number)

    with clock.driving():
        tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
        while not all(task.done() for task in tasks):
            await clock.sleep(0.01)
    assert most == 1
    assert sorted(done) == [0, 1, 2, 3, 4]


async def test_turns_of_other_names_are_not_waited_for(make: Make, clock: VirtualClock) -> None:
    async with make().alone("a", by(clock)), make().alone("b", by(clock)), make().alone("a/b", by(clock)):
        pass


async def test_work_that_fails_ends_its_turn(make: Make, clock: VirtualClock) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            async with make().alone("a", by(clock)):
                raise ZeroDivisionError


async def test_who_waits_too_long_hears_that_there_is_too_much_work(make: Make, clock: VirtualClock) -> None:
    with clock.driving():
        async with make().alone("a", by(clock)):

            async def wait() -> None:
                async with make().alone("a", by(clock, 5)):
                    raise AssertionError("the turn is another's")

            waiting = asyncio.ensure_future(wait())
            while not waiting.done():
                await clock.sleep(0.5)
            assert isinstance(waiting.exception(), Overloaded)
            with pytest.raises(DeadlinePassed):
                async with make().alone("b", by(clock, 0)):
                    raise AssertionError("there was no time")
        async with make().alone("a", by(clock)):
            pass


async def test_who_is_cancelled_while_waiting_takes_no_turn_with_it(make: Make, clock: VirtualClock) -> None:
    reached = []

    async def wait(number: int) -> None:
        async with make().alone("a", by(clock)):
            reached.append(number)

    with clock.driving():
        async with make().alone("a", by(clock)):
            tasks = [asyncio.ensure_future(wait(number)) for number in range(3)]
            await asyncio.sleep(0)
            tasks[0].cancel()
        tasks[1].cancel()  # it may have been given its turn already
        while not all(task.done() for task in tasks):
            await clock.sleep(0.01)
    assert 2 in reached
    async with make().alone("a", by(clock)):
        pass


async def test_turns_are_passed_between_event_loops(make: Make, clock: VirtualClock) -> None:
    order: list[str] = []
    waits = threading.Event()

    def other_loop() -> None:
        async def work() -> None:
            waits.set()
            async with make().alone("a", Deadline.after(60, VirtualClock())):
                order.append("second")

        asyncio.run(work())

    async with make().alone("a", by(clock)):
        thread = threading.Thread(target=other_loop)
        thread.start()
        await asyncio.to_thread(waits.wait)
        order.append("first")
    await asyncio.to_thread(thread.join)
    assert order == ["first", "second"]


async def test_no_file_is_left_behind(tmp_path: Path, clock: VirtualClock) -> None:
    flights = FileFlights(tmp_path / "turns", clock)
    for number in range(20):
        async with flights.alone(f"work/{number}", by(clock)):
            assert (tmp_path / "turns").stat().st_mode & 0o777 == 0o700
    assert files(tmp_path / "turns") == []


HOLDS = """
    import asyncio, sys
    from pathlib import Path
    from negotiator.clock import Deadline
    from negotiator.flights import FileFlights
    from negotiator.testing import VirtualClock

    async def main():
        clock = VirtualClock()
        async with FileFlights(Path(sys.argv[1]), clock).alone("a", Deadline.after(60, clock)):
            print("holds", flush=True)
            sys.stdin.read()

    asyncio.run(main())
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(HOLDS), str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


async def test_the_turn_of_a_process_that_is_killed_is_free(tmp_path: Path, clock: VirtualClock) -> None:
    with clock.driving():
        with holder(tmp_path) as process:

            async def work() -> None:
                async with FileFlights(tmp_path, clock).alone("a", by(clock)):
                    assert process.poll() is not None

            waiting = asyncio.ensure_future(work())
            for _ in range(50):
                await clock.sleep(0.1)
            assert not waiting.done()
            process.kill()
            process.wait()
        while not waiting.done():
            await clock.sleep(0.001)
        await waiting


async def test_a_process_that_hangs_is_passed_by_when_its_time_is_over_and_not_before(
    tmp_path: Path, clock: VirtualClock
) -> None:
    inside: list[float] = []
    most = 0

    async def work() -> None:
        nonlocal most
        async with FileFlights(tmp_path, clock).alone("a", by(clock, 1000)):
            inside.append(clock.monotonic())
            most = max(most, len(inside))
            await clock.sleep(0)
            inside.pop()

    with clock.driving(), holder(tmp_path) as process:
        waiting = [asyncio.ensure_future(work()) for _ in range(3)]
        clock.advance(60 + GRACE_SECONDS - 1)
        for _ in range(20):
            await clock.sleep(0.01)
        assert not any(task.done() for task in waiting), "it may still be at work"
        clock.advance(2)
        while not all(task.done() for task in waiting):
            await clock.sleep(0.01)
        assert most == 1, "those that pass it by take turns"
        async with FileFlights(tmp_path, clock).alone("a", by(clock)):
            assert process.stdin is not None
            process.stdin.close()
            process.wait()  # its end removes nothing that is now another's
            assert files(tmp_path)

            async def late() -> None:
                async with FileFlights(tmp_path, clock).alone("a", by(clock, 1)):
                    raise AssertionError("the turn is taken")

            refused = asyncio.ensure_future(late())
            while not refused.done():
                await clock.sleep(0.1)
            assert isinstance(refused.exception(), Overloaded)


async def test_where_no_lock_file_can_be_made_everybody_has_the_turn(
    tmp_path: Path, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "turns").write_text("a file in the way")
    flights = FileFlights(tmp_path / "turns", clock)
    async with flights.alone("a", by(clock)), flights.alone("a", by(clock)):
        pass
    assert "no turns among processes" in caplog.text


async def test_a_link_in_the_place_of_a_lock_file_is_not_followed(tmp_path: Path, clock: VirtualClock) -> None:
    flights = FileFlights(tmp_path, clock)
    async with flights.alone("a", by(clock)):
        (path,) = files(tmp_path)
    path.unlink(missing_ok=True)
    (tmp_path / "elsewhere").write_text("mine")
    path.symlink_to("elsewhere")
    async with flights.alone("a", by(clock)):
        pass
    assert (tmp_path / "elsewhere").read_text() == "mine"
