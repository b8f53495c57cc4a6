"""The command line as a whole: which commands there are, and what becomes of errors."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import metadata

from negotiator.cli import ask, demo, docs, doctor, exits, identity, mcp, routines, serve
from negotiator.cli.console import Console, one_line
from negotiator.errors import BadInput

_COMMANDS = (demo, serve, mcp, ask, docs, routines, identity, doctor)

_SHOWN = 5
"""Violations of a schema that people are shown; programs get all."""

_DESCRIPTION = """\
Two agents first talk through a language model, agree on a protocol document, compile that agreement into
verified, sandboxed routines, and from then on exchange messages without any model."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code, see `negotiator.cli.exits`."""
    chosen = parser().parse_args(arguments)
    console = Console(as_json=chosen.json)
    try:
        code = chosen.run(chosen, console)
        sys.stdout.flush()
    except exits.EXPECTED as error:
        violations = error.violations if isinstance(error, BadInput) else ()
        return _failed(console, exits.exit_code_of(error), error.code, str(error), violations)
    except KeyboardInterrupt:
        console.note("")
        return _failed(console, exits.INTERRUPTED, "interrupted", "interrupted")
    except BrokenPipeError:
        # The reader has seen enough; a flush at exit must not complain about it either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    return int(code)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = argparse.ArgumentParser(
        prog="negotiator",
        description=_DESCRIPTION,
        epilog=f"exit codes:\n{exits.table()}\n\nexample:\n  negotiator demo --model scripted",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"negotiator {_version()}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return top


def _failed(
    console: Console, exit_code: int, code: str, message: str, violations: Sequence[tuple[str, str]] = ()
) -> int:
    where = "; ".join(f"{pointer or '/'}: {what}" for pointer, what in violations[:_SHOWN])
    console.note(f"negotiator: {one_line(f'{message}: {where}' if where else message)}")
    if console.as_json:
        said = {"code": code, "message": message}
        wrong = [{"at": pointer, "what": what} for pointer, what in violations]
        console.json({"error": said | ({"violations": wrong} if wrong else {}), "exit_code": exit_code})
    return exit_code


def _version() -> str:
    try:
        return metadata.version("metaparley")
    except metadata.PackageNotFoundError:
        return "(not installed)"
