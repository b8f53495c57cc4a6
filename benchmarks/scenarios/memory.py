"""What stays in memory, and how soon a process that begins is ready.

Bytes for each document and each routine that a process holds ready; the memory of a server after a hundred thousand
requests; the start of Python, of `import negotiator` and of an agent, which answers Agora at once and loads its other doors for
their first requests; and from the start of a process to a thousand
stored routines that it may serve. Each of them is read, its MAC and its verdict looked at, and compiled when it is
first needed: from `first_of_1000_routines_s` on, a request for any of them is served; `all_1000_routines_s` is when a
process that asked for every one of them at its start has them all.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.bars import bar_plot
from benchmarks.exchange import BODY_BYTES
from benchmarks.footprint import resident
from benchmarks.load import ROOT
from benchmarks.orders import Order
from benchmarks.processes import Bench, Process
from benchmarks.rounds import Lines, Measured, Probe, Sample, interleaved
from benchmarks.speed import Run, room, shortened, start_ours
from benchmarks.speed import add_arguments as add_common

ROUTINES: Final = 1_000
STARTS: Final = {
    "python": "pass",
    "import negotiator": "import negotiator",
    "an agent": "from negotiator import Agent; Agent(model='none', state='memory').asgi()",
    "an agent with all doors": "from negotiator import Agent; agent = Agent(model='none', state='memory').handler(); "
    "[agent.at(path) for path in ('/mcp', '/a2a', '/anp')]",
}
WARM: Final = 2_000
"""Requests after which a server has what it needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common(parser, rounds=5, seconds=0.0)
    parser.add_argument("--requests", type=int, default=100_000, help="to one server (default: %(default)s)")
    parser.add_argument("--documents", type=int, default=10_000, help="that are weighed (default: %(default)s)")


def run(given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """Measure, and write the report."""
    if given.quick:
        given = argparse.Namespace(**vars(given) | {"requests": min(given.requests, 5_000), "documents": 2_000})
    given = shortened(given, rounds=3, seconds=0.0)
    running = Run("memory", given, out)
    with room(given) as (bench, folder):
        running.progress.at("a thousand routines")
        state = folder / "routines"
        _footprint("stored", ROUTINES, state)
        measured = interleaved(probes(state, given.documents), given.rounds, running.between)
        running.progress.at("requests: one server")
        grown = growth(bench, folder, given.requests)
    lines = promised(measured, grown)
    starts = {name: measured.median(name, "seconds") * 1000 for name in (*STARTS, "first routine", "all routines")}
    return running.write(
        "Memory and the start",
        "Bytes of resident memory; seconds from the start of a process.",
        lines,
        table(measured, grown),
        bench,
        {"body_bytes": BODY_BYTES, "documents": given.documents, "routines": ROUTINES, "server": grown},
        bar_plot("Milliseconds from the start of a process, median", starts, ours=frozenset(list(starts)[1:])),
    )


def probes(state: Path, documents: int) -> dict[str, Probe]:
    """A look at each start, and at what documents and routines weigh."""

    def start(code: str) -> Probe:
        def look() -> Sample:
            begun, worked = time.monotonic(), _worked()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
            return {"seconds": time.monotonic() - begun, "processor": _worked() - worked}

        return look

    found = {name: start(code) for name, code in STARTS.items()}
    found["first routine"] = lambda: _cold(1, state)
    found["all routines"] = lambda: _cold(ROUTINES, state)
    found["document"] = lambda: _footprint("documents", documents)
    found["routine"] = lambda: _footprint("routines", ROUTINES)
    return found


def _worked() -> float:
    """Seconds of processor time of the processes that were started here and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _footprint(*arguments: object) -> dict[str, Any]:
    with Process(sys.executable, "-m", "benchmarks.footprint", *arguments) as process:
        said: dict[str, Any] = process.hear()
        return said


def _cold(number: int, state: Path) -> Sample:
    begun = time.monotonic()
    told = _footprint("cold", number, state)
    if told["routines"] != number:
        raise RuntimeError(f"{told['routines']} of {number} routines may serve")
    return {
        "seconds": told["ready"] - begun,
        "imports": told["imported"] - told["begun"],
        "opening": told["opened"] - told["imported"],
        "routines": told["ready"] - told["opened"],
    }


def growth(bench: Bench, folder: Path, requests: int) -> dict[str, Any]:
    """The memory of a server that answers, when it is warm and at the end."""
    server = start_ours(bench, folder, {"mapping": ("mapping", 1)})["mapping"]

    def ask(number: int) -> None:
        port, request = server.port, server.request
        bench.load(Order(port=port, request=request, way="closed", connections=16, seconds=3600, at_most=number)).good()

    ask(WARM)
    warm = resident(server.process.pid)
    ask(requests)
    return {"requests": requests, "warm_bytes": warm, "bytes": resident(server.process.pid)}


def promised(measured: Measured, grown: dict[str, Any]) -> Lines:
    """The lines of the report."""
    lines = Lines(measured=measured)
    add, lower = lines.add, "lower"
    lines.ratio("import_vs_python", "import negotiator", "seconds", "python", lower, 8, "times the start of Python")
    lines.ratio("agent_vs_python", "an agent", "seconds", "python", lower, None, "an agent that answers, in the same")
    lines.ratio(
        "agent_processor_vs_python", "an agent", "processor", "python", lower, None, "the same in processor time"
    )
    lines.ratio(
        "agent_all_doors_vs_python",
        "an agent with all doors",
        "seconds",
        "python",
        lower,
        None,
        "with MCP, A2A and ANP loaded, which their first requests do",
    )
    lines.median(
        "first_of_1000_routines_s", "first routine", "seconds", lower, 1, "start of a process to the first that serves"
    )
    lines.median("all_1000_routines_s", "all routines", "seconds", lower, None, "the same, with all of them compiled")
    lines.median("bytes_per_document", "document", "bytes", lower, None, "held in memory, its text included")
    lines.median("bytes_per_mapping_routine", "routine", "mapping", lower, None, "held ready, its row included")
    lines.median("bytes_per_code_routine", "routine", "code", lower, None, "the same; it runs in another process")
    add("rss_after_requests_mib", grown["bytes"] / 2**20, lower, None, f"a server after {grown['requests']} requests")
    add("rss_growth", grown["bytes"] / grown["warm_bytes"], lower, 1.05, f"in times what it was after {WARM}")
    return lines


def table(measured: Measured, grown: dict[str, Any]) -> list[str]:
    """The parts, for people."""
    rows = ["| start | median | least | most |", "|---|---|---|---|"]
    for name in (*STARTS, "first routine", "all routines"):
        values = [value * 1000 for value in measured.values(name, "seconds")]
        rows.append(f"| {name} | {statistics.median(values):.0f} ms | {min(values):.0f} ms | {max(values):.0f} ms |")
    parts = {name: measured.median("all routines", name) * 1000 for name in ("imports", "opening", "routines")}
    rows += ["", f"Of the last: {', '.join(f'{name} {value:.0f} ms' for name, value in parts.items())}."]
    rows.append(f"A server: {grown['warm_bytes'] / 2**20:.1f} MiB when warm, {grown['bytes'] / 2**20:.1f} MiB later.")
    return rows
