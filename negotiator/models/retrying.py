"""The one retry layer of model calls; every layer below it is told not to retry."""

import asyncio
import email.utils
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from negotiator.clock import Clock, Deadline
from negotiator.errors import DeadlinePassed, ModelUnavailable

T = TypeVar("T")

ATTEMPTS: Final = 3
FIRST_WAIT: Final = 0.5
"""Seconds; the longest wait after the first failure. Doubles with each, up to `LONGEST_WAIT`."""
LONGEST_WAIT: Final = 8.0
FAILURES_BEFORE_REST: Final = 3
"""Calls that failed in a row, their retries included, after which the endpoint is left alone."""
REST: Final = 20.0
"""Seconds for which it is left alone; then one call tries again."""
LONGEST_REST: Final = 300.0
"""Seconds of a `Retry-After` that are believed."""
MAX_MESSAGE: Final = 300

RETRIED_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})


class Failure(Exception):
    """One attempt failed.

    Args:
        message: What went wrong, in words for the person who runs this.
        again: Whether another attempt may succeed.
        after: Seconds that the provider asks to wait.
        status: The HTTP status, where there was one.
    """

    def __init__(
        self, message: str, *, again: bool = False, after: float | None = None, status: int | None = None
    ) -> None:
        super().__init__(message[:MAX_MESSAGE])
        self.again = again
        self.after = after
        self.status = status


class Retrying:
    """Repeats what may succeed later, within the deadline, and leaves a failing endpoint alone for a while.

    Waits grow, with full jitter; a `Retry-After` is kept to. A wait that would outlast the deadline is not begun.

    Args:
        clock: Where time comes from.
        random_number: From 0 up to 1; the machine's by default.
        sleep: Waits that many seconds.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        random_number: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._random = random_number or random.SystemRandom().random
        self._sleep = sleep
        self._failed_calls = 0
        self._rests_until = clock.monotonic()

    async def run(self, name: str, once: Callable[[], Awaitable[T]], deadline: Deadline) -> T:
        """`once()`, until it succeeds. `once` raises `Failure` and nothing else; `name` is for messages.

        Raises:
            ModelUnavailable: It failed for good, too often, or the endpoint is being left alone.
            DeadlinePassed: The deadline passed during an attempt, which was cancelled.
        """
        deadline.require()
        resting = self._rests_until - self._clock.monotonic()
        if resting > 0:
            raise ModelUnavailable(f"{name} failed or asked for a pause; it is asked again in {resting:.0f} s")
        for attempt in range(ATTEMPTS):
            try:
                result = await by_deadline(deadline, once)
            except DeadlinePassed:
                self._call_failed()
                raise
            except Failure as failure:
                wait = self._wait(failure, attempt)
                if failure.again and attempt < ATTEMPTS - 1 and wait < deadline.remaining():
                    await self._sleep(wait)
                    continue
                if failure.again:
                    self._call_failed(failure.after)
                raise ModelUnavailable(f"{name}: {failure}") from failure
            self._failed_calls = 0
            return result
        raise AssertionError("the last attempt returns or raises")

    def _wait(self, failure: Failure, attempt: int) -> float:
        if failure.after is not None:
            return failure.after
        return self._random() * min(LONGEST_WAIT, FIRST_WAIT * 2.0**attempt)

    def _call_failed(self, asked_to_wait: float | None = None) -> None:
        self._failed_calls += 1
        rest = min(asked_to_wait or 0.0, LONGEST_REST)
        if self._failed_calls >= FAILURES_BEFORE_REST:
            rest = max(rest, REST)
        if rest > 0:
            self._rests_until = max(self._rests_until, self._clock.monotonic() + rest)


async def by_deadline(deadline: Deadline, once: Callable[[], Awaitable[T]]) -> T:
    """`once()`, cancelled at the deadline. Raises `DeadlinePassed`."""
    try:
        async with asyncio.timeout(deadline.require()):
            return await once()
    except TimeoutError:
        raise DeadlinePassed from None


def retry_after(headers: Mapping[str, str], clock: Clock) -> float | None:
    """The seconds that a reply's `retry-after-ms` or `retry-after` (RFC 9110, 10.2.3) asks to wait, if any."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.strip().isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - clock.time())
    except (ValueError, OverflowError):
        return None
