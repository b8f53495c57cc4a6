"""What happens while a request is under way, for whoever listens. Where nobody does, nothing is made of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, TypeAlias

from negotiator.jsonvalue import JsonValue
from negotiator.messages import Tier
from negotiator.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChosen:
    """How this side handles the request, from here on: the first choice, and each tier that takes over."""

    tier: Tier
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is. What a peer says here is its own word, and is no part of any answer."""

    message: str
    fraction: float | None = None
    """From 0 to 1, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """A part of the answer's text before the whole. Not checked: only the result is."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of it."""

    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What is about to leave, so that the same can be asked for again. Holds a payload; streams do not show it."""

    body: JsonValue
    protocol_hash: str | None
    """None in natural language."""


Event: TypeAlias = TierChosen | Progress | Partial | Result | Sent
Listener: TypeAlias = Callable[[Event], None]
"""Hears of an event; it must return at once, and raises nothing."""

_LISTENER: Final[ContextVar[Listener | None]] = ContextVar("negotiator_listener", default=None)


listener: Final[Callable[[], Listener | None]] = _LISTENER.get
"""Who hears of what the work at hand does."""


def emit(event: Event) -> None:
    """Tell whoever listens."""
    listens = _LISTENER.get()
    if listens is not None:
        listens(event)


@contextmanager
def listening(to: Listener | None) -> Iterator[None]:
    """Have `to` hear of what is done inside; None: nobody, whoever listened outside."""
    token = _LISTENER.set(to)
    try:
        yield
    finally:
        _LISTENER.reset(token)
