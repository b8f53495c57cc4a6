"""Where an agent keeps what it has learned.

The state folder is `NEGOTIATOR_STATE`, else `$XDG_STATE_HOME/negotiator`, else `~/.local/state/negotiator`. It
holds `store/` (text only) and, outside of that, the secret that signs routines. Without the extra `disk`, or
with the word `memory`, everything is kept in memory.
"""

import importlib.util
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from protocol_docs import DiskTextStore, MemoryTextStore
from protocol_docs.text_store import TextStore
from sandbox.secrets import load_secrets

MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class State:
    """An opened state."""

    text: TextStore
    secrets: list[bytes]
    """The first signs; all verify."""
    directory: Path | None
    """None in memory."""


def state_directory() -> Path:
    """The folder that is used where none is named."""
    named = os.environ.get("NEGOTIATOR_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "negotiator"


def open_state(where: str | Path | None = None) -> State:
    """Open the state at `where`: a folder, `memory`, or None for the default.

    Raises `protocol_docs.StoreUnusable` where the folder is not this user's own.
    """
    default = where is None
    directory = state_directory() if where is None else Path(where)
    if str(directory) == MEMORY or (default and importlib.util.find_spec("diskcache") is None):
        return State(MemoryTextStore(), [secrets.token_bytes(32)], None)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return State(
        DiskTextStore(directory / "store"),
        load_secrets(directory / "secret"),
        directory,
    )
