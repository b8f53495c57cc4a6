"""What happens on the way to an answer, over A2A: told to who follows a task, and heard of agents that tell."""

import asyncio
import json
import threading
from dataclasses import replace

import pytest

from negotiator import Agent, Context, Partial, PeerHungUp, PeerMisspoke, Progress, Task
from negotiator.a2a.on_the_way import MAX_TOLD
from negotiator.dialects.a2a.extension import PROGRESS, URI
from negotiator.events import Result, TierChosen
from negotiator.models.scripted import ScriptedModel
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio

CARD = "/.well-known/agent-card.json"
INTERFACES = [(binding, version) for version in ("1.0", "0.3") for binding in ("JSONRPC", "HTTP+JSON")]
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something.", input={"type": "object"}, output=SAID, effect="safe")


def reading():
    return ScriptedModel({"read_reply": {"answer": {"said": "Rome it is"}}})


async def speak(text: str, context: Context):
    context.progress("thinking", 0.5)
    context.progress("still thinking")
    for part in ("Rome ", "it ", "is"):
        yield part


def only(agent, binding, version):
    """The agent, whose card names one interface alone."""
    handler = agent.handler()

    async def served(wire):
        reply = await handler(wire)
        if wire.path != CARD:
            return reply
        shown = json.loads(reply.body)
        kept = [
            each
            for each in shown["supportedInterfaces"]
            if (each["protocolBinding"], each["protocolVersion"]) == (binding, version)
        ]
        assert len(kept) == 1
        return replace(reply, body=json.dumps(shown | {"supportedInterfaces": kept, "url": None}).encode())

    return served


def of_the_peer(events):
    """What came from the other side: this side's own steps have a colon."""
    return [
        each for each in events if isinstance(each, Partial) or (isinstance(each, Progress) and ":" not in each.message)
    ]


@pytest.mark.parametrize(("binding", "version"), INTERFACES)
async def test_agents_of_ours_hear_each_other_in_every_version_and_binding(binding, version):
    server = Agent(state="memory", respond=speak)
    transport = MemoryTransport({"http://agent": only(server, binding, version)})
    async with Agent(reading(), state="memory", transport=transport) as caller:
        told = [event async for event in caller.stream("http://agent" + CARD, SAY, {})]
    assert [each.tier for each in told if isinstance(each, TierChosen)] == ["natural_language"]
    assert of_the_peer(told) == [
        # In words nothing is said of our extension, and so of fractions.
        Progress(message="thinking"),
        Progress(message="still thinking"),
        Partial(text="Rome "),
        Partial(text="it "),
        Partial(text="is"),
    ]
    assert isinstance(told[-1], Result)
    assert told[-1].outcome.json == {"said": "Rome it is"}


@pytest.mark.parametrize(("binding", "version"), INTERFACES)
async def test_a_skill_tells_how_far_it_is_without_a_model(binding, version):
    server = Agent(state="memory", publish="all")

    @server.tool(effect="safe", input={"type": "object"}, output=SAID, description=SAY.description)
    def say(context: Context, **_rest: str) -> dict[str, str]:
        context.progress("half", 0.5)
        return {"said": "so"}

    transport = MemoryTransport({"http://agent": only(server, binding, version)})
    async with Agent(state="memory", transport=transport) as caller:
        told = [event async for event in caller.stream("http://agent" + CARD, SAY, {})]
        assert of_the_peer(told) == [Progress(message="half", fraction=0.5)]
        assert (told[-1].outcome.json, told[-1].outcome.usage.calls) == ({"said": "so"}, 0)
        assert (await caller.ask("http://agent" + CARD, SAY, {})).json == {"said": "so"}


def sent(agent, text="Say it", version="1.0", **headers):
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": text}]}
    if version == "0.3":
        message = {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": text}]}
    method = "SendStreamingMessage" if version == "1.0" else "message/stream"
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"message": message}}
    headers = {"content-type": "application/json", **({"a2a-version": version} if version == "1.0" else {}), **headers}
    return agent.handler()(WireRequest(path="/a2a", headers=headers, body=json.dumps(body).encode()))


