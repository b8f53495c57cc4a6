"""The benchmark of proofs measures each step, and writes what it found."""

import argparse
import json
from pathlib import Path

import pytest

from benchmarks.scenarios import identity


def test_it_writes_a_report_of_each_step(tmp_path: Path) -> None:
    pytest.importorskip("diskcache")
    identity.run(argparse.Namespace(requests=5, body=64), tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["memory"]) == set(report["disk"]) == {"signing", "first verification", "verification", "token"}
    assert all(each["processor"] >= 0 for kept in ("memory", "disk") for each in report[kept].values())
    rows = (tmp_path / "report.md").read_text().splitlines()
    assert [row.split("| ")[-1] for row in rows if row.startswith(("| signing", "| first", "| token"))] == [
        "1.0 |", "5.0 |", "0.2 |",
    ]  # fmt: skip
