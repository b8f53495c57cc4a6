"""Text formatting with bounded widths and no attribute walk."""

import datetime as dt
import re
from _string import formatter_field_name_split, formatter_parser  # type: ignore[import-not-found]
from collections.abc import Mapping, Sequence
from typing import Any

MAX_SPEC = 200
_LONG_NUMBER = re.compile(r"\d{4}")
_LONG_WIDTH = re.compile(r"%[^%a-zA-Z]*\d{3}")
_DATES = frozenset({dt.datetime, dt.date, dt.time})


def format_value(value: Any, spec: Any = "") -> str:
    """`format(value, spec)` with a specification of at most 200 characters and widths below 1000."""
    if type(spec) is not str:
        raise TypeError("a format specification is text")
    long_number = _LONG_WIDTH if type(value) in _DATES else _LONG_NUMBER
    if len(spec) > MAX_SPEC or long_number.search(spec):
        raise ValueError("this format specification is not available: it is too long or asks for 1000 or more places")
    return format(value, spec)


def format_field(value: Any, conversion: int, spec: str) -> str:
    """What `f"{value!c:spec}"` compiles to."""
    return format_value(_convert(value, chr(conversion) if conversion >= 0 else None), spec)


def format_text(template: str, /, *args: Any, **kwargs: Any) -> str:
    """`template.format(*args, **kwargs)` where fields may index and never read attributes."""
    return _fill(template, args, kwargs, [0], 2)


def format_mapping(template: str, /, mapping: Any) -> str:
    """`template.format_map(mapping)` likewise."""
    return _fill(template, (), mapping, [0], 2)


def _fill(template: str, args: Sequence[Any], kwargs: Mapping[str, Any], counter: list[int], depth: int) -> str:
    if depth == 0:
        raise ValueError("format fields are nested too deep")
    parts = []
    for literal, field, spec, conversion in formatter_parser(template):
        parts.append(literal)
        if field is not None:
            value = _look_up(field, args, kwargs, counter)
            inner = _fill(spec, args, kwargs, counter, depth - 1) if spec else ""
            parts.append(format_value(_convert(value, conversion), inner))
    return "".join(parts)


def _look_up(field: str, args: Sequence[Any], kwargs: Mapping[str, Any], counter: list[int]) -> Any:
    first, rest = formatter_field_name_split(field)
    if first == "":
        first = counter[0]
        counter[0] += 1
    value = args[first] if isinstance(first, int) else kwargs[first]
    for is_attribute, key in rest:
        if is_attribute:
            raise ValueError("format fields read no attributes here; use an f-string")
        value = value[key]
    return value


def _convert(value: Any, conversion: str | None) -> Any:
    match conversion:
        case None:
            return value
        case "r":
            return repr(value)
        case "s":
            return str(value)
        case "a":
            return ascii(value)
    raise ValueError("unknown conversion")
