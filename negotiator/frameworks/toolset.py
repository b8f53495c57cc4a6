"""Tools of any kind as this package's own."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from negotiator.errors import UsageError
from negotiator.frameworks.recognize import adapter_of, no_tool
from negotiator.messages import Effect
from negotiator.task import Tool


def tools_of(given: Any, effect: Effect | Mapping[str, Effect] = "transactional") -> Iterator[Tool]:
    """The tools that `given` is or holds. Raises `UsageError`; see `Agent.from_tools`."""
    named = {} if isinstance(effect, str) else dict(effect)
    common: Effect = effect if isinstance(effect, str) else "transactional"
    known: set[str] = set()
    for tool in _each(given, common):
        known.add(tool.name)
        said = named.get(tool.name)
        yield tool if said is None else replace(tool, effect=said)
    if unknown := named.keys() - known:
        raise UsageError(f"there is no tool named {', '.join(sorted(unknown))}, of which an effect is said")


def _each(given: Any, effect: Effect) -> Iterable[Tool]:
    if isinstance(given, Tool):
        return [given]
    adapter = adapter_of(given)
    if adapter is not None:
        return adapter.tools(given, effect)
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        held = given.values() if isinstance(given, Mapping) else given
        return [tool for each in held for tool in _each(each, effect)]
    if callable(given):
        return [Tool.of(given, effect=effect)]
    raise no_tool(given)
