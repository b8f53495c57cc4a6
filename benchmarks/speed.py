"""What the benchmarks of speed have in common: their options, the cases of ours and of others, the report's frame."""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.clocks import loop_us
from benchmarks.environments import HOME
from benchmarks.exchange import ASKED, DOCUMENT, envelope, http_request, stored, texts
from benchmarks.machine import machine
from benchmarks.processes import RIVALS, Bench, Process, until_ready
from benchmarks.progress import Progress
from benchmarks.rounds import Lines, percentile
from negotiator.state import open_state

OURS: Final = ("mapping", "code", "trusted", "native")
"""Receivers of ours, by the kind of their routine."""
FLOORS: Final = ("echo", "handwritten")
SDKS: Final = {"mcp": "mcp, uvicorn", "a2a": "a2a, uvicorn", "anp": "anp, fastapi, uvicorn"}
"""Rivals that are called through their own client, and what their environment must have."""
AGORA_HANDLER: Final = """import json
def run(query):
    asked = json.loads(query)
    made = forecast(asked['town'], asked['on'], asked['remarks'])
    return json.dumps({'degrees': made['celsius'], 'sky': made['summary']})
"""


def add_arguments(parser: argparse.ArgumentParser, *, rounds: int, seconds: float) -> None:
    """The options of every benchmark of speed, with what one takes unless it is told."""
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds, at least 5 (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=seconds, help="of one look at one case (default: %(default)s)")
    parser.add_argument("--peers", type=Path, default=HOME, help="the environments of rivals (default: .peers)")
    parser.add_argument("--make-peers", action="store_true", help="make those that are missing there, with uv")
    parser.add_argument("--quick", action="store_true", help="a rough answer within 40 s: fewer and shorter looks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that answers the exchange, and the request that it is asked with."""

    process: Process
    port: int
    request: bytes


def start_ours(bench: Bench, folder: Path, cases: Mapping[str, tuple[str, int]]) -> dict[str, Server]:
    """Servers of `benchmarks.receivers`, on disk in `folder`: case -> (kind, documents in the store)."""
    started: dict[str, Process] = {}
    for case, (kind, documents) in cases.items():
        state = folder / case
        if documents > 1:
            open_state(state).text.keys("")
            stored(state, texts(documents - 1))
        started[case] = bench.module("benchmarks.receivers", kind, "--state", state)
    told = until_ready(*started.values())
    request = http_request(envelope())
    return {
        case: Server(process=process, port=said["port"], request=request)
        for (case, process), said in zip(started.items(), told, strict=True)
    }


def start_agora(bench: Bench, cases: Mapping[str, tuple[str, int]]) -> dict[str, Server]:
    """Receivers of agora-protocol: case -> (its server, documents that it knows). None where it is not here."""
    python = bench.rival("agora", "agora, waitress", high=12)
    if python is None:
        return {}
    first = {"document": DOCUMENT.text, "handler": AGORA_HANDLER}
    started = {
        case: bench.start(python, RIVALS / "agora_receiver.py", server, documents, first=first)
        for case, (server, documents) in cases.items()
    }
    servers = {}
    for (case, process), told in zip(started.items(), until_ready(*started.values()), strict=True):
        asked = {
            "protocolHash": told["hash"],
            "protocolSources": [told["source"]],
            "body": orjson.dumps(ASKED).decode(),
        }
        servers[case] = Server(process=process, port=int(told["port"]), request=http_request(orjson.dumps(asked)))
    return servers


def start_sdks(bench: Bench) -> dict[str, Process]:
    """The callers of rivals that have a client of their own, each with its server."""
    here = {name: python for name, modules in SDKS.items() if (python := bench.rival(name, modules)) is not None}
    servers = {name: bench.start(python, RIVALS / f"{name}_sdk.py", "serve") for name, python in here.items()}
    told = until_ready(*servers.values())
    callers = {
        name: bench.start(here[name], RIVALS / f"{name}_sdk.py", "call", said["port"], json.dumps(ASKED))
        for name, said in zip(servers, told, strict=True)
    }
    until_ready(*callers.values())
    return {f"{name}_sdk": caller for name, caller in callers.items()}


class Run:
    """One run: where things lie, how long it took, and how busy the machine was."""

    def __init__(self, name: str, given: argparse.Namespace, out: Path) -> None:
        self.name = name
        self._given = given
        self._out = out
        self._begun = time.monotonic()
        self._load_before = os.getloadavg()
        self.progress = Progress()
        self._loops: list[float] = []

    def between(self, text: str) -> None:
        """Say what is looked at next, and look how fast the machine is before that."""
        self.progress.at(text)
        self._loops.append(loop_us())

    def write(
        self, title: str, about: str, lines: Lines, tables: list[str], bench: Bench, more: Mapping[str, Any], plot: str
    ) -> dict[str, Any]:
        """OUT/report.json, OUT/report.md and OUT/plot.svg; returns the report."""
        self.progress.end()
        report = {
            "benchmark": self.name,
            "machine": machine(),
            "load_average": {"before": self._load_before, "after": os.getloadavg()},
            "quick": self._given.quick,
            "rounds": self._given.rounds,
            "seconds": round(time.monotonic() - self._begun, 1),
            "machine_loop_us": self._speed(),
            "left_out": bench.left_out,
            "ratios": lines.ratios(),
            "targets": {line.name: line.to_json() for line in lines.lines},
            "figures": lines.measured.to_json(),
            **more,
        }
        busy = f"{self._load_before[0]:.1f} before, {report['load_average']['after'][0]:.1f} after"
        text = [f"# {title}", "", about, ""]
        text.append(
            f"{report['machine']['processor']}, {report['machine']['cores']} cores, Python "
            f"{report['machine']['python']}; {self._given.rounds} rounds; load average {busy}; {report['seconds']} s."
        )
        if speed := report["machine_loop_us"]:
            each = ", ".join(f"{value:.0f} ({name})" for name, value in speed.items())
            text.append(
                f"Microseconds that a loop of fixed length took before each look, the machine's own speed: {each}."
            )
        if self._given.quick:
            text.append("A quick run: the figures are rough.")
        text += [f"Left out: {name} ({why})." for name, why in bench.left_out.items()]
        text += ["", *lines.table(), "", *tables]
        self._out.mkdir(parents=True, exist_ok=True)
        (self._out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (self._out / "report.md").write_text("\n".join(text) + "\n", encoding="utf-8")
        (self._out / "plot.svg").write_text(plot, encoding="utf-8")
        return report

    def _speed(self) -> dict[str, float] | None:
        """How long the fixed loop took in this run, microseconds; None where it was not looked at."""
        loops = self._loops
        if not loops:
            return None
        return {"fastest": min(loops), "median": percentile(loops, 0.5), "slowest": max(loops)}


def shortened(given: argparse.Namespace, *, rounds: int, seconds: float) -> argparse.Namespace:
    """The options as they are used: with `--quick` at most this many rounds, this long a look."""
    if given.quick:
        return argparse.Namespace(
            **vars(given) | {"rounds": min(given.rounds, rounds), "seconds": min(given.seconds, seconds)}
        )
    if given.rounds < 5:
        raise SystemExit("--rounds is at least 5, but with --quick")
    return given


@contextmanager
def room(given: argparse.Namespace) -> Iterator[tuple[Bench, Path]]:
    """The processes of a run, and a folder for their state; both are gone at its end."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, Bench(given.peers, make=given.make_peers) as bench:
        yield bench, Path(folder)
