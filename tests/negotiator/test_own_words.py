"""An owner's own natural-language tier: who reaches it, what it is given, what comes of it, what is said of it."""

import asyncio
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from negotiator import Agent, CostPolicy, DeadlinePassed, NotPossible, PeerFailed, PeerRejected, Task, Tool, UsageError
from negotiator.clock import Deadline
from negotiator.context import Context, current_context
from negotiator.identity import Authority
from negotiator.identity.callers import current_principal
from negotiator.jsonvalue import JsonValue
from negotiator.models.scripted import ScriptedModel
from negotiator.own_words import WORDS_ALONE
from negotiator.testing import World
from negotiator.wire import WireRequest

pytestmark = pytest.mark.anyio
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something of a city", input=CITY, output=SAID, effect="safe")
ROME = {"city": "Rome"}


def reading() -> ScriptedModel:
    """Repeats what the reply said, which stands quoted in the prompt."""
    return ScriptedModel({"read_reply": {"answer": {"said": "read"}}})


async def words(world: World, respond: Any, text: str = "hello", **options: Any) -> dict[str, Any]:
    """What a server with this `respond` answers to plain words over the wire."""
    world.agent("server", respond=respond, **options)
    wire = WireRequest(headers={"content-type": "application/json"}, body=orjson.dumps({"body": text}))
    reply = await world.memory.send("mem://server", wire, deadline=Deadline.after(5, world.clock))
    answer: dict[str, Any] = orjson.loads(reply.body)
    return answer


async def whole(text: str) -> str:
    return f"async {text}"


async def with_context(text: str, context: Context) -> str:
    return f"{text} for {context.principal} as {current_principal()}"


async def parts(text: str):
    for part in ("in ", "parts"):
        yield part


class Said(BaseModel):
    said: str


class Run:
    def __init__(self, output: object) -> None:
        self.output = output


class Message:
    def __init__(self, content: object) -> None:
        self.content = content


@pytest.mark.parametrize(
    ("respond", "body"),
    [
        (whole, "async hello"),
        (lambda text: f"sync {text}", "sync hello"),
        (with_context, "hello for anonymous as anonymous"),
        (parts, "in parts"),
        (lambda text: Said(said=text), '{"said":"hello"}'),
        (lambda text: Run("an output"), "an output"),
        (lambda text: Run(Said(said="typed")), '{"said":"typed"}'),
        (lambda text: {"messages": [Message("first"), Message("last")]}, "last"),
        (
            lambda text: Message([{"type": "text", "text": "of "}, {"type": "image"}, {"type": "text", "text": "two"}]),
            "of two",
        ),
    ],
)
async def test_what_is_answered_in_any_form_is_the_reply(world: World, respond: Any, body: JsonValue) -> None:
    assert (await words(world, respond))["body"] == body


@pytest.mark.parametrize("respond", [lambda text: None, lambda text: 1 / 0, lambda text: object()])
async def test_what_fails_is_a_failure_that_tells_nothing_of_the_inside(world: World, respond: Any) -> None:
    reply = await words(world, respond)
    assert reply["status"] == "failure"
    assert "ZeroDivision" not in str(reply)


@pytest.mark.parametrize("given", [3, "text", object()])
def test_what_can_answer_nothing_is_refused_at_once(given: object) -> None:
    with pytest.raises(UsageError, match="respond"):
        Agent(respond=given, state="memory")


async def test_a_conversation_is_handed_over_as_history_or_in_front_of_the_text(world: World) -> None:
    from negotiator.answer import answer
    from negotiator.messages import Request
    from negotiator.serving import ExchangeContext

    history = (("user", "first"), ("assistant", "second"))
    context = ExchangeContext(dialect="agora", deadline=Deadline.after(5, world.clock), history=history)

    async def both(text: str, context: Context) -> list[Any]:
        return [text, *context.history]

    knowing = world.agent("knowing", respond=both)
    plain = world.agent("plain", respond=lambda text: text)
    assert (await answer(knowing.engine, Request(body="third"), context)).body == ["third", *map(list, history)]
    assert (
        await answer(plain.engine, Request(body="third"), context)
    ).body == "user: first\n\nassistant: second\n\nthird"


async def test_without_tools_it_stays_in_natural_language_and_says_so(world: World) -> None:
    world.agent("server", respond=whole)
    caller = world.agent("caller", reading())
    for _ in range(4):
        outcome = await caller.ask("mem://server", SAY, ROME)
        await caller.settle()
        assert (outcome.tier, outcome.peer_tier) == ("natural_language", "natural_language")
    assert WORDS_ALONE in (caller.engine.agreements.refused(SAY.digest, "mem://server") or "")
    silent = Task(SAY.description, input=CITY, output=SAID, effect="safe", natural_language=False)
    with pytest.raises(NotPossible, match=WORDS_ALONE):
        await caller.ask("mem://server", silent, ROME)


