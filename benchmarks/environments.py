"""Environments for packages that are no dependency of ours, each made on first use from a file of pinned versions."""

import fcntl
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).parent.parent / ".peers"
"""Where they stand unless said otherwise, in the checkout."""
_SUITS: Final = "import sys, venv, ensurepip; sys.exit(not (3, {low}) <= sys.version_info[:2] <= (3, {high}))"


class NotHere(Exception):
    """An environment is not there and was not to be made, or cannot be; the message says why."""


def python_of(pinned: Path, module: str, *, home: Path = HOME, low: int = 10, high: int = 13, make: bool = True) -> str:
    """The Python of an environment with what `pinned` lists.

    Args:
        pinned: A requirements file; the environment is `home`/<its name without the ending>.
        module: What is imported to see whether it is whole; several with commas between.
        home: The folder of environments.
        low: The oldest Python that will do, as the minor version of 3.
        high: The newest.
        make: Whether to make it where it is not there.

    Raises:
        NotHere: where it is not to be had.
    """
    folder = home / pinned.stem
    inside = folder / "bin" / "python"
    if not make:
        if not _runs(inside, "-c", f"import {module}"):
            raise NotHere(f"{folder} is not there, or not whole")
        return str(inside)
    home.mkdir(exist_ok=True, parents=True)
    with (home / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _runs(inside, "-c", f"import {module}"):
            python = _suitable_python(low, high)
            if python is None:
                raise NotHere(f"{folder.name} needs a Python of 3.{low} to 3.{high}, and none is here")
            shutil.rmtree(folder, ignore_errors=True)
            _install(python, folder, pinned)
    return str(inside)


def _runs(*command: str | Path, seconds: float = 60) -> bool:
    try:
        ran = subprocess.run([str(part) for part in command], capture_output=True, check=False, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0


def _suitable_python(low: int, high: int) -> str | None:
    minors = range(high, low - 1, -1)
    names = [sys.executable, *(shutil.which(f"python3.{minor}") for minor in minors), shutil.which("python3")]
    suits = _SUITS.format(low=low, high=high)
    return next((name for name in names if name and _runs(name, "-c", suits)), None)


def _install(python: str, folder: Path, pinned: Path) -> None:
    has_uv = importlib.util.find_spec("uv") is not None
    making = [sys.executable, "-m", "uv", "venv", "-q", "-p", python] if has_uv else [python, "-m", "venv"]
    subprocess.run([*making, str(folder)], check=True, timeout=300)
    inside = str(folder / "bin" / "python")
    installing = (
        [sys.executable, "-m", "uv", "pip", "install", "-p", inside] if has_uv else [inside, "-m", "pip", "install"]
    )
    subprocess.run([*installing, "-q", "-r", str(pinned)], check=True, timeout=900)
