"""The benchmarks of speed compute their figures from what was measured, and say what they left out."""

import argparse
import asyncio
import itertools
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from benchmarks import absences, crowd, load, speed
from benchmarks.clocks import processor_seconds
from benchmarks.environments import NotHere, python_of
from benchmarks.exchange import ANSWERED, ASKED, DOCUMENT, envelope, http_request, stored, texts
from benchmarks.orders import Order, Result
from benchmarks.processes import Bench, Spent
from benchmarks.receivers import agent_of, by_hand
from benchmarks.rivals import timing
from benchmarks.rounds import Line, Lines, Measured, interleaved, percentile
from benchmarks.scenarios import latency, memory, throughput
from negotiator.state import open_state
from protocol_docs import ProtocolDocument

# --- rounds ---


def test_cases_take_turns_and_no_round_begins_where_the_last_did() -> None:
    asked: list[str] = []
    probes = {name: lambda name=name: asked.append(name) or {"us": float(len(asked))} for name in "abc"}
    measured = interleaved(probes, 3)
    assert "".join(asked) == "abcbcacab"
    assert measured.values("a", "us") == [1.0, 6.0, 8.0]


def test_a_ratio_is_the_median_of_quotients_within_a_round() -> None:
    # The machine was three times as slow in the second round; both cases were.
    measured = Measured({"a": [{"us": 2.0}, {"us": 6.0}, {"us": 2.0}], "b": [{"us": 1.0}, {"us": 3.0}, {"us": 0.5}]})
    assert measured.ratio("a", "us", "b") == 2.0
    assert measured.median("a", "us") == 2.0
    assert measured.to_json()["a"]["us"] == {"median": 2.0, "rounds": [2.0, 6.0, 2.0]}


def test_a_line_says_how_far_apart_its_rounds_were() -> None:
    # The machine was at half its speed for one case in the second round, and for the other in the third.
    rounds = {
        "a": [{"us": each} for each in (3.0, 6.0, 3.0, 3.0)],
        "b": [{"us": each} for each in (1.0, 1.0, 2.0, 1.0)],
    }
    lines = Lines(measured=Measured(rounds))
    lines.ratio("r", "a", "us", "b", "higher", 2, "times the other")
    lines.median("m", "a", "us", "lower", None, "one of them")
    lines.add("s", 7.0, "lower", None, "of no rounds")
    told = {line.name: line.to_json() for line in lines.lines}
    assert lines.ratios() == {"r": 3.0, "m": 3.0, "s": 7.0}
    assert told["r"]["rounds"] == {"lowest": 1.5, "lower_quartile": 1.5, "upper_quartile": 3.0, "highest": 6.0}
    assert told["m"]["rounds"] == {"lowest": 3.0, "lower_quartile": 3.0, "upper_quartile": 3.0, "highest": 6.0}
    assert told["s"]["rounds"] is None
    assert "| `r` | 3 | >= 2 | yes | 1.5 to 3 (1.5 to 6) | times the other |" in lines.table()
    assert "| `s` | 7 | lower is better |  |  | of no rounds |" in lines.table()


