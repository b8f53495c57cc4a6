"""A JSON Schema as a flat list of fields: what a mapping reads from and writes to."""

import json
from dataclasses import dataclass
from typing import Any, Final

from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping.meanings import Context, iris_of

MAX_FIELDS: Final = 256
"""Of a schema, arrays' items apart; a schema with more is not mapped."""
MAX_DEPTH: Final = 12
"""Of objects in objects; deeper and recursive ones are taken whole."""
MAX_UNIT_CHARS: Final = 80
MAX_LANGUAGES: Final = 8
_UNION: Final = ("anyOf", "oneOf")
_UNIT_WORDS: Final = ("unit", "unitText", "unitCode", "x-unit")


@dataclass(frozen=True, slots=True)
class Field:
    """One place in a schema that holds a value of its own: a scalar, an array, or an object taken whole."""

    path: tuple[str, ...]
    """Object keys from the root; empty for the root itself."""
    types: frozenset[str]
    """JSON types without null; empty where anything may come."""
    nullable: bool
    required: bool
    """Whether every object that holds it, and so it itself, is always there."""
    description: str
    enum: tuple[JsonValue, ...] | None
    """The values that it may have, null apart; None where it is free."""
    format: str | None
    schema: JsonObject
    """Its own schema, with references followed one step."""
    document: JsonObject
    """The whole schema, which references point into."""
    within: tuple[str, ...] | None = None
    """The optional or nullable object that cannot be there without it; None where there is none such."""
    iris: frozenset[str] = frozenset()
    """What JSON-LD says that it is; see `negotiator.mapping.meanings`."""

    @property
    def unit(self) -> str:
        """The unit that its schema names outright, as a W3C Thing Description does; empty where it names none."""
        found = next((self.schema[word] for word in _UNIT_WORDS if isinstance(self.schema.get(word), str)), "")
        return str(found)[:MAX_UNIT_CHARS]

    @property
    def name(self) -> str:
        """The last key; empty for the root."""
        return self.path[-1] if self.path else ""

    @property
    def items(self) -> JsonObject | None:
        """The schema of an array's items, None where it is no array of one kind of item."""
        found = self.schema.get("items")
        return (
            found if self.types == {"array"} and isinstance(found, dict) and "prefixItems" not in self.schema else None
        )

    @property
    def is_whole_object(self) -> bool:
        """Whether it is an object (or mixture) whose inside is not looked into."""
        return not self.types or "object" in self.types or (len(self.types) > 1 and "array" in self.types)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of a schema, and the objects that hold them."""

    fields: tuple[Field, ...]
    required_objects: tuple[tuple[str, ...], ...]
    """Those that must be there even when empty, outer ones first."""
    optional_objects: tuple[tuple[str, ...], ...] = ()
    nullable_objects: tuple[tuple[tuple[str, ...], bool], ...] = ()
    """Those that may be null, and whether they must be there, as an object or as null."""
    is_whole: bool = True
    """Whether `fields` is all of them; False past `MAX_FIELDS`."""


def shape_of(schema: JsonObject, document: JsonObject | None = None) -> Shape:
    """Flatten a schema: objects are walked into, arrays and scalars are fields.

    Args:
        schema: an object, array or scalar schema.
        document: where its references point; itself where None.
    """
    whole = schema if document is None else document
    walk = _Walk(whole)
    walk.walk(schema, (), Context().within(whole), required=True, within=None)
    return Shape(
        tuple(walk.fields[:MAX_FIELDS]),
        tuple(path for path, always in walk.objects.items() if always and path not in walk.nullable),
        tuple(path for path, always in walk.objects.items() if not always and path not in walk.nullable),
        tuple(walk.nullable.items()),
        len(walk.fields) <= MAX_FIELDS,
    )


class _Walk:
    """One way through a schema."""

    def __init__(self, document: JsonObject) -> None:
        self._document = document
        self.fields: list[Field] = []
        self.objects: dict[tuple[str, ...], bool] = {}
        self.nullable: dict[tuple[str, ...], bool] = {}

    def walk(
        self,
        schema: Any,
        path: tuple[str, ...],
        context: Context,
        *,
        required: bool,
        within: tuple[str, ...] | None,
    ) -> None:
        """Take in a schema and all that is under it."""
        if len(self.fields) > MAX_FIELDS:
            return
        plain, nullable = _resolved(schema, self._document, 0)
        properties = plain.get("properties")
        types = _types(plain)
        walkable = types == {"object"} or (not types and isinstance(properties, dict))
        # A root that may be null is one value: there is no object around it that it could be absent from.
        inside = walkable and (path != () or not nullable)
        if inside and isinstance(properties, dict) and properties and len(path) < MAX_DEPTH:
            self._object(plain, path, context.within(plain), nullable=nullable, required=required, within=within)
        elif walkable and path == () and properties == {}:
            self.objects[path] = required
        else:
            field = _field(plain, path, self._document, context, nullable=nullable, required=required, within=within)
            self.fields.append(field)

    def _object(
        self,
        plain: JsonObject,
        path: tuple[str, ...],
        context: Context,
        *,
        nullable: bool,
        required: bool,
        within: tuple[str, ...] | None,
    ) -> None:
        self.objects[path] = required
        if nullable:
            self.nullable[path] = required
        needed = plain.get("required", [])
        needed = needed if isinstance(needed, list) else []
        always = required and not nullable
        inside = path if nullable or (within is None and not required) else within
        for name, inner in plain["properties"].items():
            here = name in needed
            self.walk(inner, (*path, name), context, required=always and here, within=inside if here else None)


def _field(
    plain: JsonObject,
    path: tuple[str, ...],
    document: JsonObject,
    context: Context,
    *,
    nullable: bool,
    required: bool,
    within: tuple[str, ...] | None,
) -> Field:
    values = [plain["const"]] if "const" in plain else plain.get("enum")
    enum = tuple(value for value in values if value is not None) if isinstance(values, list) else None
    form = plain.get("format")
    return Field(
        path=path,
        types=_types(plain) or _types_of_values(enum),
        nullable=nullable or (isinstance(values, list) and None in values),
        required=required,
        description=_description(path[-1] if path else "", plain),
        enum=enum or None,
        format=form if isinstance(form, str) else None,
        schema=plain,
        document=document,
        within=within,
        iris=iris_of(path[-1] if path else "", plain, context),
    )


def _description(name: str, plain: JsonObject) -> str:
    """What it says of itself: the description, its title, and both in other languages (WoT TD 1.1, 5.3.1.3)."""
    parts = [plain.get("description")]
    title = plain.get("title")
    if isinstance(title, str) and _letters(title) != _letters(name):
        # Generators of schemas write the name once more as the title.
        parts.append(title)
    for word in ("descriptions", "titles"):
        languages = plain.get(word)
        if isinstance(languages, dict):
            parts += list(languages.values())[:MAX_LANGUAGES]
    texts = dict.fromkeys(part.strip() for part in parts if isinstance(part, str) and part.strip())
    return " / ".join(texts)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _resolved(schema: Any, document: JsonObject, depth: int) -> tuple[JsonObject, bool]:
    """The schema with its reference, single `allOf` and `| null` taken away; and whether null may come."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return {}, False
    plain, nullable = schema, False
    reference = plain.get("$ref")
    if isinstance(reference, str):
        target, nullable = _resolved(_pointed_at(reference, document), document, depth + 1)
        plain = {**target, **{key: value for key, value in plain.items() if key != "$ref"}}
    parts = plain.get("allOf")
    if isinstance(parts, list) and len(parts) == 1:
        target, inner = _resolved(parts[0], document, depth + 1)
        plain = {**target, **{key: value for key, value in plain.items() if key != "allOf"}}
        nullable = nullable or inner
    for word in _UNION:
        choices = plain.get(word)
        if not isinstance(choices, list):
            continue
        resolved = [_resolved(choice, document, depth + 1) for choice in choices]
        there = [choice for choice, _ in resolved if choice.get("type") != "null"]
        nullable = nullable or len(there) < len(choices) or any(inner for _, inner in resolved)
        rest = {key: value for key, value in plain.items() if key != word}
        if len(there) == 1:
            plain = {**there[0], **rest}
        elif there and all(_types(choice) and not _types(choice) & {"object", "array"} for choice in there):
            plain = {**rest, "type": sorted(set().union(*(_types(choice) for choice in there)))}
        else:
            plain = {**rest, "type": ["array", "object"]}
    kinds = plain.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        plain = {**plain, "type": [kind for kind in kinds if kind != "null"]}
        nullable = True
    return plain, nullable or kinds == "null"


