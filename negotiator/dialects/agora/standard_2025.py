"""The Working Standard of January 2025, which is also what agents of this package speak to each other.

Between ourselves some fields are added, which the standard (6.1) has others ignore: `protocolDigest`, the SHA-256
beside the SHA-1; `idempotencyKey`; and in replies `tier` and `code`.
"""

from typing import ClassVar, Final

import orjson

from negotiator.dialects.agora import fields
from negotiator.dialects.agora.envelope import AgoraDialect, string_or_object
from negotiator.dialects.agora.spellings import spelling_of
from negotiator.dialects.json_body import MAX_DEPTH, as_text, write
from negotiator.errors import NotPossible
from negotiator.jsonvalue import JsonObject, nests_within
from negotiator.messages import PeerTier, Reply, Request

_OPENS: Final = b'{"status":"success","body":'
_BY_ROUTINE: Final = b',"tier":"routine"}'
"""What is around the body of a success that a routine of this package made."""


class Standard2025(AgoraDialect):
    """40 hex digits; HTTP statuses; `failure` with `error`; conversations by address."""

    name: ClassVar[str] = "agora-2025"
    base64: ClassVar[bool] = False
    converses: ClassVar[bool] = True

    def _request_envelope(self, request: Request) -> JsonObject:
        if request.kind == "negotiation":
            raise NotPossible(f"{self.name} has no negotiation in natural language; use a document for it")
        envelope: JsonObject = {}
        # 7.2: follow-ups must not repeat the hash.
        if request.conversation is None:
            envelope["protocolHash"] = fields.sha1_in(request, base64=self.base64)
            if digest := fields.sha256_in(request):
                envelope["protocolDigest"] = digest
            if request.sources:
                envelope["protocolSources"] = list(request.sources)
            if request.multiround:
                envelope["multiround"] = True
        envelope["body"] = request.body if string_or_object(request.body) else as_text(request.body)
        if request.idempotency_key is not None:
            envelope["idempotencyKey"] = request.idempotency_key
        return envelope

    def opening(self, hashes: tuple[str, ...]) -> bytes:
        """What the body of every request under a document begins with; see `request_under`.

        Raises `UsageError` where only the SHA-256 is known.
        """
        return self.encode_request(Request(body={}, hashes=hashes)).body.removesuffix(b"{}}")

    def request_under(self, opening: bytes, written: bytes, key: str) -> bytes:
        """The body that `encode_request` writes for an object, under the document of `opening`, without sources.

        `written` is what `write` makes of the object, and the key of A-Z a-z 0-9 - _ alone.
        """
        return b"".join((opening, written, b',"idempotencyKey":"', key.encode(), b'"}'))

    def read_success(self, data: bytes) -> tuple[JsonObject, PeerTier] | None:
        """The object that answers, and the tier that made it; None where `decode_reply` has to look.

        How deep the object nests is for the caller to see: one that fits a flat schema nests no deeper than that.
        """
        try:
            if data.startswith(_OPENS) and data.endswith(_BY_ROUTINE):
                # As `success_written` writes it: what is between is the body, if it is JSON.
                body = orjson.loads(data[len(_OPENS) : -len(_BY_ROUTINE)])
                return (body, "routine") if body.__class__ is dict else None
            envelope = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
        if envelope.__class__ is not dict or envelope.get("status") != "success":
            return None
        body, tier = envelope.get("body"), envelope.get("tier")
        if body.__class__ is not dict or not nests_within(data, MAX_DEPTH):
            return None
        return body, "routine" if tier == "routine" else fields.read_tier(envelope)

    def success(self, body: JsonObject, tier: PeerTier) -> bytes:
        """The body that `encode_reply` writes for a success outside of conversations, where an object was asked with.

        Raises `ValueError` for a body that is not plain JSON.
        """
        return self.success_written(write(body), tier)

    def success_written(self, written: bytes, tier: PeerTier) -> bytes:
        """`success` of an object that `write` has made bytes of."""
        return b"".join((_OPENS, written, b',"tier":"', tier.encode(), b'"}'))

    def _reply_fields(self, reply: Reply, request: Request | None) -> JsonObject:
        told: JsonObject = {}
        if reply.status == "success":
            # 6.2: a string or an object, present if and only if it succeeded. The paper and 2024, whose requests
            # under a document look the same, know strings alone.
            wants_text = request is not None and isinstance(request.body, str)
            told["body"] = reply.body if string_or_object(reply.body) and not wants_text else as_text(reply.body)
        else:
            spelling = spelling_of(reply)
            told["error"] = spelling.text if spelling.rejected else fields.clip(reply.error) or spelling.text
            told["code"] = spelling.word
        if reply.conversation is not None:
            told["conversationId"] = reply.conversation
            if reply.conversation_expires is not None:
                told["conversationExpires"] = int(reply.conversation_expires)
        if reply.tier != "unknown":
            told["tier"] = reply.tier
        return told
