"""What one request takes: receivers of ours, what stands below them, and what somebody would use instead.

Every case is looked at twice a round, a tenth of a second each: one request after the other over one connection, and
sixteen connections at once, on one server process. All servers are behind what `negotiator serve` uses, but for agora-protocol, which brings
its own and stands behind waitress too; its document, handler and body are the same. What has a client of its own (MCP,
A2A, ANP, and an agent of ours) is called through it. Two figures are of one process: no network is in them.
"""

import argparse
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from benchmarks.bars import bar_plot
from benchmarks.callers import KINDS
from benchmarks.exchange import BODY_BYTES
from benchmarks.processes import Bench, Spent, until_ready
from benchmarks.rounds import Lines, Measured, Probe, interleaved
from benchmarks.speed import (
    FLOORS,
    OURS,
    SDKS,
    Run,
    room,
    shortened,
    start_agora,
    start_ours,
    start_sdks,
)
from benchmarks.speed import (
    add_arguments as add_common,
)

SEVERAL: Final = (1_000, 100_000)
"""Documents that stores hold beside the cases with one."""
QUICK_MANY: Final = 10_000
"""What stands for 100,000 documents in a quick run."""
AGORA: Final = {
    "agora": ("waitress", 1),
    "agora_1000_documents": ("waitress", 1_000),
    "agora_flask": ("flask", 1),
}
SLOW: Final = ("agora_1000_documents",)
"""Sixteen at once take a second to be answered, and nobody asks how many."""
NOT_QUICKLY: Final = frozenset({"agora_flask", "trusted", "native", "client", "fast", "own", "message"})
"""What a quick run leaves out: most of it is processes that start, and nothing was promised of these."""

BINDING: Final = (
    ("mapping", "handwritten", 0.80, "a mapping, in parts of a hand-written handler"),
    ("mapping", "echo", 0.45, "a mapping, in parts of an echo"),
    ("mapping_asgi", "handwritten", None, "the same as an ASGI application alone, in parts of a hand-written handler"),
    ("mapping_asgi", "echo", None, "the same as an ASGI application alone, in parts of an echo"),
    ("code", "echo", 0.15, "a code routine in one locked worker, in parts of an echo"),
    ("trusted", "echo", None, "a code routine that is trusted, in parts of an echo"),
    ("native", "echo", None, "a person's own function, in parts of an echo"),
)
"""Each is a line twice: the requests a second bind, since one after the other is mostly the kernel waking processes."""

IN_TURN: Final = "mapping_many_in_turn"
"""No case of its own: a server with many documents and one with a single one, asked a few times each in turn. What they
differ by, if anything, is less than what the machine is faster in one tenth of a second than in the next.
"""
ORDER: Final = (
    *("trusted", "code", "native", "echo", "mapping_asgi", "handwritten", "mapping"),
    *("mapping_100000_documents", "agora", "agora_flask", IN_TURN, "mapping_1000_documents", "agora_1000_documents"),
    *("a2a_sdk", "mcp_sdk", "ask", "anp_sdk", "ask_fast", "client", "fast"),
    *("sender", "own", "codec", "messages", "message"),
)
"""The cases of a round: those that a line compares stand near each other, so that they mostly meet the same machine."""
ALONE: Final = ("sender", "own", "codec", "messages", "message")
"""Callers of which one call follows the other, whatever is asked of them."""
SAME_CLIENT: Final = {"mcp": ("ask", "httpx"), "a2a": ("ask", "httpx"), "anp": ("ask_fast", "aiohttp")}
"""What a rival's client is held against: ours over the HTTP client that it uses itself. Most of a call is that."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, rounds=30, seconds=0.1)


def run(given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Measure, and write the report."""
    given = shortened(given, rounds=3, seconds=0.05)
    running = Run("latency", given, out)
    many = QUICK_MANY if given.quick else SEVERAL[-1]
    with room(given) as (bench, folder):
        running.progress.at("starting the servers")
        without = NOT_QUICKLY if given.quick else frozenset()
        bench.left_out |= dict.fromkeys(sorted(without), "a quick run")
        found = probes(bench, folder, given.seconds, many, without)
        for case, look in found.items():
            running.progress.at(f"a first look: {case}")
            look()
        measured = interleaved(found, given.rounds, running.between)
    lines = promised(measured)
    # A difference is no request.
    figures = {case: measured.median(case, "p50_us") for case in found if case not in ("sender", IN_TURN)}
    ours = frozenset(case for case in found if case.partition("_")[0] in {*OURS, *KINDS})
    return running.write(
        "Latency",
        f"One request of {BODY_BYTES} bytes and its reply: microseconds, and requests a second at 16 connections.",
        lines,
        table(measured, [case for case in found if case != IN_TURN]),
        bench,
        {"body_bytes": BODY_BYTES, "documents_in_the_largest_store": many},
        bar_plot("Microseconds of one request, median, one after the other", figures, ours=ours),
    )


