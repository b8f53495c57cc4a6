"""Warm requests that a server of ours answers below the application: the same to the byte, and nothing else."""

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negotiator.admission import Backlog
from negotiator.context import Context
from negotiator.identity import TrustPolicy
from negotiator.jsonvalue import JsonObject
from negotiator.warm_door import WarmDoor
from tests.negotiator.test_warm_door import DATA, HEX, VALUES, Served, alike, wire

pytest.importorskip("httptools")

from uvicorn import Config
from uvicorn.server import ServerState

from negotiator.cli import straight_through
from negotiator.cli.shedding import Shedding, shedding
from negotiator.cli.straight_through import StraightThrough

HEAD = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
WARM = wire().body


def whole(body: bytes = WARM, more: str = "") -> bytes:
    return f"{HEAD}{more}content-length: {len(body)}\r\n\r\n".encode() + body


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.pieces = 0
        self.closed = False
        self.paused = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.1", 5), "sockname": ("127.0.0.1", 80)}.get(name, default)

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += bytes(data)
            self.pieces += 1

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.paused = 0


class Kept(Backlog):
    """Counts what is taken and begun; refuses while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = self.begun = 0
        self.refuses = False

    def takes(self, now: float) -> bool:
        self.taken += not self.refuses
        return not self.refuses

    def begins(self, now: float) -> None:
        self.begun += 1


class Line:
    """A connection to an agent, on the short way or on the application's alone."""

    def __init__(self, served: Served, *, below: bool = True, **settings: Any) -> None:
        self.served = served
        self.wire = Wire()
        self.backlog = Kept()
        self.scopes: list[Any] = []
        self.seen = asyncio.Event()
        app = served.agent.asgi()
        assert isinstance(app.warm, WarmDoor)
        self.under_way = app.warm._under_way
        self.callers: list[str] = []
        """Who was let in, in order."""
        enter = self.under_way.enter

        def entered(caller: str, document: str) -> None:
            enter(caller, document)
            self.callers.append(caller)

        vars(self.under_way)["enter"] = entered

        async def seen(scope: Any, receive: Any, send: Any) -> None:
            self.scopes.append(scope)
            self.seen.set()
            await app(scope, receive, send)

        made, protocol = (
            shedding(seen, self.backlog, StraightThrough, warm=app.warm) if below else shedding(seen, self.backlog)
        )
        config = Config(made, http=protocol, ws="none", log_config=None, access_log=False, **settings)  # type: ignore[arg-type]
        config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"today"), (b"server", b"ours")]
        self.protocol: Shedding = config.http_protocol_class(  # type: ignore[assignment, call-arg]
            config=config, server_state=self.state, app_state={}
        )
        self.protocol.connection_made(self.wire)

    def hears(self, *parts: bytes) -> None:
        for part in parts:
            if not self.wire.closed:
                self.protocol.data_received(part)

    async def said(self) -> bytes:
        """What has been written once nothing is under way any more."""
        while self.state.tasks:
            await asyncio.wait(self.state.tasks)
        return self.wire.written

    def end(self) -> None:
        self.protocol.connection_lost(None)


async def on_a_line(use: Callable[[Line], Awaitable[None]], *, below: bool = True, **options: Any) -> Line:
    line = Line(Served(**options), below=below)
    try:
        await use(line)
    finally:
        line.end()
    assert line.backlog.begun == line.backlog.taken
    return line


# --- the same, whatever comes ---

