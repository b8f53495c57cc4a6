"""The ASGI application, driven by hand: one event at a time, as any server may send them."""

import asyncio

import pytest

from negotiator.transports import AsgiApp, asgi_app
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio


class Handler:
    def __init__(self, reply=None) -> None:
        self.heard: list[WireRequest] = []
        self.reply = reply or WireReply(headers={"content-type": "text/plain"}, body=b"hello")

    async def __call__(self, request):
        self.heard.append(request)
        return self.reply


def scope(path="/", method="POST", headers=(), **more):
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"type": "http", "method": method, "path": path, "headers": raw, "client": ("127.0.0.1", 5), **more}


class Wire:
    """A server's half: events to receive, events that were sent."""

    def __init__(self, *events) -> None:
        self.events = list(events)
        self.sent: list[dict] = []
        self.received = 0

    async def receive(self):
        if not self.events:
            await asyncio.Event().wait()
        self.received += 1
        return self.events.pop(0)

    async def send(self, event):
        self.sent.append(event)

    @property
    def status(self):
        return self.sent[0]["status"]

    @property
    def headers(self):
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self):
        return b"".join(event.get("body", b"") for event in self.sent[1:])


def part(data=b"", *, more=False):
    return {"type": "http.request", "body": data, "more_body": more}


async def call(app, asked, *events):
    wire = Wire(*events)
    await asyncio.wait_for(app(asked, wire.receive, wire.send), 5)
    return wire


async def test_a_request_in_parts_is_handled_whole():
    handler = Handler()
    asked = scope(
        "/x", headers=[("Content-Type", "application/json"), ("X-A", " 1\t"), ("x-a", "2")], query_string=b"q=1"
    )
    wire = await call(asgi_app(handler), asked, part(b"ab", more=True), part(more=True), part(b"c"))
    assert handler.heard == [
        WireRequest(
            method="POST",
            path="/x?q=1",
            headers={"content-type": "application/json", "x-a": "1, 2"},
            body=b"abc",
            peer="127.0.0.1",
        )
    ]
    assert (wire.status, wire.body) == (200, b"hello")
    assert wire.headers == {"content-type": "text/plain", "content-length": "5"}


@pytest.mark.parametrize(
    ("path", "root_path", "seen"),
    [
        ("/agents/a/wellknown", "/agents/a", "/wellknown"),
        ("/agents/a", "/agents/a", "/"),
        ("/agents/a/", "/agents/a", "/"),
        ("/agents/a/", "/agents/a/", "/"),
        ("/wellknown", "/agents/a", "/wellknown"),
        ("/agents/abc", "/agents/a", "/agents/abc"),
        ("", "", "/"),
        ("/", "", "/"),
    ],
)
async def test_a_prefix_that_it_is_mounted_under_is_taken_off(path, root_path, seen):
    handler = Handler()
    await call(asgi_app(handler), scope(path, root_path=root_path), part())
    assert handler.heard[0].path == seen


async def test_an_announced_body_over_the_limit_is_refused_before_it_is_read():
    handler = Handler()
    app = AsgiApp(handler, body_bytes=10)
    wire = await call(app, scope(headers=[("content-length", "11")]), part(b"x" * 11))
    assert wire.status == 413
    assert wire.received == 0
    assert wire.headers["connection"] == "close"
    assert handler.heard == []


async def test_a_body_without_a_length_is_refused_as_soon_as_it_passes_the_limit():
    handler = Handler()
    endless = [part(b"x" * 6, more=True) for _ in range(100)]
    wire = await call(AsgiApp(handler, body_bytes=10), scope(), *endless)
    assert wire.status == 413
    assert wire.received == 2
    assert handler.heard == []


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "1, 1", "٣", "9" * 5000])
async def test_a_length_that_is_none_is_refused(length):
    handler = Handler()
    asked = scope()
    asked["headers"] = [(b"content-length", length.encode())]
    assert (await call(AsgiApp(handler), asked, part())).status == 413
    assert handler.heard == []


async def test_a_body_that_does_not_come_is_given_up():
    handler = Handler()
    wire = await call(AsgiApp(handler, body_seconds=0.02), scope(), part(b"x", more=True))
    assert wire.status == 408
    assert handler.heard == []


async def test_a_client_that_leaves_half_way_is_never_handled_and_gets_nothing():
    handler = Handler()
    wire = await call(asgi_app(handler), scope(), part(b"x", more=True), {"type": "http.disconnect"})
    assert handler.heard == []
    assert wire.sent == []


async def test_a_client_that_leaves_before_the_reply_does_no_harm():
    async def gone(_):
        raise OSError("client disconnected")

    handler = Handler()
    wire = Wire(part(b"x"))
    await asyncio.wait_for(asgi_app(handler)(scope(), wire.receive, gone), 5)
    assert len(handler.heard) == 1


async def test_refusals_are_said_in_the_words_handed_in():
    words = {"too_large": WireReply(status=413, body=b"too much")}
    app = AsgiApp(Handler(), body_bytes=1, refuse=words.__getitem__)
    assert (await call(app, scope(), part(b"xx"))).body == b"too much"


async def test_head_gets_the_headers_of_get_and_no_body():
    wire = await call(asgi_app(Handler()), scope(method="HEAD"), part())
    assert wire.headers["content-length"] == "5"
    assert wire.body == b""


async def test_over_http_2_no_connection_header_is_sent():
    wire = await call(AsgiApp(Handler(), body_bytes=1), scope(http_version="2"), part(b"xx"))
    assert wire.status == 413
    assert "connection" not in wire.headers


async def test_lifespan_runs_the_hooks_and_answers():
    ran = []

    async def start():
        ran.append("start")

    async def stop():
        ran.append("stop")

    app = asgi_app(Handler(), on_startup=start, on_shutdown=stop)
    wire = await call(app, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert ran == ["start", "stop"]
    assert [event["type"] for event in wire.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_start_that_fails_is_told_without_its_message():
    async def start():
        raise ValueError("secret")

    wire = Wire({"type": "lifespan.startup"})
    with pytest.raises(ValueError, match="secret"):
        await asgi_app(Handler(), on_startup=start)({"type": "lifespan"}, wire.receive, wire.send)
    assert wire.sent == [{"type": "lifespan.startup.failed", "message": "ValueError"}]


async def test_a_websocket_is_closed_before_it_opens():
    wire = await call(asgi_app(Handler()), {"type": "websocket"}, {"type": "websocket.connect"})
    assert wire.sent == [{"type": "websocket.close", "code": 1000}]


async def test_an_unknown_scope_is_the_server_s_mistake():
    with pytest.raises(RuntimeError):
        await call(asgi_app(Handler()), {"type": "smoke"})
