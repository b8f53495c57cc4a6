"""The HTTP client, against a real server and against sockets that misbehave at each stage."""

import asyncio
import gzip
import os
import socket
import threading
import zlib
from contextlib import asynccontextmanager

import pytest
import uvicorn

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable, UsageError
from negotiator.transports import asgi_app
from negotiator.transports.conformance import check_transport
from negotiator.transports.http_client import HTTPTransport
from negotiator.wire import Transport, WireReply, WireRequest

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture
def deadline():
    return Deadline.after(10, CLOCK)


@pytest.fixture(params=["httpx", "aiohttp"])
def make(request):
    """Each of the two clients does the same."""
    if request.param == "httpx":
        return HTTPTransport
    pytest.importorskip("aiohttp", reason="needs the extra fast")
    from negotiator.transports.aiohttp_client import AiohttpTransport

    return AiohttpTransport


@pytest.fixture
async def transport(make):
    client = make(reply_bytes=1_000_000)
    yield client
    await client.aclose()


@asynccontextmanager
async def served(handler, root_path=""):
    """`handler` behind uvicorn, in this event loop."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(asgi_app(handler), log_level="critical", timeout_graceful_shutdown=0, root_path=root_path)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, 10)
        listener.close()


@asynccontextmanager
async def scripted(*replies, read=True, count=None):
    """A socket that reads one request (or nothing) and sends these bytes, then hangs up; one script a connection."""
    left = list(replies)

    async def talk(reader, writer):
        if count is not None:
            count.append(1)
        if read:
            head = await reader.readuntil(b"\r\n\r\n")
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
        data = left.pop(0) if left else b""
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def reply(body, *headers, length=None):
    lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % (len(body) if length is None else length), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def test_it_does_what_every_transport_must(transport):
    assert isinstance(transport, Transport)
    await check_transport(transport, served, CLOCK)


async def test_nobody_listening_is_unreachable(transport, deadline):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PeerUnreachable):
        await transport.send(f"http://127.0.0.1:{port}", WireRequest(), deadline=deadline)


async def test_a_connection_that_is_never_taken_is_unreachable(transport):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # What the kernel queues for nobody is full after these.
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        try:
            with pytest.raises(PeerUnreachable):
                await transport.send(
                    f"http://127.0.0.1:{address[1]}", WireRequest(body=b"x"), deadline=Deadline.after(0.3, CLOCK)
                )
        finally:
            for each in waiting:
                each.close()


async def test_no_free_connection_before_the_deadline_is_unreachable(make, deadline):
    transport = make(connections=1)
    release, heard = asyncio.Event(), asyncio.Event()

    async def slow(_):
        heard.set()
        await release.wait()
        return WireReply(body=b"done")

    async with served(slow) as base_url:
        first = asyncio.create_task(transport.send(base_url, WireRequest(), deadline=deadline))
        await asyncio.wait_for(heard.wait(), 5)
        with pytest.raises(PeerUnreachable):
            await transport.send(base_url, WireRequest(), deadline=Deadline.after(0.1, CLOCK))
        release.set()
        assert (await first).body == b"done"
        await transport.aclose()


async def test_a_peer_that_hangs_up_after_the_request_has_hung_up(transport, deadline):
    async with scripted(b"") as base_url:
        with pytest.raises(PeerHungUp):
            await transport.send(base_url, WireRequest(body=b"x"), deadline=deadline)


async def test_a_peer_that_hangs_up_in_the_middle_of_its_reply_has_hung_up(transport, deadline):
    async with scripted(reply(b"half", length=100)) as base_url:
        with pytest.raises(PeerHungUp):
            await transport.send(base_url, WireRequest(body=b"x"), deadline=deadline)


async def test_a_peer_that_talks_no_http_has_hung_up(transport, deadline):
    async with scripted(b"220 smtp ready\r\n") as base_url:
        with pytest.raises(PeerHungUp):
            await transport.send(base_url, WireRequest(body=b"x"), deadline=deadline)


async def test_a_server_without_tls_is_unreachable_over_https(transport, deadline):
    async with scripted(b"plain\r\n", read=False) as base_url:
        with pytest.raises(PeerUnreachable):
            await transport.send(base_url.replace("http:", "https:"), WireRequest(body=b"x"), deadline=deadline)


async def test_nothing_is_sent_twice(transport, deadline):
    count: list[int] = []
    async with scripted(b"", b"", b"", count=count) as base_url:
        with pytest.raises(PeerHungUp):
            await transport.send(base_url, WireRequest(body=b"x"), deadline=deadline)
        assert len(count) == 1


async def test_a_reply_that_announces_too_much_is_refused_unread(transport, deadline):
    async with scripted(reply(b"", length=1_000_001)) as base_url:
        with pytest.raises(PeerMisspoke):
            await transport.send(base_url, WireRequest(), deadline=deadline)


async def test_a_reply_without_a_length_is_refused_once_over_the_limit(transport, deadline):
    endless = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000_001
    async with scripted(endless) as base_url:
        with pytest.raises(PeerMisspoke):
            await transport.send(base_url, WireRequest(), deadline=deadline)


@pytest.mark.parametrize(("coding", "pack"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
async def test_a_compressed_reply_is_inflated_and_a_bomb_is_not(transport, deadline, coding, pack):
    headers = (b"content-encoding: " + coding, b"connection: close")
    async with scripted(reply(pack(b"hello"), *headers), reply(pack(bytes(50_000_000)), *headers)) as base_url:
        assert (await transport.send(base_url, WireRequest(), deadline=deadline)).body == b"hello"
        with pytest.raises(PeerMisspoke):
            await transport.send(base_url, WireRequest(), deadline=deadline)


@pytest.mark.parametrize(
    ("coding", "body"), [(b"br", b"x"), (b"gzip", b"not gzip"), (b"gzip", gzip.compress(b"hello" * 99)[:-9])]
)
async def test_a_coding_that_cannot_be_read_is_misspoken(transport, deadline, coding, body):
    async with scripted(reply(body, b"content-encoding: " + coding)) as base_url:
        with pytest.raises(PeerMisspoke):
            await transport.send(base_url, WireRequest(), deadline=deadline)


async def test_cookies_are_not_sent_back(transport, deadline):
    seen = []

    async def baker(request):
        seen.append(request.headers.get("cookie"))
        return WireReply(headers={"set-cookie": "id=1"})

    async with served(baker) as base_url:
        for _ in range(2):
            await transport.send(base_url, WireRequest(), deadline=deadline)
    assert seen == [None, None]


async def test_no_proxy_stands_before_loopback(make, monkeypatch, deadline):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert os.environ["HTTP_PROXY"]
    transport = make()

    async def handler(_):
        return WireReply(body=b"direct")

    async with served(handler) as base_url:
        for address in (base_url, base_url.replace("127.0.0.1", "localhost")):
            assert (await transport.send(address, WireRequest(), deadline=deadline)).body == b"direct"
        await transport.aclose()


async def test_the_proxy_that_the_environment_names_stands_before_what_is_elsewhere(make, monkeypatch, deadline):
    for name in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    async with scripted(reply(b"it stands there")) as base_url:
        monkeypatch.setenv("http_proxy", base_url)
        transport = make()
        came = await transport.send("http://elsewhere.invalid", WireRequest(), deadline=deadline)
        await transport.aclose()
    assert came.body == b"it stands there"


async def test_headers_that_come_twice_or_in_another_coding_are_read(transport, deadline):
    odd = reply(b"", b"x-twice: a", b"X-Twice: b", "x-name: Zürich".encode("latin-1"), b"X-Case: Kept")
    async with scripted(odd) as base_url:
        headers = (await transport.send(base_url, WireRequest(), deadline=deadline)).headers
    assert headers["x-twice"].split(", ")[0] == "a"
    assert headers["x-case"] == "Kept"
    assert "x-name" in headers


async def test_a_base_address_keeps_its_path(transport, deadline):
    seen = []

    async def handler(request):
        seen.append(request.path)
        return WireReply()

    async with served(handler, root_path="") as base_url:
        await transport.send(f"{base_url}/agents/a", WireRequest(), deadline=deadline)
        await transport.send(f"{base_url}/agents/a/", WireRequest(), deadline=deadline)
        await transport.send(f"{base_url}/agents/a/", WireRequest(path="/conversations/1"), deadline=deadline)
    assert seen == ["/agents/a", "/agents/a/", "/agents/a/conversations/1"]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.com",
        "ftp://x",
        "file:///etc/x",
        "http://",
        "http://a?x=1",
        "http://a#b",
        "http://u:p@a",
        "http://[::",
    ],
)
async def test_what_is_no_plain_address_is_a_mistake_of_the_caller(transport, deadline, address):
    with pytest.raises(UsageError):
        await transport.send(address, WireRequest(), deadline=deadline)


def test_each_event_loop_has_its_own_connections(make):
    transport = make()

    async def handler(_):
        return WireReply(body=b"hello")

    async def once():
        async with served(handler) as base_url:
            got = await transport.send(base_url, WireRequest(), deadline=Deadline.after(10, CLOCK))
            await transport.aclose()
            return got.body

    got: list[bytes] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: got.append(asyncio.run(once())))
        thread.start()
        thread.join(20)
    assert got == [b"hello", b"hello"]


def test_a_client_is_chosen_by_its_name():
    from negotiator.transports.opening import open_transport

    pytest.importorskip("aiohttp", reason="needs the extra fast")
    own = HTTPTransport()
    names = [type(open_transport(given)).__name__ for given in (None, "httpx", "aiohttp", own)]
    assert names == ["LateTransport", "LateTransport", "AiohttpTransport", "HTTPTransport"]
    assert open_transport(own) is own
    with pytest.raises(UsageError):
        open_transport("carrier pigeon")
