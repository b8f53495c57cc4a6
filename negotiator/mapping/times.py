"""Times of day, moments and counted seconds: how one spelling becomes another.

Each is exact or refuses. An offset from UTC is never invented and never dropped: what is a local time stays one.
"""

import re
from collections.abc import Callable
from typing import Final

from negotiator.errors import BadInput
from negotiator.jsonvalue import JsonValue
from negotiator.mapping.dates import ISO_DATE, date_conversion

Transform = Callable[[JsonValue], JsonValue]

CLOCK: Final = "clock"
"""Any spelling of a time of day that can be read in one way only: `19:30`, `7:30 pm`, `19:30:00`, `19:30:00Z`."""
MOMENT: Final = "date-time"
TIME_PATTERNS: Final = ("HH:MM", "HH:MM:SS", "h:MM a", "time")
"""What a time of day can be written as. `time` is RFC 3339's: with seconds, and with its offset where it has one."""
_EPOCH_UNITS: Final = {"seconds": 1, "milliseconds": 1000}
_TIME = re.compile(
    r"(?P<h>[0-9]{1,2}):(?P<m>[0-9]{2})(?::(?P<s>[0-9]{2})(?P<f>\.[0-9]{1,9})?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?P<zone>Z|z|[+-][0-9]{2}:[0-9]{2})?"
)
_MOMENT = re.compile(r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}.*)")
_DAYS_TO_1970: Final = 719_468
_CHECKED: Final = date_conversion(ISO_DATE, ISO_DATE)
"""Refuses what is no date."""
_HOURS, _MINUTES, _NOON = 24, 60, 12


def time_conversion(source: str, target: str) -> Transform | None:
    """Times of day, however written, to `target` of `TIME_PATTERNS`; None where there is no such."""
    if source != CLOCK or target not in TIME_PATTERNS:
        return None
    return lambda value: _written(*_read(value), target)


def date_of(source: str, target: str) -> Transform | None:
    """The date of a moment, as a date pattern says; None where there is no such."""
    written = date_conversion(ISO_DATE, target)
    if source != MOMENT or written is None:
        return None
    return lambda value: written(_moment(value)[0])


def time_of(source: str, target: str) -> Transform | None:
    """The time of day of a moment; None where there is no such. An offset has to have its place in `target`."""
    if source != MOMENT or target not in TIME_PATTERNS:
        return None
    return lambda value: _written(*_read(_moment(value)[1]), target)


def epoch_conversion(source: str, target: str) -> Transform | None:
    """Seconds or milliseconds since 1970 to a moment in UTC and back; None where there is no such."""
    if source in _EPOCH_UNITS and target == MOMENT:
        return lambda value: _moment_of(value, _EPOCH_UNITS[source])
    if source == MOMENT and target in _EPOCH_UNITS:
        return lambda value: _epoch_of(value, _EPOCH_UNITS[target])
    return None


def _read(value: JsonValue) -> tuple[int, int, int, str, str]:
    """Hours, minutes, seconds, their fraction and the offset, as text."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadInput("a time of day was expected")
    hours, minutes, seconds = int(match["h"]), int(match["m"]), int(match["s"] or 0)
    if match["half"] is not None:
        if not 1 <= hours <= _NOON:
            raise BadInput("a time of day was expected")
        hours = hours % _NOON + (_NOON if match["half"] in "Pp" else 0)
    if hours >= _HOURS or minutes >= _MINUTES or seconds >= _MINUTES:
        raise BadInput("a time of day was expected")
    return hours, minutes, seconds, match["f"] or "", (match["zone"] or "").upper()


def _written(hours: int, minutes: int, seconds: int, fraction: str, zone: str, target: str) -> str:
    if target == "time":
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}{zone}"
    if zone:
        raise BadInput("the time has an offset from UTC, which has no place at the other side")
    if fraction.strip(".0") or (seconds and target != "HH:MM:SS"):
        raise BadInput("the time has seconds, which have no place at the other side")
    if target == "HH:MM":
        return f"{hours:02d}:{minutes:02d}"
    if target == "HH:MM:SS":
        return f"{hours:02d}:{minutes:02d}:{seconds:02d}"
    return f"{hours % _NOON or _NOON}:{minutes:02d} {'PM' if hours >= _NOON else 'AM'}"


def _moment(value: JsonValue) -> tuple[str, str]:
    match = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadInput("a date with a time was expected")
    return match["date"], match["time"]


def _moment_of(value: JsonValue, scale: int) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise BadInput("a whole number of seconds was expected")
    seconds, parts = divmod(int(value), scale)
    days, seconds = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    if not 1 <= year <= 9999:  # noqa: PLR2004
        raise BadInput("the moment is not in a year of four digits")
    fraction = f".{parts:03d}" if parts else ""
    return (
        f"{year:04d}-{month:02d}-{day:02d}T{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}"
        f"{fraction}Z"
    )


def _epoch_of(value: JsonValue, scale: int) -> int:
    date, time = _moment(value)
    hours, minutes, seconds, fraction, zone = _read(time)
    if not zone:
        raise BadInput("the moment lacks its offset from UTC")
    if _CHECKED is not None:
        _CHECKED(date)
    year, month, day = (int(part) for part in date.split("-"))
    total = _days(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds
    if zone != "Z":
        ahead = int(zone[1:3]) * 3600 + int(zone[4:]) * 60
        total -= ahead if zone[0] == "+" else -ahead
    parts = round(float(f"0{fraction}") * scale, 6) if fraction else 0.0
    if parts != int(parts):
        raise BadInput("the moment is finer than the other side counts")
    return total * scale + int(parts)


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 (Howard Hinnant, chrono-compatible low-level date algorithms)."""
    shifted = year - (month <= 2)  # noqa: PLR2004
    era, of_era = divmod(shifted, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _DAYS_TO_1970


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of days since 1970-01-01; the inverse of `_days`."""
    era, of_era = divmod(days + _DAYS_TO_1970, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153
    month = (shifted + 2) % 12 + 1
    return era * 400 + year + (month <= 2), month, of_year - (153 * shifted + 2) // 5 + 1  # noqa: PLR2004
