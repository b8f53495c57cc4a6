"""Find documents by words: the same order everywhere. `DocumentStore.search` has an index that is kept."""

from collections.abc import Iterable
from contextlib import closing
from typing import NamedTuple

from protocol_docs.document import ProtocolDocument
from protocol_docs.search_index import Embedder, SearchIndex


class Hit(NamedTuple):
    """A document that was found. Scores compare within one search, and mean nothing across two."""

    document: ProtocolDocument
    score: float


def search(
    query: str, documents: Iterable[ProtocolDocument], limit: int = 10, *, embedder: Embedder | None = None
) -> list[Hit]:
    """The documents that fit `query` best, best first; equal ones by hash. At most `limit`.

    By words alone, or with an embedder by meaning too.
    """
    known = {document.hash: document for document in documents}
    with closing(SearchIndex(embedder=embedder)) as index:
        index.add(known.values())
        index.embed(list(known.values()))
        return [Hit(known[name], score) for name, score in index.find(query, limit)]
