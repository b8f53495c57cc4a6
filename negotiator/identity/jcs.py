"""The JSON Canonicalization Scheme (RFC 8785): one spelling a value, so that it can be signed."""

import json
import math
from decimal import Decimal
from typing import Final

from negotiator.jsonvalue import JsonValue

_SAFE: Final = 2**53
_LARGEST_PLAIN, _SMALLEST_PLAIN = 21, -7
"""ECMAScript writes numbers of 10**21 and above, and below 10**-6, with an exponent."""


def canonicalize(value: JsonValue) -> bytes:
    """The canonical bytes of a value. Raises ValueError for what I-JSON (RFC 7493) does not allow."""
    try:
        return _text(value).encode("utf-8")
    except (UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise ValueError("not a value that can be written canonically") from error


def _text(value: JsonValue) -> str:
    if isinstance(value, dict):
        # By UTF-16 code units (3.2.3), which is not the order of code points.
        members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_text(item)}" for key, item in members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_text, value)) + "]"
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int) and abs(value) > _SAFE:
        raise ValueError("an integer that not every reader of JSON keeps")
    return _number(float(value))


def _number(value: float) -> str:
    """As ECMAScript's Number::toString has it: the shortest digits that read back, in its layout."""
    if not math.isfinite(value):
        raise ValueError("a number that is not finite")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0")
    point = len(digits) + int(exponent)
    minus = "-" if sign else ""
    if len(text) <= point <= _LARGEST_PLAIN:
        return minus + text.ljust(point, "0")
    if 0 < point <= _LARGEST_PLAIN:
        return f"{minus}{text[:point]}.{text[point:]}"
    if point - 1 > _SMALLEST_PLAIN and point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
