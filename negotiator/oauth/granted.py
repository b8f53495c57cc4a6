"""What the token of the request at hand is good for."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_GRANTED: Final[ContextVar[frozenset[str]]] = ContextVar("negotiator_granted_scopes", default=frozenset())


granted_scopes: Final[Callable[[], frozenset[str]]] = _GRANTED.get
"""The scopes of the token that the request at hand was made with; none where there was no token."""


@contextmanager
def granting(scopes: frozenset[str]) -> Iterator[None]:
    """Have `granted_scopes` say `scopes` inside, and in what is begun there."""
    token = _GRANTED.set(scopes)
    try:
        yield
    finally:
        _GRANTED.reset(token)
