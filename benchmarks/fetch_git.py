"""One commit of a public git repository, as a source of files.

A commit's name is the hash of all that is in it, and git recomputes it from what arrived. So a pinned commit pins
every file below it, however many there are, without a list of their digests: to that extent the pin is SHA-1 as
git computes it (which refuses the known kinds of collision). What is written from the files is pinned by SHA-256
besides, in `benchmarks.fetch`.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import DataMissing
from benchmarks.progress import Progress

MAX_DOWNLOAD = 512 * 2**20
"""Bytes that a download may take on disk, compressed."""
MAX_FILE = 64 * 2**20
"""Bytes of one file, unpacked."""
MAX_FILES = 4 * 2**30
"""Bytes of all files of a commit, unpacked."""
_CHUNK = 1 << 16
_STALLED_SECONDS = 60
_OF_ONE_REPOSITORY = ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "ALTERNATE_OBJECT_DIRECTORIES", "NAMESPACE")


@dataclass(frozen=True)
class Commit:
    """The files of one commit that is on this machine, in a bare repository."""

    repository: Path
    name: str
    sizes: dict[str, int]
    """Path -> bytes, of every file."""

    def read(self, path: str) -> bytes:
        """The content of one file. Raises `DataMissing` where the commit has no such file."""
        if path not in self.sizes:
            raise DataMissing(f"the commit {self.name} has no file {path}")
        return _git(self.repository, "cat-file", "blob", f"{self.name}:{path}")

    def below(self, folder: str, prefix: str) -> list[str]:
        """The files of one folder whose names begin with `prefix`, in the order of their names."""
        start = f"{folder}/{prefix}"
        return sorted(path for path in self.sizes if path.startswith(start))


def download(home: str, commit: str, into: Path, progress: Progress, *, protocol: str = "https") -> Commit:
    """Bring one commit, without its history, to the bare repository `into`.

    What an earlier call brought whole is not downloaded again; what it left half-done is thrown away.

    Args:
        home: the repository's address.
        commit: 40 hex digits.
        into: made where it is not there.
        progress: told what goes on.
        protocol: the only one that git may use, redirects included; tests say `file`.

    Raises:
        DataMissing: git is not here, the home cannot be reached or has no such commit, or it sends too much.
    """
    if shutil.which("git") is None:
        raise DataMissing(f"git is needed to fetch {home}; install it, or copy the folder from a machine that has it")
    if not _is_there(into, commit):
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        _git(into, "init", "--quiet", "--bare", "--object-format=sha1", ".")
        _fetch(home, commit, into, progress, protocol)
    sizes = _sizes(into, commit)
    if sum(sizes.values()) > MAX_FILES or max(sizes.values(), default=0) > MAX_FILE:
        raise DataMissing(f"the commit {commit} of {home} unpacks to more than a data set should; not used")
    return Commit(into, commit, sizes)


def _is_there(repository: Path, commit: str) -> bool:
    """Whether an earlier fetch ended: git names a pack only after it has checked all of it."""
    if not (repository / "HEAD").is_file():
        return False
    asked = ["git", "cat-file", "-e", f"{commit}^{{tree}}"]
    return subprocess.run(asked, cwd=repository, env=_environment(), capture_output=True, check=False).returncode == 0


def _fetch(home: str, commit: str, repository: Path, progress: Progress, protocol: str) -> None:
    command = [
        "git",
        # Kept as one pack, which appears only when it is whole: that is what `_is_there` goes by.
        *("-c", "fetch.unpackLimit=1"),
        *("-c", "http.lowSpeedLimit=1000", "-c", f"http.lowSpeedTime={_STALLED_SECONDS}"),
        *("fetch", "--progress", "--depth=1", "--no-tags", "--no-write-fetch-head", "--", home, commit),
    ]
    with subprocess.Popen(
        command,
        cwd=repository,
        env={**_environment(), "GIT_ALLOW_PROTOCOL": protocol},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stderr is not None  # noqa: S101 - asked for above
        said = b""
        # Git tells about its progress every second, so that this is also when to look at what it has written.
        while chunk := os.read(running.stderr.fileno(), _CHUNK):
            said = (said + chunk)[-_CHUNK:]
            if "%" in (line := _last_line(said)):
                progress.at(line)
            if _on_disk(repository) > MAX_DOWNLOAD:
                running.kill()
                raise DataMissing(f"{home} sends more than {MAX_DOWNLOAD >> 20} MiB; not used")
    progress.end()
    if running.returncode != 0:
        shutil.rmtree(repository)
        raise DataMissing(
            f"the commit {commit} could not be fetched from {home}: {_last_line(said)}. This needs the network; "
            "a fetched folder can be copied from another machine, and is checked by the same command"
        )


def _sizes(repository: Path, commit: str) -> dict[str, int]:
    sizes = {}
    for entry in _git(repository, "ls-tree", "-r", "-l", "-z", commit).decode("utf-8").split("\0"):
        about, _, path = entry.partition("\t")
        if path:
            size = about.split()[3]
            sizes[path] = int(size) if size.isdigit() else 0
    return sizes


def _git(repository: Path, *arguments: str) -> bytes:
    ran = subprocess.run(
        ["git", *arguments],  # noqa: S607 - git from the PATH
        cwd=repository,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if ran.returncode != 0:
        raise DataMissing(f"git {arguments[0]} failed: {_last_line(ran.stderr)}")
    return ran.stdout


def _environment() -> dict[str, str]:
    """The caller's own (proxies, certificates), without what would point git at another repository or ask a person."""
    dropped = {f"GIT_{name}" for name in _OF_ONE_REPOSITORY}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").replace("\r", "\n").strip().splitlines()
    return lines[-1].strip().removeprefix("fatal: ")[:300] if lines else "it said nothing"


def _on_disk(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:  # git renames its own files meanwhile
            continue
    return total