LINES = st.lists(
    st.sampled_from([(name, value) for name, values in VALUES.items() for value in values if name != "content-length"])
    | st.sampled_from(
        [
            ("Content-Type", "application/json"),
            ("connection", "close"),
            ("connection", "keep-alive"),
            ("expect", "100-continue"),
            ("upgrade", "websocket"),
            ("x-forwarded-for", "198.51.100.7"),
            ("host", "elsewhere.example"),
            ("via", "1.1 somewhere"),
        ]
    ),
    max_size=3,
)
FIRST_LINES = st.sampled_from(
    [
        *["POST / HTTP/1.1"] * 12,
        "POST / HTTP/1.0",
        "post / HTTP/1.1",
        "PUT / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "GET / HTTP/1.1",
        "POST /?a=1 HTTP/1.1",
        "POST //? HTTP/1.1",
        "POST http://127.0.0.1/ HTTP/1.1",
        "POST /mcp HTTP/1.1",
        "POST http://a:99999999999/ HTTP/1.1",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    data = draw(st.just(WARM) | DATA)
    first, lines = draw(FIRST_LINES), draw(LINES)
    if draw(st.integers(0, 9)):
        lines.append(("content-type", "application/json"))
    coded = draw(st.integers(0, 9)) == 0
    lines.append(("transfer-encoding", "chunked") if coded else ("content-length", str(len(data))))
    head = f"{first}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines)
    if coded:
        data = (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + b"0\r\n\r\n"
    return head.encode() + b"\r\n" + data


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Served, Served]]:
    kinds: list[dict[str, Any]] = [
        {},
        {"trust": TrustPolicy(callers="authenticated")},
        {"allowed_hosts": ["a.example"]},
    ]
    return [(Served(**kind), Served(**kind)) for kind in kinds]


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from([0, 0, 0, 1, 2]),
    asked=st.lists(requests(), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 2000), max_size=3),
)
def test_the_application_would_have_said_the_same_to_the_byte(
    pairs: list[tuple[Served, Served]], kind: int, asked: list[bytes], cuts: list[int]
) -> None:
    # A request that waits for its sender to be told to go on is whole here: then one of the two may be told, or not.
    stream = b"".join(asked)
    places = sorted({0, *(cut % len(stream) for cut in cuts), len(stream)})
    parts = [stream[low:high] for low, high in itertools.pairwise(places)]

    async def heard(served: Served, *, below: bool) -> tuple[bytes, bool]:
        line = Line(served, below=below)
        for part in parts:
            line.hears(part)
            await asyncio.sleep(0)
        said = await line.said()
        line.end()
        assert line.backlog.begun == line.backlog.taken
        return said, line.wire.closed

    async def both() -> None:
        one, other = pairs[kind]
        short, long = await heard(one, below=True), await heard(other, below=False)
        assert short == long
        alike(one, other)

    asyncio.run(both())


