"""What stands ready, and for how long: until anything has changed that it rests on, told by one look."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol_docs.changes import LATEST

if TYPE_CHECKING:
    from negotiator.engine import Engine


class Standing(ABC):
    """Something that was put together once, and is gone by as long as what it was made of is as it was."""

    __slots__ = ("_as_of", "_generation", "_now")

    def __init__(self) -> None:
        self._as_of: object = None
        """The latest change when it was looked at; None where it is to be looked at again."""
        self._generation: object = None
        """The generation of what other processes may change, at that moment."""
        self._now: Callable[[], object] = object

    def stands(self, engine: "Engine") -> bool:
        """Whether it is what would be put together now. Raises `protocol_docs.StoreUnusable`."""
        generation_now = self._now
        if self._as_of is LATEST.change and self._generation == generation_now():
            return True
        # Both are taken before the look: what changes meanwhile makes the next one look again.
        as_of, now = LATEST.change, engine.generation
        generation = now()
        self._as_of = None
        if not self.is_as_it_was(engine):
            return False
        if generation is not None:
            self._as_of, self._generation, self._now = as_of, generation, now
        return True

    @abstractmethod
    def is_as_it_was(self, engine: "Engine") -> bool:
        """Whether each thing that it was made of is the same; each look is one in memory, or at a file's first bytes."""
        ...
