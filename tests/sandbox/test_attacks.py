"""Hostile programs against the whole executor, and harmless ones beside them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.locked import Locked

CANARY = "canary-5f0c"
SHORT = sandbox.Limits(wall_s=0.3, memory_bytes=48 * 1024 * 1024)


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file and an environment variable that no program may read."""
    monkeypatch.setenv("SANDBOX_CANARY", CANARY)
    file = tmp_path / "canary"
    file.write_text(CANARY)
    return file


def attempt(executor: Locked, source: str, canary: Path, look: Callable[..., Any]) -> Any:
    """The program's result, or the error that stopped it."""
    try:
        return executor.run(source, {"file": str(canary)}, tools={"look": look}, limits=SHORT)
    except sandbox.SandboxError as error:
        return error


def test_an_attack_gets_nothing(locked: Locked, canary: Path, attack: str) -> None:
    looked: list[Any] = []

    def look(value: Any = None) -> dict[str, bool]:
        looked.append(value)
        return {"seen": True}

    outcome = attempt(locked, attack, canary, look)
    if isinstance(outcome, sandbox.SandboxError):
        assert not isinstance(outcome, sandbox.SandboxUnavailable)
        assert len(str(outcome)) < 20_000
        assert CANARY not in str(outcome)
    else:
        assert outcome == "safe"
    assert len(looked) <= SHORT.tool_calls
    assert all(type(value) in {str, int, dict, type(None)} for value in looked)
    assert canary.read_text() == CANARY


def test_a_harmless_program_gives_its_result(locked: Locked, benign: Any) -> None:
    assert locked.run(benign.source, benign.data) == benign.expected