# --- which requests are answered here ---


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more", ["", "accept: */*\r\nuser-agent: x\r\nAccept-Encoding: gzip\r\n", "idempotency-key: k\r\n"]
)
async def test_a_warm_request_does_not_come_to_the_application_and_its_reply_is_one_piece(more: str) -> None:
    async def use(line: Line) -> None:
        for number in range(1, 4):
            line.hears(whole(more=more))
            await line.said()
            assert (line.wire.pieces, line.scopes) == (number, [])

    line = await on_a_line(use)
    first = line.wire.written[: len(line.wire.written) // 3]
    assert line.wire.written == first * 3
    assert first.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\nserver: ours\r\ncontent-type: application/json\r\n")
    assert line.state.total_requests == 3


@pytest.mark.anyio
async def test_a_warm_request_takes_one_task_and_no_timer_exchange_or_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(line: Line) -> None:
        line.hears(whole())
        await line.said()
        made: list[str] = []
        loop = line.protocol.loop
        for name in ("call_later", "call_at", "create_task"):
            real = getattr(loop, name)
            monkeypatch.setattr(loop, name, lambda *given, name=name, real=real: (made.append(name), real(*given))[1])
        for name in (
            "RequestResponseCycle",
            "HttpToolsProtocol.on_message_begin",
            "HttpToolsProtocol.on_headers_complete",
        ):
            monkeypatch.setattr(f"uvicorn.protocols.http.httptools_impl.{name}", None)
        for _ in range(3):
            line.hears(whole())
            await line.said()
        assert made == ["create_task"] * 3
        assert line.wire.written.count(b"sunny in Rome") == 4

    await on_a_line(use)


@pytest.mark.anyio
async def test_a_connection_on_which_nothing_is_asked_any_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(line: Line) -> None:
        loop, begun = line.protocol.loop, line.protocol.loop.time()
        line.hears(whole())
        await line.said()
        for seconds, closed in ((1, False), (4, False), (6, True)):
            monkeypatch.setattr(loop, "time", lambda seconds=seconds: begun + seconds)
            line.protocol._look()
            assert line.wire.closed is closed

    await on_a_line(use)


@pytest.mark.anyio
async def test_what_waits_for_its_tool_is_not_taken_for_a_connection_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def use(line: Line) -> None:
        loop, begun = line.protocol.loop, line.protocol.loop.time()
        line.hears(whole())
        await line.said()
        line.hears(whole(orjson.dumps({"protocolHash": HEX, "body": {"town": "Limbo"}})))
        await asyncio.sleep(0)
        monkeypatch.setattr(loop, "time", lambda: begun + 50)
        line.protocol._look()
        assert not line.wire.closed
        line.served.waits.set()
        assert b"sunny in Limbo" in await line.said()

    await on_a_line(use)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "request_",
    [
        whole(more="traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
        whole(more="connection: close\r\n"),
        whole(more="expect: 100-continue\r\n"),
        whole().replace(b"HTTP/1.1", b"HTTP/1.0"),
        whole().replace(b"POST / ", b"POST /?a "),
        whole().replace(b"POST", b"PUT"),
        HEAD.encode() + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(WARM), WARM),
        whole(b'{"body":"Rome?"}'),
        whole(b" " * straight_through.BODY_BYTES + WARM),
    ],
    ids=str,
)
async def test_what_is_not_plainly_a_warm_request_is_the_applications(request_: bytes) -> None:
    async def use(line: Line) -> None:
        line.hears(request_)
        assert (await line.said()).startswith(b"HTTP/1.1 ")
        assert len(line.scopes) == 1

    await on_a_line(use)


PROXY = "192.0.2.1"
"""Where the requests of a `Line` come from."""


@pytest.mark.anyio
@pytest.mark.parametrize("below", [True, False], ids=["short way", "application"])
@pytest.mark.parametrize(
    ("proxies", "said", "caller"),
    [
        (PROXY, "x-forwarded-for: 198.51.100.7\r\n", "198.51.100.7"),
        (PROXY, "x-forwarded-for: 203.0.113.9, 198.51.100.7\r\n", "198.51.100.7"),
        (PROXY, "x-forwarded-for: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7"),
        (f"{PROXY},198.51.100.7", "x-forwarded-for: 203.0.113.9, 198.51.100.7\r\n", "203.0.113.9"),
        (PROXY, "x-forwarded-for: \r\n", PROXY),
        (PROXY, "x-forwarded-proto: https\r\n", PROXY),
        ("192.0.2.0/24", "x-forwarded-for: 198.51.100.7\r\n", "198.51.100.7"),
        ("127.0.0.1", "x-forwarded-for: 198.51.100.7\r\n", PROXY),
        ("127.0.0.1", "x-forwarded-proto: https\r\n", PROXY),
    ],
    ids=str,
)
async def test_a_caller_is_who_a_trusted_proxy_says_it_is_on_either_way(
    proxies: str, said: str, caller: str, below: bool
) -> None:
    line = Line(Served(), below=below, forwarded_allow_ips=proxies)
    line.hears(whole(more=said))
    assert b"sunny in Rome" in await line.said()
    assert line.callers == [caller]
    assert len(line.scopes) == (not below)
    line.end()


@pytest.mark.anyio
async def test_each_request_of_a_proxys_connection_has_its_own_caller() -> None:
    line = Line(Served(), forwarded_allow_ips=PROXY)
    for said in ("x-forwarded-for: 198.51.100.7\r\n", "", "x-forwarded-for: 198.51.100.8\r\n"):
        line.hears(whole(more=said))
        await line.said()
    assert line.callers == ["198.51.100.7", PROXY, "198.51.100.8"]
    assert line.scopes == []
    line.end()


@pytest.mark.anyio
async def test_where_the_server_believes_no_proxy_none_is_believed_on_the_short_way() -> None:
    line = Line(Served(), forwarded_allow_ips="*", proxy_headers=False)
    line.hears(whole(more="x-forwarded-for: 198.51.100.7\r\n"))
    await line.said()
    assert line.callers == [PROXY]
    line.end()


@pytest.mark.anyio
async def test_the_application_sees_what_a_server_shows_it() -> None:
    scopes = []
    for below in (True, False):

        async def use(line: Line) -> None:
            line.hears(whole(b'{"body":"Rome?"}', "X-Forwarded-Host: a\r\n"))
            await line.said()

        line = await on_a_line(use, below=below)
        scopes.append({name: value for name, value in line.scopes[0].items() if name != "state"})
    assert scopes[0] == scopes[1]


@pytest.mark.anyio
async def test_a_body_that_comes_after_its_head_is_waited_for() -> None:
    async def use(line: Line) -> None:
        asked = whole()
        line.hears(asked[:-50], asked[-50:-20])
        assert line.state.tasks == set()
        line.hears(asked[-20:])
        assert b"sunny in Rome" in await line.said()
        assert line.scopes == []

    await on_a_line(use)


@pytest.mark.anyio
async def test_a_body_that_does_not_come_is_the_applications_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(straight_through, "REST_SECONDS", 0.0)

    async def use(line: Line) -> None:
        asked = whole()
        line.hears(asked[:-50])
        assert line.backlog.begun == 1
        async with asyncio.timeout(5):
            await line.seen.wait()
        line.hears(asked[-50:])
        assert b"sunny in Rome" in await line.said()

    await on_a_line(use)


@pytest.mark.anyio
async def test_who_leaves_before_the_body_is_whole_is_not_answered() -> None:
    async def use(line: Line) -> None:
        line.hears(whole()[:-50])

    line = await on_a_line(use)
    assert (line.scopes, line.wire.written, line.served.calls) == ([], b"", [])


@pytest.mark.anyio
async def test_requests_that_do_not_wait_for_a_reply_are_answered_in_their_order() -> None:
    async def use(line: Line) -> None:
        towns = ["Limbo", "Rome", "Oslo"]
        bodies = [orjson.dumps({"protocolHash": HEX, "body": {"town": town}}) for town in towns]
        line.hears(b"".join(whole(body) for body in bodies))
        await asyncio.sleep(0)
        assert line.wire.written == b""
        line.served.waits.set()
        said = await line.said()
        assert re.findall(rb"sunny in (\w+)", said) == [b"Limbo", b"Rome", b"Oslo"]

    await on_a_line(use)


@pytest.mark.anyio
async def test_a_request_is_refused_here_where_the_backlog_says_so() -> None:
    async def use(line: Line) -> None:
        line.backlog.refuses = True
        line.hears(whole())
        assert (await line.said()).startswith(b"HTTP/1.1 503 ")
        line.backlog.refuses = False
        line.hears(whole())
        assert b"sunny in Rome" in await line.said()

    line = await on_a_line(use)
    assert len(line.served.calls) == 1


# --- a tool that waits ---

SAID: ContextVar[str] = ContextVar("said", default="nothing")


async def answered(tool: Callable[[Context], Awaitable[str]], use: Callable[[Line], Awaitable[None]]) -> Line:
    """A line to an agent whose warm tool is another function."""
    served = Served()
    engine = served.agent.engine

    async def forecast(city: str, day: str = "", *, context: Context) -> JsonObject:
        return {"high": "1", "summary": await tool(context)}

    del engine.tools["forecast"]
    served.agent.tool(effect="safe", input=_input(), output={"type": "object"})(forecast)
    served.ready()
    line = Line(served)
    try:
        await use(line)
    finally:
        line.end()
    assert line.scopes == []
    return line


def _input() -> JsonObject:
    return {
        "type": "object",
        "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
        "required": ["city"],
    }


@pytest.mark.anyio
async def test_a_tool_runs_in_a_task_of_its_own_with_timeouts_and_context_variables() -> None:
    seen: list[Any] = []

    async def tool(context: Context) -> str:
        seen.append((asyncio.current_task(), SAID.get(), context.principal))
        SAID.set("mine")
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "ended in time"
        return "?"

    async def use(line: Line) -> None:
        for _ in range(2):
            line.hears(whole())
            await line.said()

    line = await answered(tool, use)
    assert line.wire.written.count(b"ended in time") == 2
    (first, *one), (second, *other) = seen
    assert first is not second
    assert first is not asyncio.current_task()
    assert one == other == ["nothing", "anonymous"]


@pytest.mark.anyio
async def test_who_leaves_meanwhile_is_not_answered_and_what_was_begun_ends() -> None:
    ended: list[str] = []
    waits = asyncio.Event()

    async def tool(_context: Context) -> str:
        await waits.wait()
        ended.append("whole")
        return "?"

    async def use(line: Line) -> None:
        line.hears(whole())
        await asyncio.sleep(0)
        line.protocol.connection_lost(ConnectionResetError())
        waits.set()
        assert await line.said() == b""

    await answered(tool, use)
    assert ended == ["whole"]


@pytest.mark.anyio
async def test_a_server_that_ends_answers_what_is_under_way_and_closes() -> None:
    waits = asyncio.Event()

    async def tool(_context: Context) -> str:
        await waits.wait()
        return "the last"

    async def use(line: Line) -> None:
        line.hears(whole())
        await asyncio.sleep(0)
        line.protocol.shutdown()
        assert not line.wire.closed
        waits.set()
        said = await line.said()
        assert b"the last" in said
        assert b"\r\nconnection: close\r\n" in said
        assert line.wire.closed

    await answered(tool, use)


@pytest.mark.anyio
async def test_a_server_that_ends_waits_for_the_rest_of_what_has_begun_to_come() -> None:
    async def use(line: Line) -> None:
        line.hears(whole()[:-50])
        line.protocol.shutdown()
        assert not line.wire.closed
        line.hears(whole()[-50:])
        assert b"sunny in Rome" in await line.said()
        assert line.wire.closed

    await on_a_line(use)


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_closes_its_connection() -> None:
    async def tool(_context: Context) -> str:
        await asyncio.Event().wait()
        return "?"

    async def use(line: Line) -> None:
        line.hears(whole())
        await asyncio.sleep(0)
        (task,) = line.state.tasks
        task.cancel()
        assert await line.said() == b""
        assert line.wire.closed

    line = await answered(tool, use)
    assert line.under_way.now == 0


@pytest.mark.anyio
async def test_a_reply_waits_for_a_client_that_does_not_read() -> None:
    async def use(line: Line) -> None:
        line.protocol.pause_writing()
        line.hears(whole())
        for _ in range(5):
            await asyncio.sleep(0)
        assert line.wire.written == b""
        line.protocol.resume_writing()
        assert b"sunny in Rome" in await line.said()

    await on_a_line(use)