def test_times_of_which_a_round_has_few_are_told_of_all_rounds_together() -> None:
    looks = iter([[1.0] * 70, [1.0] * 28 + [5.0], [9.0]])
    measured = interleaved({"a": lambda: {"us": 2.0, "p99_us": next(looks)}}, 3)
    assert measured.p99("a", "p99_us") == 5.0
    assert measured.to_json()["a"] == {"us": {"median": 2.0, "rounds": [2.0] * 3}, "p99_us": {"p99": 5.0, "of": 100}}
    assert measured.has("us", "a")
    assert not measured.has("p99_us", "a")
    assert measured.p99("a", "us") is None
    assert measured.p99("rival", "p99_us") is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_measured(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


@pytest.mark.parametrize(
    ("better", "value", "wanted", "met"),
    [
        ("lower", 1.0, 2.0, True),
        ("lower", 3.0, 2.0, False),
        ("higher", 3.0, 2.0, True),
        ("higher", 1.0, 2.0, False),
        ("higher", 2.0, 2.0, True),
        ("lower", None, 2.0, None),
        ("lower", 1.0, None, None),
    ],
)
def test_a_line_knows_which_way_is_better(better: Any, value: Any, wanted: Any, met: Any) -> None:
    line = Line(name="n", value=value, better=better, wanted=wanted)
    assert line.met is met
    assert line.to_json()["met"] is met


def test_a_line_whose_cases_were_left_out_is_there_without_a_value() -> None:
    lines = Lines(measured=Measured({"a": [{"us": 1.0}]}))
    lines.ratio("r", "a", "us", "rival", "higher", 60, "times a rival's")
    lines.median("m", "rival", "us", "lower", 50, "a rival")
    lines.median("c", "a", "cpu_us", "lower", None, "not told by this system")
    assert lines.ratios() == {"r": None, "m": None, "c": None}
    assert "| `r` | not measured | >= 60 |  |  | times a rival's |" in lines.table()


# --- the client ---


class Server:
    """Answers each request with the next of its replies, cut in pieces."""

    def __init__(self, replies: list[bytes], *, closes: bool = False) -> None:
        self.replies, self.closes = replies, closes
        self.heard: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.heard.append(await reader.readexactly(length))
                reply = self.replies[len(self.heard) % len(self.replies)]
                for at in range(0, len(reply), 7):
                    writer.write(reply[at : at + 7])
                    await writer.drain()
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def served(server: Server) -> Iterator[Server]:
    """`server` in a thread of its own, until the context ends."""
    up, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def main() -> None:
        listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        up.set()
        await ended.wait()
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    up.wait(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def said(status: int, body: bytes, *more: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *more))
    return head.encode() + b"\r\n" + body


REQUEST = http_request(b"four")


def done(way: str, port: int, **options: Any) -> Result:
    order = Order(port=port, request=REQUEST, way=way, seconds=30.0, **options)  # type: ignore[arg-type]
    return load.sequential(order) if way == "sequential" else load.at_once(order)


@pytest.mark.parametrize(("way", "connections", "before"), [("sequential", 1, 0), ("closed", 4, 4)])
def test_each_reply_is_counted_once_by_its_status(way: str, connections: int, before: int) -> None:
    with served(Server([said(200, b"good"), said(503, b"")])) as server:
        result = done(way, server.port, connections=connections, at_most=40)
    # Connections of many have carried one request each when the count begins.
    assert len(server.heard) == result.count + before
    assert 40 <= result.count < 40 + connections
    assert set(server.heard) == {b"four"}
    assert server.connections == connections
    assert {status: len(each) for status, each in result.microseconds.items()} == {
        200: result.count // 2,
        503: -(-result.count // 2),
    }
    with pytest.raises(RuntimeError, match="not 200"):
        result.good()


@pytest.mark.parametrize(("way", "connections", "before"), [("sequential", 1, 0), ("closed", 4, 4)])
def test_the_first_replies_lead_in_and_are_not_counted(
    way: str, connections: int, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) * 1e-3)
    monkeypatch.setattr(load, "time", clock)
    monkeypatch.setattr(crowd, "time", clock)
    with served(Server([said(200, b"good")])) as server:
        short = done(way, server.port, connections=connections, lead_in=1e-9, at_most=40)
        # However short that time is, one reply belongs to it.
        assert len(server.heard) == before + 1 + short.count
        long = done(way, server.port, connections=connections, lead_in=0.1, at_most=40)
    assert 40 <= long.count < 40 + connections
    led_in = len(server.heard) - (before + 1 + short.count) - (before + long.count)
    assert 10 <= led_in <= 100, "a tick for each reply, and some for what is done between"


@pytest.mark.parametrize(("way", "connections"), [("sequential", 1), ("closed", 4)])
def test_who_is_slow_is_asked_until_there_is_enough(way: str, connections: int) -> None:
    with served(Server([said(200, b"good")])) as server:
        order = Order(port=server.port, request=REQUEST, connections=connections, seconds=0.0, lead_in=1e-9, at_least=9)
        ways = {"sequential": load.sequential, "closed": load.at_once}
        result = ways[way](Order(**_fields(order) | {"way": way}))
    assert 9 <= result.count < 9 + connections


def test_processor_time_is_that_of_the_counted_requests() -> None:
    if processor_seconds(os.getpid()) is None:
        pytest.skip("this system does not say what another process has used")
    before = time.process_time()
    told = processor_seconds(os.getpid())
    assert told is not None
    assert before <= told <= time.process_time()
    assert processor_seconds(2**22 + 1) is None, "no process has this number"
    with served(Server([said(200, b"good")])) as server:
        result = done("closed", server.port, connections=2, lead_in=1e-9, at_most=20, pid=os.getpid())
        without = done("closed", server.port, connections=2, at_most=1)
    assert result.processor is not None
    assert 0 < result.processor < time.process_time() - told
    assert without.processor is None


@pytest.mark.anyio
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_caller_that_times_itself_leads_in_and_asks_enough_in_the_same_way(at_once: int) -> None:
    calls = itertools.count(1)

    async def call() -> float:
        await asyncio.sleep(0)
        return float(next(calls))

    told = await timing.timed(call, seconds=0.0, at_once=at_once, lead_in=0.0, at_least=9)
    assert told["microseconds"][0] == 2.0, "the first leads in"
    assert len(told["microseconds"]) == next(calls) - 2
    assert 9 <= len(told["microseconds"]) < 9 + at_once


@pytest.mark.parametrize("way", ["sequential", "closed"])
@pytest.mark.parametrize("says_so", [True, False])
def test_a_server_that_closes_its_connections_is_connected_to_anew(way: str, says_so: bool) -> None:
    replies = [said(200, b"good", *(["Connection: close"] if says_so else []))]
    with served(Server(replies, closes=True)) as server:
        result = done(way, server.port, at_most=10)
    assert len(result.microseconds[200]) >= 5
    assert server.connections >= 5
    assert result.body == b"good"


def test_what_does_not_wait_is_counted_from_when_it_was_due_and_what_found_no_connection_is_said() -> None:
    with served(Server([said(200, b"good")])) as server:
        order = Order(port=server.port, request=REQUEST, way="open", rate=2000, seconds=0.2, connections=2, seed=1)
        result = load.at_once(order)
        waiting = load.at_once(Order(**_fields(order) | {"waits": True}))
    due = waiting.count
    assert result.count + result.unsent == due
    assert waiting.unsent == 0
    assert due > 200


def _fields(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in order.__slots__}


# --- the exchange ---


async def asked_of(app: Any, body: bytes) -> tuple[int, Any]:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "http_version": "1.1"}
    await app(scope, receive, send)
    return sent[0]["status"], orjson.loads(b"".join(event.get("body", b"") for event in sent[1:]))


