"""What pydantic's checks of plain types say by themselves, so that nothing need be said twice of the same value.

A type of a person's is checked twice: by pydantic, which makes the value, and by the JSON Schema that peers see. Where
a type is made of texts, numbers, booleans, nulls, lists and objects of such alone, the first says all that the second
does. It is decided once for each type, by its core schema and its JSON Schema side by side, and no word may be left over
in either of them.
"""

from collections.abc import Mapping
from typing import Any, Final

from negotiator.jsonvalue import JsonValue

_LEAVES: Final = {"bool": "boolean", "float": "number", "int": "integer", "none": "null", "str": "string"}
_SCALARS: Final = ("string", "integer", "number", "boolean")
_ANNOTATIONS: Final = frozenset({"$comment", "default", "description", "examples", "title"})
"""Words of a JSON Schema that refuse nothing."""
_SAYS_HOW_IT_IS_MADE: Final = frozenset({"metadata", "type"})


def says_flat(json_schema: JsonValue) -> bool:
    """Whether an object that fits a schema is sure to hold texts, numbers and booleans alone: nothing nested, no null,
    and no number that is not finite.
    """
    if not isinstance(json_schema, dict) or json_schema.get("additionalProperties") is not False:
        return False
    fields = json_schema.get("properties", {})
    # In older drafts nothing counts that stands beside a reference.
    return not json_schema.keys() & {"$ref", "patternProperties"} and all(
        isinstance(each, dict) and each.get("type") in _SCALARS and "$ref" not in each for each in fields.values()
    )


def is_said_as_it_is(core: Mapping[str, Any]) -> bool:
    """Whether what pydantic has validated by a core schema, and is plain JSON, is what it would write.

    Only where it is sure to be a copy of its own: types, and objects and lists of them, with nothing said of how to
    write them.
    """
    kind = core["type"]
    if core.get("serialization") is not None:
        return False
    if kind == "typed-dict":
        settings = core.get("config") or {}
        odd = (
            core.get("computed_fields")
            or core.get("extras_schema")
            or core.get("extra_behavior") == "allow"
            or settings.keys() - {"title", "extra_fields_behavior"}
            or settings.get("extra_fields_behavior") == "allow"
        )
        return not odd and all(
            each.keys() <= {"type", "schema", "required", "metadata"} and is_said_as_it_is(each["schema"])
            for each in core["fields"].values()
        )
    if kind == "list":
        return "items_schema" in core and is_said_as_it_is(core["items_schema"])
    if kind == "nullable":
        return is_said_as_it_is(core["schema"])
    return kind in _LEAVES


def says_all(core: Mapping[str, Any], json_schema: JsonValue) -> bool:
    """Whether plain JSON that pydantic takes in its strict mode by `core` fits `json_schema`, and so does what it makes
    of any value and is plain JSON. Of a `core` that `is_said_as_it_is`.
    """
    if not isinstance(json_schema, dict):
        return False
    kind, words = core["type"], {word: said for word, said in json_schema.items() if word not in _ANNOTATIONS}
    if kind == "typed-dict":
        return _says_all_of_an_object(core, words)
    if kind == "list":
        made = core.keys() <= {*_SAYS_HOW_IT_IS_MADE, "items_schema"} and words.keys() == {"type", "items"}
        return made and words["type"] == "array" and says_all(core["items_schema"], words["items"])
    if kind == "nullable":
        inner, *others = words.get("anyOf", [None])
        null = words.keys() == {"anyOf"} and others == [{"type": "null"}]
        return null and core.keys() <= {*_SAYS_HOW_IT_IS_MADE, "schema"} and says_all(core["schema"], inner)
    return core.keys() <= _SAYS_HOW_IT_IS_MADE and words == {"type": _LEAVES.get(kind)}


def _says_all_of_an_object(core: Mapping[str, Any], words: Mapping[str, Any]) -> bool:
    fields, properties = core["fields"], words.get("properties", {})
    required = {name for name, field in fields.items() if field.get("required", core.get("total", True))}
    if words.keys() - {"type", "properties", "required", "additionalProperties"} or words.get("type") != "object":
        return False
    if words.get("additionalProperties", False) is not False or fields.keys() != properties.keys():
        return False
    forbids = "forbid" in (core.get("extra_behavior"), (core.get("config") or {}).get("extra_fields_behavior"))
    if "additionalProperties" in words and not forbids:
        return False
    named = set(words.get("required", ())) == required
    return named and all(says_all(field["schema"], properties[name]) for name, field in fields.items())
