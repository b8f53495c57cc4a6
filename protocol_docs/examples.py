"""Example values made from a JSON Schema by rule: each optional member there and not, each enum value, each branch.

They are synthetic and the same everywhere: no clock, no randomness. Texts and numbers differ from member to member
and from example to example, so that whoever reads them can tell which value went where. Nothing is returned that
the schema does not accept.
"""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from math import ceil, floor
from typing import Any

from protocol_docs import strict_json
from protocol_docs.annex import validator
from protocol_docs.tidy import resolve

MAX_EXAMPLES = 12
"""Examples made of one schema."""

_CANDIDATES = 64
_DEPTH = 10
_MAX_ITEMS = 32
_MAX_TEXT = 2000
_SPREAD = 1000
_AT_LEAST = 3
_FIRST_DAY = date(2025, 1, 15)
# Texts tried against a pattern, one of which fits most patterns that people write.
_PROBES = """
A B C AB ABC ABCD a b ab abc abcd abc1 0 1 5 12 42 123 1234 12345 123456 12345678 1.5 10.50 -1.5 A1 AB1
AB12 AB123 ABC123 A-1 AB-12 ABC-123 ABC-1234 a-b a_b a.b a/b /a a:b en en-US USD EUR US USA FR JFK KJFK
AA100 AA-100 2025-01-15 2025-01 2025 09:30 09:30:00 15/01/2025 01/15/2025 +15550100 +12025550123 555-0100
202-555-0123 90210 90210-1234 #112233 #fff v1 v1.0 1.0 1.0.0 https://example.com person@example.com
example.com @a #a $1 1% 100% 0x1f deadbeef 00000000-0000-4000-8000-000000000001
""".split()  # noqa: SIM905 - a list of a hundred literals would take a hundred lines


class _Unmakeable(Exception):
    """No value of this schema is known to these rules, or it nests too deeply."""


def examples_of(schema: dict[str, Any], most: int = MAX_EXAMPLES) -> list[Any]:
    """Values that `schema` accepts, the fullest first, then those that add most; empty where the rules make none.

    Three at least, where there are three, since one value alone cannot tell a rule from a chance.

    Raises:
        AnnexProblem: where `schema` is no self-contained JSON Schema.
    """
    check = validator(schema)
    # By their text, since Python takes 1 and True for one value.
    made: dict[str, tuple[Any, frozenset[str]]] = {}
    maker = _Maker(schema)
    met: set[str] = set()
    quiet = 0
    for row in range(_CANDIDATES):
        try:
            value, features = maker.make(row)
        except _Unmakeable:
            continue
        quiet = 0 if features - met else quiet + 1
        met |= features
        if quiet > maker.period(row) and len(made) >= _AT_LEAST:
            break
        if check.is_valid(value):
            made.setdefault(strict_json.canonical(value), (value, features))
    candidates = list(made.values())
    chosen: list[Any] = []
    covered: set[str] = set()
    while candidates and len(chosen) < most:
        # The first of the best, and the first of all at first: `max` keeps the order of the rows.
        best = max(range(len(candidates)), key=lambda index: len(candidates[index][1] - covered)) if chosen else 0
        value, features = candidates.pop(best)
        if len(chosen) >= _AT_LEAST and features <= covered:
            break
        chosen.append(value)
        covered |= features
    return chosen


