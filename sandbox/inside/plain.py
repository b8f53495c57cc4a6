"""Plain JSON: exact types, finite numbers, text keys, bounded depth and size."""

import json
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any

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
    check(value, limit)
    return write(value, limit)


def write(value: Any, limit: int) -> bytes:
    """As `encode`, for a value that is known to hold no cycle and no deep nesting."""
    try:
        text = _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise NotPlainValue("text with half a surrogate pair is not JSON") from None
    if len(text) > limit:
        raise TooMuch
    return text


def check(value: Any, size: int) -> None:
    """Raises `NotPlainValue` or, where it holds more than `size` items and characters, `TooMuch`."""
    _walk((value,), MAX_DEPTH, [size])


def _walk(values: Iterable[Any], depth: int, left: list[int]) -> None:  # noqa: C901, PLR0912 - one branch a type
    # A walk by budget and not by identity: one list held a thousand times costs a thousand times.
    cost = 0
    for value in values:
        kind = type(value)
        cost += 1
        if kind is str:
            cost += len(value)
        elif kind is bool or value is None:
            pass
        elif kind is int:
            if not _LEAST <= value <= _MOST:
                raise NotPlainValue("an integer is outside the range of 64 bits")
        elif kind is float:
            if value - value != 0.0:
                raise NotPlainValue("a number is not finite (NaN or infinity)")
        elif depth == 0 and (kind in _MAPPINGS or kind in _SEQUENCES):
            raise NotPlainValue(f"nested deeper than {MAX_DEPTH} levels, or in a cycle")
        elif kind in _MAPPINGS:
            for key in value:
                if type(key) is not str:
                    raise NotPlainValue(f"a key is {_kind_name(key)}, not text")
                cost += len(key)
            _walk(value.values(), depth - 1, left)
        elif kind in _SEQUENCES:
            _walk(value, depth - 1, left)
        else:
            raise NotPlainValue(f"{_kind_name(value)} is not JSON; return dict, list, str, int, float, bool or None")
    left[0] -= cost
    if left[0] < 0:
        raise TooMuch


def _kind_name(value: Any) -> str:
    return f"a value of type {type(value).__name__[:40]}"
