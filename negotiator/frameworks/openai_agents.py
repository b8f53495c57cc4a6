"""The OpenAI Agents SDK: agents that answer, function tools, models."""

import inspect
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.context import Context
from negotiator.errors import UsageError
from negotiator.events import listener
from negotiator.frameworks.host_model import HostModel, Said
from negotiator.frameworks.recognize import no_agent, no_model, no_tool
from negotiator.messages import Effect
from negotiator.models.base import Message, Model
from negotiator.schemas import Schema
from negotiator.task import Tool

_NEED_A_RUN: Final = {
    "needs_approval": "asks for a person's approval, and nobody would be asked here",
    "tool_input_guardrails": "has guardrails, which only a run of its own agent keeps to",
    "tool_output_guardrails": "has guardrails, which only a run of its own agent keeps to",
}


def responder(given: Any) -> Callable[[str, Context], Any]:
    """What answers with an agent."""
    if not hasattr(given, "instructions") or not hasattr(given, "handoffs"):
        raise no_agent(given)

    def respond(text: str, context: Context) -> Any:
        from agents import Runner  # noqa: PLC0415 - its own agent was handed in

        said: list[Any] = [{"role": role, "content": words} for role, words in context.history]
        asked = [*said, {"role": "user", "content": text}]
        if listener() is not None and given.output_type in (None, str):
            return _in_parts(Runner.run_streamed(given, asked))
        return Runner.run(given, asked)

    return respond


async def _in_parts(run: Any) -> AsyncIterator[str]:
    """The words of the last message, as they come: what is said before a tool is called is none of the answer."""
    shown = ""
    async for event in run.stream_events():
        data: Any = getattr(event, "data", None)
        if getattr(data, "type", None) == "response.output_text.delta":
            shown += data.delta
            yield data.delta
    whole = str(run.final_output)
    if not shown.endswith(whole):
        yield whole


def tools(given: Any, effect: Effect) -> Iterable[Tool]:
    """A function tool, or those of an agent."""
    if hasattr(given, "params_json_schema") and hasattr(given, "on_invoke_tool"):
        return [_tool(given, effect)]
    if hasattr(given, "instructions") and isinstance(getattr(given, "tools", None), list):
        return [tool for each in given.tools for tool in tools(each, effect)]
    raise no_tool(given)


def _tool(given: Any, effect: Effect) -> Tool:
    for attribute, why in _NEED_A_RUN.items():
        if getattr(given, attribute, None):
            raise UsageError(f"the tool {given.name} {why}: hand over a function that does without")
    if given.is_enabled is not True:
        raise UsageError(f"the tool {given.name} is enabled for each run, and there is none here: hand over a function")
    description = " ".join(given.description.split())
    function = getattr(given, "__wrapped__", None)
    if function is not None:
        # Called itself, since the SDK's own way turns errors into text for a model. Its strict schema asks for every
        # optional argument, which is for the models of one provider: here the signature says what must be there.
        asked = set(given.params_json_schema.get("properties", ()))
        if not set(inspect.signature(function).parameters) <= asked:
            raise UsageError(
                f"the tool {given.name} takes the context of a run: hand over a function that does without"
            )
        return Tool.of(function, effect=effect, name=given.name, description=description)

    async def run(**arguments: Any) -> Any:
        from agents.tool_context import ToolContext  # noqa: PLC0415 - its own tool was handed in

        text = json.dumps(arguments)
        context: Any = ToolContext(
            context=None, tool_name=given.name, tool_call_id=uuid.uuid4().hex, tool_arguments=text
        )
        return await given.on_invoke_tool(context, text)

    return Tool(
        name=given.name,
        description=description,
        input=Schema.of(given.params_json_schema),
        output=Schema.of(getattr(given, "output_json_schema", None) or {}),
        effect=effect,
        function=run,
    )


def model(given: Any) -> Model:
    """A model."""
    if not hasattr(given, "get_response"):
        raise no_model(given)

    async def ask(messages: Sequence[Message], max_tokens: int, _deadline: Deadline) -> Said:
        from agents import ModelSettings, ModelTracing  # noqa: PLC0415 - its own model was handed in

        system = "\n\n".join(each.content for each in messages if each.role == "system")
        made = await given.get_response(
            system_instructions=system or None,
            input=[{"role": each.role, "content": each.content} for each in messages if each.role != "system"],
            model_settings=ModelSettings(max_tokens=max_tokens),
            tools=[],
            output_schema=None,
            handoffs=[],
            tracing=ModelTracing.DISABLED,
            previous_response_id=None,
            conversation_id=None,
            prompt=None,
        )
        parts = [part for item in made.output for part in getattr(item, "content", None) or []]
        text = "".join(part.text for part in parts if getattr(part, "type", None) == "output_text")
        return Said(text, made.usage.input_tokens, made.usage.output_tokens)

    name = getattr(given, "model", None)
    return HostModel(f"openai-agents/{name if isinstance(name, str) else type(given).__name__}", ask)