class _Maker:
    """Makes the value of one row. Row 0 has every member, row 1 only the required ones, later rows leave out one."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._leaves: dict[str, int] = {}
        self._optional: dict[str, int] = {}
        self._row = 0
        self._widest = 1
        self._shift = 0
        """Added to the row where a value is chosen, so that the items of a list differ."""
        self._features: set[str] = set()

    def make(self, row: int) -> tuple[Any, frozenset[str]]:
        self._row = row
        self._features = set()
        value = self._value(self._root, "", 0)
        return value, frozenset(self._features)

    def period(self, row: int) -> int:
        """Rows that may bring nothing new after `row` while a later one still can."""
        return max(self._widest, len(self._optional) + 2 - row) + 1

    def _value(self, schema: Any, path: str, depth: int) -> Any:
        if depth > _DEPTH or schema is False:
            raise _Unmakeable
        if not isinstance(schema, dict):
            return self._text({}, path)
        if "$ref" in schema or "allOf" in schema:
            return self._value(self._merged(schema), path, depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choose(schema["enum"], path)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                rest = {key: value for key, value in schema.items() if key != word}
                return self._branch([merged(rest, branch) for branch in schema[word]], path, depth)
        kind = schema.get("type")
        if isinstance(kind, list):
            return self._branch([{**schema, "type": each} for each in kind], path, depth)
        return self._typed(kind or _implied(schema), schema, path, depth)

    def _merged(self, schema: dict[str, Any]) -> Any:
        """The schema with what it refers to, and what it is all of, written into it."""
        made: Any = {key: value for key, value in schema.items() if key not in ("$ref", "allOf")}
        if "$ref" in schema:
            try:
                made = merged(resolve(self._root, schema["$ref"]), made)
            except KeyError:
                raise _Unmakeable from None
        for part in schema.get("allOf", []):
            made = merged(made, part)
        return made

    def _typed(self, kind: str, schema: dict[str, Any], path: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, path, depth)
        if kind == "array":
            return self._array(schema, path, depth)
        if kind == "boolean":
            return self._choose([True, False], path)
        if kind == "null":
            return None
        if kind == "integer":
            return _number(schema, self._leaf(path), whole=True)
        if kind == "number":
            return _number(schema, self._leaf(path), whole=False)
        return self._text(schema, path)

    def _object(self, schema: dict[str, Any], path: str, depth: int) -> dict[str, Any]:
        members = schema.get("properties", {})
        required = schema.get("required", [])
        made: dict[str, Any] = {}
        for name in sorted({*members, *required}):
            at = f"{path}/{name}"
            if name in required:
                made[name] = self._value(members.get(name, True), at, depth + 1)
                continue
            order = self._optional.setdefault(at, len(self._optional))
            if self._row == 1 or self._row == order + 2:
                self._features.add(f"{at} absent")
                continue
            try:
                made[name] = self._value(members[name], at, depth + 1)
            except _Unmakeable:
                continue
            self._features.add(f"{at} present")
        other = schema.get("additionalProperties")
        if not members and isinstance(other, dict) and self._row != 1:
            made["key"] = self._value(other, f"{path}/key", depth + 1)
        return made

    def _array(self, schema: dict[str, Any], path: str, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", _MAX_ITEMS)
        first = schema.get("prefixItems", [])
        made = [self._value(item, f"{path}/{index}", depth + 1) for index, item in enumerate(first)]
        size = max(least, min(most, 0 if self._row == 1 else 2), len(first))
        if size > _MAX_ITEMS:
            raise _Unmakeable
        items = schema.get("items", True)
        for index in range(len(made), size):
            self._shift += index
            try:
                made.append(self._value(items, f"{path}/{index}", depth + 1))
            except _Unmakeable:
                if len(made) < least:
                    raise
                break
            finally:
                self._shift -= index
        self._features.add(f"{path} {'filled' if made else 'empty'}")
        if schema.get("uniqueItems"):
            seen = {strict_json.canonical(item): item for item in made}
            return list(seen.values())
        return made

    def _branch(self, branches: list[Any], path: str, depth: int) -> Any:
        self._widest = max(self._widest, len(branches))
        for offset in range(len(branches)):
            index = (self._row + offset) % len(branches)
            try:
                value = self._value(branches[index], path, depth + 1)
            except _Unmakeable:
                continue
            self._features.add(f"{path} branch {index}")
            return value
        raise _Unmakeable

    def _choose(self, values: list[Any], path: str) -> Any:
        # Row 1 leaves optional members out, so that counting it would cost their second value.
        self._widest = max(self._widest, len(values))
        turn = self._row - 1 if self._row > 1 else self._row
        index = (turn + self._shift) % len(values)
        self._features.add(f"{path} value {index}")
        return values[index]

    def _leaf(self, path: str) -> int:
        return 1 + self._leaves.setdefault(path, len(self._leaves)) + 13 * self._row

    def _text(self, schema: dict[str, Any], path: str) -> str:
        number = self._leaf(path)
        member = next((part for part in reversed(path.split("/")) if part and not part.isdecimal()), "")
        name = re.sub(r"[^A-Za-z0-9]+", " ", member).strip() or "text"
        text = _formatted(str(schema.get("format", "")), number) or f"{name} {number}"
        least, most = schema.get("minLength", 0), schema.get("maxLength", _MAX_TEXT)
        if least > _MAX_TEXT:
            raise _Unmakeable
        if "pattern" in schema:
            check = validator({key: schema[key] for key in ("pattern", "minLength", "maxLength") if key in schema})
            fitting = [probe for probe in (text, *_PROBES) if check.is_valid(probe)]
            if not fitting:
                raise _Unmakeable
            chosen: str = fitting[(self._row + self._shift) % len(fitting)]
            return chosen
        if len(text) > most:
            text = text[-most:] if most else ""
        return text.ljust(least, "x")


def _implied(schema: dict[str, Any]) -> str:
    if any(key in schema for key in ("properties", "required", "additionalProperties")):
        return "object"
    if any(key in schema for key in ("items", "prefixItems", "minItems")):
        return "array"
    if any(key in schema for key in ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum")):
        return "number"
    return "string"


def merged(first: Any, second: Any) -> Any:
    """A schema that asks what both ask, as far as that is written in one schema; where both say a word, the second's."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second if first is True else first
    made = {**first, **second}
    if "properties" in first and "properties" in second:
        names = {**first["properties"], **second["properties"]}
        made["properties"] = {
            name: merged(first["properties"].get(name, True), second["properties"].get(name, True)) for name in names
        }
    if "required" in first and "required" in second:
        made["required"] = [*first["required"], *second["required"]]
    return made


