"""The structured tier: a document says the shape, a model fills it for this one request.

Fields that the schemas leave no choice about are copied by rule; the model is asked for the rest, bound to the
document's schema. Without schemas the model follows the document's prose.
"""

from negotiator.engine import Engine
from negotiator.errors import BadInput
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value, part_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import exact_fields
from negotiator.routines import lay_over
from negotiator.schemas import Schema
from negotiator.task import Task, Tool
from protocol_docs import ProtocolDocument


async def encode_request(
    interpreter: Interpreter,
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    payload: JsonValue,
) -> JsonValue:
    """A sender's half, outward: the request body. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        return body_value(await interpreter.write_prose_request(document.text, task, payload))
    described = f"{task.description} ({document.name}: {document.description})"
    return await convert(interpreter, described, payload, task.input.json_schema, schemas.request, "encode_request")


async def decode_reply(
    interpreter: Interpreter,
    engine: Engine,
    task: Task,
    document: ProtocolDocument,
    payload: JsonValue,
    sent: JsonValue,
    received: JsonValue,
) -> JsonValue:
    """A sender's half, inward: the task's output. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        return await interpreter.read_prose_reply(document.text, task, body_text(sent), body_text(received))
    described = f"{task.description} ({document.name}: {document.description})"
    return await convert(interpreter, described, received, schemas.reply.json_schema, task.output, "decode_reply")


async def read_arguments(
    interpreter: Interpreter,
    engine: Engine,
    document: ProtocolDocument,
    body: JsonValue,
    tool: Tool,
) -> JsonObject:
    """A receiver's half, inward: the tool's arguments. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        return await interpreter.read_request(body_text(body), tool, document.text)
    described = f"{tool.description} ({document.name}: {document.description})"
    arguments: JsonObject = await convert(
        interpreter, described, body, schemas.request.json_schema, tool.input, "decode_request"
    )
    return arguments


async def write_reply(
    interpreter: Interpreter,
    engine: Engine,
    document: ProtocolDocument,
    body: JsonValue,
    tool: Tool,
    result: JsonValue,
) -> JsonValue:
    """A receiver's half, outward: the reply body. Raises `NotAnswered`, `ModelError`."""
    schemas = engine.schemas_of(document)
    if schemas is None:
        return await interpreter.write_prose_reply(document.text, body_text(body), result)
    described = f"{tool.description} ({document.name}: {document.description})"
    return await convert(interpreter, described, result, tool.output.json_schema, schemas.reply, "encode_reply")


async def convert(
    interpreter: Interpreter,
    description: str,
    source: JsonValue,
    source_schema: JsonObject,
    target: Schema,
    purpose: str,
) -> JsonValue:
    """A value of `target` that says what `source` says: exact fields by rule, the rest by the model."""
    sure, rest = exact_fields(source_schema, target.json_schema)
    known = sure.compile()(source) if sure.fields else {}
    if not rest and target.is_valid(known):
        return known
    asked = part_of(target.json_schema, set(rest)) if known else target
    filled = await interpreter.fill(description, source, source_schema, asked, purpose=purpose)
    value = lay_over(known, filled) if known else filled
    try:
        target.check(value)
    except BadInput as error:
        raise NotAnswered("what was filled does not fit the document") from error
    return value
