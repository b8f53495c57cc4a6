"""A server that is killed at work: whoever repeats the request is answered at once, and nothing is done twice."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from negotiator import Agent
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import OutcomeUnknown, Overloaded
from negotiator.messages import Reply, Request
from negotiator.proposals import document_of
from negotiator.replies import Claim
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from tests.negotiator.engine_world import BOOK_VALUE, offer_booking

pytest.importorskip("diskcache")
pytestmark = [pytest.mark.anyio, pytest.mark.skipif(sys.platform == "win32", reason="no such locks")]

PROGRAM = """
    import asyncio, os, signal, sys

    folder, stage, tests = sys.argv[1:]
    sys.path.insert(0, tests)
    import negotiator.answer
    import test_crashes
    from engine_world import BOOK_VALUE, BOOKED, BOOKING
    from negotiator.journal import Journal
    from negotiator.replies import Replies
    from negotiator.testing import World

    def end(*_, **__):
        print("here", flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)

    if stage == "before the call":
        Journal.call = end
    elif stage == "after the call":
        Replies.finish = end

    async def main():
        async with World() as world:
            server = world.agent("server", state=os.path.join(folder, "state"))

            @server.tool(
                effect="transactional", inline=True, input=BOOKING, output=BOOKED, description="Book a room for a night"
            )
            def book(room, night):
                with open(os.path.join(folder, "booked"), "a") as file:
                    file.write("x")
                if stage == "in the call":
                    end()
                return {"reference": "theirs"}

            await test_crashes.book(server)

    asyncio.run(main())
"""


async def book(server: Agent) -> Reply:
    """The same request each time: one key, one body."""
    document = document_of(server.engine.tools["book"])
    server.engine.documents.put(document)
    request = Request(body=BOOK_VALUE, hashes=document.aliases, idempotency_key="k")
    deadline = Deadline.after(60, server.engine.clock)
    return await answer(server.engine, request, ExchangeContext(dialect="agora-2025", deadline=deadline))


@contextmanager
def at_work(folder: Path, stage: str) -> Iterator["subprocess.Popen[str]"]:
    tests = str(Path(__file__).parent)
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), stage, tests]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("stage", ["before the call", "in the call", "after the call"])
async def test_a_repeated_request_is_answered_as_soon_as_its_server_is_dead_and_not_before(
    world: World, tmp_path: Path, stage: str
) -> None:
    server = world.agent("another worker", state=tmp_path / "state")
    calls = offer_booking(server)
    with at_work(tmp_path, stage) as process:
        with pytest.raises(Overloaded):
            await book(server)
        process.kill()
        process.wait()
    booked = tmp_path / "booked"
    if stage == "before the call":
        assert (await book(server)).status == "success"
        assert len(calls) == 1
        assert not booked.exists()
    else:
        with pytest.raises(OutcomeUnknown):
            await book(server)
        assert calls == []
        assert booked.read_text() == "x"
    again = await book(server)
    assert again.status == ("success" if stage == "before the call" else "failure")
    assert len(calls) == (stage == "before the call")
    assert list(server.engine.text.keys("journal/")) == [], "what was kept for a crash goes when its outcome is kept"


async def test_what_a_dead_server_did_is_remembered_until_its_outcome_can_be_kept(world: World, tmp_path: Path) -> None:
    server = world.agent("another worker", state=tmp_path / "state")
    calls = offer_booking(server)
    with at_work(tmp_path, "in the call") as process:
        process.kill()
        process.wait()
    replies = server.engine.replies

    def unkept(claim: Claim, _: Reply | None) -> bool:
        del replies._running[claim.key]
        return False

    finish, replies.finish = replies.finish, unkept  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await book(server)
        world.clock.advance(1000)
    replies.finish = finish  # type: ignore[method-assign]
    with pytest.raises(OutcomeUnknown):
        await book(server)
    assert (await book(server)).code == "outcome_unknown"
    assert calls == []
