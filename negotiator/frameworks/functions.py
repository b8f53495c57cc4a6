"""A task as a plain typed function, with a signature and a docstring that frameworks read.

Nothing here is of any framework: they all read a function's name, annotations, defaults and docstring.
"""

import functools
import inspect
import keyword
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NotRequired, Required, Union

from pydantic import Field
from typing_extensions import TypedDict

from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.schemas import Schema

MAX_NAME: Final = 64
"""Characters of a function's name, which is what providers of models take."""
_MAX_REFERENCES: Final = 16
_MAX_DEPTH: Final = 6
"""What is nested deeper is any JSON."""
_PLAIN: Final[dict[str, Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "null": None,
}
_IN_THE_TYPE: Final = frozenset(
    {"$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "definitions", "description"}
    | {"enum", "items", "oneOf", "properties", "required", "title", "type"}
)
_ANYTHING: Final = Schema({})

Run = Callable[[JsonObject], Coroutine[Any, Any, JsonValue]]
"""From arguments as plain JSON to the result as plain JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a function is to say of itself."""

    name: str
    description: str
    input: Schema
    output: Schema


def async_function(told: Told, run: Run) -> Callable[..., Awaitable[JsonValue]]:
    """An async function that checks nothing and converts arguments to plain JSON for `run`."""
    shape = _Shape(told)

    async def called(*args: Any, **keywords: Any) -> JsonValue:
        return await run(shape.arguments(args, keywords))

    made: Callable[..., Awaitable[JsonValue]] = shape.dress(called)
    return made


def sync_function(told: Told, run: Run, wait: Callable[[Coroutine[Any, Any, Any]], Any]) -> Callable[..., JsonValue]:
    """The same for programs without an event loop: `wait` runs a coroutine to its end."""
    shape = _Shape(told)

    def called(*args: Any, **keywords: Any) -> JsonValue:
        return wait(run(shape.arguments(args, keywords)))

    made: Callable[..., JsonValue] = shape.dress(called)
    return made


class _Shape:
    """A signature read from a schema, and the way back from a call to the schema's JSON."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._root = told.input.json_schema
        self._name = _identifier(told.name)
        root = _resolved(self._root, self._root)
        self._properties: JsonObject = root.get("properties", {})
        self._required = set(root.get("required", ()))
        # What cannot be parameters is one: an object, as the schema has it.
        self._whole = not self._properties or not all(
            name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")
            for name in self._properties
        )
        self._dropped: set[str] = set()
        self.signature = inspect.Signature(
            self._parameters(), return_annotation=self._type(told.output.json_schema, told.output.json_schema, "Result")
        )

    def arguments(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> JsonObject:
        """The arguments of a call as plain JSON; what is optional and was not given stays absent."""
        given = self.signature.bind(*args, **keywords).arguments
        if self._whole:
            value: JsonObject = _ANYTHING.dump(given.get("input", {}))
            return value
        return {
            name: _ANYTHING.dump(value)
            for name, value in given.items()
            if not (value is None and name in self._dropped)
        }

    def dress(self, function: Callable[..., Any]) -> Any:
        """`function` with this name, signature, docstring, and both schemas as attributes."""
        told: Any = function
        told.__name__ = told.__qualname__ = self._name
        told.__doc__ = self._docstring()
        told.__signature__ = self.signature
        told.__annotations__ = {name: each.annotation for name, each in self.signature.parameters.items()}
        told.__annotations__["return"] = self.signature.return_annotation
        told.input_schema = self._root
        told.output_schema = self._told.output.json_schema
        return told

    def _parameters(self) -> list[inspect.Parameter]:
        if self._whole:
            whole = _annotated(self._type(self._root, self._root, "Input"), Field(description="What goes in."))
            return [inspect.Parameter("input", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=whole)]
        made: list[inspect.Parameter] = []
        for name, schema in self._properties.items():
            annotation: Any = self._type(schema, self._root, name)
            default: Any = inspect.Parameter.empty
            if name not in self._required:
                default = schema.get("default") if isinstance(schema, dict) else None
                if default is None:
                    if not _takes_null(schema, self._root):
                        self._dropped.add(name)
                    annotation = _any_of([annotation, None])
            annotation = _annotated(annotation, _field(schema, self._described(name, schema)))
            made.append(
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation, default=default)
            )
        return sorted(made, key=lambda each: each.default is not each.empty)

    def _described(self, name: str, schema: JsonValue) -> str:
        said = _resolved(schema, self._root).get("description")
        return " ".join(str(said or name.replace("_", " ")).split())

    def _docstring(self) -> str:
        said = " ".join(self._told.description.split()) or self._name.replace("_", " ")
        lines = [said, "", "Args:"]
        if self._whole:
            lines.append("    input: What goes in.")
        else:
            names = self.signature.parameters
            lines.extend(f"    {name}: {self._described(name, self._properties[name])}" for name in names)
        returned = self._told.output.json_schema.get("description") or "The answer, as plain JSON."
        return "\n".join([*lines, "", "Returns:", f"    {' '.join(str(returned).split())}"])

    def _type(self, schema: JsonValue, root: JsonObject, name: str, depth: int = 0) -> Any:
        """The Python type of what a schema takes, its own constraints aside."""
        if not isinstance(schema, dict) or depth > _MAX_DEPTH:
            return Any
        schema = _resolved(schema, root)
        among = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if among is not None and all(isinstance(each, str | int | bool | None) for each in among):
            return Literal[tuple(among)]
        several = schema.get("anyOf") or schema.get("oneOf")
        if isinstance(several, list) and several:
            return _any_of(self._type(each, root, name, depth + 1) for each in several)
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            return _any_of(self._type({**schema, "type": each}, root, name, depth + 1) for each in kind)
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind == "array":
            inside: Any = self._type(schema.get("items"), root, f"{name}_item", depth + 1)
            return list[inside]
        if kind == "object" or "properties" in schema:
            return self._object(schema, root, name, depth)
        return Any

    def _object(self, schema: JsonObject, root: JsonObject, name: str, depth: int) -> Any:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or not properties:
            rest = schema.get("additionalProperties")
            value: Any = self._type(rest, root, name, depth + 1)
            return dict[str, value]
        needed = set(schema.get("required", ()))
        fields: dict[str, Any] = {}
        for each, part in properties.items():
            annotated = _annotated(self._type(part, root, f"{name}_{each}", depth + 1), _field(part, None))
            fields[each] = Required[annotated] if each in needed else NotRequired[annotated]
        title = _identifier(str(schema.get("title") or name).title())
        make: Any = TypedDict
        return make(title, fields)


def _any_of(types: Iterable[Any]) -> Any:
    several = tuple(types)
    return Union[several]  # noqa: UP007 - of values, where `|` stands between names


def _annotated(kind: Any, field: Any) -> Any:
    return Annotated[kind, field]


def _resolved(schema: JsonValue, root: JsonObject) -> JsonObject:
    """What local references lead to. Unlike `describe.resolve` it keeps null where that is among the types."""
    for _ in range(_MAX_REFERENCES):
        if not isinstance(schema, dict) or "$ref" not in schema:
            break
        found: JsonValue = root
        for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        rest = {word: value for word, value in schema.items() if word != "$ref"}
        schema = {**(found if isinstance(found, dict) else {}), **rest}
    return schema if isinstance(schema, dict) else {}


def _field(schema: JsonValue, described: str | None) -> Any:
    """What the type does not say: a description, and the constraints, told and not checked here."""
    if not isinstance(schema, dict):
        return Field(description=described)
    extra = {word: value for word, value in schema.items() if word not in _IN_THE_TYPE}
    return Field(description=described or schema.get("description"), json_schema_extra=extra or None)


def _takes_null(schema: JsonValue, root: JsonObject) -> bool:
    if not isinstance(schema, dict):
        return True
    found = _resolved(schema, root)
    kinds = found.get("type")
    if kinds is None:
        several = found.get("anyOf") or found.get("oneOf")
        return any(_takes_null(each, root) for each in several) if several else not ({"enum", "const"} & set(found))
    return "null" in (kinds if isinstance(kinds, list) else [kinds])


@functools.cache
def _identifier(name: str) -> str:
    made = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:MAX_NAME].rstrip("_")
    made = made if made and not made[0].isdigit() else f"task_{made}"[:MAX_NAME]
    return f"{made}_" if keyword.iskeyword(made) else made
