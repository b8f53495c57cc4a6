"""Tools with the same schemas: what was meant is done, and where that is not sure, nothing is done at sight."""

from typing import Any

import pytest

from negotiator import Agent, Task
from negotiator.synthesis import exact_receiver
from negotiator.testing import World
from protocol_docs import ProtocolDocument, draft_document

pytestmark = pytest.mark.anyio

DOORS = {"lock": "Lock a door of the house", "unlock": "Unlock a door of the house, so that it opens"}
TAKES: dict[str, Any] = {
    "type": "object",
    "properties": {"door": {"type": "string", "description": "Which door"}},
    "required": ["door"],
    "additionalProperties": False,
}
GIVES: dict[str, Any] = {
    "type": "object",
    "properties": {"done": {"type": "boolean", "description": "Whether it is done"}},
    "required": ["done"],
    "additionalProperties": False,
}


def house(world: World, **options: Any) -> tuple[Agent, list[str]]:
    """An agent that locks and unlocks doors, and what it was made to do."""
    server, done = world.agent("house", **options), []
    for name, about in DOORS.items():

        def tool(door: str, name: str = name) -> Any:
            done.append(f"{name} {door}")
            return {"done": True}

        server.tool(name=name, description=about, input=TAKES, output=GIVES)(tool)
    return server, done


def document(name: str) -> ProtocolDocument:
    return draft_document(
        name=name,
        description="Something about doors",
        request_schema=TAKES,
        reply_schema=GIVES,
        effect="transactional",
    )


@pytest.mark.parametrize("publish", ["agreed", "all"])
@pytest.mark.parametrize("name", ["unlock", "lock"])
async def test_the_tool_that_is_meant_is_called_and_not_its_neighbour(world: World, name: str, publish: Any) -> None:
    _, done = house(world, publish=publish)
    task = Task(DOORS[name], input=TAKES, output=GIVES, name=name)
    outcome = await world.agent("asker").ask("mem://house", task, {"door": "front"})
    assert (done, outcome.tier, outcome.peer_tier) == ([f"{name} front"], "routine", "routine")


async def test_a_document_of_its_own_name_serves_that_tool_and_one_of_no_tools_name_none(world: World) -> None:
    server, _ = house(world)
    unlocking = await exact_receiver(server.engine, document("unlock"))
    assert unlocking is not None
    assert unlocking.routine.tool == "unlock"
    assert await exact_receiver(server.engine, document("doors")) is None


async def test_what_was_agreed_on_goes_before_the_name(world: World) -> None:
    server, _ = house(world)
    text = document("lock")
    server.engine.meant[text.hash] = "unlock"
    made = await exact_receiver(server.engine, text)
    assert made is not None
    assert made.routine.tool == "unlock"
    other = document("unlock")
    server.engine.meant[other.hash] = "a tool that does not fit"
    assert await exact_receiver(server.engine, other) is None