@pytest.mark.anyio
@pytest.mark.parametrize("case", ["handwritten", "mapping", "trusted", "native"])
async def test_all_receivers_do_the_same_work(case: str) -> None:
    assert len(orjson.dumps(ASKED)) == 1024
    agent = None if case == "handwritten" else agent_of(case, "memory")
    app = by_hand() if agent is None else agent.asgi()
    status, reply = await asked_of(app, envelope())
    assert (status, reply["status"], reply["body"]) == (200, "success", ANSWERED)
    assert agent is None or reply["tier"] == "routine"
    # Both check: what does not fit is refused. A person's own function is given whatever comes.
    wrong = orjson.loads(envelope())
    wrong["body"]["on"] = "soon"
    if case != "native":
        assert (await asked_of(app, orjson.dumps(wrong)))[1]["status"] == "failure"
    if agent is not None:
        await agent.aclose()


def test_documents_that_are_stored_at_once_are_what_putting_them_would_have_made(tmp_path: Path) -> None:
    pytest.importorskip("diskcache")
    found = {}
    for way in ("put", "at once"):
        documents = open_state(tmp_path / way).documents()
        if way == "put":
            for text in texts(20):
                documents.put(ProtocolDocument.from_text(text))
        else:
            stored(tmp_path / way, texts(20))
        connection = sqlite3.connect(tmp_path / way / "store" / "cache.db")
        rows = "SELECT key, raw, size, mode, value FROM Cache WHERE key GLOB 'document/*' OR key GLOB 'alias/*' ORDER BY key"
        sizes = "SELECT value FROM Settings WHERE key IN ('count', 'size') ORDER BY key"
        found[way] = (connection.execute(rows).fetchall(), connection.execute(sizes).fetchall())
        connection.close()
        assert documents.get(ProtocolDocument.from_text(next(iter(texts(1)))).hash) is not None
    assert found["put"] == found["at once"]
    assert len(found["put"][0]) == 40


# --- reports ---


def canned(*cases: str, **figures: float) -> Measured:
    return Measured({case: [figures] * 3 for case in cases})


