"""Which document fits which task or tool, by rule alone, and what each side's half of an exchange looks like."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final, Literal, TypeAlias

from negotiator.choosing import clear_tool
from negotiator.engine import DocumentSchemas, Engine
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import PairInference
from negotiator.messages import Effect
from negotiator.negotiation import Intent
from negotiator.routines import ENTRY_BACK, ENTRY_INTO, Role
from negotiator.schemas import Schema
from negotiator.task import Task, Tool
from protocol_docs import ProtocolDocument
from protocol_docs.examples import examples_of
from protocol_docs.value_classes import variants

Way: TypeAlias = Literal["into", "back"]
"""A direction of a routine: `into` what the other side, or the tool, takes; `back` from what it gives."""

MAX_SAMPLES = 64
"""Examples made of one schema for checks of ours, beside those that a document shows."""
MAX_VARIANTS = 256
"""Variants of the fullest of them, each with another value in one place."""


_WHOLE_TEXTS: Final = frozenset(
    {"answer", "body", "content", "message", "output", "reply", "response", "result", "text"}
)
"""Names of a field that is all of a text; a field of any other name may be a part of it."""
_ANNOTATIONS: Final[JsonObject] = {"$schema": None, "description": None, "examples": None, "title": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How a document fits a task, by rule alone."""

    ready: bool
    """Whether a routine can be made without asking a model what means what."""
    exact: bool
    """Whether it may serve at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One side's half of an exchange under a document: what comes in, what goes on, what comes back, what goes out."""

    role: Role
    document: ProtocolDocument
    key_digest: str
    """The task's digest for a sender, the toolset's for a receiver."""
    description: str
    given: Schema | None
    """A sender's input, or the request body; None where the document has no schemas."""
    passed: Schema | None
    """The request body, or the tool's arguments."""
    returned: Schema | None
    """The reply body, or the tool's result."""
    made: Schema | None
    """The output, or the reply body."""
    tool: str | None = None

    @property
    def place(self) -> tuple[str, Role, str]:
        """Where its routine stands on the shelf."""
        return self.document.hash, self.role, self.key_digest

    @property
    def has_schemas(self) -> bool:
        """Whether the document has schemas of its bodies."""
        return None not in (self.given, self.passed, self.returned, self.made)

    def source(self, way: Way) -> Schema | None:
        """What one direction reads."""
        return self.given if way == "into" else self.returned

    def target(self, way: Way) -> Schema | None:
        """What one direction writes."""
        return self.passed if way == "into" else self.made

    def entry(self, way: Way) -> str:
        """The name of the function that makes what no mapping can, in one direction."""
        return (ENTRY_INTO if way == "into" else ENTRY_BACK)[self.role]

    def shown_examples(self, way: Way) -> list[JsonValue]:
        """Values of what one direction reads that the document or the schema itself shows."""
        schema = self.source(way)
        public = self._public("reply" if way == "back" else "request")
        reads_wire = (self.role, way) in (("sender", "back"), ("receiver", "into"))
        if schema is None:
            return []
        return [each for each in (*(public if reads_wire else ()), *given_examples(schema)) if schema.is_valid(each)]

    def written_examples(self, way: Way) -> list[JsonValue]:
        """The document's examples of what one direction writes, where that goes over the wire."""
        if (self.role, way) in (("sender", "back"), ("receiver", "into")):
            return []
        return self._public("request" if way == "into" else "reply")

    def examples(self, way: Way) -> list[JsonValue]:
        """The same as `shown_examples`, and values of each class that the schema has."""
        schema = self.source(way)
        return [] if schema is None else [*self.shown_examples(way), *_made_of(schema)]

    def back_samples(self) -> list[JsonValue]:
        """What a candidate is tried on at once, backwards: replies that the document shows, or results of the tool."""
        if self.role == "sender" or self.returned is None:
            return self.shown_examples("back")
        return examples_of(self.returned.json_schema)

    def _public(self, what: Literal["request", "reply"]) -> list[JsonValue]:
        annex = self.document.annex
        return [] if annex is None else [getattr(each, what) for each in annex.examples]


@lru_cache(256)
def _made_of(schema: Schema) -> tuple[JsonValue, ...]:
    made = examples_of(schema.json_schema, MAX_SAMPLES)
    varied = (each for value in made[:1] for each in variants(schema.json_schema, value) if schema.is_valid(each))
    return (*made, *islice(varied, MAX_VARIANTS))


def sender_half(engine: Engine, task: Task, document: ProtocolDocument) -> Half:
    """The half of a sender that has `task` done under `document`."""
    schemas = sender_schemas(engine, task, document)
    return Half(
        role="sender",
        document=document,
        key_digest=task.digest,
        description=f"{task.description} ({document.name}: {document.description})",
        given=task.input,
        passed=None if schemas is None else schemas.request,
        returned=None if schemas is None else schemas.reply,
        made=task.output,
    )


def receiver_half(engine: Engine, document: ProtocolDocument, tool: Tool) -> Half:
    """The half of a receiver that answers under `document` with `tool`."""
    schemas = engine.schemas_of(document)
    return Half(
        role="receiver",
        document=document,
        key_digest=engine.toolset,
        description=f"{tool.description} ({document.name}: {document.description})",
        given=None if schemas is None else schemas.request,
        passed=tool.input,
        returned=tool.output,
        made=None if schemas is None else schemas.reply,
        tool=tool.name,
    )


