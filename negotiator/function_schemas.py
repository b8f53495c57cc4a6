"""The schemas of a function: what it takes and gives, read from its signature and docstring."""

import contextlib
import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, Required

from pydantic import ConfigDict, Field

from negotiator.annotations import readable, typed_dict
from negotiator.errors import BadInput, UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.schemas import Schema


@dataclass(frozen=True, slots=True)
class FunctionSchemas:
    """What a function takes and gives, read from its signature and docstring."""

    name: str
    description: str
    """The docstring's first paragraph, in one line; empty where there is none."""
    input: Schema
    """An object, one property per parameter; nothing else is accepted."""
    output: Schema
    """Of the return annotation; accepts anything where there is none."""

    def bind(self, arguments: JsonObject) -> dict[str, Any]:
        """Keyword arguments for the function, in its own types. Raises `BadInput`.

        What is absent stays absent, so that the function's own defaults hold.
        """
        loaded: dict[str, Any] = self.input.load(arguments)
        return loaded


def of_function(function: Callable[..., Any]) -> FunctionSchemas:
    """Read the schemas of a sync or async function.

    Parameter descriptions come from a Google-style `Args:` section or `:param name:` lines.

    Raises:
        UsageError: it takes positional-only or variadic parameters, or a type that JSON cannot say.
    """
    name = getattr(function, "__name__", type(function).__name__)
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise UsageError(f"the annotations of {name} cannot be read: {error}") from error
    text = inspect.getdoc(function) or ""
    described = _parameter_descriptions(text)
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UsageError(f"{name}: parameter {parameter.name} cannot be given by name")
        fields[parameter.name] = _parameter_field(parameter, hints, described.get(parameter.name))
    typed = typed_dict(f"{name}_arguments", fields)
    typed.__pydantic_config__ = ConfigDict(extra="forbid")
    return FunctionSchemas(
        name=name,
        description=" ".join(text.split("\n\n", 1)[0].split()),
        input=Schema.of(typed),
        output=Schema.of(hints["return"], mode="serialization") if hints.get("return") is not None else Schema({}),
    )


def _parameter_field(parameter: inspect.Parameter, hints: dict[str, Any], description: str | None) -> Any:
    annotation = readable(hints.get(parameter.name, Any))
    extra: JsonObject = {} if description is None else {"description": description}
    if parameter.default is parameter.empty:
        return Required[Annotated[annotation, Field(json_schema_extra=extra)]]
    # A default that JSON cannot say is the function's own affair.
    with contextlib.suppress(BadInput):
        extra["default"] = Schema({}).dump(parameter.default)
    return NotRequired[Annotated[annotation, Field(json_schema_extra=extra)]]


_GOOGLE_ARGS = re.compile(r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_GOOGLE_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_SPHINX_PARAM = re.compile(r"^:param(?:\s+[^:]+?)?\s+(\w+):\s*(.+(?:\n[ \t]+.+)*)", re.MULTILINE)


def _parameter_descriptions(docstring: str) -> dict[str, str]:
    found = {match[1]: " ".join(match[2].split()) for match in _SPHINX_PARAM.finditer(docstring)}
    section = _GOOGLE_ARGS.search(docstring)
    if section is None:
        return found
    lines = inspect.cleandoc("\n" + section[1]).splitlines()
    name = None
    for line in lines:
        entry = _GOOGLE_ENTRY.match(line)
        if entry is not None:
            name = entry[1]
            found[name] = entry[2].strip()
        elif name is not None and line.startswith((" ", "\t")):
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
