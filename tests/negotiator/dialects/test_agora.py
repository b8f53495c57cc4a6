"""Agora's dialects: what is sent, what is understood, and what peers hear when something goes wrong.

The strict requests and replies are written from the published texts, not by the codecs.
"""

from dataclasses import replace
from types import ModuleType

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import negotiator.dialects.base
import negotiator.errors
import protocol_docs.errors
from negotiator.dialects import Malformed, Refused, UnknownConversation
from negotiator.dialects.agora import (
    DEMO,
    DIALECTS,
    PACKAGE_020,
    PAPER,
    SPELLINGS,
    STANDARD_2024,
    STANDARD_2025,
    refusal,
    sniff,
    sniff_reply,
)
from negotiator.dialects.conformance import NotConforming, check_dialect
from negotiator.errors import NotPossible, PeerMisspoke, UsageError
from negotiator.messages import Reply, Request
from negotiator.wire import WireReply, WireRequest
from protocol_docs import ProtocolDocument, as_data_uri, spell

DOCUMENT = ProtocolDocument.from_text("# ---\nname: Weather\n# ---\n---\nA city in, a temperature out.\n")
HEX, BASE64 = spell(DOCUMENT, "sha1-hex"), spell(DOCUMENT, "sha1-base64")
SHA256, SHA1 = DOCUMENT.aliases
URI = as_data_uri(DOCUMENT)

dialects = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)


def post(envelope: object, path: str = "/", **headers: str) -> WireRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WireRequest(path=path, headers={"content-type": "application/json", **named}, body=orjson.dumps(envelope))


def said(wire: WireRequest | WireReply) -> object:
    return orjson.loads(wire.body)


# --- conformance and round trips ------------------------------------------------------------------------------------


@dialects
def test_each_dialect_does_what_every_dialect_must(dialect):
    check_dialect(dialect)


def test_the_conformance_check_notices_a_dialect_that_forgets_the_document():
    class Forgetful(type(STANDARD_2025)):
        def _request_envelope(self, request):
            return super()._request_envelope(replace(request, hashes=()))

    with pytest.raises(NotConforming, match="the document survives"):
        check_dialect(Forgetful())


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
objects = st.dictionaries(
    texts, st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=8)
)
keys = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255).filter(
    lambda key: not (len(key) > 1 and key.startswith('"') and key.endswith('"'))
)
requests = st.builds(
    Request,
    body=texts | objects,
    hashes=st.sampled_from([(), DOCUMENT.aliases, (SHA1,)]),
    sources=st.lists(texts, max_size=3).map(tuple),
    multiround=st.booleans(),
    idempotency_key=keys,
).map(lambda request: request if request.hashes else replace(request, sources=()))


@given(requests)
def test_a_request_in_the_2025_standard_comes_back_as_it_was(request_):
    assert STANDARD_2025.decode_request(STANDARD_2025.encode_request(request_)) == request_


@given(requests)
def test_a_request_to_the_package_comes_back_with_a_text_for_its_body_and_one_hash(request_):
    body = request_.body if isinstance(request_.body, str) else orjson.dumps(request_.body).decode()
    expected = replace(request_, body=body, hashes=tuple(h for h in request_.hashes if h.startswith("sha1:")))
    assert PACKAGE_020.decode_request(PACKAGE_020.encode_request(request_)) == expected


@given(st.sampled_from([PAPER, STANDARD_2024, DEMO]), requests)
def test_a_request_in_a_dialect_without_conversations_comes_back_without_that_wish(dialect, request_):
    body = request_.body if isinstance(request_.body, str) else orjson.dumps(request_.body).decode()
    hashes = tuple(h for h in request_.hashes if h.startswith("sha1:"))
    expected = replace(request_, body=body, hashes=hashes, multiround=False)
    assert dialect.decode_request(dialect.encode_request(request_)) == expected


