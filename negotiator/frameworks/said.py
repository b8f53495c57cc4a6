"""What an agent of any framework said, as the body of a reply."""

import inspect
from collections.abc import AsyncIterator
from typing import Any, Final

from pydantic import BaseModel

from negotiator.context import Context
from negotiator.errors import ToolFailed
from negotiator.jsonvalue import JsonValue
from negotiator.schemas import Schema

_ANYTHING: Final = Schema({})
_HOLD_THE_ANSWER: Final = ("output", "final_output", "content", "text")
"""Where results of runs and messages have what was said."""


async def said_by(made: Any, context: Context) -> JsonValue:
    """The answer: what is awaited is awaited, and what comes in parts is handed over as it comes.

    Raises `ToolFailed` where nothing was said.
    """
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AsyncIterator):
        parts: list[str] = []
        async for part in made:
            text = str(spoken(part))
            context.partial(text)
            parts.append(text)
        made = "".join(parts)
    return spoken(made)


def spoken(made: Any) -> JsonValue:
    """Text as it is, JSON as it is, and of results and messages what they hold."""
    if isinstance(made, str):
        return made
    if isinstance(made, dict) and isinstance(made.get("messages"), list) and made["messages"]:
        return spoken(made["messages"][-1])
    if not isinstance(made, BaseModel | dict | list) or hasattr(made, "content"):
        for name in _HOLD_THE_ANSWER:
            held = getattr(made, name, None)
            if held is not None and not callable(held):
                return spoken(held)
    if isinstance(made, list) and made and all(isinstance(part, dict) and "type" in part for part in made):
        # A message in parts, as several frameworks have them: what is no text is none of the words.
        return "".join(str(part.get("text", "")) for part in made if part["type"] in ("text", "output_text"))
    if made is None:
        raise ToolFailed("the owner's respond returned nothing")
    return _ANYTHING.dump(made)
