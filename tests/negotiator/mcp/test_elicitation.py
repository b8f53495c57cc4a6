"""What a server asks in the middle of a call, in both eras, and streams that end before their response."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import PeerFailed, PeerHungUp, PeerMisspoke
from negotiator.clock import Deadline
from negotiator.dialects.json_rpc import RpcError
from negotiator.dialects.sse import EventReader
from negotiator.errors import UsageError
from negotiator.mcp.elicitation import Question, answered
from negotiator.mcp.http_link import HttpLink
from negotiator.testing import VirtualClock
from negotiator.wire import WireReply
from tests.negotiator.mcp.test_mcp_peers import CITY, FORECAST, TOOLS, URL, Stranger, structured, world_of

pytestmark = pytest.mark.anyio

FORM = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "Ann"},
        "age": {"type": "integer", "default": 30},
        "sure": {"type": "boolean"},
    },
    "required": ["sure"],
}
ASKED = {"message": "Are you sure?", "requestedSchema": FORM}


async def test_an_answer_is_completed_with_the_defaults_and_held_to_the_form():
    seen = []

    async def person(question):
        seen.append(question)
        return {"sure": True, "age": 31}

    assert await answered(person, URL, ASKED) == {
        "action": "accept",
        "content": {"name": "Ann", "age": 31, "sure": True},
    }
    assert seen == [Question(peer=URL, message="Are you sure?", schema=FORM)]

    async def wrong(_question):
        return {"sure": "perhaps"}

    with pytest.raises(UsageError, match="/sure"):
        await answered(wrong, URL, ASKED)

    async def nobody(_question):
        return None

    assert await answered(nobody, URL, ASKED) == {"action": "decline"}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"message": "x"},
        {"message": 1, "requestedSchema": FORM},
        {"message": "x", "requestedSchema": {"type": "object"}},
        {"message": "x", "requestedSchema": {"type": 5, "properties": {}}},
        {**ASKED, "mode": "url", "url": "https://evil.example"},
        {"message": "x", "requestedSchema": {"properties": {str(number): {} for number in range(65)}}},
    ],
)
async def test_a_question_that_is_no_form_is_put_to_nobody(params):
    async def person(_question):
        raise AssertionError("nobody is asked")

    with pytest.raises(RpcError):
        await answered(person, URL, params)


def rounds(params):
    """A tool of the modern era that asks twice, the second time without a state."""
    given, state = params.get("inputResponses"), params.get("requestState")
    if given is None:
        return {"resultType": "input_required", "requestState": "s", "inputRequests": {"a": question()}}
    if "a" in given:
        assert (state, given["a"]["content"]["sure"]) == ("s", True)
        return {"resultType": "input_required", "inputRequests": {"b": question()}}
    assert state is None
    assert set(given) == {"b"}
    return structured({"high": 21})


def question():
    return {"method": "elicitation/create", "params": ASKED}


async def sure(_question):
    return {"sure": True}


async def test_a_server_of_the_modern_era_is_answered_round_by_round():
    stranger = Stranger(calls={"forecast": rounds})
    world, agent = world_of(stranger, elicit=sure)
    async with world:
        assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}
    said = [params["_meta"]["io.modelcontextprotocol/clientCapabilities"] for _, params, _ in stranger.heard]
    assert all(each["elicitation"] == {"form": {}} for each in said)


async def test_where_nobody_answers_nothing_is_offered_and_the_call_fails():
    stranger = Stranger(calls={"forecast": rounds})
    world, agent = world_of(stranger)
    async with world:
        with pytest.raises(PeerFailed):
            await agent.ask(URL, FORECAST, {"city": "Rome"})
    said = [params["_meta"]["io.modelcontextprotocol/clientCapabilities"] for _, params, _ in stranger.heard]
    assert not [each for each in said if "elicitation" in each]


# --- the handshake era: streams ---


class Streaming:
    """A server's end of streamable HTTP, message by message; a `StreamTransport`."""

    def __init__(self, *streams, listening=()):
        self.streams, self.listening = list(streams), list(listening)
        self.posted, self.got = [], []
        self.answered = asyncio.Event()

    async def send(self, base_url, request, *, deadline):
        raise AssertionError("what comes in parts is read in parts")

    async def aclose(self):
        pass

    async def open(self, base_url, request, *, deadline):
        if request.method == "GET":
            self.got.append(dict(request.headers))
            if not self.listening:
                return WireReply(status=405)
            return self._events(self.listening.pop(0))
        message = json.loads(request.body)
        self.posted.append(message)
        if message.get("method") == "initialize":
            said = {"jsonrpc": "2.0", "id": message["id"], "result": {"protocolVersion": "2025-11-25"}}
            headers = {"content-type": "application/json", "mcp-session-id": "s"}
            return WireReply(headers=headers, body=json.dumps(said).encode())
        if "method" not in message:
            self.answered.set()
            return WireReply(status=202)
        return self._events(self.streams.pop(0))

    def _events(self, parts):
        async def chunks():
            for part in parts:
                if part is self.answered:
                    await self.answered.wait()
                else:
                    yield part

        return WireReply(headers={"content-type": "text/event-stream"}, chunks=chunks())


