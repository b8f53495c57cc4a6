"""One face for every way of saying what a value looks like.

pydantic models, dataclasses, TypedDicts, ordinary annotations and plain JSON Schemas all become a `Schema`:
a self-contained JSON Schema (2020-12) with one compiled check, and the way from JSON to Python and back.
"""

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, Literal

import jsonschema_rs
import pydantic_core
from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.json_schema import GenerateJsonSchema

from negotiator.annotations import readable
from negotiator.errors import BadInput, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue, is_plain, plain_copy
from negotiator.plain_types import is_said_as_it_is, says_all, says_flat

MAX_SCHEMA_BYTES = 262_144
"""A larger schema is refused."""
MAX_DEPTH = 100
"""Values and schemas nested deeper are refused."""
MAX_VIOLATIONS = 20
MAX_MESSAGE_CHARS = 200

# Words that never change which values fit or what they mean: class names and remarks of tools.
_IGNORED_IN_DIGEST = frozenset({"title", "$comment", "$schema"})
_HOLD_A_SCHEMA = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_HOLD_A_LIST = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_HOLD_NAMED_SCHEMAS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})

_SchemaMode = Literal["validation", "serialization"]


class _Generator(GenerateJsonSchema):
    def field_is_required(self, field: Any, total: bool) -> bool:  # noqa: FBT001
        # What is dumped always holds the fields with defaults; only a TypedDict's key may be missing.
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return not field.get("serialization_exclude")
        return super().field_is_required(field, total)


SENSITIVE: Final = Field(json_schema_extra={"x-sensitive": True})
"""Marks a field whose values no model may see: `card: Annotated[str, SENSITIVE]`; `"x-sensitive": true` in a schema."""


_BINARY_FORMATS: Final = frozenset({"base64", "base64url", "binary", "byte"})


def _has_sensitive(schema: Any) -> bool:
    if isinstance(schema, dict):
        form = schema.get("format")
        # Bytes as text are nothing that a model could read or write: files travel by reference (`negotiator.files`).
        if (isinstance(form, str) and form in _BINARY_FORMATS) or isinstance(schema.get("contentEncoding"), str):
            return True
        return schema.get("x-sensitive") is True or any(map(_has_sensitive, schema.values()))
    return isinstance(schema, list) and any(map(_has_sensitive, schema))


