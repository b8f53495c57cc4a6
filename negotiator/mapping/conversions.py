"""Named conversions of one value: the closed list that a mapping may use.

Each is exact or refuses: a value that it cannot convert raises `BadInput`, and no value is guessed at.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue

Transform: TypeAlias = Callable[[JsonValue], JsonValue]

UNITS: Final[dict[str, tuple[str, float, float]]] = {
    # name: (dimension, factor, offset), with base value = value * factor + offset
    "kelvin": ("temperature", 1.0, 0.0),
    "celsius": ("temperature", 1.0, 273.15),
    "fahrenheit": ("temperature", 5 / 9, 273.15 - 32 * 5 / 9),
    "metre": ("length", 1.0, 0.0),
    "kilometre": ("length", 1000.0, 0.0),
    "centimetre": ("length", 0.01, 0.0),
    "millimetre": ("length", 0.001, 0.0),
    "mile": ("length", 1609.344, 0.0),
    "nautical_mile": ("length", 1852.0, 0.0),
    "yard": ("length", 0.9144, 0.0),
    "foot": ("length", 0.3048, 0.0),
    "inch": ("length", 0.0254, 0.0),
    "kilogram": ("mass", 1.0, 0.0),
    "gram": ("mass", 0.001, 0.0),
    "tonne": ("mass", 1000.0, 0.0),
    "pound": ("mass", 0.45359237, 0.0),
    "ounce": ("mass", 0.028349523125, 0.0),
    "second": ("duration", 1.0, 0.0),
    "millisecond": ("duration", 0.001, 0.0),
    "minute": ("duration", 60.0, 0.0),
    "hour": ("duration", 3600.0, 0.0),
    "day": ("duration", 86400.0, 0.0),
    "week": ("duration", 604800.0, 0.0),
    "metre_per_second": ("speed", 1.0, 0.0),
    "kilometre_per_hour": ("speed", 1 / 3.6, 0.0),
    "mile_per_hour": ("speed", 0.44704, 0.0),
    "knot": ("speed", 1852 / 3600, 0.0),
    "pascal": ("pressure", 1.0, 0.0),
    "hectopascal": ("pressure", 100.0, 0.0),
    "bar": ("pressure", 100_000.0, 0.0),
    "litre": ("volume", 1.0, 0.0),
    "millilitre": ("volume", 0.001, 0.0),
    "gallon": ("volume", 3.785411784, 0.0),
    "byte": ("data", 1.0, 0.0),
    "kilobyte": ("data", 1e3, 0.0),
    "megabyte": ("data", 1e6, 0.0),
    "gigabyte": ("data", 1e9, 0.0),
    "percent": ("share", 0.01, 0.0),
    "fraction": ("share", 1.0, 0.0),
}
"""Units of one dimension convert into each other. Definitions of the SI brochure and the 1959 yard and pound."""

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
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def unit_conversion(source: str, target: str) -> Transform | None:
    """Numbers in `source` to numbers in `target`; None where the two share no dimension."""
    if source not in UNITS or target not in UNITS or UNITS[source][0] != UNITS[target][0]:
        return None
    _, factor, offset = UNITS[source]
    _, other_factor, other_offset = UNITS[target]
    slope = factor / other_factor
    shift = (offset - other_offset) / other_factor

    def convert(value: JsonValue) -> JsonValue:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadInput(f"a number in {source} was expected")
        # Twelve digits drop what binary fractions add, and keep more than any reading has.
        return float(f"{value * slope + shift:.12g}")

    return convert


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


def text_to_number(value: JsonValue) -> JsonValue:
    """Text that is a JSON number, to that number."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    raise BadInput("text that is a number was expected")


def text_to_integer(value: JsonValue) -> JsonValue:
    """Text that is a whole number, to that number."""
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise BadInput("text that is a whole number was expected")


def integer_to_text(value: JsonValue) -> JsonValue:
    """A whole number to its decimal digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise BadInput("a whole number was expected")


def number_to_integer(value: JsonValue) -> JsonValue:
    """A number without a fraction, to an integer."""
    if not isinstance(value, bool) and isinstance(value, int | float) and value == int(value):
        return int(value)
    raise BadInput("a number without a fraction was expected")


def to_empty_object(value: JsonValue) -> JsonValue:
    """An object to an empty one: that it is there, without what it holds."""
    if isinstance(value, dict):
        return {}
    raise BadInput("an object was expected")


_PLAIN: Final[dict[str, Transform]] = {
    "text_to_number": text_to_number,
    "text_to_integer": text_to_integer,
    "integer_to_text": integer_to_text,
    "number_to_integer": number_to_integer,
    "to_empty_object": to_empty_object,
}
_PAIRED: Final[dict[str, Callable[[str, str], Transform | None]]] = {"unit": unit_conversion, "date": date_conversion}


def conversion(name: str, source: str | None = None, target: str | None = None) -> Transform | None:
    """The conversion called `name`, or None where there is no such.

    `unit` and `date` take a pair: unit names of `UNITS`, or date patterns.
    """
    if name in _PAIRED:
        return _PAIRED[name](source, target) if source is not None and target is not None else None
    return _PLAIN.get(name) if source is None and target is None else None


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
