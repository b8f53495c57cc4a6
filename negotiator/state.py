"""Where an agent keeps what it has learned.

The state folder is `NEGOTIATOR_STATE`, else `$XDG_STATE_HOME/negotiator`, else `~/.local/state/negotiator`. It
holds `store/` (text only) and, outside of that, what the processes of the machine need beside it: `secret`, which
signs routines; `generation`, which changes with them; `turns/` and `alive/`, locks that end with their holder.
Without the extra `disk`, or with the word `memory`, everything is kept in memory.
"""

import importlib.util
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from negotiator.clock import Clock, SystemClock
from negotiator.flights import FileFlights, Flights, OwnFlights
from negotiator.presence import Presence
from protocol_docs import DiskTextStore, DocumentStore, Embedder, MemoryTextStore, SearchIndex
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore
from sandbox.cache import FileGeneration, Generation, RoutineCache, SecretFile, rotate_secrets
from sandbox.errors import RoutineRefused

MEMORY = "memory"
_FIRST = ("journal/", "replies/", "replies-taken/", "ledger/", "identity/", "revoked/")
"""Rows without which a request may not begin, or something would be allowed that must not be: what strangers can fill,
such as conversations, tasks and documents, leaves them room."""


@dataclass(frozen=True, slots=True)
class State:
    """An opened state."""

    text: TextStore
    secrets: Callable[[], Sequence[bytes]]
    """Those in force now. The first signs; all verify."""
    directory: Path | None
    """None in memory."""
    clock: Clock
    flights: Flights
    """Turns for work that is to be done once."""
    presence: Presence | None = None
    """Which processes live; None in memory, and where there are no locks to tell."""
    generation: Generation | None = None
    """What changes with the routines; None in memory."""

    def documents(self, embedder: Embedder | None = None) -> DocumentStore:
        """The documents that are kept here, with the index that they are found by; by meaning too with an embedder."""
        path = None if self.directory is None else self.directory / "store" / "search.sqlite3"
        return DocumentStore(self.text, index=SearchIndex(path, embedder=embedder), generation=self.generation)

    def routine_cache(self) -> RoutineCache:
        """The routines that are kept here."""
        return RoutineCache(self.text, self.secrets, now=self.clock.time, generation=self.generation)


def state_directory() -> Path:
    """The folder that is used where none is named."""
    named = os.environ.get("NEGOTIATOR_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "negotiator"


def open_state(where: str | Path | None = None, clock: Clock | None = None) -> State:
    """Open the state at `where`: a folder, `memory`, or None for the default.

    Raises `protocol_docs.StoreUnusable` where the folder, or a file in it, is not this user's own.
    """
    clock = clock or SystemClock()
    default = where is None
    directory = state_directory() if where is None else Path(where)
    if str(directory) == MEMORY or (default and importlib.util.find_spec("diskcache") is None):
        made = [secrets.token_bytes(32)]
        return State(MemoryTextStore(first=_FIRST), lambda: made, None, clock, OwnFlights())
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The store looks at the way to it, and so at this folder, before anything else is trusted.
    text = DiskTextStore(directory / "store", first=_FIRST)
    try:
        kept = SecretFile(directory / "secret")
        if sys.platform == "win32":
            return State(text, kept, directory, clock, OwnFlights())
        return State(
            text,
            kept,
            directory,
            clock,
            FileFlights(directory / "turns", clock),
            Presence(directory / "alive", clock),
            FileGeneration(directory / "generation"),
        )
    except RoutineRefused as error:
        raise StoreUnusable(str(error)) from error


def rotate_secret(where: str | Path | None = None, *, distrust: bool = False) -> None:
    """Put a new secret in force for the routines of the state at `where`, in every process that uses it.

    What older secrets signed is still read until it is written again, or until two more rotations. With
    `distrust`, for when the secret may have been seen by others, it no longer is: all routines are made anew.

    Raises `protocol_docs.StoreUnusable`.
    """
    directory = state_directory() if where is None else Path(where)
    try:
        if distrust:
            # What the file holds may be why: it is not read first.
            rotate_secrets(directory / "secret", distrust=True)
        opened = open_state(directory)
        if not distrust:
            rotate_secrets(directory / "secret")
    except RoutineRefused as error:
        raise StoreUnusable(str(error)) from error
    if opened.generation is not None:
        # What is held ready in memory is looked at anew.
        with opened.generation.changing():
            pass
