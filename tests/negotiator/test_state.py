"""Where an agent keeps what it has learned."""

from pathlib import Path

import pytest

from negotiator import Agent
from negotiator.state import open_state, state_directory


def test_state_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Agent(state="memory").state_directory is None
    assert Agent(state=tmp_path / "x").state_directory == tmp_path / "x"
    assert (tmp_path / "x").stat().st_mode & 0o077 == 0
    monkeypatch.setenv("NEGOTIATOR_STATE", str(tmp_path / "named"))
    assert state_directory() == tmp_path / "named"
    monkeypatch.delenv("NEGOTIATOR_STATE")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    assert state_directory() == tmp_path / "xdg" / "negotiator"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert state_directory() == Path.home() / ".local" / "state" / "negotiator"
    first, again = open_state(tmp_path / "s"), open_state(tmp_path / "s")
    first.text.put("a", "b")
    assert again.text.get("a") == "b"
    assert first.secrets() == again.secrets()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert open_state(None).directory is None, "without the extra, memory"
