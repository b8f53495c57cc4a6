"""Time as an argument. Nothing in this package reads a clock that was not handed to it."""

import time
from typing import Protocol

from negotiator.errors import DeadlinePassed


class Clock(Protocol):
    """Where time comes from. `negotiator.testing.VirtualClock` is the one to use in tests."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. For deadlines and durations."""
        ...

    def time(self) -> float:
        """Unix seconds. For display and for expiry that outlives the process, never for deadlines."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ("monotonic", "time")

    def __init__(self) -> None:
        # The functions themselves, without a frame around them: a warm request looks at the clock several times.
        self.monotonic = time.monotonic
        self.time = time.time


class Deadline:
    """The moment by which a request has ended; made once and handed down, and never changed."""

    __slots__ = ("at", "clock")

    def __init__(self, at: float, clock: Clock) -> None:
        """`at` is in seconds of `clock.monotonic()`."""
        self.at = at
        self.clock = clock

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """A deadline `seconds` from now."""
        return cls(clock.monotonic() + seconds, clock)

    def remaining(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.at - self.clock.monotonic()

    def require(self) -> float:
        """Seconds left, always above 0. Raises `DeadlinePassed`."""
        left = self.remaining()
        if left <= 0:
            raise DeadlinePassed
        return left
