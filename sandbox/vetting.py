"""Compiles a source under the language of handlers in a process of its own, on any platform, and never here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.errors import LimitExceeded, PolicyViolation, SandboxUnavailable, WorkerDied
from sandbox.processes import BOOTSTRAP

VET_SECONDS = 10.0
"""How long compiling may take, in seconds."""


class Import(NamedTuple):
    """One import of a program, as a statement of one name."""

    line: int | None
    statement: str


def vet(source: str, entry: str) -> tuple[Import, ...]:
    """What an allowed source imports. Takes some tens of milliseconds.

    Raises:
        PolicyViolation: The source is not in the language.
        LimitExceeded: Compiling took too long.
        WorkerDied: The compiler crashed.
        SandboxUnavailable: No process could be started.
    """
    import RestrictedPython  # noqa: PLC0415 - its place is needed, and only here

    code = BOOTSTRAP.replace("inside.worker import serve", "inside.apart import serve").format(
        paths=[str(Path(RestrictedPython.__file__).parent.parent)], package=str(Path(__file__).parent)
    )
    # Windows starts no process without SYSTEMROOT.
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        ran = subprocess.run(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-s", "-S", "-P", "-W", "ignore", "-X", "utf8", "-c", code],
            input=json.dumps({"source": source, "entry": entry}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=kept | {"PYTHONHASHSEED": "0"},
            timeout=VET_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LimitExceeded("wall_s", f"compiling took longer than {VET_SECONDS:g} s") from None
    except OSError as error:
        raise SandboxUnavailable(f"a process to compile in cannot be started: {error}") from None
    try:
        found: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        raise WorkerDied("the compiler died on the source") from None
    if found["violations"]:
        raise PolicyViolation(tuple((line, what) for line, what in found["violations"]))
    return tuple(Import(line, statement) for line, statement in found["imports"])
