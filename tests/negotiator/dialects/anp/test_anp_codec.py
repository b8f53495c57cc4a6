"""ANP's codec: envelopes, descriptions as they are found, OpenRPC both ways, artifacts. Pure."""

import copy
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.dialects.anp.artifact import (
    ArtifactRefused,
    exportable,
    method_of,
    read_artifact,
    write_artifact,
)
from negotiator.dialects.anp.binding import Meta, PeerRefused, Target, moment, read_call, read_response, write_call
from negotiator.dialects.anp.description import read_description, read_page, write_page
from negotiator.dialects.anp.negotiating import (
    Negotiate,
    artifact_digest,
    at,
    digest_of,
    read_capabilities,
    read_digest,
    read_negotiate,
    read_result,
    spelt,
    write_negotiate,
)
from negotiator.dialects.anp.openrpc import read_interface, write_interface
from negotiator.dialects.json_rpc import RpcError
from negotiator.dialects.offered import Offered
from negotiator.errors import PeerMisspoke
from protocol_docs import ErrorMeaning, ProtocolDocument, draft_document
from protocol_docs.tidy import tidy

HERE = "https://hotel.example/anp/ad.json"
TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TAKES = obj(city=TEXT, days={"type": "integer", "minimum": 1})
GIVES = obj(high={"type": "integer"}, sky={"enum": ["blue", "grey"]})

# --- envelopes ---

words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20)
values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | words, lambda each: st.lists(each, max_size=3))
metas = st.builds(
    Meta,
    profile=words,
    security_profile=st.sampled_from(["transport-protected", "direct-e2ee", "group-e2ee"]),
    sender_did=st.none() | words.map(lambda each: f"did:wba:{each}"),
    target=st.none() | st.builds(Target, st.sampled_from(["agent", "group", "service"]), words.map("did:x:{}".format)),
    operation_id=st.none() | words,
    created_at=st.none() | st.integers(0, 4_000_000_000).map(at),
    content_type=st.none() | st.just("application/json"),
)


@given(identifier=words, meta=metas, body=st.dictionaries(words, values, max_size=4))
def test_a_request_that_is_written_is_read_as_it_was(identifier: str, meta: Meta, body: dict[str, Any]) -> None:
    sent = write_call(identifier, "anp.negotiate", meta, body)
    call = read_call(orjson.dumps(sent))
    assert (call.id, call.meta, call.body) == (identifier, meta, body)
    assert call.signed == {"method": "anp.negotiate", "meta": sent["params"]["meta"], "body": body}


@given(st.binary(max_size=200) | st.builds(orjson.dumps, values))
def test_whatever_else_comes_is_a_typed_error(data: bytes) -> None:
    with pytest.raises(RpcError):
        read_call(data)
    with pytest.raises(PeerMisspoke):
        read_response(data, "1")
    for read in (read_description, read_page):
        with pytest.raises(PeerMisspoke):
            read(data, HERE)
    with pytest.raises(PeerMisspoke):
        read_interface(data, HERE)
    with pytest.raises(ArtifactRefused):
        read_artifact(data)


@pytest.mark.parametrize("answer", [{"result": 1, "error": {"code": 1}}, {}, {"result": 1, "id": "other"}])
def test_a_response_that_is_none_of_ours_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(PeerMisspoke):
        read_response(orjson.dumps({"jsonrpc": "2.0", "id": "1", **answer}), "1")


def test_an_error_keeps_its_number_and_word() -> None:
    error = {"code": 1604, "message": "no", "data": {"anp_code": "meta.unsupported_security_profile"}}
    with pytest.raises(PeerRefused) as raised:
        read_response(orjson.dumps({"jsonrpc": "2.0", "id": "1", "error": error}), "1")
    assert (raised.value.problem.code, raised.value.problem.anp_code) == (1604, "meta.unsupported_security_profile")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T01:00:10+01:00", 10.0),
        ("1970-01-01t00:00:10z", 10.0),
        ("1970-01-01", None),
        ("1970-01-01T00:00:10", None),
        ("1970-13-01T00:00:10Z", None),
        ("10", None),
    ],
)
def test_times_are_those_of_rfc_3339(text: str, seconds: float | None) -> None:
    assert moment(text) == seconds