@given(st.sampled_from(list(DIALECTS.values())), requests)
def test_a_request_is_sniffed_as_a_dialect_that_understands_it(dialect, request_):
    wire = dialect.encode_request(request_)
    assert sniff(wire).decode_request(wire) == dialect.decode_request(wire)


@given(st.sampled_from(list(DIALECTS.values())), st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(dialect, data):
    wire = WireRequest(headers={"content-type": "application/json"}, body=data)
    assert sniff(wire).name in DIALECTS
    with pytest.raises(Refused):
        dialect.decode_request(wire)


FIELDS = ["protocolHash", "protocolSources", "body", "multiround", "protocolDigest", "idempotencyKey", "queryId"]
anything = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=4)


@given(st.sampled_from(list(DIALECTS.values())), st.dictionaries(st.sampled_from(FIELDS), anything))
def test_any_envelope_is_understood_or_refused_in_words(dialect, envelope):
    try:
        dialect.decode_request(post(envelope))
    except Refused as refused:
        assert str(refused)  # noqa: PT017 - nothing need be raised


@given(
    dialect=st.sampled_from(list(DIALECTS.values())),
    status=st.sampled_from(["success", "failure", "rejected"]),
    body=texts,
    code=st.none() | st.sampled_from(sorted(SPELLINGS)),
    error=st.none() | texts,
)
def test_a_reply_keeps_its_status_and_a_success_its_text(dialect, status, body, code, error):
    reply = Reply(status=status, body=body if status == "success" else None, code=code, error=error)
    if status == "failure" and code is not None and SPELLINGS[code].rejected:
        return
    request = Request(body="x")
    read = dialect.decode_reply(dialect.encode_reply(reply, request), request)
    if status == "failure" and (error or "").strip() in ("Unsupported protocol", "Protocol rejected"):
        return
    assert read.status == status
    assert status != "success" or read.body == body


# --- the 2025 standard, to the letter --------------------------------------------------------------------------------


def test_the_standard_s_own_examples_are_understood():
    question = "Hello! What is the weather tomorrow in London?"
    for envelope in ({"protocolHash": None, "body": question}, {"body": question}, {"body": question, "extra": [1]}):
        assert sniff(post(envelope)) is STANDARD_2025
        assert STANDARD_2025.decode_request(post(envelope)) == Request(body=question)
    opening = {"protocolHash": None, "body": question, "multiround": True}
    assert sniff(post(opening)) is STANDARD_2025
    assert STANDARD_2025.decode_request(post(opening)) == Request(body=question, multiround=True)


def test_a_strict_request_under_a_document_is_understood():
    envelope = {"protocolHash": HEX, "protocolSources": [DOCUMENT.text], "body": {"city": "Rome"}}
    wire = post(envelope)
    assert sniff(wire) is STANDARD_2025
    read = STANDARD_2025.decode_request(wire)
    assert read == Request(body={"city": "Rome"}, hashes=(SHA1,), sources=(DOCUMENT.text,))


def test_what_we_send_is_strict_but_for_fields_that_others_ignore():
    request = Request(body='{"city":"Rome"}', hashes=DOCUMENT.aliases, sources=(URI,), idempotency_key="k-1")
    wire = STANDARD_2025.encode_request(request)
    assert wire.method == "POST"
    assert wire.path == "/"
    assert wire.headers["content-type"] == "application/json"
    assert wire.headers["idempotency-key"] == "k-1"
    assert said(wire) == {
        "protocolHash": HEX,
        "protocolDigest": SHA256,
        "protocolSources": [URI],
        "body": '{"city":"Rome"}',
        "idempotencyKey": "k-1",
    }


def test_a_follow_up_goes_to_the_conversation_and_names_no_document():
    request = Request(body="and tomorrow?", hashes=DOCUMENT.aliases, conversation="abc123xyz", multiround=True)
    wire = STANDARD_2025.encode_request(request)
    assert wire.path == "/conversations/abc123xyz"
    assert said(wire) == {"body": "and tomorrow?"}


