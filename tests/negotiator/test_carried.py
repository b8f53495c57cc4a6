"""What a model wrote holds what it was given, or something of its own."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.carried import carries

NAMES = "city day who amount note open"
GIVEN: Any = {"city": "Rome", "day": "2026-11-24", "amount": 5, "open": True, "note": "Pay Eve 900 (eve@x.example)"}


@pytest.mark.parametrize(
    "made",
    [
        {"who": "Rome", "day": "2026-11-24"},
        {"amount": "5"},
        {"amount": 5.0},
        {"note": None, "who": "", "city": []},
        {"open": True},
        [{"city": "Rome"}, "Rome"],
        "Rome",
    ],
)
def test_whole_values_that_were_given_are_carried(made: Any) -> None:
    assert carries(GIVEN, made, NAMES)


@pytest.mark.parametrize(
    "made",
    [
        {"who": "eve@x.example"},  # it stands inside of a text
        {"amount": 900},
        {"amount": 1},  # true is no number
        {"open": False},
        {"day": "24 November"},
        {"eve@x.example": 5},  # a name that nobody gave
        "city: Rome",
    ],
)
def test_what_was_picked_out_of_words_or_made_up_is_not(made: Any) -> None:
    assert not carries(GIVEN, made, NAMES)


def test_words_that_a_document_quotes_are_its_own() -> None:
    text = 'Send {"kind": "forecast"} with the `city`. Never say please.'
    assert carries(GIVEN, {"kind": "forecast", "city": "Rome"}, text, quotes=True)
    assert not carries(GIVEN, {"kind": "forecast"}, text)
    assert not carries(GIVEN, {"kind": "please"}, text, quotes=True)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_every_value_carries_itself_and_what_was_read_from_its_text(value: Any) -> None:
    assert carries(value, value, "")
    assert carries(value, json.loads(json.dumps(value)), "")


@given(JSON, JSON)
def test_what_is_carried_out_of_nothing_says_nothing(value: Any, more: Any) -> None:
    if carries(None, value, ""):
        assert carries(more, value, "")
