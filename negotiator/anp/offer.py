"""What an agent shows over ANP: its description with a proof, its tools as OpenRPC, its documents as artifacts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from negotiator.bounded import keep
from negotiator.dialects.addresses import ANP_PAGE, ANP_PATH
from negotiator.dialects.anp.artifact import exportable, write_artifact
from negotiator.dialects.anp.description import Places, Shown, write_description, write_page
from negotiator.dialects.anp.negotiating import REQUEST_BYTES, Capabilities, at, digest_of, read_digest
from negotiator.dialects.anp.openrpc import write_interface
from negotiator.dialects.anp.words import (
    ARTIFACTS,
    CALLS,
    DESCRIPTION,
    INTERFACE,
    WORDS,
)
from negotiator.dialects.json_rpc import to_bytes
from negotiator.dialects.offered import Offered
from negotiator.direct import offered
from negotiator.engine import Engine
from negotiator.identity.did import is_loopback
from negotiator.identity.identity import Identity
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.version import own_version
from negotiator.serving import Listing
from negotiator.task import Tool
from protocol_docs import MalformedHash, ProtocolDocument, catalog

WORDS_CALLS: Final = "/anp/words"
"""Where requests in natural language go."""
ASK: Final = "ask"
"""The one method there."""
MAX_DRAFTS: Final = 256
"""Drafts of negotiations that can be had at a time."""
_ASKED: Final = Offered(
    name=ASK,
    description="Ask for what this agent does in natural language; the reply is in natural language too.",
    input={"type": "object", "properties": {"request": {"type": "string"}}, "required": ["request"]},
    output={"type": "string"},
    effect="transactional",
)


@dataclass(slots=True)
class Offer:
    """One agent, as ANP has it described."""

    engine: Engine
    listing: Listing
    identity: Identity | None
    body_bytes: int
    since: float
    """Unix seconds: when the description says that it was made."""
    _stated: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    _drafts: dict[str, ProtocolDocument] = field(default_factory=dict)

    @property
    def did(self) -> str | None:
        """Whom callers negotiate with: the agent's DID, where what it says there goes over a secure transport."""
        if self.identity is None:
            return None
        parts = urlsplit(self.identity.url)
        secure = parts.scheme == "https" or is_loopback(parts.hostname or "")
        return self.identity.did if secure else None

    def base(self, reached: str | None) -> str:
        """The agent's address: its own, else the one that a caller reached it by."""
        return self.identity.url if self.identity is not None else (reached or "")

    def tools(self) -> Sequence[Tool]:
        """The tools that are shown."""
        return () if self.engine.publish == "none" else tuple(self.engine.tools.values())

    @property
    def in_words(self) -> bool:
        """Whether natural language is read here."""
        return self.engine.has_model and bool(self.tools())

    def page(self, base: str) -> bytes:
        """The page that lists this agent (ANP-08)."""
        return to_bytes(write_page(base + ANP_PAGE, [(self.engine.name, base + DESCRIPTION)]))

    async def description(self, base: str) -> bytes:
        """The agent's description (ANP-07), proved by its identity. Raises `IdentityUnusable`."""
        key = (base, self.engine.toolset, str(self.in_words), self.identity.key_id if self.identity else "")
        if key not in self._stated:
            does = "; ".join(tool.description or tool.name for tool in self.tools())[:1_000]
            words = base + WORDS if self.in_words else None
            places = Places(
                description=base + DESCRIPTION, endpoint=base + ANP_PATH, interface=base + INTERFACE, words=words
            )
            made = write_description(
                name=self.engine.name,
                description=does or f"The agent {self.engine.name}.",
                did=self.did,
                places=places,
                tools=[Shown(name=tool.name, description=tool.description) for tool in self.tools()],
                created=at(self.since),
            )
            if self.identity is not None:
                domain = urlsplit(base).netloc
                made = await self.identity.state(made, domain=domain, challenge=self.engine.new_id())
            self._stated.clear()
            self._stated[key] = to_bytes(made)
        return self._stated[key]

    def interface(self, base: str) -> JsonObject:
        """The tools as OpenRPC."""
        methods = [offered(tool) for tool in self.tools()]
        return write_interface(title=self.engine.name, version=own_version(), url=base + CALLS, methods=methods)

    def words(self, base: str) -> JsonObject | None:
        """Natural language as OpenRPC; None where none is read."""
        if not self.in_words:
            return None
        return write_interface(title=self.engine.name, version=own_version(), url=base + WORDS_CALLS, methods=[_ASKED])

    def capabilities(self) -> Capabilities:
        """What is spoken here now. Only for an agent with a `did`."""
        return Capabilities(
            service_did=self.did or "",
            limits={REQUEST_BYTES: str(self.body_bytes)},
            interface=digest_of([self.engine.toolset, self.in_words]),
        )

    def show_draft(self, document: ProtocolDocument) -> None:
        """Have a document be had that nobody has agreed to yet."""
        keep(self._drafts, document.hash, document, MAX_DRAFTS)

    async def artifact(self, path: str, base: str) -> bytes | None:
        """What is at a path below `ARTIFACTS`: an artifact, or one of its schemas; None for nothing.

        Raises `IdentityUnusable`.
        """
        digest, _, part = path.removeprefix(ARTIFACTS).partition("/")
        try:
            document = self._document(read_digest(digest))
        except MalformedHash:
            return None
        if document is None or document.annex is None:
            return None
        match part:
            case "":
                made = write_artifact(document, base, self.did)
                if self.identity is not None:
                    made = await self.identity.state(made)
                return to_bytes(made)
            case "request.json" if document.annex.request_schema is not None:
                return to_bytes(document.annex.request_schema)
            case "response.json" if document.annex.reply_schema is not None:
                return to_bytes(document.annex.reply_schema)
        return None

    def _document(self, protocol_hash: str) -> ProtocolDocument | None:
        """A document that is listed here, or that was drafted or agreed on in a negotiation."""
        listed = self.listing().get(protocol_hash)
        if listed is None and protocol_hash not in self.engine.agreements.served(self.engine.toolset):
            document = self._drafts.get(protocol_hash)
        else:
            document = listed.document if listed is not None else self.engine.documents.get(protocol_hash)
        if document is None or protocol_hash in catalog.hashes() or not exportable(document):
            return None
        return document