def test_latency_has_every_line_that_was_promised_and_computes_it_from_its_cases() -> None:
    ours = {"p50_us": 100.0, "p99_us": 200.0, "rps": 9000.0}
    cases = {
        "echo": ours | {"rps": 18_000.0},
        "handwritten": ours | {"rps": 10_000.0},
        "mapping": ours,
        "code": ours | {"rps": 3_000.0},
        "mapping_1000_documents": ours,
        "mapping_100000_documents": ours | {"p50_us": 150.0},
        latency.IN_TURN: {"quotient": 1.04},
        "agora": {"p50_us": 5_000.0, "p99_us": 1.0, "rps": 150.0},
        "agora_1000_documents": {"p50_us": 17_000.0, "p99_us": 1.0, "rps": 50.0},
        "ask": ours | {"p50_us": 500.0},
        "sender": {"p50_us": 50.0},
        "codec": {"p50_us": 40.0},
        "messages": {"p50_us": 25.0},
        "message": {"p50_us": 20.0},
        "mcp_sdk": ours | {"p50_us": 2_000.0},
    }
    lines = latency.promised(Measured({case: [sample] * 5 for case, sample in cases.items()}))
    ratios = lines.ratios()
    wanted = {
        "mapping_rps_vs_handwritten": 0.9,
        "mapping_rps_vs_echo": 0.5,
        "code_rps_vs_echo": 0.1667,
        "rps_vs_agora": 60.0,
        "p50_vs_agora": 50.0,
        "p50_vs_agora_1000_documents": 170.0,
        "p50_100000_vs_1_document": 1.04,
        "in_process_us": 40.0,
        "in_process_messages_us": 25.0,
        "receiver_message_us": 20.0,
        "sender_own_cost_us": 50.0,
        "mcp_sdk_vs_ours": 4.0,
        "a2a_sdk_vs_ours": None,
        "anp_sdk_vs_ours": None,
    }
    assert {name: ratios[name] for name in wanted} == wanted
    met = {line.name: line.met for line in lines.lines}
    assert all(met[name] for name in wanted if wanted[name] is not None and name != "receiver_message_us")
    assert met["anp_sdk_vs_ours"] is None
    assert met["receiver_message_us"] is None, "what is wanted is the whole way from ask to answer"


def test_every_case_of_latency_has_its_place_in_a_round_beside_what_it_is_compared_with() -> None:
    cases = [*latency.FLOORS, *latency.OURS, "mapping_asgi", *latency.AGORA, *latency.KINDS]
    cases += [
        latency.IN_TURN,
        "mapping_1000_documents",
        "mapping_100000_documents",
        *(f"{name}_sdk" for name in latency.SDKS),
    ]
    assert sorted(latency.ORDER) == sorted(cases)
    compared = [(case, other) for case, other, _, _ in latency.BINDING]
    compared += [("mapping", "agora"), ("mapping", "mapping_100000_documents"), ("mapping", "agora_flask")]
    compared += [("mapping_1000_documents", "agora_1000_documents")]
    compared += [(f"{name}_sdk", ask) for name, (ask, _) in latency.SAME_CLIENT.items()]
    place = latency.ORDER.index
    assert {pair: apart for pair in compared if (apart := abs(place(pair[0]) - place(pair[1]))) > 3} == {}


def test_throughput_tells_a_server_that_keeps_up_from_one_that_does_not() -> None:
    good = Result(seconds=10.0, microseconds={200: [100.0] * 980 + [300.0] * 20})
    over = Result(seconds=10.0, microseconds={200: [400.0] * 500, 503: [50.0] * 2000}, unsent=7)
    lines = Lines(measured=Measured({}))
    throughput.under_load(lines, good, over, offered=100.0)
    assert lines.ratios() == {
        "sustained_errors": 0.0,
        "sustained_served_vs_offered": 1.0,
        "sustained_p99_vs_p50": 3.0,
        "overload_accepted_p99_vs_sustained": 1.333,
        "overload_others": 0.0,
        "overload_refused_p99_vs_accepted": 0.125,
        "overload_goodput_vs_capacity": 0.4,
    }
    assert all(line.met in (True, None) for line in lines.lines)

    behind = Result(seconds=20.0, microseconds={200: [1e6] * 1000, 503: [1.0], 0: [1.0]})
    lost = Result(seconds=10.0, microseconds={200: [5e6], 500: [1.0], 503: [6e6]})
    lines = Lines(measured=Measured({}))
    throughput.under_load(lines, behind, lost, offered=100.0)
    assert {line.name for line in lines.lines if line.met is False} == {
        "sustained_errors",
        "sustained_served_vs_offered",
        "overload_accepted_p99_vs_sustained",
        "overload_others",
        "overload_refused_p99_vs_accepted",
    }