# --- negotiating ---


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_has_one_spelling_and_is_read_back(digest: bytes) -> None:
    ours = "sha256:" + digest.hex()
    assert read_digest(spelt(ours)) == ours
    assert "=" not in spelt(ours)
    assert artifact_digest(f"https://a.example/anp/artifacts/{spelt(ours)}") == ours
    assert artifact_digest(spelt(ours)) == ours


@pytest.mark.parametrize(
    "text", ["", "sha-256:", "sha-256:AAAA", "anp.rpc.v1", "https://a.example/x", "sha1:" + "0" * 40]
)
def test_what_names_no_document_is_no_artifact(text: str) -> None:
    assert artifact_digest(text) is None


def test_the_digest_does_not_hang_on_the_order_of_members() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})


def test_a_body_is_spelt_as_the_specification_spells_it() -> None:
    body = {
        "negotiation_id": "n",
        "mode": "structured_selection",
        "intent": {"name": "book", "intentTags": ["hotel"], "inputSummary": {"city": "Rome"}},
        "requiredCapabilities": ["cap.book"],
        "callerCapabilities": {"supportedProfiles": ["anp.rpc.v1"], "limits": {"max_message_bytes": "10"}},
        "constraints": {"preferredInterfaceTypes": ["StructuredInterface"], "maxLatencyMs": 3000},
        "candidateInterfaceRefs": ["i"],
        "candidateProtocols": ["sha-256:x", {"protocol_id": "p"}],
    }
    assert write_negotiate(read_negotiate(body)) == body


def test_fields_in_another_spelling_are_unknown_ones() -> None:
    with pytest.raises(RpcError):
        read_negotiate({"intent": {}, "required_capabilities": []})
    assert read_negotiate({"intent": {}, "constraints": {"max_latency_ms": 1}}).constraints.model_extra


def test_the_mode_is_structured_selection_unless_said_otherwise() -> None:
    assert read_negotiate({"intent": {}}).mode == "structured_selection"
    assert isinstance(read_negotiate({"intent": {}}), Negotiate)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"negotiationId": "n", "status": "maybe"},
        {"negotiationId": "n", "status": "accepted"},
        {"negotiationId": "", "status": "rejected"},
        {"negotiationId": "n", "status": "rejected", "validUntil": "soon"},
    ],
)
def test_a_result_that_is_not_whole_is_refused(value: Any) -> None:
    with pytest.raises(PeerMisspoke):
        read_result(value)


def test_capabilities_need_who_says_them_and_what_is_spoken() -> None:
    whole = {"service_did": "did:x:y", "supported_profiles": ["a", 1], "supported_security_profiles": ["b"]}
    read = read_capabilities({**whole, "limits": {"max_request_bytes": "10", "odd": []}})
    assert (read.profiles, read.limits) == (("a",), {"max_request_bytes": "10"})
    for member in whole:
        with pytest.raises(PeerMisspoke):
            read_capabilities({name: value for name, value in whole.items() if name != member})


def test_capabilities_that_are_other_have_another_digest() -> None:
    whole = {"service_did": "did:x:y", "supported_profiles": ["a", "b"], "supported_security_profiles": ["c"]}
    same = {**whole, "supported_profiles": ["b", "a"]}
    assert read_capabilities(whole).digest == read_capabilities(same).digest
    for changed in ({"supported_profiles": ["a"]}, {"limits": {"x": "1"}}, {"x_interface": "other"}):
        assert read_capabilities({**whole, **changed}).digest != read_capabilities(whole).digest


# --- descriptions, as they are found ---

