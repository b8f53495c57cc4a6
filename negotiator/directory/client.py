"""A directory of documents as those who look into it see it."""

from collections.abc import Sequence
from typing import Annotated, Final, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from negotiator.clock import Deadline
from negotiator.dialects.agora.fields import clip, read_retry_after
from negotiator.dialects.json_body import read_object
from negotiator.errors import Overloaded, PeerFailed, PeerMisspoke
from negotiator.wire import Transport, WireReply, WireRequest
from protocol_docs import MAX_DOCUMENT_BYTES, MalformedDocument, ProtocolDocument

MAX_QUERY: Final = 1000
"""Characters of a query."""
MAX_FOUND: Final = 50
"""Documents that one search gives."""
PAGE: Final = 500
"""Documents on one page of a listing."""
Model = TypeVar("Model", bound=BaseModel)

Hash = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class Entry(BaseModel):
    """What a directory says of one document; its own words, until the text is there and has the hash."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hash: Hash
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    bytes: Annotated[int, Field(ge=0)] = 0
    supersedes: Hash | None = None


class Page(BaseModel):
    """A part of a listing, by ascending hash."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    documents: Annotated[tuple[Entry, ...], Field(max_length=PAGE)]
    next: Hash | None = None
    """What to ask for the rest after; None: this is all."""
    revoked: Annotated[tuple[Hash, ...], Field(max_length=10_000)] = ()
    """Documents that the directory no longer gives; on the first page alone."""


class Found(BaseModel):
    """What a search came to, best first."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    documents: Annotated[tuple[Entry, ...], Field(max_length=MAX_FOUND)]


@runtime_checkable
class Directory(Protocol):
    """Where documents can be looked for."""

    async def search(self, query: str, deadline: Deadline, *, limit: int = 10) -> Sequence[Entry]:
        """The documents that fit a query's words, best first. Raises `NegotiatorError`."""
        ...

    async def get(self, protocol_hash: str, deadline: Deadline) -> ProtocolDocument:
        """The document of a canonical hash, checked. Raises `NegotiatorError`."""
        ...


class DirectoryClient:
    """A `Directory` at an address, through any transport."""

    def __init__(self, transport: Transport, base_url: str, *, token: str | None = None) -> None:
        """`token` is what the directory's owner gave to those who may add documents."""
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._token = token

    @property
    def base_url(self) -> str:
        """Where it is."""
        return self._base_url

    async def search(self, query: str, deadline: Deadline, *, limit: int = 10) -> Sequence[Entry]:
        """See `Directory.search`. Raises `PeerUnreachable`, `PeerHungUp`, `PeerMisspoke`, `PeerFailed`, `Overloaded`."""
        asked = urlencode({"q": query[:MAX_QUERY], "limit": min(limit, MAX_FOUND)})
        return _read(await self._send("GET", f"/search?{asked}", deadline), Found).documents[:limit]

    async def page(self, after: str | None, deadline: Deadline) -> Page:
        """What it has, by ascending hash, from `after` on. Raises as `search` does."""
        path = "/documents" if after is None else f"/documents?{urlencode({'after': after})}"
        return _read(await self._send("GET", path, deadline), Page)

    async def get(self, protocol_hash: str, deadline: Deadline) -> ProtocolDocument:
        """See `Directory.get`. Raises as `search` does, and `PeerMisspoke` for a text of another hash."""
        reply = await self._send("GET", f"/documents/{protocol_hash}", deadline)
        try:
            document = ProtocolDocument.from_bytes(reply.body, max_bytes=MAX_DOCUMENT_BYTES)
        except MalformedDocument as error:
            raise PeerMisspoke(f"{self._base_url} gave no document: {error}") from error
        if document.hash != protocol_hash:
            raise PeerMisspoke(f"{self._base_url} gave another text than the one of {protocol_hash}")
        return document

    async def push(self, document: ProtocolDocument, deadline: Deadline) -> None:
        """Add a document to it. Raises as `search` does, and `PeerFailed` where this client is not trusted to."""
        await self._send("PUT", f"/documents/{document.hash}", deadline, document.data)

    async def _send(self, method: str, path: str, deadline: Deadline, body: bytes = b"") -> WireReply:
        headers = {"accept": "*/*"}
        if self._token is not None and method == "PUT":
            headers["authorization"] = f"Bearer {self._token}"
        if body:
            headers["content-type"] = "text/plain; charset=utf-8"
        request = WireRequest(method=method, path=path, headers=headers, body=body)
        reply = await self._transport.send(self._base_url, request, deadline=deadline)
        if reply.status == 503:  # noqa: PLR2004 - HTTP
            busy = f"the directory {self._base_url} cannot answer at the moment: try again later"
            raise Overloaded(busy, retry_after=read_retry_after(reply.headers) or 1.0)
        if not 200 <= reply.status < 300:  # noqa: PLR2004 - HTTP
            raise PeerFailed(
                f"the directory {self._base_url} answered {method} with status {reply.status}{_why(reply)}"
            )
        return reply


def _why(reply: WireReply) -> str:
    """The reason that a directory gives for a refusal, to be put behind a sentence; empty where it gives none."""
    try:
        reason = clip(read_object(reply.body).get("reason"))
    except ValueError:
        return ""
    return "" if reason is None else f": {reason}"


def _read(reply: WireReply, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        raise PeerMisspoke(f"a directory answered something else than asked: {error.error_count()} errors") from error
