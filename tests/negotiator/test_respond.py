"""The receiver's part in a negotiation: every message gets the dialogue's own answer or its own error."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, CostPolicy
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import Overloaded
from negotiator.interpret import body_value
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Request
from negotiator.models.scripted import ScriptedModel
from negotiator.negotiation import Selected, result_digest
from negotiator.open_dialogues import DIALOGUE_SECONDS, MAX_OPEN
from negotiator.proposals import document_of
from negotiator.schemas import Schema
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from protocol_docs import ProtocolDocument, catalog, draft_document
from tests.negotiator.engine_world import (
    BOOKED,
    BOOKING,
    CITY_DAY,
    FORECAST,
    TEXT,
    obj,
    offer_booking,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio


async def say(agent: Agent, body: JsonValue, principal: str = "anonymous") -> JsonObject:
    document = catalog.negotiation_dialogue()
    deadline = Deadline.after(60, agent.engine.clock)
    context = ExchangeContext(dialect="agora-2025", deadline=deadline, principal=principal)
    reply = await answer(agent.engine, Request(body=body, hashes=document.aliases), context)
    assert reply.status == "success"
    assert isinstance(reply.body, str) == isinstance(body, str), "text is answered in text"
    made: JsonObject = body_value(reply.body)
    annex = document.annex
    assert annex is not None
    assert "error" in made or Schema.of(annex.reply_schema).is_valid(made), "the document's own schema holds"
    if "error" in made:
        assert made["error"]["code"] in {each.code for each in annex.errors}
    return made


def opening(identifier: str = "n-1", **intent: Any) -> JsonObject:
    return {
        "type": "opening",
        "id": identifier,
        "intent": {
            "name": "forecast",
            "description": "Weather forecast for a city and a day",
            "effect": "safe",
            "input_schema": CITY_DAY,
            "output_schema": FORECAST,
            **intent,
        },
    }


def agreement(answered: JsonObject, **changes: str) -> JsonObject:
    selected = Selected.model_validate(answered["selected"])
    digest = result_digest(answered["id"], selected)
    return {
        "type": "agreement",
        "id": answered["id"],
        "protocol_hash": selected.protocol_hash,
        "digest": digest,
    } | changes


async def test_an_opening_is_answered_with_a_document_of_the_tool_and_agreed_by_its_digest(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening())
    document = document_of(server.engine.tools["forecast"])
    assert answered["decision"] == "accepted"
    assert answered["selected"]["protocol_hash"] == document.hash
    assert ProtocolDocument.from_text(answered["selected"]["document"]).hash == document.hash
    assert (await say(server, agreement(answered)))["type"] == "agreed"
    assert document.hash in server._listing()


async def test_a_message_that_comes_again_unchanged_gets_the_same_reply(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening())
    assert await say(server, opening()) == answered
    agreed = await say(server, agreement(answered))
    assert await say(server, agreement(answered)) == agreed


@pytest.mark.parametrize(
    "body",
    [None, 3, "no json", "[]", {}, {"type": "opening"}, {"type": "song", "id": "n"}, {"type": "answer", "id": "n"}],
)
async def test_what_is_no_message_is_called_that_and_the_negotiation_stands(world: World, body: JsonValue) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening())
    assert (await say(server, body))["error"]["code"] == "bad_message"
    assert (await say(server, agreement(answered)))["type"] == "agreed"


async def test_messages_out_of_turn_are_bad_messages(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening())
    await say(server, agreement(answered))
    late = await say(server, {"type": "counter", "id": "n-1", "round": 1})
    assert late["error"]["code"] == "bad_message"


async def test_an_agreement_on_something_else_is_a_digest_mismatch_and_changes_nothing(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening())
    for wrong in ({"digest": "sha256:" + "0" * 64}, {"protocol_hash": "sha256:" + "0" * 64}):
        assert (await say(server, agreement(answered, **wrong)))["error"]["code"] == "digest_mismatch"
    assert (await say(server, agreement(answered)))["type"] == "agreed"


async def test_negotiations_are_known_by_opener_and_id_and_forgotten_in_time(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    answered = await say(server, opening(), principal="one")
    assert (await say(server, agreement(answered), principal="other"))["error"]["code"] == "unknown_negotiation"
    assert (await say(server, {"type": "counter", "id": "n-2", "round": 1}))["error"]["code"] == "unknown_negotiation"
    world.clock.advance(DIALOGUE_SECONDS + 1)
    assert (await say(server, agreement(answered), principal="one"))["error"]["code"] == "unknown_negotiation"


async def test_rounds_are_capped_and_two_counters_always_allowed(world: World) -> None:
    server = world.agent("server", oracle(), cost_policy=CostPolicy(max_rounds=2))
    offer_forecast(server)
    await say(server, opening())
    offered = document_of(server.engine.tools["forecast"]).text
    for number in range(1, 20):
        reply = await say(server, {"type": "counter", "id": "n-1", "round": number, "document": offered})
        if "error" in reply:
            break
        assert reply["decision"] == "accepted"
    assert reply["error"]["code"] == "too_many_rounds"
    assert number > 2
    again = await say(server, {"type": "counter", "id": "n-1", "round": 1})
    assert again["error"]["code"] == "unknown_negotiation"


async def test_a_counter_with_a_document_that_a_tool_serves_is_taken(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    own = draft_document(
        name="mine", description="Mine", request_schema=CITY_DAY, reply_schema=FORECAST, effect="safe"
    )  # fmt: skip
    await say(server, opening())
    reply = await say(server, {"type": "counter", "id": "n-1", "round": 1, "document": own.text})
    assert (reply["decision"], reply["selected"]["protocol_hash"]) == ("accepted", own.hash)
    assert (await say(server, agreement(reply)))["type"] == "agreed"


async def test_a_counter_that_no_tool_serves_is_rejected_and_one_without_text_too(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    unlike = draft_document(
        name="x", description="x", request_schema=obj(wings=TEXT), reply_schema=obj(seat=TEXT), effect="safe"
    )  # fmt: skip
    for number, document in enumerate((unlike.text, None)):
        await say(server, opening(f"c-{number}"))
        reply = await say(server, {"type": "counter", "id": f"c-{number}", "round": 1, "document": document})
        assert reply["decision"] == "rejected"
    await say(server, opening("c-9"))
    empty = await say(server, {"type": "counter", "id": "c-9", "round": 1, "document": ""})
    assert empty["error"]["code"] == "bad_message"


async def test_a_safe_intent_is_offered_no_transactional_tool(world: World) -> None:
    server = world.agent("server", ScriptedModel({}))
    offer_booking(server)
    wanted = {
        "name": "book",
        "description": "Book a room for a night",
        "input_schema": BOOKING,
        "output_schema": BOOKED,
    }
    reply = await say(server, opening(**wanted, effect="safe"))
    assert reply["decision"] == "rejected"
    assert [each["kind"] for each in reply["objections"]] == ["effect_mismatch"]
    document = document_of(server.engine.tools["book"])
    server.engine.documents.put(document)
    candidates = {**opening("n-2", **wanted, effect="safe"), "candidates": [document.hash]}
    assert (await say(server, candidates))["decision"] == "rejected"
    assert (await say(server, opening("n-3", **wanted, effect="transactional")))["decision"] == "accepted"


async def test_a_candidate_that_is_served_is_taken_without_its_text(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    document = document_of(server.engine.tools["forecast"])
    server.engine.documents.put(document)
    reply = await say(server, {**opening(), "candidates": ["sha256:" + "0" * 64, document.hash]})
    assert (reply["selected"]["protocol_hash"], reply["selected"]["document"]) == (document.hash, None)


async def test_open_negotiations_are_bounded(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    row = "{}"
    for number in range(MAX_OPEN):
        server.engine.text.put(f"dialogue/x/{number}", row)
    assert (await say(server, opening()))["decision"] == "accepted", "rows that are none are swept away"
    assert len(list(server.engine.text.keys("dialogue/"))) == 1
    for number in range(3):
        await say(server, opening(f"o-{number}"))
    world.clock.advance(DIALOGUE_SECONDS + 1)
    await say(server, opening("last"))
    assert len(list(server.engine.text.keys("dialogue/"))) <= MAX_OPEN


async def test_strangers_have_half_of_the_negotiations_that_are_open(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    for number in range(MAX_OPEN // 2):
        await say(server, opening(f"o-{number}"))
    with pytest.raises(Overloaded):
        await say(server, opening("more"))
    assert (await say(server, opening("n"), "did:web:a.example"))["decision"] == "accepted"
    # One that was opened goes on.
    answered = await say(server, opening("o-0"))
    assert (await say(server, agreement(answered)))["type"] == "agreed"


async def test_what_an_opener_is_offered_is_kept_once_however_often_it_opens(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    long = {**opening(), "intent": {**opening()["intent"], "description": "Weather forecast " + "x" * 3_900}}
    answered = [await say(server, {**long, "id": f"o-{number}"}) for number in range(20)]
    text = server.engine.text
    rows = [text.get(key) or "" for key in text.keys("dialogue/")]
    assert len(rows) == 20
    assert max(map(len, rows)) < 2_000 < min(len(each["selected"]["document"]) for each in answered)
    # It comes again whole, and is made anew where its text has gone.
    assert await say(server, {**long, "id": "o-3"}) == answered[3]
    server.engine.documents.remove(answered[3]["selected"]["protocol_hash"])
    assert await say(server, {**long, "id": "o-3"}) == answered[3]


async def test_an_opener_that_could_not_take_the_document_is_told_so(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    size = len(canonical(await say(server, opening())))
    for most, decision in ((size + 10, "accepted"), (size - 10, "rejected")):
        asked = {**opening(f"n-{most}"), "capabilities": {"max_body_bytes": most}}
        answered = await say(server, asked)
        assert answered["decision"] == decision
    assert "max_body_bytes" in answered["reason"]


@pytest.mark.parametrize(("most", "hurried"), [(None, False), (3600, False), (0.5, True)])
async def test_who_is_in_a_hurry_is_offered_what_needs_no_model(
    world: World, most: float | None, hurried: bool
) -> None:
    server = world.agent("server", oracle())
    offer_forecast(server)
    # Its words say what is meant; no rule says how its fields are filled.
    theirs = {"input_schema": obj(zxq=TEXT, wvk=TEXT), "output_schema": obj(pld=TEXT, nrt=TEXT)}
    asked = {**opening(**theirs), "constraints": {"max_seconds": most}}
    answered = await say(server, asked)
    ours = document_of(server.engine.tools["forecast"]).hash
    assert answered["decision"] == "accepted"
    assert (answered["selected"]["protocol_hash"] == ours) == hurried


async def test_an_agent_without_tools_offers_nothing(world: World) -> None:
    assert (await say(world.agent("server"), opening()))["decision"] == "rejected"


@pytest.mark.parametrize(
    "schema", [{"$ref": "#/type", "type": "object"}, {"properties": {"a": {"format": []}}}, {"type": 3}]
)
async def test_a_strangers_schema_that_is_none_is_passed_over(world: World, schema: JsonObject) -> None:
    server = world.agent("server")
    offer_forecast(server)
    assert (await say(server, opening(input_schema=schema, output_schema=schema)))["decision"] == "accepted"


async def test_strangers_cannot_spend_the_model_on_openings_beyond_their_budget(world: World) -> None:
    model = oracle()
    server = world.agent("server", model, cost_policy=CostPolicy(max_strangers_usd_per_day=0.0))
    offer_forecast(server)
    offer_booking(server)
    await say(server, opening(name="?", description="?", input_schema=None, output_schema=None))
    assert model.calls == []


async def test_in_words_an_offer_holds_the_document_as_the_peer_will_hash_it(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    context = ExchangeContext(dialect="agora-0.2.0", deadline=Deadline.after(60, world.clock))
    request = Request(kind="negotiation", body="I want the weather forecast for a city and a day", multiround=True)
    reply = await answer(server.engine, request, context)
    stripped = ProtocolDocument.from_text(document_of(server.engine.tools["forecast"]).text.strip())
    assert str(reply.body).endswith("\n\n" + stripped.text)
    assert stripped.hash in server._listing()
    nothing = await answer(world.agent("empty").engine, request, context)
    assert "nothing" in str(nothing.body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(
    changes=st.lists(
        st.dictionaries(st.sampled_from(["type", "id", "round", "document", "digest", "intent"]), json_values),
        max_size=4,
    )
)
def test_whatever_a_stranger_says_gets_a_reply_under_the_document(changes: list[JsonObject]) -> None:
    import anyio

    async def run() -> None:
        async with World() as world:
            server = world.agent("server")
            offer_forecast(server)
            for changed in changes:
                await say(server, {**opening(), **changed})
            assert (await say(server, opening("good")))["decision"] == "accepted"

    anyio.run(run)
