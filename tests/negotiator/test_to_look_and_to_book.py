"""To look for a thing takes what it takes to book it: schemas that fit do not say that a function is the one meant."""

import pytest

from negotiator import Agent, Task
from negotiator.choosing import clear_tool, intended_tool
from negotiator.clock import Deadline
from negotiator.fitting import changes_less, suitable_tool
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect
from negotiator.models.scripted import ScriptedModel
from negotiator.negotiation import Intent
from negotiator.proposals import document_of
from negotiator.sharing import proposals
from negotiator.testing import World
from protocol_docs import ProtocolDocument, draft_document
from tests.negotiator.engine_world import SERVER, TEXT, obj
from tests.negotiator.test_respond import opening, say

pytestmark = pytest.mark.anyio

ROUTE = obj(start=TEXT, goal=TEXT)
FLIGHTS = obj(flight=TEXT, fare=TEXT)
LOOK = Task("Search for a flight", input=ROUTE, output=FLIGHTS, effect="safe", name="search_flight")
BOOK = Task("Buy a flight", input=ROUTE, output=FLIGHTS, effect="transactional", name="buy_flight")
FLIGHTS_TOO = obj(flight=TEXT, fares={"type": "string", "description": "fare"})
VALUE = {"start": "Rome", "goal": "Oslo"}


def airline(world: World, publish: str = "agreed") -> tuple[Agent, list[str]]:
    """A server that has both, and what was done there."""
    server, done = world.agent("server", publish=publish), []

    def offer(name: str, description: str, effect: Effect) -> None:
        async def tool(start: str, goal: str) -> JsonObject:
            done.append(name)
            return {"flight": f"{start}-{goal}", "fare": "90"}

        server.tool(effect=effect, name=name, description=description, input=ROUTE, output=FLIGHTS)(tool)

    offer("search_flight", "Search for a flight", "safe")
    offer("buy_flight", "Buy a flight", "transactional")
    return server, done


async def test_a_listed_document_that_changes_nothing_is_not_taken_for_a_task_that_may(world: World) -> None:
    _, done = airline(world)
    looking, booking = world.agent("looking"), world.agent("booking")
    await looking.ask(SERVER, LOOK, VALUE)
    for _ in range(2):
        outcome = await booking.ask(SERVER, BOOK, VALUE)
        assert outcome.tier == "routine"
    assert done == ["search_flight", "buy_flight", "buy_flight"]
    assert agreed_hash(booking, BOOK) != agreed_hash(looking, LOOK)


async def test_a_document_at_hand_that_changes_nothing_is_not_proposed_for_a_task_that_may(world: World) -> None:
    server, _ = airline(world)
    caller = world.agent("caller")
    caller.engine.documents.put(document_of(server.engine.tools["search_flight"]))
    until = Deadline.after(60, caller.engine.clock)
    found = {}
    for effect in ("safe", "transactional"):
        task = Task(LOOK.description, input=ROUTE, output=FLIGHTS, effect=effect, name=LOOK.name)  # type: ignore[arg-type]
        found[effect] = len(await proposals(caller.engine, task, until))
    assert found == {"safe": 1, "transactional": 0}


def listed(name: str, description: str, effect: Effect | None) -> ProtocolDocument:
    return draft_document(
        name=name, description=description, request_schema=obj(start=TEXT, goal=TEXT), reply_schema=FLIGHTS_TOO,
        effect=effect or "transactional",
    )  # fmt: skip


@pytest.mark.parametrize(("effect", "less"), [("safe", True), ("transactional", False)])
def test_only_what_says_that_it_is_safe_changes_less(effect: Effect, less: bool) -> None:
    document = listed("x", "y", effect)
    assert changes_less(BOOK, document) is less
    assert not changes_less(LOOK, document)
    assert not changes_less(BOOK, ProtocolDocument.from_text("Say hello."))


async def test_a_candidate_of_another_function_than_words_clearly_mean_is_not_accepted(world: World) -> None:
    server, _ = airline(world)
    search = document_of(server.engine.tools["search_flight"])
    server.engine.documents.put(search)
    meant = {"name": "buy_flight", "description": "Buy a flight", "effect": "transactional"}
    intent = {"input_schema": ROUTE, "output_schema": FLIGHTS, **meant}
    assert clear_tool(Intent.model_validate(intent), list(server.engine.tools.values())) is not None
    said = await say(server, {**opening(**intent), "candidates": [search.hash]})
    assert said["selected"]["protocol_hash"] != search.hash


ONE_FIELD = obj(wish={"type": "string", "description": "start and goal"})


def over_text(world: World) -> Agent:
    """A server of two tools, of which rules can map documents onto the safe one alone."""
    server = world.agent("server", ScriptedModel({}))
    for name, description, effect, takes in (
        ("search_flight", "Search for a flight", "safe", ROUTE),
        ("buy_flight", "Buy a flight", "transactional", ONE_FIELD),
    ):

        async def tool(**_given: str) -> JsonObject:
            return {"flight": "", "fare": ""}

        server.tool(effect=effect, name=name, description=description, input=takes, output=FLIGHTS)(tool)  # type: ignore[arg-type]
    return server


@pytest.mark.parametrize(
    ("name", "description", "effect", "found"),
    [
        ("look", "Search for a flight", "safe", "search_flight"),
        ("look", "Search for a flight", "transactional", "search_flight"),
        ("buy_flight", "Buy a flight", "transactional", None),
        ("flight", "A flight", "safe", "search_flight"),
        ("flight", "A flight", "transactional", None),
    ],
)
async def test_the_one_tool_that_fits_is_taken_unless_words_or_effect_speak_against_it(
    world: World, name: str, description: str, effect: Effect, found: str | None
) -> None:
    tool = await suitable_tool(over_text(world).engine, listed(name, description, effect))
    assert (tool and tool.name) == found


async def test_where_words_leave_it_open_and_no_model_is_there_the_intended_effect_decides(world: World) -> None:
    server, _ = airline(world)
    until = Deadline.after(60, server.engine.clock)
    for effect, name in (("safe", "search_flight"), ("transactional", "buy_flight")):
        intent = Intent.model_validate({"name": "flight", "description": "A flight", "effect": effect})
        assert clear_tool(intent, list(server.engine.tools.values())) is None
        tool = await intended_tool(server.engine, intent, until)
        assert tool is not None
        assert tool.name == name


def agreed_hash(agent: Agent, task: Task) -> str:
    agreed = agent.engine.agreements.find(task.digest, SERVER)
    assert agreed is not None
    return agreed.protocol_hash
