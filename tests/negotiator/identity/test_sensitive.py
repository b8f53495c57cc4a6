"""What is marked sensitive is shown to no model, ours on either side, in any tier."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from negotiator import CostPolicy, Task
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.errors import NegotiatorError
from negotiator.identity import EVERYBODY
from negotiator.messages import Request
from negotiator.models.scripted import ScriptedModel
from negotiator.schemas import SENSITIVE, Schema
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from protocol_docs import ProtocolDocument, catalog
from tests.negotiator.engine_world import SERVER

pytestmark = pytest.mark.anyio

SECRET = "4111-1111-secret"


class Payment(BaseModel):
    card: Annotated[str, SENSITIVE]
    amount: int


class Charge(BaseModel):
    pan: Annotated[str, SENSITIVE]
    cents: int


class Paid(BaseModel):
    reference: str


PAY = Task("Charge a card", input=Payment, output=Paid, effect="safe", name="pay")
CHARGE = Task("Take money from a card", input=Charge, output=Paid, effect="safe", name="charge")


def a_model() -> ScriptedModel:
    """It answers whatever it is asked, and remembers what that was."""
    return ScriptedModel(
        {
            "choose_tool": {"tool": "pay"},
            "read_request": {"answer": {"card": SECRET, "amount": 5}},
            "read_reply": {"answer": {"reference": "r"}},
            "pair_fields": {},
            "write_reply": {"answer": "r"},
        }
    )


def shown(*models: ScriptedModel) -> str:
    return repr([call for model in models for call in model.calls])


def offer(world: World, model: ScriptedModel, **options: Any) -> tuple[Any, list[str]]:
    agent = world.agent("server", model, authority=EVERYBODY, **options)
    calls: list[str] = []

    @agent.tool(effect="safe")
    def pay(card: Annotated[str, SENSITIVE], amount: int) -> Paid:
        """Charge a card."""
        calls.append(card)
        return Paid(reference=f"r-{amount}")

    return agent, calls


def test_a_mark_is_kept_in_the_schema_and_found_anywhere_in_it() -> None:
    assert Schema.of(Payment).sensitive
    assert Schema.of(list[Payment]).sensitive
    assert not Schema.of(Paid).sensitive
    assert PAY.sensitive
    assert Schema.of(Payment).digest != Schema.of({**Schema.of(Payment).json_schema, "properties": {}}).digest


async def test_in_words_a_tool_with_a_sensitive_field_is_not_there(world: World) -> None:
    model = a_model()
    agent, calls = offer(world, model)
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal="did:web:a.example")
    with pytest.raises(NegotiatorError):
        await answer(agent.engine, Request(body=f"Charge 5 to {SECRET}"), context)
    assert calls == []
    assert SECRET not in shown(model)


async def test_under_a_document_without_schemas_no_model_reads_it_either(world: World) -> None:
    model = a_model()
    agent, calls = offer(world, model)
    document = ProtocolDocument.from_text(
        "---\nname: pay\ndescription: Charge a card\nmultiround: false\n---\nSay the card and the amount."
    )
    agent.engine.documents.put(document)
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal="did:web:a.example")
    with pytest.raises(NegotiatorError):
        await answer(agent.engine, Request(body=f"card {SECRET}, amount 5", hashes=(document.hash,)), context)
    assert calls == []
    assert SECRET not in shown(model)


async def test_named_outright_the_tool_runs_and_no_model_is_asked(world: World) -> None:
    model = a_model()
    agent, calls = offer(world, model)
    body: Any = {"task": "pay", "input": {"card": SECRET, "amount": 5}}
    context = ExchangeContext(dialect="test", deadline=Deadline.after(60, world.clock), principal="did:web:a.example")
    reply = await answer(agent.engine, Request(body=body, hashes=catalog.direct_json().aliases), context)
    assert reply.status == "success"
    assert calls == [SECRET]
    assert model.calls == []


async def test_a_task_in_the_peers_words_is_served_by_routines_alone(world: World) -> None:
    ours, theirs = a_model(), a_model()
    _, calls = offer(world, theirs, publish="all")
    caller = world.agent("caller", ours)
    outcome = await caller.ask(SERVER, PAY, {"card": SECRET, "amount": 5})
    assert (outcome.output.reference, outcome.tier, outcome.peer_tier) == ("r-5", "routine", "routine")
    assert calls == [SECRET]
    assert SECRET not in shown(ours, theirs)


async def test_a_task_that_would_need_a_model_is_not_possible_however_often_it_is_asked(world: World) -> None:
    ours, theirs = a_model(), a_model()
    _, calls = offer(world, theirs, cost_policy=CostPolicy(agreement_in_interpreted=1.0))
    caller = world.agent("caller", ours, cost_policy=CostPolicy(agreement_in_interpreted=1.0))
    for _ in range(3):
        with pytest.raises(NegotiatorError):
            await caller.ask(SERVER, CHARGE, {"pan": SECRET, "cents": 500})
        await world.settle()
    assert calls == []
    assert ours.calls == []
    assert SECRET not in shown(theirs)
