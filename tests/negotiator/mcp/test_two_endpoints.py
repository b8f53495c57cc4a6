"""Servers of the revision 2024-11-05 over HTTP: a stream that brings the responses, and an address for the messages."""

import asyncio
import json

import pytest

from negotiator import DeadlinePassed, OutcomeUnknown, PeerError, PeerFailed, PeerMisspoke, PeerUnreachable
from negotiator.mcp.sse_link import MAX_READ, STREAM_SECONDS
from negotiator.testing import World
from negotiator.wire import WireReply
from tests.negotiator.mcp.test_mcp_peers import BOOK, FORECAST, RESULTS, TOOLS, structured

pytestmark = pytest.mark.anyio

URL = "mem://stranger/mcp"
HERE = "mem://stranger"


class OldServer:
    """Somebody else's server, with one stream a session; what it does wrong can be said."""

    def __init__(self, *, endpoint="/messages?session={}", refuses=(405, "text/plain", b"Method Not Allowed")):
        self.endpoint, self.refuses = endpoint, refuses
        self.streams: dict[str, asyncio.Queue] = {}
        self.heard: list[tuple[str, str]] = []
        """(session, method) of each message."""
        self.answers: list[dict] = []
        self.before: dict[str, list[bytes]] = {}
        """What is sent on the stream before the response to a method; None ends it."""
        self.status = 202
        self.left = 0
        self.closed = asyncio.Event()

    @property
    def methods(self):
        return [method for _, method in self.heard]

    async def stream(self, wire):
        if wire.method == "POST":
            status, media, body = self.refuses
            return WireReply(status=status, headers={"content-type": media}, body=body)
        name, queue = f"s{len(self.streams)}", asyncio.Queue()
        self.streams[name] = queue

        async def chunks():
            try:
                yield f": hello\r\nevent: endpoint\r\ndata: {self.endpoint.format(name)}\r\n\r\n".encode()
                while (part := await queue.get()) is not None:
                    # In two parts, as a network may have it.
                    yield part[:7]
                    yield part[7:]
            finally:
                self.left += 1
                self.closed.set()

        return WireReply(headers={"content-type": "text/event-stream"}, chunks=chunks())

    async def messages(self, wire):
        if wire.method == "GET" or "session=" not in wire.path:
            return WireReply(status=404)
        queue, message = self.streams[wire.path.partition("session=")[2]], json.loads(wire.body)
        method = message.get("method")
        self.heard.append((wire.path.partition("session=")[2], method or "response"))
        if method is None:
            self.answers.append(message)
        if self.status != 202:
            return WireReply(status=self.status)
        if method is None or "id" not in message:
            return WireReply(status=202, body=b"Accepted")
        for part in self.before.pop(method, []):
            queue.put_nowait(part)
        said = {
            "initialize": {"protocolVersion": "2024-11-05", "capabilities": {"tools": {}}, "serverInfo": {}},
            "tools/list": {"tools": TOOLS},
            "tools/call": structured(RESULTS.get(message["params"].get("name"))),
        }[method]
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": said})
        queue.put_nowait(f"event: message\ndata: {body}\n\n".encode())
        return WireReply(status=202, body=b"Accepted")


def world_of(server, **options):
    world = World()
    world.memory.serve(URL, server.stream)
    world.memory.serve(HERE, server.messages)
    return world, world.agent("caller", **options)


@pytest.mark.parametrize(
    "refuses", [(405, "text/plain", b"Method Not Allowed"), (404, "application/json", b'{"detail": "Not Found"}')]
)
async def test_a_server_with_two_endpoints_is_found_out_and_asked_over_one_stream(refuses):
    server = OldServer(refuses=refuses)
    world, agent = world_of(server)
    async with world:
        for _ in range(3):
            assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}
        assert (await agent.ask(URL, BOOK, {"room": "12"})).tier == "routine"
    assert server.methods[:4] == ["initialize", "notifications/initialized", "tools/list", "tools/call"]
    assert {session for session, _ in server.heard} == {"s0"}
    assert server.left == 1, "the stream is closed with the agent"


async def test_what_a_server_asks_meanwhile_is_answered_and_other_responses_are_passed_over():
    server = OldServer()
    ping = b'data: {"jsonrpc": "2.0", "id": "p", "method": "ping"}\n\n'
    strange = b'data: {"jsonrpc": "2.0", "id": 99, "result": {"content": []}}\n\n'
    told = b'data: {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}\n\n'
    server.before["tools/call"] = [ping, strange, told]
    world, agent = world_of(server)
    async with world:
        assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}
        for _ in range(5):
            await asyncio.sleep(0)
    assert server.answers == [{"jsonrpc": "2.0", "id": "p", "result": {}}]


