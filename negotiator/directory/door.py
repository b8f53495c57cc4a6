"""A directory of documents as the wire sees it.

    GET /documents            what there is, by ascending hash; `?after=sha256:...` for the next page
    GET /documents/{hash}     the exact bytes, by any spelling of the hash; 410 for what was revoked
    GET /search?q=...         the documents that fit some words, best first; `&limit=`
    PUT /documents/{hash}     add a document; for those who were given a token alone

Answers hold no more than documents and what is said in their heads. Nothing of a document is ever carried out. Which web
pages reach all that, and by which names, is held as before an agent's doors.
"""

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final
from urllib.parse import parse_qs, unquote

import orjson

from negotiator.bounded import keep
from negotiator.directory.client import MAX_FOUND, MAX_QUERY, PAGE, Entry, Found, Page
from negotiator.pages import Pages
from negotiator.wire import WireReply, WireRequest
from protocol_docs import (
    MAX_DOCUMENT_BYTES,
    DocumentError,
    DocumentRevoked,
    DocumentStore,
    MalformedDocument,
    MalformedHash,
    ProtocolDocument,
    StoreFull,
    StoreUnusable,
    parse_hash,
)

MAX_DOCUMENTS: Final = 100_000
"""Documents that a directory takes from others."""
_MAX_ENTRIES: Final = 4096
_STATUSES: Final = {
    "not_allowed": 403,
    "not_found": 404,
    "too_large": 413,
    "slow_request": 408,
    "method_not_allowed": 405,
    "revoked": 410,
}

_log = logging.getLogger(__name__)


