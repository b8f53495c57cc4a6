"""Dates as text: from one pattern, such as `DD/MM/YYYY`, to another. Exact, or refused."""

import re
from collections.abc import Callable
from typing import Final

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue

Transform = Callable[[JsonValue], JsonValue]

ISO_DATE: Final = "YYYY-MM-DD"

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_DATE_PARTS: Final[dict[str, tuple[str, str]]] = {
    # part: (group, pattern); longest first, because MONTH begins like MON and MM like M
    "MONTH": ("b", "[A-Za-z]{3,9}"),
    "YYYY": ("y", "[0-9]{4}"),
    "MON": ("b", "[A-Za-z]{3}"),
    "MM": ("m", "[0-9]{2}"),
    "DD": ("d", "[0-9]{2}"),
    "M": ("m", "[0-9]{1,2}"),
    "D": ("d", "[0-9]{1,2}"),
}
_DATE_TOKEN = re.compile("|".join(_DATE_PARTS) + r"|[ ./,-]")
_DATE_PATTERN = re.compile(rf"(?:{_DATE_TOKEN.pattern}){{3,9}}")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def is_date_pattern(pattern: str) -> bool:
    """Whether `pattern` says where year, month and day stand, each once: `YYYY-MM-DD`, `D MON YYYY`."""
    return _DATE_PATTERN.fullmatch(pattern) is not None and sorted(_groups(pattern)) in (list("bdy"), list("dmy"))


def date_conversion(source: str, target: str) -> Transform | None:
    """Dates written as `source` says to dates as `target` says; None where either is no date pattern."""
    if not (is_date_pattern(source) and is_date_pattern(target)):
        return None
    reader = re.compile("".join(_reader(token) for token in _DATE_TOKEN.findall(source)))
    tokens = _DATE_TOKEN.findall(target)

    def convert(value: JsonValue) -> JsonValue:
        match = reader.fullmatch(value) if isinstance(value, str) else None
        parts = _date_parts(match) if match is not None else None
        if parts is None:
            raise BadInput(f"a date written as {source} was expected")
        return "".join(_written(token, *parts) for token in tokens)

    return convert


def _groups(pattern: str) -> list[str]:
    return [_DATE_PARTS[token][0] for token in _DATE_TOKEN.findall(pattern) if token in _DATE_PARTS]


def _reader(token: str) -> str:
    if token not in _DATE_PARTS:
        return re.escape(token)
    group, pattern = _DATE_PARTS[token]
    return f"(?P<{group}>{pattern})"


def _date_parts(match: re.Match[str]) -> tuple[int, int, int] | None:
    found = match.groupdict()
    year, day = int(found["y"]), int(found["d"])
    if "m" in found:
        month = int(found["m"])
    else:
        word = found["b"].title()
        named = [number for number, name in enumerate(_MONTHS, 1) if word in (name, name[:3])]
        month = named[0] if named else 0
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= len(_MONTHS) or not 1 <= day <= _DAYS_IN_MONTH[month - 1]:
        return None
    return None if (month, day) == (2, 29) and not leap else (year, month, day)


def _written(token: str, year: int, month: int, day: int) -> str:
    match token:
        case "YYYY":
            return f"{year:04d}"
        case "MM":
            return f"{month:02d}"
        case "M":
            return str(month)
        case "DD":
            return f"{day:02d}"
        case "D":
            return str(day)
        case "MON":
            return _MONTHS[month - 1][:3]
        case "MONTH":
            return _MONTHS[month - 1]
        case _:
            return token
