"""What a language model does for one exchange: read a request or a reply, fill a document's fields.

Each question is bound to a JSON Schema, and everything that a peer said enters it quoted. Nothing here sends,
calls a tool or decides a tier.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeVar

import orjson

from negotiator.clock import Deadline
from negotiator.closing import closed
from negotiator.describe import fields_of, resolve, value_of
from negotiator.errors import BadInput, NegotiatorError, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.mapping import MappingQuestion
from negotiator.models.asking import Question, ask_model, quoted, unmarked
from negotiator.models.base import Model
from negotiator.prompts import prompt
from negotiator.schemas import Schema
from negotiator.task import Task, Tool

MAX_PEER_TEXT = 12_000
"""Characters of a peer's text or document that a prompt holds."""

T = TypeVar("T")


class NotAnswered(NegotiatorError):
    """The model says that what is asked for is not in what it was given; the message is its reason."""

    code = "not_answered"


class Interpreter:
    """The model at work for one request or one piece of learning."""

    def __init__(self, model: Model, account: Account, deadline: Deadline) -> None:
        """Usage goes to `account`; every call ends by `deadline`."""
        self.model = model
        self.account = account
        self.deadline = deadline

    async def read_reply(self, task: Task, payload: JsonValue, text: str) -> JsonValue:
        """The task's output, from a reply in natural language."""
        system, user = prompt(
            "read_reply",
            description=task.description,
            input=value_of(payload),
            reply=quoted(text, MAX_PEER_TEXT),
            fields=fields_of(task.output.json_schema),
        )
        return await self._answer("read_reply", system, user, task.output, len(text))

    async def fill(
        self,
        description: str,
        source: JsonValue,
        source_schema: JsonObject,
        target: Schema,
        *,
        purpose: str = "fill",
    ) -> JsonValue:
        """A value of `target` that says the same as `source`."""
        text = value_of(source, MAX_PEER_TEXT)
        system, user = prompt(
            "fill",
            description=quoted(description, 1_000),
            source_fields=fields_of(source_schema),
            target_fields=fields_of(target.json_schema),
            source=quoted(text, MAX_PEER_TEXT),
        )
        return await self._answer(purpose, system, user, target, len(text))

    async def choose_tool(self, text: str, tools: Mapping[str, Tool]) -> Tool | None:
        """The tool that serves a request in natural language, if one does."""
        listed = "\n".join(f"- {tool.name}: {tool.description}" for tool in tools.values())
        system, user = prompt("choose_tool", tools=listed, request=quoted(text, MAX_PEER_TEXT))
        names = [*tools, "none"]
        schema: JsonObject = {
            "type": "object",
            "properties": {"tool": {"enum": names}},
            "required": ["tool"],
            "additionalProperties": False,
        }

        def check(value: JsonValue) -> str:
            return str(value["tool"])

        name = await self._ask(Question("choose_tool", system, user, schema, check, 64))
        return tools.get(name)

    async def read_request(self, text: str, tool: Tool, document: str | None = None) -> JsonObject:
        """The arguments for `tool`, from a request in natural language, or as the prose of `document` has it."""
        described = f"{tool.name}: {tool.description}"
        fields = fields_of(tool.input.json_schema)
        request = quoted(text, MAX_PEER_TEXT)
        if document is None:
            system, user = prompt("read_request", tool=described, fields=fields, request=request)
        else:
            shown = quoted(document, MAX_PEER_TEXT)
            system, user = prompt("read_prose_request", document=shown, tool=described, fields=fields, request=request)
        arguments: JsonObject = await self._answer("read_request", system, user, tool.input, len(text))
        return arguments

    async def write_prose_reply(self, document: str, request: str, result: JsonValue) -> str:
        """The reply body that a document without schemas asks for."""
        system, user = prompt(
            "write_prose_reply",
            document=quoted(document, MAX_PEER_TEXT),
            request=quoted(request, MAX_PEER_TEXT),
            result=value_of(result, MAX_PEER_TEXT),
        )
        return await self._text("write_reply", system, user)

    async def write_prose_request(self, document: str, task: Task, payload: JsonValue) -> str:
        """The request body that a document without schemas asks for."""
        system, user = prompt(
            "write_prose_request",
            document=quoted(document, MAX_PEER_TEXT),
            description=task.description,
            input=value_of(payload),
        )
        return await self._text("write_request", system, user)

    async def read_prose_reply(self, document: str, task: Task, request: str, reply: str) -> JsonValue:
        """The task's output, from a reply under a document without schemas."""
        system, user = prompt(
            "read_prose_reply",
            document=quoted(document, MAX_PEER_TEXT),
            description=task.description,
            request=quoted(request, MAX_PEER_TEXT),
            reply=quoted(reply, MAX_PEER_TEXT),
            fields=fields_of(task.output.json_schema),
        )
        return await self._answer("read_reply", system, user, task.output, len(reply))

    async def judge(self, reply: str) -> Literal["accepts", "objects", "unclear"]:
        """Whether a peer's words accept the document that was proposed to it."""
        system, user = prompt("judge_reply", reply=quoted(reply, MAX_PEER_TEXT))
        schema: JsonObject = {
            "type": "object",
            "properties": {"verdict": {"enum": ["accepts", "objects", "unclear"]}},
            "required": ["verdict"],
            "additionalProperties": False,
        }

        def check(value: JsonValue) -> Literal["accepts", "objects", "unclear"]:
            verdict: Literal["accepts", "objects", "unclear"] = value["verdict"]
            return verdict

        return await self._ask(Question("judge_reply", system, user, schema, check, 32))

    async def choose_fields(self, question: MappingQuestion) -> JsonValue:
        """One answer to what a mapping's rules left open: for each field, its counterpart's name or `none`."""
        return await self.choose("choose_fields", question.system, question.user, question.schema, question.max_tokens)

    async def choose(self, purpose: str, system: str, user: str, schema: JsonObject, max_tokens: int) -> JsonObject:
        """An answer among the values that `schema`, of an object, allows."""

        def check(value: JsonValue) -> JsonObject:
            found: JsonObject = value
            return found

        return await self._ask(Question(purpose, system, user, schema, check, max_tokens))

    async def write(self, purpose: str, system: str, user: str) -> str:
        """Free text, such as code; at most 2,048 tokens."""
        return await self._text(purpose, system, user)

    async def _answer(self, purpose: str, system: str, user: str, schema: Schema, size: int) -> JsonValue:
        def check(value: JsonValue) -> JsonValue:
            if "no_answer" in value:
                return value
            try:
                schema.check(value["answer"])
            except BadInput as error:
                pointer, what = error.violations[0] if error.violations else ("", str(error))
                raise ValueError(f"at {pointer or '/'}: {what}") from error
            return value

        question = Question(purpose, system, user, answer_schema(schema.json_schema), check, 256 + min(size, 3_000))
        value = await self._ask(question)
        if "no_answer" in value:
            raise NotAnswered(str(value["no_answer"])[:200])
        return value["answer"]

    async def _text(self, purpose: str, system: str, user: str) -> str:
        def check(value: JsonValue) -> str:
            if not str(value).strip():
                raise ValueError("the answer is empty")
            return str(value)

        return await self._ask(Question(purpose, system, user, None, check, 2_048))

    async def _ask(self, question: Question[T]) -> T:
        # Names and descriptions of a peer's schema stand among ours; none of them ends a turn of the chat.
        question = replace(question, user=unmarked(question.user))
        account = self.account
        answer = await ask_model(
            self.model, question, deadline=self.deadline, record=account.record, allow=account.before_call
        )
        return answer.value


