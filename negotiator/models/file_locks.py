"""Locks between processes that end with the process that holds them, however it ends."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from negotiator.errors import NotPossible


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold the lock file at `path`; gives whether it is held, always True with `wait`.

    Raises:
        NotPossible: This system has no such locks (Windows).
        OSError: The file cannot be made.
    """
    # Never removed: a lock on a file that another process has replaced is no lock.
    handle = open_lock(path)
    try:
        yield lock(handle, shared=shared, wait=wait)
    finally:
        os.close(handle)


def open_lock(path: Path) -> int:
    """Open the lock file at `path`, made where there is none; closing it ends what is held by it.

    Raises as `held` does.
    """
    if sys.platform == "win32":
        raise NotPossible("the local model needs file locks that Windows does not have; use openai/<model> instead")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def lock(handle: int, *, shared: bool = False, wait: bool = False) -> bool:
    """Lock an opened file; whether it is held, always True with `wait`."""
    import fcntl  # noqa: PLC0415 - not on Windows

    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    try:
        fcntl.flock(handle, how)
    except BlockingIOError:
        return False
    return True


def is_at(handle: int, path: Path) -> bool:
    """Whether `path` still names the file that was opened: where it does not, its lock is nobody's concern."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
