"""Processes that share a state and need the same thing: a model is asked for it once."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import orjson
import pytest

pytest.importorskip("diskcache")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such locks")

PROGRAM = """
    import asyncio, json, logging, os, sys

    folder, role, tests = sys.argv[1:]
    sys.path.insert(0, tests)
    from engine_world import EAGER, OTHER, OTHER_VALUE, SERVER, ORACLE, offer_forecast_by_parts, oracle
    from negotiator.clock import Deadline
    from negotiator.ledger import Account
    from negotiator.synthesis import make_receiver
    from negotiator.testing import World
    from protocol_docs import draft_document

    asked = os.open(os.path.join(folder, "asked"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(word):
        print(word, flush=True)

    class Waits(logging.Handler):
        def emit(self, record):
            say("waits")

    logging.getLogger("negotiator.flights").setLevel("DEBUG")
    logging.getLogger("negotiator.flights").addHandler(Waits())

    def counted(purpose):
        def answer(messages, schema):
            os.write(asked, purpose.encode() + b"\\n")
            say("asked")
            if sys.stdin.readline() == "":
                os._exit(1)
            return ORACLE[purpose](messages, schema)
        return answer

    model = oracle(**{purpose: counted(purpose) for purpose in ("choose_fields", "write_fields")})

    async def as_sender(world):
        offer_forecast_by_parts(world.agent("server", oracle(), cost_policy=EAGER))
        caller = world.agent("caller", model, state=os.path.join(folder, "state"), cost_policy=EAGER)
        await caller.ask(SERVER, OTHER, OTHER_VALUE)
        await world.settle()
        return caller

    async def as_receiver(world):
        server = world.agent("server", model, state=os.path.join(folder, "state"))
        offer_forecast_by_parts(server)
        document = draft_document(
            name=OTHER.name, description=OTHER.description, request_schema=OTHER.input.json_schema,
            reply_schema=OTHER.output.json_schema, effect="safe",
        )
        (tool,) = server.engine.tools.values()
        await make_receiver(server.engine, document, tool, Account(), Deadline.after(300, world.clock))
        return server

    async def main():
        async with World() as world:
            agent = await (as_sender if role == "sender" else as_receiver)(world)
            states = [routine.state for routine in agent.routines()]
            say(json.dumps({"has": states, "messages": len(world.dialogue())}))

    asyncio.run(main())
"""


class Process:
    """One process of an agent, which does as it is told."""

    def __init__(self, folder: Path, role: str) -> None:
        program = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), role, str(Path(__file__).parent)]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        self._out: IO[str] = self.process.stdout
        self._in: IO[str] = self.process.stdin

    def hears(self) -> str:
        """The next word that it says; empty when it has ended."""
        return self._out.readline().strip()

    def answer(self) -> None:
        """Let the model answer its question."""
        self._in.write("go\n")
        self._in.flush()

    def finish(self) -> str:
        """Answer all that it asks, and return what it has in the end."""
        while (word := self.hears()) in ("asked", "waits"):
            if word == "asked":
                self.answer()
        return word


@contextmanager
def processes(folder: Path, role: str, count: int) -> Iterator[list[Process]]:
    with ExitStack() as stack:
        made: list[Process] = []
        for _ in range(count):
            one = Process(folder, role)
            stack.enter_context(one.process)
            stack.callback(one.process.kill)
            made.append(one)
        yield made


def asked(folder: Path) -> int:
    return len((folder / "asked").read_text().splitlines())


@pytest.fixture(params=["sender", "receiver"], scope="module")
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, role: str) -> int:
    """What one process alone asks the model for one routine."""
    folder = tmp_path_factory.mktemp("alone")
    with processes(folder, role, 1) as (one,):
        assert orjson.loads(one.finish())["has"] == ["candidate"]
    assert asked(folder) > 0
    return asked(folder)


def test_two_processes_that_need_one_routine_ask_the_model_once(tmp_path: Path, role: str, once: int) -> None:
    with processes(tmp_path, role, 1) as (first,):
        assert first.hears() == "asked"
        with processes(tmp_path, role, 1) as (other,):
            assert other.hears() == "waits"
            first.answer()
            assert orjson.loads(first.finish())["has"] == ["candidate"]
            said = orjson.loads(other.hears())
            assert said == {"has": ["candidate"], "messages": 0}, "it asks no model and does not negotiate again"
    assert asked(tmp_path) == once


def test_one_that_dies_over_it_is_followed_by_one_of_those_that_wait(tmp_path: Path, role: str, once: int) -> None:
    with processes(tmp_path, role, 1) as (first,):
        assert first.hears() == "asked"
        with processes(tmp_path, role, 2) as others:
            for other in others:
                assert other.hears() == "waits"
            first.process.kill()
            first.process.wait()
            # Whichever of them it is, it asks; the other hears nothing of it and has the routine.
            for other in others:
                for _ in range(once):
                    other.answer()
            assert [orjson.loads(other.finish())["has"] for other in others] == [["candidate"]] * 2
    assert asked(tmp_path) == 1 + once
