"""The structured tier: a document says the shape, a model fills it for this one request.

Fields that the schemas leave no choice about are copied by rule; for the rest the model says which field they are
read from, or writes the value where none can be copied. Without schemas the model follows the document's prose.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import orjson

from negotiator.carried import carries
from negotiator.describe import resolve
from negotiator.engine import Engine
from negotiator.errors import BadInput, PeerMisspoke, UsageError
from negotiator.evidence import Copying, copying_of
from negotiator.fitting import receiver_pair, sender_pair
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import Inference, Mapping
from negotiator.pairing import pair_record
from negotiator.running import lay_over
from negotiator.schemas import Schema
from negotiator.task import Task, Tool
from protocol_docs import ProtocolDocument

REQUESTS: Final = frozenset({"encode_request", "decode_request"})


class Filled(NamedTuple):
    """What the structured tier made."""

    value: JsonValue
    copying: Copying | None = None
    """The rule by which it was copied; None where a model wrote all of it."""
    written: bool = False
    """Of a request: whether a model wrote values into it that it was not given as they stand. Then words that it has
    read may have put them there."""


async def encode_request(
    interpreter: Interpreter,
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    payload: JsonValue,
) -> Filled:
    """A sender's half, outward: the request body. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        body = body_value(await interpreter.write_prose_request(document.text, task, payload))
        return Filled(body, written=not carries(payload, body, document.text, quotes=True))
    described = f"{task.description} ({document.name}: {document.description})"
    pair = await sender_pair(engine, task, schemas)
    given = task.input.json_schema
    return await convert(interpreter, described, payload, given, schemas.request, pair.request, "encode_request")


async def decode_reply(
    interpreter: Interpreter,
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    sent: JsonValue,
    received: JsonValue,
) -> Filled:
    """A sender's half, inward: the task's output. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        prose = document.text
        return Filled(await interpreter.read_prose_reply(prose, task, body_text(sent), body_text(received)))
    described = f"{task.description} ({document.name}: {document.description})"
    pair = await sender_pair(engine, task, schemas)
    given = schemas.reply.json_schema
    return await convert(interpreter, described, received, given, task.output, pair.reply, "decode_reply")


async def read_arguments(
    interpreter: Interpreter,
    engine: Engine,
    document: ProtocolDocument,
    body: JsonValue,
    tool: Tool,
) -> Filled:
    """A receiver's half, inward: the tool's arguments. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        arguments = await interpreter.read_request(body_text(body), tool, document.text)
        return Filled(arguments, written=not carries(body, arguments, names_of(tool.input)))
    described = f"{tool.description} ({document.name}: {document.description})"
    pair = await receiver_pair(engine, tool, schemas)
    given = schemas.request.json_schema
    return await convert(interpreter, described, body, given, tool.input, pair.request, "decode_request")


async def write_reply(
    interpreter: Interpreter,
    engine: Engine,
    document: ProtocolDocument,
    body: JsonValue,
    tool: Tool,
    result: JsonValue,
) -> Filled:
    """A receiver's half, outward: the reply body. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        return Filled(body_value(await interpreter.write_prose_reply(document.text, body_text(body), result)))
    described = f"{tool.description} ({document.name}: {document.description})"
    pair = await receiver_pair(engine, tool, schemas)
    given = tool.output.json_schema
    return await convert(interpreter, described, result, given, schemas.reply, pair.reply, "encode_reply")


async def convert(
    interpreter: Interpreter,
    description: str,
    source: JsonValue,
    source_schema: JsonObject,
    target: Schema,
    inference: Inference,
    purpose: str,
) -> Filled:
    """A value of `target` that says what `source` says.

    Exact fields are copied by rule; the model pairs the rest, and fills by value what no copying can make. In a
    request nothing may be left behind: a value that found no place raises `NotAnswered`.
    """
    if inference.exact and inference.mapping is not None:
        value = _fitting(inference.mapping, source, target)
        return Filled(value, Copying(mapping=inference.mapping, whole=True))
    pairing = await pair_record(interpreter, description, source, source_schema, target.json_schema, inference)
    if purpose in REQUESTS and pairing.unread and not pairing.open:
        raise NotAnswered(f"{pairing.unread[0]} has no place at the other side")
    written = False
    try:
        value = pairing.mapping.compile()(source)
        if pairing.open:
            asked = _part(target, pairing.open)
            given, given_schema = source, source_schema
            if purpose in REQUESTS and pairing.unread and not any("/-" in each for each in pairing.open):
                # What has found its place is not shown again: no words in it then have a say in these fields. Of rows
                # only the first was looked at, so that all of them are shown.
                given, given_schema = part_of(source, pairing.unread), only(source_schema, pairing.unread)
            filled = await interpreter.fill(description, given, given_schema, asked, purpose=purpose)
            written = purpose in REQUESTS and not carries(source, filled, names_of(target))
            value = lay_over(value, filled)
        target.check(value)
    except (BadInput, PeerMisspoke) as error:
        raise NotAnswered("what was filled does not fit the document") from error
    whole, request = not pairing.open, purpose in REQUESTS
    return Filled(value, copying_of(pairing.mapping, source_schema, whole=whole, request=request), written)


def names_of(schema: Schema) -> str:
    """The names of members that a schema has, in one text."""
    return orjson.dumps(schema.json_schema).decode()


def _fitting(mapping: Mapping, source: JsonValue, target: Schema) -> JsonValue:
    try:
        value = mapping.compile()(source)
        target.check(value)
    except BadInput as error:
        raise NotAnswered("a value does not fit the other side") from error
    return value


def _part(target: Schema, pointers: Sequence[str]) -> Schema:
    try:
        return Schema.of(only(target.json_schema, pointers))
    except UsageError:  # the fields that are kept refer to some that are not
        return target


def only(schema: JsonObject, pointers: Sequence[str]) -> JsonObject:
    """The schema with only the fields at `pointers` (JSON Pointers; `/-` for items) and what holds them."""
    kept = _only(schema, schema, [tuple(_steps(pointer)) for pointer in pointers])
    return {**kept, **{word: schema[word] for word in ("$defs", "definitions") if word in schema}}


def _only(schema: JsonObject, root: JsonObject, paths: Sequence[tuple[str, ...]]) -> JsonObject:
    if any(not path for path in paths):
        return schema
    here = resolve(schema, root)
    items = [path[1:] for path in paths if path[0] == "-"]
    if items:
        return {**here, "items": _only(here.get("items", {}), root, items)}
    names = dict.fromkeys(path[0] for path in paths)
    properties = here.get("properties", {})
    return {
        "type": "object",
        "properties": {
            name: _only(properties.get(name, {}), root, [path[1:] for path in paths if path[0] == name])
            for name in names
        },
        "required": [name for name in names if name in here.get("required", [])],
        "additionalProperties": False,
    }


def part_of(value: JsonValue, pointers: Sequence[str]) -> JsonValue:
    """The value with only what is at `pointers`, as `only` has it for its schema; lists keep their length."""
    return _part_of(value, [tuple(_steps(pointer)) for pointer in pointers])


def _part_of(value: JsonValue, paths: Sequence[tuple[str, ...]]) -> JsonValue:
    if any(not path for path in paths):
        return value
    if isinstance(value, list):
        return [_part_of(item, [path[1:] for path in paths if path[0] == "-"]) for item in value]
    if not isinstance(value, dict):
        return None
    names = dict.fromkeys(path[0] for path in paths)
    return {
        name: _part_of(value[name], [path[1:] for path in paths if path[0] == name]) for name in names if name in value
    }


def _steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