META_INTERFACE = {
    "type": "MetaProtocolInterface",
    "profile": "anp.meta.negotiation.v1",
    "binding": "jsonrpc-2.0",
    "url": "https://hotel.example/anp",
    "methods": ["anp.get_capabilities", "anp.negotiate"],
}


@pytest.mark.parametrize(
    "described",
    [
        {"type": "AgentDescription", "did": "did:x:y", "security": "didwba_sc"},
        {"type": "Product", "identifier": "did:x:y", "security": {"didwba": {"scheme": "didwba"}}},
        {"@type": "ad:AgentDescription", "@id": "did:x:y"},
        {"@type": ["Thing", "AgentDescription"], "did": "did:x:y"},
    ],
)
def test_the_variants_of_a_description_are_one(described: dict[str, Any]) -> None:
    read = read_description(orjson.dumps({"name": "Hotel", "interfaces": [META_INTERFACE], **described}), HERE)
    assert (read.name, read.did) == ("Hotel", "did:x:y")
    assert read.negotiation is not None
    assert read.negotiation.url == "https://hotel.example/anp"


@pytest.mark.parametrize("member", ["type", "profile", "binding", "url", "methods"])
def test_an_interface_that_lacks_what_negotiating_takes_is_none(member: str) -> None:
    lacking = {name: value for name, value in META_INTERFACE.items() if name != member}
    other = {**META_INTERFACE, member: "another"}
    for interface in (lacking, other):
        read = read_description(orjson.dumps({"type": "AgentDescription", "interfaces": [interface]}), HERE)
        if member != "url" or interface is lacking:
            assert read.negotiation is None


@pytest.mark.parametrize("member", ["content", "definition"])
def test_interfaces_inside_a_description_are_read(member: str) -> None:
    kind = "StructuredInterface" if member == "content" else "InlineOpenRPC"
    document = write_interface(title="x", version="1", url="/rpc", methods=[])
    described = {"type": "Product", "interfaces": [{"type": kind, "protocol": "openrpc", member: document}]}
    [interface] = read_description(orjson.dumps(described), HERE).structured()
    assert interface.content == document


def test_a_page_is_read_whatever_its_items_are_called_by() -> None:
    items: list[Any] = [{"@id": "/a/ad.json"}, {"id": "b/ad.json"}, {"url": "https://c.example/ad.json"}, 7, {}]
    page = read_page(orjson.dumps({"items": items, "next": "?page=2"}), "https://x.example/.well-known/agents")
    assert [url for _, url in page.agents] == [
        "https://x.example/a/ad.json",
        "https://x.example/.well-known/b/ad.json",
        "https://c.example/ad.json",
    ]
    assert page.next == "https://x.example/.well-known/agents?page=2"


def test_a_page_of_ours_is_read_back() -> None:
    page = read_page(orjson.dumps(write_page("https://x.example/p", [("A", HERE)])), "https://x.example/p")
    assert page.agents == (("A", HERE),)
    assert page.next is None


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:x", "ftp://x.example/"])
def test_addresses_that_are_none_of_http_are_passed_over(url: str) -> None:
    described = {"type": "Product", "interfaces": [{**META_INTERFACE, "url": url}]}
    assert read_description(orjson.dumps(described), HERE).negotiation is None


# --- OpenRPC ---


def offered(**changed: Any) -> Offered:
    whole: dict[str, Any] = {"name": "forecast", "description": "Weather", "input": TAKES, "output": GIVES}
    return Offered(**{**whole, "effect": "safe", **changed})


def test_a_tool_comes_back_from_its_interface_as_the_same_document() -> None:
    written = write_interface(title="x", version="1", url="https://hotel.example/rpc", methods=[offered()])
    [method] = read_interface(orjson.dumps(written), HERE)
    assert method.url == "https://hotel.example/rpc"
    document = draft_document(
        name="forecast", description="Weather", request_schema=TAKES, reply_schema=GIVES, effect="safe"
    )
    assert method.tool.document.hash == document.hash