def _pointed_at(reference: str, document: JsonObject) -> Any:
    place: Any = document
    if not reference.startswith("#"):
        return {}
    for step in reference[1:].split("/")[1:]:
        if not isinstance(place, dict):
            return {}
        place = place.get(step.replace("~1", "/").replace("~0", "~"))
    return place


def _types(schema: JsonObject) -> frozenset[str]:
    kinds = schema.get("type")
    if isinstance(kinds, str):
        return frozenset((kinds,))
    return frozenset(kind for kind in kinds if isinstance(kind, str)) if isinstance(kinds, list) else frozenset()


def _types_of_values(values: tuple[JsonValue, ...] | None) -> frozenset[str]:
    if not values:
        return frozenset()
    return frozenset(_type_of(value) for value in values)


def _type_of(value: JsonValue) -> str:
    match value:
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$comment", "deprecated"})


def same_values(one: Field, other: Field) -> bool:
    """Whether two fields accept exactly the same values as far as their schemas' texts say so."""
    if one.nullable != other.nullable:
        return False
    if _as_written(one) == _as_written(other):
        return True
    here, there = (_bare(field.schema, field.document, 0) for field in (one, other))
    texts = [json.dumps(bare, sort_keys=True) for bare in (here, there)]
    return texts[0] == texts[1] and _TOO_DEEP not in texts[0]