async def test_with_tools_it_answers_words_and_the_tools_answer_documents(world: World) -> None:
    heard: list[str] = []

    def respond(text: str) -> str:
        heard.append(text)
        return "Rome, they say"

    server = world.agent("server", respond=respond)

    @server.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    def say(city: str) -> dict[str, str]:
        return {"said": f"{city}!"}

    caller = world.agent("caller", reading(), cost_policy=CostPolicy(agree_first=False))
    first = await caller.ask("mem://server", SAY, ROME)
    assert (first.tier, len(heard)) == ("natural_language", 1)
    for _ in range(3):
        await caller.settle()
        last = await caller.ask("mem://server", SAY, ROME)
    so_far = len(heard)
    assert (last.tier, last.peer_tier, last.output) == ("routine", "routine", {"said": "Rome!"})
    await caller.ask("mem://server", SAY, ROME)
    assert len(heard) == so_far


def tool(effect: str) -> Tool:
    return Tool.of(lambda city: {"said": city}, name="say", input=CITY, output=SAID, effect=effect)


@pytest.mark.parametrize(
    ("options", "reached"),
    [
        ({}, True),
        ({"respond_effect": "safe"}, True),
        ({"respond_effect": "transactional"}, False),
        ({"tool": "safe"}, True),
        ({"tool": "transactional"}, False),
        ({"tool": "transactional", "respond_effect": "safe"}, True),
    ],
)
async def test_strangers_reach_it_unless_they_may_not_reach_what_was_handed_over(
    world: World, options: dict[str, Any], reached: bool
) -> None:
    handed = [tool(options.pop("tool"))] if "tool" in options else []
    agent = Agent.from_tools(handed, respond=whole, state="memory", authority=Authority(), **options)
    world.memory.serve("mem://open", agent.handler())
    caller = world.agent("caller", reading())
    if reached:
        assert (await caller.ask("mem://open", SAY, ROME)).peer_tier in ("natural_language", "routine")
    else:
        with pytest.raises((PeerFailed, PeerRejected)):
            await caller.ask("mem://open", SAY, ROME)
    await agent.aclose()


@pytest.mark.parametrize(("effect", "times"), [(None, 1), ("transactional", 1), ("safe", 2)])
async def test_a_request_that_comes_again_runs_it_once_unless_it_is_safe(world: World, effect: Any, times: int) -> None:
    heard: list[str] = []

    def respond(text: str) -> str:
        heard.append(text)
        return f"answer {len(heard)}"

    world.agent("server", respond=respond, respond_effect=effect)
    caller = world.agent("caller", reading())
    for _ in range(2):
        await caller.ask("mem://server", SAY, ROME, idempotency_key="the-same")
    assert len(heard) == times


async def test_a_caller_who_has_no_time_left_cancels_it_and_what_runs_in_a_thread_can_see_it(world: World) -> None:
    ended: list[object] = []
    seen: list[Context] = []
    begun = asyncio.Event()

    async def slow(text: str, context: Context) -> str:
        seen.append(context)
        assert current_context() is context
        assert 0 < context.seconds_left() <= 5
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "never"

    world.agent("server", respond=slow)
    asking = asyncio.ensure_future(world.agent("caller", reading()).ask("mem://server", SAY, ROME, seconds=5))
    await begun.wait()
    world.clock.advance(6)
    with pytest.raises(DeadlinePassed):
        await asking
    assert ended == ["cancelled"]
    assert seen[0].cancelled
    assert current_context() is None


@pytest.mark.parametrize(
    ("version", "method", "message"),
    [
        ("1.0", "SendMessage", {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}),
        (
            "0.3",
            "message/send",
            {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "hello"}]},
        ),
    ],
)
async def test_who_speaks_a2a_in_words_is_answered_too(
    world: World, version: str, method: str, message: dict[str, Any]
) -> None:
    world.agent("server", respond=with_context)
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}}
    headers = {"content-type": "application/json", "a2a-version": version}
    wire = WireRequest(path="/a2a", headers=headers, body=orjson.dumps(body))
    reply = await world.memory.send("mem://server", wire, deadline=Deadline.after(5, world.clock))
    task = orjson.loads(reply.body)["result"]
    (artifact,) = task.get("task", task)["artifacts"]
    assert artifact["parts"][0]["text"] == "hello for anonymous as anonymous"


async def test_the_card_of_one_without_tools_says_so(world: World) -> None:
    world.agent("server", respond=whole)
    wire = WireRequest(method="GET", path="/.well-known/agent-card.json")
    reply = await world.memory.send("mem://server", wire, deadline=Deadline.after(5, world.clock))
    assert WORDS_ALONE in orjson.loads(reply.body)["description"]
