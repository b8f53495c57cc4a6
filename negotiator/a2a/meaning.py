"""What a message asks of us, and what our reply is in parts.

Text is natural language. A data part is the body of a request under the document that the message's metadata name,
else the input of the skill that they name, which is our direct-JSON document. Without either, it is the input of the
one tool that takes it; where more than one does, or none, a model reads it as text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from negotiator.dialects.a2a import extension
from negotiator.dialects.a2a.faults import Fault
from negotiator.dialects.a2a.numbers import restored
from negotiator.dialects.a2a.objects import Message, Part, data_part, file_part, text_part
from negotiator.dialects.agora import spelling_of
from negotiator.dialects.json_body import as_text, write
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.referring import placed, references
from negotiator.schemas import Schema
from negotiator.task import Tool
from protocol_docs import MalformedHash, catalog, parse_hash

RequestSchema = Callable[[str], Schema | None]
"""The schema of the request body under the document of a hash, where that is at hand and has one."""

MAX_URL: Final = 2_048
"""Characters of a file's address."""
MAX_GUESSED: Final = 1_048_576
"""Bytes that are held against schemas, all tools together, to find the one that takes a data part which names none."""
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
    gives: JsonObject = field(default_factory=dict)
    """The schema of the output, where that is known: it tells which of it are files."""

    @property
    def in_words(self) -> bool:
        """Whether it is in natural language."""
        return not self.request.hashes


def read(message: Message, about: JsonObject, tools: Mapping[str, Tool], request_schema: RequestSchema) -> Asked:
    """Understand a message; `about` is the metadata of its request. Raises `Fault`."""
    files = [_reference(part) for part in message.parts if part.kind == "file"]
    data = [part.value for part in message.parts if part.kind == "data"]
    text = "\n\n".join(str(part.value) for part in message.parts if part.kind == "text")
    metadata = {**about, **message.metadata}
    hashes = _hashes(metadata)
    if hashes:
        if len(data) > 1 or files:
            raise Fault("INVALID_PARAMS", "a message under a document has one data part at most, and no files")
        body = data[0] if data else text
        schema = next((found for name in hashes if (found := request_schema(name)) is not None), None)
        if schema is not None and not isinstance(body, str):
            body = restored(body, schema.json_schema)
        sources = extension.texts(metadata, extension.SOURCES)
        return Asked(request=Request(body=body, hashes=hashes, sources=sources, idempotency_key=message.id))
    if not data and files:
        data = [{}]
    if len(data) == 1 and isinstance(data[0], dict):
        skill = next((name for key in extension.SKILL_NAMES for name in extension.texts(metadata, key)), None)
        tool = tools.get(skill) if skill is not None else None if text else _only(data[0], files, tools)
        if skill is not None or tool is not None:
            given = data[0] if tool is None else _given(data[0], files, tool)
            if given is None:
                raise Fault("CONTENT_TYPE_NOT_SUPPORTED", "the skill takes no such files")
            named = skill if tool is None else tool.name
            request = Request(
                body={"task": named, "input": given},
                hashes=catalog.direct_json().aliases,
                idempotency_key=message.id,
            )
            return Asked(request=request, direct=True, gives={} if tool is None else tool.output.json_schema)
    said = [value for value in data if value != {}] if files else data
    if files and not (said or text):
        raise Fault("CONTENT_TYPE_NOT_SUPPORTED", "no skill takes such files by themselves: say what is to be done")
    body = "\n\n".join([*([text] if text else []), *(as_text(value) for value in (*said, *files))])
    return Asked(request=Request(body=body, idempotency_key=message.id))


def _hashes(metadata: JsonObject) -> tuple[str, ...]:
    try:
        return tuple(parse_hash(each) for each in extension.texts(metadata, extension.DOCUMENT))
    except MalformedHash:
        raise Fault("INVALID_PARAMS", "the document's hash is none") from None


def _reference(part: Part) -> JsonObject:
    """A file as `FileRef` has it. Raises `Fault` where it is no reference: nobody's bytes are kept unasked."""
    said = part.value if isinstance(part.value, dict) else {}
    url = said.get("url")
    if not isinstance(url, str) or not url.startswith(("http://", "https://")) or len(url) > MAX_URL:
        raise Fault("CONTENT_TYPE_NOT_SUPPORTED", "files are taken by reference, as an http or https url")
    return {name: said[name] for name in ("url", "media_type", "name") if said.get(name)}


def _given(data: JsonObject, files: Sequence[JsonObject], tool: Tool) -> JsonObject | None:
    """A tool's input from a data part and files; None where it has no place for them."""
    made = placed(data, tool.input.json_schema, files) if files else data
    whole = None if made is None else restored(made, tool.input.json_schema)
    return whole if isinstance(whole, dict) else None


def _only(data: JsonObject, files: Sequence[JsonObject], tools: Mapping[str, Tool]) -> Tool | None:
    if len(tools) > 1 and len(tools) * len(write(data)) > MAX_GUESSED:
        return None
    fitting = [
        tool
        for tool in tools.values()
        if (given := _given(data, files, tool)) is not None and tool.input.is_valid(given)
    ]
    return fitting[0] if len(fitting) == 1 else None


def parts_of(asked: Asked, body: JsonValue) -> tuple[Part, ...]:
    """The body of a reply that succeeded, in parts."""
    if asked.direct and isinstance(body, dict):
        output = body.get("output")
        found = references(output, asked.gives) if asked.gives else []
        return (data_part(output), *(file_part(each) for each in found if "url" in each))
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
