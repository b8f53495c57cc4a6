"""The two standards before 2025: the paper's appendix B, and the specification page of October 2024.

They differ in what stands for "no sources": an empty list in the paper, null in 2024. Neither has conversations.
"""

from abc import abstractmethod
from typing import ClassVar

from negotiator.dialects.agora import fields
from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.spellings import spelling_of
from negotiator.dialects.json_body import as_text
from negotiator.errors import NotPossible
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Reply, Request


class _Before2025(AgoraDialect):
    base64: ClassVar[bool] = False
    converses: ClassVar[bool] = False

    def _request_envelope(self, request: Request) -> JsonObject:
        if request.kind == "negotiation":
            raise NotPossible(f"{self.name} has no negotiation in natural language; use a document for it")
        spelt = fields.sha1_in(request, base64=self.base64)
        sources = list(request.sources) if spelt is not None else self._no_sources()
        return {"protocolHash": spelt, "protocolSources": sources, "body": as_text(request.body)}

    @abstractmethod
    def _no_sources(self) -> list[str] | None: ...

    def _reply_fields(self, reply: Reply, request: Request | None) -> JsonObject:  # noqa: ARG002 - the port's
        if reply.status == "success":
            return {"body": as_text(reply.body)}
        if reply.status == "rejected":
            return {}
        # A sender of 0.2.0 that asks for no conversation cannot be told from the paper's, and needs the field.
        return {"body": fields.clip(reply.error) or spelling_of(reply).text}

    def _failure(self, envelope: JsonObject, *, code: str | None, retry_after: float | None = None) -> Reply:
        told = {"error": envelope.get("body"), **envelope}
        return super()._failure(told, code=code, retry_after=retry_after)


class Paper(_Before2025):
    """arXiv 2410.11905, appendix B: `rejected` and `failure`; an empty list of sources without a document."""

    name: ClassVar[str] = "agora-paper"

    def _no_sources(self) -> list[str] | None:
        return []


class Standard2024(_Before2025):
    """The specification page of 2024: as the paper, with null for no sources."""

    name: ClassVar[str] = "agora-2024"

    def _no_sources(self) -> list[str] | None:
        return None
