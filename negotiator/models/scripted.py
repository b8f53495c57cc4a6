"""A model whose answers are written down beforehand. Exact, instant and free: for tests and rehearsals."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from negotiator.clock import Deadline
from negotiator.errors import DeadlinePassed, UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Usage

CHARACTERS_PER_TOKEN: Final = 4
"""The rough rule by which text that no tokenizer saw is counted."""


class UnknownPrompt(UsageError):
    """A scripted or recorded model was asked something that it has no answer to.

    Not a `ModelError`: an engine falls back from those, and a test would pass for the wrong reason.
    """


@dataclass(frozen=True, slots=True)
class Slow:
    """An answer that comes after `seconds`; past the deadline it does not come at all."""

    seconds: float
    answer: "ScriptedAnswer"


@dataclass(frozen=True, slots=True)
class CutOff:
    """An answer that stopped at `max_tokens`."""

    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider declined to answer."""

    reason: str


class InTurn:
    """Answers to one purpose, played one after another; `UnknownPrompt` once they are used up."""

    def __init__(self, *answers: "ScriptedAnswer") -> None:
        self.answers = answers


ScriptedAnswer: TypeAlias = Any
"""One of: text, sent as it is; any other JSON value, sent as JSON text; a `Completion`; an exception, raised;
`Slow`, `CutOff` or `Refused`; or a callable `(messages, schema)` that gives, or awaits to give, any of these."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was made to a scripted model, answered or not."""

    purpose: str
    messages: tuple[Message, ...]
    schema: JsonObject | None
    max_tokens: int


def rough_tokens(text: str) -> int:
    """How many tokens `text` has, give or take: one for each `CHARACTERS_PER_TOKEN` characters begun."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


class ScriptedModel:
    """Plays `answers`: by purpose where they are a mapping, else in order whatever the purpose.

    Tokens are counted by `rough_tokens`, seconds are those of `Slow`, money is 0 USD.

    Args:
        answers: purpose -> answer (or `InTurn` of several), or a sequence of answers. See `ScriptedAnswer`.
        name: What `Model.name` and the completions say.
        sleep: Waits that many seconds for `Slow`; a virtual clock's in tests.
    """

    def __init__(
        self,
        answers: Mapping[str, ScriptedAnswer] | Sequence[ScriptedAnswer],
        *,
        name: str = "scripted",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._by_purpose = dict(answers) if isinstance(answers, Mapping) else None
        self._in_order: Iterator[ScriptedAnswer] = iter(() if isinstance(answers, Mapping) else tuple(answers))
        self._turns: dict[str, Iterator[ScriptedAnswer]] = {}
        self._name = name
        self._sleep = sleep
        self.calls: list[Call] = []
        """Every call so far, in order."""

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self._name

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`. Raises `UnknownPrompt` where the script has no answer."""
        asked = tuple(messages)
        self.calls.append(Call(purpose, asked, schema, max_tokens))
        deadline.require()
        answer = await self._resolved(self._next(purpose), asked, schema)
        waited = 0.0
        while isinstance(answer, Slow):
            left = deadline.require()
            await self._sleep(min(answer.seconds, left))
            if answer.seconds >= left:
                raise DeadlinePassed
            waited += answer.seconds
            answer = await self._resolved(answer.answer, asked, schema)
        return self._spoken(answer, asked, waited)

    async def aclose(self) -> None:
        """See `Model.aclose`; there is nothing to release."""

    def _next(self, purpose: str) -> ScriptedAnswer:
        if self._by_purpose is None:
            turns, where = self._in_order, f"call {len(self.calls)} ({purpose})"
        elif purpose not in self._by_purpose:
            known = ", ".join(sorted(self._by_purpose)) or "nothing"
            raise UnknownPrompt(f"the scripted model has no answer for the purpose {purpose!r}; it knows {known}")
        elif not isinstance(self._by_purpose[purpose], InTurn):
            return self._by_purpose[purpose]
        else:
            turns = self._turns.setdefault(purpose, iter(self._by_purpose[purpose].answers))
            where = f"another call for {purpose!r}"
        for answer in turns:
            return answer
        raise UnknownPrompt(f"the scripted model's answers are used up: it has none for {where}")

    @staticmethod
    async def _resolved(
        answer: ScriptedAnswer, messages: tuple[Message, ...], schema: JsonObject | None
    ) -> ScriptedAnswer:
        while callable(answer):
            answer = answer(messages, schema)
            if inspect.isawaitable(answer):
                answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _spoken(self, answer: ScriptedAnswer, messages: tuple[Message, ...], waited: float) -> Completion:
        if isinstance(answer, Completion):
            return answer
        refusal = answer.reason if isinstance(answer, Refused) else None
        if refusal is not None:
            text = ""
        elif isinstance(answer, CutOff):
            text = answer.text
        else:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        usage = Usage(
            calls=1,
            prompt_tokens=sum(rough_tokens(message.content) for message in messages),
            completion_tokens=rough_tokens(text),
            seconds=waited,
        )
        return Completion(
            text=text, model=self._name, usage=usage, truncated=isinstance(answer, CutOff), refusal=refusal
        )
