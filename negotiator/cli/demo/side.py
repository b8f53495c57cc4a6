"""One of the demo's two processes: an agent, led through a pipe by the process that shows what happens.

    python -m negotiator.cli.demo.side receiver --model SPEC --state DIR --fd N
    python -m negotiator.cli.demo.side caller --model SPEC --state DIR

A line of JSON comes in on standard input, one goes out on standard output. When standard input ends, the process
ends what it has begun, and goes. What the receiver spends is told here, and never over the wire between the two.
"""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from negotiator.agent import Agent
from negotiator.cli.ask import facts_of
from negotiator.cli.demo import story
from negotiator.cli.demo.meter import Metered
from negotiator.cli.demo.script import scripted
from negotiator.cli.exits import EXPECTED
from negotiator.cli.routines import facts_of as routine_facts
from negotiator.cli.routines import text_of
from negotiator.cli.serving import serve_agent
from negotiator.models import Model, NoModel, open_model
from negotiator.plan import CostPolicy

_ALL_TIERS: Final = CostPolicy(agree_first=False, documents_of_askers=False)
"""By default two such agents agree before the first request, and natural language would not be seen."""
REQUEST_SECONDS: Final = 180.0
"""A small model on a busy machine takes its time."""
_IDLE_SECONDS: Final = 60.0
"""The demo's local model server does not stay longer than that when the demo is over."""

Command: TypeAlias = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


def model_of(spec: str) -> Model:
    """The model that one side talks through."""
    kind, _, rest = spec.partition("/")
    if spec == "scripted":
        return scripted()
    if kind == "local":
        from negotiator.models.local import LocalModel  # noqa: PLC0415 - an extra, loaded on use

        return LocalModel(rest or None, idle_seconds=_IDLE_SECONDS)
    return open_model(spec)


async def main() -> None:
    """Play the part that the arguments name until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("receiver", "caller"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--fd", type=int, help="the listening socket of the receiver")
    parser.add_argument("--same-words", action="store_true")
    chosen = parser.parse_args()

    model = model_of(chosen.model)
    metered = Metered(model)
    agent = Agent(
        model=model if isinstance(model, NoModel) else metered,
        name=chosen.part,
        publish="agreed",
        state=chosen.state,
        request_seconds=REQUEST_SECONDS,
        cost_policy=_ALL_TIERS,
    )
    commands = _commands(agent, metered, same_words=chosen.same_words)
    if chosen.part == "caller":
        async with agent:
            _say({"ready": True, "model": model.name})
            await _obey(commands)
        return
    story.offer(agent)
    ended = asyncio.Event()
    obeying: list[asyncio.Task[None]] = []

    async def obey() -> None:
        await _obey(commands)
        ended.set()

    def ready() -> None:
        _say({"ready": True, "model": model.name})
        obeying.append(asyncio.ensure_future(obey()))

    await serve_agent(agent, socket.socket(fileno=chosen.fd), ready=ready, until=ended)
    for task in obeying:
        await task


def _commands(agent: Agent, metered: Metered, *, same_words: bool) -> dict[str, Command]:
    task = story.task(same_words=same_words)

    async def ask(said: dict[str, Any]) -> dict[str, Any]:
        began = agent.engine.clock.monotonic()
        try:
            outcome = await agent.ask(said["url"], task, said["input"])
        except EXPECTED as error:
            seconds = agent.engine.clock.monotonic() - began
            return {"error": {"code": error.code, "message": str(error)}, "seconds": seconds}
        return facts_of(outcome)

    async def settle(_said: dict[str, Any]) -> dict[str, Any]:
        await agent.settle()
        return {}

    async def spent(_said: dict[str, Any]) -> dict[str, Any]:
        return metered.reading()

    async def kept(_said: dict[str, Any]) -> dict[str, Any]:
        return {
            "documents": {document.hash: document.text for document in agent.documents()},
            "routines": [routine_facts(routine) | {"lines": text_of(routine)} for routine in agent.routines()],
        }

    return {"ask": ask, "settle": settle, "spent": spent, "kept": kept}


async def _obey(commands: dict[str, Command]) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        said = json.loads(line)
        _say(await commands[said["do"]](said))


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
