"""The classes that a schema divides its values into."""

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs.examples import examples_of
from protocol_docs.value_classes import MAX_CLASSES, classes_in, classes_of, variants

TEXT = {"type": "string"}
TRIP = {
    "type": "object",
    "properties": {
        "city": TEXT,
        "seat": {"enum": ["aisle", "window"]},
        "meal": {"type": ["string", "null"]},
        "legs": {"type": "array", "items": {"type": "object", "properties": {"no": TEXT, "late": {"type": "boolean"}}}},
    },
    "required": ["city"],
}


def test_a_value_is_told_by_what_is_there_what_is_not_and_what_stands_where_few_things_may() -> None:
    assert classes_of(TRIP, {"city": "Rome", "seat": "aisle", "meal": None, "legs": [{"no": "1"}]}) == {
        ("", "object"),
        ("/city", "text"),
        ("/seat", "text"),
        ("/seat", '= "aisle"'),
        ("/meal", "null"),
        ("/legs", "list"),
        ("/legs", "filled"),
        ("/legs/-", "object"),
        ("/legs/-/no", "text"),
        ("/legs/-/late", "absent"),
    }
    assert ("/seat", "absent") in classes_of(TRIP, {"city": "Rome"})
    assert ("/legs", "empty") in classes_of(TRIP, {"city": "Rome", "legs": []})


def test_what_no_example_shows_of_a_schema_is_a_class_of_its_own() -> None:
    found = classes_in(TRIP)
    assert {("/seat", "absent"), ("/seat", '= "window"'), ("/meal", "null"), ("/legs", "empty")} <= found
    assert ("/city", "absent") not in found, "what is required is always there"
    assert ("/legs/-/late", "= true") in found


def test_references_and_branches_are_followed_and_recursion_ends() -> None:
    tree = {
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "of": {"anyOf": [TEXT, {"type": "integer"}]}}}},
        "$ref": "#/$defs/node",
    }  # fmt: skip
    found = classes_in(tree)
    assert {("/next/next", "absent"), ("/of", "text"), ("/of", "number")} <= found
    assert classes_of(tree, {"next": {"of": 1}}) <= found


def test_a_schema_that_stands_for_more_than_can_be_looked_at_ends_in_bounded_work() -> None:
    doubling: dict[str, Any] = {
        f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 30, "type": "object"} for level in range(12)
    }
    doubling["d12"] = TEXT
    assert len(classes_in({"$defs": doubling, "$ref": "#/$defs/d0"})) <= MAX_CLASSES
    wide = {"type": "object", "properties": {f"p{number}": {"enum": list(range(50))} for number in range(200)}}
    assert len(classes_in(wide)) <= MAX_CLASSES + 200


names = st.sampled_from(["a", "b", "c/d", "e~f"])
leaves = st.sampled_from(
    [
        TEXT,
        {"type": "integer"},
        {"type": "boolean"},
        {"enum": ["x", "y", 1]},
        {"type": ["string", "null"]},
        {"const": 3},
    ]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda members, required: {"type": "object", "properties": members, "required": [name for name in required if name in members]},
            st.dictionaries(names, inner, max_size=3),
            st.lists(names, max_size=2, unique=True),
        ),
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"anyOf": parts}),
    ),
    max_leaves=8,
)  # fmt: skip


@given(schema=schemas)
def test_every_example_of_a_schema_falls_into_its_classes(schema: dict[str, Any]) -> None:
    known = classes_in(schema)
    for value in examples_of(schema, 64):
        assert jsonschema_rs.validator_for(schema).is_valid(value)
        assert classes_of(schema, value) <= known


@pytest.mark.parametrize(
    "schema", [TRIP, {"type": "object", "properties": {"of": {"anyOf": [TEXT, {"type": "null"}]}}}]
)
def test_examples_show_every_class(schema: dict[str, Any]) -> None:
    made = examples_of(schema, 64)
    made += variants(schema, made[0])
    assert {each for value in made for each in classes_of(schema, value)} >= classes_in(schema)


def test_a_variant_differs_in_one_place_alone() -> None:
    value = {"city": "Rome", "seat": "aisle", "legs": [{"no": "1", "late": True}, {"no": "2"}]}
    made = list(variants(TRIP, value))
    assert {"city": "Rome", "seat": "window", "legs": [{"no": "1", "late": True}, {"no": "2"}]} in made
    assert {"city": "Rome", "seat": "aisle", "legs": []} in made
    assert {"city": "Rome", "legs": [{"no": "1", "late": True}, {"no": "2"}]} in made
    assert {"city": "Rome", "seat": "aisle", "legs": [{"no": "1", "late": False}, {"no": "2"}]} in made
    assert {"city": "Rome", "seat": "aisle", "legs": [{"no": "1"}, {"no": "2"}]} in made
    assert {"city": "Rome", "seat": "aisle", "legs": [{"no": "1"}]} in made
    assert value not in made


@given(schema=schemas)
def test_variants_of_an_example_are_other_values(schema: dict[str, Any]) -> None:
    for value in examples_of(schema, 3):
        assert json.dumps(value) not in {json.dumps(each) for each in variants(schema, value)}
