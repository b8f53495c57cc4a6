"""W3C Trace Context, carried from a request to what it causes: read here, handed on, never begun.

Where OpenTelemetry is set up in the process, its own context is what is sent; nothing of it is imported.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

MAX_TRACESTATE: Final = 512
"""Characters of `tracestate` that are handed on (W3C Trace Context, 3.3.1.5)."""
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE: Final = re.compile(r"[\x20-\x7e\t]*")
_TRACE: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("negotiator_trace", default=None)


def trace_of(headers: Mapping[str, str]) -> Mapping[str, str] | None:
    """What a request's headers, with lower-case names, say of its trace; None where that is nothing, or malformed."""
    parent = headers.get("traceparent")
    if parent is None or not _TRACEPARENT.fullmatch(parent):
        return None
    state = headers.get("tracestate", "")
    if not state or len(state) > MAX_TRACESTATE or not _TRACESTATE.fullmatch(state):
        return {"traceparent": parent}
    return {"traceparent": parent, "tracestate": state}


current_trace: Final[Callable[[], Mapping[str, str] | None]] = _TRACE.get
"""The trace that the work at hand belongs to, as headers."""


@contextmanager
def tracing(trace: Mapping[str, str] | None) -> Iterator[None]:
    """Have what is done inside belong to a trace, given as headers: requests that are sent say so."""
    token = _TRACE.set(trace)
    try:
        yield
    finally:
        _TRACE.reset(token)


def outgoing() -> Mapping[str, str]:
    """The headers that tell a peer of the trace at hand; empty where there is none."""
    propagate = sys.modules.get("opentelemetry.propagate")
    if propagate is not None:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        if "traceparent" in carrier:
            return carrier
    return _TRACE.get() or {}
