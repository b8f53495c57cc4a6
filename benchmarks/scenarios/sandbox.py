"""What the sandbox costs: a plain call, the language alone, a locked worker, a first call, a kill and a replacement.

Everything is measured in one run, in rounds that take each case in turn, and a figure is the median of its rounds: what
else the machine does falls on all cases alike, and ratios mean more than microseconds. Processor time is given beside
the clock. No model and no data set is used.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.scenarios.sandbox_cases import Measured, cases, measure_rounds
from benchmarks.scenarios.sandbox_programs import ECHO, ECHO_DATA, HANGS, TRANSFORM, TRANSFORM_DATA
from sandbox import Executor, LimitExceeded, Limits
from sandbox.locked import Locked
from sandbox.trusted import Trusted

_HANG = Limits(wall_s=0.2)
_FLAT_MIB = 2.0
"""How much more memory a process may have after all calls than after the first tenth of them."""
_COLD = """
import time
began = time.perf_counter()
import sandbox
imported = time.perf_counter()
sandbox.run("def handle(data): return data", 1)
answered = time.perf_counter()
sandbox.run("def handle(data): return data", 1, tenant="another")
print(imported - began, answered - imported, time.perf_counter() - answered)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=9, help="rounds, at least 5 (default: 9)")
    parser.add_argument("--calls", type=int, default=1000, help="calls of each case a round (default: 1000)")
    parser.add_argument("--memory-calls", type=int, default=100_000, help="calls of the memory part (default: 100000)")
    parser.add_argument("--without-monty", action="store_true", help="leave it out where it is installed too")
    parser.add_argument("--quick", action="store_true", help="the same within 30 s: fewer rounds and calls")