def answer_schema(schema: JsonObject) -> JsonObject:
    """The schema of an answer in `schema`, or of the reason why there is none."""
    own = closed(copy.deepcopy(schema))
    definitions: JsonObject = {}
    for word in ("$defs", "definitions"):
        if word in own:
            definitions[word] = _moved(own.pop(word))
    for word in ("$schema", "$id"):
        own.pop(word, None)
    own = _moved(own)
    return {
        **definitions,
        "anyOf": [
            {"type": "object", "properties": {"answer": own}, "required": ["answer"], "additionalProperties": False},
            {
                "type": "object",
                "properties": {"no_answer": {"type": "string", "maxLength": 200}},
                "required": ["no_answer"],
                "additionalProperties": False,
            },
        ],
    }


_LOCAL = re.compile(r"#(?:/(?!(?:\$defs|definitions)/)|\Z)")
"""References into a schema itself, but for those to its definitions."""


def _moved(part: JsonValue) -> JsonValue:
    """References into a schema as they are where it is the schema of the answer; definitions stand at the root."""
    if isinstance(part, list):
        return [_moved(item) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {word: _moved(value) for word, value in part.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and _LOCAL.match(reference):
        moved["$ref"] = "#/anyOf/0/properties/answer" + reference[1:]
    return moved


def part_of(schema: JsonObject, names: set[str]) -> Schema:
    """The object schema with only the top-level properties `names`."""
    root = resolve(schema, schema)
    kept = {name: part for name, part in root.get("properties", {}).items() if name in names}
    part: JsonObject = {
        "type": "object",
        "properties": kept,
        "required": [name for name in root.get("required", []) if name in names],
        "additionalProperties": False,
    }
    for word in ("$defs", "definitions"):
        if word in schema:
            part[word] = schema[word]
    try:
        return Schema.of(part)
    except UsageError:  # the fields that are kept refer to some that are not
        return Schema.of(schema)


def body_text(body: JsonValue) -> str:
    """A message body as text: text as it is, JSON written out."""
    return body if isinstance(body, str) else orjson.dumps(body).decode()


def body_value(body: JsonValue) -> JsonValue:
    """A message body as JSON: JSON text is read, other text stays text."""
    if not isinstance(body, str):
        return body
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
