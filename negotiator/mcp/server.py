"""The server's half of MCP, for any transport: one message in, one message out, both eras at once.

It keeps no session: a handshake tells a client what is spoken here, and each later request stands for itself.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from negotiator.admission import UnderWay
from negotiator.clock import Clock, Deadline
from negotiator.dialects.json_rpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    SERVER_ERROR,
    Id,
    RpcError,
    error,
    result,
)
from negotiator.dialects.mcp import progress, results
from negotiator.dialects.mcp.headers import disagreement
from negotiator.dialects.mcp.messages import (
    Call,
    read_call,
)
from negotiator.dialects.mcp.words import (
    DOCUMENTS_EXTENSION,
    HANDSHAKE,
    HEADER_MISMATCH,
    META_KEY,
    MISSING_CAPABILITY,
    STATUSES,
)
from negotiator.errors import BadInput, Overloaded
from negotiator.events import Event, listening
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.offer import METHODS, Offer
from negotiator.mcp.version import own_version
from negotiator.messages import Reply
from negotiator.serving import ExchangeContext, rendered
from negotiator.tracing import current_trace, trace_of, tracing
from protocol_docs import MalformedHash, parse_hash

PAGE: Final = 200
"""Tools or documents on one page of a list."""
MAX_KEY: Final = 255
_URI: Final = "pd://sha256/"
_LIST_SECONDS, _DOCUMENT_SECONDS = 60.0, 86_400.0
_INSTRUCTIONS: Final = (
    "find_task finds what this agent, and the peers it knows, can do; run_task runs it. Protocol documents are "
    "resources, pd://sha256/<hex>."
)
_HANDSHAKE_NOT_FOUND: Final = -32002


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose message it is, as far as that is known."""

    principal: str
    peer: str | None = None
    """The address it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What became of a message."""

    message: JsonObject | list[JsonObject] | None
    """The response, or those to a batch; None where none is due."""
    status: int = 200
    """As an HTTP status."""
    version: str | None = None
    """The revision that was agreed on, of an `initialize`."""
    retry_after: float | None = None
    """Seconds, where there is too much work."""


_Answered: TypeAlias = JsonObject
Tell: TypeAlias = Callable[[JsonObject], None]


