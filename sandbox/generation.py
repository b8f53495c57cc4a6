"""Whether a shared routine cache has changed, told without reading the cache.

What a process holds ready in memory is right until somebody else changes the cache. So the cache has a
generation: bytes that every change replaces, and that cost a process half a microsecond to look at. A change is
marked twice, before it is written and after; between the two, or where a writer died between them, nothing that
was read may be relied on, and readers go to the store.
"""

import contextlib
import os
import stat
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sandbox.errors import RoutineRefused

_TOKEN = 8


class Generation(Protocol):
    """The generation of one cache."""

    def now(self) -> bytes | None:
        """Equal for as long as nothing changes; None while something does, and while nobody can tell."""
        ...

    def changing(self) -> AbstractContextManager[None]:
        """Held around each write to the cache."""
        ...


class OwnGeneration:
    """The generation of a cache that one process has to itself. Safe to use from several threads."""

    def __init__(self) -> None:
        self._now = os.urandom(_TOKEN)

    def now(self) -> bytes | None:
        """See `Generation.now`."""
        return self._now

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """See `Generation.changing`."""
        try:
            yield
        finally:
            self._now = os.urandom(_TOKEN)


class FileGeneration:
    """The generation of a cache that the processes of a machine share, in a file of 16 bytes.

    The first half is replaced before a change, the second after it: halves that are equal say that all is quiet.

    Args:
        path: The file, outside of the cache's directory; made, for its owner only, where there is none.

    Raises:
        RoutineRefused: It is a symbolic link, not a regular file, somebody else's, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._file = os.open(path, flags, 0o600)
        except OSError as error:
            raise RoutineRefused(f"{path} cannot be used as a file of the cache: {error.strerror}") from None
        weakref.finalize(self, os.close, self._file)
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode) or (os.name == "posix" and found.st_uid != os.geteuid()):
            raise RoutineRefused(f"{path} must be a regular file of this user's")
        if found.st_size < 2 * _TOKEN:
            self._write(os.urandom(_TOKEN) * 2, 0)
        self._quiet = b""

    def now(self) -> bytes | None:
        """See `Generation.now`."""
        found = os.pread(self._file, 2 * _TOKEN, 0)
        if found == self._quiet:
            return found
        if found[:_TOKEN] != found[_TOKEN:]:
            return None
        self._quiet = found
        return found

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """See `Generation.changing`. Where the file cannot be written, others hear of the change by chance."""
        begun = os.urandom(_TOKEN)
        self._write(begun, 0)
        try:
            yield
        finally:
            found = os.pread(self._file, 2 * _TOKEN, 0)
            if found[:_TOKEN] == begun:
                self._write(begun, _TOKEN)
            elif found[:_TOKEN] == found[_TOKEN:]:
                # Somebody else's change began after ours and ended before ours was written.
                self._write(os.urandom(_TOKEN) * 2, 0)

    def _write(self, token: bytes, at: int) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._file, token, at)
