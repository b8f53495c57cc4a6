"""Two looks at the machine that are of no case: what another process has used of it, and how fast it is just now."""

import sys
import time
from typing import Final

_WORK: Final = 20_000
"""Turns of the fixed loop: about a millisecond."""


def processor_seconds(pid: int) -> float | None:
    """What a process has used of processors so far, all its threads; None where the system does not say.

    By the process's own clock, whose number Linux makes of the process's (`MAKE_PROCESS_CPUCLOCK`): it counts
    nanoseconds, where `/proc` counts hundredths of a second, of which a short look has ten.
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return None


def loop_us() -> float:
    """Microseconds of a loop that is always the same, and no part of what is measured: the machine's speed just now."""
    begun, total = time.perf_counter(), 0
    for number in range(_WORK):
        total += number * number
    return (time.perf_counter() - begun) * 1e6
