"""A worker on its caller's own processor, for as long as the caller waits for it (Linux).

Two processes that take turns gain nothing from two processors. Where those are two threads of one core, or belong to a
virtual machine, the one that has nothing to do slows the other down, and to wake it takes longer than a short handler:
a call took 17 times a plain one across them, and 10 times on one (`python -m benchmarks run sandbox`).

Source: the manual pages sched_setaffinity(2) and sched_getcpu(3).
"""

import ctypes
import functools
from typing import Final

_BYTES: Final = 128
"""Room for 1,024 processors; where a kernel counts more, nothing is held."""


@functools.lru_cache(maxsize=1024)
def _only(processor: int) -> bytes:
    return (1 << processor).to_bytes(_BYTES, "little")


class Beside:
    """Moves a worker to its caller's processor, and both back. One for each executor; safe to use from threads."""

    __slots__ = ("_libc",)

    def __init__(self) -> None:
        libc = ctypes.CDLL(None)
        known = all(hasattr(libc, name) for name in ("sched_getcpu", "sched_getaffinity", "sched_setaffinity"))
        self._libc = libc if known else None

    def hold(self, pid: int, where: int | None) -> "tuple[int, ctypes.Array[ctypes.c_char]] | None":
        """Hold this thread and the process `pid`, which is held to `where` already, to this thread's processor.

        Returns:
            The processor, and what `release` needs; None where nothing was done.
        """
        libc = self._libc
        if libc is None:
            return None
        before = ctypes.create_string_buffer(_BYTES)
        here = libc.sched_getcpu()
        if here < 0 or libc.sched_getaffinity(0, _BYTES, before) < 0:
            return None
        one = _only(here)
        if where != here and libc.sched_setaffinity(pid, _BYTES, one) < 0:
            return None
        if libc.sched_setaffinity(0, _BYTES, one) < 0:
            return None
        return here, before

    def release(self, before: "ctypes.Array[ctypes.c_char]") -> None:
        """Let this thread run where it could before."""
        if self._libc is not None:
            self._libc.sched_setaffinity(0, _BYTES, before)

    def free(self, pid: int) -> None:
        """Let the process `pid` run where this thread may."""
        now = ctypes.create_string_buffer(_BYTES)
        if self._libc is not None and self._libc.sched_getaffinity(0, _BYTES, now) >= 0:
            self._libc.sched_setaffinity(pid, _BYTES, now)
