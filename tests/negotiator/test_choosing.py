"""Which tool an intent means."""

import pytest

from negotiator import Agent, CostPolicy
from negotiator.choosing import intended_tool, rank
from negotiator.clock import Deadline
from negotiator.errors import ModelUnavailable
from negotiator.models.scripted import ScriptedModel
from negotiator.negotiation import Intent
from negotiator.task import Tool
from negotiator.testing import World
from tests.negotiator.engine_world import BOOKED, BOOKING, CITY_DAY, FORECAST, offer_booking, offer_forecast

pytestmark = pytest.mark.anyio

WEATHER = Intent(
    name="forecast",
    description="Weather forecast for a city",
    effect="safe",
    input_schema=CITY_DAY,
    output_schema=FORECAST,
)
BOOKING_INTENT = Intent(name="book", description="Book a room", input_schema=BOOKING, output_schema=BOOKED)
UNCLEAR = Intent(name="?", description="?", effect="transactional")


def both(agent: Agent) -> Agent:
    offer_forecast(agent)
    offer_booking(agent)
    return agent


async def chosen(agent: Agent, intent: Intent) -> str | None:
    tool: Tool | None = await intended_tool(agent.engine, intent, Deadline.after(60, agent.engine.clock))
    return None if tool is None else tool.name


async def test_words_that_are_clear_need_no_model(world: World) -> None:
    model = ScriptedModel({})
    server = both(world.agent("server", model))
    assert await chosen(server, WEATHER) == "forecast"
    assert await chosen(server, BOOKING_INTENT) == "book"
    assert model.calls == []


async def test_a_safe_intent_never_gets_a_transactional_tool_whatever_the_model_says(world: World) -> None:
    server = world.agent("server", ScriptedModel({"choose_tool": {"tool": "book"}}))
    offer_booking(server)
    assert await chosen(server, BOOKING_INTENT.model_copy(update={"effect": "safe"})) is None
    offer_forecast(server)
    assert await chosen(server, BOOKING_INTENT.model_copy(update={"effect": "safe"})) in (None, "forecast")


async def test_what_words_leave_open_the_model_decides(world: World) -> None:
    for said, expected in (("book", "book"), ("none", None)):
        server = both(world.agent("server", ScriptedModel({"choose_tool": {"tool": said}})))
        assert await chosen(server, UNCLEAR) == expected
        assert server.engine.ledger.strangers(server.engine.today).calls == 1, "it is entered as strangers' use"


@pytest.mark.parametrize("answer", [ModelUnavailable("away"), "garbage"])
async def test_a_model_that_is_away_or_misspeaks_leaves_it_to_words(world: World, answer: object) -> None:
    server = both(world.agent("server", ScriptedModel({"choose_tool": answer})))
    assert await chosen(server, UNCLEAR) is None


async def test_over_the_budget_no_model_is_asked(world: World) -> None:
    model = ScriptedModel({})
    server = both(world.agent("server", model, cost_policy=CostPolicy(max_strangers_seconds_per_day=0)))
    assert await chosen(server, UNCLEAR) is None
    assert model.calls == []


async def test_nothing_offered_nothing_chosen(world: World) -> None:
    assert await chosen(world.agent("server"), WEATHER) is None


async def test_the_likeliest_comes_first_and_likeness_is_a_share(world: World) -> None:
    server = both(world.agent("server"))
    ranked = rank(WEATHER, list(server.engine.tools.values()))
    assert [tool.name for tool, _ in ranked] == ["forecast", "book"]
    assert all(0 <= likeness <= 1.0001 for _, likeness in ranked)
