"""pydantic-ai: agents that answer, tools and toolsets, models."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.context import Context
from negotiator.errors import UsageError
from negotiator.events import listener
from negotiator.frameworks.host_model import HostModel, Said
from negotiator.frameworks.recognize import no_agent, no_model, no_tool
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect
from negotiator.models.base import Message, Model
from negotiator.schemas import Schema
from negotiator.task import Tool

_NEED_A_RUN: Final = {
    "takes_ctx": "takes a RunContext, which only a run of its own agent has",
    "requires_approval": "asks for a person's approval, and nobody would be asked here",
    "args_validator": "has a validator of its own that needs a RunContext",
    "prepare": "is shown or hidden for each run, and there is none here",
}


def responder(given: Any) -> Callable[[str, Context], Any]:
    """What answers with an agent."""
    if not hasattr(given, "run_stream") or not hasattr(given, "toolsets"):
        raise no_agent(given)

    def respond(text: str, context: Context) -> Any:
        history = _history(context)
        if listener() is not None and given.output_type is str:
            return _in_parts(given, text, history)
        return given.run(text, message_history=history)

    return respond


async def _in_parts(agent: Any, text: str, history: list[Any]) -> AsyncIterator[str]:
    async with agent.run_stream(text, message_history=history) as run:
        async for part in run.stream_text(delta=True):
            yield part


def _history(context: Context) -> list[Any]:
    from pydantic_ai import messages  # noqa: PLC0415 - its own agent was handed in

    return [
        messages.ModelRequest(parts=[messages.UserPromptPart(content=words)])
        if role == "user"
        else messages.ModelResponse(parts=[messages.TextPart(content=words)])
        for role, words in context.history
    ]


def tools(given: Any, effect: Effect) -> Iterable[Tool]:
    """A tool, the tools of a `FunctionToolset`, or those of an agent."""
    if hasattr(given, "function_schema"):
        return [_tool(given, effect)]
    if hasattr(given, "run_stream") and hasattr(given, "toolsets"):
        return [tool for toolset in given.toolsets for tool in tools(toolset, effect)]
    held = getattr(given, "tools", None)
    if not isinstance(held, dict):
        raise no_tool(given)
    return [_tool(each, effect) for each in held.values()]


def _tool(given: Any, effect: Effect) -> Tool:
    for attribute, why in _NEED_A_RUN.items():
        if getattr(given, attribute, None):
            raise UsageError(f"the tool {given.name} {why}: hand over a function that does without")
    told = given.function_schema
    input_schema = Schema.of(told.json_schema)
    returned: JsonObject = getattr(told, "return_schema", None) or {}

    def bind(arguments: JsonObject) -> dict[str, Any]:
        input_schema.check(arguments)
        return {"arguments": arguments}

    async def run(arguments: JsonObject) -> Any:
        # Its own validator makes Python values of them; without a run there is no context, and none is taken.
        async with asyncio.timeout(given.timeout):
            return await told.call(told.validator.validate_python(arguments), None)

    return Tool(
        name=given.name,
        description=" ".join((given.description or "").split()),
        input=input_schema,
        output=Schema.of(returned),
        effect=effect,
        function=run,
        bind=bind,
    )


def model(given: Any) -> Model:
    """A model."""
    if not hasattr(given, "request") or not hasattr(given, "model_name"):
        raise no_model(given)

    async def ask(messages: Sequence[Message], max_tokens: int, _deadline: Deadline) -> Said:
        from pydantic_ai import messages as theirs  # noqa: PLC0415 - its own model was handed in
        from pydantic_ai.direct import model_request  # noqa: PLC0415

        asked: list[Any] = []
        for each in messages:
            if each.role == "assistant":
                asked.append(theirs.ModelResponse(parts=[theirs.TextPart(content=each.content)]))
            else:
                part = theirs.SystemPromptPart if each.role == "system" else theirs.UserPromptPart
                asked.append(theirs.ModelRequest(parts=[part(content=each.content)]))
        made = await model_request(given, asked, model_settings={"max_tokens": max_tokens})
        prompt, completion = None, None
        with suppress(AttributeError):
            prompt, completion = made.usage.input_tokens, made.usage.output_tokens
        return Said(made.text or "", prompt, completion)

    return HostModel(f"pydantic-ai/{given.model_name}", ask)
