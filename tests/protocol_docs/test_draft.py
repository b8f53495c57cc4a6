import copy
import dataclasses
import datetime as dt
import enum
import json
import subprocess
import sys
from typing import Literal

import jsonschema_rs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol_docs import AnnexProblem, ErrorMeaning, ProtocolDocument, draft_document
from protocol_docs.examples import examples_of
from protocol_docs.tidy import tidy


class Units(enum.StrEnum):
    CELSIUS = "c"
    FAHRENHEIT = "f"


class Place(pydantic.BaseModel):
    city: str
    country: str | None = None


class Query(pydantic.BaseModel):
    """What is asked."""

    place: Place
    when: dt.date = pydantic.Field(description="The day that is meant.")
    units: Units = Units.CELSIUS
    days: int = pydantic.Field(1, ge=1, le=10)


class Forecast(pydantic.BaseModel):
    high: float
    kind: Literal["sunny", "cloudy", "rainy", "snowy"]
    alternatives: list[Place] = []


class Node(pydantic.BaseModel):
    value: int
    next: "Node | None" = None


@dataclasses.dataclass
class Booking:
    at: dt.datetime
    email: str
    guests: int


QUERY, FORECAST, NODE = (model.model_json_schema() for model in (Query, Forecast, Node))


def drafted(request=QUERY, reply=FORECAST, **options):
    given_ = {"name": "Weather", "description": "Forecast for a place.", "effect": "safe", **options}
    return draft_document(request_schema=request, reply_schema=reply, **given_)


