"""What a tool, or an owner's own words, can know of the request that it runs for."""

import threading
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

from negotiator.clock import Deadline
from negotiator.events import Partial, Progress, emit
from negotiator.tracing import current_trace

T = TypeVar("T")

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Context:
    """The request at hand, for the function that serves it.

    A tool, or a function given as `respond`, gets it by a parameter of this type, which is no part of its schema; code
    further down by `current_context()`, in threads too.

    Example:
        ```python
        @agent.tool
        async def book(room: str, context: Context) -> Booking:
            async with asyncio.timeout(context.seconds_left()):
                return await rooms.book(room, guest=context.principal)
        ```
    """

    __slots__ = ("_cancelled", "_deadline", "_history", "_principal", "_request", "_trace")

    def __init__(
        self,
        principal: str,
        deadline: Deadline,
        request: Callable[[], str],
        history: tuple[tuple[str, str], ...] = (),
        trace: Mapping[str, str] | None = None,
    ) -> None:
        self._principal = principal
        self._deadline = deadline
        self._request: str | Callable[[], str] = request
        self._history = history
        self._trace = trace
        self._cancelled = False

    @property
    def principal(self) -> str:
        """Whom it is done for: `anonymous`, a DID, or `host:<name>`."""
        return self._principal

    @property
    def deadline(self) -> Deadline:
        """When the answer is due."""
        return self._deadline

    def seconds_left(self) -> float:
        """Seconds until then; 0 once it has passed."""
        return max(self._deadline.remaining(), 0.0)

    @property
    def request(self) -> str:
        """The request's name: the same for one that comes again under the same idempotency key."""
        if not isinstance(self._request, str):
            self._request = self._request()
        return self._request

    @property
    def history(self) -> tuple[tuple[str, str], ...]:
        """The conversation so far, pairs of role and text, oldest first, without the request at hand."""
        return self._history

    @property
    def trace(self) -> Mapping[str, str]:
        """`traceparent` and `tracestate` (W3C Trace Context) as the caller sent them; empty where it sent none."""
        return _NONE if self._trace is None else self._trace

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more. An async function is cancelled besides; one in a thread has to look here."""
        return self._cancelled

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Tell whoever listens how far it is, `fraction` from 0 to 1; it costs nothing where nobody does."""
        emit(Progress(message=message, fraction=fraction))

    def partial(self, text: str) -> None:
        """Hand over a part of the answer before the whole; what is returned in the end is the answer."""
        emit(Partial(text=text))

    def cancel(self) -> None:
        """Have `cancelled` say so."""
        self._cancelled = True


Parts: TypeAlias = list[Any]
"""What a context is made of once somebody asks for it, and then that alone: most tools do not, and it is made for each
request. The parts are the principal, the deadline in seconds of `clock.monotonic()`, the clock, and what follows in
`Context`.
"""

_CONTEXT: Final[ContextVar[Context | Parts | None]] = ContextVar("negotiator_context", default=None)
_MAKING: Final = threading.Lock()


def current_context() -> Context | None:
    """The request that the running function serves; None outside of one."""
    held = _CONTEXT.get()
    return context_made(held) if isinstance(held, list) else held


def context_made(parts: Parts) -> Context:
    """The one context that is made of these, whichever thread asks for it first."""
    with _MAKING:
        if len(parts) > 1:
            principal, ends, clock, *rest = parts
            parts[:] = [Context(principal, Deadline(ends, clock), *rest)]
    made: Context = parts[0]
    return made


begin: Final[Callable[[Context | Parts], Token[Context | Parts | None]]] = _CONTEXT.set
"""Have `current_context` say a context, until `end` with what this returns."""
end: Final = _CONTEXT.reset


async def within(context: Context, run: Callable[[], Awaitable[T]]) -> T:
    """What `run` returns, with `current_context` saying `context` while it does."""
    token = _CONTEXT.set(context)
    try:
        return await run()
    except BaseException:
        # Of a thread nobody can tell it otherwise.
        context.cancel()
        raise
    finally:
        _CONTEXT.reset(token)


def context_of(
    *, principal: str, deadline: Deadline, request: Callable[[], str], history: tuple[tuple[str, str], ...] = ()
) -> Context:
    """The context of a request that is answered in this task, its trace included.

    `request` names it, and is called where somebody asks: unguessable names are dear.
    """
    return Context(principal=principal, deadline=deadline, request=request, history=history, trace=current_trace())
