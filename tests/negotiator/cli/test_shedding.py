"""What comes faster than it can be begun is refused below the application, and everything else is left to it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from negotiator.admission import Backlog
from negotiator.cli.serving import listen, serve_app

pytest.importorskip("httptools")
pytestmark = pytest.mark.anyio

WHOLE = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


class Refuses(Backlog):
    """Refuses while it is told to."""

    def __init__(self):
        super().__init__()
        self.now = True
        self.begun = 0

    def takes(self, now):
        return not self.now

    def begins(self, now):
        self.begun += 1


class Crowded(Refuses):
    """The same, for who does not parse what is refused."""

    @property
    def crowded(self):
        return self.now


@pytest.fixture(params=[Refuses, Crowded])
def refuses(request):
    return request.param()


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    said = scope["method"].encode() + b" " + body
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


@asynccontextmanager
async def served(monkeypatch, backlog=None, **options):
    """(backlog, connect), of a server that ends with the context."""
    from negotiator.cli import shedding

    backlog, made = backlog or Refuses(), shedding.shedding
    monkeypatch.setattr(shedding, "shedding", lambda app, **others: made(app, backlog, **others))
    listening, up, ended = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    port = listening.getsockname()[1]
    serving = asyncio.create_task(serve_app(app, listening, ready=up.set, until=ended, **options))
    await up.wait()
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    try:
        yield backlog, connect
    finally:
        for writer in writers:
            writer.close()
        ended.set()
        await serving


async def reply(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return head, await reader.readexactly(length)


async def test_a_refusal_says_when_to_come_back_and_keeps_the_connection(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (backlog, connect):
        reader, writer = await connect()
        for _ in range(3):
            writer.write(WHOLE)
            head, body = await reply(reader)
            assert head.startswith("http/1.1 503 ")
            assert "\r\nretry-after: 1\r\n" in head
            assert b"overloaded" in body
        backlog.now = False
        writer.write(WHOLE)
        head, body = await reply(reader)
        assert (head[:13], body) == ("http/1.1 200 ", b"POST body")
        assert backlog.begun == 1


async def test_what_is_no_exchange_is_never_refused_here(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (_, connect):
        reader, writer = await connect()
        writer.write(b"GET /wellknown HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reply(reader))[1] == b"GET "


@pytest.mark.parametrize(
    ("asked", "refused"), [(b"GET /search?q=a", True), (b"PUT /documents/a", True), (b"HEAD /", False)]
)
async def test_where_others_than_exchanges_are_the_work_they_are_refused_too(monkeypatch, asked, refused):
    async with served(monkeypatch, Refuses(), shed=(b"GET", b"PUT")) as (_, connect):
        reader, writer = await connect()
        for _ in range(2):
            writer.write(asked + b" HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            assert head.startswith("http/1.1 503 ") is refused
            if refused:
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))


async def test_a_body_that_waits_for_a_sign_is_left_to_the_application(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (_, connect):
        reader, writer = await connect()
        writer.write(WHOLE.replace(b"\r\n\r\nbody", b"\r\nexpect: 100-continue\r\n\r\n"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"body")
        assert (await reply(reader))[1] == b"POST body"


async def test_the_rest_of_a_long_body_is_not_waited_for(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (_, connect):
        reader, writer = await connect()
        writer.write(WHOLE.replace(b"content-length: 4", b"content-length: 4000"))
        assert (await reply(reader))[0].startswith("http/1.1 503 ")
        assert await reader.read() == b""


async def test_one_who_asks_to_close_is_refused_and_closed(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (_, connect):
        reader, writer = await connect()
        writer.write(WHOLE.replace(b"host: x", b"host: x\r\nconnection: close"))
        assert (await reply(reader))[0].startswith("http/1.1 503 ")
        assert await reader.read() == b""


@pytest.mark.parametrize("cut", [1, 20, len(WHOLE) - 6])
async def test_a_request_that_comes_in_parts_is_refused_once(monkeypatch, refuses, cut):
    async with served(monkeypatch, refuses) as (backlog, connect):
        reader, writer = await connect()
        for _ in range(2):
            writer.write(WHOLE[:cut])
            # What another connection hears has come later.
            beside, beside_writer = await connect()
            beside_writer.write(WHOLE)
            await reply(beside)
            writer.write(WHOLE[cut:])
            assert (await reply(reader))[0].startswith("http/1.1 503 ")
        backlog.now = False
        writer.write(WHOLE)
        assert (await reply(reader))[1] == b"POST body"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (WHOLE, True),
        (WHOLE.replace(b"host: x", b"Host: x\r\nConnection: Keep-Alive"), True),
        (WHOLE.replace(b"content-length: 4", b"Content-Length: 4"), True),
        (WHOLE + b"P", False),
        (WHOLE[:-1], False),
        (WHOLE[:-6], False),
        (b"GET" + WHOLE[4:], False),
        (WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (WHOLE.replace(b"/ HTTP/1.1", b"/xx"), False),
        (WHOLE.replace(b"host: x", b"connection: close"), False),
        (WHOLE.replace(b"host: x", b"connection: keep-alive, close"), False),
        (WHOLE.replace(b"host: x", b"connection: keep-alive\r\nconnection: close"), False),
        (WHOLE.replace(b"host: x", b"transfer-encoding: chunked"), False),
        (WHOLE.replace(b"host: x", b"expect: 100-continue"), False),
        (WHOLE.replace(b"host: x", b"content-length: 4"), False),
        (WHOLE.replace(b"host: x", b"Content-Length : 4"), False),
        (WHOLE.replace(b"host: x", b"host: x\nx: y"), False),
        (WHOLE.replace(b"length: 4", b"length: +4"), False),
        (WHOLE.replace(b"length: 4", b"length: 0000000004"), False),
        (WHOLE.replace(b"length: 4", b"length:4"), False),
        (WHOLE.replace(b"length: 4", b"length: "), False),
        (b"", False),
    ],
)
def test_only_what_can_be_read_in_one_way_is_whole(data, whole):
    from negotiator.cli.shedding import is_whole

    assert is_whole(data) is whole


async def test_who_leaves_while_refused_upsets_nothing(monkeypatch, refuses):
    async with served(monkeypatch, refuses) as (backlog, connect):
        _, writer = await connect()
        writer.write(WHOLE[:-2])
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        backlog.now = False
        reader, writer = await connect()
        writer.write(WHOLE)
        assert (await reply(reader))[1] == b"POST body"


UNREADABLE = b"POST http://a:99999999999/ HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


class Counts(Backlog):
    """Takes everything, and counts what is taken and begun."""

    def __init__(self):
        super().__init__()
        self.now = False
        self.taken = self.begun = 0

    def takes(self, now):
        self.taken += 1
        return True

    def begins(self, now):
        self.begun += 1


async def test_what_is_taken_and_cannot_be_read_is_not_waited_for_for_ever(monkeypatch):
    # Each that stayed in the count would take one of the few places that a refusing server has left.
    async with served(monkeypatch, Counts()) as (backlog, connect):
        for _ in range(3):
            reader, writer = await connect()
            writer.write(UNREADABLE)
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        assert (backlog.taken, backlog.begun) == (3, 3)


async def test_only_what_was_counted_as_waiting_is_counted_as_begun(monkeypatch):
    async with served(monkeypatch, Counts()) as (backlog, connect):
        reader, writer = await connect()
        writer.write(WHOLE.replace(b"\r\n\r\nbody", b"\r\nexpect: 100-continue\r\n\r\n"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"body" + WHOLE + WHOLE)
        for _ in range(3):
            assert (await reply(reader))[1] == b"POST body"
        assert backlog.begun == backlog.taken


async def test_a_head_that_does_not_come_is_not_waited_for(monkeypatch):
    from negotiator.cli import shedding

    monkeypatch.setattr(shedding, "HEAD_SECONDS", 0.3)
    async with served(monkeypatch, Counts()) as (_, connect):
        for part in (b"", b"POST / HTTP/1.1\r\nhost"):
            reader, writer = await connect()
            writer.write(part)
            assert await reader.read() == b""
        reader, writer = await connect()
        writer.write(WHOLE)
        assert (await reply(reader))[1] == b"POST body"
        writer.write(b"POST / HTTP/1.1\r\n")
        assert await reader.read() == b""
