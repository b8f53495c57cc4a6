"""One session with one server of MCP: the era that is found out once, and what is asked in it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from negotiator.clock import Clock, Deadline
from negotiator.dialects.json_rpc import RpcError
from negotiator.dialects.mcp import client as wire
from negotiator.dialects.mcp.words import (
    HANDSHAKE,
    MODERN,
    UNSUPPORTED_VERSION,
    VERSION_HEADER,
)
from negotiator.dialects.peer_tool import PeerTool
from negotiator.errors import PeerHungUp, PeerMisspoke
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.links import Link
from negotiator.mcp.version import own_version
from negotiator.tracing import outgoing

_PROBE_SECONDS: Final = 10.0
"""How long a process may take to say whether it is of the modern era; servers of old may say nothing at all."""
_PAGES: Final = 64


@dataclass(slots=True)
class Session:
    """One server, as far as it is known. Belongs to one event loop."""

    link: Link
    clock: Clock
    capabilities: JsonObject = field(default_factory=dict)
    """What is offered to the server, beside what every client of ours does."""
    version: str | None = None
    """The revision that is spoken, once that is known."""
    tools: dict[str, PeerTool] = field(default_factory=dict)
    """By the hash of their documents; those that may be used."""
    changed: dict[str, str] = field(default_factory=dict)
    """The names of tools whose definition is another than the one that was approved, by the approved hash."""
    words: PeerTool | None = None
    """The tool that takes natural language, of an agent of ours."""
    listed_at: float | None = None
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    _client: JsonObject = field(init=False, default_factory=lambda: {"name": "metaparley", "version": own_version()})

    async def begin(self, deadline: Deadline) -> None:
        """Find out the era, or begin again in the one that is known. Raises as `Link.call` does."""
        if self.version in HANDSHAKE:
            await self._handshake(deadline)
            return
        until = deadline
        if not self.link.http:
            until = Deadline.after(min(_PROBE_SECONDS, max(deadline.remaining(), 0) / 2), self.clock)
        try:
            self.version = await self._probe(until)
        except PeerHungUp:
            if self.link.http or deadline.remaining() <= 0:
                raise
        if self.version is None:
            try:
                await self._handshake(deadline)
            except RpcError as problem:
                # A process that was slow to start has heard the first question by now, and is modern.
                if problem.code != UNSUPPORTED_VERSION:
                    raise
                self.version = await self._probe(deadline)

    async def _probe(self, deadline: Deadline) -> str | None:
        """The modern revision that a server speaks; None for a server of old. Raises as `Link.call` does."""
        version = MODERN[0]
        params = wire.modern_params({}, version, self._client, self.capabilities)
        headers = wire.modern_headers("server/discover", {}, version)
        for _ in range(2):
            try:
                return wire.revision_of(await self.link.call("server/discover", params, deadline, headers))
            except RpcError as problem:
                if problem.code != UNSUPPORTED_VERSION:
                    return None
                if wire.only_unknown(problem.data):
                    raise PeerMisspoke("the server speaks no revision of MCP that is spoken here") from problem
                # One that names the revision it has just refused is asked once more, as the specification has it.
                if not wire.names_modern(problem.data):
                    return None
        return None

    async def _handshake(self, deadline: Deadline) -> None:
        found = await self.link.call("initialize", wire.handshake(self._client, self.capabilities), deadline, {})
        self.version = wire.agreed_handshake(found)
        await self.link.notify("notifications/initialized", deadline, {VERSION_HEADER: self.version})

    async def ask(
        self,
        method: str,
        params: JsonObject,
        deadline: Deadline,
        tool: PeerTool | None = None,
    ) -> JsonObject:
        """One request in the revision that is spoken, and its result. Raises as `Link.call` does."""
        version = self.version or MODERN[0]
        if trace := outgoing():
            meta = params.get("_meta")
            params = {**params, "_meta": {**(meta if isinstance(meta, dict) else {}), **trace}}
        if version in MODERN:
            params, headers = (
                wire.modern_params(params, version, self._client, self.capabilities),
                wire.modern_headers(method, params, version, tool),
            )
        else:
            headers = {VERSION_HEADER: version}
        return await self.link.call(method, params, deadline, headers)

    async def entries(self, deadline: Deadline) -> list[Any]:
        """What the server says of its tools, unread. Raises as `Link.call` does."""
        entries: list[Any] = []
        params: JsonObject = {}
        for _ in range(_PAGES):
            page = await self.ask("tools/list", params, deadline)
            found, cursor = page.get("tools"), page.get("nextCursor")
            if not isinstance(found, list):
                raise PeerMisspoke("the server's list of tools is none")
            entries += found
            if not isinstance(cursor, str) or len(entries) >= wire.MAX_TOOLS:
                break
            params = {"cursor": cursor}
        return entries[: wire.MAX_TOOLS]
