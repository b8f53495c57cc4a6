"""Servers of MCP as peers: each tool is a document that the peer lists, and a call an exchange under it.

A tool whose definition changes is refused until somebody has looked at it and approved it; see `negotiator.pins`.
"""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from negotiator.clock import Clock, Deadline
from negotiator.dialects.addresses import MCP_EXPLICIT, MCP_STDIO, of_mcp
from negotiator.dialects.json_rpc import INVALID_PARAMS, RpcError
from negotiator.dialects.mcp import client as wire
from negotiator.dialects.mcp.words import (
    HANDSHAKE,
    META_KEY,
    MODERN,
)
from negotiator.dialects.peer_tool import PeerTool
from negotiator.errors import (
    NotPossible,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
    UsageError,
)
from negotiator.interpret import body_text, body_value
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.elicitation import CAPABILITY, METHOD, Elicit, reply_to
from negotiator.mcp.http_link import NO_MESSAGE, HttpLink
from negotiator.mcp.links import Link, SessionEnded
from negotiator.mcp.process_link import StdioLink
from negotiator.mcp.session import Session
from negotiator.mcp.sse_link import SseLink
from negotiator.messages import Reply, Request
from negotiator.pins import Pins, changed_definition
from negotiator.speaking import Found, PeerRecord
from negotiator.wire import StreamTransport, Transport
from protocol_docs import as_data_uri
from protocol_docs.text_store import TextStore

