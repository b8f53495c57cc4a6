"""What is made when it is first needed, with the modules that it takes: a program that never needs it starts sooner."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Late(Generic[T_co]):
    """One thing, made once, whichever thread it is first asked for in."""

    def __init__(self, make: Callable[[], T_co]) -> None:
        """`make` makes it, and imports what that takes."""
        self._make = make
        self._making = Lock()
        self._made: T_co | None = None

    @property
    def made(self) -> T_co | None:
        """The thing, if it has been needed yet."""
        return self._made

    def __call__(self) -> T_co:
        """The thing. Raises what making it does; then it is tried again the next time."""
        if self._made is None:
            with self._making:
                if self._made is None:
                    self._made = self._make()
        return self._made
