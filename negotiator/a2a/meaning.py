"""What a message asks of us, and what our reply is in parts.

Text is natural language. A data part is the body of a request under the document that the message's metadata name,
else the input of the skill that they name, which is our direct-JSON document. Without either, it is the input of the
one tool that takes it; where more than one does, or none, a model reads it as text.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from negotiator.dialects.a2a import extension
from negotiator.dialects.a2a.faults import Fault
from negotiator.dialects.a2a.numbers import restored
from negotiator.dialects.a2a.objects import Message, Part, data_part, text_part
from negotiator.dialects.agora import spelling_of
from negotiator.dialects.json_body import as_text
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.schemas import Schema
from negotiator.task import Tool
from protocol_docs import MalformedHash, catalog, parse_hash

RequestSchema = Callable[[str], Schema | None]
"""The schema of the request body under the document of a hash, where that is at hand and has one."""

_REFUSED_INPUT: Final = ("bad_input", "bad_message", "unknown_task")
REASONS: Final[Mapping[str, str]] = {
    "bad_input": "INVALID_PARAMS",
    "malformed": "INVALID_PARAMS",
    "not_allowed": "NOT_ALLOWED",
    "overloaded": "OVERLOADED",
}
"""What is refused, rather than a task that failed: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A message, understood."""

    request: Request
    direct: bool = False
    """Whether it is under our direct-JSON document, which the peer need not know."""

    @property
    def in_words(self) -> bool:
        """Whether it is in natural language."""
        return not self.request.hashes


def read(message: Message, about: JsonObject, tools: Mapping[str, Tool], request_schema: RequestSchema) -> Asked:
    """Understand a message; `about` is the metadata of its request. Raises `Fault`."""
    if any(part.kind == "file" for part in message.parts):
        raise Fault("CONTENT_TYPE_NOT_SUPPORTED", "text and JSON are read here, files are not")
    data = [part.value for part in message.parts if part.kind == "data"]
    text = "\n\n".join(str(part.value) for part in message.parts if part.kind == "text")
    metadata = {**about, **message.metadata}
    hashes = _hashes(metadata)
    if hashes:
        if len(data) > 1:
            raise Fault("INVALID_PARAMS", "a message under a document has one data part at most")
        body = data[0] if data else text
        schema = next((found for name in hashes if (found := request_schema(name)) is not None), None)
        if schema is not None and not isinstance(body, str):
            body = restored(body, schema.json_schema)
        sources = extension.texts(metadata, extension.SOURCES)
        return Asked(request=Request(body=body, hashes=hashes, sources=sources, idempotency_key=message.id))
    if len(data) == 1 and isinstance(data[0], dict):
        skill = next((name for key in extension.SKILL_NAMES for name in extension.texts(metadata, key)), None)
        tool = tools.get(skill) if skill is not None else None if text else _only(data[0], tools)
        if skill is not None or tool is not None:
            given = data[0] if tool is None else restored(data[0], tool.input.json_schema)
            named = skill if tool is None else tool.name
            request = Request(
                body={"task": named, "input": given},
                hashes=catalog.direct_json().aliases,
                idempotency_key=message.id,
            )
            return Asked(request=request, direct=True)
    body = "\n\n".join([*([text] if text else []), *(as_text(value) for value in data)])
    return Asked(request=Request(body=body, idempotency_key=message.id))


def _hashes(metadata: JsonObject) -> tuple[str, ...]:
    try:
        return tuple(parse_hash(each) for each in extension.texts(metadata, extension.DOCUMENT))
    except MalformedHash:
        raise Fault("INVALID_PARAMS", "the document's hash is none") from None


def _only(given: JsonObject, tools: Mapping[str, Tool]) -> Tool | None:
    fitting = [tool for tool in tools.values() if tool.input.is_valid(restored(given, tool.input.json_schema))]
    return fitting[0] if len(fitting) == 1 else None


def parts_of(asked: Asked, body: JsonValue) -> tuple[Part, ...]:
    """The body of a reply that succeeded, in parts."""
    if asked.direct and isinstance(body, dict):
        return (data_part(body.get("output")),)
    return (text_part(body),) if isinstance(body, str) else (data_part(body),)


def as_failure(asked: Asked, reply: Reply) -> Reply:
    """A reply under our direct-JSON document as what it is to a peer that does not know that document."""
    if not asked.direct or reply.status != "success" or not isinstance(reply.body, dict):
        return reply
    match reply.body.get("error"):
        case {"code": str(code), "detail": str(detail)}:
            code = "bad_input" if code in _REFUSED_INPUT else "not_allowed" if code == "not_allowed" else "tool_failed"
            return Reply(status="failure", code=code, error=detail, tier=reply.tier)
    return reply


def metadata_of(asked: Asked, reply: Reply) -> JsonObject:
    """What our extension says of a reply."""
    told: JsonObject = {}
    if reply.tier != "unknown":
        told[extension.TIER] = reply.tier
    if not asked.direct and asked.request.hashes:
        told[extension.DOCUMENT] = asked.request.hashes[0]
    if reply.code is not None:
        told[extension.CODE] = reply.code
    return told


def sentence_of(reply: Reply) -> str:
    """What a peer reads of a reply that did not succeed."""
    return reply.error or spelling_of(reply).text


def fault_of(reply: Reply) -> Fault:
    """A reply that did not succeed, as an error of the protocol."""
    reason = REASONS.get(reply.code or "", "INTERNAL_ERROR")
    return Fault(reason, sentence_of(reply), retry_after=reply.retry_after)
