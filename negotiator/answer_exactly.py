"""The receiver's half where nothing has to be found out: a person's own function, our direct-JSON document."""

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import orjson

from negotiator.answering import Answering
from negotiator.errors import BadInput, OutcomeUnknown, ToolFailed
from negotiator.journal import result_text
from negotiator.jsonvalue import JsonValue
from negotiator.messages import Reply
from negotiator.schemas import Schema

NATIVE: Final = "native"
"""What a person's own function is called in a journal."""
_MAX_SHOWN_VIOLATIONS: Final = 5


async def answer_natively(work: Answering, protocol_hash: str, function: Callable[[JsonValue], Any]) -> Reply:
    """Answer with a person's own function for the document. Raises `NotAllowed`, `ToolFailed`, `OutcomeUnknown`."""
    body, terms = work.request.body, work.engine.native_terms[protocol_hash]
    work.require(terms.name, terms.effect, public=terms.public)
    run = work.in_context(partial(_run, function, body))
    made = await work.journal.call(NATIVE, {"body": body}, terms.effect, run)
    return Reply(status="success", body=made, tier="routine")


async def native_result(function: Callable[[JsonValue], Any], body: JsonValue) -> JsonValue:
    """What a person's own function makes of a body, as `answer_natively` gives it, without a journal's entry.

    Raises `ToolFailed`, `OutcomeUnknown`.
    """
    return orjson.loads(result_text(NATIVE, await _run(function, body)))


async def _run(function: Callable[[JsonValue], Any], body: JsonValue) -> JsonValue:
    try:
        if inspect.iscoroutinefunction(function):
            return await function(body)
        made = await asyncio.to_thread(function, body)
        return await made if inspect.isawaitable(made) else made
    except (ToolFailed, OutcomeUnknown):
        raise
    except Exception as error:
        raise ToolFailed(f"the native routine failed with {type(error).__name__}") from error


async def answer_directly(work: Answering) -> Reply:
    """Answer under the document of direct JSON: the body names the task and holds its input."""
    match work.body:
        case {"task": str(named), "input": dict(value)}:
            pass
        case _:
            return _direct_error("bad_message", "the body is not an object with task (text) and input (object)")
    tools = work.engine.tools
    fitting = [tools[named]] if named in tools else [each for each in tools.values() if each.description == named]
    if len(fitting) != 1:
        return _direct_error("unknown_task", "no task, or more than one, fits this name or description")
    try:
        result = await work.call(fitting[0], value)
    except BadInput as problem:
        return _direct_error("bad_input", _where(problem))
    except ToolFailed as problem:
        return _direct_error("failed", problem.for_peer or "the task was begun and failed")
    return Reply(status="success", body={"output": result}, tier="routine")


def misfit(schema: Schema, body: JsonValue) -> Reply:
    """The peer's body is not what the document asks for: which fields, and why, but none of its values."""
    try:
        schema.check(body)
    except BadInput as error:
        text = f"the body does not fit the document: {_where(error)}"[:300]
        return Reply(status="failure", code=error.code, error=text)
    raise AssertionError("a body that is invalid has violations")


def _where(error: BadInput) -> str:
    found = error.violations[:_MAX_SHOWN_VIOLATIONS]
    return "; ".join(f"{pointer or '/'}: {what}" for pointer, what in found) or str(error)


def _direct_error(code: str, detail: str) -> Reply:
    """An error in the words of the direct-JSON document, which is a reply under it."""
    return Reply(status="success", body={"error": {"code": code, "detail": detail[:500]}}, tier="routine")