class McpServer:
    """An agent as its callers see it over MCP."""

    def __init__(self, offer: Offer, *, clock: Clock, seconds: float, under_way: UnderWay) -> None:
        """Answer within `seconds`, as long as `under_way` has room."""
        self._offer = offer
        self._clock = clock
        self._seconds = seconds
        self._under_way = under_way
        self._info: JsonObject = {"name": offer.engine.name, "version": own_version()}

    async def handle(
        self,
        data: bytes,
        *,
        headers: Mapping[str, str] | None,
        caller: Caller,
        spoken: str | None = None,
        tell: Tell | None = None,
    ) -> Handled:
        """Answer one message; raises only on cancellation.

        Args:
            data: The message.
            headers: Those of HTTP, in lower case; None where the transport has none.
            caller: Whose it is.
            spoken: The revision that the connection agreed on, where there are connections.
            tell: Takes notifications that are to reach the client before the answer, from any thread; without it,
                there are none.
        """
        call: Call | None = None
        try:
            call = read_call(data, headers, spoken)
            if call.kind != "request" or call.id is None:
                return Handled(message=None, status=202)
            room = self._under_way.of(caller.principal, caller.peer, _meant(call))
            with room, _heard(call, tell), tracing(_trace(call)):
                return await self._answered(call, call.id, headers or {}, caller, over_http=headers is not None)
        except RpcError as problem:
            said = problem if call is None else RpcError(problem.code, str(problem), id=call.id, data=problem.data)
            # The handshake revisions say what they have to say of a request that could be read with a 200.
            handshake = call is not None and not call.modern
            status = 200 if handshake else STATUSES.get(problem.code, 200)
            return Handled(message=error(said), status=status)
        except Overloaded as busy:
            full = RpcError(
                SERVER_ERROR,
                "there is too much work: try again later",
                id=None if call is None else call.id,
                data={"code": busy.code, "retryAfter": busy.retry_after},
            )
            return Handled(message=error(full), status=503, retry_after=busy.retry_after)
        except Exception as problem:  # noqa: BLE001 - whatever it is, callers get one sentence and the log its place
            reply = rendered(problem)
            failed = RpcError(INTERNAL_ERROR, reply.error or "", id=None if call is None else call.id)
            return Handled(message=error(failed), status=500)

    async def _answered(
        self, call: Call, identifier: Id, headers: Mapping[str, str], caller: Caller, *, over_http: bool
    ) -> Handled:
        version = None
        if call.method == "initialize" and not call.modern:
            asked = call.params.get("protocolVersion")
            version = asked if isinstance(asked, str) and asked in HANDSHAKE else HANDSHAKE[0]
            made = results.initialized(version, self._info, _INSTRUCTIONS, self._settings())
        elif call.method == "ping" and not call.modern:
            made = {}
        elif call.method == "tools/call":
            made = await self._call_tool(call, headers, caller, over_http=over_http)
        elif call.modern and call.method in METHODS:
            made = await self._extension(call, headers, caller)
        else:
            look = self._looks(call).get(call.method)
            if look is None:
                raise RpcError(METHOD_NOT_FOUND, "there is no such method here")
            made = look()
        if call.modern:
            made = results.complete(made, self._info)
        return Handled(message=result(made, identifier), version=version)

    def _looks(self, call: Call) -> Mapping[str, Callable[[], _Answered]]:
        looks: dict[str, Callable[[], _Answered]] = {
            "tools/list": lambda: self._list_tools(call),
            "resources/list": lambda: self._list_documents(call),
            "resources/templates/list": lambda: self._list_templates(call),
            "resources/read": lambda: self._read_document(call),
        }
        if call.modern:
            looks["server/discover"] = lambda: results.cached(
                results.discovered(_INSTRUCTIONS, self._settings()), _LIST_SECONDS, shared=True
            )
        return looks

    # --- tools ---

    def _list_tools(self, call: Call) -> JsonObject:
        tools = self._offer.tools(extension=_speaks_documents(call))
        entries = {tool.name: results.tool_entry(tool, call.version) for tool in tools}
        return self._page(call, "tools", entries)

    async def _call_tool(
        self, call: Call, headers: Mapping[str, str], caller: Caller, *, over_http: bool
    ) -> JsonObject:
        name, arguments = call.params.get("name"), call.params.get("arguments", {})
        tool = self._offer.find(name) if isinstance(name, str) else None
        if tool is None:
            raise RpcError(INVALID_PARAMS, "there is no such tool")
        if not isinstance(arguments, dict):
            raise RpcError(INVALID_PARAMS, "the arguments are no object")
        if over_http and call.modern:
            off = disagreement(tool.input, arguments, headers)
            if off is not None:
                raise RpcError(HEADER_MISMATCH, off)
        context, key = self._context(call, caller), _key(call, headers)
        try:
            reply = await self._offer.call(tool, arguments, context, key)
            if reply.status == "success":
                return results.tool_result(reply.body, tool, call.version, reply.tier)
        except Overloaded:
            raise
        except Exception as problem:  # noqa: BLE001 - a tool's failure is a result, for the caller's model to read
            reply = _of(problem)
        return results.tool_failure(reply.code or "failed", reply.error or "")

    async def _extension(self, call: Call, headers: Mapping[str, str], caller: Caller) -> JsonObject:
        if not _speaks_documents(call):
            needed: JsonObject = {"extensions": {DOCUMENTS_EXTENSION: {}}}
            raise RpcError(
                MISSING_CAPABILITY,
                "the client does not say that it speaks this extension",
                data={"requiredCapabilities": needed},
            )
        arguments = {name: value for name, value in call.params.items() if name != "_meta"}
        context, key = self._context(call, caller), _key(call, headers)
        try:
            reply = await self._offer.extension(METHODS[call.method], arguments, context, key)
        except Overloaded:
            raise
        except BadInput as problem:
            raise RpcError(INVALID_PARAMS, _of(problem).error or "the params do not fit") from None
        except Exception as problem:  # noqa: BLE001 - as above
            reply = _of(problem)
        if reply.status == "success" and isinstance(reply.body, dict):
            return reply.body
        raise RpcError(SERVER_ERROR, reply.error or "it failed", data={"code": reply.code or "failed"})

    # --- documents ---

    def _list_documents(self, call: Call) -> JsonObject:
        entries: dict[str, JsonObject] = {}
        for name, listed in sorted(self._offer.listing().items()):
            entries[name] = {
                "uri": _URI + name.removeprefix("sha256:"),
                "name": listed.document.name or name,
                "description": listed.document.description,
                "mimeType": "text/markdown",
                "size": len(listed.document.data),
            }
        return self._page(call, "resources", entries)

    def _list_templates(self, call: Call) -> JsonObject:
        template: JsonObject = {
            "uriTemplate": _URI + "{hex}",
            "name": "protocol document",
            "description": "the exact text of a protocol document, by the SHA-256 of its bytes",
            "mimeType": "text/markdown",
        }
        return self._page(call, "resourceTemplates", {"document": template})

    def _read_document(self, call: Call) -> JsonObject:
        uri = call.params.get("uri")
        if not isinstance(uri, str):
            raise RpcError(INVALID_PARAMS, "the uri is no text")
        try:
            named = parse_hash("sha256:" + uri.removeprefix(_URI)) if uri.startswith(_URI) else ""
        except MalformedHash:
            named = ""
        listed = self._offer.listing().get(named)
        if listed is None:
            code = INVALID_PARAMS if call.modern else _HANDSHAKE_NOT_FOUND
            raise RpcError(code, "there is no such resource", data={"uri": uri[:2048]})
        text = listed.document.data.decode()
        made: JsonObject = {"contents": [{"uri": uri, "mimeType": "text/markdown", "text": text}]}
        return results.cached(made, _DOCUMENT_SECONDS, shared=True) if call.modern else made

    # --- what all share ---

    def _settings(self) -> JsonObject:
        return results.extension_settings(self._offer.listing())

    def _page(self, call: Call, word: str, entries: Mapping[str, JsonObject]) -> JsonObject:
        """One page, from after the entry that the cursor names."""
        names, start, cursor = list(entries), 0, call.params.get("cursor")
        if cursor is not None:
            if not isinstance(cursor, str) or cursor not in entries:
                raise RpcError(INVALID_PARAMS, "the cursor is none of this list's")
            start = names.index(cursor) + 1
        page = names[start : start + PAGE]
        made: JsonObject = {word: [entries[name] for name in page]}
        if len(names) > start + PAGE:
            made["nextCursor"] = page[-1]
        return results.cached(made, _LIST_SECONDS, shared=True) if call.modern else made

    def _context(self, call: Call, caller: Caller) -> ExchangeContext:
        return ExchangeContext(
            dialect=f"mcp-{call.version}",
            deadline=Deadline.after(self._seconds, self._clock),
            principal=caller.principal,
            peer=caller.peer,
        )


