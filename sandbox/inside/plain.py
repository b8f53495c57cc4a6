"""Plain JSON: exact types, finite numbers, text keys, bounded depth and size."""

import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Iterable
from typing import Any

import orjson

MAX_DEPTH = 60
"""Containers inside containers."""
_LEAST, _MOST = -(2**63), 2**64 - 1  # what every JSON library of the house can write

_MAPPINGS = frozenset({dict, defaultdict, OrderedDict, Counter})
_SEQUENCES = frozenset({list, tuple})


class NotPlainValue(ValueError):
    """The value is not plain JSON; the message says what is wrong, in words for the value's author."""


class TooMuch(Exception):
    """The value is larger than it may be."""


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":"))
# orjson is ten times as fast and ends the process where memory runs out; it is asked only for what is small, after
# some memory was had.
_SMALL = 1 << 14
_ROOM = 1 << 17


def encode(value: Any, limit: int) -> bytes:
    """The value as compact UTF-8 JSON.

    Tuples become arrays and the dict kinds of `collections` become objects.

    Args:
        value: What to encode.
        limit: The most bytes the text may have.

    Raises:
        NotPlainValue: Another type, a number that is not finite or too large, a key that is not text, half a
            surrogate pair, or more than `MAX_DEPTH` levels (a cycle has more).
        TooMuch: The text would be longer than `limit`.
    """
    if check(value, limit) <= _SMALL:
        bytes(_ROOM)
        try:
            text = orjson.dumps(value)
        except orjson.JSONEncodeError:
            raise NotPlainValue(_SURROGATE) from None
    else:
        try:
            text = _ENCODER.encode(value).encode()
        except UnicodeEncodeError:
            raise NotPlainValue(_SURROGATE) from None
    if len(text) > limit:
        raise TooMuch
    return text


def decode(text: bytes) -> Any:
    """The value of a text that the host wrote."""
    if len(text) <= _SMALL:
        bytes(_ROOM)
        return orjson.loads(text)
    return json.loads(text.decode())


def finite(values: Iterable[Any]) -> bool:
    """Whether all numbers in these are finite; orjson writes null for those that are not."""
    for value in values:
        kind = type(value)
        if kind is float:
            if value - value != 0.0:
                return False
        elif kind is dict:
            if not finite(value.values()):
                return False
        elif (kind is list or kind is tuple) and not finite(value):
            return False
    return True


def check(value: Any, size: int) -> int:
    """How many items and characters it holds.

    Raises:
        NotPlainValue: It is not plain JSON.
        TooMuch: It holds more than `size`.
    """
    return size - _walk((value,), MAX_DEPTH, size)


def _walk(values: Collection[Any], depth: int, left: int) -> int:  # noqa: C901, PLR0912 - one branch a type
    # A walk by budget and not by identity: one list held a thousand times costs a thousand times.
    left -= len(values)
    for value in values:
        kind = type(value)
        if kind is str:
            left -= len(value)
        elif kind is int:
            if not _LEAST <= value <= _MOST:
                raise NotPlainValue("an integer is outside the range of 64 bits")
        elif kind in _MAPPINGS:
            if depth == 0:
                raise NotPlainValue(_TOO_DEEP)
            for key in value:
                if type(key) is not str:
                    raise NotPlainValue(f"a key is {_kind_name(key)}, not text")
                left -= len(key)
            left = _walk(value.values(), depth - 1, left)
        elif kind is float:
            if value - value != 0.0:
                raise NotPlainValue("a number is not finite (NaN or infinity)")
        elif kind is bool or value is None:
            pass
        elif kind in _SEQUENCES:
            if depth == 0:
                raise NotPlainValue(_TOO_DEEP)
            left = _walk(value, depth - 1, left)
        else:
            raise NotPlainValue(f"{_kind_name(value)} is not JSON; dict, list, str, int, float, bool and None are")
    if left < 0:
        raise TooMuch
    return left


_SURROGATE = "text with half a surrogate pair is not JSON"
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels, or in a cycle"


def _kind_name(value: Any) -> str:
    return f"a value of type {type(value).__name__[:40]}"
