"""What the paper's demonstration speaks: 0.2.0's ancestor, with a `queryId` and no conversations of its own.

Only a negotiation has several rounds there, and it carries the conversation's id inside the body.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from negotiator.dialects.agora import fields
from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.spellings import spelling_of
from negotiator.dialects.base import Malformed
from negotiator.dialects.json_body import as_text, read_object, write
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request


class Demo(AgoraDialect):
    """SHA-1 in base64; always 200; `error` with `message`; `[null]` for no sources."""

    name: ClassVar[str] = "agora-demo"
    base64: ClassVar[bool] = True
    converses: ClassVar[bool] = False

    def _request_envelope(self, request: Request) -> JsonObject:
        body = as_text(request.body)
        spelt: str | None = fields.NEGOTIATION
        if request.kind == "negotiation":
            wrapped: JsonObject = {"body": body}
            if request.conversation is not None:
                wrapped["conversationId"] = request.conversation
            body = write(wrapped).decode()
        else:
            spelt = fields.sha1_in(request, base64=self.base64)
        return {
            "protocolHash": spelt,
            "body": body,
            "protocolSources": list(request.sources) or [None],
            "queryId": None,
        }

    def _read_request(self, envelope: JsonObject, headers: Mapping[str, str], conversation: str | None) -> Request:
        request = super()._read_request(envelope, headers, conversation)
        if request.kind != "negotiation":
            return request
        try:
            wrapped = read_object(str(request.body).encode())
        except ValueError:
            raise Malformed("the body of a negotiation must be a JSON object in a string") from None
        name = wrapped.get("conversationId")
        if name is not None and not isinstance(name, str):
            raise Malformed("conversationId must be a string")
        body = fields.read_body(wrapped)
        inside = None if name is None else fields.conversation_in(fields.path_of(name))
        return replace(request, body=body, multiround=True, conversation=inside)

    def _http(self, reply: Reply) -> int:  # noqa: ARG002 - the port's
        return 200

    def _reply_fields(self, reply: Reply, request: Request | None) -> JsonObject:
        if reply.status != "success":
            spelling = spelling_of(reply)
            text = "Protocol not suitable." if spelling.rejected else fields.clip(reply.error) or spelling.text
            return {"message": text}
        body = as_text(reply.body)
        if request is not None and request.kind == "negotiation":
            body = write({"body": body, "conversationId": reply.conversation}).decode()
        return {"body": body}

    def _read_success(self, envelope: JsonObject, request: Request) -> Reply:
        reply = super()._read_success(envelope, request)
        if request.kind != "negotiation":
            return reply
        try:
            wrapped = read_object(as_text(reply.body).encode())
        except ValueError:
            raise PeerMisspoke("the body of a negotiation is not a JSON object in a string") from None
        conversation, _ = fields.read_conversation(wrapped)
        return replace(reply, body=wrapped.get("body"), conversation=conversation)

    def _rejection(self, envelope: JsonObject, error: str | None) -> str | None:
        if error == "Protocol not suitable.":
            return "unsupported_protocol"
        if error == "No valid protocol source provided.":
            return "document_not_found"
        return super()._rejection(envelope, error)
