"""smolagents: agents that answer, tools, models. All of it is synchronous there, and runs in threads here."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from negotiator.clock import Deadline
from negotiator.context import Context
from negotiator.errors import UsageError
from negotiator.frameworks.host_model import HostModel, Said
from negotiator.frameworks.recognize import no_agent, no_model, no_tool
from negotiator.frameworks.returned import returned_by
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Effect
from negotiator.models.base import Message, Model
from negotiator.schemas import Schema
from negotiator.task import Tool

_BINARY: Final = ("image", "audio")


def responder(given: Any) -> Callable[[str, Context], Any]:
    """What answers with an agent. It keeps its memory between runs only where nobody else could read it: never here."""
    if not hasattr(given, "run") or not hasattr(given, "memory"):
        raise no_agent(given)
    # An agent holds the steps of the run at hand: one run at a time.
    one = threading.Lock()

    def run(text: str) -> Any:
        with one:
            return given.run(text, reset=True)

    async def respond(text: str, context: Context) -> Any:
        said = [f"{role}: {words}" for role, words in context.history]
        return await asyncio.to_thread(run, "\n\n".join([*said, text]))

    return respond


def tools(given: Any, effect: Effect) -> Iterable[Tool]:
    """A tool, or those of an agent, its final answer aside."""
    if hasattr(given, "inputs") and hasattr(given, "forward"):
        return [_tool(given, effect)]
    held = getattr(given, "tools", None)
    if not isinstance(held, dict):
        raise no_tool(given)
    return [_tool(each, effect) for name, each in held.items() if name != "final_answer"]


def _tool(given: Any, effect: Effect) -> Tool:
    kinds = [given.output_type, *(told["type"] for told in given.inputs.values())]
    if any(kind in _BINARY for kind in kinds):
        raise UsageError(f"the tool {given.name} takes or gives an image or sound: files travel by reference")
    properties: JsonObject = {}
    for name, told in given.inputs.items():
        properties[name] = {word: value for word, value in told.items() if word not in ("type", "nullable")}
        if told["type"] != "any":
            properties[name]["type"] = told["type"]
        if told.get("nullable") and isinstance(properties[name].get("type"), str):
            properties[name]["type"] = [properties[name]["type"], "null"]
    schema: JsonObject = {
        "type": "object",
        "properties": properties,
        "required": [name for name, told in given.inputs.items() if not told.get("nullable")],
        "additionalProperties": False,
    }

    def run(**arguments: Any) -> Any:
        return given(**arguments)

    return Tool(
        name=given.name,
        description=" ".join(given.description.split()),
        input=Schema.of(schema),
        output=_returned(given),
        effect=effect,
        function=run,
    )


def _returned(given: Any) -> Schema:
    """What it gives: as it says in a schema, else as its function is annotated, else by the one word that it has."""
    if given.output_schema:
        return Schema.of(given.output_schema)
    annotated = returned_by(getattr(given.forward, "__wrapped__", None))
    if annotated is not None:
        return annotated
    return Schema.of({} if given.output_type == "any" else {"type": given.output_type})


def model(given: Any) -> Model:
    """A model."""
    if not hasattr(given, "generate"):
        raise no_model(given)

    async def ask(messages: Sequence[Message], max_tokens: int, _deadline: Deadline) -> Said:
        from smolagents.models import ChatMessage, MessageRole  # noqa: PLC0415 - its own model was handed in

        asked = [
            ChatMessage(role=MessageRole(each.role), content=[{"type": "text", "text": each.content}])
            for each in messages
        ]
        made = await asyncio.to_thread(partial(given.generate, asked, max_tokens=max_tokens))
        content = made.content if isinstance(made.content, str) else "".join(p["text"] for p in made.content or [])
        used = made.token_usage
        return Said(content, getattr(used, "input_tokens", None), getattr(used, "output_tokens", None))

    return HostModel(f"smolagents/{given.model_id or type(given).__name__}", ask)
