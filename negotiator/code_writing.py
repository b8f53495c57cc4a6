"""Functions that the model writes, for what no mapping can do.

Each is tried at once, under the sandbox policy and on examples; what went wrong is shown to the model once.
"""

import asyncio
import logging
import re
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from negotiator.describe import fields_of, value_of
from negotiator.engine import Engine
from negotiator.errors import BadInput, NegotiatorError
from negotiator.interpret import MAX_PEER_TEXT, Interpreter
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models.asking import quoted
from negotiator.prompts import prompt
from negotiator.task import Task, Tool
from protocol_docs import ProtocolDocument
from sandbox import HandlerFailed, SandboxError, SandboxUnavailable

_LOG = logging.getLogger("negotiator.synthesis")
MAX_SOURCE = 16_000
"""Characters of a written routine."""
_BODY_FORM: Final = "JSON values (dicts and lists, already decoded)"
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_TOP_LEVEL = re.compile(r"^def[ \t]+(\w+)", re.MULTILINE)

Trial = Callable[[str], Awaitable[str | None]]
"""Runs a source on examples; what went wrong, or None."""


class CodeRefused(NegotiatorError):
    """What the model wrote will not do, the second time too."""

    code = "code_refused"


async def write_direction(
    interpreter: Interpreter,
    trial: Trial,
    *,
    name: str,
    description: str,
    source_schema: JsonObject,
    target_schema: JsonObject,
    samples: Sequence[JsonValue],
) -> str:
    """A function `name(source: dict) -> dict` that makes the fields of `target_schema`. Raises `CodeRefused`."""
    values = {
        "name": name,
        "description": quoted(description, 1_000),
        "source_fields": fields_of(source_schema),
        "target_fields": fields_of(target_schema),
        "examples": _examples("Examples of the source:", samples),
    }
    return await _written(interpreter, trial, "write_fields", (name,), values)


async def write_prose_sender(
    interpreter: Interpreter, trial: Trial, *, document: ProtocolDocument, task: Task, samples: Sequence[JsonValue]
) -> str:
    """`encode(task)` and `decode(reply)` for a document without schemas. Raises `CodeRefused`."""
    values = {
        "document": quoted(document.text, MAX_PEER_TEXT),
        "body_form": _BODY_FORM,
        "description": task.description,
        "source_fields": fields_of(task.input.json_schema),
        "target_fields": fields_of(task.output.json_schema),
        "examples": _examples("Examples of the task:", samples),
    }
    return await _written(interpreter, trial, "write_sender", ("encode", "decode"), values)


async def write_prose_receiver(
    interpreter: Interpreter, trial: Trial, *, document: ProtocolDocument, tool: Tool
) -> str:
    """`handle(request)`, which calls the tool, for a document without schemas. Raises `CodeRefused`."""
    takes, gives = (textwrap.indent(fields_of(each.json_schema), "  ") for each in (tool.input, tool.output))
    values = {
        "document": quoted(document.text, MAX_PEER_TEXT),
        "body_form": _BODY_FORM,
        "tools": f"{tool.name}: {tool.description}\n takes:\n{takes}\n returns:\n{gives}",
        "examples": "",
    }
    return await _written(interpreter, trial, "write_receiver", ("handle",), values)


async def require_sandbox(engine: Engine) -> None:
    """Before a model is asked: raises `CodeRefused` where no executor would run what it writes."""
    try:
        await asyncio.to_thread(getattr, engine.executor(), "level")
    except SandboxUnavailable as error:
        # The objection may go to the peer; the reason is on the log.
        raise CodeRefused("no code runs here") from error


async def compiles(engine: Engine, source: str, entries: Sequence[str]) -> str | None:
    """Why the source is not in the language of handlers, or lacks one of `entries`; None where neither.

    Raises `SandboxUnavailable`.
    """
    for entry in entries:
        try:
            await asyncio.to_thread(engine.executor().check, source, entry=entry)
        except SandboxUnavailable:
            raise
        except SandboxError as error:
            return went_wrong(error)
    return None


def went_wrong(error: Exception, *samples: JsonValue) -> str:
    """What went wrong, as the model is told: the violation, its place and its line, and the example where it was."""
    said = str(error)
    if isinstance(error, BadInput) and error.violations:
        pointer, what = error.violations[0]
        said = f"the result is wrong at {pointer or '/'}: {what}"
    elif isinstance(error, HandlerFailed) and error.line is not None:
        said = f"line {error.line}: {said}"
    return "".join(f"for the example {sample!r:.300}: " for sample in samples) + said


async def _written(
    interpreter: Interpreter,
    trial: Trial,
    name: str,
    functions: Sequence[str],
    values: dict[str, str],
) -> str:
    problem = ""
    for _ in range(2):
        system, user = prompt(name, problem=problem, **values)
        source = code_in(await interpreter.write(name, system, user))
        missing = [function for function in functions if function not in _TOP_LEVEL.findall(source)]
        if missing:
            wrong: str | None = f"there is no function named {missing[0]} at the top level"
        elif len(source) > MAX_SOURCE:
            wrong = f"the code is longer than {MAX_SOURCE} characters"
        else:
            wrong = await trial(source)
        if wrong is None:
            return source
        _LOG.debug("written code refused: %s\n%s", wrong, source)
        problem = (
            f"\n\nThis was tried and will not do:\n\n```python\n{source[:4_000]}\n```\n\nWhat went wrong: {wrong[:600]}"
        )
    raise CodeRefused(f"the written code will not do: {wrong}"[:300])


def code_in(text: str) -> str:
    """The Python of a model's answer: its fenced blocks, or all of it."""
    blocks = _FENCE.findall(text)
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n" if blocks else text.strip() + "\n"


def joined(sources: Sequence[tuple[str, str]]) -> str:
    """One source of several (entry, source) pairs; where their names collide, each is put inside its entry."""
    names = [name for _entry, source in sources for name in _TOP_LEVEL.findall(source)]
    if len(names) == len(set(names)):
        return "\n\n".join(source.strip("\n") for _entry, source in sources) + "\n"
    return "\n\n".join(
        f"def {entry}(source):\n{textwrap.indent(source.strip(chr(10)), '    ')}\n    return {entry}(source)\n"
        for entry, source in sources
    )


def _examples(title: str, samples: Sequence[JsonValue]) -> str:
    if not samples:
        return ""
    lines = "\n".join(quoted(value_of(sample, 800), 800) for sample in samples[:3])
    return f"\n{title}\n{lines}"
