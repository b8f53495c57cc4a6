"""Whether anything has changed that an answer may rest on: one look, whatever it rests on.

What stands ready to ask or to answer with rests on documents, routines, tools, peers and agreements, and asking each of
them for each request whether it is still the same costs more than the request's own work. So whatever changes one of
them says so here, after the change, and what stands ready is looked at again where anything has changed since. It is
one sign for all of a process: agents that share a store need not know of each other. What other processes change is
told by the generation of what they share.
"""

from typing import Any, Final, Self, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Latest:
    """Which change was the latest."""

    __slots__ = ("change",)

    def __init__(self) -> None:
        self.change = object()
        """Another object after each change, and never one that was there before and is still held."""


LATEST: Final = _Latest()
"""To rely on something: take `LATEST.change`, then look at it, and go by it while `LATEST.change` is what was taken."""


def changed() -> None:
    """Say that something has changed; safe in threads."""
    LATEST.change = object()


class Watched(dict[K, V]):
    """A dict that says of each of its changes that something has changed."""

    __slots__ = ()

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        changed()

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        changed()

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    def clear(self) -> None:
        """See `dict.clear`."""
        super().clear()
        changed()

    def pop(self, *given: Any) -> Any:
        """See `dict.pop`."""
        found = super().pop(*given)
        changed()
        return found

    def popitem(self) -> tuple[K, V]:
        """See `dict.popitem`."""
        found = super().popitem()
        changed()
        return found

    def setdefault(self, *given: Any) -> Any:
        """See `dict.setdefault`."""
        found = super().setdefault(*given)
        changed()
        return found

    def update(self, *given: Any, **more: Any) -> None:
        """See `dict.update`."""
        super().update(*given, **more)
        changed()
