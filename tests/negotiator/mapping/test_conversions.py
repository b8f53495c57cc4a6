"""Conversions are exact or refuse."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import BadInput
from negotiator.mapping.conversions import UNITS, conversion
from negotiator.mapping.dates import is_date_pattern

PATTERNS = ["YYYY-MM-DD", "DD/MM/YYYY", "M/D/YYYY", "D MON YYYY", "MONTH D, YYYY", "YYYYMMDD"]


@pytest.mark.parametrize(
    ("source", "target", "given_value", "expected"),
    [
        ("celsius", "fahrenheit", 20, 68.0),
        ("fahrenheit", "celsius", 32, 0.0),
        ("kilometre", "mile", 1.609344, 1.0),
        ("hour", "minute", 1.5, 90.0),
        ("percent", "fraction", 25, 0.25),
    ],
)
def test_units_convert(source: str, target: str, given_value: float, expected: float) -> None:
    convert = conversion("unit", source, target)
    assert convert is not None
    assert convert(given_value) == pytest.approx(expected, abs=1e-9)


@given(st.sampled_from(sorted(UNITS)), st.sampled_from(sorted(UNITS)), st.floats(-1e6, 1e6))
def test_there_and_back_is_where_it_began(source: str, target: str, value: float) -> None:
    there, back = conversion("unit", source, target), conversion("unit", target, source)
    if UNITS[source][0] != UNITS[target][0]:
        assert there is None
        return
    assert there is not None
    assert back is not None
    assert back(there(value)) == pytest.approx(value, rel=1e-9, abs=1e-4)


@given(st.sampled_from(PATTERNS), st.sampled_from(PATTERNS), st.dates())
def test_dates_say_the_same_day_in_every_pattern(source: str, target: str, day: date) -> None:
    from_iso, there, to_iso = (
        conversion("date", "YYYY-MM-DD", source),
        conversion("date", source, target),
        conversion("date", target, "YYYY-MM-DD"),
    )
    assert from_iso is not None
    assert there is not None
    assert to_iso is not None
    assert to_iso(there(from_iso(day.isoformat()))) == day.isoformat()


@pytest.mark.parametrize("value", ["24.11.2026", "2026-13-01", "2026-02-29", "2026-1-1", " 2026-01-01", 20260101, None])
def test_what_is_not_such_a_date_is_refused(value: Any) -> None:
    convert = conversion("date", "YYYY-MM-DD", "DD/MM/YYYY")
    assert convert is not None
    with pytest.raises(BadInput):
        convert(value)


@pytest.mark.parametrize("pattern", ["YYYY-MM", "DD-DD-YYYY", "YYYY-MM-DD.*", "MM MON YYYY", ""])
def test_a_pattern_says_year_month_and_day_once(pattern: str) -> None:
    assert not is_date_pattern(pattern)


@pytest.mark.parametrize(
    ("name", "good", "expected", "bad"),
    [
        ("text_to_number", "-1.5", -1.5, ["1e5", "NaN", "01", "1,5", " 1", 1, "9" * 40]),
        ("text_to_integer", "12", 12, ["1.0", "", "+1", "٣", 5]),
        ("integer_to_text", -3, "-3", [1.0, True, "3"]),
        ("number_to_integer", 3.0, 3, [3.5, True, "3"]),
    ],
)
def test_casts_are_exact(name: str, good: Any, expected: Any, bad: list[Any]) -> None:
    convert = conversion(name)
    assert convert is not None
    assert convert(good) == expected
    assert type(convert(good)) is type(expected)
    for value in bad:
        with pytest.raises(BadInput):
            convert(value)


def test_there_is_no_other_conversion() -> None:
    assert conversion("eval") is None
    assert conversion("text_to_number", "a", "b") is None
    assert conversion("unit") is None
