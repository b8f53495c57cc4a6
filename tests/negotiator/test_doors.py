"""One agent behind several doors: each path has its door, with its own limit and words, and one count for all."""

import asyncio

import pytest

from negotiator.admission import UnderWay
from negotiator.clock import Deadline, SystemClock
from negotiator.doors import Doors
from negotiator.errors import Overloaded, PeerHungUp, PeerMisspoke
from negotiator.late import Late
from negotiator.transports import MemoryTransport, asgi_app
from negotiator.wire import ANONYMOUS, StreamTransport, WireReply, WireRequest

pytestmark = pytest.mark.anyio


class Side:
    def __init__(self, name, body_bytes):
        self.name, self.body_bytes = name, body_bytes

    def refuse(self, code):
        return WireReply(status=400, body=f"{self.name} {code}".encode())

    async def __call__(self, wire):
        return WireReply(body=f"{self.name} {wire.path}".encode())


def house():
    return Doors(Side("front", 4), {"/mcp": Late(lambda: Side("side", 8))})


def within(seconds=5.0):
    return Deadline.after(seconds, SystemClock())


@pytest.mark.parametrize(
    ("path", "door"),
    [
        ("/", "front"),
        ("/mcp", "side"),
        ("/mcp?x=1", "side"),
        ("/mcp/x", "side"),
        ("/mcpx", "front"),
        ("/x/mcp", "front"),
        ("/x?/mcp", "front"),
    ],
)
async def test_a_path_leads_to_one_door_which_sees_it_whole(path, door):
    assert (await house()(WireRequest(path=path))).body == f"{door} {path}".encode()


@pytest.mark.parametrize(("path", "limit", "door"), [("/", 4, "front"), ("/mcp", 8, "side")])
async def test_each_door_holds_its_own_limit_and_says_so_in_its_own_words(path, limit, door):
    assert (await served(house(), path, b"x" * limit))[1] == f"{door} {path}".encode()
    assert (await served(house(), path, b"x" * (limit + 1)))[1] == f"{door} too_large".encode()


async def test_a_door_is_made_for_the_first_request_that_comes_to_it_and_once_for_all_its_paths():
    made = []

    def make():
        made.append(Side("side", 8))
        return made[-1]

    side = Late(make)
    doors = Doors(Side("front", 4), {"/a": side, "/b": side})
    await doors(WireRequest(path="/ab"))
    assert made == []
    assert doors.at("/a") is doors.at("/b/c") is made[0]
    assert len(made) == 1


def test_one_count_holds_for_all_doors_and_an_end_makes_room():
    under_way = UnderWay(1)
    here, there = under_way.of(ANONYMOUS, "here", "one"), under_way.of(ANONYMOUS, "there", "other")
    with here, pytest.raises(Overloaded), there:
        pass
    with there:
        pass


# --- replies that come in parts ---


class Parts:
    """A handler whose reply comes in parts, the last of them when `go` is set."""

    def __init__(self):
        self.go, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, _wire):
        return WireReply(headers={"content-type": "text/event-stream"}, chunks=self._parts())

    async def _parts(self):
        try:
            yield b"one "
            await self.go.wait()
            yield b"two"
        finally:
            self.ended.set()


async def served(handler, path="/", body=b"", leaves_after=None):
    """The status line's headers and the body, as an ASGI server sees them go."""
    sent, parted = [], asyncio.Event()
    events = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if events:
            return events.pop(0)
        await parted.wait()
        return {"type": "http.disconnect"}

    async def send(event):
        sent.append(event)
        if len(sent) == leaves_after:
            parted.set()

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "client": None}
    await asyncio.wait_for(asgi_app(handler)(scope, receive, send), 5)
    return dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:]), sent


async def test_asgi_sends_the_parts_as_they_come_without_a_length():
    handler = Parts()
    handler.go.set()
    headers, body, sent = await served(handler)
    assert b"content-length" not in headers
    assert body == b"one two"
    assert [event.get("more_body", False) for event in sent[1:]] == [True, True, False]


async def test_a_client_that_leaves_ends_the_stream():
    handler = Parts()
    _, body, _ = await served(handler, leaves_after=2)
    assert body == b"one "
    assert handler.ended.is_set()


async def test_a_stream_that_fails_is_told_to_the_server():
    async def broken(_wire):
        async def parts():
            yield b"one"
            raise RuntimeError("broken")

        return WireReply(chunks=parts())

    with pytest.raises(RuntimeError, match="broken"):
        await served(broken)


async def test_memory_gives_the_parts_as_they_come_or_all_at_once():
    handler = Parts()
    memory = MemoryTransport({"mem://x": handler})
    assert isinstance(memory, StreamTransport)
    reply = await memory.open("mem://x", WireRequest(), deadline=within())
    assert await anext(reply.chunks) == b"one "
    handler.go.set()
    assert [part async for part in reply.chunks] == [b"two"]
    assert (await memory.send("mem://x", WireRequest(), deadline=within())).body == b"one two"


async def test_a_stream_is_held_to_the_deadline_and_to_the_size_of_a_reply():
    handler = Parts()
    memory = MemoryTransport({"mem://x": handler})
    with pytest.raises(PeerHungUp):
        await memory.send("mem://x", WireRequest(), deadline=within(0.02))
    assert handler.ended.is_set()
    handler.go.set()
    small = MemoryTransport({"mem://x": handler}, reply_bytes=5)
    with pytest.raises(PeerMisspoke):
        await small.send("mem://x", WireRequest(), deadline=within())
