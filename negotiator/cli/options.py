"""Options that several commands share, and how their values are read."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final, Protocol

from negotiator.errors import UsageError

_MAX_INPUT: Final = 16 * 1024 * 1024
"""Characters that are read of a file or of standard input."""


class Commands(Protocol):
    """What `add_subparsers` returns, as far as the commands need it."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser:
        """A parser for the command `name`."""
        ...


def command(commands: Commands, name: str, summary: str, *, description: str, example: str) -> argparse.ArgumentParser:
    """The parser of one command, with its example below its options and `--json` among them."""
    made = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--json", action="store_true", help="print JSON, for programs")
    return made


def add_state(parser: argparse.ArgumentParser) -> None:
    """The option `--state`."""
    parser.add_argument(
        "--state",
        metavar="DIR",
        help="where what was learned is kept (default: NEGOTIATOR_STATE, else ~/.local/state/negotiator)",
    )


def json_text(given: str, what: str) -> Any:
    """The JSON value of `given`: itself, or with `@file` or `-` what stands there. Raises `UsageError`."""
    text = given
    if given == "-":
        text = sys.stdin.read(_MAX_INPUT)
    elif given.startswith("@"):
        text = read_bytes(given[1:], what).decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{what} is not JSON: {error}") from error


def json_file(path: str | None, what: str) -> Any:
    """The JSON value in a file; None where no file was given. Raises `UsageError`."""
    return None if path is None else json_text(f"@{path}", what)


def read_bytes(path: str, what: str) -> bytes:
    """The bytes of a file, of standard input for `-`. Raises `UsageError`."""
    try:
        return sys.stdin.buffer.read(_MAX_INPUT) if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {path}: {error.strerror}") from error


def positive(text: str) -> float:
    """A number of seconds above 0, for argparse."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("not above 0")
    return value