class Schema:
    """What values of one kind look like: a JSON Schema, compiled, with its Python type where it has one.

    Immutable; equal where `digest` is equal. Make one with `Schema.of`.
    """

    __slots__ = (
        "_adapter",
        "_digest",
        "_flat",
        "_json_schema",
        "_maker",
        "_said_as_it_is",
        "_sensitive",
        "_validate",
        "_validator",
        "fits",
    )

    _adapter: TypeAdapter[Any] | None
    _digest: str
    _flat: bool
    _json_schema: JsonObject
    _maker: Callable[..., Any] | None
    _said_as_it_is: bool
    _validate: Callable[..., Any] | None
    _sensitive: bool
    fits: Callable[[JsonValue], bool]
    """Whether plain JSON fits, without a frame of Python between; raises `ValueError` where it cannot be told."""
    _validator: jsonschema_rs.Validator

    def __init__(self, json_schema: JsonObject, adapter: TypeAdapter[Any] | None = None) -> None:
        """Compile `json_schema`; `adapter` converts between JSON and the Python type.

        Raises:
            UsageError: it is no JSON Schema, not self-contained, too large or too deep.
        """
        text = _schema_text(json_schema)
        own = json.loads(text)
        try:
            validator = jsonschema_rs.validator_for(
                own, validate_formats=True, retriever=_no_retrieval, mask="the value"
            )
        except ValueError as error:
            raise UsageError(f"not a usable JSON Schema: {_cut(str(error))}") from error
        canonical = json.dumps(_for_digest(own), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        fill = object.__setattr__
        fill(self, "_json_schema", own)
        fill(self, "_adapter", adapter)
        fill(self, "_flat", says_flat(own))
        fill(self, "_sensitive", _has_sensitive(own))
        as_it_is = adapter is not None and is_said_as_it_is(adapter.core_schema)
        fill(self, "_said_as_it_is", as_it_is)
        validate = None if adapter is None else adapter.validator.validate_python
        fill(self, "_validate", validate)
        whole = adapter is not None and as_it_is and says_all(adapter.core_schema, own)
        fill(self, "_maker", validate if whole else None)
        fill(self, "_validator", validator)
        fill(self, "fits", validator.is_valid)
        fill(self, "_digest", hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest())

    @property
    def sensitive(self) -> bool:
        """Whether any field is marked so that no model may see its values, or holds bytes as text."""
        return self._sensitive

    @property
    def flat(self) -> bool:
        """Whether an object that fits is sure to hold texts, numbers and booleans alone; see `plain_types.says_flat`."""
        return self._flat

    @property
    def maker(self) -> Callable[..., Any] | None:
        """Pydantic's check, where what it makes of a value, or takes strictly, fits the JSON Schema if it is plain; see
        `plain_types.says_all`. None where that is in doubt. It raises `pydantic.ValidationError`.
        """
        return self._maker

    @property
    def has_type(self) -> bool:
        """Whether values have a Python type of their own, with whatever checks that has."""
        return self._adapter is not None

    @classmethod
    def of(cls, source: Any, *, mode: _SchemaMode = "validation") -> "Schema":
        """The schema of `source`.

        Args:
            source: a pydantic model, dataclass, TypedDict or other annotation (`str`, `list[int]`, `date`), a plain
                JSON Schema, a `Schema` (returned as it is), or None, which accepts any object.
            mode: for types only: what may come in (`validation`), or what `dump` writes (`serialization`, where
                fields with defaults are always present).

        Raises:
            UsageError: no JSON Schema can be made of it.
        """
        if isinstance(source, Schema):
            return source
        if source is None:
            return cls({"type": "object"})
        if isinstance(source, dict):
            return cls(source)
        if inspect.isroutine(source):
            raise UsageError("a function is no schema; `negotiator.function_schemas.of_function` reads its schemas")
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(readable(source))
            json_schema = adapter.json_schema(mode=mode, schema_generator=_Generator)
        except (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, TypeError) as error:
            raise UsageError(f"no JSON Schema can be made of {source!r:.100}: {_cut(str(error))}") from error
        return cls(json_schema, adapter)

    @property
    def json_schema(self) -> JsonObject:
        """Self-contained JSON Schema 2020-12. Shared: not to be changed."""
        return self._json_schema

    @property
    def digest(self) -> str:
        """SHA-256, hex, of the canonical JSON of the schema; the same in every process.

        Canonical: keys sorted, no spaces, `required` sorted, and without `title`, `$comment` and `$schema`.
        Descriptions count, because they carry units and meaning.
        """
        return self._digest

    def check(self, value: JsonValue) -> None:
        """Check plain JSON against the schema, formats included.

        Raises:
            BadInput: with up to `MAX_VIOLATIONS` pairs (JSON Pointer, what is wrong), none of which quotes the value.
        """
        fits = self.fits
        try:
            if fits(value):
                return
        except ValueError:
            pass  # what is wrong with it is said below
        raise BadInput(violations=self._violations(value))

    def is_valid(self, value: JsonValue) -> bool:
        """Whether plain JSON fits the schema, formats included."""
        try:
            return self.fits(value)
        except ValueError:
            return False

    def load(self, value: JsonValue) -> Any:
        """Plain JSON to the Python type; of a plain JSON Schema, the value itself.

        Raises:
            BadInput: the value does not fit the schema, or the type's own validators refuse it.
        """
        maker = self._maker
        if maker is not None:
            try:
                return maker(value, strict=True)
            except ValidationError:
                pass  # 5.0 is a whole number to a JSON Schema, and what is wrong is said in its words
        self.check(value)
        return self.typed(value)

    def dump(self, value: Any) -> JsonValue:
        """A Python value (or plain JSON for one) to plain JSON: finite numbers, text keys.

        Raises:
            BadInput: the value is not of the type, or cannot be said in JSON.
        """
        if self._adapter is None and (copied := plain_copy(value, MAX_DEPTH)) is not None:
            return copied
        try:
            if self._adapter is None:
                plain = pydantic_core.to_jsonable_python(value)
            else:
                own = self.typed(value)
                if self._said_as_it_is and is_plain(own, MAX_DEPTH):
                    return own
                plain = self._adapter.serializer.to_python(own, mode="json", warnings="error")
        except (pydantic_core.PydanticSerializationError, ValueError) as error:
            raise BadInput(f"not plain JSON: {_cut(str(error))}") from error
        if not is_plain(plain, MAX_DEPTH):
            _require_plain(plain, 0)
        return plain

    def dump_checked(self, value: Any) -> JsonValue:
        """`dump`, and `check` what it made."""
        maker = self._maker
        if maker is not None:
            try:
                own = maker(value)
            except ValidationError:
                pass  # what is wrong is said below
            else:
                if is_plain(own, MAX_DEPTH):
                    return own
        plain = self.dump(value)
        self.check(plain)
        return plain

    def proven(self, value: Any) -> JsonValue:
        """What `dump` makes of a value, where it is an object that `journal.canonical` takes beyond doubt; else None.

        Of a type of Python's: None.
        """
        copied = plain_copy(value, MAX_DEPTH) if self._adapter is None else None
        return copied if copied.__class__ is dict else None

    def typed(self, value: Any) -> Any:
        """A value in the Python type; of a plain JSON Schema, the value itself. Plain JSON is taken to fit.

        Raises:
            BadInput: the type's own validators refuse it.
        """
        if self._validate is None:
            return value
        try:
            return self._validate(value)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=False, include_input=False)
            violations = [(_pointer(item["loc"]), _cut(item["msg"])) for item in details[:MAX_VIOLATIONS]]
            raise BadInput(violations=tuple(violations)) from error

    def _violations(self, value: JsonValue) -> tuple[tuple[str, str], ...]:
        try:
            found = list(islice(self._validator.iter_errors(value), MAX_VIOLATIONS))
        except ValueError as error:
            return (("", _cut(str(error))),)
        return tuple((_pointer(item.instance_path), _cut(item.message)) for item in found)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        return f"Schema({self._digest[:12]})"


