"""HTTP headers that repeat what a body says, so that what lies between can route without reading it.

Source: revision 2026-07-28, basic/transports, standard and custom request headers.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from negotiator.dialects.mcp.words import PARAM_PREFIX
from negotiator.jsonvalue import JsonObject, JsonValue
from protocol_docs.tidy import map_subschemas

ANNOTATION: Final = "x-mcp-header"
_PLAIN: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_CODED: Final = re.compile(r"=\?base64\?(.*)\?=", re.DOTALL)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(?:\.0{1,20})?")


class Misused(ValueError):
    """A tool's schema annotates a header that none may be; the message is a sentence."""


class ParamHeader(NamedTuple):
    """A parameter that a header repeats."""

    path: tuple[str, ...]
    """Keys from the arguments' root."""
    name: str
    """The header's, in lower case."""
    integer: bool


def write_value(value: str) -> str:
    """A value as a header can carry it: as it is, or in base64 where it is not printable ASCII."""
    if _PLAIN.fullmatch(value) and not _CODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


def read_value(value: str) -> str | None:
    """The value that a header carries; None for base64 that is none."""
    coded = _CODED.fullmatch(value)
    if coded is None:
        return value
    try:
        data = base64.b64decode(coded[1], validate=True)
        return data.decode() if base64.b64encode(data).decode() == coded[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def param_headers(input_schema: JsonObject) -> list[ParamHeader]:
    """The parameters that a tool's input schema wants repeated. Raises `Misused`."""
    found: list[ParamHeader] = []
    for path, schema in _places(input_schema):
        if ANNOTATION not in schema:
            continue
        name, kind = schema[ANNOTATION], schema.get("type")
        if not path:
            raise Misused("a header is annotated where no property alone leads")
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise Misused("an annotated header's name is no token")
        if kind not in ("string", "integer", "boolean"):
            raise Misused("an annotated header's property is no text, integer or boolean")
        header = ParamHeader(path, PARAM_PREFIX + name.lower(), kind == "integer")
        if any(other.name == header.name for other in found):
            raise Misused("two properties are annotated with one header")
        found.append(header)
    return found


def write_params(input_schema: JsonObject, arguments: JsonObject) -> dict[str, str]:
    """The headers that repeat `arguments`. Raises `Misused`."""
    written: dict[str, str] = {}
    for header in param_headers(input_schema):
        text = _text(_at(arguments, header.path))
        if text is not None:
            written[header.name] = write_value(text)
    return written


def disagreement(input_schema: JsonObject, arguments: JsonObject, headers: Mapping[str, str]) -> str | None:
    """A sentence on the first header that does not say what the arguments do; None where all do.

    A schema that misuses the annotation asks for no headers: who keeps to the specification does not call its tool.
    """
    try:
        annotated = param_headers(input_schema)
    except Misused:
        return None
    for header in annotated:
        raw, value = headers.get(header.name), _at(arguments, header.path)
        text, where = _text(value), ".".join(header.path)
        if raw is None and text is None:
            continue
        if raw is None or text is None:
            return f"the header {header.name} and the argument {where} are not both there"
        if not _says(read_value(raw), text, value, integer=header.integer):
            return f"the header {header.name} does not say what the argument {where} does"
    return None


def _says(said: str | None, text: str, value: JsonValue, *, integer: bool) -> bool:
    if said is None:
        return False
    whole = (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, float) and value.is_integer()
    )
    if integer and whole and _DECIMAL.fullmatch(said):
        return bool(int(said.partition(".")[0]) == value)
    return said == text


def _text(value: JsonValue) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _at(value: JsonValue, path: tuple[str, ...]) -> JsonValue:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _places(root: JsonObject) -> Iterator[tuple[tuple[str, ...] | None, dict[str, Any]]]:
    """Every schema within a schema, with the properties that lead to it, None where something else does too."""
    waiting: list[tuple[tuple[str, ...] | None, Any]] = [((), root)]
    while waiting:
        path, schema = waiting.pop()
        if not isinstance(schema, dict):
            continue
        yield path, schema
        properties = schema.get("properties")
        if isinstance(properties, dict):
            waiting.extend((None if path is None else (*path, name), each) for name, each in properties.items())
        beside = {word: value for word, value in schema.items() if word != "properties"}
        map_subschemas(beside, lambda child: waiting.append((None, child)))
