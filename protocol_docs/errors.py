"""Everything that can go wrong with documents, by whose fault it is and what to do next.

    DocumentError
    |- HashMismatch        the source: its text is not the one that was named; do not use it, try another source
    |- DocumentNotFound    nobody in particular: no source gave the text; ask the peer for it
    |- MalformedDocument   the author or the source: not UTF-8, too large, or a data URI that cannot be read
    |- MalformedHash       whoever named it: not a spelling of a hash that is known here; correct it
    |- DocumentRevoked     this machine's owner: the text is not to be used any more; agree on another
    |- AmbiguousAlias      SHA-1 itself: two texts have this alias; name the SHA-256, or send the text
    |- StoreUnusable       this machine: the directory is not safe, not readable, or not a store; the message says which
    |  |- DiskExtraMissing   diskcache is not installed; the message holds the words that install it
    |  `- StoreFull          the bound of the store, or the disk, is reached; remove something or raise the bound
    |- SourceRefused       the source's address or scheme is not allowed here; nothing was connected to
    |- SourceUnreachable   the network or the source's server: no text came in time; try again later
    `- SourceTooLarge      the source: more bytes than a document may have

`code` is a stable word for dialects and logs. The messages are for the owner of this process: they may name
paths and addresses, and are never sent to a peer.
"""

from typing import ClassVar


class DocumentError(Exception):
    """The root of this package's errors."""

    code: ClassVar[str] = "document_error"
    """A stable machine-readable word."""
    message: ClassVar[str] = "something is wrong with a document"

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class HashMismatch(DocumentError):
    """A source had a text, and it is not the text that was named."""

    code = "hash_mismatch"
    message = "the text of the source has another hash than the one named"


class DocumentNotFound(DocumentError):
    """No source gave the text. `failures` lists (source cut to 200 characters, its error)."""

    code = "document_not_found"
    message = "no source gave the document"

    def __init__(self, message: str | None = None, failures: tuple[tuple[str, DocumentError], ...] = ()) -> None:
        super().__init__(message)
        self.failures = failures


class MalformedDocument(DocumentError):
    """The bytes are not a protocol document: not UTF-8, empty, or too many."""

    code = "malformed_document"
    message = "not a protocol document"


class MalformedHash(DocumentError):
    """Not a spelling of a hash that is known here."""

    code = "malformed_hash"
    message = "not a spelling of a hash"


class DocumentRevoked(DocumentError):
    """The owner of this store has revoked the document."""

    code = "document_revoked"
    message = "the document was revoked here"


class AmbiguousAlias(DocumentError):
    """Two texts share this SHA-1, so that it names neither."""

    code = "ambiguous_alias"
    message = "two documents have this alias; name the SHA-256 or send the text"


class StoreUnusable(DocumentError):
    """The store cannot be opened, read or written."""

    code = "store_unusable"
    message = "the store cannot be used"


class DiskExtraMissing(StoreUnusable):
    """The package that disk stores are built on is not installed."""

    code = "missing_extra"
    message = 'a store on disk needs diskcache: pip install "metaparley[disk]"'


class StoreFull(StoreUnusable):
    """Writing would pass the store's bound, or the disk is full. Nothing was evicted, nothing was written."""

    code = "store_full"
    message = "the store is full"


class SourceRefused(DocumentError):
    """The scheme or an address of the source is not allowed; no connection was attempted."""

    code = "source_refused"
    message = "the source is not allowed"


class SourceUnreachable(DocumentError):
    """The source gave no text: no connection, an HTTP status other than 200, or no time left."""

    code = "source_unreachable"
    message = "the source could not be reached"


class SourceTooLarge(DocumentError):
    """The source sent, or announced, more bytes than a document may have."""

    code = "source_too_large"
    message = "the source has more bytes than a document may have"