def test_a_success_has_a_body_and_no_error_and_a_failure_an_error_and_no_body():
    success = said(STANDARD_2025.encode_reply(Reply(status="success", body="21"), None))
    assert success == {"status": "success", "body": "21"}
    failure = said(STANDARD_2025.encode_reply(Reply(status="failure", code="bad_input"), None))
    assert failure["status"] == "failure"
    assert isinstance(failure["error"], str)
    assert "body" not in failure


def test_an_unsupported_document_is_said_in_the_standard_s_words_with_200():
    for reply in (
        Reply(status="rejected", error="our tools cannot do that"),
        refusal("document_not_found"),
        refusal("peer_rejected"),
    ):
        wire = STANDARD_2025.encode_reply(reply, None)
        assert wire.status == 200
        assert said(wire)["status"] == "failure"
        assert said(wire)["error"] == "Unsupported protocol"


def test_the_standard_s_rejection_is_understood_from_its_words_alone():
    wire = WireReply(body=b'{"status": "failure", "error": "Unsupported protocol"}')
    read = STANDARD_2025.decode_reply(wire, Request())
    assert (read.status, read.code) == ("rejected", "unsupported_protocol")


@pytest.mark.parametrize(
    ("code", "http"),
    [
        ("malformed", 400),
        ("not_found", 404),
        ("unknown_conversation", 404),
        ("conversation_expired", 200),
        ("too_large", 413),
        ("overloaded", 503),
        ("internal_error", 500),
        ("a_code_nobody_knows", 500),
    ],
)
def test_transport_errors_have_http_statuses_and_agora_s_own_have_200(code, http):
    assert STANDARD_2025.encode_reply(refusal(code), None).status == http


def test_an_overload_says_when_to_come_back():
    wire = STANDARD_2025.encode_reply(refusal("overloaded", retry_after=7.0), None)
    assert wire.headers["retry-after"] == "7"
    read = STANDARD_2025.decode_reply(wire, Request())
    assert (read.status, read.code, read.retry_after) == ("failure", "overloaded", 7.0)


def test_a_conversation_s_end_is_told_in_whole_seconds():
    reply = Reply(status="success", body="hi", conversation="c", conversation_expires=1741910401.7)
    wire = STANDARD_2025.encode_reply(reply, Request(multiround=True))
    assert said(wire) == {"status": "success", "body": "hi", "conversationId": "c", "conversationExpires": 1741910401}


def test_both_spellings_of_a_document_are_read_together():
    read = STANDARD_2025.decode_request(post({"protocolHash": HEX, "protocolDigest": SHA256, "body": "x"}))
    assert read.hashes == (SHA256, SHA1)


# --- the package, to the letter --------------------------------------------------------------------------------------


def test_the_package_gets_both_keys_a_base64_hash_and_a_text():
    words = PACKAGE_020.encode_request(Request(body="How warm is it in Rome?"))
    assert said(words) == {"protocolHash": None, "protocolSources": [], "body": "How warm is it in Rome?"}
    under = PACKAGE_020.encode_request(Request(body={"city": "Rome"}, hashes=DOCUMENT.aliases, sources=(URI,)))
    assert said(under) == {"protocolHash": BASE64, "protocolSources": [URI], "body": '{"city":"Rome"}'}


def test_a_negotiation_with_the_package_has_its_special_word():
    opening = Request(kind="negotiation", body="I propose: JSON.", multiround=True)
    envelope = {
        "protocolHash": "negotiation",
        "protocolSources": None,
        "body": "I propose: JSON.",
        "multiround": True,
    }
    assert said(PACKAGE_020.encode_request(opening)) == envelope
    assert sniff(post(envelope)) is PACKAGE_020
    assert PACKAGE_020.decode_request(post(envelope)) == opening


