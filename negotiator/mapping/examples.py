"""Values seen on either side, as evidence: what they share, how they are written, and between which bounds they lie."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from negotiator.jsonvalue import JsonValue

MAX_EXAMPLES: Final = 32
"""Whole values of one side that are looked at; of arrays in them, as many items."""
MAX_VALUE_CHARS: Final = 80
_TELLING_CHARS: Final = 4
"""Values shorter than this are shared by chance."""
_BY_CHANCE: Final = 0.25
_FEW: Final = 2

_FORMS: Final = (
    ("date", r"\d{4}-\d\d?-\d\d?|\d\d?[./-]\d\d?[./-]\d{4}"),
    ("moment", r"\d{4}-\d\d-\d\d[t ]\d\d:\d\d.*"),
    ("time", r"\d\d?:\d\d(:\d\d)?( ?[ap]\.?m\.?)?(z|[+-]\d\d:\d\d)?"),
    ("truth", r"true|false|yes|no"),
    ("whole number", r"[+-]?\d{1,15}"),
    ("decimal number", r"[+-]?\d{1,15}[.,]\d+"),
    ("money", r"[$€£¥] ?\d[\d,.]*|\d[\d,.]* ?(usd|eur|gbp|cny|rmb|元|[$€£¥])"),
    ("email", r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    ("address of a page", r"(https?://|www\.)\S+"),
    ("phone", r"\+?[\d() .-]{7,20}"),
    ("identifier", r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{13,}|(?=\S*\d)(?=\S*[a-z])[a-z0-9_-]{5,}"),
    ("street", r"\d+[a-z]? [^\W\d].*|.*[^\W\d] \d+[a-z]?"),
    ("code", r"[a-z]{1,3}"),
    ("long text", r".{60,}"),
    ("word", r"\S+"),
    ("words", r".+"),
)


@cache
def _forms() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((name, re.compile(pattern)) for name, pattern in _FORMS)


@dataclass(frozen=True, slots=True)
class Examples:
    """Whole values that were seen, of the source's schema and of the target's. They need not belong together."""

    source: Sequence[JsonValue] = ()
    target: Sequence[JsonValue] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What the values of one field look like."""

    values: frozenset[str] = frozenset()
    """Lower case, cut; numbers as they are written."""
    forms: dict[str, float] = field(default_factory=dict)
    """Shares of the values."""
    bounds: tuple[float, float] | None = None
    """Least and greatest, where all are numbers."""


def values_at(values: Iterable[JsonValue], arrays: Sequence[tuple[str, ...]], path: tuple[str, ...]) -> list[JsonValue]:
    """What stands at a path, in every item of the arrays gone into; null and absent left out."""
    here = list(values)[:MAX_EXAMPLES]
    for array in arrays:
        items = [_at(value, array) for value in here]
        here = [item for each in items if isinstance(each, list) for item in each][:MAX_EXAMPLES]
    return [found for found in (_at(value, path) for value in here) if found is not None]


def _at(value: JsonValue, path: tuple[str, ...]) -> JsonValue:
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def profile(values: Iterable[JsonValue]) -> Profile:
    """The profile of a field's values; arrays count by their items, objects not at all."""
    flat: list[JsonValue] = []
    for value in values:
        flat.extend(value if isinstance(value, list) else [value])
    scalars = [value for value in flat[: 2 * MAX_EXAMPLES] if isinstance(value, str | int | float)]
    texts = [_text(value) for value in scalars]
    texts = [text for text in texts if text]
    if not texts:
        return Profile()
    counts = Counter(_form(text) for text in texts)
    numbers = [_number(text) for text in texts]
    known = [number for number in numbers if number is not None]
    return Profile(
        values=frozenset(texts),
        forms={form: count / len(texts) for form, count in counts.items()},
        bounds=(min(known), max(known)) if len(known) == len(texts) else None,
    )


def _text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).lower().split())[:MAX_VALUE_CHARS]


def _form(text: str) -> str:
    return next(name for name, pattern in _forms() if pattern.fullmatch(text))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None  # noqa: PLR2004


def likeness(one: Profile, other: Profile) -> tuple[float, float, float]:
    """Shared values (0 to 1), sameness of form (-1 to 1), and of bounds (-1 to 1); 0 where nothing is known."""
    if not one.values or not other.values:
        return 0.0, 0.0, 0.0
    shared = sum(_weight(value) for value in one.values & other.values)
    overlap = min(1.0, shared / min(len(one.values), len(other.values)))
    if min(len(one.values), len(other.values)) < _FEW and not shared:
        return 0.0, 0.0, 0.0
    common = sum(min(share, other.forms.get(form, 0.0)) for form, share in one.forms.items())
    return overlap, 2.0 * common - 1.0, _bounds(one, other)


def _weight(value: str) -> float:
    return 1.0 if len(value) >= _TELLING_CHARS and value not in ("true", "false") else _BY_CHANCE


def _bounds(one: Profile, other: Profile) -> float:
    if one.bounds is None or other.bounds is None:
        return 0.0
    low, high = max(one.bounds[0], other.bounds[0]), min(one.bounds[1], other.bounds[1])
    widest = max(one.bounds[1], other.bounds[1]) - min(one.bounds[0], other.bounds[0])
    if low > high:
        return -1.0
    return 2.0 * (high - low) / widest - 1.0 if widest else 1.0
