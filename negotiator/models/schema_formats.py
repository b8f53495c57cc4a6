"""How a provider is asked to hold its answer to a JSON Schema: three ways, from the strictest down."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Message

Way: TypeAlias = Literal["strict", "loose", "plain"]
"""`strict`: held to token by token. `loose`: the schema is sent along. `plain`: it is told in words."""

_STRICT_WORDS: Final = frozenset(
    {"$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "items", "properties"}
    | {"required", "title", "type"}
)
_STRICT_DEPTH: Final = 5
_STRICT_PROPERTIES: Final = 100


def fits_strict(schema: JsonObject) -> bool:
    """Whether `schema` keeps to the rules of `strict`, as their narrowest implementation has them.

    An object at the top; each object closed and all its properties required; few words, few levels.
    """
    count = _strict_properties(schema, 1)
    return schema.get("type") == "object" and "anyOf" not in schema and 0 <= count <= _STRICT_PROPERTIES


def _strict_properties(schema: Any, depth: int) -> int:
    """How many properties there are, all told; far below 0 where a rule is broken."""
    broken = -1_000_000
    if not isinstance(schema, dict) or depth > _STRICT_DEPTH or not _STRICT_WORDS.issuperset(schema):
        return broken
    properties = schema.get("properties", {})
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties):
            return broken
    inner = [*properties.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    if "items" in schema:
        inner.append(schema["items"])
    return len(properties) + sum(_strict_properties(part, depth + 1) for part in inner)


def response_format(schema: JsonObject, way: Way) -> JsonObject | None:
    """The `response_format` of a chat completion; None where `way` has none."""
    if way == "plain":
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": way == "strict"}}


def told_in_words(messages: Sequence[Message], schema: JsonObject) -> list[Message]:
    """`messages` with the schema in the first system message, for providers that take no `response_format`."""
    words = (
        "Answer with one JSON value that fits this JSON Schema, and with nothing else:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )
    if messages and messages[0].role == "system":
        return [Message("system", f"{messages[0].content}\n\n{words}"), *messages[1:]]
    return [Message("system", words), *messages]


_ABOUT_FORMAT = re.compile(
    r"response_?format|json_?schema|json mode|structured output|schema|grammar|strict", re.IGNORECASE
)
_ABOUT_THIS_SCHEMA = re.compile(r"invalid schema|schema is invalid|in context=", re.IGNORECASE)


def refuses_format(message: str) -> bool:
    """Whether a provider's error says that it will not hold answers to a schema."""
    return _ABOUT_FORMAT.search(message) is not None


def refuses_this_schema(message: str) -> bool:
    """Whether it says that this one schema will not do, others may."""
    return _ABOUT_THIS_SCHEMA.search(message) is not None