async def test_a_stream_that_ended_while_nothing_was_asked_is_begun_anew():
    server = OldServer()
    world, agent = world_of(server)
    async with world:
        await agent.ask(URL, FORECAST, {"city": "Rome"})
        server.streams["s0"].put_nowait(None)
        await server.closed.wait()
        assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}
    assert {session for session, method in server.heard if method == "tools/call"} == {"s0", "s1"}


@pytest.mark.parametrize("old", ["time", "bytes"])
async def test_a_stream_is_begun_anew_before_its_transport_would_end_it_in_a_call(old):
    server = OldServer()
    world, agent = world_of(server)
    async with world:
        await agent.ask(URL, FORECAST, {"city": "Rome"})
        if old == "time":
            world.clock.advance(STREAM_SECONDS / 2 + 1)
        else:
            server.before["tools/call"] = [b": " + b"x" * (MAX_READ // 4) + b"\n\n"] * 5
            await agent.ask(URL, FORECAST, {"city": "Rome"})
        assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}
    assert server.heard[-1] == ("s1", "tools/call")


async def test_a_transactional_call_whose_stream_ends_is_not_made_again():
    server = OldServer()
    world, agent = world_of(server)
    async with world:
        await agent.ask(URL, FORECAST, {"city": "Rome"})
        server.before["tools/call"] = [None]
        with pytest.raises(OutcomeUnknown):
            await agent.ask(URL, BOOK, {"room": "12"})
    assert server.methods.count("tools/call") == 2


async def test_a_session_that_the_server_lost_is_begun_again_and_the_call_made_once():
    server = OldServer()
    world, agent = world_of(server)
    async with world:
        await agent.ask(URL, FORECAST, {"city": "Rome"})
        messages = server.messages

        async def lost(wire):
            world.memory.serve(HERE, messages)
            return WireReply(status=404)

        world.memory.serve(HERE, lost)
        assert (await agent.ask(URL, BOOK, {"room": "12"})).json == {"reference": "r-1"}
    assert [each for each in server.heard if each[1] == "tools/call"] == [("s0", "tools/call"), ("s1", "tools/call")]


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://evil.example/messages",
        "mem://stranger:1/m",
        "javascript:1",
        "mem://stranger@evil.example/m",
        "//evil.example/m",
        "mem://strangers/m",
        "/m with a blank",
        "x" * 3_000,
        "",
    ],
)
async def test_messages_go_to_no_address_but_the_server_s_own(endpoint):
    server = OldServer(endpoint=endpoint)
    world, agent = world_of(server)
    async with world:
        with pytest.raises((PeerMisspoke, PeerUnreachable, PeerFailed)):
            await agent.ask(URL, FORECAST, {"city": "Rome"})
    assert server.heard == []


@pytest.mark.parametrize("endpoint", ["mem://stranger/messages?session={}", "messages?session={}", "/m/x?session={}#a"])
async def test_the_address_of_messages_may_be_whole_or_relative(endpoint):
    server = OldServer(endpoint=endpoint)
    world, agent = world_of(server)
    async with world:
        assert (await agent.ask(URL, FORECAST, {"city": "Rome"})).json == {"high": 21}


async def test_a_server_that_is_neither_is_told_as_it_refused():
    server = OldServer()
    world, agent = world_of(server)

    async def nothing(wire):
        return WireReply(status=405, headers={"content-type": "text/plain"})

    world.memory.serve(URL, nothing)
    async with world:
        with pytest.raises(PeerError, match="405"):
            await agent.ask(URL, FORECAST, {"city": "Rome"})


async def test_a_stream_that_says_nothing_ends_with_the_request():
    server = OldServer()
    world, agent = world_of(server)
    stream = server.stream

    async def silent(wire):
        reply = await stream(wire)
        if wire.method == "GET":
            await reply.chunks.aclose()

            async def waits():
                await asyncio.Event().wait()
                yield b""

            return WireReply(headers=reply.headers, chunks=waits())
        return reply

    world.memory.serve(URL, silent)
    async with world:
        with pytest.raises(DeadlinePassed):
            await agent.ask(URL, FORECAST, {"city": "Rome"}, seconds=0.2)