def probes(
    bench: Bench, folder: Path, seconds: float, many: int, without: AbstractSet[str] = frozenset()
) -> dict[str, Probe]:
    """A look at each case that can be had here, but for those that are to be left out."""
    spent = Spent(sequential=seconds, at_once=seconds)
    cases = {name: (name, 1) for name in (*FLOORS, *OURS, "mapping_asgi")}
    cases |= {"mapping_1000_documents": ("mapping", SEVERAL[0]), "mapping_100000_documents": ("mapping", many)}
    cases, agora = ({name: each for name, each in some.items() if name not in without} for some in (cases, AGORA))
    kinds = [kind for kind in KINDS if kind not in without]
    # Most of a quick run is processes that load what they need: none of them waits for another's.
    with ThreadPoolExecutor(3) as starting:
        rivals, sdks = starting.submit(start_agora, bench, agora), starting.submit(start_sdks, bench)
        ours = start_ours(bench, folder, cases)
        callers = {kind: bench.module("benchmarks.callers", kind, ours["mapping"].port) for kind in kinds}
        until_ready(*callers.values())
        servers = ours | rivals.result()
    alone = {kind: callers.pop(kind) for kind in ALONE if kind in callers}
    one = dict.fromkeys((*SLOW, "sender"), Spent(sequential=seconds, at_once=0.0))
    found = {
        case: bench.over_http(server.port, server.request, one.get(case, spent), server.process.pid)
        for case, server in servers.items()
    }
    most = servers["mapping_100000_documents"]
    found[IN_TURN] = bench.in_turn(most.port, servers["mapping"].port, most.request, seconds)
    found |= {case: bench.calling(process, spent) for case, process in (sdks.result() | callers).items()}
    rest = Spent(sequential=seconds / 2, at_once=0.0)
    found |= {kind: bench.calling(process, one.get(kind, rest)) for kind, process in alone.items()}
    return {case: found[case] for case in ORDER if case in found}


def promised(measured: Measured) -> Lines:
    """The lines of the report that something was promised of."""
    lines = Lines(measured=measured)
    ratio, higher, lower = lines.ratio, "higher", "lower"
    for case, other, wanted, means in BINDING:
        ratio(f"{case}_rps_vs_{other}", case, "rps", other, higher, wanted, f"{means}, requests a second")
        ratio(f"{case}_p50_vs_{other}", case, "p50_us", other, lower, None, f"{means}, one after the other")
        ratio(f"{case}_cpu_vs_{other}", case, "cpu_us", other, lower, None, f"{means}, processor time of the server")
    ratio("rps_vs_agora", "mapping", "rps", "agora", higher, 60, "times agora-protocol's, behind waitress")
    ratio("p50_vs_agora", "agora", "p50_us", "mapping", higher, 25, "its time of one request, in times ours")
    ratio(
        "p50_vs_agora_1000_documents",
        *("agora_1000_documents", "p50_us", "mapping_1000_documents", higher, 100),
        "the same, with 1,000 documents on both sides",
    )
    ratio("p50_vs_agora_flask", "agora_flask", "p50_us", "mapping", higher, None, "its own server, in times ours")
    lines.median(
        "p50_100000_vs_1_document",
        *(IN_TURN, "quotient", lower, 1.05),
        "ours with many documents (see `documents_in_the_largest_store`), in times ours with one, asked in turn",
    )
    lines.median("in_process_us", "codec", "p50_us", lower, 50, "ask -> answer in one process, through bytes")
    lines.median("in_process_messages_us", "messages", "p50_us", lower, 30, "the same, passing messages")
    lines.median("receiver_message_us", "message", "p50_us", lower, None, "a receiver alone, from message to message")
    lines.median("sender_own_cost_us", "sender", "p50_us", lower, 60, "a sender's time over that of its HTTP client")
    lines.median("sender_without_network_us", "own", "p50_us", lower, None, "a sender whose peer answers at once")
    for name in SDKS:
        ask, client = SAME_CLIENT[name]
        means = f"its call, in times ours, both sides, each over {client}"
        ratio(f"{name}_sdk_vs_ours", f"{name}_sdk", "p50_us", ask, higher, 1, means)
    for name in SDKS:
        ask, client = SAME_CLIENT[name]
        means = f"ours at 16 at once, in times its, each over {client}"
        ratio(f"rps_vs_{name}_sdk", ask, "rps", f"{name}_sdk", higher, 1, means)
    means = "the same with our default client, httpx, where its is aiohttp"
    ratio("rps_vs_anp_sdk_by_default", "ask", "rps", "anp_sdk", higher, None, means)
    return lines


def table(measured: Measured, cases: list[str]) -> list[str]:
    """All cases, for people."""
    rows = ["| case | p50 us | p99 us | requests/s at 16 | p99 us at 16 | processor us |", "|---" * 6 + "|"]
    for case in cases:
        cells = [_cell(measured, case, measure) for measure in ("p50_us", "p99_us", "rps", "loaded_p99_us", "cpu_us")]
        rows.append(f"| {case} | {' | '.join(cells)} |")
    return rows


def _cell(measured: Measured, case: str, measure: str) -> str:
    value = measured.median(case, measure) if measured.has(measure, case) else measured.p99(case, measure)
    return "" if value is None else f"{value:.0f}"
