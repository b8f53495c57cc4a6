"""What one peer taught is asked of nobody twice; successors are agreed to; what was revoked stops."""

import pytest

from negotiator import Agent, NegotiatorError, Task
from negotiator.clock import Deadline
from negotiator.errors import NotPossible
from negotiator.messages import Request
from negotiator.sharing import taught
from negotiator.testing import World
from protocol_docs import Annex, ProtocolDocument, draft_document, render_document
from tests.negotiator.engine_world import (
    CITY_DAY,
    EAGER,
    EXACT,
    EXACT_VALUE,
    FORECAST,
    OTHER,
    OTHER_OUTPUT,
    OTHER_VALUE,
    obj,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio

FIRST, SECOND = "mem://first", "mem://second"


async def until_routine(world: World, caller: Agent, peer: str) -> None:
    for _ in range(12):
        if (await caller.ask(peer, OTHER, OTHER_VALUE)).tier == "routine":
            return
        await world.settle()
    raise AssertionError("no routine")


async def test_a_second_peer_that_lists_the_same_hash_is_served_at_once_without_a_model(world: World) -> None:
    for name in ("first", "second"):
        offer_forecast(world.agent(name, oracle(), publish="all"))
    model = oracle()
    caller = world.agent("caller", model, cost_policy=EAGER)
    await until_routine(world, caller, FIRST)
    asked = len(model.calls)
    outcome = await caller.ask(SECOND, OTHER, OTHER_VALUE)
    assert (outcome.tier, outcome.json) == ("routine", OTHER_OUTPUT)
    await world.settle()
    assert len(model.calls) == asked


def named(name: str, description: str) -> ProtocolDocument:
    return draft_document(
        name=name, description=description, request_schema=CITY_DAY, reply_schema=FORECAST, effect="safe"
    )


async def test_a_document_in_other_words_with_the_same_schemas_asks_for_no_new_routine(world: World) -> None:
    offer_forecast(world.agent("first", oracle(), publish="all"))
    model = oracle()
    caller = world.agent("caller", model, cost_policy=EAGER)
    await until_routine(world, caller, FIRST)
    engine = caller.engine
    routine = taught(engine, OTHER, named("vremya", "What the sky will do"))
    assert routine is not None
    assert routine.protocol_hash == named("vremya", "What the sky will do").hash
    other_schemas = draft_document(
        name="x", description="x", request_schema=obj(city={"type": "integer"}), reply_schema=FORECAST, effect="safe"
    )
    assert taught(engine, OTHER, other_schemas) is None
    assert taught(engine, EXACT, named("vremya", "What the sky will do")) is None


# --- successors ---


def successor_of(old: ProtocolDocument, name: str = "forecast, second edition") -> ProtocolDocument:
    annex = old.annex
    assert annex is not None
    newer = Annex(
        request_schema=annex.request_schema,
        reply_schema=annex.reply_schema,
        effect=annex.effect,
        supersedes=old.hash,
    )
    return render_document(name=name, description=old.description, body="As before.", annex=newer)


def reply(_body: object) -> dict[str, str]:
    return {"high": "21", "summary": "by the second edition"}


async def test_a_listed_successor_is_taken_over_off_the_path_and_both_serve(world: World) -> None:
    server = world.agent("first", publish="all")
    offer_forecast(server)
    caller = world.agent("caller")
    old = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    assert old.protocol_hash is not None
    document = caller.engine.documents.get(old.protocol_hash)
    assert document is not None
    newer = successor_of(document)
    server.register(newer, reply)
    assert (await caller.ask(FIRST, EXACT, EXACT_VALUE)).protocol_hash == old.protocol_hash
    caller.engine.reach.forget(FIRST)
    assert (await caller.ask(FIRST, EXACT, EXACT_VALUE)).protocol_hash == old.protocol_hash
    await world.settle()
    migrated = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    assert (migrated.tier, migrated.protocol_hash) == ("routine", newer.hash)
    server_side = await caller.engine.reach.exchange(FIRST, _request(document), _deadline(caller))
    assert server_side.status == "success", "who has not migrated is served under the old document"


def _request(document: ProtocolDocument) -> Request:
    return Request(body=EXACT_VALUE, hashes=document.aliases)


def _deadline(agent: Agent) -> Deadline:
    return Deadline.after(9, agent.engine.clock)


async def test_a_successor_that_the_peer_does_not_list_changes_nothing(world: World) -> None:
    offer_forecast(world.agent("first", publish="all"))
    caller = world.agent("caller")
    old = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    document = caller.engine.documents.get(old.protocol_hash or "")
    assert document is not None
    caller.engine.documents.put(successor_of(document))
    caller.engine.reach.forget(FIRST)
    for _ in range(2):
        assert (await caller.ask(FIRST, EXACT, EXACT_VALUE)).protocol_hash == old.protocol_hash
        await world.settle()


async def test_a_successor_that_does_not_fit_leaves_the_old_one_in_service(world: World) -> None:
    server = world.agent("first", publish="all")
    offer_forecast(server)
    caller = world.agent("caller")
    old = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    unfit = render_document(
        name="forecast",
        description="Weather",
        body="-",
        annex=Annex(
            request_schema=obj(code={"type": "integer"}),
            reply_schema=obj(number={"type": "integer"}),
            effect="safe",
            supersedes=old.protocol_hash,
        ),
    )
    server.register(unfit, reply)
    caller.engine.reach.forget(FIRST)
    for _ in range(3):
        assert (await caller.ask(FIRST, EXACT, EXACT_VALUE)).protocol_hash == old.protocol_hash
        await world.settle()


# --- revoked ---


async def test_a_revoked_document_is_used_by_no_sender_from_its_next_request_on(world: World) -> None:
    offer_forecast(world.agent("first", publish="all"))
    caller = world.agent("caller")
    outcome = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    caller.engine.documents.revoke(outcome.protocol_hash or "")
    exchanges = len(world.exchanges())
    with pytest.raises(NotPossible):
        await caller.ask(FIRST, EXACT, EXACT_VALUE)
    assert len(world.exchanges()) == exchanges


async def test_a_revoked_document_is_answered_by_no_receiver_and_listed_no_more(world: World) -> None:
    server = world.agent("first", publish="all")
    calls = offer_forecast(server)
    caller = world.agent("caller")
    outcome = await caller.ask(FIRST, EXACT, EXACT_VALUE)
    server.engine.documents.revoke(outcome.protocol_hash or "")
    with pytest.raises(NegotiatorError):
        await caller.ask(FIRST, EXACT, EXACT_VALUE)
    assert len(calls) == 1, "not even where the text comes with the request"
    caller.engine.reach.forget(FIRST)
    record = await caller.engine.reach.discover(FIRST, _deadline(caller))
    assert outcome.protocol_hash not in record.listing


async def test_a_task_is_no_other_task(world: World) -> None:
    offer_forecast(world.agent("first", publish="all"))
    caller = world.agent("caller")
    await caller.ask(FIRST, EXACT, EXACT_VALUE)
    same_schemas = Task("Past weather", input=CITY_DAY, output=FORECAST, effect="safe")
    assert caller.engine.agreements.documents_for(same_schemas.digest) == []
