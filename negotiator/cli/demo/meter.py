"""A model whose calls are counted, whoever makes them and whatever for."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Model, Usage

LEARNING: Final = frozenset({"choose_fields", "judge_reply", "write_fields", "write_receiver", "write_sender"})
"""Purposes of calls that are made once, off a request's path; the others serve the request at hand."""


class Metered:
    """`model`, with a count of each call: of those too that fail, and of those that no ledger sees."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._by_purpose: dict[str, Usage] = {}

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self._model.name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`."""
        usage = Usage(calls=1)
        try:
            completion = await self._model.complete(
                messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
            )
            usage = completion.usage
        finally:
            self._by_purpose[purpose] = self._by_purpose.get(purpose, Usage()) + usage
        return completion

    async def aclose(self) -> None:
        """See `Model.aclose`."""
        await self._model.aclose()

    def reading(self) -> dict[str, Any]:
        """Usage by purpose since the beginning, as JSON."""
        return {purpose: asdict(usage) for purpose, usage in self._by_purpose.items()}


def less(after: list[dict[str, Any]], before: list[dict[str, Any]], *, learning: bool | None = None) -> Usage:
    """What was spent between two readings of all meters: in all, to learn, or to serve requests."""
    one, other = _sum(after, learning=learning), _sum(before, learning=learning)
    return Usage(
        calls=one.calls - other.calls,
        prompt_tokens=one.prompt_tokens - other.prompt_tokens,
        completion_tokens=one.completion_tokens - other.completion_tokens,
        seconds=one.seconds - other.seconds,
    )


def _sum(readings: list[dict[str, Any]], *, learning: bool | None) -> Usage:
    total = Usage()
    for reading in readings:
        for purpose, usage in reading.items():
            if learning is None or (purpose in LEARNING) == learning:
                total = total + Usage(**usage)
    return total
