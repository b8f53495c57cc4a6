"""The table of requirements says what is so: each row is tried by tests that are there."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.negotiator.anp.requirements import ANP_06, REQUIREMENTS, Requirement

TESTS = Path(__file__).parents[2]
SECTIONS = {
    "3.3", "3.4", "3.5", "4.1", "4.3", "5.2", "5.5", "6.4", "7.1", "7.3", "7.4", "8.2", "9", "10.1", "10.3", "11",
    "12.1", "12.2", "12.3", "12.4", "12.5", "13", "14.4",
}  # fmt: skip
"""The sections of ANP-06 (document version 1.2) that have a MUST or a SHOULD."""


def _there() -> set[str]:
    named = {path.name for path in TESTS.rglob("test_*.py")}
    for folder in ("negotiator/anp", "negotiator/dialects/anp", "negotiator/identity", "interop"):
        for path in (TESTS / folder).glob("test_*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    named.add(node.name)
    return named


THERE = _there()


@pytest.mark.parametrize("row", REQUIREMENTS, ids=lambda row: row.id)
def test_each_row_names_tests_that_are_there(row: Requirement) -> None:
    assert row.tests
    assert set(row.tests) <= THERE, set(row.tests) - THERE
    assert row.sentence
    assert not row.sentence.endswith(".")


def test_no_row_stands_twice() -> None:
    assert [each for each, count in Counter(row.id for row in REQUIREMENTS).items() if count > 1] == []


def test_every_section_of_anp_06_with_a_requirement_has_its_rows() -> None:
    assert {row.clause.removeprefix("ANP-06 ") for row in ANP_06} == SECTIONS


def test_every_known_divergence_of_the_package_has_a_row() -> None:
    tried = {name for name in THERE if name.startswith("test_known_divergence")}
    assert tried
    assert tried <= {name for row in REQUIREMENTS if row.divergence for name in row.tests}


def test_every_trigger_has_a_row() -> None:
    tried = {name for name in THERE if name.startswith("test_trigger")}
    assert tried <= {name for row in REQUIREMENTS for name in row.tests}
    assert len(tried) >= 5


def test_the_page_says_each_divergence_of_ours_that_users_meet() -> None:
    page = (TESTS.parent / "docs" / "anp.md").read_text(encoding="utf-8")
    for word in ("end-to-end", "batches", "anp.rpc.v1", "direct.send", "5 minutes"):
        assert re.search(re.escape(word), page), word