def _number(schema: dict[str, Any], wanted: int, *, whole: bool) -> int | float:
    """A multiple of the step that lies within the bounds: the `wanted`-th, counted round."""
    step = Fraction(str(schema.get("multipleOf", 1 if whole else 0.5)))
    if whole:
        step = Fraction(step.numerator)
    lows = list(_bounds(schema, "minimum", "exclusiveMinimum"))
    highs = list(_bounds(schema, "maximum", "exclusiveMaximum"))
    last = min((ceil(edge / step) - 1 if strict else floor(edge / step) for edge, strict in highs), default=None)
    start = 0 if last is None else min(0, last - _SPREAD // 20)
    first = max((floor(edge / step) + 1 if strict else ceil(edge / step) for edge, strict in lows), default=start)
    count = (_SPREAD if last is None else last - first) + 1
    if count > 0:
        value = (first + wanted % count) * step
    elif whole or "multipleOf" in schema:
        raise _Unmakeable
    else:
        # No multiple of a half lies within; the middle does.
        value = (max(lows)[0] + min(highs)[0]) / 2
    return int(value) if whole else float(value)


def _bounds(schema: dict[str, Any], *keys: str) -> Iterator[tuple[Fraction, bool]]:
    """The edges that `keys` name, and whether each is itself outside."""
    for key in keys:
        value = schema.get(key)
        # In draft 4 an exclusive bound is true or false; a value that then lies on it is dropped by the check.
        if value is not None and not isinstance(value, bool):
            yield Fraction(str(value)), key.startswith("exclusive")


def _formatted(kind: str, number: int) -> str:
    day = (_FIRST_DAY + timedelta(days=number)).isoformat()
    clock = f"{number % 24:02d}:30:00"
    made = {
        "date": day,
        "date-time": f"{day}T{clock}Z",
        "time": f"{clock}Z",
        "duration": f"P{number}D",
        "email": f"person{number}@example.com",
        "idn-email": f"person{number}@example.com",
        "hostname": f"host{number}.example.com",
        "ipv4": f"192.0.2.{number % 254 + 1}",
        "ipv6": f"2001:db8::{number:x}",
        "uri": f"https://example.com/{number}",
        "uri-reference": f"/items/{number}",
        "iri": f"https://example.com/{number}",
        "url": f"https://example.com/{number}",
        "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "json-pointer": f"/items/{number}",
        "regex": f"item{number}",
        "decimal": f"{number}.50",
    }
    return made.get(kind, "")
