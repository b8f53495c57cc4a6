"""Natural language over MCP: one tool for it, which an agent of ours offers where it reads words, and asks others by."""

import json
from dataclasses import replace

import pytest

from negotiator import Agent, Context, NotPossible, Partial, PeerFailed, Task, ToolFailed
from negotiator.models.scripted import ScriptedModel
from negotiator.transports import MemoryTransport
from negotiator.wire import WireRequest

pytestmark = pytest.mark.anyio

URL = "mem://server/mcp"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something of a city", input=CITY, output=SAID, effect="safe")
ROME = {"city": "Rome"}


async def ask(agent, method, **params):
    name = {"mcp-name": params["name"]} if "name" in params else {}
    headers = {"content-type": "application/json", "mcp-protocol-version": "2026-07-28", "mcp-method": method, **name}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    reply = await agent.handler()(WireRequest(path="/mcp", headers=headers, body=json.dumps(body).encode()))
    return json.loads(reply.body)["result"]


async def tools_of(agent):
    return {each["name"]: each for each in (await ask(agent, "tools/list"))["tools"]}


async def say(agent, text):
    return await ask(agent, "tools/call", name="ask_in_words", arguments={"request": text})


async def echo(text: str, context: Context) -> str:
    context.partial("on the way")
    return f"you said {text!r}"


def server(respond=echo, **options):
    return Agent(state="memory", respond=respond, **options)


def of(agent, model=None):
    handler = agent.handler()

    async def served(wire):
        return await handler(replace(wire, path="/mcp"))

    return Agent(model, state="memory", transport=MemoryTransport({URL: served}))


def repeats():
    """Reads a reply as what it says of Rome."""
    return ScriptedModel(
        {"read_reply": lambda messages, _schema: {"answer": {"said": "Rome" if "Rome" in messages[1].content else ""}}}
    )


async def test_any_client_can_ask_an_agent_that_has_words_alone():
    made = await say(server(), "hello")
    assert (made["isError"], made["structuredContent"]) == (False, {"answer": "you said 'hello'"})
    assert made["_meta"]["io.github.metaparley/tier"] == "natural_language"


@pytest.mark.parametrize(("effect", "safe"), [("safe", True), (None, False)])
async def test_what_may_come_of_words_is_said_with_the_tool(effect, safe):
    agent = server(**({} if effect is None else {"respond_effect": effect}))
    assert (await tools_of(agent))["ask_in_words"]["annotations"]["readOnlyHint"] is safe


async def test_who_reads_no_words_offers_no_tool_for_them():
    silent = Agent(state="memory")

    @silent.tool(effect="safe")
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    assert "ask_in_words" not in await tools_of(silent)
    assert "ask_in_words" not in await tools_of(Agent(ScriptedModel({}), state="memory"))


async def test_one_of_the_agents_own_tools_takes_the_name():
    agent = server()

    @agent.tool(effect="safe", name="ask_in_words")
    def own(request: str) -> str:
        """Its own."""
        return f"own {request}"

    assert (await say(agent, "hello"))["structuredContent"] == "own hello"


@pytest.mark.parametrize("arguments", [{}, {"request": ""}, {"request": 7}, {"request": "a" * 65_537}])
async def test_what_is_no_text_of_a_requests_length_is_refused(arguments):
    made = await ask(server(), "tools/call", name="ask_in_words", arguments=arguments)
    assert made["_meta"]["io.github.metaparley/code"] == "bad_input"


async def test_the_owners_failure_is_a_result_that_says_no_more_than_was_written_for_peers():
    def fails(text: str) -> str:
        raise ToolFailed("secret", for_peer="out of order")

    made = await say(server(fails), "hello")
    assert made["isError"] is True
    assert "out of order" in made["content"][0]["text"]
    assert "secret" not in json.dumps(made)


async def test_an_agent_of_ours_asks_one_of_ours_in_words_over_mcp():
    caller = of(server(), repeats())
    outcome = await caller.ask(URL, SAY, ROME)
    assert (outcome.json, outcome.tier, outcome.peer_tier) == ({"said": "Rome"}, "natural_language", "natural_language")
    told = [event async for event in caller.stream(URL, SAY, ROME)]
    assert Partial(text="on the way") in told


async def test_what_failed_there_is_an_error_here():
    def fails(text: str) -> str:
        raise ToolFailed("secret", for_peer="out of order")

    with pytest.raises(PeerFailed, match="out of order"):
        await of(server(fails), repeats()).ask(URL, SAY, ROME)


async def test_words_are_no_document_and_a_server_without_that_tool_reads_none():
    agent = server()

    @agent.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    def say_it(city: str) -> dict[str, str]:
        return {"said": f"exactly {city}"}

    caller = of(agent)
    assert (await caller.ask(URL, SAY, ROME)).json == {"said": "exactly Rome"}
    record = caller.engine.reach.known(URL)
    assert "ask_in_words" not in {name for name, _ in record.names.values()}
    assert record.words
    silent = of(Agent(state="memory"), repeats())
    with pytest.raises(NotPossible):
        await silent.ask(URL, SAY, ROME)
