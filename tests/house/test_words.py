"""Names keep to the words of docs/architecture.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ["negotiator", "protocol_docs", "sandbox"]

VAGUE = re.compile(r"manager|helper|utils|toolformer|programmer", re.IGNORECASE)
"""Words that say nothing of what a thing does, or that another project means otherwise."""


def _named(path: Path) -> Iterator[str]:
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_no_module_class_or_function_has_a_vague_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in _named(path)
        if VAGUE.search(name)
    ]
    assert found == []