class DirectoryDoor:
    """A `WireHandler` over a store of documents; a `Door` of `negotiator.transports.asgi`."""

    def __init__(
        self,
        store: DocumentStore,
        *,
        tokens: Callable[[], Iterator[str]] = lambda: iter(()),
        max_documents: int = MAX_DOCUMENTS,
        allowed_origins: Sequence[str] = (),
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        """Serve what is in `store`.

        Args:
            store: The documents.
            tokens: The words that those who may add documents show; none by default. Asked for at each request, so
                that one that is taken away counts no more.
            max_documents: How many documents may be here before no more are taken.
            allowed_origins: Web pages that are heard beside those of this machine, such as `https://app.example`.
            allowed_hosts: Names that this goes by beside those of this machine; see `Pages`.

        Raises:
            UsageError: one of these is no origin, or no host.
        """
        self._pages = Pages(allowed_origins, allowed_hosts)
        self._store = store
        self._tokens = tokens
        self._max_documents = max_documents
        self._entries: dict[str, Entry] = {}

    @property
    def body_bytes(self) -> int:
        """Bytes that a body may have: those of one document."""
        return MAX_DOCUMENT_BYTES

    def refuse(self, code: str) -> WireReply:
        """The reply for what its transport did not take."""
        return _refusal(code)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request."""
        unheard = self._pages.refusal(wire.method, wire.headers, wire.local)
        if unheard is not None:
            _log.info("a request was refused: %s", unheard)
            return _refusal("not_allowed", reason=unheard)
        path, _, query = wire.path.partition("?")
        try:
            asked = {name: values[-1] for name, values in parse_qs(query, max_num_fields=16).items()}
            if path.startswith("/documents/"):
                return self._document(wire, unquote(path.removeprefix("/documents/")))
            if path in ("/documents", "/search") and wire.method not in ("GET", "HEAD"):
                return _refusal("method_not_allowed", allow="GET, HEAD")
            if path == "/documents":
                return self._list(wire, asked.get("after"))
            if path == "/search":
                return self._search(wire, asked.get("q", ""), asked.get("limit", "10"))
        except ValueError:
            return _refusal("malformed", 400)
        except StoreUnusable:
            return _refusal("store_unusable", 503)
        return _refusal("not_found")

    def _document(self, wire: WireRequest, spelling: str) -> WireReply:
        if wire.method == "PUT":
            return self._add(wire, spelling)
        if wire.method not in ("GET", "HEAD"):
            return _refusal("method_not_allowed", allow="GET, HEAD, PUT")
        try:
            named = parse_hash(spelling)
            document = self._store.get(named)
        except DocumentError:
            return _refusal("not_found")
        if document is None:
            return _refusal("not_found" if self._store.revoked(named) is None else "revoked")
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "etag": f'"{document.hash}"',
            # The bytes of a hash never change; whoever has them may keep them. They are nothing for a browser to run.
            "cache-control": "public, max-age=31536000, immutable",
            "x-content-type-options": "nosniff",
            "content-security-policy": "sandbox",
        }
        if _has(wire, headers["etag"]):
            return WireReply(status=304, headers=headers)
        return WireReply(headers=headers, body=document.data)

    def _add(self, wire: WireRequest, spelling: str) -> WireReply:
        if not self._trusted(wire.headers.get("authorization", "")):
            return _refusal("not_trusted", 401, challenge=True)
        if len(wire.body) > MAX_DOCUMENT_BYTES:
            return _refusal("too_large")
        try:
            named = parse_hash(spelling)
            document = ProtocolDocument.from_bytes(wire.body)
        except (MalformedHash, MalformedDocument):
            return _refusal("malformed", 400)
        if named not in document.aliases:
            return _refusal("hash_mismatch", 422)
        there = self._store.get(document.hash) is not None
        if not there and len(self._store) >= self._max_documents:
            return _refusal("full", 507)
        try:
            self._store.put(document)
        except DocumentRevoked:
            return _refusal("revoked")
        except StoreFull:
            return _refusal("full", 507)
        return _json(wire, _entry(document).model_dump_json().encode(), status=200 if there else 201)

    def _trusted(self, authorization: str) -> bool:
        scheme, _, shown = authorization.partition(" ")
        if scheme.lower() != "bearer" or not shown:
            return False
        # Digests are compared in a time that tells nothing of where they differ.
        digest = hashlib.sha256(shown.strip().encode()).digest()
        known = [hashlib.sha256(token.encode()).digest() for token in self._tokens() if token]
        return any(hmac.compare_digest(digest, one) for one in known)

    def _list(self, wire: WireRequest, after: str | None) -> WireReply:
        start = None if after is None else parse_hash_or_error(after)
        names = [name for name in self._store.hashes() if start is None or name > start]
        page = [entry for name in islice(names, PAGE) if (entry := self._entry(name)) is not None]
        following = names[PAGE - 1] if len(names) > PAGE else None
        revoked = tuple(self._store.all_revoked())[:10_000] if after is None else ()
        made = Page(documents=tuple(page), next=following, revoked=revoked)
        return _json(wire, made.model_dump_json(exclude_none=True).encode())

    def _search(self, wire: WireRequest, words: str, limit: str) -> WireReply:
        most = max(1, min(int(limit), MAX_FOUND))
        hits = self._store.search(words[:MAX_QUERY], most)
        made = Found(documents=tuple(_entry(hit.document) for hit in hits))
        return _json(wire, made.model_dump_json(exclude_none=True).encode())

    def _entry(self, name: str) -> Entry | None:
        if self._store.revoked(name) is not None:
            return None
        found = self._entries.get(name)
        if found is None:
            document = self._store.get(name)
            if document is None:
                return None
            found = _entry(document)
            keep(self._entries, name, found, _MAX_ENTRIES)
        return found


def parse_hash_or_error(spelling: str) -> str:
    """A canonical hash. Raises ValueError."""
    try:
        return parse_hash(spelling)
    except MalformedHash as error:
        raise ValueError(str(error)) from error


def _entry(document: ProtocolDocument) -> Entry:
    supersedes = None if document.annex is None else document.annex.supersedes
    return Entry(
        hash=document.hash,
        name=document.name[:200],
        description=document.description[:1000],
        bytes=len(document.data),
        supersedes=supersedes if supersedes is not None and supersedes.startswith("sha256:") else None,
    )


def _json(wire: WireRequest, body: bytes, *, status: int = 200) -> WireReply:
    headers = {
        "content-type": "application/json",
        "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        # It may change at any time: whoever keeps it asks whether it has.
        "cache-control": "no-cache",
        "x-content-type-options": "nosniff",
    }
    if status == 200 and _has(wire, headers["etag"]):  # noqa: PLR2004 - HTTP
        return WireReply(status=304, headers=headers)
    return WireReply(status=status, headers=headers, body=body)


def _has(wire: WireRequest, etag: str) -> bool:
    """Whether the caller already has what the tag stands for (RFC 9110, 13.1.2)."""
    named = [one.strip().removeprefix("W/") for one in wire.headers.get("if-none-match", "").split(",")]
    return wire.method in ("GET", "HEAD") and (etag in named or "*" in named)


def _refusal(
    code: str,
    status: int | None = None,
    *,
    allow: str | None = None,
    challenge: bool = False,
    reason: str | None = None,
) -> WireReply:
    headers = {"content-type": "application/json"}
    if allow is not None:
        headers["allow"] = allow
    if challenge:
        headers["www-authenticate"] = "Bearer"
    said = {"error": code} if reason is None else {"error": code, "reason": reason}
    return WireReply(status=status or _STATUSES.get(code, 400), headers=headers, body=orjson.dumps(said))
