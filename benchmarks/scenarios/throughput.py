"""How many requests a second: receivers of ours beside floors and rivals, several workers, and more than there is room.

Every case answers over 1, 4, 16 and 64 connections, each with its next request when the last is answered. Then one
receiver with a mapping is asked at a rate that does not wait for it (requests begin at random moments, and are counted
from when they were due): 80 % of what it managed over 64 connections, for a minute; and three times what it managed.
How far apart times lie at 80 % is a matter of the machine first: so the same is asked of a hand-written handler, and of
each processor how long it does not run who would.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.exchange import BODY_BYTES
from benchmarks.orders import Order, Result
from benchmarks.plots import line_plot
from benchmarks.processes import LEAD_IN, Bench, rate_of, until_ready
from benchmarks.rounds import Lines, Measured, Probe, Seen, interleaved, percentile
from benchmarks.speed import FLOORS, OURS, Run, Server, room, shortened, start_agora, start_ours
from benchmarks.speed import add_arguments as add_common

CONNECTIONS: Final = (1, 4, 16, 64)
QUICK_CONNECTIONS: Final = (16, 64)
"""Those that lines are about: what a quick run looks at."""
BINDING: Final = 16
"""Connections at which cases are compared."""
SUSTAINED, OVERLOAD = 0.8, 3.0
BY_HAND: Final = "handwritten"
OURS_LOADED: Final = "mapping"
"""Who is asked at a rate that does not wait."""
_SEED: Final = 20_261_123
_MANY: Final = 64
"""Connections over which capacity is measured, and 80 % of it asked for."""
_CROWD: Final = round(OVERLOAD) * _MANY
"""Connections of who asks for three times as much."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, rounds=20, seconds=0.1)
    parser.add_argument("--sustained", type=float, default=60.0, help="seconds at 80 %% (default: %(default)s)")
    parser.add_argument("--overload", type=float, default=10.0, help="seconds at 300 %% (default: %(default)s)")


