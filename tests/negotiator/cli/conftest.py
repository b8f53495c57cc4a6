"""The command as a function, and as a process."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from negotiator.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of standard output."""
        return json.loads(self.out.strip().splitlines()[-1])


Negotiator = Callable[..., Ran]


@pytest.fixture
def negotiator(capsys: pytest.CaptureFixture[str]) -> Negotiator:
    """Runs the command in this process."""

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's way out
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


@pytest.fixture
def negotiator_process() -> Negotiator:
    """Runs the command in a process of its own."""

    def run(*arguments: object, **options: Any) -> Ran:
        command = [sys.executable, "-m", "negotiator.cli", *map(str, arguments)]
        ran = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120, **options
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    return run
