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
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    program = f"import sys, {package}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.split() == []
