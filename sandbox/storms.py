"""Programs that end their worker each time they run: a worker costs far more to start than a call."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from sandbox.errors import WorkerDied

DEATHS = 3
"""Workers that one program may end in a row before it is held back."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds that it is held back; twice as long after each further worker."""
MOST = 256
"""Programs that are remembered."""

Key = tuple[str, str]
"""A tenant and the digest of a source."""


class Storms:
    """Which programs are held back. A program that ends no worker is not known here and costs nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._deaths: OrderedDict[Key, tuple[int, float]] = OrderedDict()

    def check(self, key: Key) -> None:
        """Raises `WorkerDied` where this program is held back; no worker is spent on it then."""
        deaths, until = self._deaths.get(key, (0, 0.0))
        left = until - self._clock() if deaths >= DEATHS else 0.0
        if left > 0:
            raise WorkerDied(f"this program has ended {deaths} workers in a row; it may run again in {left:.1f} s")

    def died(self, key: Key) -> None:
        """A worker died in this program."""
        with self._lock:
            deaths = self._deaths.pop(key, (0, 0.0))[0] + 1
            pause = min(FIRST_PAUSE * 2 ** min(deaths - DEATHS, 10), LONGEST_PAUSE)
            self._deaths[key] = deaths, self._clock() + pause
            if len(self._deaths) > MOST:
                self._deaths.popitem(last=False)

    def lived(self, key: Key) -> None:
        """A worker outlived this program."""
        if key in self._deaths:
            with self._lock:
                self._deaths.pop(key, None)
