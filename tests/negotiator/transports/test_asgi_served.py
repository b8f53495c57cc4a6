"""The ASGI application behind a real server, and clients that behave badly on real sockets."""

import asyncio
import itertools
import json
import socket
from contextlib import asynccontextmanager

import pytest
import uvicorn

from negotiator.clock import Deadline, SystemClock
from negotiator.conversations import Conversations
from negotiator.messages import Reply
from negotiator.serving import AgoraDoor, DoorLimits
from negotiator.transports import AsgiApp, asgi_app
from negotiator.transports.http_client import HTTPTransport
from negotiator.wire import WireReply, WireRequest
from protocol_docs import MemoryTextStore

pytestmark = pytest.mark.anyio


class Agent:
    def __init__(self) -> None:
        self.heard: list[object] = []

    async def __call__(self, request, context):
        self.heard.append(request.body)
        return Reply(status="success", body="hello")


@pytest.fixture
def agent():
    return Agent()


def door_of(agent):
    numbers = itertools.count()
    conversations = Conversations(MemoryTextStore(), SystemClock(), lambda: f"c-{next(numbers)}")
    return AgoraDoor(
        agent, listing=dict, conversations=conversations, clock=SystemClock(), limits=DoorLimits(body_bytes=1000)
    )


@asynccontextmanager
async def served(app, **options):
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1, **options))
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, 10)
        listener.close()


def post(body=b'{"body": "x"}', path="/", length=None, **headers):
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json"]
    if length != "none":
        lines.append(f"content-length: {len(body) if length is None else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def talk(port, data, *, until_closed=False):
    """Send bytes; give the status line's number and the body of what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        length = int(
            next(line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length"))
        )
        body = await asyncio.wait_for(reader.readexactly(length), 10)
        if until_closed:
            assert await asyncio.wait_for(reader.read(), 10) == b""
        return int(head.split()[1]), body
    finally:
        writer.close()


async def still_answers(port, path="/"):
    return (await talk(port, post(path=path)))[0] == 200


async def test_an_announced_body_over_the_limit_gets_413_before_a_byte_of_it_is_sent(agent):
    async with served(asgi_app(door_of(agent))) as port:
        status, body = await talk(port, post(b"", length=10**12), until_closed=True)
        assert (status, json.loads(body)["code"]) == (413, "too_large")
        assert agent.heard == []
        assert await still_answers(port)


async def test_an_unannounced_body_over_the_limit_gets_413_before_its_end(agent):
    async with served(asgi_app(door_of(agent))) as port:
        chunk = b"3e9\r\n" + b"x" * 1001 + b"\r\n"
        status, _ = await talk(port, post(chunk, length="none", transfer_encoding="chunked"), until_closed=True)
        assert status == 413
        assert agent.heard == []
        assert await still_answers(port)


async def test_a_client_that_hangs_up_half_way_is_not_handled(agent):
    async with served(asgi_app(door_of(agent))) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b'{"body": "half', length=100))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert await still_answers(port)
        assert agent.heard == ["x"]


async def test_a_client_that_hangs_up_before_the_reply_is_handled_once(agent):
    heard, release = asyncio.Event(), asyncio.Event()
    done = []

    async def slow(request, context):
        heard.set()
        await release.wait()
        done.append(request.body)
        return Reply(status="success", body="too late")

    door = door_of(slow)
    async with served(asgi_app(door)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post())
        await asyncio.wait_for(heard.wait(), 5)
        writer.close()
        await writer.wait_closed()
        release.set()
        assert await still_answers(port)
        assert done == ["x", "x"]


async def test_a_body_that_drips_is_given_up(agent):
    async with served(AsgiApp(door_of(agent), body_seconds=0.05)) as port:
        status, _ = await talk(port, post(b"{", length=100), until_closed=True)
        assert status == 408
        assert agent.heard == []
        assert await still_answers(port)


@pytest.mark.parametrize("lifespan", ["on", "off"])
async def test_it_serves_with_lifespan_events_and_without(agent, lifespan):
    async with served(asgi_app(door_of(agent)), lifespan=lifespan) as port:
        assert await still_answers(port)


async def test_it_serves_mounted_in_a_larger_application(agent):
    inner = asgi_app(door_of(agent))

    async def larger(scope, receive, send):
        assert scope["type"] == "http"
        await inner({**scope, "root_path": "/agents/weather"}, receive, send)

    async with served(larger, lifespan="off") as port:
        assert await still_answers(port, "/agents/weather")
        assert await still_answers(port, "/agents/weather/")
        status, body = await talk(port, b"GET /agents/weather/wellknown HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (status, body) == (200, b"{}")


async def test_one_connection_carries_request_after_request(agent):
    async with served(asgi_app(door_of(agent))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(post())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            assert head.startswith(b"HTTP/1.1 200")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()
        assert len(agent.heard) == 3


async def test_a_reply_in_parts_is_read_as_it_comes_and_a_reader_who_leaves_ends_it():
    more, ended = asyncio.Event(), asyncio.Event()

    async def handler(_wire):
        async def parts():
            try:
                yield b"one "
                await more.wait()
                yield b"two"
            finally:
                ended.set()

        return WireReply(chunks=parts())

    transport, deadline = HTTPTransport(), Deadline.after(5, SystemClock())
    async with served(asgi_app(handler)) as port:
        reply = await transport.open(f"http://127.0.0.1:{port}", WireRequest(), deadline=deadline)
        assert await anext(reply.chunks) == b"one "
        await reply.chunks.aclose()
        await asyncio.wait_for(ended.wait(), 5)
        more.set()
        whole = await transport.open(f"http://127.0.0.1:{port}", WireRequest(), deadline=deadline)
        assert b"".join([part async for part in whole.chunks]) == b"one two"
        await transport.aclose()