def _as_written(field: Field) -> str:
    """Its schema without annotations, with the definitions that references may point to."""
    definitions = [field.document.get(word) for word in ("$defs", "definitions")]
    bare = [_bare(part, None, 0) for part in (field.schema, definitions)]
    text = json.dumps(bare, sort_keys=True)
    return text if '"$ref"' in text else json.dumps(bare[0], sort_keys=True)


_MAX_WRITTEN_DEPTH: Final = 100
_TOO_DEEP: Final = "\u0000too deep"


def _bare(schema: Any, document: JsonObject | None, depth: int) -> Any:
    """The schema without annotations; with a document, references are written out."""
    if depth > (MAX_DEPTH if document is not None else _MAX_WRITTEN_DEPTH):
        return _TOO_DEEP
    if isinstance(schema, list):
        return [_bare(item, document, depth + 1) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("$ref"), str) and document is not None:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        target = _pointed_at(schema["$ref"], document)
        return _bare({**target, **rest} if isinstance(target, dict) else rest, document, depth + 1)
    bare: JsonObject = {}
    for word, value in schema.items():
        if word in _ANNOTATIONS or word in ("$defs", "definitions", "$schema"):
            continue
        if word in ("properties", "patternProperties") and isinstance(value, dict):
            bare[word] = {name: _bare(inner, document, depth + 1) for name, inner in value.items()}
        elif word in ("required", "enum", "type") and isinstance(value, list):
            bare[word] = sorted(value, key=json.dumps)
        else:
            bare[word] = _bare(value, document, depth + 1) if word not in ("const", "enum") else value
    return bare