def test_what_the_package_s_sender_sends_in_each_round_is_understood():
    words = {"protocolHash": None, "protocolSources": [], "body": "How warm?", "multiround": True}
    assert sniff(post(words)) is PACKAGE_020
    assert PACKAGE_020.decode_request(post(words)) == Request(body="How warm?", multiround=True)
    again = post(words, path="/conversations/0d4f2f6e-7f0d-4b0c-9d6f-6a3f1b1c2d3e")
    read = PACKAGE_020.decode_request(again)
    assert read.conversation == "0d4f2f6e-7f0d-4b0c-9d6f-6a3f1b1c2d3e"
    under = {"protocolHash": BASE64, "protocolSources": [URI], "body": '{"city": "Rome"}'}
    assert sniff(post(under)) is PACKAGE_020
    assert PACKAGE_020.decode_request(post(under)).hashes == (SHA1,)


def test_the_package_s_sender_gets_200_and_a_body_whatever_happens():
    for code in [*SPELLINGS, "a_code_nobody_knows"]:
        wire = PACKAGE_020.encode_reply(refusal(code), Request(multiround=True))
        assert wire.status == 200
        assert said(wire)["status"] == "error"
        assert said(wire)["body"] == ""
        assert said(wire)["message"]


def test_the_package_s_body_is_always_a_text():
    wire = PACKAGE_020.encode_reply(Reply(status="success", body={"temperature": 21}), None)
    assert said(wire) == {"status": "success", "body": '{"temperature":21}'}


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        (f"{BASE64} is not suitable for execution", "rejected", "unsupported_protocol"),
        ("Failed to download protocol", "rejected", "document_not_found"),
        ("'protocolSources'", "failure", "malformed"),
        ("400 Bad Request: The browser (or proxy) sent a request", "failure", "malformed"),
        ("Conversation not found.", "failure", "unknown_conversation"),
        ("'city'", "failure", None),
        ("boom", "failure", None),
    ],
)
def test_the_package_s_error_texts_are_told_apart(message, status, code):
    wire = WireReply(body=orjson.dumps({"status": "error", "message": message}))
    read = PACKAGE_020.decode_reply(wire, Request(body="x"))
    assert (read.status, read.code, read.error) == (status, code, message)


# --- the paper, 2024, the demo ----------------------------------------------------------------------------------------


def test_the_paper_and_2024_differ_in_what_stands_for_no_sources():
    request = Request(body="hello")
    assert said(PAPER.encode_request(request)) == {"protocolHash": None, "protocolSources": [], "body": "hello"}
    assert said(STANDARD_2024.encode_request(request)) == {
        "protocolHash": None,
        "protocolSources": None,
        "body": "hello",
    }
    assert sniff(PAPER.encode_request(request)) is PAPER
    assert sniff(STANDARD_2024.encode_request(request)) is STANDARD_2024


@pytest.mark.parametrize("dialect", [PAPER, STANDARD_2024], ids=lambda d: d.name)
def test_before_2025_a_document_is_rejected_in_one_word(dialect):
    assert said(dialect.encode_reply(Reply(status="rejected"), None)) == {"status": "rejected"}
    assert dialect.decode_reply(WireReply(body=b'{"status": "rejected"}'), Request()).status == "rejected"
    assert dialect.decode_reply(WireReply(body=b'{"status": "failure"}'), Request()).status == "failure"


def test_the_demo_s_requests_are_understood():
    words = {"protocolHash": None, "body": "hello", "protocolSources": [None], "queryId": "7"}
    assert sniff(post(words)) is DEMO
    assert DEMO.decode_request(post(words)) == Request(body="hello")


def test_the_demo_s_negotiation_carries_its_conversation_inside_the_body():
    inner = '{"body": "And now?", "conversationId": "c-1"}'
    wire = post({"protocolHash": "negotiation", "body": inner, "protocolSources": [None], "queryId": None})
    request = DEMO.decode_request(wire)
    assert request == Request(kind="negotiation", body="And now?", conversation="c-1", multiround=True)
    reply = DEMO.encode_reply(Reply(status="success", body="Done.", conversation="c-1"), request)
    assert said(reply) == {"status": "success", "body": '{"body":"Done.","conversationId":"c-1"}'}
    assert DEMO.decode_reply(reply, request) == Reply(status="success", body="Done.", conversation="c-1")


