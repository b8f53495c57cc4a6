"""Plain JSON: exact types, finite numbers, text keys, bounded depth and size."""

import json
from collections import Counter, OrderedDict, defaultdict
from typing import Any, NoReturn

MAX_DEPTH = 60
"""Containers inside containers."""
INT_RANGE = range(-(2**63), 2**64)
"""Integers that every JSON library of the house can write."""

_MAPPINGS = frozenset({dict, defaultdict, OrderedDict, Counter})
_SEQUENCES = frozenset({list, tuple})


class NotPlainValue(ValueError):
    """The value is not plain JSON; the message says what is wrong, in words for the value's author."""


class TooMuch(Exception):
    """The value is larger than it may be."""


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
    _walk(value, MAX_DEPTH, [limit])
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise NotPlainValue("text with half a surrogate pair is not JSON") from None
    if len(text) > limit:
        raise TooMuch
    return text


def decode(text: bytes) -> Any:
    """The value of a JSON text, checked like `encode` checks.

    Raises:
        NotPlainValue: The bytes are not JSON, or not plain.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise NotPlainValue("not JSON") from None
    check(value, len(text))
    return value


def check(value: Any, size: int) -> None:
    """Raises `NotPlainValue` or, where it holds more than `size` items and characters, `TooMuch`."""
    _walk(value, MAX_DEPTH, [size + 1])


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(word)


def _walk(value: Any, depth: int, left: list[int]) -> None:  # noqa: C901, PLR0912 - one branch a type
    # A walk by budget and not by identity: one list held a thousand times costs a thousand times.
    kind = type(value)
    if kind is str:
        left[0] -= len(value)
    elif kind is bool or value is None:
        pass
    elif kind is int:
        if value not in INT_RANGE:
            raise NotPlainValue("an integer is outside the range of 64 bits")
    elif kind is float:
        if value - value != 0.0:
            raise NotPlainValue("a number is not finite (NaN or infinity)")
    elif kind in _MAPPINGS:
        if depth == 0:
            raise NotPlainValue(f"nested deeper than {MAX_DEPTH} levels, or in a cycle")
        left[0] -= len(value) * 2
        for key, item in value.items():
            if type(key) is not str:
                raise NotPlainValue(f"a key is {_kind_name(key)}, not text")
            left[0] -= len(key)
            _walk(item, depth - 1, left)
    elif kind in _SEQUENCES:
        if depth == 0:
            raise NotPlainValue(f"nested deeper than {MAX_DEPTH} levels, or in a cycle")
        left[0] -= len(value)
        for item in value:
            _walk(item, depth - 1, left)
    else:
        raise NotPlainValue(f"{_kind_name(value)} is not JSON; return dict, list, str, int, float, bool or None")
    if left[0] < 0:
        raise TooMuch


def _kind_name(value: Any) -> str:
    return f"a value of type {type(value).__name__[:40]}"
