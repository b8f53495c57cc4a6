"""Which processes live, as those that share a state folder can see it.

Each holds a lock on a file of its own, which ends with it, however it ends. A process number would not do: it is
given to others later, and means nothing in another container.
"""

import contextlib
import os
import re
import secrets
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from negotiator.clock import Clock
from negotiator.errors import NotPossible
from negotiator.models.file_locks import is_at, lock, open_lock

_KEEP_SECONDS: Final = 86_400.0
_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Presence:
    """This process's sign of life, and a look at those of others. Safe to use from several threads and after a fork."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Signs are files in `folder`, which is made when it is needed."""
        self._folder = folder
        self._clock = clock
        self._own: _Sign | None = None
        self._lock = threading.Lock()

    def name(self) -> str | None:
        """What to write beside work that ends with this process; None where there are no such locks."""
        with self._lock:
            if self._own is None or self._own.process != os.getpid():
                # After a fork the sign is the parent's.
                with contextlib.suppress(OSError, NotPossible):
                    self._own = None
                    self._sweep()
                    self._own = _Sign(self._folder)
            return None if self._own is None else self._own.name

    def gone(self, name: object) -> bool:
        """Whether the process of that name has ended; False where that cannot be told."""
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            return False
        with contextlib.suppress(OSError), self._ended(self._folder / name) as handle:
            return handle is not None
        return False

    def _sweep(self) -> None:
        for path in [path for path in self._folder.glob("*") if _NAME.fullmatch(path.name)]:
            with contextlib.suppress(OSError), self._ended(path) as handle:
                if handle is None:
                    continue
                # Kept for a while after it was first found ended: a sign that is not there says nothing.
                try:
                    found_ended = float(os.pread(handle, 20, 0))
                except ValueError:
                    os.pwrite(handle, f"{self._clock.time():20.3f}".encode(), 0)
                else:
                    if found_ended < self._clock.time() - _KEEP_SECONDS:
                        path.unlink()

    @staticmethod
    @contextlib.contextmanager
    def _ended(path: Path) -> Iterator[int | None]:
        """The opened sign of a process that has ended, held; None for one that lives."""
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            yield handle if lock(handle) else None
        finally:
            os.close(handle)


class _Sign:
    def __init__(self, folder: Path) -> None:
        self.process = os.getpid()
        while True:
            self.name = secrets.token_hex(16)
            path = folder / self.name
            handle = open_lock(path)
            # Another may sweep it away before it is locked.
            if lock(handle) and is_at(handle, path):
                break
            os.close(handle)
        weakref.finalize(self, os.close, handle)