@pytest.mark.parametrize("dialect", [PAPER, STANDARD_2024, STANDARD_2025], ids=lambda d: d.name)
def test_the_standards_have_no_negotiation_in_words(dialect):
    with pytest.raises(NotPossible):
        dialect.encode_request(Request(kind="negotiation", body="x"))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"body": None},
        {"body": 5},
        {"body": ["x"]},
        {"body": "x", "protocolHash": 5},
        {"body": "x", "protocolHash": ""},
        {"body": "x", "protocolHash": HEX[:-1]},
        {"body": "x", "protocolHash": "negotiations"},
        {"body": "x", "protocolHash": HEX, "protocolDigest": "sha256:" + "0" * 63},
        {"body": "x", "protocolHash": HEX, "protocolDigest": HEX},
        {"body": "x", "protocolHash": HEX, "protocolDigest": 7},
        {"body": "x", "protocolHash": HEX, "protocolSources": {"a": 1}},
        {"body": "x", "protocolHash": HEX, "protocolSources": [1]},
        {"body": "x", "protocolHash": HEX, "protocolSources": ["s"] * 17},
        {"body": "x", "multiround": "yes"},
        {"body": "x", "multiround": 1},
        {"body": "x", "idempotencyKey": ""},
        {"body": "x", "idempotencyKey": "k" * 256},
        {"body": "x", "idempotencyKey": "a\nb"},
        {"body": "x", "idempotencyKey": 4},
    ],
)
def test_wrong_types_and_forms_are_malformed(envelope):
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(post(envelope))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"not JSON", b'{"body": NaN}', b'{"body": "\\ud800"}', b"\xff\xfe{}", b'{"body": "x"} trailing'],
)
def test_what_is_no_json_object_is_malformed(data):
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(WireRequest(headers={"content-type": "application/json"}, body=data))


@pytest.mark.parametrize("depth", [65, 1000, 100_000])
def test_a_body_that_nests_too_deeply_is_malformed(depth):
    data = b'{"body": {"a":' + b"[" * depth + b"]" * depth + b"}}"
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(WireRequest(headers={"content-type": "application/json"}, body=data))


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/jsonp", "application/json; charset=latin-1"])
def test_another_content_type_is_malformed(content_type):
    wire = WireRequest(headers={"content-type": content_type}, body=b'{"body": "x"}')
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(wire)


def test_a_compressed_request_is_malformed():
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(post({"body": "x"}, content_encoding="gzip"))


