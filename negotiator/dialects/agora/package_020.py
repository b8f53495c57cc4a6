"""What the published package, agora-protocol 0.2.0, speaks: the peer that is met most.

Its receiver needs both `protocolHash` and `protocolSources` in every request and a text as body. Its sender asks
for a conversation in every request in natural language, raises where the id is missing, and looks for `body`
before it looks at `status`; to it, any HTTP status but 200 is a broken line.
"""

from typing import ClassVar

from negotiator.dialects.agora import fields
from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.spellings import spelling_of
from negotiator.dialects.json_body import as_text
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request

REJECTED = "Protocol rejected"
"""The only sentence that its sender compares with."""


class Package020(AgoraDialect):
    """SHA-1 in base64; always 200; `error` with `message` and an empty `body`; follow-ups repeat everything."""

    name: ClassVar[str] = "agora-0.2.0"
    base64: ClassVar[bool] = True
    converses: ClassVar[bool] = True

    def _request_envelope(self, request: Request) -> JsonObject:
        envelope: JsonObject
        if request.kind == "negotiation":
            envelope = {"protocolHash": fields.NEGOTIATION, "protocolSources": None}
        else:
            envelope = {
                "protocolHash": fields.sha1_in(request, base64=self.base64),
                "protocolSources": list(request.sources),
            }
        envelope["body"] = as_text(request.body)
        if request.multiround or request.kind == "negotiation" or request.conversation is not None:
            envelope["multiround"] = True
        return envelope

    def _http(self, reply: Reply) -> int:  # noqa: ARG002 - the port's
        return 200

    def _reply_fields(self, reply: Reply, request: Request | None) -> JsonObject:  # noqa: ARG002 - the port's
        told: JsonObject = {}
        if reply.conversation is not None:
            told["conversationId"] = reply.conversation
            if reply.conversation_expires is not None:
                told["conversationExpires"] = int(reply.conversation_expires)
        if reply.status == "success":
            told["body"] = as_text(reply.body)
        else:
            spelling = spelling_of(reply)
            told["message"] = REJECTED if spelling.rejected else fields.clip(reply.error) or spelling.text
            told["body"] = ""
        return told

    def _rejection(self, envelope: JsonObject, error: str | None) -> str | None:
        said = error or ""
        if said.casefold() == REJECTED.casefold() or said.endswith("is not suitable for execution"):
            return "unsupported_protocol"
        if said == "Failed to download protocol":
            return "document_not_found"
        return super()._rejection(envelope, error)

    def _failure(self, envelope: JsonObject, *, code: str | None, retry_after: float | None = None) -> Reply:
        said = envelope.get("message")
        # A missing key is told as a bare KeyError and unreadable JSON in werkzeug's words; both before any work.
        if isinstance(said, str) and (
            said in ("'protocolHash'", "'protocolSources'") or said.startswith(("400 Bad Request", "415 Unsupported"))
        ):
            code = "malformed"
        elif said == "Conversation not found.":
            code = "unknown_conversation"
        return super()._failure(envelope, code=code, retry_after=retry_after)