def run(arguments: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Run it, write OUT/report.json and OUT/report.md, and return the report."""
    rounds, calls, memory_calls = arguments.rounds, arguments.calls, arguments.memory_calls
    if arguments.quick:
        rounds, calls, memory_calls = min(rounds, 5), min(calls, 200), min(memory_calls, 5_000)
    if rounds < 5:
        raise SystemExit("--rounds is at least 5")
    started = time.monotonic()
    with _executors(with_monty=not arguments.without_monty) as (locked, monty):
        found = cases(locked, Trusted(), monty)
        measured = measure_rounds(found, rounds, calls)
        report = {
            "benchmark": "sandbox",
            "machine": machine(),
            "rounds": rounds,
            "calls_a_round": calls,
            "level": locked.level,
            "locks": locked.locks,
            "monty": "measured" if monty else "left out" if arguments.without_monty else "not installed",
            "figures": {name: figure.to_json() for name, figure in measured.items()},
            "kill": kill(locked, repeats=1 if arguments.quick else 5),
            "replacement": replacement(repeats=3 if arguments.quick else 15),
            "cold": cold(repeats=1 if arguments.quick else 7),
            "memory": memory(locked, memory_calls),
        }
    report["ratios"] = ratios(measured, report)
    report["targets"] = targets(report)
    report["seconds"] = round(time.monotonic() - started, 1)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(report), encoding="utf-8")
    return report


@contextmanager
def _executors(*, with_monty: bool) -> Iterator[tuple[Locked, Executor | None]]:
    locked, monty = Locked(), None
    try:
        if with_monty and find_spec("pydantic_monty") is not None:
            from sandbox.monty import Monty  # noqa: PLC0415 - an extra

            monty = Monty()
        yield locked, monty
    finally:
        locked.close()
        if monty is not None:
            monty.close()


def kill(locked: Locked, *, repeats: int) -> dict[str, Any]:
    """How long after its deadline a program that never ends is given up and its worker is dead, in seconds."""
    over: list[float] = []
    by: dict[str, float] = {}
    for name, source in HANGS.items():
        for _ in range(repeats):
            over.append(_overrun(locked, lambda: locked.run(source, 0, limits=_HANG)))  # noqa: B023 - called at once
            over.append(_overrun(locked, lambda: asyncio.run(locked.arun(source, 0, limits=_HANG))))  # noqa: B023
        by[name] = round(max(over[-2 * repeats :]), 4)
    return {"deadline_s": _HANG.wall_s, "overshoot_s": {"p50": _rounded(over), "most": round(max(over), 4)}, "by": by}


def _overrun(locked: Locked, call: Callable[[], Any]) -> float:
    _until(lambda: bool(locked.processes))  # so that no start of a worker is counted
    began = time.perf_counter()
    try:
        call()
    except LimitExceeded:
        return time.perf_counter() - began - _HANG.wall_s
    raise AssertionError("a program that never ends has ended")


def replacement(*, repeats: int) -> dict[str, Any]:
    """The call after a worker was killed, with a spare ready and without any, in seconds."""
    figures: dict[str, Any] = {}
    for name, spares in (("with_a_spare", 1), ("without_a_spare", 0)):
        executor = Locked(workers=1, spares=spares)
        first: list[float] = []
        try:
            executor.run(ECHO, ECHO_DATA)
            for _ in range(repeats):
                _until(lambda: len(executor.processes) == 1 + spares)  # noqa: B023 - called at once
                _end_worker(executor)
                began = time.perf_counter()
                executor.run(ECHO, ECHO_DATA)
                first.append(time.perf_counter() - began)
        finally:
            executor.close()
        figures[name] = {"p50_s": _rounded(first), "most_s": round(max(first), 5)}
    return figures


def _end_worker(executor: Locked) -> None:
    try:
        executor.run("def handle(data):\n    return end()\n", 0, tools={"end": _raise})
    except _EndOfWorker:
        return


class _EndOfWorker(Exception):
    pass


def _raise() -> None:
    # A handler that is left in the middle of a call ends with its worker.
    raise _EndOfWorker


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError("no spare worker came up")
        time.sleep(0.005)


def cold(*, repeats: int) -> dict[str, Any]:
    """A process's first import, first answer and first answer for a second tenant, in seconds."""
    rows = []
    for _ in range(repeats):
        ran = subprocess.run([sys.executable, "-c", _COLD], capture_output=True, text=True, check=True)
        rows.append([float(word) for word in ran.stdout.split()])
    names = ("import_s", "first_answer_s", "second_tenant_s")
    return {name: _rounded(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def memory(locked: Locked, calls: int) -> dict[str, Any]:
    """Resident memory of this process and of its workers while many calls are made."""
    step = max(calls // 10, 1)
    host: list[float] = []
    workers: dict[int, list[float]] = {}
    for _ in range(10):
        for _ in range(step):
            locked.run(TRANSFORM, TRANSFORM_DATA, tenant="memory")
        host.append(resident_mib(os.getpid()))
        for process in locked.processes:
            workers.setdefault(process, []).append(resident_mib(process))
    grown = {process: seen[-1] - seen[0] for process, seen in workers.items()}
    return {
        "calls": 10 * step,
        "host_mib": {"after_a_tenth": host[0], "after_all": host[-1]},
        "host_growth_mib": round(host[-1] - host[0], 2),
        "worker_mib": {
            "after_a_tenth": max(seen[0] for seen in workers.values()),
            "most": max(map(max, workers.values())),
        },
        "worker_growth_mib": round(max(grown.values()), 2),
    }


def resident_mib(process: int) -> float:
    """Resident memory of a process in MiB; 0 where it is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2)


def ratios(measured: dict[str, Measured], report: dict[str, Any]) -> dict[str, float]:
    """Figures of one run held against each other, round by round where there are rounds."""
    plain = measured["plain_transform"]
    made = {f"{name}_p50_vs_plain": figure.against(plain) for name, figure in measured.items() if "transform" in name}
    del made["plain_transform_p50_vs_plain"]
    # The plain call's own tail is the machine's: what stands beside it in the others is not theirs.
    made |= {
        f"{name}_p99_vs_p50": figure.tail()
        for name, figure in measured.items()
        if name.startswith("locked") or figure is plain
    }
    made["locked_transform_cpu_vs_plain_cpu"] = round(
        (measured["locked_transform"].cpu_us + measured["locked_transform"].worker_cpu_us) / plain.cpu_us, 2
    )
    spare, bare = (report["replacement"][name]["p50_s"] for name in ("with_a_spare", "without_a_spare"))
    made["replacement_with_a_spare_vs_without"] = round(spare / bare, 3)
    return made


def targets(report: dict[str, Any]) -> list[dict[str, Any]]:
    """What was asked for, what was measured, and whether it was reached."""
    rows = (
        ("locked_transform_p50_vs_plain", report["ratios"]["locked_transform_p50_vs_plain"], 12.0),
        ("locked_transform_p99_vs_p50", report["ratios"]["locked_transform_p99_vs_p50"], 4.0),
        ("kill_overshoot_s", report["kill"]["overshoot_s"]["most"], 0.3),
        ("replacement_with_a_spare_vs_without", report["ratios"]["replacement_with_a_spare_vs_without"], 0.5),
        ("host_growth_mib", report["memory"]["host_growth_mib"], _FLAT_MIB),
        ("worker_growth_mib", report["memory"]["worker_growth_mib"], _FLAT_MIB),
    )
    return [{"figure": name, "measured": got, "at_most": most, "reached": got <= most} for name, got, most in rows]


def _rounded(seconds: list[float] | tuple[float, ...]) -> float:
    return round(statistics.median(seconds), 5)


def markdown(report: dict[str, Any]) -> str:
    """The report for people."""
    host, kills, cold_start = report["machine"], report["kill"], report["cold"]
    memory_figures = report["memory"]
    lines = [
        f"# sandbox, level {report['level']}",
        "",
        (
            f"Machine: {host['processor']}, {host['cores']} cores, {host['system']}, Python {host['python']}. "
            f"{report['rounds']} rounds of {report['calls_a_round']} calls, {report['seconds']} s. "
            f"monty: {report['monty']}."
        ),
        "",
        "| case | p50 us | p99 us | processor time us | of workers us |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {row['p50_us']} | {row['p99_us']} | {row['cpu_us']} | {row['worker_cpu_us']} |"
        for name, row in report["figures"].items()
    ]
    lines += ["", "| ratio | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in report["ratios"].items()]
    lines += [
        "",
        (
            f"Killed at a deadline of {kills['deadline_s']} s: {kills['overshoot_s']['p50']} s late in the median, "
            f"{kills['overshoot_s']['most']} s at most."
        ),
        (
            f"The call after a worker's end: {report['replacement']['with_a_spare']['p50_s']} s with a spare, "
            f"{report['replacement']['without_a_spare']['p50_s']} s without."
        ),
        (
            f"A new process: import {cold_start['import_s']} s, first answer {cold_start['first_answer_s']} s more, a "
            f"second tenant's {cold_start['second_tenant_s']} s more."
        ),
        (
            f"After {memory_figures['calls']} calls: the host grew by {memory_figures['host_growth_mib']} MiB, a worker "
            f"by {memory_figures['worker_growth_mib']} MiB (it has {memory_figures['worker_mib']['most']} MiB)."
        ),
        "",
        "| target | measured | at most | reached |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['figure']} | {row['measured']} | {row['at_most']} | {'yes' if row['reached'] else 'no'} |"
        for row in report["targets"]
    ]
    return "\n".join([*lines, ""])
