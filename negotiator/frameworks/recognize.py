"""Which framework an object is of, told by where its classes come from: nothing is imported to find out."""

import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, Final, Protocol

from negotiator.context import Context
from negotiator.errors import UsageError
from negotiator.messages import Effect
from negotiator.models.base import Model
from negotiator.task import Tool


class Adapter(Protocol):
    """What each framework's file here has."""

    def responder(self, given: Any) -> Callable[[str, Context], Any]:
        """What answers in natural language, of the framework's agent. Raises `UsageError` where that is none."""
        ...

    def tools(self, given: Any, effect: Effect) -> Iterable[Tool]:
        """The tools that an object of the framework is or holds. Raises `UsageError` where that is none."""
        ...

    def model(self, given: Any) -> Model:
        """The framework's model as ours. Raises `UsageError` where that is none."""
        ...


_ADAPTERS: Final = {
    "langchain_core": "langchain",
    "langgraph": "langchain",
    "langchain": "langchain",
    "pydantic_ai": "pydantic_ai",
    "agents": "openai_agents",
    "smolagents": "smolagents",
}
"""The file here for each top-level package of theirs."""


def adapter_of(given: Any) -> Adapter | None:
    """What reads an object's framework; None where it is of none that is known."""
    for each in type(given).__mro__:
        package = each.__module__.partition(".")[0]
        name = _ADAPTERS.get(package)
        # The OpenAI Agents SDK's package has a name that anybody's may have.
        if name is not None and (package != "agents" or hasattr(sys.modules.get(package), "FunctionTool")):
            found: Any = import_module(f"negotiator.frameworks.{name}")
            adapter: Adapter = found
            return adapter
    return None


def no_agent(given: Any) -> UsageError:
    """What an adapter raises for what can answer nothing."""
    return UsageError(f"respond: a {type(given).__name__} is no agent that answers in words")


def no_tool(given: Any) -> UsageError:
    """What an adapter raises for what is no tool."""
    return UsageError(f"a {type(given).__name__} is no tool, and holds none")


def no_model(given: Any) -> UsageError:
    """What an adapter raises for what is no model."""
    return UsageError(f"model: a {type(given).__name__} is no language model")
