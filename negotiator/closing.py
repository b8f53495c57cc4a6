"""Schemas that hold the fields they name and no others. Pure."""

from typing import Final

from negotiator.jsonvalue import JsonObject, JsonValue

_HOLD_NAMED: Final = frozenset({"$defs", "definitions", "properties"})
_COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref", "if", "dependentSchemas"})
_SHARED: Final = frozenset({"allOf", "if", "dependentSchemas"})


def closed(schema: JsonObject) -> JsonObject:
    """The schema with each object held to the fields that it names, where it names some and says nothing of others.

    JSON Schema lets an object have more fields than are named, and nobody who wrote names meant that to be a way in:
    a model would invent such fields, and no mapping carries them. Where an object is made of several schemas, each of
    them names only some of its fields: it stays open.
    """
    made = _closed(schema, definitions=not _has(schema, _SHARED))
    return made if isinstance(made, dict) else schema


def _closed(schema: JsonValue, *, definitions: bool) -> JsonValue:
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    for word, value in schema.items():
        if word in _HOLD_NAMED and isinstance(value, dict) and (definitions or word == "properties"):
            made[word] = {name: _closed(part, definitions=definitions) for name, part in value.items()}
        elif word == "items":
            made[word] = _closed(value, definitions=definitions)
        elif word in ("anyOf", "oneOf") and "properties" not in schema and isinstance(value, list):
            made[word] = [_closed(part, definitions=definitions) for part in value]
    if (
        isinstance(schema.get("properties"), dict)
        and "additionalProperties" not in schema
        and not _COMBINED & set(schema)
    ):
        made["additionalProperties"] = False
    return made


def _has(schema: JsonValue, words: frozenset[str]) -> bool:
    if isinstance(schema, list):
        return any(_has(part, words) for part in schema)
    if not isinstance(schema, dict):
        return False
    return bool(words & set(schema)) or any(_has(part, words) for part in schema.values())
