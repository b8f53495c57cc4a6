"""Runs of a benchmark, one after the other or in processes of their own, and what a person sees of them meanwhile."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any, Final, TypeAlias, TypeVar

from benchmarks.progress import Progress

T = TypeVar("T")
Tick: TypeAlias = Callable[[], None]
"""To be called before each request; raises `TimeIsUp`."""

_LOOK_SECONDS: Final = 1.0


class TimeIsUp(Exception):
    """No request is to be begun any more; a run that was cut off leaves no transcript, and is run again."""


def run_all(
    jobs: Sequence[T],
    work: Callable[[T, Tick], object],
    *,
    workers: int,
    named: Callable[[T], str],
    requests: int,
    minutes: float | None = None,
) -> None:
    """Do `work` on each of `jobs`.

    Args:
        jobs: What is to be run; they and `work` can be pickled.
        work: Runs one job.
        workers: Processes; with fewer than two all is done in this one.
        named: What a job is called on the line that shows how far things are.
        requests: Of each job.
        minutes: After so many no request is begun, and no job; None: until all is done.
    """
    until = None if minutes is None else time.time() + 60 * minutes
    progress = Progress()
    try:
        if workers < 2 or len(jobs) < 2:
            for at, job in enumerate(jobs):
                _run_here(job, work, progress, f"{named(job)}: {at + 1} of {len(jobs)}", requests, until)
        else:
            _run_in_processes(jobs, work, workers, progress, requests, until)
    except TimeIsUp:
        pass
    finally:
        progress.end()


def _run_here(
    job: T, work: Callable[[T, Tick], object], progress: Progress, title: str, requests: int, until: float | None
) -> None:
    begun = 0

    def tick() -> None:
        nonlocal begun
        _require(until)
        begun += 1
        progress.at(f"{title}, request {begun} of {requests}")

    _require(until)
    work(job, tick)


def _run_in_processes(
    jobs: Sequence[T],
    work: Callable[[T, Tick], object],
    workers: int,
    progress: Progress,
    requests: int,
    until: float | None,
) -> None:
    context = get_context("spawn")
    begun = context.Value("q", 0)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_enter, initargs=(begun, until)) as pool:
        waiting: set[Future[object]] = {pool.submit(_run_there, work, job) for job in jobs}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
                finished = f"{len(jobs) - len(waiting)} of {len(jobs)} runs"
                progress.at(f"{finished}: request {begun.value} of {requests * len(jobs)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_IN_CHILD: dict[str, Any] = {}
"""Of a process of the pool: the count that all share, and until when."""


def _enter(begun: Any, until: float | None) -> None:
    _IN_CHILD.update(begun=begun, until=until)


def _run_there(work: Callable[[T, Tick], object], job: T) -> None:
    _tick_there(0)
    work(job, _tick_there)


def _tick_there(number: int = 1) -> None:
    _require(_IN_CHILD["until"])
    with _IN_CHILD["begun"].get_lock():
        _IN_CHILD["begun"].value += number


def _require(until: float | None) -> None:
    if until is not None and time.time() > until:
        raise TimeIsUp