def _schema_text(json_schema: JsonObject) -> str:
    _require_plain(json_schema, 0, UsageError)
    text = json.dumps(json_schema)
    if len(text) > MAX_SCHEMA_BYTES:
        raise UsageError(f"the schema is over {MAX_SCHEMA_BYTES} bytes")
    return text


def _no_retrieval(uri: str) -> JsonObject:
    raise ValueError(f"the schema refers to {uri}; it must hold all it needs")


def _for_digest(schema: JsonValue) -> JsonValue:
    if not isinstance(schema, dict):
        return schema
    kept: JsonObject = {}
    for word, value in schema.items():
        if word in _IGNORED_IN_DIGEST:
            continue
        if word in _HOLD_A_SCHEMA:
            kept[word] = _for_digest(value)
        elif word in _HOLD_A_LIST and isinstance(value, list):
            kept[word] = [_for_digest(item) for item in value]
        elif word in _HOLD_NAMED_SCHEMAS and isinstance(value, dict):
            kept[word] = {name: _for_digest(item) for name, item in value.items()}
        elif word == "required" and isinstance(value, list):
            kept[word] = sorted(value)
        else:
            kept[word] = value
    return kept


def _require_plain(value: JsonValue, depth: int, error: type[BadInput] | type[UsageError] = BadInput) -> None:
    if depth > MAX_DEPTH:
        raise error(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise error("keys of JSON objects are text")
            _require_plain(item, depth + 1, error)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, depth + 1, error)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise error("numbers in JSON are finite")
    elif not isinstance(value, str | int | bool | None):
        raise error(f"{type(value).__name__} is not plain JSON")


def _pointer(path: Iterable[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)[:MAX_MESSAGE_CHARS]


def _cut(text: str) -> str:
    return text.split("\n", 1)[0][:MAX_MESSAGE_CHARS]