NODE = {
    "type": "object",
    "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}},
    "required": ["value"],
}


def test_schemas_that_refer_to_themselves_go_through_the_components() -> None:
    takes = {**obj(list={"$ref": "#/$defs/Node"}), "$defs": {"Node": NODE}}
    written = write_interface(title="x", version="1", url="/rpc", methods=[offered(input=takes)])
    assert list(written["components"]["schemas"]) == ["forecast.input.Node"]
    assert "$defs" not in json.dumps(written)
    [method] = read_interface(written, HERE)
    annex = method.tool.document.annex
    assert annex is not None
    from protocol_docs.annex import validator

    check = validator(annex.request_schema or {})
    assert check.is_valid({"list": {"value": 1, "next": {"value": 2, "next": None}}})
    assert not check.is_valid({"list": {"value": 1, "next": {"value": "x"}}})


def test_what_pydantic_makes_of_a_parameter_is_read_as_the_sdk_emits_it() -> None:
    schema = {"$defs": {"Guest": obj(name=TEXT)}, "type": "object", "properties": {"guest": {"$ref": "#/$defs/Guest"}}}
    entry = {"name": "book", "description": "Book", "params": [{"name": "who", "schema": schema, "required": True}]}
    document = {"openrpc": "1.3.2", "methods": [entry], "servers": [{"url": "/rpc"}]}
    [method] = read_interface(document, HERE)
    annex = method.tool.document.annex
    assert annex is not None
    assert annex.request_schema is not None
    assert annex.request_schema["properties"]["who"] == tidy(schema)
    assert annex.effect == "transactional"  # where nothing says otherwise


@pytest.mark.parametrize(
    "entry",
    [
        {"name": 1, "params": []},
        {"name": "a", "params": {}},
        {"name": "a", "params": [{"name": "x", "schema": {"$ref": "https://elsewhere.example/x"}}]},
        {"name": "a", "params": [{"name": "x", "schema": {"type": "nothing"}}]},
        {"name": "a", "params": [], "paramStructure": "by-position"},
        {"name": "a", "params": [{"name": "x", "schema": {"$ref": "#/components/schemas/Missing"}}]},
        {"name": "a", "params": [{"name": "x", "schema": {"$defs": {"A": 7}, "required": [{}]}}]},
    ],
)
def test_a_method_that_cannot_be_used_is_passed_over(entry: dict[str, Any]) -> None:
    document = {"openrpc": "1.3.2", "methods": [entry], "servers": [{"url": "/rpc"}]}
    assert read_interface(document, HERE) == []


def test_a_method_that_is_called_nowhere_is_passed_over() -> None:
    document = {"openrpc": "1.3.2", "methods": [{"name": "a", "params": []}]}
    assert read_interface(document, HERE) == []
    assert len(read_interface(document, HERE, servers=[{"url": "/rpc"}])) == 1


# --- artifacts ---


def a_document() -> ProtocolDocument:
    error = ErrorMeaning(code="unknown_city", meaning="There is no such city.")
    return draft_document(
        name="forecast",
        description="Weather forecast",
        request_schema=TAKES,
        reply_schema=GIVES,
        effect="safe",
        errors=[error],
    )


@pytest.fixture
def artifact() -> dict[str, Any]:
    return write_artifact(a_document(), "https://hotel.example", "did:x:y")


def test_an_artifact_carries_its_document_and_everything_read_off_it(artifact: dict[str, Any]) -> None:
    document = a_document()
    read = read_artifact(orjson.dumps(artifact), wanted=document.hash)
    assert (read.document, read.digest, read.method) == (document, document.hash, method_of(document))
    assert artifact["digest"] == spelt(document.hash)
    [method] = artifact["methods"]
    assert method["request_schema"] == tidy(TAKES)
    assert len(artifact["examples"]) == len(document.annex.examples if document.annex else ())
    assert {each["valid"] for each in artifact["tests"]} == {True, False}


