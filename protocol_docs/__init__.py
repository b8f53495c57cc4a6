"""What agents agree on: documents named by the hash of their bytes, where to keep them and where to get them."""

from protocol_docs.annex import Annex, AnnexProblem, ErrorMeaning, Example
from protocol_docs.disk_store import DiskTextStore
from protocol_docs.document import MAX_DOCUMENT_BYTES, ProtocolDocument, render_document
from protocol_docs.document_store import DocumentStore
from protocol_docs.draft import draft_document
from protocol_docs.errors import (
    AmbiguousAlias,
    DiskExtraMissing,
    DocumentError,
    DocumentNotFound,
    DocumentRevoked,
    HashMismatch,
    MalformedDocument,
    MalformedHash,
    SourceRefused,
    SourceTooLarge,
    SourceUnreachable,
    StoreFull,
    StoreUnusable,
)
from protocol_docs.find import Fetcher, find_document
from protocol_docs.hashes import parse_hash, sha1_of, sha256_of, spell
from protocol_docs.memory_store import MemoryTextStore
from protocol_docs.search import Hit, search
from protocol_docs.search_index import Embedder, SearchIndex
from protocol_docs.sources import DataUri, InlineText, Url, as_data_uri, read_source
from protocol_docs.text_store import TextStore

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "AmbiguousAlias",
    "Annex",
    "AnnexProblem",
    "DataUri",
    "DiskExtraMissing",
    "DiskTextStore",
    "DocumentError",
    "DocumentNotFound",
    "DocumentRevoked",
    "DocumentStore",
    "Embedder",
    "ErrorMeaning",
    "Example",
    "Fetcher",
    "HashMismatch",
    "Hit",
    "InlineText",
    "MalformedDocument",
    "MalformedHash",
    "MemoryTextStore",
    "ProtocolDocument",
    "SearchIndex",
    "SourceRefused",
    "SourceTooLarge",
    "SourceUnreachable",
    "StoreFull",
    "StoreUnusable",
    "TextStore",
    "Url",
    "as_data_uri",
    "draft_document",
    "find_document",
    "parse_hash",
    "read_source",
    "render_document",
    "search",
    "sha1_of",
    "sha256_of",
    "spell",
]
