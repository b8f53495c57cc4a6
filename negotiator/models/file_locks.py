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
    if sys.platform == "win32":
        raise NotPossible("the local model needs file locks that Windows does not have; use openai/<model> instead")
    import fcntl  # noqa: PLC0415 - not on Windows

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never removed: a lock on a file that another process has replaced is no lock.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