def test_another_digest_than_the_one_that_was_selected_is_refused(artifact: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused, match="another digest"):
        read_artifact(artifact, wanted="sha256:" + "0" * 64)


def changed(artifact: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    made = copy.deepcopy(artifact)
    node: Any = made
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["digest"], "sha-256:" + "A" * 43),
        (["digest"], "md5:x"),
        (["digest"], None),
        (["document"], "another text"),
        (["document"], 7),
        (["code"], "import os"),
        (["install"], ["pip"]),
        (["permissions"], ["*"]),
        (["methods", 0, "handler"], "x"),
        (["methods", 0, "request_schema"], {"type": "object"}),
        (["methods", 0, "response_schema"], True),
        (["methods", 0, "request_schema_uri"], "file:///etc/passwd"),
        (["methods", 0, "effect"], "none"),
        (["methods", 0, "name"], "another"),
        (["methods"], []),
        (["methods"], [{"name": "a"}, {"name": "b"}]),
        (["protocol_uri"], "javascript:x"),
        (["depends_on_profiles"], ["anp.direct.e2ee.v2"]),
        (["security_profiles"], ["direct-e2ee"]),
        (["content_types"], ["text/plain"]),
        (["examples", 0, "request"], {"city": 1}),
        (["examples", 0, "response"], {"high": 7, "sky": "blue", "more": 1}),
        (["examples", 0, "script"], "x"),
        (["tests", 0, "valid"], False),
        (["tests", -1, "valid"], True),
        (["tests"], "x"),
        (["publisher"], "somebody"),
    ],
)
def test_an_artifact_with_a_wrong_or_unsafe_part_is_refused(
    artifact: dict[str, Any], path: list[Any], value: Any
) -> None:
    assert read_artifact(artifact)
    with pytest.raises(ArtifactRefused):
        read_artifact(changed(artifact, path, value))


def test_an_example_that_is_none_of_the_documents_is_refused(artifact: dict[str, Any]) -> None:
    added = {**artifact["examples"][0], "request": {"city": "somewhere else", "days": 7}}
    with pytest.raises(ArtifactRefused, match="none of its document"):
        read_artifact({**artifact, "examples": [added]})


def foreign(**more: Any) -> dict[str, Any]:
    made = {
        "protocol_id": "example.product-info.v1",
        "version": "1.0",
        "methods": [{"name": "product.get_info", "request_schema": TAKES, "response_schema": GIVES}],
        "security_profiles": ["transport-protected"],
        **more,
    }
    return {**made, "digest": digest_of(made)}


def test_an_artifact_of_somebody_elses_becomes_a_document_of_its_schemas() -> None:
    read = read_artifact(foreign())
    assert read.method == "product.get_info"
    annex = read.document.annex
    assert annex is not None
    assert (annex.request_schema, annex.effect) == (tidy(TAKES), "transactional")
    assert read.digest == read_digest(foreign()["digest"])
    assert read_artifact({**foreign(), "proof": {"type": "x"}}).document == read.document


def test_a_schema_that_the_digest_does_not_cover_is_not_taken() -> None:
    elsewhere = {"name": "a", "request_schema_uri": "https://x.example/s.json", "response_schema": GIVES}
    with pytest.raises(ArtifactRefused, match="does not cover"):
        read_artifact(foreign(methods=[elsewhere]))
    inside = {"name": "a", "request_schema_uri": "data:application/json," + json.dumps(TAKES), "response_schema": GIVES}
    assert read_artifact(foreign(methods=[inside])).document.annex is not None
    with pytest.raises(ArtifactRefused):
        read_artifact({**foreign(), "version": "2.0"})


def test_a_document_without_schemas_cannot_be_exported() -> None:
    assert not exportable(ProtocolDocument.from_text("Say hello."))
    words = draft_document(name="a", description="b", request_schema=None, reply_schema=None, effect="safe")
    assert not exportable(words)
    assert exportable(a_document())
