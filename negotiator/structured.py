"""The structured tier: a document says the shape, a model fills it for this one request.

Fields that the schemas leave no choice about are copied by rule; the model is asked for the rest, bound to the
document's schema. Without schemas the model follows the document's prose.
"""

from negotiator.describe import resolve
from negotiator.engine import Engine
from negotiator.errors import BadInput
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value, part_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import FieldMapping, Mapping, infer
from negotiator.mapping.fields import same_values, shape_of
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
    known, rest = _by_rule(source, source_schema, target)
    if not rest and target.is_valid(known):
        return known
    asked = part_of(target.json_schema, rest) if known else target
    filled = await interpreter.fill(description, source, source_schema, asked, purpose=purpose)
    value = lay_over(known, filled) if known else filled
    try:
        target.check(value)
    except BadInput as error:
        raise NotAnswered("what was filled does not fit the document") from error
    return value


def _by_rule(source: JsonValue, source_schema: JsonObject, target: Schema) -> tuple[JsonObject, set[str]]:
    """The top-level fields that rules leave no choice about, and the names of the others.

    No choice: a namesake of the same type, unit and values. Numbers in another known unit are converted by rule
    too, where words pair them surely, since models are poor at arithmetic.
    """
    here = {found.path: found for found in shape_of(source_schema).fields}
    wanted = {found.path[0]: found for found in shape_of(target.json_schema).fields if len(found.path) == 1}
    names = set(resolve(target.json_schema, target.json_schema).get("properties", {}))
    inference = infer(source_schema, target.json_schema, direction="reply")
    fields: list[FieldMapping] = []
    for each in inference.partial.fields:
        name = each.to.removeprefix("/")
        found = wanted.get(name)
        if each.source is None or found is None:
            continue
        namesake = here.get((name,))
        exact = each.source == each.to and namesake is not None and same_values(namesake, found)
        if (exact and each.convert is None and each.each is None) or (
            each.convert is not None and each.convert.name == "unit"
        ):
            fields.append(each)
    try:
        known = Mapping(tuple(fields)).compile()(source)
    except BadInput:
        return {}, names
    return known, names - {each.to.removeprefix("/") for each in fields}
