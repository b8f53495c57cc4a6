"""The wire languages beside Agora that one agent asks peers in, each loaded for the first peer that may speak it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from negotiator.clock import Clock
from negotiator.dialects.addresses import of_a2a, of_anp, of_mcp
from negotiator.late import Late
from negotiator.schemas import Schema
from negotiator.speaking import LateSpeaker, Speaker
from negotiator.wire import Transport
from protocol_docs.text_store import TextStore

if TYPE_CHECKING:
    from negotiator.a2a.speaker import A2ASpeaker, Prepare
    from negotiator.anp.peers import AnpPeers, Authorize
    from negotiator.identity.identity import Identity
    from negotiator.identity.resolver import DidResolver
    from negotiator.mcp.elicitation import Elicit
    from negotiator.mcp.peers import McpPeers


@dataclass(kw_only=True)
class Speakers:
    """What they are made of; what the fields mean is said at `Agent`."""

    transport: Transport
    text: TextStore
    clock: Clock
    new_id: Callable[[], str]
    pinned: bool
    elicit: "Elicit | None"
    reply_schema: Callable[[str], Schema | None]
    """What the reply under a document looks like, by its hash."""
    prepare: "Prepare | None"
    """How what an agent card asks for is got."""
    resolver: "Late[DidResolver]"
    identity: "Identity | None"
    authorize: "Authorize | None"

    mcp: "Late[McpPeers]" = field(init=False)
    anp: "Late[AnpPeers]" = field(init=False)

    def __post_init__(self) -> None:
        self.mcp, self.anp = Late(self._of_mcp), Late(self._of_anp)

    def all(self) -> list[Speaker]:
        """They, in the order in which a peer that shows nothing of Agora is asked."""
        return [
            LateSpeaker("mcp", of_mcp, self.mcp),
            LateSpeaker("a2a", of_a2a, Late(self._of_a2a)),
            LateSpeaker("anp", of_anp, self.anp),
        ]

    def _of_mcp(self) -> "McpPeers":
        from negotiator.mcp.peers import McpPeers  # noqa: PLC0415 - imported on use

        return McpPeers(self.transport, self.text, self.clock, pinned=self.pinned, elicit=self.elicit)

    def _of_a2a(self) -> "A2ASpeaker":
        from negotiator.a2a.speaker import A2ASpeaker  # noqa: PLC0415 - imported on use

        return A2ASpeaker(self.transport, self.reply_schema, prepare=self.prepare)

    def _of_anp(self) -> "AnpPeers":
        from negotiator.anp.peers import AnpPeers  # noqa: PLC0415 - imported on use

        return AnpPeers(
            self.transport,
            self.text,
            self.clock,
            self.new_id,
            resolver=self.resolver(),
            identity=self.identity,
            pinned=self.pinned,
            authorize=self.authorize,
        )
