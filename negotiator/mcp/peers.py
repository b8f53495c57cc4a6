"""Servers of MCP as peers: each tool is a document that the peer lists, and a call an exchange under it.

What was seen of a tool at first is what is used. A definition that changes is refused until somebody has looked at it
and approved it: what a server says of its tools steers what is sent to them.
"""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import orjson

from negotiator.clock import Clock, Deadline
from negotiator.dialects.mcp import client as wire
from negotiator.dialects.mcp.messages import RpcError
from negotiator.dialects.mcp.words import (
    HANDSHAKE,
    INVALID_PARAMS,
    META_KEY,
    MODERN,
    UNSUPPORTED_VERSION,
    VERSION_HEADER,
)
from negotiator.errors import (
    DefinitionChanged,
    NotPossible,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
    UsageError,
)
from negotiator.interpret import body_value
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.links import HttpLink, Link, SessionEnded, StdioLink
from negotiator.mcp.version import own_version
from negotiator.messages import Reply, Request
from negotiator.reach import Found, PeerRecord
from negotiator.wire import Transport
from protocol_docs import as_data_uri
from protocol_docs.text_store import TextStore

STDIO: Final = "stdio:"
"""Before the name of a server that runs in a process of ours."""
EXPLICIT: Final = "mcp+"
"""Before an http(s) address that is a server's though its path does not end in `mcp`."""
LIST_SECONDS: Final = 300.0
"""How old the list of a server's tools may be when one is called."""
MAX_ROUNDS: Final = 4
"""Times that a call is made again because its server wants it so."""
_PROBE_SECONDS: Final = 10.0
"""How long a process may take to say whether it is of the modern era; servers of old may say nothing at all."""
_PINS: Final = "mcp-tools/"
_PAGES: Final = 64


@dataclass(slots=True)
class _Session:
    """One server, as far as it is known."""

    link: Link
    version: str | None = None
    tools: dict[str, wire.PeerTool] = field(default_factory=dict)
    """By the hash of their documents; those that may be used."""
    changed: dict[str, str] = field(default_factory=dict)
    """The names of tools whose definition is another than the one that was approved, by the approved hash."""
    listed_at: float | None = None
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)


