import base64
import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol_docs import (
    DataUri,
    InlineText,
    MalformedDocument,
    ProtocolDocument,
    SourceRefused,
    SourceTooLarge,
    Url,
    as_data_uri,
    read_source,
)

TEXT = "name: \u5929\u6c17?+/ & more\r\n100% #1\n"
DATA = TEXT.encode()
STANDARD = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()


@pytest.mark.parametrize(
    "uri",
    [
        "data:text/plain;charset=utf-8;base64," + STANDARD,
        "data:text/plain;charset=UTF-8;base64," + STANDARD,
        "DATA:Text/Plain;Charset=Utf-8;BASE64," + STANDARD,
        "data:text/plain;base64," + STANDARD,
        "data:;base64," + STANDARD,
        "data:text/markdown;charset=utf8;base64," + STANDARD,
        'data:text/plain;charset="utf-8";base64,' + STANDARD,
        "data:text/plain; charset=utf-8; base64," + STANDARD,
        "data:application/octet-stream;base64," + STANDARD.rstrip("="),
        "data:text/plain;charset=utf-8;base64," + URL_SAFE,
        "data:text/plain;charset=utf-8;base64," + URL_SAFE.rstrip("="),
        "data:text/plain;charset=utf-8;base64," + quote(STANDARD, safe=""),
        "data:text/plain;charset=utf-8;base64," + STANDARD[:10] + "\r\n " + STANDARD[10:],
        "data:text/plain;charset=utf-8," + quote(TEXT),
        "data:text/plain;charset=utf-8," + quote(TEXT, safe=""),
        "data:text/plain," + quote(TEXT),
        "data:," + quote(TEXT),
        " data:," + quote(TEXT),
        "data:text/plain;charset=utf-8," + TEXT.replace("%", "%25"),
    ],
)
def test_every_spelling_of_a_data_uri_gives_the_same_bytes(uri):
    assert read_source(uri) == DataUri(DATA)


@pytest.mark.parametrize(
    "uri", ["data:;base64,a", "data:;base64,%%%", "data:;base64,\u00e9\u00e9", "data:;base64,ab!d"]
)
def test_a_data_uri_that_cannot_be_decoded_is_malformed(uri):
    with pytest.raises(MalformedDocument):
        read_source(uri)


def test_a_data_uri_larger_than_any_document_is_refused_before_it_is_decoded():
    with pytest.raises(SourceTooLarge):
        read_source("data:," + "x" * 2_000_000)


@pytest.mark.parametrize(
    "source", ["https://example.com/a?b=c#d", "HTTP://EXAMPLE.COM", " http://127.0.0.1:8000/x\n", "https://[::1]/"]
)
def test_addresses_are_told_from_texts(source):
    assert read_source(source) == Url(source.strip())


@pytest.mark.parametrize(
    "source", ["file:///etc/passwd", "ftp://example.com/x", "gopher://x", "https://e.com/" + "x" * 5000]
)
def test_addresses_of_other_schemes_and_of_any_length_are_refused(source):
    with pytest.raises(SourceRefused):
        read_source(source)


@pytest.mark.parametrize(
    "text",
    [
        "---\nname: a\n---\n",
        "",
        "Data: this, that\n",
        "data: a list, of things",
        "data\n",
        "See https://example.com/ for more.",
        "https://example.com/ says\nmore",
        "file names: a, b",
    ],
)
def test_anything_else_is_the_text_itself(text):
    assert read_source(text) == InlineText(text)


@given(st.text(min_size=1, max_size=200))
def test_a_document_comes_back_from_its_own_data_uri(text):
    document = ProtocolDocument.from_text(text)
    uri = as_data_uri(document)
    assert uri.startswith("data:text/plain;charset=utf-8;base64,")
    assert read_source(uri) == DataUri(document.data)


@given(st.text(max_size=100) | st.text(alphabet="data:;,=/base64%https ", max_size=40))
def test_any_text_is_a_source_or_a_typed_error(text):
    with contextlib.suppress(MalformedDocument, SourceRefused, SourceTooLarge):
        assert isinstance(read_source(text), InlineText | DataUri | Url)
