"""Peers that never come to an agreement: ended by the caps, remembered for a while, and answered all the same."""

import asyncio
import json

import pytest

from negotiator import Agent, CostPolicy, NegotiatorError, NotPossible, Outcome, Task
from negotiator.clock import Deadline
from negotiator.jsonvalue import JsonObject
from negotiator.ledger import Account
from negotiator.negotiation import Selected, result_digest
from negotiator.talk import Talk, document_of_task
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest
from protocol_docs import ProtocolDocument, draft_document
from tests.negotiator.engine_world import (
    EXACT,
    FORECAST,
    OTHER,
    OTHER_OUTPUT,
    OTHER_VALUE,
    SERVER,
    TEXT,
    WORDS_FIRST,
    obj,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio

WORDLESS = Task(
    OTHER.description, input=OTHER.input.json_schema, output=OTHER.output.json_schema, effect="safe",
    name=OTHER.name, natural_language=False,
)  # fmt: skip
ELSE = draft_document(
    name="Tides", description="High and low water", request_schema=obj(harbour=TEXT, moon=TEXT),
    reply_schema=obj(feet=TEXT), effect="safe",
)  # fmt: skip


class StandIn:
    """A server that does its work, and whose part in the dialogue is somebody's who will not agree."""

    def __init__(self, world: World, how: str) -> None:
        self.world, self.how, self.heard = world, how, 0
        self.hanging = 0
        self.waited_for = False
        """Whether nothing else goes on while this peer does not answer, so that it is time that passes."""
        real = world.agent("real", oracle(), cost_policy=WORDS_FIRST)
        self.calls = offer_forecast(real)
        self._serve = real.handler()
        world.memory.serve(SERVER, self)

    async def __call__(self, request: WireRequest) -> WireReply:
        said = _said(request)
        if said is None:
            return await self._serve(request)
        self.heard += 1
        headers = {"agora-engine": "metaparley", "content-type": "application/json"}
        return WireReply(
            headers=headers, body=json.dumps({"status": "success", "body": await self._say(said)}).encode()
        )

    async def _say(self, said: JsonObject) -> JsonObject:
        answer: JsonObject = {"type": "answer", "id": said["id"]}
        match self.how:
            case "always counters":
                objection = {"kind": "unclear", "pointer": "", "detail": f"and what of this? ({self.heard})"}
                return answer | {"decision": "needs_more_information", "objections": [objection]}
            case "always accepts something else":
                return answer | _accepted(said, ELSE)
            case _:
                self.hanging += 1
                self.world.clock.advance(16)  # longer than a request waits for an agreement before it goes on in words
                try:
                    while True:
                        await asyncio.sleep(0 if self.waited_for else 3600)
                        self.world.clock.advance(10)
                finally:
                    self.hanging -= 1


def _said(request: WireRequest) -> JsonObject | None:
    if request.method != "POST":
        return None
    body = json.loads(request.body).get("body")
    try:
        said = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        return None
    return said if isinstance(said, dict) and "type" in said and "id" in said else None


def _accepted(said: JsonObject, document: ProtocolDocument) -> JsonObject:
    selected = {"protocol_hash": document.hash, "tier": "routine", "document": document.text, "valid_seconds": 100}
    digest = result_digest(said["id"], Selected.model_validate(selected))
    return {"decision": "accepted", "selected": selected, "digest": digest}


HOW = ["always counters", "always accepts something else", "never answers"]
POLICY = CostPolicy(
    agreement_in_interpreted=1.0, no_agreement_seconds=2_000, try_again_seconds=2_000, max_negotiation_seconds=120
)


async def ask(stand_in: StandIn, caller: Agent) -> Outcome:
    """One request, and what comes of it beside its path; time passes while the peer is waited for."""
    outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    settled = asyncio.ensure_future(caller.settle())
    while not settled.done():
        if stand_in.hanging:
            stand_in.world.clock.advance(10)
        await asyncio.sleep(0)
    return outcome


@pytest.mark.parametrize("how", HOW)
async def test_a_peer_that_never_agrees_is_left_by_the_caps_and_its_answer_is_read_in_words(
    world: World, how: str
) -> None:
    stand_in = StandIn(world, how)
    caller = world.agent("caller", oracle(), cost_policy=POLICY)
    for _ in range(3):
        outcome = await ask(stand_in, caller)
        assert (outcome.tier, outcome.json) == ("natural_language", OTHER_OUTPUT)
    assert caller.engine.agreements.refused(OTHER.digest, SERVER) is not None
    assert caller.engine.agreements.find(OTHER.digest, SERVER) is None
    assert not caller.engine.openings, "nothing is open any more"
    heard = stand_in.heard
    assert 1 <= heard <= 2 * POLICY.max_rounds, "one negotiation before the first exchange, one beside it"
    for _ in range(3):
        await ask(stand_in, caller)
    assert stand_in.heard == heard, "it is remembered"
    world.clock.advance(POLICY.no_agreement_seconds + 1)
    await ask(stand_in, caller)
    assert stand_in.heard > heard, "and not for ever"
    assert len(stand_in.calls) == 7, "every request was answered, and none was done twice"


@pytest.mark.parametrize("how", HOW)
async def test_where_words_are_not_allowed_it_ends_in_a_typed_refusal(world: World, how: str) -> None:
    stand_in = StandIn(world, how)
    stand_in.waited_for = True
    caller = world.agent("caller", oracle(), cost_policy=POLICY)
    with pytest.raises(NegotiatorError) as ended:
        await caller.ask(SERVER, WORDLESS, OTHER_VALUE)
    assert isinstance(ended.value, NotPossible) or how == "never answers"
    assert stand_in.calls == []


@pytest.mark.parametrize("how", HOW)
async def test_no_joint_agreement_comes_of_it_either(world: World, how: str) -> None:
    stand_in = StandIn(world, how)
    stand_in.waited_for = True
    offer_forecast(world.agent("other"))
    caller = world.agent("caller", cost_policy=POLICY)
    with pytest.raises(NegotiatorError):
        await caller.agree(EXACT, SERVER, "mem://other")
    assert caller.engine.agreements.find(EXACT.digest, "mem://other") is None
    heard = stand_in.heard
    assert heard <= 2 * POLICY.max_rounds
    with pytest.raises(NotPossible):
        await caller.agree(EXACT, SERVER, "mem://other")
    assert stand_in.heard == heard


TOWN_DATE = obj(
    town={"type": "string", "description": "name of the city"},
    date={"type": "string", "format": "date", "description": "the day"},
)
HERE = Task(EXACT.description, input=TOWN_DATE, output=FORECAST, effect="safe", name="here")


@pytest.fixture
def pair(world: World) -> tuple[Agent, Agent]:
    """Two agents, each with a tool in its own words for what the other wants in its own."""
    one, other = world.agent("one", oracle()), world.agent("other", oracle())
    offer_forecast(one)

    @other.tool(effect="safe", inline=True, input=TOWN_DATE, output=FORECAST,
                description="Weather forecast for a city and a day")  # fmt: skip
    def forecast(town: str, date: str) -> JsonObject:
        return {"high": "21", "summary": f"sunny in {town} on {date}"}

    return one, other


def talks(one: Agent, other: Agent) -> tuple[Talk, Talk]:
    until = Deadline.after(100, one.engine.clock)
    return (
        Talk(one.engine, "mem://other", EXACT, Account(), until),
        Talk(other.engine, "mem://one", HERE, Account(), until),
    )


@pytest.mark.parametrize("first", [0, 1])
async def test_two_that_open_at_once_are_both_offered_the_document_whose_hash_comes_first(
    pair: tuple[Agent, Agent], first: int
) -> None:
    both = talks(*pair)
    drafted = [document_of_task(agent.engine, task).hash for agent, task in zip(pair, (EXACT, HERE), strict=True)]
    assert len(set(drafted)) == 2
    with both[0], both[1]:
        await both[first].open([])
        await both[1 - first].open([])
        assert [talk.selected and talk.selected.protocol_hash for talk in both] == [min(drafted)] * 2
        assert [await talk.confirm() is not None for talk in both] == [True, True]


async def test_two_that_open_one_after_the_other_are_each_offered_their_own(pair: tuple[Agent, Agent]) -> None:
    drafted = [document_of_task(agent.engine, task).hash for agent, task in zip(pair, (EXACT, HERE), strict=True)]
    found = []
    for talk in talks(*pair):
        with talk:
            await talk.open([])
            found.append(talk.selected and talk.selected.protocol_hash)
    assert found == drafted


async def test_an_opening_for_something_else_changes_nothing(world: World, pair: tuple[Agent, Agent]) -> None:
    one, other = pair
    tides = Task("High and low water", input=obj(harbour=TEXT), output=obj(feet=TEXT), effect="safe", name="tides")
    until = Deadline.after(100, one.engine.clock)
    with Talk(one.engine, "mem://elsewhere", tides, Account(), until), talks(one, other)[1] as talk:
        await talk.open([])
        assert talk.selected is not None
        assert talk.selected.protocol_hash == document_of_task(other.engine, HERE).hash