LIST_SECONDS: Final = 300.0
"""How old the list of a server's tools may be when one is called."""
MAX_SAID: Final = 200
"""Characters of a tool's description that its place in a search goes by."""
MAX_ROUNDS: Final = 8
"""Times that a call is made again because its server wants it so."""
_OF_A_ROUND: Final = ("requestState", "inputResponses")


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
        elicit: Elicit | None = None,
    ) -> None:
        """Reach them through `transport`.

        Args:
            transport: How bytes travel to those that are reached over HTTP.
            store: Where is kept which definitions were seen.
            clock: Where time comes from.
            pinned: Whether a tool whose definition changes is refused until it is approved.
            elicit: Who answers what a server asks in the middle of a call; nobody, where not given.
        """
        self._transport = transport
        self._pins = Pins(store, "mcp-tools/", pinned=pinned)
        self._clock = clock
        self._elicit = elicit
        self._commands: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {}
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Session]] = WeakKeyDictionary()

    def add_command(self, name: str, command: Sequence[str] | str, environment: Mapping[str, str]) -> str:
        """Have `stdio:<name>` be the server that `command` starts; gives that address. Raises `UsageError`."""
        words = tuple(shlex.split(command) if isinstance(command, str) else command)
        if not words or not name or not name.isprintable() or "/" in name:
            raise UsageError("a server needs a plain name and a command")
        self._commands[MCP_STDIO + name] = (words, dict(environment))
        return MCP_STDIO + name

    def approve(self, base_url: str, tool: str | None = None) -> tuple[str, ...]:
        """Take the definitions as they are from now on, of one tool or of all.

        Gives the hashes of documents that stand for nothing any more, as far as is known: what was agreed on them is
        to be forgotten.
        """
        stood = self._pins.approve(base_url, tool)
        here = [sessions[base_url] for sessions in self._sessions.values() if base_url in sessions]
        listed = [session for session in here if session.tools or session.changed]
        for session in here:
            session.listed_at = None
        if not listed:
            return stood
        return tuple(each for each in stood if any(each in session.changed for session in listed))

    # --- what `Reach` asks for ---

    def claims(self, base_url: str) -> bool:
        """See `Speaker.claims`."""
        return of_mcp(base_url)

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
        names = {
            name: (tool.document.name, tool.document.description[:MAX_SAID]) for name, tool in session.tools.items()
        }
        if session.words is not None:
            about["words"] = session.words.name
        return Found(listing=listing, about=about, words=session.words is not None, names=names)

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """See `Speaker.exchange`. Raises also `DefinitionChanged`."""
        if request.kind != "exchange" or not (request.hashes or "words" in record.about):
            raise NotPossible("this server of MCP reads no natural language, only calls of the tools it lists")
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
        if not request.hashes:
            return await self._in_words(base_url, session, request, deadline)
        tool = next((session.tools[name] for name in request.hashes if name in session.tools), None)
        if tool is None:
            changed = next((session.changed[name] for name in request.hashes if name in session.changed), None)
            if changed is not None:
                raise changed_definition(base_url, changed)
            return Reply(status="rejected", code="unsupported_protocol", error="the server has no such tool")
        arguments = body_value(request.body)
        if not isinstance(arguments, dict):
            raise UsageError("a tool takes an object")
        return await self._call(base_url, session, tool, arguments, request.idempotency_key, deadline)

    async def _in_words(self, base_url: str, session: Session, request: Request, deadline: Deadline) -> Reply:
        if session.words is None:
            raise NotPossible("this server of MCP reads no natural language any more")
        said: JsonObject = {"request": body_text(request.body)}
        reply = await self._call(base_url, session, session.words, said, request.idempotency_key, deadline)
        return wire.words_of(reply)

    async def aclose(self) -> None:
        """See `Speaker.aclose`."""
        for session in self._sessions.pop(asyncio.get_running_loop(), {}).values():
            await session.link.aclose()

    # --- one server ---

    def _session(self, base_url: str) -> Session:
        sessions = self._sessions.setdefault(asyncio.get_running_loop(), {})
        if base_url not in sessions:
            sessions[base_url] = Session(self._link(base_url), self._clock, {} if self._elicit is None else CAPABILITY)
        return sessions[base_url]

    def _link(self, base_url: str) -> Link:
        if not base_url.startswith(MCP_STDIO):
            return HttpLink(self._transport, base_url.removeprefix(MCP_EXPLICIT), self._elicit)
        if base_url not in self._commands:
            # An address alone starts nothing: it may come from anywhere.
            raise UsageError(f"there is no command for {base_url}: give it with Agent.know_command")
        return StdioLink(*self._commands[base_url], peer=base_url, elicit=self._elicit)

    async def _listed(self, base_url: str, session: Session, deadline: Deadline, *, afresh: bool = False) -> None:
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
                await self._begin(base_url, session, deadline)
            try:
                entries = await session.entries(deadline)
            except SessionEnded:
                if began:
                    raise
                await session.begin(deadline)
                entries = await session.entries(deadline)
            with_headers = session.link.http and session.version in MODERN
            spoken = next((entry for entry in entries if wire.reads_words(entry)), None)
            session.words = None if spoken is None else wire.read_tool(spoken, with_headers=with_headers)
            read = (wire.read_tool(entry, with_headers=with_headers) for entry in entries if entry is not spoken)
            sifted = self._pins.sift(base_url, read)
            session.tools, session.changed = sifted.usable, sifted.changed
            session.listed_at = self._clock.monotonic()

    async def _begin(self, base_url: str, session: Session, deadline: Deadline) -> None:
        """Begin a session, with two endpoints where the server takes no message at its address (2025-03-26,
        transports: backwards compatibility).
        """
        try:
            await session.begin(deadline)
        except RpcError as refused:
            transport, before = self._transport, session.link
            if refused.code != NO_MESSAGE or not isinstance(before, HttpLink):
                raise
            if not isinstance(transport, StreamTransport):
                raise
            link = SseLink(transport, base_url.removeprefix(MCP_EXPLICIT), self._clock, self._elicit)
            session.link, session.version = link, HANDSHAKE[-1]
            try:
                await session.begin(deadline)
            except BaseException as problem:
                await link.aclose()
                session.link, session.version = before, None
                if isinstance(problem, Exception):
                    raise refused from problem
                raise

    async def _call(
        self,
        base_url: str,
        session: Session,
        tool: PeerTool,
        arguments: JsonObject,
        key: str | None,
        deadline: Deadline,
    ) -> Reply:
        params: JsonObject = {"name": tool.name, "arguments": arguments}
        if key is not None:
            params["_meta"] = {META_KEY: key}
        for _ in range(MAX_ROUNDS):
            try:
                made = await session.ask("tools/call", params, deadline, tool)
            except SessionEnded:
                # The server has said that it did nothing.
                session.listed_at = None
                await self._listed(base_url, session, deadline)
                if tool.document.hash not in session.tools and tool != session.words:
                    return Reply(status="rejected", code="unsupported_protocol")
                continue
            except RpcError as problem:
                return _failed(problem)
            if made.get("resultType") != "input_required":
                return wire.read_result(made)
            asked = wire.input_requests(made)
            if not asked and "requestState" not in made:
                raise PeerMisspoke("the server wants a call again, and says neither why nor with what")
            if any(method != METHOD for method, _ in asked.values()) or (asked and self._elicit is None):
                return Reply(status="failure", code="input_required", error=wire.wanted_input(made)[:300])
            # What was said of the round before is not said again.
            params = {name: value for name, value in params.items() if name not in _OF_A_ROUND}
            params |= {"requestState": made["requestState"]} if "requestState" in made else {}
            params |= {"inputResponses": await self._responses(base_url, asked)} if asked else {}
        return Reply(status="failure", code="input_required", error="the tool asks to be called again without end")

    async def _responses(self, base_url: str, asked: Mapping[str, tuple[str, JsonObject]]) -> JsonObject:
        """What is answered to what a server asks for, by its names for that."""
        made: JsonObject = {}
        for name, (method, params) in asked.items():
            try:
                made[name] = await reply_to(self._elicit, base_url, method, params)
            except RpcError as problem:
                raise PeerMisspoke(f"the server asks in a form that cannot be answered: {problem}") from problem
        return made


def _failed(problem: RpcError) -> Reply:
    data: Any = problem.data
    said = data.get("code") if isinstance(data, dict) else None
    wait = data.get("retryAfter") if isinstance(data, dict) else None
    if said == "overloaded":
        after = float(wait) if isinstance(wait, int | float) else 1.0
        return Reply(status="failure", code="overloaded", error=str(problem)[:300], retry_after=after)
    code = "bad_input" if problem.code == INVALID_PARAMS else "failed"
    return Reply(status="failure", code=code, error=str(problem)[:300])
