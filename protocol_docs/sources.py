"""Where a text is to be had, as peers write it: the text itself, a data URI, or an address.

Agora's standard lists texts, its specification of 2024 addresses, and its 0.2.0 data URIs of two exact spellings;
so a source is read by what it looks like. Nothing is fetched here.
"""

import base64
import binascii
import re
import string
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from protocol_docs.document import MAX_DOCUMENT_BYTES, ProtocolDocument
from protocol_docs.errors import MalformedDocument, SourceRefused, SourceTooLarge

_BASE64_HEAD = "data:text/plain;charset=utf-8;base64,"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://\S*")
# The parameters keep a text that begins with "Data: this, that" from looking like one.
_DATA = re.compile(r"\s*data:([\w.+/-]*(?:;\s*[\w.+%-]+(?:=(?:\"[^\"\n]*\"|[^,;\s]*))?)*)\s*,", re.IGNORECASE)
_MAX_URL = 2048
# Percent-encoding triples each byte; anything longer cannot be a document.
_MAX_DATA_URI = 3 * MAX_DOCUMENT_BYTES + 512


@dataclass(frozen=True, slots=True)
class InlineText:
    """A source that is the document's text."""

    text: str


@dataclass(frozen=True, slots=True)
class DataUri:
    """A data URI, decoded. A charset that it names is not applied: a document's hash is over its bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https address."""

    url: str


Source: TypeAlias = InlineText | DataUri | Url


def read_source(source: str) -> Source:
    """Tell what a source is, and decode it where it carries the text.

    Data URIs are taken in every spelling met: scheme, charset and `;base64` of any case, any media type or none,
    standard or URL-safe base64 with or without padding, percent-encoded or raw text.

    Raises:
        SourceRefused: for an address that is neither http nor https.
        SourceTooLarge: for a data URI longer than any document's.
        MalformedDocument: for a data URI whose data cannot be decoded.
    """
    if match := _DATA.match(source):
        if len(source) > _MAX_DATA_URI:
            raise SourceTooLarge(f"a data URI of {len(source)} characters")
        parameters = [part.strip().lower() for part in match[1].split(";")]
        raw = unquote_to_bytes(source[match.end() :])
        return DataUri(_from_base64(raw) if "base64" in parameters[1:] else raw)
    if address := _ADDRESS.fullmatch(source.strip()):
        if address[1].lower() not in ("http", "https"):
            raise SourceRefused(f"sources with the scheme {address[1][:32]} are not used here")
        if len(address[0]) > _MAX_URL:
            raise SourceRefused(f"an address of {len(address[0])} characters")
        return Url(address[0])
    return InlineText(source)


def as_data_uri(document: ProtocolDocument) -> str:
    """Write a document as a source that carries it, in a spelling that Agora 0.2.0 accepts."""
    return _BASE64_HEAD + base64.b64encode(document.data).decode("ascii")


def _from_base64(raw: bytes) -> bytes:
    text = raw.translate(bytes.maketrans(b"-_", b"+/"), string.whitespace.encode()).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise MalformedDocument("a data URI whose base64 cannot be decoded") from None