class McpPeers:
    """The servers of MCP that one agent asks, as a `Speaker`. Safe to call from several tasks and event loops."""

    name = "mcp"

    def __init__(
        self,
        transport: Transport,
        store: TextStore,
        clock: Clock,
        *,
        pinned: bool = True,
    ) -> None:
        """Reach them through `transport`.

        Args:
            transport: How bytes travel to those that are reached over HTTP.
            store: Where is kept which definitions were seen.
            clock: Where time comes from.
            pinned: Whether a tool whose definition changes is refused until it is approved.
        """
        self._transport = transport
        self._store = store
        self._clock = clock
        self._client: JsonObject = {"name": "metaparley", "version": own_version()}
        self._pinned = pinned
        self._commands: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Session]] = WeakKeyDictionary()

    def add_command(self, name: str, command: Sequence[str] | str, environment: Mapping[str, str]) -> str:
        """Have `stdio:<name>` be the server that `command` starts; gives that address. Raises `UsageError`."""
        words = tuple(shlex.split(command) if isinstance(command, str) else command)
        if not words or not name or not name.isprintable() or "/" in name:
            raise UsageError("a server needs a plain name and a command")
        self._commands[STDIO + name] = (words, dict(environment))
        return STDIO + name

    def approve(self, base_url: str, tool: str | None = None) -> None:
        """Take the definitions as they are from now on, of one tool or of all."""
        pins = {} if tool is None else {name: each for name, each in self._pins(base_url).items() if name != tool}
        self._store.put(_pins(base_url), orjson.dumps(pins).decode())
        for sessions in self._sessions.values():
            if base_url in sessions:
                sessions[base_url].listed_at = None

    # --- what `Reach` asks for ---

    def claims(self, base_url: str) -> bool:
        """See `Speaker.claims`."""
        if base_url.startswith((STDIO, EXPLICIT)):
            return True
        return urlsplit(base_url).path.rstrip("/").rpartition("/")[2] == "mcp"

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """See `Speaker.look`."""
        if not self.claims(base_url):
            return None
        session = self._session(base_url)
        try:
            await self._listed(base_url, session, deadline, afresh=True)
        except (RpcError, SessionEnded) as problem:
            raise PeerMisspoke(f"the server does not list its tools: {problem}") from problem
        about: JsonObject = {"url": base_url, "version": session.version}
        listing = {name: (as_data_uri(tool.document),) for name, tool in session.tools.items()}
        return Found(listing=listing, about=about, words=False)

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """See `Speaker.exchange`. Raises also `DefinitionChanged`."""
        if request.kind != "exchange" or not request.hashes:
            raise NotPossible("a server of MCP reads no natural language, only calls of the tools it lists")
        base_url, version = str(record.about.get("url")), record.about.get("version")
        session = self._session(base_url)
        # What was found out once need not be again by another process that shares the state.
        session.version = session.version or (version if isinstance(version, str) else None)
        try:
            await self._listed(base_url, session, deadline)
        except (PeerHungUp, SessionEnded) as problem:
            # It hung up on a question about itself: nothing of the request was sent.
            raise PeerUnreachable(str(problem)) from problem
        except RpcError as problem:
            raise PeerFailed(f"the server does not list its tools: {problem}") from problem
        tool = next((session.tools[name] for name in request.hashes if name in session.tools), None)
        if tool is None:
            changed = next((session.changed[name] for name in request.hashes if name in session.changed), None)
            if changed is not None:
                raise DefinitionChanged(
                    f"{base_url} says something else of its tool {changed!r} than what was approved: look at it, and "
                    f"approve it with Agent.approve({base_url!r}, {changed!r})"
                )
            return Reply(status="rejected", code="unsupported_protocol", error="the server has no such tool")
        arguments = body_value(request.body)
        if not isinstance(arguments, dict):
            raise UsageError("a tool takes an object")
        return await self._call(base_url, session, tool, arguments, request.idempotency_key, deadline)

    async def aclose(self) -> None:
        """See `Speaker.aclose`."""
        for session in self._sessions.pop(asyncio.get_running_loop(), {}).values():
            await session.link.aclose()

    # --- one server ---

    def _session(self, base_url: str) -> _Session:
        sessions = self._sessions.setdefault(asyncio.get_running_loop(), {})
        if base_url not in sessions:
            sessions[base_url] = _Session(self._link(base_url))
        return sessions[base_url]

    def _link(self, base_url: str) -> Link:
        if not base_url.startswith(STDIO):
            return HttpLink(self._transport, base_url.removeprefix(EXPLICIT))
        if base_url not in self._commands:
            # An address alone starts nothing: it may come from anywhere.
            raise UsageError(f"there is no command for {base_url}: give it with Agent.know_command")
        return StdioLink(*self._commands[base_url])

    async def _begin(self, session: _Session, deadline: Deadline) -> None:
        """Find out the era, or begin again in the one that is known."""
        if session.version in HANDSHAKE:
            await self._handshake(session, deadline)
            return
        until = deadline
        if not session.link.http:
            until = Deadline.after(min(_PROBE_SECONDS, max(deadline.remaining(), 0) / 2), self._clock)
        try:
            session.version = await self._probe(session, until)
        except PeerHungUp:
            if session.link.http or deadline.remaining() <= 0:
                raise
        if session.version is None:
            try:
                await self._handshake(session, deadline)
            except RpcError as problem:
                # A process that was slow to start has heard the first question by now, and is modern.
                if problem.code != UNSUPPORTED_VERSION:
                    raise
                session.version = await self._probe(session, deadline)

    async def _probe(self, session: _Session, deadline: Deadline) -> str | None:
        """The modern revision that a server speaks; None for a server of old. Raises as `Link.call` does."""
        version = MODERN[0]
        params = wire.modern_params({}, version, self._client)
        headers = wire.modern_headers("server/discover", {}, version)
        for _ in range(2):
            try:
                return wire.revision_of(await session.link.call("server/discover", params, deadline, headers))
            except RpcError as problem:
                if problem.code != UNSUPPORTED_VERSION:
                    return None
                if wire.only_unknown(problem.data):
                    raise PeerMisspoke("the server speaks no revision of MCP that is spoken here") from problem
                # One that names the revision it has just refused is asked once more, as the specification has it.
                if not wire.names_modern(problem.data):
                    return None
        return None

    async def _handshake(self, session: _Session, deadline: Deadline) -> None:
        found = await session.link.call("initialize", wire.handshake(self._client), deadline, {})
        session.version = wire.agreed_handshake(found)
        await session.link.notify("notifications/initialized", deadline, {VERSION_HEADER: session.version})

    async def _ask(
        self,
        session: _Session,
        method: str,
        params: JsonObject,
        deadline: Deadline,
        tool: wire.PeerTool | None = None,
    ) -> JsonObject:
        version = session.version or MODERN[0]
        if version in MODERN:
            params, headers = (
                wire.modern_params(params, version, self._client),
                wire.modern_headers(method, params, version, tool),
            )
        else:
            headers = {VERSION_HEADER: version}
        return await session.link.call(method, params, deadline, headers)

    async def _listed(self, base_url: str, session: _Session, deadline: Deadline, *, afresh: bool = False) -> None:
        """Know the server's tools, as of lately; one look for all that want to know at the same time."""
        asked_at = self._clock.monotonic()
        async with session.beginning:
            fresh = session.listed_at is not None and (
                session.listed_at >= asked_at if afresh else asked_at - session.listed_at <= LIST_SECONDS
            )
            if fresh:
                return
            began = session.listed_at is None
            if began:
                await self._begin(session, deadline)
            try:
                entries = await self._entries(session, deadline)
            except SessionEnded:
                if began:
                    raise
                await self._begin(session, deadline)
                entries = await self._entries(session, deadline)
            self._take(base_url, session, entries)
            session.listed_at = self._clock.monotonic()

    async def _entries(self, session: _Session, deadline: Deadline) -> list[Any]:
        entries: list[Any] = []
        params: JsonObject = {}
        for _ in range(_PAGES):
            page = await self._ask(session, "tools/list", params, deadline)
            found, cursor = page.get("tools"), page.get("nextCursor")
            if not isinstance(found, list):
                raise PeerMisspoke("the server's list of tools is none")
            entries += found
            if not isinstance(cursor, str) or len(entries) >= wire.MAX_TOOLS:
                break
            params = {"cursor": cursor}
        return entries[: wire.MAX_TOOLS]

    def _take(self, base_url: str, session: _Session, entries: list[Any]) -> None:
        """Keep what may be used: what is as it was seen at first, and what was never seen."""
        with_headers = session.link.http and session.version in MODERN
        read = [wire.read_tool(entry, with_headers=with_headers) for entry in entries]
        pins = self._pins(base_url)
        session.tools, session.changed = {}, {}
        seen = dict(pins)
        for tool in read:
            if tool is None:
                continue
            approved = seen.setdefault(tool.name, tool.document.hash)
            if approved == tool.document.hash or not self._pinned:
                session.tools[tool.document.hash] = tool
            else:
                session.changed[approved] = tool.name
        if seen != pins:
            self._store.put(_pins(base_url), orjson.dumps(seen).decode())

    def _pins(self, base_url: str) -> dict[str, str]:
        text = self._store.get(_pins(base_url))
        try:
            found = {} if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            found = {}
        return found if isinstance(found, dict) else {}

    async def _call(
        self,
        base_url: str,
        session: _Session,
        tool: wire.PeerTool,
        arguments: JsonObject,
        key: str | None,
        deadline: Deadline,
    ) -> Reply:
        params: JsonObject = {"name": tool.name, "arguments": arguments}
        if key is not None:
            params["_meta"] = {META_KEY: key}
        for _ in range(MAX_ROUNDS):
            try:
                made = await self._ask(session, "tools/call", params, deadline, tool)
            except SessionEnded:
                # The server has said that it did nothing.
                session.listed_at = None
                await self._listed(base_url, session, deadline)
                if tool.document.hash not in session.tools:
                    return Reply(status="rejected", code="unsupported_protocol")
                continue
            except RpcError as problem:
                return _failed(problem)
            if made.get("resultType") != "input_required":
                return wire.read_result(made)
            if made.get("inputRequests") or "requestState" not in made:
                return Reply(status="failure", code="input_required", error=wire.wanted_input(made)[:300])
            params = {**params, "requestState": made["requestState"]}
        return Reply(status="failure", code="input_required", error="the tool asks to be called again without end")


def _failed(problem: RpcError) -> Reply:
    data: Any = problem.data
    said = data.get("code") if isinstance(data, dict) else None
    wait = data.get("retryAfter") if isinstance(data, dict) else None
    if said == "overloaded":
        after = float(wait) if isinstance(wait, int | float) else 1.0
        return Reply(status="failure", code="overloaded", error=str(problem)[:300], retry_after=after)
    code = "bad_input" if problem.code == INVALID_PARAMS else "failed"
    return Reply(status="failure", code=code, error=str(problem)[:300])


def _pins(base_url: str) -> str:
    return _PINS + sha256(base_url.encode()).hexdigest()
