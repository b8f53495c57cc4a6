import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import MalformedHash, ProtocolDocument, parse_hash, sha1_of, sha256_of, spell

SPELLINGS = ("sha1-hex", "sha1-base64", "cid", "oci", "rfc9530")
DOCUMENT = ProtocolDocument.from_text("the text\n")


def test_the_known_vectors_of_the_empty_text():
    assert sha256_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert sha1_of(b"") == "sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"
    assert parse_hash("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku") == sha256_of(b"")
    assert parse_hash("2jmj7l5rSw0yVb/vlWAYkK/YBwk=") == sha1_of(b"")
    assert parse_hash("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:") == sha256_of(b"")


@given(st.binary(max_size=200))
def test_every_spelling_reads_back_as_the_hash_it_spells(data):
    text = base64.b64encode(data).decode() + "."
    document = ProtocolDocument.from_text(text)
    for spelling in SPELLINGS:
        assert parse_hash(spell(document, spelling)) == document.aliases[spelling.startswith("sha1")]


def test_a_document_has_the_spelling_that_agora_020_computes():
    assert (
        spell(DOCUMENT, "sha1-base64")
        == base64.b64encode(hashlib.sha1(DOCUMENT.data, usedforsecurity=False).digest()).decode()
    )


@pytest.mark.parametrize("form", ["{}", "sha1:{}", "SHA1:{}", " {}\n"])
def test_a_sha1_is_read_with_and_without_its_name_and_in_any_case(form):
    digest = hashlib.sha1(DOCUMENT.data, usedforsecurity=False).hexdigest()
    assert parse_hash(form.format(digest)) == parse_hash(form.format(digest.upper())) == sha1_of(DOCUMENT.data)


@pytest.mark.parametrize("form", ["{}", "sha256:{}", "SHA256:{}"])
def test_a_sha256_is_read_with_and_without_its_name_and_in_any_case(form):
    digest = hashlib.sha256(DOCUMENT.data).hexdigest()
    assert parse_hash(form.format(digest)) == parse_hash(form.format(digest.upper())) == DOCUMENT.hash


@pytest.mark.parametrize(
    "spelling",
    [
        "",
        "negotiation",
        "a" * 39,
        "a" * 63,
        "g" * 40,
        "sha256:" + "a" * 40,
        "sha1:" + "a" * 64,
        "md5:" + "a" * 32,
        "sha512:" + "a" * 128,
        "sha-256=:AAAA:",
        "2jmj7l5rSw0yVb/vlWAYkK/YBwl=",  # padding bits that are not zero: a second spelling of the same digest
        "2jmj7l5rSw0yVb_vlWAYkK_YBwk=",
        "bafkrei",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv",
        "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",  # a CID of something else than raw bytes
        "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",
        "a" * 64 + "\x00",
        "0x" + "a" * 64,
        "\u0430" * 40,
        "a" * 1_000_000,
    ],
)
def test_what_is_no_spelling_raises_malformed_hash(spelling):
    with pytest.raises(MalformedHash):
        parse_hash(spelling)


@given(st.text(max_size=80))
def test_any_text_is_a_hash_or_malformed(text):
    with contextlib.suppress(MalformedHash):
        assert parse_hash(parse_hash(text)) == parse_hash(text)


def test_a_hash_cannot_be_spelt_in_the_other_algorithm():
    assert spell(sha1_of(b"x"), "sha1-hex") == hashlib.sha1(b"x", usedforsecurity=False).hexdigest()
    assert spell(sha256_of(b"x"), "oci") == sha256_of(b"x")
    with pytest.raises(MalformedHash):
        spell(sha256_of(b"x"), "sha1-base64")
    with pytest.raises(MalformedHash):
        spell(sha1_of(b"x"), "cid")