async def test_pieces_of_an_answer_are_pieces_of_one_artifact_and_the_whole_is_the_last(events):
    told = [event async for event in events(await sent(Agent(state="memory", respond=speak)))]
    assert [next(iter(each)) for each in told] == [
        "task",
        *["statusUpdate"] * 2,
        *["artifactUpdate"] * 4,
        "statusUpdate",
    ]
    updates = [each["artifactUpdate"] for each in told[3:7]]
    assert [each["artifact"]["parts"][0]["text"] for each in updates] == ["Rome ", "it ", "is", "Rome it is"]
    assert len({each["artifact"]["artifactId"] for each in updates}) == 1
    assert [(each.get("append", False), each["lastChunk"]) for each in updates] == [
        (False, False),
        (True, False),
        (True, False),
        (False, True),
    ]
    assert told[1]["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "thinking"
    assert "message" not in told[-1]["statusUpdate"]["status"]


async def test_0_3_says_of_each_whether_it_goes_on_and_ends_with_the_last_alone(events):
    told = [event async for event in events(await sent(Agent(state="memory", respond=speak), version="0.3"))]
    assert [(each.get("append"), each.get("lastChunk")) for each in told if each["kind"] == "artifact-update"] == [
        (False, False),
        (True, False),
        (True, False),
        (False, True),
    ]
    assert [each["final"] for each in told if each["kind"] == "status-update"] == [False, False, True]


async def test_a_fraction_is_told_to_who_knows_our_extension(events):
    told = [e async for e in events(await sent(Agent(state="memory", respond=speak), **{"a2a-extensions": URI}))]
    assert told[1]["statusUpdate"]["status"]["message"]["metadata"] == {PROGRESS: 0.5}


async def test_what_a_thread_tells_is_heard_while_it_is_at_work(events):
    release = threading.Event()

    def answers(text: str, context: Context) -> str:
        context.progress("begun")
        assert release.wait(5)
        return "done"

    following = events(await sent(Agent(state="memory", respond=answers)))
    await anext(following)
    begun = await asyncio.wait_for(anext(following), 5)
    assert begun["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "begun"
    release.set()
    assert [next(iter(each)) async for each in following] == ["artifactUpdate", "statusUpdate"]


async def test_of_more_than_is_told_the_whole_comes_all_the_same(events):
    async def answers(text: str):
        for _ in range(MAX_TOLD + 100):
            yield "ab"

    told = [event async for event in events(await sent(Agent(state="memory", respond=answers)))]
    assert len(told) == MAX_TOLD + 3
    assert told[-2]["artifactUpdate"]["artifact"]["parts"][0]["text"] == "ab" * (MAX_TOLD + 100)


# --- agents that are not ours ---


def status(state, text=None, **more):
    said = {"state": f"TASK_STATE_{state}"}
    if text is not None:
        said["message"] = {"messageId": "s", "role": "ROLE_AGENT", "parts": [{"text": text}], **more}
    return {"statusUpdate": {"taskId": "t", "contextId": "c", "status": said}}


def piece(text, name="a", **more):
    return {"artifactUpdate": {"taskId": "t", "artifact": {"artifactId": name, "parts": [{"text": text}]}, **more}}


TASK = {"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_SUBMITTED"}}}


async def streamed(*told, streams=True, after=None):
    """The events that are heard of a foreign agent that tells these, and how it was asked."""
    interface = {"url": "http://peer/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    shown = {"name": "peer", "skills": [], "supportedInterfaces": [interface], "capabilities": {"streaming": streams}}
    methods = []

    async def peer(wire):
        if wire.path == CARD:
            return WireReply(body=json.dumps(shown).encode())
        if not wire.body:
            return WireReply(status=404)
        methods.append(json.loads(wire.body)["method"])
        if methods[-1] != "SendStreamingMessage":
            return WireReply(body=json.dumps({"jsonrpc": "2.0", "id": "1", "result": after}).encode())

        async def chunks():
            for each in told:
                said = (
                    each
                    if isinstance(each, bytes)
                    else json.dumps({"jsonrpc": "2.0", "id": "1", "result": each}).encode()
                )
                yield b"data: " + said + b"\r\n\r\n"

        return WireReply(headers={"content-type": "text/event-stream; charset=utf-8"}, chunks=chunks())

    model = ScriptedModel({"read_reply": lambda messages, _schema: {"answer": {"said": messages[1].content}}})
    async with Agent(model, state="memory", transport=MemoryTransport({"http://peer": peer})) as caller:
        events = [event async for event in caller.stream("http://peer" + CARD, SAY, {}, seconds=5)]
    return events, methods


async def test_an_answer_in_pieces_is_heard_piece_by_piece_and_put_together():
    events, methods = await streamed(
        TASK,
        status("WORKING", "reading", metadata={PROGRESS: 0.25}),
        status("WORKING", "more", metadata={PROGRESS: "a lot"}),
        piece("one "),
        piece("two ", append=True),
        piece("three", append=True, lastChunk=True),
        piece("whole", "b", lastChunk=True),
        status("COMPLETED"),
        b"never read",
    )
    assert of_the_peer(events) == [
        Progress(message="reading", fraction=0.25),
        Progress(message="more"),
        Partial(text="one "),
        Partial(text="two "),
        Partial(text="three"),
    ]
    assert methods == ["SendStreamingMessage"]
    said = events[-1].outcome.json["said"]
    assert all(each in said for each in ("one ", "two ", "three", "whole"))


async def test_a_message_in_place_of_a_task_is_the_answer():
    message = {"messageId": "r", "role": "ROLE_AGENT", "parts": [{"text": "at once"}]}
    events, _ = await streamed({"message": message})
    assert "at once" in events[-1].outcome.json["said"]


async def test_where_the_stream_ends_early_the_task_is_looked_at():
    done = {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
    done |= {"artifacts": [{"artifactId": "a", "parts": [{"text": "done meanwhile"}]}]}
    events, methods = await streamed(TASK, status("WORKING", "begun"), after=done)
    assert methods == ["SendStreamingMessage", "GetTask"]
    assert "done meanwhile" in events[-1].outcome.json["said"]


async def test_an_agent_that_does_not_stream_is_asked_as_ever():
    message = {"messageId": "r", "role": "ROLE_AGENT", "parts": [{"text": "at once"}]}
    _, methods = await streamed(streams=False, after={"message": message})
    assert methods == ["SendMessage"]


@pytest.mark.parametrize("told", [b"{", b'{"jsonrpc": "2.0", "result": {"artifactUpdate": {}}}', b"[1]"])
async def test_events_that_cannot_be_read_are_a_peer_that_misspeaks(told):
    with pytest.raises(PeerMisspoke):
        await streamed(TASK, told)


async def test_a_stream_that_tells_nothing_is_a_peer_that_hung_up():
    with pytest.raises(PeerHungUp):
        await streamed()
