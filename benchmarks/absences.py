"""How long a process that does nothing but look at the clock is not run: what the system, the host below it and its
other guests take. `python -m benchmarks.absences SECONDS` says it in a line of JSON.

A server that is busy for four fifths of the time works off what came in an absence at a fifth of its speed: one of
four milliseconds is felt for twenty.
"""

import json
import sys
import time
from typing import Final

NOTICED: Final = 0.0005
"""Seconds between two looks at the clock from which on it was not run in between."""


def look(seconds: float) -> dict[str, float]:
    """For `seconds`: the `share` of them that was taken, how `often` a second, and the `worst` in seconds."""
    begun = last = time.perf_counter()
    absences: list[float] = []
    while last < begun + seconds:
        now = time.perf_counter()
        if now - last > NOTICED:
            absences.append(now - last)
        last = now
    return {
        "share": sum(absences) / seconds,
        "often": len(absences) / seconds,
        "worst": max(absences, default=0.0),
    }


if __name__ == "__main__":
    print(json.dumps(look(float(sys.argv[1]))))
