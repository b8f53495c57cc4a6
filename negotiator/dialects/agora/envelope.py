"""What Agora's dialects have in common: one envelope over HTTP, in which each spells some fields its own way.

A dialect is a subclass that says what differs. What it reads is the same for all, and wider than any of them:
which dialect a request is in decides how it is answered, not whether it is understood.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, final

from negotiator.dialects.agora import fields
from negotiator.dialects.agora.spellings import STATUS_WORDS, UNSUPPORTED, spelling_of
from negotiator.dialects.base import Malformed
from negotiator.dialects.json_body import read_object, write
from negotiator.errors import NotPossible, PeerMisspoke, UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.wire import WireReply, WireRequest

JSON: Final = "application/json"

_HTTP_CODES: Final[Mapping[int, str]] = {
    400: "malformed",
    401: "unauthenticated",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    408: "slow_request",
    413: "too_large",
    415: "malformed",
    422: "malformed",
    429: "overloaded",
    503: "overloaded",
}
"""What an HTTP status says by itself, where the body has no `code`."""


class AgoraDialect(ABC):
    """An Agora dialect. Subclasses are stateless: one instance each, shared."""

    name: ClassVar[str]
    base64: ClassVar[bool]
    """Whether hashes are SHA-1 in base64, rather than in 40 hex digits."""
    converses: ClassVar[bool]
    """Whether there are conversations: an id to go on under, an address to close them at."""

    # --- requests ---

    @final
    def encode_request(self, request: Request) -> WireRequest:
        """See `Dialect.encode_request`."""
        headers = fields.request_headers(request)
        if request.kind == "close":
            if not self.converses or request.conversation is None:
                raise NotPossible(f"{self.name} has no conversation to close")
            return WireRequest(
                method="DELETE", path=fields.path_of(request.conversation), headers={"accept": headers["accept"]}
            )
        if request.conversation is not None and not self.converses and request.kind != "negotiation":
            raise NotPossible(f"{self.name} has no conversations")
        try:
            body = write(self._request_envelope(request))
        except ValueError as error:
            raise UsageError(f"the body cannot be sent: {error}") from None
        path = fields.path_of(request.conversation if self.converses else None)
        return WireRequest(method="POST", path=path, headers=headers, body=body)

    @final
    def decode_request(self, wire: WireRequest, envelope: JsonObject | None = None) -> Request:
        """See `Dialect.decode_request`; `envelope` is the body where `sniff.read` has read it already."""
        conversation = fields.conversation_in(wire.path)
        if wire.method == "DELETE" and conversation is not None:
            return Request(kind="close", conversation=conversation)
        if wire.method != "POST":
            raise Malformed("requests are made with POST")
        fields.require_json_type(wire.headers)
        try:
            envelope = read_object(wire.body) if envelope is None else envelope
        except ValueError as error:
            raise Malformed(str(error)) from None
        return self._read_request(envelope, wire.headers, conversation)

    def _read_request(self, envelope: JsonObject, headers: Mapping[str, str], conversation: str | None) -> Request:
        negotiation = envelope.get("protocolHash") == fields.NEGOTIATION
        return Request(
            body=fields.read_body(envelope),
            hashes=() if negotiation else fields.read_hashes(envelope),
            sources=fields.read_sources(envelope),
            kind="negotiation" if negotiation else "exchange",
            conversation=conversation,
            multiround=fields.read_multiround(envelope),
            idempotency_key=fields.read_idempotency_key(envelope, headers),
        )

    @abstractmethod
    def _request_envelope(self, request: Request) -> JsonObject:
        """The JSON object of a request that is not a close. May raise `ValueError` for a body that is not JSON."""

    # --- replies ---

    @final
    def encode_reply(self, reply: Reply, request: Request | None) -> WireReply:
        """See `Dialect.encode_reply`."""
        headers = {"content-type": JSON}
        http = 200 if reply.status == "success" else self._http(reply)
        if reply.retry_after is not None:
            headers["retry-after"] = str(max(1, round(reply.retry_after)))
        envelope: JsonObject = {"status": STATUS_WORDS[self.name][reply.status]}
        if request is None or request.kind != "close" or reply.status != "success":
            envelope |= self._reply_fields(reply, request)
        return WireReply(status=http, headers=headers, body=write(envelope))

    def _http(self, reply: Reply) -> int:
        return spelling_of(reply).http

    @abstractmethod
    def _reply_fields(self, reply: Reply, request: Request | None) -> JsonObject:
        """The fields beside `status`."""

    @final
    def decode_reply(self, wire: WireReply, request: Request) -> Reply:
        """See `Dialect.decode_reply`."""
        if request.kind == "close" and (wire.status < 300 or wire.status in (404, 405, 410)):  # noqa: PLR2004 - HTTP
            return Reply(status="success")
        if wire.status >= 400:  # noqa: PLR2004 - HTTP
            return self._http_failure(wire, request)
        if not 200 <= wire.status < 300:  # noqa: PLR2004 - HTTP
            raise PeerMisspoke(f"HTTP {wire.status} is neither a reply nor an error; redirects are not followed")
        try:
            envelope = read_object(wire.body)
        except ValueError as error:
            raise PeerMisspoke(f"not a reply: {error}") from None
        status = envelope.get("status")
        if status not in STATUS_WORDS[self.name].values():
            raise PeerMisspoke(f"{fields.clip(status)!r} is no status of {self.name}")
        if status == "success":
            return self._read_success(envelope, request)
        return self._failure(envelope, code=None)

    @final
    def says(self, wire: WireReply) -> bool:
        """Whether a reply's status word is one of this dialect's."""
        try:
            return read_object(wire.body).get("status") in STATUS_WORDS[self.name].values()
        except ValueError:
            return False

    def _read_success(self, envelope: JsonObject, request: Request) -> Reply:  # noqa: ARG002 - the demo needs it
        conversation, expires = fields.read_conversation(envelope)
        return Reply(
            status="success",
            body=envelope.get("body"),
            conversation=conversation,
            conversation_expires=expires,
            tier=fields.read_tier(envelope),
        )

    def _failure(self, envelope: JsonObject, *, code: str | None, retry_after: float | None = None) -> Reply:
        error = fields.clip(envelope.get("error")) or fields.clip(envelope.get("message"))
        rejection = self._rejection(envelope, error)
        conversation, expires = fields.read_conversation(envelope)
        return Reply(
            status="failure" if rejection is None else "rejected",
            code=rejection or fields.read_code(envelope) or code,
            error=error,
            conversation=conversation,
            conversation_expires=expires,
            tier=fields.read_tier(envelope),
            retry_after=retry_after,
        )

    def _http_failure(self, wire: WireReply, request: Request) -> Reply:
        try:
            envelope = read_object(wire.body)
        except ValueError:
            envelope = {}
        code = _HTTP_CODES.get(wire.status, "peer_failed")
        if code == "not_found" and request.conversation is not None:
            code = "unknown_conversation"
        retry_after = fields.read_retry_after(wire.headers) if code == "overloaded" else None
        return self._failure(envelope, code=code, retry_after=retry_after)

    def _rejection(self, envelope: JsonObject, error: str | None) -> str | None:
        """The code of a rejection, where that is what the reply is: `unsupported_protocol` or `document_not_found`."""
        if fields.read_code(envelope) == "document_not_found":
            return "document_not_found"
        said = (error or "").casefold().rstrip(".")
        if envelope.get("status") == "rejected" or said == UNSUPPORTED.text.casefold():
            return UNSUPPORTED.word
        return None


def string_or_object(body: JsonValue) -> bool:
    """Whether a body can stand in a JSON envelope as it is (Working Standard 6.1)."""
    return isinstance(body, str | dict)
