"""Whole numbers come through protobuf's floats as themselves."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.dialects.a2a.numbers import MAX_EXACT, restored, spelled, whole
from negotiator.schemas import Schema

INTEGERS = st.integers(min_value=-(2**63), max_value=2**64 - 1)
KEYS = st.text(min_size=1, max_size=5)


def through_protobuf(value):
    """What a protobuf value makes of JSON: every number is a float of 64 bits."""
    return json.loads(json.dumps(value), parse_int=float)


SHAPES = st.recursive(
    st.sampled_from(["integer", "number", "string", "boolean", "null"]).map(lambda name: {"type": name}),
    lambda inner: st.one_of(
        inner.map(lambda item: {"type": "array", "items": item}),
        st.dictionaries(KEYS, inner, max_size=3).map(lambda named: {"type": "object", "properties": named}),
        inner.map(lambda item: {"anyOf": [item, {"type": "null"}]}),
        st.tuples(inner, inner).map(lambda pair: {"type": "array", "prefixItems": list(pair)}),
    ),
    max_leaves=6,
)


@st.composite
def values(draw, shape):
    if "anyOf" in shape:
        return draw(values(shape["anyOf"][0]))
    if "prefixItems" in shape:
        return [draw(values(part)) for part in shape["prefixItems"]]
    if "items" in shape:
        return [draw(values(shape["items"])) for _ in range(draw(st.integers(0, 3)))]
    if "properties" in shape:
        return {name: draw(values(part)) for name, part in shape["properties"].items()}
    kind = {
        "integer": INTEGERS,
        "number": st.floats(allow_nan=False, allow_infinity=False, width=32),
        "string": st.text(max_size=8),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return draw(kind[shape["type"]])


@given(st.data(), SHAPES)
def test_what_a_schema_calls_an_integer_comes_back_as_itself(data, shape) -> None:
    value = data.draw(values(shape))
    read = restored(through_protobuf(spelled(value)), shape)
    assert read == value
    assert json.dumps(read) == json.dumps(value) or "number" in json.dumps(shape)


@given(INTEGERS)
def test_only_integers_that_floats_do_not_hold_are_written_as_text(number) -> None:
    assert isinstance(spelled(number), str) is (abs(number) > MAX_EXACT)
    assert int(float(MAX_EXACT)) == MAX_EXACT


def test_a_reference_leads_to_the_integer_of_a_definition() -> None:
    schema = {
        "type": "object",
        "properties": {"order": {"$ref": "#/$defs/Order"}},
        "$defs": {"Order": {"type": "object", "properties": {"number": {"type": "integer"}}}},
    }
    assert restored({"order": {"number": "9007199254740993"}}, schema) == {"order": {"number": 9007199254740993}}


def test_a_schema_that_refers_to_itself_is_followed_no_further_than_the_value() -> None:
    schema = {
        "type": "object",
        "properties": {"next": {"$ref": "#"}, "n": {"type": "integer"}},
        "anyOf": [{"$ref": "#"}],
    }
    assert restored({"next": {"next": {"n": 3.0}}}, schema) == {"next": {"next": {"n": 3}}}


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("9007199254740993", {"type": "string"}),
        ("9007199254740993", {"type": ["string", "integer"]}),
        ("42", {"type": "integer"}),
        ("99999999999999999999", {"type": "integer"}),
        ("09007199254740993", {"type": "integer"}),
        (2.5, {"type": "integer"}),
        (3.0, {"type": "number"}),
        (True, {"type": "integer"}),
        ("9007199254740993", {}),
    ],
)
def test_what_may_be_what_it_is_stays_so(value, schema) -> None:
    read = restored(value, schema)
    assert (read, type(read)) == (value, type(value))


def test_a_schema_read_from_a_card_has_its_own_integers_again() -> None:
    assert Schema(whole({"type": "string", "maxLength": 3.0})).is_valid("abc")
    assert whole({"maxLength": 3.0, "multipleOf": 0.5, "list": [1.0]}) == {
        "maxLength": 3,
        "multipleOf": 0.5,
        "list": [1],
    }


def test_what_no_schema_describes_is_not_looked_through():
    # A stranger's data part is held against the schema of each tool that it could be for.
    strange = {"deep": [[1.0, 2.0]] * 3, "wide": {"x": 3.0}}
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "text": {"type": "string"}}}
    made = restored({"n": 2.0, "text": strange["deep"], **strange}, schema)
    assert made == {"n": 2, "text": strange["deep"], **strange}
    assert isinstance(made["n"], int)
    assert made["text"] is made["deep"] is strange["deep"]
    assert made["wide"] is strange["wide"]
