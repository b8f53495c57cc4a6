"""LangChain and LangGraph: graphs and runnables that answer, tools and tool nodes, chat models."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.context import Context
from negotiator.events import listener
from negotiator.frameworks.host_model import HostModel, Said
from negotiator.frameworks.recognize import no_agent, no_model, no_tool
from negotiator.frameworks.returned import returned_by
from negotiator.messages import Effect
from negotiator.models.base import Message, Model
from negotiator.schemas import Schema
from negotiator.task import Tool

_ROLES: Final = {"system": "system", "user": "human", "assistant": "ai"}


def responder(given: Any) -> Callable[[str, Context], Any]:
    """What answers with a graph over messages, or with any runnable that takes them."""
    if not hasattr(given, "ainvoke"):
        raise no_agent(given)
    over_state = hasattr(given, "get_graph") and hasattr(given, "channels")

    def respond(text: str, context: Context) -> Any:
        said = [{"role": role, "content": words} for role, words in context.history]
        messages = [*said, {"role": "user", "content": text}]
        state: Any = {"messages": messages} if over_state else messages
        # A graph that keeps its states keeps one for each request; what was said before is in the messages.
        config = {
            "configurable": {"thread_id": context.request},
            "metadata": {"principal": context.principal, **context.trace},
        }
        if over_state and listener() is not None:
            return _in_parts(given, state, config)
        return given.ainvoke(state, config)

    return respond


async def _in_parts(graph: Any, state: Any, config: Any) -> AsyncIterator[str]:
    """The words of the graph's last message of its model's, as they come."""
    last: Any = None
    shown = ""
    async for kind, part in graph.astream(state, config, stream_mode=["messages", "values"]):
        if kind == "values":
            last = part
            continue
        message = part[0]
        text = _text(message)
        if type(message).__name__ == "AIMessageChunk" and text:
            shown += text
            yield text
    whole = _text(last["messages"][-1])
    if not shown.endswith(whole):
        yield whole


def tools(given: Any, effect: Effect) -> Iterable[Tool]:
    """A tool, the tools of a `ToolNode`, or those of a graph that has one."""
    held = getattr(given, "tools_by_name", None)
    if isinstance(held, dict):
        return [_tool(each, effect) for each in held.values()]
    nodes = getattr(given, "nodes", None)
    if isinstance(nodes, dict):
        found = [getattr(node, "bound", None) for node in nodes.values()]
        return [tool for node in found if hasattr(node, "tools_by_name") for tool in tools(node, effect)]
    if hasattr(given, "tool_call_schema") and hasattr(given, "ainvoke"):
        return [_tool(given, effect)]
    raise no_tool(given)


def _tool(given: Any, effect: Effect) -> Tool:
    asked = given.tool_call_schema
    schema = asked if isinstance(asked, dict) else asked.model_json_schema()
    # What its owner has it say to a model in place of an error is no result for a program.
    plain = given.model_copy(update={"handle_tool_error": False, "handle_validation_error": False})

    async def run(**arguments: Any) -> Any:
        return await plain.ainvoke(arguments)

    return Tool(
        name=given.name,
        # Its parameters are described in the schema.
        description=" ".join(re.split(r"\n\s*Args:\s*\n", given.description)[0].split()),
        input=Schema.of(schema),
        output=returned_by(getattr(given, "coroutine", None) or getattr(given, "func", None)) or Schema({}),
        effect=effect,
        function=run,
    )


def _text(message: Any) -> str:
    # A property since LangChain 1.0, a method before.
    return message.text if isinstance(message.text, str) else str(message.text())


def model(given: Any) -> Model:
    """A chat model."""
    if not hasattr(given, "ainvoke") or not hasattr(given, "_llm_type"):
        raise no_model(given)

    async def ask(messages: Sequence[Message], _max_tokens: int, _deadline: Deadline) -> Said:
        made = await given.ainvoke([(_ROLES[each.role], each.content) for each in messages])
        used = getattr(made, "usage_metadata", None) or {}
        return Said(made if isinstance(made, str) else _text(made), used.get("input_tokens"), used.get("output_tokens"))

    name = getattr(given, "model_name", None) or getattr(given, "model", None) or given._llm_type  # noqa: SLF001 - theirs
    return HostModel(f"langchain/{name}", ask)
