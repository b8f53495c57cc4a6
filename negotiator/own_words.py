"""The natural-language tier as an owner brings it: a function, or an agent of a framework's, behind one call."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from negotiator.context import Context, current_context
from negotiator.errors import OutcomeUnknown, ToolFailed, UsageError
from negotiator.frameworks.recognize import adapter_of
from negotiator.frameworks.said import said_by
from negotiator.jsonvalue import JsonValue
from negotiator.messages import Effect

WORDS_ALONE: Final = "this agent hands over no tools and answers in natural language alone"
"""What peers are told that ask for a document."""
_BOTH: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWords:
    """An owner's answer to what is said in natural language."""

    function: Callable[[str, Context], Any]
    """From the text and its context to the answer, in any form that `said_by` reads; awaited where it is to be."""
    declared: Effect | None = None
    """What its owner says that it may do; None: nothing was said."""
    name: str = "respond"
    """What rules of an `Authority` call it."""

    @property
    def effect(self) -> Effect:
        """Nothing that may have had an effect is done twice for one request."""
        return self.declared or "transactional"

    @classmethod
    def of(cls, given: Any, declared: Effect | None = None) -> "OwnWords":
        """Take a function of (text) or (text, context), sync or async, or a framework's agent.

        Raises `UsageError` for what can answer nothing.
        """
        adapter = adapter_of(given)
        if adapter is not None:
            return cls(function=adapter.responder(given), declared=declared)
        if not callable(given):
            raise UsageError(
                f"respond: a {type(given).__name__} is no function, and no agent of a framework known here"
            )
        return cls(function=_of_both(given), declared=declared)

    async def answer(self, text: str) -> JsonValue:
        """The answer to `text`, which is said in the current context.

        Raises `ToolFailed` where the owner's side fails, as a tool does.
        """
        context = current_context()
        if context is None:
            raise RuntimeError("an answer is made within the context of a request")
        try:
            return await said_by(self.function(text, context), context)
        except (ToolFailed, OutcomeUnknown):
            raise
        except Exception as error:
            raise ToolFailed(f"the owner's respond failed with {type(error).__name__}") from error


def _of_both(function: Callable[..., Any]) -> Callable[[str, Context], Any]:
    """The function with both arguments; one that takes the text alone has the conversation before it in front."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []  # some callables tell nothing of themselves: they get the text
    taken = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    needed = [each for each in taken if each.default is each.empty]
    with_context = len(taken) >= _BOTH and (len(needed) >= _BOTH or taken[1].annotation in (Context, "Context"))
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    is_async = is_async or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - not a question

    def called(text: str, context: Context) -> Any:
        said = [f"{role}: {words}" for role, words in context.history]
        given = (text, context) if with_context else ("\n\n".join([*said, text]),)
        return function(*given) if is_async else asyncio.to_thread(function, *given)

    return called
