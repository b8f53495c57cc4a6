"""What agents list: written as the standard says, read from every dialect, and never believed."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.dialects.agora import DEMO, STANDARD_2025
from negotiator.dialects.agora.listing import MAX_LISTED, read_listing, write_listing
from negotiator.errors import PeerMisspoke
from protocol_docs import ProtocolDocument, as_data_uri, spell

ONE = ProtocolDocument.from_text("One.\n")
TWO = ProtocolDocument.from_text("Two.\n")


def test_a_listing_names_documents_in_hex_and_always_has_a_source():
    written = orjson.loads(write_listing([(ONE, ()), (TWO, ("https://example.com/two",))]))
    assert written == {spell(ONE, "sha1-hex"): [as_data_uri(ONE)], spell(TWO, "sha1-hex"): ["https://example.com/two"]}


def test_a_document_is_read_by_its_sha256_where_its_text_is_at_hand():
    dialect, listing = read_listing(write_listing([(ONE, ()), (TWO, ("https://example.com/two",))]))
    assert dialect is STANDARD_2025
    assert listing == {ONE.hash: (as_data_uri(ONE),), TWO.aliases[1]: ("https://example.com/two",)}


def test_a_text_as_its_own_source_is_read():
    _, listing = read_listing(orjson.dumps({spell(ONE, "sha1-hex"): [ONE.text]}))
    assert listing == {ONE.hash: (ONE.text,)}


def test_the_demo_s_listing_is_read():
    written = {"status": "success", "protocols": {spell(ONE, "sha1-base64"): ["http://localhost:5005/protocol?id=1"]}}
    assert read_listing(orjson.dumps(written)) == (DEMO, {ONE.aliases[1]: ("http://localhost:5005/protocol?id=1",)})


@pytest.mark.parametrize(
    "entry",
    [
        {"not a hash": ["x"]},
        {spell(ONE, "sha1-hex"): []},
        {spell(ONE, "sha1-hex"): "x"},
        {spell(ONE, "sha1-hex"): [5, None]},
        {spell(ONE, "sha1-hex"): [TWO.text]},
        {spell(ONE, "sha1-hex"): ["file:///etc/hostname"]},
    ],
)
def test_an_entry_that_cannot_be_right_is_left_out(entry):
    assert read_listing(orjson.dumps(entry)) == (STANDARD_2025, {})


def test_a_listing_without_end_is_cut():
    entries = {f"{number:040x}": ["https://example.com/x"] for number in range(MAX_LISTED + 10)}
    assert len(read_listing(orjson.dumps(entries))[1]) == MAX_LISTED


@given(st.binary())
def test_any_bytes_are_a_listing_or_misspoken(data):
    try:
        read_listing(data)
    except PeerMisspoke:
        return


@pytest.mark.parametrize("data", [b"", b"[]", b"<html>", b'{"status": "success", "protocols": []}'])
def test_what_is_no_listing_is_misspoken(data):
    with pytest.raises(PeerMisspoke):
        read_listing(data)
