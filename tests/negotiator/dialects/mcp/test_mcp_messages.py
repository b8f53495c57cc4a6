"""MCP's messages: the era is told for each, and whatever comes, it is understood or refused with a number."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.dialects import sse
from negotiator.dialects.json_rpc import RpcError
from negotiator.dialects.mcp import headers
from negotiator.dialects.mcp.messages import (
    read_call,
)
from negotiator.dialects.mcp.results import output_schema, tool_entry, tool_result
from negotiator.dialects.offered import Offered
from negotiator.errors import PeerMisspoke
from negotiator.schemas import Schema

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


def modern(method="tools/call", version="2026-07-28", **params):
    meta = META | {"io.modelcontextprotocol/protocolVersion": version}
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"_meta": meta, **params}}


def repeated(message, **changed):
    said = {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"]}
    if "name" in message["params"]:
        said["mcp-name"] = message["params"]["name"]
    return {name: value for name, value in (said | changed).items() if value is not None}


def read(message, said=None, spoken=None):
    return read_call(json.dumps(message).encode(), said, spoken)


def refused(data, said=None):
    with pytest.raises(RpcError) as caught:
        read_call(data if isinstance(data, bytes) else json.dumps(data).encode(), said)
    return caught.value


def test_a_modern_request_says_for_itself_what_it_is_in():
    message = modern(name="x", arguments={"a": 1})
    call = read(message, repeated(message))
    assert (call.kind, call.modern, call.version, call.id, call.method) == (
        "request",
        True,
        "2026-07-28",
        7,
        "tools/call",
    )


@pytest.mark.parametrize(
    ("said", "spoken", "version"),
    [
        ({"mcp-protocol-version": "2025-11-25"}, None, "2025-11-25"),
        ({}, None, "2025-03-26"),
        (None, "2024-11-05", "2024-11-05"),
    ],
)
def test_any_other_is_of_a_handshake_revision(said, spoken, version):
    call = read({"jsonrpc": "2.0", "id": "a", "method": "tools/list"}, said, spoken)
    assert (call.modern, call.version) == (False, version)


@pytest.mark.parametrize(
    "changed",
    [
        {"mcp-protocol-version": None},
        {"mcp-protocol-version": "2025-11-25"},
        {"mcp-method": None},
        {"mcp-method": "TOOLS/CALL"},
        {"mcp-name": None},
        {"mcp-name": "y"},
        {"mcp-name": "x, x"},
        {"mcp-name": "=?base64?eA=?="},
    ],
)
def test_a_header_that_disagrees_with_the_body_is_refused_under_the_requests_id(changed):
    message = modern(name="x")
    problem = refused(message, repeated(message, **changed))
    assert (problem.code, problem.id) == (-32020, 7)


def test_a_version_that_nobody_speaks_is_answered_with_those_that_are():
    message = modern(version="1999-01-01")
    problem = refused(message, repeated(message, **{"mcp-protocol-version": "1999-01-01"}))
    assert problem.code == -32022
    assert problem.data == {
        "supported": ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"],
        "requested": "1999-01-01",
    }


@pytest.mark.parametrize("lacking", list(META))
def test_what_a_modern_request_must_say_of_itself_is_missed_by_name(lacking):
    message = modern()
    del message["params"]["_meta"][lacking]
    problem = refused(message, repeated(message))
    assert problem.code == -32602
    assert lacking in str(problem)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "x", "params": NaN}', -32700),
        (b"\xff\xfe", -32700),
        (b'"text"', -32700),
        (b'{"a":' * 100 + b"1" + b"}" * 100, -32700),
        (b"[]", -32600),
        (b' [{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600),
        (b"{}", -32600),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "ping"}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": [1]}', -32602),
    ],
)
def test_what_is_no_message_is_refused_with_its_number(data, code):
    assert refused(data, {}).code == code


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_arbitrary_bytes_are_understood_or_refused_and_never_more(data, over_http):
    with suppress(RpcError):
        read_call(data, {"mcp-protocol-version": "2026-07-28"} if over_http else None)


@given(JSON)
def test_arbitrary_parameters_of_a_call_are_understood_or_refused(params):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    if isinstance(params, dict):
        assert read(message).params == params
    else:
        assert refused(message).code == -32602


# --- headers ---


@given(st.text(max_size=40).filter(lambda text: not any(0xD800 <= ord(each) <= 0xDFFF for each in text)))
def test_any_text_survives_a_header(text):
    written = headers.write_value(text)
    assert headers.read_value(written) == text
    assert written.isascii()
    assert written.isprintable() or not written
    assert written == written.strip()


ANNOTATED = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
    },
}


@pytest.mark.parametrize(
    ("arguments", "said", "agree"),
    [
        ({"region": "eu"}, {"mcp-param-region": "eu"}, True),
        ({"region": "é"}, {"mcp-param-region": "=?base64?w6k=?="}, True),
        ({"region": "eu", "deep": {"n": 42}}, {"mcp-param-region": "eu", "mcp-param-n": "42.0"}, True),
        ({}, {}, True),
        ({"region": "eu"}, {}, False),
        ({}, {"mcp-param-region": "eu"}, False),
        ({"region": "eu"}, {"mcp-param-region": "us"}, False),
        ({"region": "eu"}, {"mcp-param-region": "EU"}, False),
        ({"deep": {"n": 42}}, {"mcp-param-n": "42.5"}, False),
        ({"deep": {"n": True}}, {"mcp-param-n": "1"}, False),
        ({"deep": 5}, {"mcp-param-n": "5"}, False),
    ],
)
def test_a_parameter_that_a_header_repeats_is_the_same_in_both(arguments, said, agree):
    assert (headers.disagreement(ANNOTATED, arguments, said) is None) == agree


@given(st.fixed_dictionaries({}, optional={"region": st.text(max_size=9), "deep": st.just({"n": 3})}))
def test_what_we_repeat_agrees(arguments):
    assert headers.disagreement(ANNOTATED, arguments, headers.write_params(ANNOTATED, arguments)) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "x-mcp-header": "A"},
        {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": "A b"}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": ""}}},
        {"properties": {"a": {"type": "string", "x-mcp-header": 5}}},
        {"properties": {"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}},
        {"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]},
        {"properties": {n: {"type": "string", "x-mcp-header": n} for n in "aA"}},
    ],
)
def test_a_schema_that_annotates_what_none_may_is_told(schema):
    with pytest.raises(headers.Misused):
        headers.param_headers(schema)


def test_an_annotation_within_data_is_none():
    assert headers.param_headers({"properties": {"a": {"default": {"x-mcp-header": "A"}}}}) == []


# --- events ---


@given(st.lists(st.text(max_size=20).map(lambda text: json.dumps(text).encode()), max_size=5), st.data())
def test_events_survive_any_cut(messages, data):
    stream = b"".join(sse.event(each) + sse.KEEP_ALIVE for each in messages)
    reader, found = sse.EventReader(1000), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


def test_events_of_others_are_read_and_too_large_ones_are_not():
    reader = sse.EventReader(10)
    assert reader.feed(b"id: 1\r\ndata: a\r\ndata:b\r\n\r\nevent: x\n\ndata\n\n") == [b"a\nb", b""]
    with pytest.raises(PeerMisspoke):
        reader.feed(b"data: " + b"x" * 11)
    with pytest.raises(PeerMisspoke):
        sse.EventReader(10).feed(b"data: 12345678\ndata: 12345678\n")


# --- tools ---


def tool(output):
    return Offered(name="t", description="d", input={"properties": {}}, output=output, effect="safe")


def test_a_result_that_is_no_object_is_put_into_one_where_only_objects_are_known():
    listed = tool({"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer"}}})
    schema = output_schema(listed, "2025-11-25")
    made = tool_result(5, listed, "2025-11-25")
    assert made["structuredContent"] == {"result": 5}
    Schema.of(schema).check(made["structuredContent"])
    assert output_schema(listed, "2026-07-28") == listed.output
    assert tool_result(5, listed, "2026-07-28")["structuredContent"] == 5
    assert made["content"] == [{"type": "text", "text": "5"}]


def test_the_oldest_revisions_get_no_field_that_they_do_not_know():
    listed = tool({"type": "object"})
    assert "outputSchema" not in tool_entry(listed, "2025-03-26")
    assert "structuredContent" not in tool_result({"a": 1}, listed, "2025-03-26")


def test_a_schema_that_names_its_own_root_is_left_out_where_it_would_have_to_move():
    assert output_schema(tool({"type": "array", "items": {"$ref": "#"}}), "2025-11-25") is None


def test_text_is_said_as_it_is():
    assert tool_result("a b", tool({"type": "string"}), "2026-07-28")["content"] == [{"type": "text", "text": "a b"}]


def test_an_input_schema_is_always_one_of_an_object():
    assert tool_entry(tool({}), "2026-07-28")["inputSchema"]["type"] == "object"
