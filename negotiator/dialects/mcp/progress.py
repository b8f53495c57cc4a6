"""What happens on the way to a result, as notifications of progress. Source: revision 2025-11-25 and 2026-07-28, progress.

A part of an answer, which MCP has no word for, is a notification whose message it is, and is marked as one.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

from negotiator.dialects.json_rpc import Id, notification
from negotiator.dialects.mcp.words import META_PART
from negotiator.events import Event, Partial, Progress
from negotiator.jsonvalue import JsonObject, JsonValue

METHOD: Final = "notifications/progress"
TOKEN: Final = "progressToken"  # noqa: S105 - no secret
"""In the `_meta` of a request that wants to hear, and in each notification for it."""
WHOLE: Final = 100
"""The total of progress whose fraction is known."""
MAX_MESSAGE: Final = 300
"""Characters of a message of progress."""
MAX_PART: Final = 16_384
"""Characters of one part of an answer."""
MAX_TOKEN: Final = 256
"""Characters of a token."""
_CREEP: Final = 1024


def token_of(meta: JsonObject) -> Id | None:
    """The token by which a request wants to hear of its progress; None where it does not, or it is none."""
    token = meta.get(TOKEN)
    if isinstance(token, str):
        return token if 0 < len(token) <= MAX_TOKEN else None
    return token if isinstance(token, int) and not isinstance(token, bool) else None


@dataclass(slots=True)
class Steps:
    """The notifications for one request, whose number grows with each, as the specification wants it."""

    token: Id
    _last: float | None = None

    def write(self, what: Event) -> JsonObject | None:
        """The notification of an event; None for what is this side's own affair."""
        match what:
            case Progress():
                known = None if what.fraction is None else WHOLE * min(max(what.fraction, 0.0), 1.0)
                said: JsonObject = {"message": what.message[:MAX_MESSAGE]}
                if known is not None:
                    said["total"] = WHOLE
            case Partial():
                known, said = None, {"message": what.text[:MAX_PART], "_meta": {META_PART: True}}
            case _:
                return None
        return notification(METHOD, {TOKEN: self.token, "progress": self._next(known), **said})

    def _next(self, known: float | None) -> float:
        if self._last is None:
            self._last = known or 0.0
        elif known is not None and known > self._last:
            self._last = known
        else:
            # Of what nobody counts, and of what goes back, only that it goes on can be said.
            self._last += max(WHOLE - self._last, 1.0) / _CREEP
        return int(self._last) if self._last.is_integer() else self._last


def read(message: JsonObject) -> tuple[JsonValue, Event] | None:
    """The token and the event of a notification of progress; None for what is none, or malformed."""
    params: Any = message.get("params")
    if message.get("method") != METHOD or not isinstance(params, dict):
        return None
    token, said, meta = params.get(TOKEN), params.get("message"), params.get("_meta")
    done, total = _number(params.get("progress")), _number(params.get("total"))
    if done is None or not isinstance(token, str | int):
        return None
    if isinstance(meta, dict) and meta.get(META_PART) is True and isinstance(said, str):
        return token, Partial(text=said[:MAX_PART])
    fraction = done / total if total else None
    if fraction is not None and not 0 <= fraction <= 1:
        fraction = None
    words = said[:MAX_MESSAGE] if isinstance(said, str) else f"{done:g}" + (f" of {total:g}" if total else "")
    return token, Progress(message=words, fraction=fraction)


def _number(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        number = float(given)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
