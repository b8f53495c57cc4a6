"""JSON as two strangers must agree on it: one meaning a text, one text a meaning."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting that are read."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str) -> Any:
    """Read JSON text strictly.

    Raises:
        ValueError: where the text is not JSON, names a key twice, holds a number that is not finite, or nests
            deeper than `MAX_DEPTH`, or holds half a surrogate pair. The message is one sentence.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("it nests too deeply") from None
    if depth_of(value) > MAX_DEPTH:
        raise ValueError(f"it nests deeper than {MAX_DEPTH} levels")
    if _SURROGATE.search(text):
        try:
            canonical(value).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half a surrogate pair, which is no character") from None
    return value


def canonical(value: Any) -> str:
    """The one compact text of a JSON value: keys sorted by code point, no spaces, nothing escaped in vain.

    Raises:
        ValueError: for a number that is not finite.
        TypeError: for anything that is not JSON.
    """
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def spread(value: dict[str, Any]) -> str:
    """The one text of an object with a line for each member, and for each item of a member that is a list.

    For people, models and diffs, at little more than the length of `canonical`. Raises as that does.
    """
    members = []
    for key in sorted(value):
        items = [_line(item) for item in value[key]] if isinstance(value[key], list) else None
        text = _line(value[key]) if not items else "[\n" + ",\n".join(items) + "\n]"
        members.append(f"{_line(key)}: {text}")
    return "{\n" + ",\n".join(members) + "\n}"


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)


def depth_of(value: Any) -> int:
    """Levels of lists and objects in a JSON value; 0 for a scalar. Does not recurse."""
    deepest, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        deepest += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a key twice")
    return made


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is not finite")
    return number
