"""The processes of the speed benchmarks: servers, callers, rivals. All end with their standard input."""

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.environments import NotHere, python_of
from benchmarks.load import ROOT, Load, line_from
from benchmarks.orders import Order, Result
from benchmarks.rounds import Probe, Seen, percentile

RIVALS: Final = Path(__file__).parent / "rivals"
SILENT: Final = 600.0
"""Seconds that a process may say nothing: those that make 100,000 documents take minutes."""


class Process:
    """One process that talks in lines of JSON; a context manager that ends it."""

    def __init__(
        self, *command: object, first: Any = None, environment: Mapping[str, str] | None = None, signalled: bool = False
    ) -> None:
        """Start it, and give it a first line where there is one. `signalled`: it ends with SIGTERM."""
        self._signalled = signalled
        self._process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})},
            text=True,
        )
        if first is not None:
            self.say(first)

    def say(self, value: Any) -> None:
        """A line to it."""
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def hear(self) -> Any:
        """A line from it. Raises `RuntimeError` where it has ended, with the last that it said of why, `TimeoutError`."""
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        line = line_from(self._process.stdout, SILENT)
        if not line:
            _, error = self._process.communicate()
            raise RuntimeError(f"a process of the benchmark has ended: {error[-2000:]}")
        return json.loads(line)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def end(self) -> None:
        """Tell it to end; leaving the context waits until it has."""
        if self._process.poll() is None:
            if self._signalled:
                self._process.terminate()
            with suppress(OSError):
                assert self._process.stdin is not None  # noqa: S101 - a pipe
                self._process.stdin.close()

    def __exit__(self, *_: object) -> None:
        self.end()
        # What was closed is not to be flushed once more.
        self._process.stdin = None
        self._process.communicate()


LEAD_IN: Final = 0.1
"""What comes before the counted time of a look, in parts of it: caches and branches have been somebody else's since the
last. The first five or so requests feel it.
"""
ENOUGH: Final = 9
"""Requests of a look at the least, one after the other: the median of fewer is one of them by chance."""
_A_MOMENT: Final = 1e-9
"""Seconds: a lead-in of one reply."""
ENOUGH_EACH: Final = 2
"""The same for each of several connections."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """How long one look takes, seconds, beside what leads in; longer where that is not enough for a slow case."""

    sequential: float
    at_once: float


class Bench:
    """All processes of one run; a context manager that ends them."""

    def __init__(self, peers: Path, *, make: bool) -> None:
        """Environments of rivals are in `peers`, made there where they are missing and `make` says so."""
        self._peers = peers
        self._make = make
        self._stack = ExitStack()
        self._started: list[Process] = []
        self.load: Load
        self.left_out: dict[str, str] = {}
        """Rivals that are not measured, and why."""

    def __enter__(self) -> Self:
        self.load = self._stack.enter_context(Load())
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.end()
        self._stack.close()

    def start(self, *command: object, **options: Any) -> Process:
        """A process that ends with the run; `options` are those of `Process`."""
        process = self._stack.enter_context(Process(*command, **options))
        self._started.append(process)
        return process

    def module(self, *command: object) -> Process:
        """A module of ours."""
        return self.start(sys.executable, "-m", *command)

    def served(self, named: str, workers: int, environment: Mapping[str, str]) -> Process:
        """`negotiator serve`, with so many workers."""
        command = ("-m", "negotiator.cli", "serve", named, "--port", 0, "--workers", workers, "--json")
        return self.start(sys.executable, *command, environment=environment, signalled=True)

    def rival(self, name: str, module: str, *, high: int = 13) -> str | None:
        """The Python of a rival's environment; None, and noted, where it is not here."""
        try:
            return python_of(RIVALS / f"bench-{name}.txt", module, home=self._peers, high=high, make=self._make)
        except (NotHere, subprocess.SubprocessError) as reason:
            self.left_out[name] = str(reason)
            return None

    def over_http(self, port: int, request: bytes, spent: Spent, pid: int, connections: int = 16) -> Probe:
        """A look at a server: one request after the other, and, unless that is to take no time, several connections at once.

        Where the system tells it, `cpu_us` is the processor time of the process `pid` for each request of the second:
        it hardly changes with what else the machine does.
        """
        one_by_one = Order(
            port=port,
            request=request,
            seconds=spent.sequential,
            lead_in=spent.sequential * LEAD_IN,
            at_least=ENOUGH,
        )
        at_once = Order(
            port=port,
            request=request,
            way="closed",
            connections=connections,
            seconds=spent.at_once,
            lead_in=spent.at_once * LEAD_IN,
            at_least=ENOUGH_EACH * connections,
            pid=pid,
        )

        def look() -> Seen:
            seen = of_one(self.load(one_by_one).good())
            if not spent.at_once:
                return seen
            many = self.load(at_once)
            seen |= {"rps": rate_of(many), "loaded_p99_us": many.good()}
            return seen if many.processor is None else seen | {"cpu_us": many.processor / many.count * 1e6}

        return look

    def in_turn(self, port: int, other: int, request: bytes, seconds: float) -> Probe:
        """A look at two servers that answer the same, a few requests each in turn, so that both meet the same machine:
        the median of the first in parts of that of the `other`. It takes about `seconds`.
        """
        orders = [
            Order(port=each, request=request, seconds=0.0, lead_in=_A_MOMENT, at_least=ENOUGH) for each in (port, other)
        ]

        def look() -> Seen:
            times: tuple[list[float], list[float]] = ([], [])
            until = time.perf_counter() + seconds
            turns = itertools.cycle(((0, 1), (1, 0)))
            while not times[0] or time.perf_counter() < until:
                for place in next(turns):
                    times[place].extend(self.load(orders[place]).good())
            one, another = (percentile(each, 0.5) for each in times)
            return {"quotient": one / another}

        return look

    def calling(self, process: Process, spent: Spent, at_once: int = 16) -> Probe:
        """The same through a caller that times itself."""

        def told(seconds: float, callers: int, enough: int) -> Any:
            process.say(
                {"seconds": seconds, "at_once": callers, "lead_in": seconds * LEAD_IN, "at_least": enough},
            )
            return process.hear()

        def look() -> Seen:
            seen = of_one(told(spent.sequential, 1, ENOUGH)["microseconds"])
            if spent.at_once:
                many = told(spent.at_once, at_once, ENOUGH_EACH * at_once)
                seen["rps"] = len(many["microseconds"]) / many["seconds"]
            return seen

        return look


def of_one(times: list[float]) -> dict[str, float | list[float]]:
    """What a look says of requests one after the other, by the microseconds of each."""
    return {"p50_us": percentile(times, 0.5), "p99_us": times}


def rate_of(result: Result) -> float:
    """Requests a second. Raises `RuntimeError` where one went wrong."""
    return len(result.good()) / result.seconds


def until_ready(*processes: Process) -> list[Any]:
    """The first line of each: they start at the same time."""
    return [process.hear() for process in processes]
