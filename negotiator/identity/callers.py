"""Who asks, for the tools that are asked."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeVar

from negotiator.wire import ANONYMOUS

T = TypeVar("T")

_PRINCIPAL: Final[ContextVar[str]] = ContextVar("negotiator_principal", default=ANONYMOUS)


def current_principal() -> str:
    """Whom the tool that is running was called for: `anonymous`, a DID, or `host:<name>`.

    Each request has its own, in threads too. Outside of a tool, `anonymous`.

    Example:
        ```python
        @agent.tool
        def book(room: str) -> Booking:
            return rooms.book(room, guest=current_principal())
        ```
    """
    return _PRINCIPAL.get()


@contextmanager
def calling_for(principal: str) -> Iterator[None]:
    """Have `current_principal` say `principal` inside."""
    token = _PRINCIPAL.set(principal)
    try:
        yield
    finally:
        _PRINCIPAL.reset(token)


def on_behalf_of(principal: str, run: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """`run`, with `current_principal` saying `principal` while it does."""

    async def running() -> T:
        with calling_for(principal):
            return await run()

    return running
