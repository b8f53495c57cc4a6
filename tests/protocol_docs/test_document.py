import hashlib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import MAX_DOCUMENT_BYTES, Annex, MalformedDocument, ProtocolDocument, render_document

VARIANTS = [
    "caf\u00e9\n",
    unicodedata.normalize("NFD", "caf\u00e9\n"),
    "caf\u00e9",
    "caf\u00e9\r\n",
    "caf\u00e9\r",
    "\ufeffcaf\u00e9\n",
    " caf\u00e9\n",
    "caf\u00e9\n\n",
    "caf\u00e9\x00\n",
]


def test_texts_that_look_alike_are_different_documents():
    documents = [ProtocolDocument.from_text(text) for text in VARIANTS]
    assert len({document.hash for document in documents}) == len(VARIANTS)
    assert [document.data for document in documents] == [text.encode() for text in VARIANTS]


@given(st.text(min_size=1, max_size=300))
def test_bytes_are_kept_and_hashed_exactly_as_they_came(text):
    data = text.encode()
    document = ProtocolDocument.from_bytes(data)
    assert document.data == data
    assert document.text == text
    assert document.aliases == (
        "sha256:" + hashlib.sha256(data).hexdigest(),
        "sha1:" + hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    )
    assert document.hash == document.aliases[0]
    assert document == ProtocolDocument.from_text(text)


def test_flipping_any_byte_changes_the_hash():
    data = b"a protocol document"
    hashes = {ProtocolDocument.from_bytes(data).hash}
    for index in range(len(data)):
        flipped = bytearray(data)
        flipped[index] ^= 1
        hashes.add(ProtocolDocument.from_bytes(bytes(flipped)).hash)
    assert len(hashes) == len(data) + 1


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"ok \xed\xa0\x80", b"\xc0\xaf", b"x" * (MAX_DOCUMENT_BYTES + 1)])
def test_what_is_empty_too_large_or_not_utf8_is_malformed(data):
    with pytest.raises(MalformedDocument):
        ProtocolDocument.from_bytes(data)


def test_the_limit_is_in_bytes_and_the_callers():
    assert ProtocolDocument.from_bytes(b"x" * MAX_DOCUMENT_BYTES)
    assert ProtocolDocument.from_text("\u00e9" * 5, max_bytes=10)
    with pytest.raises(MalformedDocument):
        ProtocolDocument.from_text("\u00e9" * 5, max_bytes=9)


def test_half_a_surrogate_pair_is_malformed():
    with pytest.raises(MalformedDocument):
        ProtocolDocument.from_text("\ud800")


def test_the_same_inputs_render_to_the_same_bytes():
    annex = {"request_schema": {"type": "object", "properties": {"b": {}, "a": {}}}, "effect": "safe"}
    swapped = {"effect": "safe", "request_schema": {"properties": {"a": {}, "b": {}}, "type": "object"}}
    one = render_document(name="n", description="d", body="b", annex=Annex(**annex))
    other = render_document(name="n", description="d", body="b\n", annex=Annex(**swapped))
    assert one == other


def test_newlines_of_a_rendered_body_are_line_feeds():
    document = render_document(name="n", description="d", body="a\r\nb\rc", annex=None)
    assert b"\r" not in document.data
    assert document.body == "a\nb\nc"


def test_a_document_over_the_limit_cannot_be_rendered():
    with pytest.raises(MalformedDocument):
        render_document(name="n", description="d", body="x" * MAX_DOCUMENT_BYTES, annex=None)


def test_documents_are_equal_and_hashable_by_their_bytes():
    one, same, other = (ProtocolDocument.from_text(text) for text in ("a", "a", "b"))
    assert {one, same, other} == {one, other}
    with pytest.raises(AttributeError):
        one.data = b"b"  # type: ignore[misc]