def _heard(call: Call, tell: Tell | None) -> AbstractContextManager[None]:
    """What happens inside is told to a client that asked for it."""
    token = None if tell is None else progress.token_of(call.meta)
    if tell is None or token is None:
        return nullcontext()
    steps = progress.Steps(token)

    def hear(what: Event) -> None:
        said = steps.write(what)
        if said is not None:
            tell(said)

    return listening(hear)


def _trace(call: Call) -> Mapping[str, str] | None:
    """The trace that a message says it belongs to (SEP-414), else the one that its transport does."""
    said = {name: value for name, value in call.meta.items() if isinstance(value, str)}
    return trace_of(said) or current_trace()


def _of(problem: Exception) -> Reply:
    """What a caller hears of an error. Which field of an input is wrong is for it to know; the value is its own."""
    reply = rendered(problem)
    if isinstance(problem, BadInput) and problem.violations:
        where = "; ".join(f"{pointer or '/'}: {what}" for pointer, what in problem.violations[:5])
        return Reply(status="failure", code=reply.code, error=where[:500])
    return reply


def _speaks_documents(call: Call) -> bool:
    extensions: Any = call.capabilities.get("extensions")
    return isinstance(extensions, dict) and DOCUMENTS_EXTENSION in extensions


def _key(call: Call, headers: Mapping[str, str]) -> str | None:
    key = call.meta.get(META_KEY, headers.get("idempotency-key"))
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        raise RpcError(INVALID_PARAMS, f"the idempotency key is no text of 1 to {MAX_KEY} characters")
    return key


def _meant(call: Call) -> str:
    """What a call takes its place for: a tool, else the method."""
    name = call.params.get("name")
    return f"tool {name}" if call.method == "tools/call" and isinstance(name, str) else call.method
