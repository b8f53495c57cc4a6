"""A model that belongs to the program around this one, as ours."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.errors import DeadlinePassed, ModelUnavailable
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Usage
from negotiator.models.prices import price_of
from negotiator.models.schema_formats import told_in_words
from negotiator.models.scripted import rough_tokens


class Said(NamedTuple):
    """What came of one call."""

    text: str
    prompt_tokens: int | None = None
    """None where the framework does not say."""
    completion_tokens: int | None = None


Ask = Callable[[Sequence[Message], int, Deadline], Awaitable[Said]]
"""From messages, the most tokens of an answer, and when it is due."""


class HostModel:
    """Implements `Model`. It belongs to the host, who closes it and says how often a call is tried again."""

    def __init__(self, name: str, ask: Ask, clock: Clock | None = None) -> None:
        """`name` begins with the framework's, such as `langchain/gpt-5-mini`."""
        self._name = name
        self._ask = ask
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self._name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,  # noqa: ARG002 - never sent
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. A schema is told in words, since frameworks differ in how else; the answer is checked."""
        if schema is not None:
            messages = told_in_words(messages, schema)
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(deadline.require()) as timer:
                said = await self._ask(messages, max_tokens, deadline)
        except TimeoutError as error:
            if timer.expired():
                raise DeadlinePassed from error
            raise ModelUnavailable(f"{self._name}: no answer in time") from error
        except Exception as error:
            raise ModelUnavailable(f"{self._name} failed with {type(error).__name__}") from error
        prompt = said.prompt_tokens or sum(rough_tokens(each.content) for each in messages)
        completion = said.completion_tokens or rough_tokens(said.text)
        return Completion(
            text=said.text,
            model=self._name,
            usage=Usage(
                calls=1,
                prompt_tokens=prompt,
                completion_tokens=completion,
                seconds=self._clock.monotonic() - started,
                usd=price_of(self._name, prompt, completion),
            ),
        )

    async def aclose(self) -> None:
        """The host closes its model."""
