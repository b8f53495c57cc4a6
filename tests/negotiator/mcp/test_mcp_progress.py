"""What happens on the way to a result, over MCP: told to clients that ask for it, and heard of servers that do."""

import asyncio
import itertools
import json
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, Context, Partial, Progress, Task
from negotiator.context import current_context
from negotiator.dialects.mcp import progress
from negotiator.events import TierChosen
from negotiator.mcp.stdio import StdioDoor
from negotiator.tracing import tracing
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio

URL = "mem://server/mcp"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
BOTH = "application/json, text/event-stream"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
COUNTED = {"type": "object", "properties": {"counted": {"type": "integer"}}, "required": ["counted"]}
COUNT = Task("Count what there is", input=NOTHING, output=COUNTED, effect="safe", name="count")


@pytest.fixture
def agent():
    agent = Agent(state="memory")

    @agent.tool(effect="safe", input=NOTHING, output=COUNTED, description=COUNT.description)
    async def count(context: Context) -> dict[str, int]:
        for fraction in (0.0, 0.5, 0.25, None, 1.0):
            context.progress(f"at {fraction}", fraction)
            await asyncio.sleep(0)
        context.partial("four")
        return {"counted": 4}

    @agent.tool(effect="safe")
    def in_a_thread(context: Context) -> int:
        """Count in a thread."""
        context.progress("begun", 0.5)
        assert release.wait(5)
        return 1

    @agent.tool(effect="safe")
    def trace(context: Context) -> str:
        """Say which trace it is of."""
        return context.trace.get("traceparent", "none")

    release = agent.release = threading.Event()
    return agent


def message(version, token=7, name="count", **meta):
    said = {**(META if version == "2026-07-28" else {}), **({} if token is None else {"progressToken": token}), **meta}
    params = {"name": name, "arguments": {}, **({"_meta": said} if said else {})}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


async def post(agent, said, version, accept=BOTH):
    headers = {"content-type": "application/json", "accept": accept, "mcp-protocol-version": version}
    if version == "2026-07-28":
        headers |= {"mcp-method": "tools/call", "mcp-name": said["params"]["name"]}
    return await agent.handler()(WireRequest(path="/mcp", headers=headers, body=json.dumps(said).encode()))


async def events(reply):
    assert reply.headers["content-type"] == "text/event-stream"
    return [json.loads(part.partition(b"data: ")[2]) async for part in reply.chunks]


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
@pytest.mark.parametrize("token", [7, "a-token"])
async def test_a_client_that_asks_hears_how_far_it_is_and_then_the_result(agent, version, token):
    told = await events(await post(agent, message(version, token), version))
    *on_the_way, last = told
    assert [each["method"] for each in on_the_way] == ["notifications/progress"] * 6
    params = [each["params"] for each in on_the_way]
    assert {each["progressToken"] for each in params} == {token}
    assert [each["message"] for each in params] == ["at 0.0", "at 0.5", "at 0.25", "at None", "at 1.0", "four"]
    assert [each.get("total") for each in params] == [100, 100, 100, None, 100, None]
    numbers = [each["progress"] for each in params]
    assert numbers == sorted(set(numbers))
    assert (numbers[0], numbers[1], numbers[4]) == (0, 50, 100)
    assert (last["id"], json.loads(last["result"]["content"][0]["text"])) == (1, {"counted": 4})


@pytest.mark.parametrize(
    ("said", "accept"),
    [
        (message("2026-07-28", None), BOTH),
        (message("2026-07-28"), "application/json"),
        (message("2026-07-28", True), BOTH),
        (message("2026-07-28", ""), BOTH),
        (message("2026-07-28", name="trace"), BOTH),
    ],
    ids=["no token", "json alone", "no text or integer", "an empty token", "nothing happens"],
)
async def test_who_does_not_ask_or_reads_no_events_gets_json(agent, said, accept):
    reply = await post(agent, said, "2026-07-28", accept)
    assert (reply.headers["content-type"], reply.chunks) == ("application/json", None)
    assert json.loads(reply.body)["result"]["isError"] is False


async def test_what_a_thread_tells_is_heard_while_it_is_at_work(agent):
    reply = await post(agent, message("2026-07-28", name="in_a_thread"), "2026-07-28")
    first = await asyncio.wait_for(anext(reply.chunks), 5)
    assert json.loads(first.partition(b"data: ")[2])["params"]["progress"] == 50
    agent.release.set()
    assert json.loads([part async for part in reply.chunks][-1].partition(b"data: ")[2])["id"] == 1


async def test_over_pipes_it_comes_before_the_result(agent):
    heard = []

    async def write(data):
        heard.append(json.loads(data))

    async def lines():
        yield json.dumps(message("2026-07-28")).encode() + b"\n"

    await StdioDoor(agent.mcp_server(), write).run(lines())
    assert [each.get("method") for each in heard] == ["notifications/progress"] * 6 + [None]


def at_mcp(agent):
    handler = agent.handler()

    async def served(wire):
        return await handler(replace(wire, path="/mcp"))

    return served


def heard_of(events):
    return [each for each in events if isinstance(each, Progress | Partial) and ":" not in getattr(each, "message", "")]