def test_throughput_says_what_of_the_spread_is_the_machines() -> None:
    lines = Lines(measured=canned("echo", rps=1.0))
    by_hand = Result(seconds=1.0, microseconds={200: [100.0] * 98 + [900.0] * 2})
    absences = [{"share": 0.01, "often": 3.0, "worst": 0.004}, {"share": 0.03, "often": 3.0, "worst": 0.002}]
    throughput.beside(lines, by_hand, absences)
    assert lines.ratios() == {
        "sustained_p99_vs_p50_handwritten": 9.0,
        "absent_share": 0.02,
        "absent_worst_ms": 4.0,
    }


def test_an_absence_is_time_between_two_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([10.0, 10.0001, 10.0041, 10.0042, 10.0062, 11.0])
    monkeypatch.setattr(absences, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    found = absences.look(0.9)
    assert found["often"] == pytest.approx(3 / 0.9)
    assert found["worst"] == pytest.approx(0.9938)
    assert found["share"] == pytest.approx((0.004 + 0.002 + 0.9938) / 0.9)


def test_a_process_that_says_nothing_is_not_waited_for_for_ever() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w") as other:
        with pytest.raises(TimeoutError, match="nothing"):
            load.line_from(pipe, 0.0)
        other.write("said\n")
        other.flush()
        assert load.line_from(pipe, 30.0) == "said\n"


def test_throughput_compares_cases_at_sixteen_connections() -> None:
    sample = {f"rps_{number}": float(number) for number in throughput.CONNECTIONS}
    rounds = {case: [sample] for case in ("mapping", "handwritten", "echo", "code", "trusted", "native")}
    rounds["echo"] = [sample | {"rps_16": 32.0}]
    rounds["mapping_2_workers"] = [sample | {"rps_64": 96.0}]
    ratios = throughput.promised(Measured(rounds), 2).ratios()
    assert (ratios["mapping_rps_vs_echo"], ratios["mapping_rps_vs_handwritten"]) == (0.5, 1.0)
    assert (ratios["mapping_rps_workers_vs_1"], ratios["code_rps_workers_vs_1"], ratios["rps_vs_agora"]) == (
        1.5,
        None,
        None,
    )


def test_throughput_has_a_place_for_every_case_and_a_quick_run_looks_at_what_lines_are_about(tmp_path: Path) -> None:
    cases = [*speed.FLOORS, *speed.OURS, "agora", "mapping_3_workers", "code_3_workers"]
    assert sorted(throughput.order_of(3)) == sorted(cases)
    assert {throughput.BINDING, 64} <= set(throughput.QUICK_CONNECTIONS)
    orders: list[Order] = []

    def ask(order: Order) -> Result:
        orders.append(order)
        return Result(seconds=0.5, microseconds={200: [10.0] * order.connections})

    bench = Bench(tmp_path, make=False)
    bench.load = ask  # type: ignore[assignment]
    server = speed.Server(process=None, port=1, request=REQUEST)  # type: ignore[arg-type]
    probe = throughput.look_at(bench, server, 0.1, throughput.QUICK_CONNECTIONS)
    measured = interleaved({"echo": probe}, 2)
    assert [order.connections for order in orders] == [16, 64, 16, 64]
    assert all(0 < order.lead_in < order.seconds for order in orders)
    assert throughput.table(measured, ["echo"], throughput.QUICK_CONNECTIONS)[-1] == "| echo | 32 | 128 | 10 |"


def test_memory_compares_starts_with_that_of_python() -> None:
    seconds = {"python": 0.02, "import negotiator": 0.1, "an agent": 0.5, "first routine": 0.6, "all routines": 1.2}
    rounds = {name: [{"seconds": each}] for name, each in seconds.items()}
    rounds |= {"document": [{"bytes": 3000.0}], "routine": [{"mapping": 9000.0, "code": 8000.0}]}
    lines = memory.promised(Measured(rounds), {"requests": 10, "warm_bytes": 100, "bytes": 106})
    ratios = lines.ratios()
    assert (ratios["import_vs_python"], ratios["agent_vs_python"]) == (5.0, 25.0)
    assert (ratios["first_of_1000_routines_s"], ratios["bytes_per_code_routine"]) == (0.6, 8000.0)
    assert {line.name for line in lines.lines if line.met is False} == {"rss_growth"}


def test_a_report_says_what_was_left_out_and_on_which_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = argparse.Namespace(quick=True, rounds=3)
    running = speed.Run("latency", given, tmp_path)
    loops = iter([900.0, 1900.0, 1000.0])
    monkeypatch.setattr(speed, "loop_us", lambda: next(loops))
    for number in range(3):
        running.between(f"round {number + 1} of 3: echo")
    lines = Lines(measured=canned("echo", p50_us=1.0))
    lines.median("m", "echo", "p50_us", "lower", 2, "an echo")
    bench = Bench(tmp_path, make=False)
    bench.left_out["agora"] = "it is not there"
    running.write("Latency", "About it.", lines, ["| a table |"], bench, {"body_bytes": 1024}, "<svg/>")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["ratios"] == {"m": 1.0}
    assert report["targets"]["m"] == {
        "value": 1.0,
        "better": "lower",
        "wanted": 2,
        "met": True,
        "means": "an echo",
        "rounds": {"lowest": 1.0, "lower_quartile": 1.0, "upper_quartile": 1.0, "highest": 1.0},
    }
    assert report["machine_loop_us"] == {"fastest": 900.0, "median": 1000.0, "slowest": 1900.0}
    assert report["left_out"] == {"agora": "it is not there"}
    assert {"machine", "load_average", "rounds", "seconds", "figures", "body_bytes"} <= report.keys()
    text = (tmp_path / "report.md").read_text()
    assert "Left out: agora (it is not there)." in text
    assert "rough" in text
    assert "900 (fastest), 1000 (median), 1900 (slowest)" in text
    assert (tmp_path / "plot.svg").read_text() == "<svg/>"


def test_fewer_than_five_rounds_are_for_a_quick_run() -> None:
    given = argparse.Namespace(quick=False, rounds=4, seconds=1.0)
    with pytest.raises(SystemExit):
        speed.shortened(given, rounds=3, seconds=0.1)
    quick = speed.shortened(argparse.Namespace(quick=True, rounds=9, seconds=1.0), rounds=3, seconds=0.1)
    assert (quick.rounds, quick.seconds) == (3, 0.1)


def test_an_environment_that_is_not_there_is_made_only_where_that_was_asked_for(tmp_path: Path) -> None:
    pinned = tmp_path / "rival.txt"
    pinned.write_text("", encoding="utf-8")
    with pytest.raises(NotHere):
        python_of(pinned, "json", home=tmp_path / "peers", make=False)
    assert not (tmp_path / "peers").exists()


def test_two_servers_are_asked_in_turn_and_each_as_often_first(tmp_path: Path) -> None:
    asked: list[int] = []

    def answered(order: Order) -> Result:
        asked.append(order.port)
        assert order.at_least > 1
        assert order.lead_in > 0
        return Result(seconds=0.0, microseconds={200: [float(order.port)] * order.at_least})

    bench = Bench(tmp_path, make=False)
    bench.load = answered  # type: ignore[assignment]
    assert bench.in_turn(300, 200, REQUEST, 0.0)() == {"quotient": 1.5}
    assert asked == [300, 200]
    bench.in_turn(300, 200, REQUEST, 0.01)()
    assert asked[2:6] == [300, 200, 200, 300]
    assert asked.count(300) == asked.count(200)


def test_servers_in_processes_of_their_own_are_measured_and_end(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("diskcache")
    with Bench(tmp_path / "peers", make=False) as bench:
        assert speed.start_agora(bench, {"agora": ("waitress", 1)}) == {}
        assert speed.start_sdks(bench) == {}
        assert set(bench.left_out) == {"agora", "mcp", "a2a", "anp"}
        servers = speed.start_ours(bench, tmp_path, {"echo": ("echo", 1), "many": ("mapping", 50)})
        spent = Spent(sequential=0.05, at_once=0.05)
        for server in servers.values():
            sample = bench.over_http(server.port, server.request, spent, server.process.pid)()
            assert {"p50_us", "p99_us", "rps", "loaded_p99_us"} <= sample.keys()
            assert min(sample["p99_us"]) <= sample["p50_us"] <= max(sample["p99_us"])
        caller = bench.module("benchmarks.callers", "message")
        assert caller.hear() == {"ready": True}
        assert bench.calling(caller, Spent(sequential=0.05, at_once=0.0))().keys() == {"p50_us", "p99_us"}
        pids = [server.process.pid for server in servers.values()]
        assert open_state(tmp_path / "many").documents().get(DOCUMENT.hash) is not None
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
