"""The calls that the sandbox benchmark times, and the timing."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.scenarios.sandbox_programs import ECHO, ECHO_DATA, TOOL, TRANSFORM, TRANSFORM_DATA
from sandbox import Executor, Tools
from sandbox.locked import Locked
from sandbox.trusted import Trusted

FEWER = 50
"""A first call takes as long as many of the others, and is made so many times less often."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call that is timed."""

    name: str
    call: Callable[[], Any]
    is_async: bool = False
    workers: Callable[[], tuple[int, ...]] = tuple
    """Whose processor time is counted beside ours."""
    seldom: bool = False


@dataclass(slots=True)
class Measured:
    """What one case came to, a row for each round."""

    p50s: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    worker_cpus: list[float] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """Our processor time of one call, in microseconds."""
        return statistics.median(self.cpus)

    @property
    def worker_cpu_us(self) -> float:
        """The workers' processor time of one call, in microseconds."""
        return statistics.median(self.worker_cpus)

    def against(self, other: "Measured") -> float:
        """This case's median call over another's, as it was in the median round."""
        return round(statistics.median(a / b for a, b in zip(self.p50s, other.p50s, strict=True)), 2)

    def tail(self) -> float:
        """The slowest call in a hundred over the median one, as it was in the median round."""
        return round(statistics.median(a / b for a, b in zip(self.p99s, self.p50s, strict=True)), 2)

    def to_json(self) -> dict[str, Any]:
        """Medians over the rounds, in microseconds, and the rounds."""
        return {
            "p50_us": round(statistics.median(self.p50s), 1),
            "p99_us": round(statistics.median(self.p99s), 1),
            "cpu_us": round(self.cpu_us, 1),
            "worker_cpu_us": round(self.worker_cpu_us, 1),
            "rounds_p50_us": [round(each, 1) for each in self.p50s],
        }


def _price(sku: str) -> int:
    return len(sku)


def cases(locked: Locked, trusted: Trusted, monty: Executor | None) -> list[Case]:
    """All cases, the yardstick first. They share one tenant, so that one worker serves them."""
    space: dict[str, Any] = {}
    exec(TRANSFORM, space)  # noqa: S102 - our own text, without any wall: the yardstick
    plain = space["handle"]
    tools: Tools = {"price": _price}
    fresh = count()

    def new_program() -> str:
        return f"{TRANSFORM}\n# {next(fresh)}\n"

    def of(executor: Executor, workers: Callable[[], tuple[int, ...]] = tuple) -> list[Case]:
        name = executor.name

        async def aecho() -> Any:
            return await executor.arun(ECHO, ECHO_DATA)

        async def atransform() -> Any:
            return await executor.arun(TRANSFORM, TRANSFORM_DATA)

        async def atool() -> Any:
            return await executor.arun(TOOL, ECHO_DATA, tools=tools)

        return [
            Case(f"{name}_echo", lambda: executor.run(ECHO, ECHO_DATA), workers=workers),
            Case(f"{name}_transform", lambda: executor.run(TRANSFORM, TRANSFORM_DATA), workers=workers),
            Case(f"{name}_tool", lambda: executor.run(TOOL, ECHO_DATA, tools=tools), workers=workers),
            Case(f"{name}_async_echo", aecho, is_async=True, workers=workers),
            Case(f"{name}_async_transform", atransform, is_async=True, workers=workers),
            Case(f"{name}_async_tool", atool, is_async=True, workers=workers),
            Case(
                f"{name}_first_call", lambda: executor.run(new_program(), TRANSFORM_DATA), workers=workers, seldom=True
            ),
        ]

    return [
        Case("plain_transform", lambda: plain(TRANSFORM_DATA)),
        Case("trusted_transform", lambda: trusted.run(TRANSFORM, TRANSFORM_DATA)),
        *of(locked, lambda: locked.processes),
        *([] if monty is None else of(monty)),
    ]


def measure_rounds(found: list[Case], rounds: int, calls: int) -> dict[str, Measured]:
    """Each case in turn, round after round; one round before the first is not counted."""
    measured = {case.name: Measured() for case in found}
    for at in range(rounds + 1):
        for case in found:
            number = max((calls if at else min(calls, 100)) // (FEWER if case.seldom else 1), 3)
            taken = _timed(case, number)
            if at:
                _enter(measured[case.name], *taken)
    return measured


def _enter(measured: Measured, times: list[float], cpu_us: float, worker_cpu_us: float) -> None:
    times.sort()
    measured.p50s.append(statistics.median(times))
    measured.p99s.append(times[min(int(len(times) * 0.99), len(times) - 1)])
    measured.cpus.append(cpu_us)
    measured.worker_cpus.append(worker_cpu_us)


def _timed(case: Case, number: int) -> tuple[list[float], float, float]:
    workers = _processor_us(case.workers())
    own = time.process_time()
    times = asyncio.run(_atimes(case.call, number)) if case.is_async else _times(case.call, number)
    spent = (time.process_time() - own) * 1e6
    return times, spent / number, max(_processor_us(case.workers()) - workers, 0.0) / number


def _times(call: Callable[[], Any], number: int) -> list[float]:
    clock, times = time.perf_counter, []
    for _ in range(number):
        began = clock()
        call()
        times.append((clock() - began) * 1e6)
    return times


async def _atimes(acall: Callable[[], Awaitable[Any]], number: int) -> list[float]:
    clock, times = time.perf_counter, []
    for _ in range(number):
        began = clock()
        await acall()
        times.append((clock() - began) * 1e6)
    return times


def _processor_us(processes: tuple[int, ...]) -> float:
    total = 0.0
    for process in processes:
        try:
            words = Path(f"/proc/{process}/schedstat").read_text(encoding="ascii").split()
        except OSError:
            continue
        total += int(words[0]) / 1e3
    return total