async def test_a_stream_over_mcp_is_heard_between_agents_of_ours(agent):
    caller = Agent(state="memory", transport=MemoryTransport({URL: at_mcp(agent)}))
    told = [event async for event in caller.stream(URL, COUNT, {})]
    assert [each.tier for each in told if isinstance(each, TierChosen)] == ["routine"]
    assert [each for each in heard_of(told) if getattr(each, "fraction", None) is not None] == [
        Progress(message="at 0.0", fraction=0.0),
        Progress(message="at 0.5", fraction=0.5),
        *[each for each in heard_of(told) if isinstance(each, Progress) and each.message == "at 0.25"],
        Progress(message="at 1.0", fraction=1.0),
    ]
    assert Partial(text="four") in told
    assert (await caller.ask(URL, COUNT, {})).json == {"counted": 4}


SERVED = """
from negotiator import Agent, Context
agent = Agent(state="memory")
@agent.tool(effect="safe", input={nothing!r}, output={counted!r}, description="Count what there is")
def count(context: Context):
    context.progress("begun", 0.5)
    return {{"counted": 4}}
"""


async def test_a_server_in_a_process_is_heard_too(tmp_path):
    (tmp_path / "served.py").write_text(SERVED.format(nothing=NOTHING, counted=COUNTED))
    start = f"import os; os.chdir({str(tmp_path)!r}); from negotiator.cli.command import main; "
    async with Agent(state="memory") as caller:
        peer = caller.know_command("counts", [sys.executable, "-c", start + "main(['mcp', 'served:agent'])"])
        told = [event async for event in caller.stream(peer, COUNT, {})]
        assert Progress(message="begun", fraction=0.5) in told


async def test_who_listens_to_nothing_sends_no_token():
    asked = await _asked(Agent.ask)
    assert "progressToken" not in asked["params"].get("_meta", {})


async def test_notifications_of_others_or_of_no_form_are_passed_by():
    async def streamed(caller, *arguments):
        return [event async for event in caller.stream(*arguments)]

    events = []
    asked = await _asked(streamed, events)
    assert asked["params"]["_meta"]["progressToken"] is not None
    assert [each for each in heard_of(events) if isinstance(each, Progress)] == [
        Progress(message="3 of 4", fraction=0.75),
        Progress(message="5", fraction=None),
    ]


async def _asked(ask, events=None):
    """What a server of the modern era is asked in a call, on whose way it tells all sorts of things."""
    calls = []

    async def server(wire):
        said = json.loads(wire.body)
        match said["method"]:
            case "server/discover":
                made = {"supportedVersions": ["2026-07-28"]}
            case "tools/list":
                entry = {"name": "count", "description": COUNT.description, "inputSchema": NOTHING}
                made = {"tools": [{**entry, "outputSchema": COUNTED, "annotations": {"readOnlyHint": True}}]}
            case _:
                calls.append(said)
                made = {"content": [], "structuredContent": {"counted": 4}}
        token = said["params"].get("_meta", {}).get("progressToken")
        told = [
            {"progressToken": token, "progress": 3, "total": 4},
            {"progressToken": "another", "progress": 4, "total": 4},
            {"progressToken": token, "progress": "many"},
            {"progressToken": token, "progress": None},
            {"progressToken": [], "progress": 1},
            {"progressToken": token, "progress": 5, "total": 4, "message": 9} | {"total": "x"},
        ]
        lines = [{"jsonrpc": "2.0", "method": "notifications/progress", "params": each} for each in told]
        lines = [] if token is None else lines
        lines.append({"jsonrpc": "2.0", "id": said["id"], "result": made})

        async def chunks():
            for each in lines:
                yield b"data: " + json.dumps(each).encode() + b"\n\n"

        return WireReply(headers={"content-type": "text/event-stream"}, chunks=chunks())

    caller = Agent(state="memory", transport=MemoryTransport({URL: server}))
    made = await ask(caller, URL, COUNT, {})
    if events is not None:
        events.extend(made)
    return calls[-1]


@given(st.lists(st.none() | st.floats(allow_nan=False) | st.just("part")))
def test_numbers_grow_whatever_is_told(told):
    steps = progress.Steps("t")
    made = [steps.write(Partial(text="x") if each == "part" else Progress(message="m", fraction=each)) for each in told]
    numbers = [each["params"]["progress"] for each in made]
    assert all(one < other for one, other in itertools.pairwise(numbers))
    for each, said in zip(told, made, strict=True):
        token, event = progress.read(said)
        assert token == "t"
        assert isinstance(event, Partial if each == "part" else Progress)


# --- trace context ---


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_the_trace_of_a_message_is_its_tools(agent, version):
    async def trace_of(**meta):
        reply = await post(agent, message(version, None, "trace", **meta), version)
        return json.loads(reply.body)["result"]["content"][0]["text"]

    assert await trace_of(traceparent=PARENT) == PARENT
    assert await trace_of(traceparent="nonsense") == "none"
    assert await trace_of(traceparent=[PARENT]) == "none"
    assert current_context() is None


async def test_a_call_says_which_trace_it_is_of():
    with tracing({"traceparent": PARENT, "tracestate": "a=b"}):
        asked = await _asked(Agent.ask)
    assert {name: asked["params"]["_meta"][name] for name in ("traceparent", "tracestate")} == {
        "traceparent": PARENT,
        "tracestate": "a=b",
    }