def reordered(value):
    """The same JSON with every object's members the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


def test_the_same_schemas_draft_to_the_same_hash_in_any_order_of_members():
    assert drafted(reordered(QUERY), reordered(FORECAST)) == drafted()


def test_the_template_is_the_one_that_agents_in_the_field_have():
    """Another hash here means that no agent of an older version meets one of this version without a negotiation."""
    simple = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    document = draft_document(
        name="Weather",
        description="Forecast for a place.",
        request_schema=simple,
        reply_schema={"enum": ["sunny", "rainy"]},
        effect="safe",
        errors=[ErrorMeaning(code="no_such_city", meaning="The city is not known.")],
    )
    assert document.hash == "sha256:032812b4bf8443bb6478d8bac3564b2bb64d595ae483e8c5c8e1196ee87d124a"


def test_the_names_of_classes_and_of_definitions_do_not_change_the_hash():
    renamed = json.loads(
        json.dumps(QUERY).replace("Place", "Ort").replace("Units", "Einheiten").replace("Query", "Frage")
    )
    assert renamed != QUERY
    assert drafted(renamed) == drafted()


def test_another_process_with_another_hash_seed_drafts_the_same_bytes():
    code = (
        "import json, sys\n"
        "from protocol_docs import draft_document\n"
        "request, reply = json.load(sys.stdin)\n"
        "document = draft_document(name='Weather', description='Forecast for a place.', effect='safe',"
        " request_schema=request, reply_schema=reply)\n"
        "print(document.hash)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([QUERY, FORECAST]), capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == drafted().hash


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Other"},
        {"description": "Other"},
        {"effect": "transactional"},
        {"errors": [ErrorMeaning(code="x", meaning="y")]},
        {"request": {**QUERY, "required": ["place"]}},
        {"reply": {"type": "string"}},
        {"reply": None},
    ],
)
def test_what_means_something_else_is_another_document(change):
    assert drafted(**change) != drafted()


def test_a_draft_is_a_sound_document_that_reads_back():
    document = drafted(errors=[ErrorMeaning(code="b", meaning="B."), ErrorMeaning(code="a", meaning="A.")])
    again = ProtocolDocument.from_bytes(document.data)
    assert again.annex == document.annex
    assert again.annex_problem is None
    assert again.annex.effect == "safe"
    assert [error.code for error in again.annex.errors] == ["a", "b"]
    assert (again.name, again.description, again.multiround) == ("Weather", "Forecast for a place.", False)


def test_the_prose_names_every_member_with_its_type_and_says_what_the_examples_are():
    body = drafted().body
    for line in (
        "- `place` (required; object)",
        "  - `city` (required; text)",
        "  - `country` (optional; text or null; default null)",
        "- `when` (required; text, a date as YYYY-MM-DD): The day that is meant.",
        '- `units` (optional; one of "c", "f"; default "c")',
        "- `days` (optional; whole number, at least 1, at most 10; default 1)",
        '- `kind` (required; one of "sunny", "cloudy", "rainy", "snowy")',
        "- `alternatives` (optional; list of object; default [])",
    ):
        assert line in body.split("\n")
    assert "synthetic" in body
    assert "no promise" in body


@pytest.mark.parametrize("schema", [QUERY, FORECAST, NODE, pydantic.TypeAdapter(Booking).json_schema()])
def test_examples_fit_the_schema_as_it_was_given_and_as_it_was_tidied(schema):
    document = drafted(schema, schema)
    examples = document.annex.examples
    assert 1 <= len(examples) <= 12
    for check in (
        jsonschema_rs.validator_for(schema, validate_formats=True),
        jsonschema_rs.validator_for(tidy(schema)),
    ):
        for example in examples:
            assert check.is_valid(example.request)
            assert check.is_valid(example.reply)


def test_examples_show_each_optional_member_there_and_not_and_each_enum_value():
    requests = [example.request for example in drafted().annex.examples]
    for member in ("units", "days"):
        assert {member in request for request in requests} == {True, False}
    assert {"country" in request["place"] for request in requests} == {True, False}
    assert {request.get("units", "c") for request in requests} == {"c", "f"}
    assert None in [request["place"].get("country") for request in requests]
    replies = [example.reply for example in drafted().annex.examples]
    assert {reply["kind"] for reply in replies} == {"sunny", "cloudy", "rainy", "snowy"}


def test_the_first_example_is_the_fullest_and_texts_tell_members_apart():
    first = drafted().annex.examples[0].request
    assert set(first) == {"place", "when", "units", "days"}
    assert first["place"]["city"] != first["place"]["country"]
    dt.date.fromisoformat(first["when"])


def test_free_text_has_no_schema_and_no_examples():
    document = drafted(None, None)
    assert document.annex.request_schema is document.annex.reply_schema is None
    assert document.annex.examples == ()
    assert "The body of the request is free text." in document.body


@pytest.mark.parametrize("schema", [{"type": "thing"}, {"$ref": "http://example.com/x"}, {"$ref": "#/nothing"}])
def test_what_is_no_self_contained_schema_cannot_be_drafted(schema):
    with pytest.raises(AnnexProblem):
        drafted(schema)


def test_the_schema_given_is_left_as_it_was():
    before = copy.deepcopy(QUERY)
    drafted()
    assert before == QUERY


@pytest.mark.parametrize(
    ("schema", "holds"),
    [
        ({"type": "integer", "minimum": 3, "maximum": 5}, lambda value: 3 <= value <= 5),
        ({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5}, lambda value: value == 4),
        ({"type": "integer", "multipleOf": 7, "minimum": 8}, lambda value: value % 7 == 0),
        ({"type": "integer", "maximum": -5}, lambda value: value <= -5),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.1}, lambda value: 0 < value < 0.1),
        ({"type": "number", "multipleOf": 0.01}, lambda value: round(value * 100) == pytest.approx(value * 100)),
        ({"type": "string", "minLength": 30, "maxLength": 31}, lambda value: 30 <= len(value) <= 31),
        ({"type": "string", "maxLength": 2}, lambda value: len(value) <= 2),
        ({"type": "string", "maxLength": 0}, lambda value: value == ""),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, lambda value: value.isupper()),
        ({"type": "string", "format": "date"}, dt.date.fromisoformat),
        ({"type": "string", "format": "date-time"}, lambda value: value.endswith("Z")),
        ({"type": "string", "format": "email"}, lambda value: "@example.com" in value),
        ({"type": "string", "format": "uri"}, lambda value: value.startswith("https://example.com")),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, lambda value: len(value) >= 3),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, lambda value: len(value) <= 1),
        (
            {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True},
            lambda value: len(set(value)) == len(value),
        ),
        ({"const": {"a": 1}}, lambda value: value == {"a": 1}),
        ({"type": ["string", "null"]}, lambda value: value is None or value),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, lambda value: isinstance(value, dict)),
        (
            {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["a"], "type": "object"}]},
            lambda value: "a" in value,
        ),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, lambda value: isinstance(value, int | str)),
        ({}, lambda value: True),
    ],
)
def test_examples_keep_to_each_constraint(schema, holds):
    examples = examples_of(schema)
    assert examples
    check = jsonschema_rs.validator_for(schema, validate_formats=True)
    for value in examples:
        assert check.is_valid(value)
        assert holds(value) is not False


def test_each_branch_each_enum_value_and_each_type_has_an_example():
    assert len(examples_of({"enum": list("abcdefgh")})) == 8
    assert {type(value) for value in examples_of({"type": ["integer", "string", "null", "boolean"]})} == {
        int,
        str,
        type(None),
        bool,
    }
    assert {tuple(value) for value in examples_of({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]})} >= {
        ("a",),
        ("b",),
    }


@pytest.mark.parametrize(
    "schema", [{"not": {}}, {"type": "string", "pattern": "^\\u0400{7}x$"}, {"minItems": 9000, "type": "array"}]
)
def test_where_the_rules_make_no_value_there_is_no_example(schema):
    assert examples_of(schema) == []
    assert drafted(schema).annex.examples == ()


def test_a_recursive_schema_ends():
    assert any(value["next"] for value in examples_of(NODE) if "next" in value)
    endless = {
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
        "$ref": "#/$defs/n",
    }
    assert examples_of(endless) == []


leaves = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "email"},
        {"type": "string", "minLength": 5, "maxLength": 8},
        {"type": "integer", "minimum": -2, "maximum": 2},
        {"type": "number", "minimum": 0},
        {"type": "boolean"},
        {"enum": ["a", "b", None]},
        {"const": 5},
    ]
)


def compound(inner):
    names = st.dictionaries(st.sampled_from(["a", "b", "c d", "$ref", "title", "\u5929"]), inner, max_size=4)
    return st.one_of(
        st.tuples(names, st.booleans()).map(
            lambda pair: {
                "type": "object",
                "properties": pair[0],
                "required": sorted(pair[0])[:2],
                "additionalProperties": pair[1],
            }
        ),
        st.tuples(inner, st.integers(0, 2)).map(lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}),
        st.tuples(inner, inner).map(lambda pair: {"anyOf": list(pair)}),
        st.tuples(inner, inner).map(
            lambda pair: (
                {
                    "$defs": {"one": pair[0]},
                    "type": "object",
                    "properties": {"x": {"$ref": "#/$defs/one"}, "y": pair[1]},
                }
                if "$defs" not in json.dumps(pair)
                else {"anyOf": [pair[1]]}
            )
        ),
    )


schemas = st.recursive(leaves, compound, max_leaves=8).filter(
    lambda schema: '"$defs"' not in json.dumps(list(schema.values())) or "$defs" in schema
)


@settings(max_examples=40)
@given(schemas)
def test_examples_of_any_schema_fit_it_and_come_out_the_same_again(schema):
    check = jsonschema_rs.validator_for(schema, validate_formats=True)
    made = examples_of(schema)
    assert all(check.is_valid(value) for value in made)
    assert made == examples_of(reordered(schema)) == examples_of(schema)


@settings(max_examples=40)
@given(
    schemas,
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["a", "2025-01-15"]),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abxy"), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_tidying_changes_nothing_that_a_schema_accepts(schema, value):
    tidied = tidy(schema)
    assert tidy(tidied) == tidied
    before, after = (jsonschema_rs.validator_for(each, validate_formats=True) for each in (schema, tidied))
    for each in (value, *examples_of(schema)):
        assert before.is_valid(each) == after.is_valid(each)


def test_tidying_keeps_a_member_called_title_and_drops_the_annotation():
    schema = {
        "title": "T",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"title": {"title": "Title", "type": "string"}},
    }
    assert tidy(schema) == {"properties": {"title": {"type": "string"}}}


@pytest.mark.parametrize(
    "schema",
    [
        NODE,
        {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a", "minLength": 5},
        {"$id": "https://example.com/s", "$defs": {"a": {"type": "string"}}, "items": {"$ref": "#/$defs/a"}},
    ],
)
def test_references_that_cannot_be_written_out_stay(schema):
    assert "$ref" in json.dumps(tidy(schema))
    assert "$defs" in tidy(schema)


def test_references_that_double_at_each_level_are_not_written_out():
    definitions = {
        f"d{level}": {"properties": {"a": {"$ref": f"#/$defs/d{level + 1}"}, "b": {"$ref": f"#/$defs/d{level + 1}"}}}
        for level in range(40)
    }
    schema = {"$defs": {**definitions, "d40": {"type": "string"}}, "$ref": "#/$defs/d0"}
    assert tidy(schema) == schema
