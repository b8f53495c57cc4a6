"""One opener, more than one peer: one document or none."""

import pytest

from negotiator import Agent, CostPolicy, NotPossible, Task, UsageError
from negotiator.errors import PeerUnreachable
from negotiator.jsonvalue import JsonObject
from negotiator.testing import World
from negotiator.together import MAX_PARTIES
from tests.negotiator.engine_world import (
    BOOK,
    CITY_DAY,
    EXACT,
    EXACT_VALUE,
    FORECAST,
    OTHER,
    OTHER_OUTPUT,
    OTHER_VALUE,
    TEXT,
    WORDS_FIRST,
    obj,
    offer_booking,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio

A, B, C = "mem://a", "mem://b", "mem://c"


def offer_forecast_named(agent: Agent, name: str, **more: JsonObject) -> None:
    """The same tool under another name, so that the document that is drafted from it is another one."""

    @agent.tool(
        effect="safe", inline=True, name=name, output=FORECAST, description=f"Weather forecast for a city ({name})",
        input={**CITY_DAY, "properties": {**CITY_DAY["properties"], **more}},
    )  # fmt: skip
    def forecast(city: str, day: str, **_more: str) -> JsonObject:
        return {"high": "21", "summary": f"sunny in {city} on {day}"}


def hashes_at(agent: Agent, task: Task, *urls: str) -> list[str | None]:
    found = [agent.engine.agreements.find(task.digest, url) for url in urls]
    return [None if each is None else each.protocol_hash for each in found]


async def test_three_that_would_each_offer_a_document_of_their_own_serve_one(world: World) -> None:
    for url, name in ((A, "one"), (B, "two"), (C, "three")):
        offer_forecast_named(world.agent(url.removeprefix("mem://"), cost_policy=WORDS_FIRST), name)
    caller = world.agent("caller")
    document = await caller.agree(EXACT, A, B, C)
    assert hashes_at(caller, EXACT, A, B, C) == [document.hash] * 3
    for url in (A, B, C):
        outcome = await caller.ask(url, EXACT, EXACT_VALUE)
        assert (outcome.tier, outcome.peer_tier, outcome.protocol_hash) == ("routine", "routine", document.hash)


async def test_which_document_it_is_does_not_hang_on_the_order_of_the_peers(world: World) -> None:
    for url, name in ((A, "one"), (B, "two"), (C, "three")):
        offer_forecast_named(world.agent(url.removeprefix("mem://"), cost_policy=WORDS_FIRST), name)
    found = {
        (await world.agent(f"caller{at}").agree(EXACT, *urls)).hash
        for at, urls in enumerate([(A, B, C), (C, A, B), (B, C, A, B)])
    }
    assert len(found) == 1


async def test_peers_that_take_the_askers_schemas_agree_in_two_messages_each(world: World) -> None:
    for url in (A, B):
        offer_forecast(world.agent(url.removeprefix("mem://"), oracle()))
    caller = world.agent("caller", oracle())
    document = await caller.agree(OTHER, A, B)
    assert [message["type"] for message in world.dialogue()] == ["opening"] * 2 + ["agreement"] * 2
    assert hashes_at(caller, OTHER, A, B) == [document.hash] * 2
    outcome = await caller.ask(B, OTHER, OTHER_VALUE)
    assert (outcome.json, outcome.protocol_hash) == (OTHER_OUTPUT, document.hash)


async def test_where_one_cannot_serve_what_the_others_do_nothing_is_agreed_with_anybody(world: World) -> None:
    offer_forecast(world.agent("a"))
    server = world.agent("b")

    @server.tool(effect="safe", inline=True, description="Weather forecast for a city and a day, by its code",
                 input=obj(code=TEXT), output=FORECAST)  # fmt: skip
    def forecast(code: str) -> JsonObject:
        raise AssertionError(code)

    caller = world.agent("caller")
    with pytest.raises(NotPossible):
        await caller.agree(EXACT, A, B)
    assert hashes_at(caller, EXACT, A, B) == [None, None]
    assert "agreement" not in {message["type"] for message in world.dialogue()}


async def test_no_joint_agreement_is_remembered_with_an_expiry(world: World) -> None:
    offer_forecast(world.agent("a"))
    offer_booking(world.agent("b"))
    caller = world.agent("caller", cost_policy=CostPolicy(no_agreement_seconds=100))
    for _ in range(2):
        with pytest.raises(NotPossible, match="mem://b offers nothing that does this"):
            await caller.agree(EXACT, A, B)
    said = len(world.dialogue())
    world.clock.advance(101)
    with pytest.raises(NotPossible):
        await caller.agree(EXACT, A, B)
    assert len(world.dialogue()) == 2 * said, "asked anew when it has expired, and not before"
    assert (await caller.ask(A, EXACT, EXACT_VALUE)).tier == "routine", "with the other alone it agrees all the same"


async def test_one_that_is_away_ends_it_and_is_asked_again_soon(world: World) -> None:
    offer_forecast(world.agent("a"))
    policy = CostPolicy(try_again_seconds=10, no_agreement_seconds=10_000)
    caller = world.agent("caller", cost_policy=policy)
    with pytest.raises(PeerUnreachable):
        await caller.agree(EXACT, A, B)
    offer_forecast(world.agent("b"))
    with pytest.raises(NotPossible):
        await caller.agree(EXACT, A, B)
    world.clock.advance(11)
    document = await caller.agree(EXACT, A, B)
    assert hashes_at(caller, EXACT, A, B) == [document.hash] * 2


async def test_a_safe_task_takes_no_document_that_may_change_something(world: World) -> None:
    offer_booking(world.agent("a"))
    caller = world.agent("caller")
    safe = Task(BOOK.description, input=BOOK.input.json_schema, output=BOOK.output.json_schema, effect="safe")
    with pytest.raises(NotPossible):
        await caller.agree(safe, A)


@pytest.mark.parametrize("number", [0, MAX_PARTIES + 1])
async def test_parties_are_bounded(world: World, number: int) -> None:
    with pytest.raises(UsageError):
        await world.agent("caller").agree(EXACT, *(f"mem://{at}" for at in range(number)))
    assert world.dialogue() == []
