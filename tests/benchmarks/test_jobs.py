"""Runs one after the other and in processes: all are done, what fails is said, and time ends them between requests."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks import jobs
from benchmarks.jobs import Tick, run_all


@dataclass(frozen=True)
class Job:
    name: str
    out: Path
    requests: int = 3


def work(job: Job, tick: Tick) -> None:
    """Leaves its name behind, once all its requests were made."""
    for _ in range(job.requests):
        tick()
        if job.name == "bad":
            raise ValueError(job.name)
    (job.out / job.name).touch()


def done(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def run(names: str, out: Path, workers: int, minutes: float | None = None) -> None:
    run_all(
        [Job(name, out) for name in names.split()], work,
        workers=workers, named=lambda job: job.name, requests=3, minutes=minutes,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
def test_all_are_run_and_how_far_things_are_is_shown(
    tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    run("one two three", tmp_path, workers)
    assert done(tmp_path) == {"one", "two", "three"}
    shown = capsys.readouterr().err
    assert ("three: 3 of 3" if workers == 1 else "3 of 3 runs: request 9 of 9") in shown


@pytest.mark.parametrize("workers", [1, 2])
def test_what_one_run_raises_ends_them_all(tmp_path: Path, workers: int) -> None:
    with pytest.raises(ValueError, match="bad"):
        run("bad one", tmp_path, workers)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_is_begun_when_time_is_up(tmp_path: Path, workers: int) -> None:
    run("one two", tmp_path, workers, minutes=0)
    assert done(tmp_path) == set()


def test_a_run_is_cut_off_between_two_requests_and_those_before_it_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(range(100))
    monkeypatch.setattr(jobs.time, "time", lambda: 60.0 * next(looks))
    run("one two", tmp_path, 1, minutes=6)
    assert done(tmp_path) == {"one"}
