"""The benchmark of the sandbox measures what it says, and holds it against what was asked for."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks.scenarios.sandbox import ratios, targets
from benchmarks.scenarios.sandbox_cases import Measured, cases
from benchmarks.scenarios.sandbox_programs import ECHO_DATA, TRANSFORM, TRANSFORM_DATA
from sandbox.locked import Locked
from sandbox.trusted import Trusted


def measured(p50s: list[float], p99s: list[float] | None = None) -> Measured:
    return Measured(p50s, p99s or p50s, [1.0] * len(p50s), [0.0] * len(p50s))


def test_every_case_runs_the_program_that_its_name_says() -> None:
    locked = Locked(workers=1)
    try:
        results: dict[str, Any] = {}
        for case in cases(locked, Trusted(), None):
            made = case.call()
            results[case.name] = asyncio.run(made) if case.is_async else made
    finally:
        locked.close()
    plain = results.pop("plain_transform")
    assert len(plain["lines"]) == 6
    for name, result in results.items():
        expected = ECHO_DATA if "echo" in name else len(ECHO_DATA["sku"]) if "tool" in name else plain
        assert result == expected, name


def test_the_transform_is_of_the_size_that_the_target_names() -> None:
    assert 38 <= len([line for line in TRANSFORM.splitlines() if line]) <= 48
    assert 950 <= len(json.dumps(TRANSFORM_DATA, separators=(",", ":"))) <= 1100


def test_a_ratio_is_taken_round_by_round() -> None:
    """A machine that is twice as slow in one round is so for both."""
    assert measured([20, 40, 20]).against(measured([2, 4, 2])) == 10
    assert measured([10, 20, 10], [30, 60, 50]).tail() == 3


def test_targets_are_reached_or_not() -> None:
    made: dict[str, Any] = {
        "replacement": {"with_a_spare": {"p50_s": 0.01}, "without_a_spare": {"p50_s": 0.1}},
        "kill": {"overshoot_s": {"most": 0.31}},
        "memory": {"host_growth_mib": 0.1, "worker_growth_mib": 3.0},
    }
    figures = {
        "plain_transform": measured([10.0] * 5),
        "trusted_transform": measured([30.0] * 5),
        "locked_transform": measured([110.0] * 5, [400.0] * 5),
    }
    made["ratios"] = ratios(figures, made)
    assert made["ratios"]["locked_transform_p50_vs_plain"] == 11
    assert {row["figure"]: row["reached"] for row in targets(made)} == {
        "locked_transform_p50_vs_plain": True,
        "locked_transform_p99_vs_p50": True,
        "kill_overshoot_s": False,
        "replacement_with_a_spare_vs_without": True,
        "host_growth_mib": True,
        "worker_growth_mib": False,
    }


def test_a_run_writes_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--quick", "--calls", "3", "--memory-calls", "10", "--without-monty", "--out", str(tmp_path)]
    assert command.main(["run", "sandbox", *options]) == 0
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["rounds"] == 5
    assert report["memory"]["calls"] == 10
    assert report["machine"]["cores"]
    assert set(report["kill"]["by"]) == {"loop", "swallowing loop", "inside one call"}
    assert len(report["figures"]["locked_async_tool"]["rounds_p50_us"]) == 5
    assert report["monty"] == "left out"
    said = capsys.readouterr().out
    assert "locked_transform_p50_vs_plain" in said
    assert "| kill_overshoot_s |" in said


def test_fewer_than_five_rounds_are_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="at least 5"):
        command.main(["run", "sandbox", "--rounds", "3", "--out", str(tmp_path)])
