"""One negotiation of ANP with one caller, projected onto our own: what it may use, under which document, and how.

What is selected is a protocol document: the opening goes to the same responder as over any other dialect, under the
same authority and budgets, and the agreement is entered there. A result describes how to call, and allows nothing.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from negotiator.anp.offer import Offer
from negotiator.choosing import rank
from negotiator.dialects.anp.artifact import ArtifactRefused, exportable, read_artifact
from negotiator.dialects.anp.errors import refusal
from negotiator.dialects.anp.negotiating import (
    Execution,
    Negotiate,
    Result,
    Schemas,
    Selected,
    artifact_digest,
    at,
    spelt,
)
from negotiator.dialects.anp.words import (
    ARTIFACTS,
    CALLS,
    CAPABILITY,
    CONTENT_TYPES,
    DIRECT_CALL,
    DRAFTING,
    IN_WORDS,
    INTERFACE,
    META_INTERFACE,
    RPC,
    STRUCTURED_INTERFACE,
    TRANSPORT_PROTECTED,
    WORDS,
    WORDS_INTERFACE,
)
from negotiator.dialects.json_rpc import RpcError
from negotiator.fitting import suitable_tool
from negotiator.jsonvalue import JsonObject
from negotiator.messages import Request
from negotiator.negotiation import (
    Agreed,
    Agreement,
    Answer,
    Constraints,
    Intent,
    Opening,
    parse_response,
    result_digest,
    to_json,
)
from negotiator.negotiation import (
    Call as Said,
)
from negotiator.oauth.granted import granted_scopes
from negotiator.proposals import document_of
from negotiator.serving import Answer as Answering
from negotiator.serving import ExchangeContext, in_time
from negotiator.task import Tool
from negotiator.wire import ANONYMOUS
from protocol_docs import DocumentRevoked, ProtocolDocument, catalog

VALID_SECONDS: Final = 86_400.0
"""How long a result holds."""
SAFE_TAG: Final = "effect.safe"
"""The tag of an intent that must change nothing; ANP has no other word for it."""


class _Choice(NamedTuple):
    tool: Tool
    document: ProtocolDocument


@dataclass(slots=True)
class Negotiating:
    """One negotiation with one caller."""

    offer: Offer
    answer: Answering
    asked: Negotiate
    context: ExchangeContext
    base: str
    id: str

    async def selected(self) -> Result:
        """What the caller is to use. Raises `RpcError`."""
        if self._prefers_words() and (in_words := self._in_words()) is not None:
            return in_words
        try:
            if not self._may_be(STRUCTURED_INTERFACE, DIRECT_CALL):
                raise refusal(1601, "none of the candidate interfaces or modes is served here")
            choice = await self._choice(agree=True)
        except RpcError as problem:
            in_words = self._in_words() if problem.code in (1600, 1601) else None
            if in_words is None:
                raise
            return in_words
        return self._accepted(choice)

    async def drafted(self) -> Result:
        """A draft that either side may still leave: it is agreed to by naming its digest (ANP-06 9)."""
        choice = await self._choice(agree=False)
        self.offer.show_draft(choice.document)
        return Result(
            negotiation_id=self.id,
            status="needs_more_information",
            execution=Execution(
                mode=DRAFTING, requires_human_authorization=self.asked.constraints.requires_human_authorization
            ),
            alternatives=(
                {
                    "protocolArtifact": self._artifact(choice.document),
                    "digest": spelt(choice.document.hash),
                    "execution": {"mode": DIRECT_CALL},
                },
            ),
            reason="this is a draft: name its digest among candidateProtocols to agree to it",
        )

    def _accepted(self, choice: _Choice) -> Result:
        tool, document = choice.tool, choice.document
        place = self._artifact(document)
        shown = exportable(document)
        limit = round(self.context.deadline.remaining() * 1000)
        wanted = self.asked.constraints.max_latency_ms
        plain: JsonObject = {
            "interface": STRUCTURED_INTERFACE,
            "protocol": "openrpc",
            "profile": RPC,
            "url": self.base + INTERFACE,
        }
        return Result(
            negotiation_id=self.id,
            status="accepted",
            selected=Selected(
                capability=CAPABILITY + tool.name,
                interface=STRUCTURED_INTERFACE,
                protocol="openrpc",
                profile=RPC,
                security_profile=TRANSPORT_PROTECTED,
                content_type=CONTENT_TYPES[0],
                url=self.base + (CALLS if shown else INTERFACE),
                protocol_artifact=place if shown else None,
            ),
            execution=Execution(
                mode=DIRECT_CALL,
                # Handed on as it came: nobody here has asked a person anything.
                requires_human_authorization=self.asked.constraints.requires_human_authorization,
                timeout_ms=limit if wanted is None else min(limit, wanted),
            ),
            schemas=Schemas(request_schema=f"{place}/request.json", response_schema=f"{place}/response.json")
            if shown
            else None,
            valid_until=at(self.offer.engine.clock.time() + VALID_SECONDS),
            alternatives=(plain,) if shown else (),
        )

    def _in_words(self) -> Result | None:
        """Natural language, where the caller allows it and this side reads it for this caller."""
        engine, wants = self.offer.engine, self.asked.constraints
        if not wants.allow_natural_language_fallback or not self._may_be(WORDS_INTERFACE, IN_WORDS):
            return None
        reads = any(self._allows(tool, "natural_language") and not tool.sensitive for tool in self._named())
        if not self.offer.in_words or not reads or not engine.within_budget:
            return None
        return Result(
            negotiation_id=self.id,
            status="accepted",
            selected=Selected(
                interface=WORDS_INTERFACE,
                protocol="openrpc",
                profile=RPC,
                security_profile=TRANSPORT_PROTECTED,
                content_type=CONTENT_TYPES[0],
                url=self.base + WORDS,
            ),
            execution=Execution(mode=IN_WORDS, requires_human_authorization=wants.requires_human_authorization),
            valid_until=at(engine.clock.time() + VALID_SECONDS),
        )

    def _prefers_words(self) -> bool:
        preferred = self.asked.constraints.preferred_interface_types
        return bool(preferred) and preferred[0] == "NaturalLanguageInterface"

    def _may_be(self, interface: str, mode: str) -> bool:
        """Whether the caller leaves an interface and a mode open."""
        refs = set(self.asked.candidate_interface_refs) - {META_INTERFACE}
        modes = self.asked.caller_capabilities.supported_execution_modes
        return (not refs or interface in refs) and (modes is None or mode in modes)

    def _named(self) -> list[Tool]:
        """The tools that the required capabilities leave. Raises `RpcError` for one that is none of ours."""
        tools = {CAPABILITY + tool.name: tool for tool in self.offer.tools()}
        strange = [each for each in self.asked.required_capabilities if each not in tools]
        if strange:
            raise refusal(1601, "there is no such capability here", unsupportedCapabilities=strange[:8])
        return [tools[each] for each in self.asked.required_capabilities] or list(tools.values())

    async def _choice(self, *, agree: bool) -> _Choice:
        """The tool and the document, by our own responder. Raises `RpcError`."""
        engine, named = self.offer.engine, self._named()
        opening = Opening(
            id=engine.new_id(),
            intent=self._intent(),
            constraints=Constraints(
                human_authorization=self.asked.constraints.requires_human_authorization,
                natural_language=self.asked.constraints.allow_natural_language_fallback,
            ),
            candidates=await self._candidates(named),
        )
        said = await self._say(opening)
        if not isinstance(said, Answer) or said.selected is None or said.decision != "accepted":
            reason = said.reason if isinstance(said, Answer) else ""
            raise refusal(1601, reason or "no interface here does what is intended")
        document = engine.documents.get(said.selected.protocol_hash)
        tool = None if document is None else await self._tool(document)
        if document is None or tool is None or tool not in named:
            raise refusal(1601, "no interface here does what is intended")
        self._require(tool)
        if agree:
            digest = result_digest(opening.id, said.selected)
            agreement = Agreement(id=opening.id, protocol_hash=document.hash, digest=digest)
            agreed = await self._say(agreement)
            if not isinstance(agreed, Agreed):
                raise refusal(1600, agreed.reason or "this is not agreed to")
        return _Choice(tool, document)

    async def _tool(self, document: ProtocolDocument) -> Tool | None:
        own = next((tool for tool in self.offer.tools() if document_of(tool).hash == document.hash), None)
        meant = self.offer.engine.meant.get(document.hash)
        return own or self.offer.engine.tools.get(meant or "") or await suitable_tool(self.offer.engine, document)

    def _require(self, tool: Tool) -> None:
        """Raises where this caller may not use the tool: then there is nothing to agree on."""
        if self._allows(tool, "routine"):
            return
        if self.context.principal == ANONYMOUS:
            raise refusal(1607, "this is for callers who prove who they are")
        raise refusal(1006, "this caller may not use what it asks for")

    def _allows(self, tool: Tool, tier: Literal["natural_language", "routine"]) -> bool:
        authority = self.offer.engine.authority
        granted, public = granted_scopes(), tool.is_public
        return authority.allows(self.context.principal, tool.name, tool.effect, tier, public=public, granted=granted)

    async def _candidates(self, named: list[Tool]) -> tuple[str, ...]:
        """Documents that the caller would use, then those of the capabilities that it requires."""
        engine = self.offer.engine
        hashes: list[str] = []
        for candidate in self.asked.candidate_protocols:
            if isinstance(candidate, str):
                digest = artifact_digest(candidate)
                hashes += [] if digest is None else [digest]
                continue
            try:
                document = read_artifact(candidate).document
            except ArtifactRefused as error:
                raise refusal(1600, f"a candidate cannot be used: {error}") from None
            if await suitable_tool(engine, document) is not None:
                # One that was revoked here is no candidate.
                with suppress(DocumentRevoked):
                    engine.keep_strange(document)
                    hashes.append(document.hash)
        if self.asked.required_capabilities:
            for tool, _ in rank(self._intent(), named):
                drafted = document_of(tool)
                engine.documents.put(drafted)
                hashes.append(drafted.hash)
        return tuple(dict.fromkeys(hashes))

    def _intent(self) -> Intent:
        given = self.asked.intent
        summary = "" if given.input_summary is None else str(given.input_summary)
        return Intent(
            name=given.name or ", ".join(given.intent_tags)[:200],
            description=given.description,
            tags=given.intent_tags[:32],
            effect="safe" if SAFE_TAG in given.intent_tags else "transactional",
            input_summary=summary[:4_000],
        )

    async def _say(self, message: Said) -> Answer | Agreed:
        request = Request(body=to_json(message), hashes=catalog.negotiation_dialogue().aliases)
        reply = await in_time(self.answer, request, self.context)
        match reply.body:
            case {"error": {"detail": str(detail)}}:
                raise refusal(1600, detail)
        return parse_response(reply.body)

    def _artifact(self, document: ProtocolDocument) -> str:
        return f"{self.base}{ARTIFACTS}{spelt(document.hash)}"
