"""What agora-protocol 0.2.0 really sent: recorded from its own sender and receiver, with a scripted model behind them."""

import json
from pathlib import Path

import pytest

from negotiator.dialects.agora import PACKAGE_020, sniff, sniff_reply
from negotiator.messages import Request
from negotiator.wire import WireReply, WireRequest
from protocol_docs import DataUri, ProtocolDocument, read_source

RECORDED = json.loads((Path(__file__).parent / "data" / "agora-0.2.0.json").read_text(encoding="utf-8"))


def requests_of(what):
    for sent in RECORDED["sender"][what]:
        headers = {} if sent["content-type"] is None else {"content-type": sent["content-type"]}
        yield WireRequest(method=sent["method"], path=sent["path"], headers=headers, body=sent["body"].encode())


def reply_of(what):
    sent = next(reply for reply in RECORDED["receiver"] if reply["what"] == what)
    return WireReply(status=sent["status"], headers={"content-type": sent["content-type"]}, body=sent["body"].encode())


@pytest.mark.parametrize(
    ("what", "steps"),
    [
        ("in words", [("exchange", None), ("close", "c-0")]),
        ("two rounds in words", [("exchange", None), ("exchange", "c-1"), ("close", "c-1")]),
        ("under a document", [("exchange", None)]),
        ("a negotiation and its document", [("negotiation", None), ("close", "c-2"), ("exchange", None)]),
    ],
)
def test_what_its_sender_sends_is_understood(what, steps):
    read = [sniff(wire).decode_request(wire) for wire in requests_of(what)]
    assert [(request.kind, request.conversation) for request in read] == steps


def test_what_its_sender_sends_is_told_from_the_other_dialects():
    posts = [wire for what in RECORDED["sender"] for wire in requests_of(what) if wire.method == "POST"]
    told = {(sniff(wire).name, json.loads(wire.body).get("multiround", False)) for wire in posts}
    assert told == {("agora-0.2.0", True), ("agora-0.2.0", False)}


def test_its_data_uri_leads_to_the_document_that_its_hash_names():
    (wire,) = requests_of("under a document")
    request = sniff(wire).decode_request(wire)
    source = read_source(request.sources[0])
    assert isinstance(source, DataUri)
    assert request.hashes[0] in ProtocolDocument.from_bytes(source.data).aliases


@pytest.mark.parametrize(
    ("what", "status", "code"),
    [
        ("success in words", "success", None),
        ("opening", "success", None),
        ("follow-up", "success", None),
        ("success under a document", "success", None),
        ("negotiation", "success", None),
        ("unknown conversation", "failure", "unknown_conversation"),
        ("unsuitable document", "rejected", "unsupported_protocol"),
        ("no source", "rejected", "document_not_found"),
        ("hash in hex", "rejected", "document_not_found"),
        ("error", "failure", None),
        ("no protocolSources", "failure", "malformed"),
        ("not JSON", "failure", "malformed"),
        ("not JSON in type", "failure", "malformed"),
        ("unknown address", "failure", "not_found"),
        ("follow-up that is not JSON", "failure", "malformed"),
    ],
)
def test_what_its_receiver_answers_is_understood(what, status, code):
    read = PACKAGE_020.decode_reply(reply_of(what), Request(body="x"))
    assert (read.status, read.code) == (status, code)
    assert (read.conversation is not None) == (what in ("opening", "negotiation"))


def test_its_errors_are_told_from_the_other_dialects():
    for what in ("unknown conversation", "no source", "error", "not JSON"):
        assert sniff_reply(reply_of(what)) is PACKAGE_020


def test_its_answer_to_a_close_is_a_success():
    assert PACKAGE_020.decode_reply(reply_of("close"), Request(kind="close", conversation="c")).status == "success"
