"""Agents that were written with a2a-sdk alone and know nothing of us, asked by an agent of ours over real HTTP."""

import re

import pytest

from negotiator import Agent, InputRequired, Result, Task
from negotiator.models.scripted import ScriptedModel

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

LARGE = 9_007_199_254_740_993
DOUBLE = Task(
    "Double a number.",
    input={"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    output={"type": "object", "properties": {"twice": {"type": "integer"}}, "required": ["twice"]},
    effect="safe",
)
ANY = Task("Double whatever number you like.", input={"type": "object"}, output=DOUBLE.output, effect="safe")


def reads(messages, _schema):
    return {"answer": {"twice": int(re.findall(r"Twice that is (-?\d+)", messages[1].content)[-1])}}


@pytest.mark.parametrize("number", [21, LARGE])
async def test_a_peer_that_reads_words_alone_is_asked_in_words(a2a_peer, number) -> None:
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory") as agent:
        outcome = await agent.ask(f"{a2a_peer.url}/words", DOUBLE, {"number": number})
        assert (outcome.json, outcome.tier, outcome.usage.calls) == ({"twice": 2 * number}, "natural_language", 1)
        assert outcome.peer_tier == "unknown"


async def test_a_peer_of_0_3_over_http_json_alone_is_asked_too(a2a_0_3) -> None:
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory") as agent:
        outcome = await agent.ask(f"{a2a_0_3.url}/http", DOUBLE, {"number": 21})
        assert (outcome.json, outcome.tier) == ({"twice": 42}, "natural_language")


async def test_what_a_peer_asks_back_reaches_the_caller(a2a_peer) -> None:
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory") as agent:
        with pytest.raises(InputRequired, match="Which number"):
            await agent.ask(f"{a2a_peer.url}/asks", ANY, {})


@pytest.mark.parametrize("number", [21, LARGE])
async def test_a_peer_whose_card_tells_its_schemas_is_a_routine_without_any_model(a2a_1_3, number) -> None:
    async with Agent(state="memory") as agent:
        for _ in range(3):
            outcome = await agent.ask(f"{a2a_1_3.url}/typed", DOUBLE, {"number": number})
            assert (outcome.json, outcome.tier, outcome.usage.calls) == ({"twice": 2 * number}, "routine", 0)


@pytest.mark.parametrize("number", [21, LARGE])
async def test_a_peer_written_in_another_language_is_asked_both_ways(a2a_js_server, number) -> None:
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory") as agent:
        typed = await agent.ask(f"{a2a_js_server}/typed", DOUBLE, {"number": number})
        assert (typed.json, typed.tier, typed.usage.calls) == ({"twice": 2 * number}, "routine", 0)
        words = await agent.ask(f"{a2a_js_server}/words", DOUBLE, {"number": number})
        assert (words.json, words.tier) == ({"twice": 2 * number}, "natural_language")


async def test_a_safe_task_is_sent_once_where_it_is_answered_once(a2a_1_3) -> None:
    before = a2a_1_3.tell("count")["result"]["typed"]
    async with Agent(state="memory") as agent:
        await agent.ask(f"{a2a_1_3.url}/typed", DOUBLE, {"number": 3})
    assert a2a_1_3.tell("count")["result"]["typed"] == before + 1


async def test_a_peer_that_streams_is_listened_to_and_answers_the_same(a2a_peer, a2a_js_server) -> None:
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory") as agent:
        for url in (a2a_peer.url, a2a_js_server):
            told = [event async for event in agent.stream(f"{url}/words", DOUBLE, {"number": 21})]
            assert isinstance(told[-1], Result)
            assert told[-1].outcome.json == {"twice": 42}