def event(message, *lines):
    return "".join(f"{line}\n" for line in lines).encode() + b"data: " + json.dumps(message).encode() + b"\n\n"


RESULT = {"jsonrpc": "2.0", "id": 2, "result": {"content": []}}
ASKING = {"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": ASKED}


async def called(transport, elicit=None, seconds=30, clock=None):
    clock = clock or VirtualClock()
    link = HttpLink(transport, URL, elicit)
    deadline = Deadline.after(seconds, clock)
    await link.call("initialize", {}, deadline, {})
    return await link.call("tools/call", {"name": "forecast"}, deadline, {})


async def test_a_question_beside_the_calls_own_stream_is_heard_and_answered():
    transport = Streaming()
    transport.streams = [[transport.answered, event(RESULT)]]
    transport.listening = [[event(ASKING)]]
    assert await called(transport, sure) == {"content": []}
    said = next(message for message in transport.posted if "method" not in message)
    assert said["id"] == "q"
    assert said["result"]["content"] == {"name": "Ann", "age": 30, "sure": True}
    assert transport.got[0]["mcp-session-id"] == "s"


async def test_without_anybody_to_answer_no_stream_is_listened_to_and_a_question_is_refused():
    transport = Streaming([event(ASKING), event(RESULT)])
    assert await called(transport) == {"content": []}
    assert transport.got == []
    said = next(message for message in transport.posted if "method" not in message)
    assert said["error"]["code"] == -32601


async def test_an_owners_function_that_fails_is_an_answer_too():
    async def fails(_question):
        raise ValueError("the terminal is gone")

    transport = Streaming([event(ASKING), event(RESULT)])
    assert await called(transport, fails) == {"content": []}
    said = next(message for message in transport.posted if "method" not in message)
    assert said["result"] == {"action": "cancel"}


async def test_a_stream_that_ends_early_is_gone_on_with_after_the_time_the_server_named():
    transport = Streaming([b"id: e1\nretry: 2500\ndata:\n\n"])
    transport.listening = [[b"id: e2\ndata:\n\n"], [event(RESULT, "id: e3")]]
    clock = VirtualClock()
    with clock.driving():
        calling = asyncio.ensure_future(called(transport, clock=clock))
        await settled(lambda: len(transport.posted) == 2)
        clock.advance(2.4)
        await settled(lambda: True)
        assert transport.got == []
        clock.advance(0.2)
        await settled(lambda: len(transport.got) == 1)
        clock.advance(2.6)
        assert await calling == {"content": []}
    assert [headers["last-event-id"] for headers in transport.got] == ["e1", "e2"]
    assert len([message for message in transport.posted if message.get("method") == "tools/call"]) == 1


async def settled(seen):
    """Let everything run that can, until something is seen."""
    for _ in range(200):
        await asyncio.sleep(0)
        if seen():
            break
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "stream",
    [b"data:\n\n", b"id: e\x011\ndata:\n\n", b"id: e1\ndata:\n\nid:\ndata:\n\n", b"id: e1\nretry: 60000\ndata:\n\n"],
)
async def test_a_stream_that_cannot_be_gone_on_with_in_time_ends_the_call(stream):
    transport = Streaming([stream])
    with pytest.raises(PeerHungUp):
        await called(transport)
    assert transport.got == []


def test_a_line_that_comes_byte_by_byte_is_put_together_once():
    # Were it read anew with each byte, this would take minutes.
    reader, size = EventReader(1_000_000), 600_000
    for _ in range(size):
        assert reader.feed(b"x") == []
    assert reader.feed(b"\ndata: y\n\n") == [b"y"]
    for _ in range(1_000):
        reader.feed(b"z" * 1_000)
    with pytest.raises(PeerMisspoke):
        reader.feed(b"z")


@given(st.lists(st.binary(max_size=30), max_size=6))
def test_events_are_the_same_however_their_bytes_are_cut(parts):
    whole, cut = EventReader(1000), EventReader(1000)
    together = b"".join(parts) + b"\n\n"
    expected = whole.feed(together)
    got = [data for part in [*parts, b"\n\n"] for data in cut.feed(part)]
    assert (got, cut.last_id, cut.retry) == (expected, whole.last_id, whole.retry)


def test_the_fixtures_of_the_peers_are_the_ones_that_are_meant():
    assert TOOLS[0]["inputSchema"] == CITY
