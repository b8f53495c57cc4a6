"""Named conversions of one value: the closed list that a mapping may use.

Each is exact or refuses: a value that it cannot convert raises `BadInput`, and no value is guessed at.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue
from negotiator.mapping.dates import date_conversion
from negotiator.mapping.times import date_of, epoch_conversion, time_conversion, time_of

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

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")


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


_PIECE = re.compile(r"([0-9])/([0-9])")
_DECIMAL_MARKS: Final = {"point": (",", "."), "comma": (".", ",")}


def piece_conversion(source: str, target: str) -> Transform | None:
    """One of the pieces of a text around a separator, where it has exactly as many as `index/count` says.

    None where `source` is no separator or `target` names no piece. A text of more or fewer pieces is refused, since
    it would not be known where to cut it.
    """
    match = _PIECE.fullmatch(target)
    if not source or match is None or int(match[1]) >= int(match[2]):
        return None
    index, count = int(match[1]), int(match[2])

    def convert(value: JsonValue) -> JsonValue:
        pieces = value.split(source) if isinstance(value, str) else []
        stripped = [piece.strip() for piece in pieces]
        if len(pieces) != count or not all(stripped):
            raise BadInput(f"text of {count} parts was expected")
        return stripped[index]

    return convert


def number_piece_conversion(source: str, target: str) -> Transform | None:
    """The same, where the piece is a number."""
    piece = piece_conversion(source, target)
    return None if piece is None else lambda value: text_to_number(piece(value))


def decimal_conversion(source: str, target: str) -> Transform | None:
    """Numbers as text with one decimal mark, to the other's: `point` or `comma`, the other one groups thousands."""
    if source not in _DECIMAL_MARKS or target not in _DECIMAL_MARKS:
        return None
    (group, mark), other = _DECIMAL_MARKS[source], _DECIMAL_MARKS[target][1]
    number = re.compile(rf"-?(?:[0-9]{{1,15}}|[0-9]{{1,3}}(?:\{group}[0-9]{{3}}){{1,5}})(?:\{mark}[0-9]{{1,15}})?")

    def convert(value: JsonValue) -> JsonValue:
        if not isinstance(value, str) or number.fullmatch(value) is None:
            raise BadInput(f"a number with a decimal {source} was expected")
        return value.replace(group, "").replace(mark, other)

    return convert


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
_PAIRED: Final[dict[str, Callable[[str, str], Transform | None]]] = {
    "date": date_conversion,
    "date_of": date_of,
    "decimal": decimal_conversion,
    "epoch": epoch_conversion,
    "number_piece": number_piece_conversion,
    "piece": piece_conversion,
    "time": time_conversion,
    "time_of": time_of,
    "unit": unit_conversion,
}


def conversion(name: str, source: str | None = None, target: str | None = None) -> Transform | None:
    """The conversion called `name`, or None where there is no such.

    Those of a pair take unit names of `UNITS` (`unit`), date patterns (`date`), `clock` and a time pattern (`time`),
    `date-time` and a pattern (`date_of`, `time_of`), `date-time` and `seconds` or `milliseconds` in either order
    (`epoch`), decimal marks (`decimal`), a separator and `index/count` (`piece`, `number_piece`).
    """
    if name in _PAIRED:
        return _PAIRED[name](source, target) if source is not None and target is not None else None
    return _PLAIN.get(name) if source is None and target is None else None
