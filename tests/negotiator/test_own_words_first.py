"""Own words go before another asker's document that would have to be shadowed here; nothing taught is lost by it."""

from dataclasses import replace
from typing import Any

import pytest

from negotiator import Agent, CostPolicy, NegotiatorError, Outcome, Task
from negotiator.agreements import MAX_SERVED
from negotiator.clock import Deadline
from negotiator.models.scripted import ScriptedModel
from negotiator.proposals import document_of
from negotiator.talk import document_of_task
from negotiator.testing import World
from tests.negotiator.engine_world import (
    EXACT,
    EXACT_VALUE,
    ORACLE,
    OTHER,
    OTHER_OUTPUT,
    OTHER_VALUE,
    SERVER,
    TEXT,
    obj,
    offer_forecast,
    oracle,
    until_routine,
)

pytestmark = pytest.mark.anyio

THIRD = Task(
    "Weather forecast for a city and a day",
    input=obj(city=TEXT, when={"type": "string", "format": "date", "description": "the day"}),
    output=obj(high=TEXT, outlook={"type": "string", "description": "a summary in words"}),
    effect="safe",
    name="forecast_in_short",
)
"""A third vocabulary, which rules map onto the tool's and onto `OTHER`'s, though not exactly."""
THIRD_VALUE = {"city": "Rome", "when": "2026-11-24"}


def own(agent: Agent, task: Task) -> str:
    return document_of_task(agent.engine, task).hash


def of_tool(server: Agent) -> str:
    (tool,) = server.engine.tools.values()
    return document_of(tool).hash


def negotiated(outcome: Outcome) -> bool:
    """Whether the request asked for a document before it was sent."""
    return any(step.what == "negotiate" for step in outcome.trace)


async def learn(world: World, caller: Agent, task: Task, value: Any) -> None:
    assert (await until_routine(world, caller, task, value))[-1] == "routine/routine"


async def test_who_comes_once_gets_a_document_in_its_own_words_and_needs_no_model(world: World) -> None:
    offer_forecast(world.agent("server", oracle()))
    await learn(world, world.agent("first", oracle()), OTHER, OTHER_VALUE)
    model = oracle()
    newcomer = world.agent("newcomer", model)
    record = await newcomer.engine.reach.discover(SERVER, Deadline.after(9, world.clock))
    assert own(newcomer, OTHER) in record.listing, "there is one that would have been taken"
    outcome = await newcomer.ask(SERVER, THIRD, THIRD_VALUE)
    assert (outcome.tier, outcome.protocol_hash) == ("routine", own(newcomer, THIRD))
    assert model.calls == []


async def test_all_who_come_once_in_the_same_words_share_one_document_and_what_the_peer_learned(world: World) -> None:
    model = oracle()
    server = world.agent("server", model, publish="all")
    offer_forecast(server)
    tiers = []
    for number in range(8):
        outcome = await world.agent(f"client{number}", oracle()).ask(SERVER, OTHER, OTHER_VALUE)
        assert outcome.json == OTHER_OUTPUT
        tiers.append((outcome.tier, outcome.peer_tier))
        await world.settle()
    assert tiers[-1] == ("routine", "routine")
    asked = len(model.calls)
    await world.agent("last", oracle()).ask(SERVER, OTHER, OTHER_VALUE)
    await world.settle()
    assert len(model.calls) == asked
    assert len(server.engine.agreements.served(server.engine.toolset)) == 1


async def test_a_listed_document_that_fits_exactly_is_taken_without_a_word(world: World) -> None:
    server = world.agent("server", oracle(), publish="all")
    offer_forecast(server)
    caller = world.agent("caller", oracle())
    outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert (outcome.tier, outcome.protocol_hash) == ("routine", of_tool(server))
    assert not negotiated(outcome)


async def test_a_listed_document_that_another_peer_taught_is_taken_without_a_word(world: World) -> None:
    policy = CostPolicy(documents_of_askers=False)
    first = world.agent("server", oracle(), publish="all", cost_policy=policy)
    offer_forecast(first)
    caller = world.agent("caller", oracle())
    await learn(world, caller, OTHER, OTHER_VALUE)
    offer_forecast(world.agent("second", oracle(), publish="all"))
    outcome = await caller.ask("mem://second", OTHER, OTHER_VALUE)
    assert (outcome.tier, outcome.protocol_hash) == ("routine", of_tool(first))
    assert not negotiated(outcome)


async def test_where_the_peer_agrees_to_no_more_the_listed_one_that_fits_serves_the_same_request(world: World) -> None:
    server = world.agent("server", oracle(), publish="all")
    offer_forecast(server)
    engine = server.engine
    for number in range(MAX_SERVED):
        engine.agreements.serve(engine.toolset, f"sha256:{number:064x}")
    caller = world.agent("caller", oracle())
    outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    assert (outcome.tier, outcome.protocol_hash, outcome.json) == ("structured", of_tool(server), OTHER_OUTPUT)
    assert len(engine.agreements.served(engine.toolset)) == MAX_SERVED
    assert negotiated(outcome)
    again = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    assert (again.protocol_hash, negotiated(again)) == (of_tool(server), False)


async def test_a_peer_that_takes_no_askers_documents_offers_its_own_and_that_is_used(world: World) -> None:
    server = world.agent("server", oracle(), publish="all", cost_policy=CostPolicy(documents_of_askers=False))
    offer_forecast(server)
    caller = world.agent("caller", oracle())
    outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    assert (outcome.tier, outcome.protocol_hash) == ("structured", of_tool(server))


@pytest.mark.parametrize("policy", [CostPolicy(agree_first=False), "agora-paper"], ids=["words first", "counts"])
async def test_who_does_not_agree_first_takes_the_listed_one(world: World, policy: CostPolicy | str) -> None:
    server = world.agent("server", oracle(), publish="all")
    offer_forecast(server)
    caller = world.agent("caller", oracle(), cost_policy=policy)
    for _ in range(5):  # fixed counts look at a listing after some exchanges
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        if outcome.protocol_hash is not None:
            break
    assert outcome.protocol_hash == of_tool(server)


async def test_a_peer_that_was_chosen_among_many_is_asked_in_own_words_too(world: World) -> None:
    offer_forecast(world.agent("server", oracle(), publish="all"))
    model = oracle()
    caller = world.agent("caller", model, peers=[SERVER])
    outcome = await caller.ask(OTHER, OTHER_VALUE)
    assert (outcome.tier, outcome.protocol_hash) == ("routine", own(caller, OTHER))
    assert model.calls == []


class _Dear(ScriptedModel):
    """One call costs more than all strangers together may spend."""

    async def complete(self, messages: Any, **options: Any) -> Any:
        completion = await super().complete(messages, **options)
        return replace(completion, usage=replace(completion.usage, usd=5.0))


async def test_with_the_strangers_budget_spent_no_document_is_taken_that_only_a_model_could_verify(
    world: World,
) -> None:
    server = world.agent("server", _Dear(ORACLE))
    offer_forecast(server)
    talker = world.agent("talker", oracle(), cost_policy=CostPolicy(agree_first=False))
    with pytest.raises(NegotiatorError):
        await talker.ask(SERVER, OTHER, OTHER_VALUE)
    assert not server.engine.within_budget
    caller = world.agent("caller", oracle())
    outcome = await caller.ask(SERVER, THIRD, THIRD_VALUE)
    assert (outcome.peer_tier, outcome.protocol_hash) == ("routine", of_tool(server))
