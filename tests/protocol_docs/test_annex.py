import json
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol_docs import Annex, AnnexProblem, ErrorMeaning, Example, ProtocolDocument, render_document
from protocol_docs.annex import validator

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SOUND = Annex(
    request_schema=CITY,
    reply_schema={"type": "object", "required": ["high"], "properties": {"high": {"type": "number"}}},
    errors=(ErrorMeaning(code="no_such_city", meaning="The city is not known."),),
    effect="safe",
    supersedes="sha256:" + "a" * 64,
    examples=(
        Example(request={"city": "Rome"}, reply={"high": 14.5}),
        Example(request={"city": "```\n## Annex"}, reply={"error": {"code": "no_such_city", "detail": "?"}}),
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


def with_annex(content):
    return ProtocolDocument.from_text(f"name: a\ndescription: b\n---\nProse.\n\n## Annex\n\n```json\n{content}\n```\n")


def test_an_annex_reads_back_as_it_was_written():
    document = render_document(name="n", description="d", body="Prose.", annex=SOUND)
    assert (document.annex, document.annex_problem, document.body) == (SOUND, None, "Prose.")
    assert render_document(name="n", description="d", body=document.body, annex=document.annex) == document


@settings(max_examples=40)
@given(st.lists(st.tuples(json_values, json_values), max_size=4))
def test_examples_of_any_json_read_back_as_they_were_written(pairs):
    annex = Annex(examples=tuple(Example(request=request, reply=reply) for request, reply in pairs))
    document = render_document(name="n", description="d", body="b", annex=annex)
    assert document.annex == annex


def test_a_document_without_the_section_has_no_annex_and_no_problem():
    document = ProtocolDocument.from_text("The annex says more.\n")
    assert (document.annex, document.annex_problem) == (None, None)


def test_the_last_section_of_that_name_counts_and_unknown_members_are_ignored():
    document = ProtocolDocument.from_text(
        '## Annex\n\n```json\n{"effect": "transactional"}\n```\n\n## Annex  \r\n\n```json\r\n{"effect": "safe", "x": 1}\n```\n'
    )
    assert document.annex == Annex(effect="safe")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        "null",
        '{"effect": "safe"} {}',
        '{"effect": "safe", "effect": "transactional"}',
        '{"effect": "sometimes"}',
        '{"effect": []}',
        '{"request_schema": []}',
        '{"request_schema": {"type": "thing"}}',
        '{"request_schema": {"type": "string", "pattern": "["}}',
        '{"request_schema": {"$ref": "#/$defs/nothing"}}',
        '{"errors": [{"code": "has blank", "meaning": ""}]}',
        '{"errors": [{"code": "x"}]}',
        '{"errors": ["x"]}',
        '{"errors": {}}',
        '{"supersedes": "latest"}',
        '{"supersedes": 5}',
        '{"examples": [{"request": 1}]}',
        '{"examples": 5}',
        '{"request_schema": {"type": "string"}, "examples": [{"request": 1, "reply": 1}]}',
        '{"reply_schema": {"type": "string"}, "examples": [{"request": 1, "reply": {"error": {"code": "new"}}}]}',
        '{"examples": [{"request": 1e999, "reply": 1}]}',
        '{"examples": [{"request": NaN, "reply": 1}]}',
        '{"examples": [{"request": "\\ud800", "reply": 1}]}',
        '{"examples": [{"request": ' + "9" * 5000 + ', "reply": 1}]}',
        '{"examples": [{"request": ' + "[" * 70 + "]" * 70 + ', "reply": 1}]}',
        '{"examples": [{"request": ' + "[" * 50_000 + "]" * 50_000 + ', "reply": 1}]}',
        json.dumps({"examples": [{"request": 1, "reply": 1}] * 65}),
    ],
)
def test_a_bad_annex_of_a_stranger_is_none_and_says_why(content):
    document = with_annex(content)
    assert document.annex is None
    assert document.annex_problem
    assert len(document.annex_problem) <= 300
    assert document.body == "Prose."


def test_a_section_without_a_block_says_so():
    document = ProtocolDocument.from_text("## Annex\n\nSee elsewhere.\n")
    assert document.annex is None
    assert document.annex_problem == "the section Annex holds no block of json"


def test_a_bad_annex_cannot_be_rendered():
    annex = Annex(request_schema=CITY, examples=(Example(request={}, reply=None),))
    with pytest.raises(AnnexProblem):
        render_document(name="n", description="d", body="b", annex=annex)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema"},
        {"properties": {"a": {"items": [{"$ref": "file:///etc/passwd"}]}}},
        {"$dynamicRef": "https://example.com/x#y"},
        {"$schema": "http://127.0.0.1:9/meta"},
        {"$ref": "other.json"},
        {"$id": "http://127.0.0.1:9/", "$ref": "other"},
        {"properties": {"a": {"$schema": "http://127.0.0.1:9/meta", "$id": "urn:x"}}},
    ],
)
def test_no_schema_makes_the_reader_open_anything(schema):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        here = f"127.0.0.1:{listener.getsockname()[1]}/"
        with_annex(json.dumps({"request_schema": schema}).replace("127.0.0.1:9/", here))
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema", "file:///etc/passwd", "other.json"])
def test_a_schema_that_refers_to_something_outside_itself_is_no_annex(reference):
    document = with_annex(json.dumps({"request_schema": {"items": {"$ref": reference}}}))
    assert document.annex is None
    assert "outside itself" in document.annex_problem


def test_a_member_or_a_value_called_ref_is_no_reference():
    schema = {"properties": {"$ref": {"type": "string"}, "a": {"const": {"$ref": "http://example.com"}}}}
    assert with_annex(json.dumps({"request_schema": schema})).annex


def test_a_pattern_that_backtracks_for_ever_is_given_up_on():
    check = validator({"type": "string", "pattern": r"^(a+)+\1$"})
    assert not check.is_valid("a" * 200 + "b")


def test_look_around_in_a_pattern_is_understood():
    check = validator({"type": "string", "pattern": r"^(?!0)\d+$"})
    assert check.is_valid("10")
    assert not check.is_valid("01")


def test_an_error_reply_is_told_from_a_reply():
    assert SOUND.error_in({"error": {"code": "no_such_city", "detail": "?"}}) == SOUND.errors[0]
    for reply in ({"error": {"code": "other"}}, {"error": {"code": "no_such_city"}, "high": 1}, {"high": 1}, "x", None):
        assert SOUND.error_in(reply) is None
