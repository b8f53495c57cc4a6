"""The rows of documents in a text store, read as what strangers may have written.

Keys, and what is under them:

    document/sha256:<hex>   the text
    alias/sha1:<hex>        the canonical hashes that share this alias, a line each: one, or the alias is refused
    sources/sha256:<hex>    the addresses that the text can be had from, a JSON list
"""

import re
from collections.abc import Sequence

from protocol_docs import strict_json
from protocol_docs.document import ProtocolDocument
from protocol_docs.errors import DocumentError, MalformedDocument
from protocol_docs.sources import Url, read_source
from protocol_docs.text_store import TextStore

MAX_SOURCES = 16
"""Sources kept of one document."""
MAX_SOURCE_LENGTH = 2048
"""Characters of a source that is kept."""
_DOCUMENT, _ALIAS, _SOURCES = "document/", "alias/", "sources/"
_CANONICAL = re.compile(r"sha256:[0-9a-f]{64}")


class DocumentRows:
    """What stands in a text store of documents. All of it raises `StoreUnusable`, and what writes `StoreFull`."""

    def __init__(self, text_store: TextStore, max_document_bytes: int) -> None:
        """A longer text than `max_document_bytes` reads as absent."""
        self._texts = text_store
        self._max_document_bytes = max_document_bytes

    def __len__(self) -> int:
        return sum(1 for _ in self._texts.keys(_DOCUMENT))

    def hashes(self) -> list[str]:
        """The canonical hashes of all texts, in ascending order."""
        return [key.removeprefix(_DOCUMENT) for key in self._texts.keys(_DOCUMENT)]

    def read(self, canonical: str) -> ProtocolDocument | None:
        """The document of a hash; None where no text fits it."""
        text = self._texts.get(_DOCUMENT + canonical)
        if text is None:
            return None
        try:
            document = ProtocolDocument.from_text(text, max_bytes=self._max_document_bytes)
        except MalformedDocument:
            return None
        return document if document.hash == canonical else None

    def write(self, document: ProtocolDocument) -> bool:
        """Write a text; True where there was none before."""
        # A tampered row is in the way of `add`; the text that fits takes its place.
        key = _DOCUMENT + document.hash
        if self._texts.add(key, document.text):
            return True
        if self._texts.get(key) != document.text:
            self._texts.put(key, document.text)
        return False

    def named(self, alias: str) -> list[str]:
        """The canonical hashes that share an alias."""
        lines = (self._texts.get(_ALIAS + alias) or "").split("\n")
        return [line for line in lines if _CANONICAL.fullmatch(line)]

    def name(self, alias: str, canonical: str) -> bool:
        """Write an alias; True where it stood for other texts before."""
        if self._texts.add(_ALIAS + alias, canonical):
            return False
        names = self.named(alias)
        if canonical in names:
            return False
        self._texts.put(_ALIAS + alias, "\n".join([*names, canonical]))
        return True

    def remove(self, document: ProtocolDocument) -> None:
        """Take out a text, its sources, and it from its aliases."""
        for alias in document.aliases[1:]:
            others = [name for name in self.named(alias) if name != document.hash]
            if others:
                self._texts.put(_ALIAS + alias, "\n".join(others))
            else:
                self._texts.delete(_ALIAS + alias)
        self._texts.delete(_SOURCES + document.hash)
        self._texts.delete(_DOCUMENT + document.hash)

    def sources(self, canonical: str) -> list[str]:
        """The addresses known of a document, the newest last."""
        try:
            listed = strict_json.loads(self._texts.get(_SOURCES + canonical) or "[]")
        except ValueError:
            return []
        return [item for item in listed if isinstance(item, str)] if isinstance(listed, list) else []

    def add_sources(self, canonical: str, sources: Sequence[str]) -> None:
        """Add to the addresses known of a document, of which the newest `MAX_SOURCES` stay."""
        new = [source for source in sources if _is_address(source)]
        if new:
            known = self.sources(canonical)
            kept = [*(source for source in known if source not in new), *dict.fromkeys(new)][-MAX_SOURCES:]
            if kept != known:
                self._texts.put(_SOURCES + canonical, strict_json.canonical(kept))


def _is_address(source: str) -> bool:
    try:
        return len(source) <= MAX_SOURCE_LENGTH and isinstance(read_source(source), Url)
    except DocumentError:
        return False