def text_field(task: Task, document: ProtocolDocument) -> str | None:
    """Where the text of a reply goes in a task's output, as it is, under a document that has no schema of replies.

    Empty for the output itself, else the name of its one field, which is then a word for the whole of what is said.
    None where only a model can tell, and where the document has errors of its own, which are no answers.
    """
    annex = document.annex
    if annex is None or annex.request_schema is None or annex.reply_schema is not None or annex.errors:
        return None
    made = task.output.json_schema
    if _is_text(made):
        return ""
    fields = made.get("properties")
    if made.get("type") != "object" or not isinstance(fields, dict) or len(fields) != 1:
        return None
    ((name, field),) = fields.items()
    return name if name in _WHOLE_TEXTS and made.get("required") == [name] and _is_text(field) else None


def _is_text(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and {**schema, **_ANNOTATIONS} == {"type": "string", **_ANNOTATIONS}


def sender_schemas(engine: Engine, task: Task, document: ProtocolDocument) -> DocumentSchemas | None:
    """What a sender's half goes by: the document's schemas, or its request's and, for a text, the task's own output."""
    schemas = engine.schemas_of(document)
    if schemas is not None or text_field(task, document) is None:
        return schemas
    request = engine.request_schema_of(document)
    return None if request is None else DocumentSchemas(request, task.output)


async def judge_sender(engine: Engine, task: Task, document: ProtocolDocument) -> Fit:
    """Whether `document` fits `task` by rule; no model is asked."""
    schemas = sender_schemas(engine, task, document)
    if schemas is None or (task.effect == "safe" and (document.annex is None or document.annex.effect != "safe")):
        return Fit(ready=False, exact=False)
    pair = await sender_pair(engine, task, schemas)
    exact = pair.request.exact and pair.reply.exact
    return Fit(ready=exact or (pair.complete and engine.has_model), exact=exact)


async def suitable_tool(engine: Engine, document: ProtocolDocument, *, exactly: bool = False) -> Tool | None:
    """The tool whose schemas a document's map onto by rule; None where none does, or more than one.

    Without a model to verify a routine by, or with `exactly`, only an exact mapping will do. A mapping says that a tool
    can be called, and not that it is meant: it is not where the document's words speak for another one, nor, unless they
    speak for it, where it changes nothing under a document that may and the schemas leave a choice.
    """
    schemas = engine.schemas_of(document)
    if schemas is None:
        return None
    found: list[tuple[Tool, bool]] = []
    for tool in engine.tools.values():
        if effect_allowed(document, tool):
            pair = await receiver_pair(engine, tool, schemas)
            exact = pair.request.exact and pair.reply.exact
            if pair.complete and (exact or (engine.has_model and not exactly)):
                found.append((tool, exact))
    if len(found) != 1:
        return None
    tool, exact = found[0]
    intent = _intent_of(document, schemas)
    clear = clear_tool(intent, list(engine.tools.values()))
    if clear is None:
        return tool if exact or tool.effect == intent.effect else None
    return tool if clear is tool else None


def _intent_of(document: ProtocolDocument, schemas: DocumentSchemas) -> Intent:
    """What a document says that whoever asks under it wants."""
    effect: Effect | None = None if document.annex is None else document.annex.effect
    return Intent(
        name=document.name,
        description=document.description,
        effect=effect or "transactional",
        input_schema=schemas.request.json_schema,
        output_schema=schemas.reply.json_schema,
    )


def changes_less(task: Task, document: ProtocolDocument) -> bool:
    """Whether a document says that it changes nothing, where the task may want something changed.

    To look for a flight takes what it takes to book one: schemas that fit are then no sign that it is the one meant.
    """
    return task.effect == "transactional" and document.annex is not None and document.annex.effect == "safe"


def effect_allowed(document: ProtocolDocument, tool: Tool) -> bool:
    """A document that says it is safe never reaches a transactional tool."""
    return not (document.annex is not None and document.annex.effect == "safe" and tool.effect == "transactional")


async def sender_pair(engine: Engine, task: Task, schemas: DocumentSchemas) -> PairInference:
    """What rules know of a sender's half."""
    return await engine.pair((task.input, schemas.request), (schemas.reply, task.output))


async def receiver_pair(engine: Engine, tool: Tool, schemas: DocumentSchemas) -> PairInference:
    """What rules know of a receiver's half."""
    return await engine.pair((schemas.request, tool.input), (tool.output, schemas.reply))


def given_examples(schema: Schema) -> list[JsonValue]:
    """Values that a schema itself gives as examples, field by field or whole."""
    root = schema.json_schema
    whole = [item for item in root.get("examples", []) if schema.is_valid(item)]
    properties = root.get("properties", {})
    fields: JsonObject = {
        name: part["examples"][0]
        for name, part in properties.items()
        if isinstance(part, dict) and isinstance(part.get("examples"), list) and part["examples"]
    }
    if fields and schema.is_valid(fields):
        whole.append(fields)
    return whole