def run(given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Measure, and write the report."""
    if given.quick:
        given = argparse.Namespace(**vars(given) | {"sustained": 3.0, "overload": 2.0})
    given = shortened(given, rounds=3, seconds=0.05)
    running = Run("throughput", given, out)
    with room(given) as (bench, folder):
        running.progress.at("a look at the machine")
        spinning = [bench.module("benchmarks.absences", 1.0) for _ in range(os.cpu_count() or 1)]
        absences = until_ready(*spinning)
        running.progress.at("starting the servers")
        servers = start_ours(bench, folder, {name: (name, 1) for name in (*FLOORS, *OURS)})
        servers |= start_agora(bench, {"agora": ("waitress", 1)})
        workers = max(2, (os.cpu_count() or 2))
        servers |= _several(bench, folder, workers, servers["mapping"].request)
        connections = QUICK_CONNECTIONS if given.quick else CONNECTIONS
        found = {
            case: look_at(bench, servers[case], given.seconds, connections)
            for case in order_of(workers)
            if case in servers
        }
        for look in found.values():
            look()
        measured = interleaved(found, given.rounds, running.between)
        capacity = {case: measured.median(case, "rps_64") for case in (BY_HAND, OURS_LOADED)}
        sustained = {}
        for case, its in capacity.items():
            running.progress.at(f"{case} at 80 %")
            order = _open(servers[case], its * SUSTAINED, given.sustained, connections=_MANY, waits=True)
            sustained[case] = bench.load(order)
        running.progress.at("at 300 %")
        order = _open(servers[OURS_LOADED], capacity[OURS_LOADED] * OVERLOAD, given.overload, connections=_CROWD)
        overload = bench.load(order)
    lines = promised(measured, workers)
    under_load(lines, sustained[OURS_LOADED], overload, offered=capacity[OURS_LOADED] * SUSTAINED)
    beside(lines, sustained[BY_HAND], absences)
    shown = {case: [measured.median(case, f"rps_{number}") for number in connections] for case in found}
    more = {"body_bytes": BODY_BYTES, "workers": workers, "capacity_rps": capacity, "absences": absences}
    more |= {"sustained": {case: _told(each) for case, each in sustained.items()}, "overload": _told(overload)}
    return running.write(
        "Throughput",
        f"Requests a second with bodies of {BODY_BYTES} bytes, on one server process unless workers are named.",
        lines,
        [*table(measured, list(found), connections), "", *_load_table(sustained, overload, capacity)],
        bench,
        more,
        line_plot("Requests a second", "connections", "requests a second", connections, shown),
    )


def order_of(workers: int) -> tuple[str, ...]:
    """The cases of a round: those that a line compares stand near each other."""
    code, mapping = (f"{case}_{workers}_workers" for case in ("code", "mapping"))
    return ("trusted", "native", code, "code", "echo", BY_HAND, OURS_LOADED, mapping, "agora")


def _several(bench: Bench, folder: Path, workers: int, request: bytes) -> dict[str, Server]:
    started = {}
    for case in ("mapping", "code"):
        environment = {"BENCHMARK_CASE": case, "BENCHMARK_STATE": str(folder / f"{case}_workers")}
        started[case] = bench.served("benchmarks.served:agent", workers, environment)
    return {
        f"{case}_{workers}_workers": Server(
            process=process, port=int(process.hear()["address"].rpartition(":")[2]), request=request
        )
        for case, process in started.items()
    }


def look_at(bench: Bench, server: Server, seconds: float, connections: Sequence[int]) -> Probe:
    """Requests a second, by the number of connections."""
    orders = {
        number: Order(
            port=server.port,
            request=server.request,
            way="closed",
            connections=number,
            seconds=seconds,
            lead_in=seconds * LEAD_IN,
        )
        for number in connections
    }

    def look() -> Seen:
        seen: dict[str, float | list[float]] = {}
        for number, order in orders.items():
            result = bench.load(order)
            seen |= {f"rps_{number}": rate_of(result), f"p99_us_{number}": result.good()}
        return seen

    return look


def _open(server: Server, rate: float, seconds: float, *, connections: int, waits: bool = False) -> Order:
    return Order(
        port=server.port,
        request=server.request,
        way="open",
        rate=rate,
        seconds=seconds,
        seed=_SEED,
        connections=connections,
        waits=waits,
    )


def promised(measured: Measured, workers: int) -> Lines:
    """The lines that compare cases."""
    lines = Lines(measured=measured)
    at = f"rps_{BINDING}"
    for case, other, wanted, means in (
        ("mapping", "handwritten", 0.80, "a mapping, in parts of a hand-written handler"),
        ("mapping", "echo", 0.45, "a mapping, in parts of an echo"),
        ("code", "echo", 0.15, "a code routine in one locked worker, in parts of an echo"),
        ("trusted", "echo", None, "a code routine that is trusted, in parts of an echo"),
        ("native", "echo", None, "a person's own function, in parts of an echo"),
    ):
        lines.ratio(f"{case}_rps_vs_{other}", case, at, other, "higher", wanted, means)
    lines.ratio("rps_vs_agora", "mapping", at, "agora", "higher", 60, "times agora-protocol's, behind waitress")
    # The client needs a core too: with fewer than three, more workers have nowhere to run.
    grows = 1.0 if (os.cpu_count() or 1) > 2 else None
    for case in ("mapping", "code"):
        several = f"{case}_{workers}_workers"
        lines.ratio(
            f"{case}_rps_workers_vs_1",
            *(several, "rps_64", case, "higher", grows),
            f"{workers} workers at 64 connections, in times one",
        )
    return lines


def under_load(lines: Lines, sustained: Result, overload: Result, *, offered: float) -> None:
    """The lines about load that does not wait; `offered` is how many a second were due at 80 %."""
    good, errors = sustained.microseconds.get(200, []), sustained.count - len(sustained.microseconds.get(200, []))
    errors += len(sustained.microseconds.get(0, []))
    p99 = percentile(good, 0.99)
    lines.add("sustained_errors", float(errors), "lower", 0, "replies other than 200 at 80 % of capacity")
    served = len(good) / sustained.seconds / offered
    lines.add("sustained_served_vs_offered", served, "higher", 0.98, "whether it kept up at 80 %")
    lines.add("sustained_p99_vs_p50", p99 / percentile(good, 0.5), "lower", 5, "spread of the times at 80 %")
    accepted, refused = overload.microseconds.get(200, []), overload.microseconds.get(503, [])
    others = sum(len(each) for status, each in overload.microseconds.items() if status not in (200, 503))
    late = percentile(accepted, 0.99) / p99 if accepted else None
    lines.add("overload_accepted_p99_vs_sustained", late, "lower", 2, "accepted at 300 %, in times those at 80 %")
    lines.add("overload_others", float(others), "lower", 0, "replies at 300 % that are neither 200 nor 503")
    at_once = percentile(refused, 0.99) / percentile(accepted, 0.99) if refused and accepted else None
    lines.add("overload_refused_p99_vs_accepted", at_once, "lower", 1, "how soon the rest hears 503")
    share = len(accepted) / overload.seconds / (offered / SUSTAINED)
    lines.add("overload_goodput_vs_capacity", share, "higher", None, "accepted a second at 300 %, in parts of capacity")


def beside(lines: Lines, by_hand: Result, absences: list[dict[str, float]]) -> None:
    """The lines that say what of the spread is the machine's."""
    good = by_hand.microseconds.get(200, [])
    spread = percentile(good, 0.99) / percentile(good, 0.5)
    means = "the same of a hand-written handler, at 80 % of what that can"
    lines.add("sustained_p99_vs_p50_handwritten", spread, "lower", None, means)
    taken = sum(each["share"] for each in absences) / len(absences)
    lines.add("absent_share", taken, "lower", None, "of its time that a process which only counts is not run")
    worst = max(each["worst"] for each in absences) * 1000
    lines.add(
        "absent_worst_ms", worst, "lower", None, "the longest that it is not run, in 1 s; nothing else was at work"
    )


def table(measured: Measured, cases: list[str], connections: Sequence[int]) -> list[str]:
    """All cases, for people."""
    rows = [f"| case | {' | '.join(f'{number} connections' for number in connections)} | p99 us at 64 |"]
    rows.append("|---" * (len(connections) + 2) + "|")
    for case in cases:
        cells = [f"{measured.median(case, f'rps_{number}'):.0f}" for number in connections]
        rows.append(f"| {case} | {' | '.join(cells)} | {measured.p99(case, 'p99_us_64'):.0f} |")
    return rows


def _load_table(sustained: dict[str, Result], overload: Result, capacity: dict[str, float]) -> list[str]:
    said = ", ".join(f"{each:.0f} requests a second ({case})" for case, each in capacity.items())
    rows = [f"Capacity, over 64 connections: {said}.", ""]
    rows += ["| load | status | a second | p50 us | p99 us |", "|---|---|---|---|---|"]
    loads = [(f"{case} at 80 %", result) for case, result in sustained.items()]
    for name, result in (*loads, (f"{OURS_LOADED} at 300 %", overload)):
        for status, each in sorted(result.microseconds.items()):
            if each:
                times = f"{percentile(each, 0.5):.0f} | {percentile(each, 0.99):.0f}"
                rows.append(f"| {name} | {status or 'none'} | {len(each) / result.seconds:.0f} | {times} |")
        if result.unsent:
            rows.append(f"| {name} | not sent: {_CROWD} were waiting | {result.unsent / result.seconds:.0f} | | |")
    return rows


def _told(result: Result) -> dict[str, Any]:
    return {
        "seconds": result.seconds,
        "unsent": result.unsent,
        "by_status": {
            str(status): {"count": len(each), "p50_us": percentile(each, 0.5), "p99_us": percentile(each, 0.99)}
            for status, each in result.microseconds.items()
            if each
        },
    }
