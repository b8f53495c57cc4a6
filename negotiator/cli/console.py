"""What people and programs see: results on standard output, everything else on standard error."""

import contextlib
import json
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

_PATIENCE: Final = 1.0
"""Seconds that pass before waiting is mentioned."""
_REMINDER: Final = 10.0
"""Seconds between two mentions where standard error is a file."""


class Console:
    """Writes for one command. Plain text, no colours; `as_json` gives programs JSON instead."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @property
    def width(self) -> int:
        """Columns that a line may take, 60 to 120."""
        return min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)

    def out(self, text: str = "") -> None:
        """A line of the result."""
        print(text, flush=True)

    def json(self, value: Any) -> None:
        """The result, for programs: one line."""
        print(json.dumps(value, ensure_ascii=False), flush=True)

    def note(self, text: str) -> None:
        """A line beside the result."""
        print(text, file=sys.stderr, flush=True)

    def rows(self, rows: Sequence[Sequence[str]]) -> None:
        """Rows in columns; the last column takes what is left of the line and is cut to it."""
        if not rows:
            return
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]) - 1)]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            line = "  ".join([*cells, one_line(row[-1])])
            self.out(cut(line, self.width))

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say on standard error that `what` is under way, once it has taken more than a second."""
        over = threading.Event()
        ticker = threading.Thread(target=_tick, args=(what, over), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()


def _tick(what: str, over: threading.Event) -> None:
    terminal = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    waited, pause = 0.0, _PATIENCE
    while not over.wait(pause):
        waited += pause
        pause = _PATIENCE if terminal else _REMINDER
        line = f"... {what} ({waited:.0f} s)"
        sys.stderr.write(f"\r\x1b[K{line}" if terminal else f"{line}\n")
        sys.stderr.flush()
    if terminal and waited:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def cut(text: str, width: int) -> str:
    """`text` in at most `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."


def one_line(text: str) -> str:
    """`text` with its line breaks and runs of blanks made one blank, and without control characters."""
    return "".join(letter for letter in " ".join(text.split()) if letter.isprintable())


def short(name: str) -> str:
    """A hash, cut for people: `sha256:` and twelve digits."""
    algorithm, colon, digest = name.partition(":")
    return f"{algorithm}{colon}{digest[:12]}"
