"""JSON bodies: read within limits, written one way."""

import math
from typing import Any, Final

import orjson

from negotiator.jsonvalue import JsonObject, JsonValue, is_flat, nests_within

MAX_DEPTH: Final = 64
"""Levels of lists and objects that are read, the outermost included."""


def read_object(data: bytes, *, max_depth: int = MAX_DEPTH) -> JsonObject:
    """Read one JSON object from UTF-8 bytes.

    Raises:
        ValueError: where the bytes are not JSON (NaN, infinities and lone surrogates are not), hold something
            other than an object, or nest deeper than `max_depth`. The message is a sentence that quotes nothing.
    """
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(value, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004 - the bytes are at fault, not a caller
    if not nests_within(data, max_depth) and _deeper_than(value, max_depth):
        raise ValueError(f"the body nests deeper than {max_depth} levels")
    return value


def write(value: JsonValue) -> bytes:
    """Write a JSON value compactly, keys in the order given.

    Raises:
        ValueError: for what is not plain JSON: numbers that are not finite or pass 64 bits, keys that are no text,
            lone surrogates, objects of other types. The message is a sentence that quotes nothing.
    """
    try:
        data = orjson.dumps(value)
    except TypeError:
        raise ValueError("the value is not plain JSON") from None
    # orjson writes NaN as null; only a text that holds a null can hide one.
    if not is_flat(value) and b"null" in data and _has_infinite(value):
        raise ValueError("a number is not finite")
    return data


def as_text(body: JsonValue) -> str:
    """A body for a dialect whose bodies are text: text as it is, nothing as "", anything else as JSON text.

    Raises `ValueError` as `write` does.
    """
    if body is None:
        return ""
    return body if isinstance(body, str) else write(body).decode()


def _deeper_than(value: JsonValue, levels: int) -> bool:
    row: list[Any] = [value]
    for _ in range(levels + 1):
        row = [item for item in row if isinstance(item, dict | list)]
        if not row:
            return False
        row = [child for item in row for child in (item.values() if isinstance(item, dict) else item)]
    return True


def _has_infinite(value: JsonValue) -> bool:
    row: list[Any] = [value]
    while row:
        if any(isinstance(item, float) and not math.isfinite(item) for item in row):
            return True
        nested = (item for item in row if isinstance(item, dict | list))
        row = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    return False
