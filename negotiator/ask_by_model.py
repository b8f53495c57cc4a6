"""The sender's half with a model: the structured tier under a document, natural language without one."""

from typing import TypeAlias

from negotiator.asking import Asking
from negotiator.describe import sentence_of
from negotiator.errors import PeerMisspoke, RoutineFailed
from negotiator.evidence import Copying, Exchange
from negotiator.fitting import sender_half
from negotiator.interpret import NotAnswered, body_text
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonValue
from negotiator.messages import Reply, Tier
from negotiator.shadow import observe
from negotiator.structured import decode_reply, encode_request
from protocol_docs import ProtocolDocument

Done: TypeAlias = tuple[Tier, ProtocolDocument | None, JsonValue]
"""The tier that served, the document it served under, and the task's output as JSON."""


async def ask_by_model(work: Asking, document: ProtocolDocument) -> Done:
    """The exchange in the structured tier."""
    work.goes_by("structured")
    filled = await encode_request(work.interpreter(), work.engine, work.task, document, work.payload)
    body = filled.value
    canonical(body)
    work.step("encode", "the request body was filled by the model")
    tier: Tier = "structured"
    if filled.written and work.engine.schemas_of(document) is None:
        if not work.task.natural_language:
            raise NotAnswered("a model would write values of its own, and the task is not asked in words")
        tier = "natural_language"
        work.step("encode", "values in it are the model's own words")
        work.goes_by(tier)
    reply = await work.send(body, document)
    received = work.body_of(reply, work.engine.schemas_of(document))
    return await read_by_model(work, document, body, received, filled.copying, tier)


async def read_by_model(
    work: Asking,
    document: ProtocolDocument,
    body: JsonValue,
    received: JsonValue,
    into: Copying | None = None,
    tier: Tier = "structured",
) -> Done:
    """The reply is read by the model, and the routine, if there is one, held against the exchange later."""
    engine, task = work.engine, work.task
    if not engine.has_model:
        raise RoutineFailed("the routine does not know such a reply, and there is no model to read it")
    filled = await decode_reply(work.interpreter(), engine, task, document, body, received)
    work.step("decode", "the reply body was read by the model")
    exchange = Exchange(
        given=work.payload, passed=body, returned=received, made=filled.value, into=into, back=filled.copying
    )
    half = sender_half(engine, task, document)
    engine.learner.start(f"shadow/{document.hash}/{task.digest}/{work.key}", lambda: observe(engine, half, exchange))
    return tier, document, filled.value


async def ask_in_words(work: Asking) -> Done:
    """The exchange in natural language."""
    work.goes_by("natural_language")
    schema = work.task.input.json_schema
    text = sentence_of(work.task.description, work.payload, schema, work.task.output.json_schema)
    return await read_from_words(work, await work.send(text, None))


async def read_from_words(work: Asking, reply: Reply) -> Done:
    """A reply in words is read by the model."""
    try:
        output = await work.interpreter().read_reply(work.task, work.payload, body_text(reply.body))
    except NotAnswered as error:
        raise PeerMisspoke(f"the reply does not hold the answer: {error}") from error
    work.step("decode", "the reply was read by the model")
    return "natural_language", None, output
