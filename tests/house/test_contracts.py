"""The house keeps its shape: who may import whom, and who may touch the world."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

DECISIONS = {
    "negotiator.admission",
    "negotiator.dialects",
    "negotiator.heat",
    "negotiator.mapping",
    "negotiator.negotiation",
    "negotiator.oauth.challenge",
    "negotiator.oauth.claims",
    "negotiator.oauth.messages",
    "negotiator.oauth.metadata",
    "negotiator.plan",
    "negotiator.tier_up",
    "protocol_docs.document",
}
"""The rooms in which everything is handed in; a new one joins here and in pyproject.toml."""

UNREACHABLE_FROM_DECISIONS = {"diskcache", "httpx", "litellm", "openai"}
UNTOUCHED_BY_DECISIONS = {"asyncio", "random", "socket", "subprocess", "time"}


def _contract(name: str) -> dict[str, list[str]]:
    return next(c for c in PYPROJECT["tool"]["importlinter"]["contracts"] if c["id"] == name)


def _exists(module: str) -> bool:
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


@pytest.mark.parametrize(
    ("contract", "forbidden"),
    [
        ("decisions-reach-nothing", UNREACHABLE_FROM_DECISIONS),
        ("decisions-take-time-as-an-argument", UNTOUCHED_BY_DECISIONS),
    ],
)
def test_every_room_of_decisions_is_held_by_the_contract(contract: str, forbidden: set[str]) -> None:
    held = _contract(contract)
    assert {module for module in DECISIONS if _exists(module)} <= set(held["source_modules"])
    assert forbidden <= set(held["forbidden_modules"])


def test_the_contracts_hold() -> None:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr


HEAVY = ("diskcache", "httpx", "litellm", "openai")


@pytest.mark.parametrize("package", ["negotiator", "protocol_docs", "sandbox"])
def test_a_package_and_all_that_it_exports_load_nothing_heavy(package: str) -> None:
    program = (
        f"import sys, {package}; [getattr({package}, name) for name in {package}.__all__]; "
        f"print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    assert _printed(program) == []


def test_what_is_exported_is_loaded_when_it_is_asked_for() -> None:
    """So that `import negotiator` costs what a module costs: the rest takes many times the start of Python."""
    loaded = "print(*sorted(name for name in set(sys.modules) - before if name.partition('.')[0] in names))"
    program = "import sys; before = set(sys.modules); names = set(sys.argv[1].split()); import negotiator; " + loaded
    heavy = "negotiator protocol_docs sandbox pydantic pydantic_core asyncio orjson jsonschema_rs"
    assert _printed(program, heavy) == ["negotiator", "negotiator.exports"]
    assert "pydantic" in _printed(program.replace("negotiator; ", "negotiator; negotiator.Agent; "), heavy)


def _printed(program: str, *arguments: str) -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return ran.stdout.split()
