"""A tool of ours, as dialects show it to peers."""

from dataclasses import dataclass

from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A function as it is offered."""

    name: str
    description: str
    input: JsonObject
    """JSON Schema."""
    output: JsonObject
    """JSON Schema; empty where it says nothing."""
    effect: Effect
    in_words: bool = False
    """Whether it takes and gives natural language."""