def test_two_different_idempotency_keys_are_malformed_and_one_in_quotes_is_the_same():
    envelope = {"body": "x", "idempotencyKey": "k-1"}
    assert STANDARD_2025.decode_request(post(envelope, idempotency_key='"k-1"')).idempotency_key == "k-1"
    assert PACKAGE_020.decode_request(post({"body": "x"}, idempotency_key="k-2")).idempotency_key == "k-2"
    with pytest.raises(Malformed):
        STANDARD_2025.decode_request(post(envelope, idempotency_key="k-2"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", "%2e%2e", "x" * 129])
def test_an_id_that_we_never_gave_is_an_unknown_conversation(name):
    with pytest.raises(UnknownConversation):
        STANDARD_2025.decode_request(post({"body": "x"}, path=f"/conversations/{name}"))


def test_a_refusal_quotes_nothing_of_the_request():
    with pytest.raises(Malformed) as caught:
        STANDARD_2025.decode_request(post({"body": "x", "protocolHash": "<script>secret</script>"}))
    assert "secret" not in str(caught.value)


def test_a_document_known_by_its_sha256_alone_cannot_be_named_to_strangers():
    for dialect in DIALECTS.values():
        with pytest.raises(UsageError):
            dialect.encode_request(Request(body="x", hashes=(SHA256,)))


def test_a_body_that_is_no_plain_json_is_our_own_mistake():
    for body in ({"n": float("nan")}, {"n": 2**70}, {"n": {1, 2}}):
        with pytest.raises(UsageError):
            STANDARD_2025.encode_request(Request(body=body))
        with pytest.raises(ValueError, match=r"."):
            STANDARD_2025.encode_reply(Reply(status="success", body=body), None)


# --- replies of strangers ---------------------------------------------------------------------------------------------


def test_a_peer_s_error_text_is_one_short_line():
    wire = WireReply(body=orjson.dumps({"status": "failure", "error": "a\nb\x1b[31m" + "x" * 1000}))
    error = STANDARD_2025.decode_reply(wire, Request()).error
    assert error is not None
    assert len(error) == 300
    assert error.isprintable()


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "\n", "x" * 256, 5, None, ["a"]])
def test_a_conversation_id_that_no_address_can_hold_is_none(name):
    wire = WireReply(body=orjson.dumps({"status": "success", "body": "x", "conversationId": name}))
    assert STANDARD_2025.decode_reply(wire, Request(multiround=True)).conversation is None


def test_a_peer_s_conversation_id_cannot_leave_its_place_in_the_address():
    wire = PACKAGE_020.encode_request(Request(body="x", conversation="../admin?x=1#y"))
    assert wire.path == "/conversations/..%2Fadmin%3Fx%3D1%23y"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 204, 200])
def test_a_redirect_or_an_empty_reply_is_misspoken(status):
    for dialect in DIALECTS.values():
        with pytest.raises(PeerMisspoke):
            dialect.decode_reply(WireReply(status=status), Request(body="x"))


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "malformed"), (404, "not_found"), (413, "too_large"), (429, "overloaded"), (500, "peer_failed")],
)
def test_an_http_error_with_a_page_for_people_is_a_failure(status, code):
    for dialect in DIALECTS.values():
        read = dialect.decode_reply(WireReply(status=status, body=b"<html>no</html>"), Request(body="x"))
        assert (read.status, read.code) == ("failure", code)


def test_a_404_in_a_conversation_is_about_the_conversation():
    read = STANDARD_2025.decode_reply(WireReply(status=404), Request(body="x", conversation="c"))
    assert read.code == "unknown_conversation"


@pytest.mark.parametrize(
    ("envelope", "dialect"),
    [
        ({"status": "rejected"}, PAPER),
        ({"status": "failure"}, PAPER),
        ({"status": "failure", "error": "x"}, STANDARD_2025),
        ({"status": "error", "message": "x"}, PACKAGE_020),
        ({"status": "success", "body": "x", "conversationId": "c", "conversationExpires": 1}, STANDARD_2025),
        ({"status": "success", "body": "x"}, None),
        ({"status": 1}, None),
        ([], None),
    ],
)
def test_a_reply_tells_its_dialect_where_it_can(envelope, dialect):
    assert sniff_reply(WireReply(body=orjson.dumps(envelope))) is dialect


# --- the table --------------------------------------------------------------------------------------------------------


def _codes(module: ModuleType) -> set[str]:
    found = (item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Exception))
    return {error.code for error in found}


def test_every_error_has_words_for_peers_or_is_an_internal_error():
    raised = _codes(negotiator.errors) | _codes(protocol_docs.errors) | _codes(negotiator.dialects.base)
    assert raised - set(SPELLINGS) == {"usage_error", "missing_extra", "document_error"}


def test_no_public_word_tells_how_we_are_built():
    told = {spelling.word for spelling in SPELLINGS.values()} | {spelling.text for spelling in SPELLINGS.values()}
    assert not [text for text in told if "model" in text or "peer" in text]
