"""A protocol document: the exact bytes of a text, its names, and what can be read from it.

The bytes are kept and hashed as they came: no normalising of newlines, Unicode forms or byte order marks, since
two parties that hash different bytes have agreed on nothing. Everything else here is read tolerantly, because
the text may be a stranger's: an RFC is a protocol document too.
"""

import re
from dataclasses import dataclass, field

from protocol_docs.annex import Annex, read_annex, write_annex
from protocol_docs.errors import MalformedDocument
from protocol_docs.hashes import sha1_of, sha256_of
from protocol_docs.header import read_header, write_header

MAX_DOCUMENT_BYTES = 256 * 1024
"""Bytes that a document may have, unless the caller says otherwise."""

_RULE = re.compile(r"^[ \t]*-{3,}[ \t]*$", re.MULTILINE)
_ANNEX_HEADING = re.compile(r"^##([ \t]+Annex[ \t]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolDocument:
    """One text, immutable, equal to another where the bytes are. Made by `from_bytes`, `from_text` or `render_document`."""

    data: bytes = field(repr=False)
    """The exact bytes."""
    text: str = field(repr=False, compare=False)
    """The same as text (UTF-8); encodes back to `data`."""
    hash: str = field(compare=False)
    """`sha256:<hex>` of `data`: the document's name everywhere in this project."""
    aliases: tuple[str, ...] = field(repr=False, compare=False)
    """All canonical names: `sha256:<hex>` and `sha1:<hex>`."""
    name: str = field(compare=False)
    """One line, at most 200 characters."""
    description: str = field(repr=False, compare=False)
    """One line, at most 1000 characters; may be empty."""
    multiround: bool = field(repr=False, compare=False)
    """Whether an exchange under it takes more than one request."""
    body: str = field(repr=False, compare=False)
    """The prose: the text without header and annex."""
    annex: Annex | None = field(repr=False, compare=False)
    """The machine-readable part, checked; None where there is none that is sound."""
    annex_problem: str | None = field(repr=False, compare=False)
    """Why a section that calls itself the annex is none; None otherwise."""

    @classmethod
    def from_bytes(cls, data: bytes, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> "ProtocolDocument":
        """Read a document from its exact bytes.

        Raises:
            MalformedDocument: where they are not UTF-8, none at all, or more than `max_bytes`.
        """
        if not data:
            raise MalformedDocument("the document is empty")
        if len(data) > max_bytes:
            raise MalformedDocument(f"the document has {len(data)} bytes, over the limit of {max_bytes}")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedDocument("the document is not UTF-8 text") from None
        header = read_header(text)
        reading = read_annex(header.rest)
        return cls(
            data=bytes(data),
            text=text,
            hash=sha256_of(data),
            aliases=(sha256_of(data), sha1_of(data)),
            name=header.name,
            description=header.description,
            multiround=header.multiround,
            body=reading.before.strip("\n"),
            annex=reading.annex,
            annex_problem=reading.problem,
        )

    @classmethod
    def from_text(cls, text: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> "ProtocolDocument":
        """Read a document from its exact text. Raises `MalformedDocument` as `from_bytes` does."""
        try:
            data = text.encode("utf-8")
        except UnicodeEncodeError:
            raise MalformedDocument("the text holds half a surrogate pair, which UTF-8 cannot write") from None
        return cls.from_bytes(data, max_bytes=max_bytes)


def render_document(
    *, name: str, description: str, body: str, annex: Annex | None, multiround: bool = False
) -> ProtocolDocument:
    """Write a document that every known Agora parser accepts; the same inputs give the same bytes.

    Name and description become one line each, cut to their lengths, with runs of hyphens shortened to two. In the
    body, a line of hyphens alone becomes `* * *` and a heading `## Annex` one level lower, since both have a meaning
    here; its newlines become line feeds.

    Raises:
        MalformedDocument: where the result would be too large or could not be encoded.
        AnnexProblem: where the annex is not sound, such as an example that does not fit its schema.
    """
    prose = _ANNEX_HEADING.sub(r"###\1", _RULE.sub("* * *", body.replace("\r\n", "\n").replace("\r", "\n"))).strip("\n")
    parts = [write_header(name=name, description=description, multiround=multiround) + prose + "\n"]
    if annex is not None:
        parts.append(write_annex(annex))
    return ProtocolDocument.from_text("\n".join(parts))
