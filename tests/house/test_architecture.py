"""docs/architecture.md describes the house that stands."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## What lives where")[2].partition("## One request")[0]


def test_every_module_has_its_place_in_the_table_and_nothing_else_has() -> None:
    named = set(re.findall(r"`(\w+)(?:\.py|/)`", "\n".join(line for line in TABLE.splitlines() if line[:1] == "|")))
    package = ROOT / "negotiator"
    there = {path.stem for path in package.glob("*.py") if path.stem != "__init__"}
    there |= {path.name for path in package.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert named == there


def test_each_promise_names_tests_that_are_there() -> None:
    rows = [line for line in PAGE.partition("## Promises")[2].splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 11))
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for row in rows:
        named = set(re.findall(r"test_\w+\.py", row))
        assert named, row
        assert named <= tests, row


def test_nothing_is_left_to_be_completed() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert [page.name for page in pages if re.search(r"\b(COMPLETE|TODO|TBD|FIXME)\b", page.read_text("utf-8"))] == []
