"""The client's half of MCP: what is said of ourselves, tools as documents, and what comes of a call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from negotiator.dialects.mcp.headers import Misused, param_headers, write_params, write_value
from negotiator.dialects.mcp.words import (
    DOCUMENTS_EXTENSION,
    HANDSHAKE,
    META_CAPABILITIES,
    META_CLIENT,
    META_CODE,
    META_TIER,
    META_VERSION,
    META_WORDS,
    METHOD_HEADER,
    MODERN,
    NAME_HEADER,
    NAMED_BY,
    VERSION_HEADER,
)
from negotiator.dialects.peer_tool import PeerTool, drafted_tool
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import PeerTier, Reply

MAX_TOOLS: Final = 1024
"""Tools of one server that are looked at."""
MAX_INPUTS: Final = 16
"""Things that one result asks for."""
MAX_URI: Final = 2_048
"""Characters of a file's address."""
_SENTENCE: Final = 300
_TIERS: Final[Mapping[object, PeerTier]] = {
    "natural_language": "natural_language",
    "structured": "structured",
    "routine": "routine",
}


def handshake(client: JsonObject, capabilities: JsonObject) -> JsonObject:
    """The parameters of `initialize`."""
    return {"protocolVersion": HANDSHAKE[0], "capabilities": capabilities, "clientInfo": client}


def modern_params(params: JsonObject, version: str, client: JsonObject, capabilities: JsonObject) -> JsonObject:
    """The parameters of a modern request, with what each must say of itself."""
    meta: JsonObject = {
        META_VERSION: version,
        META_CLIENT: client,
        META_CAPABILITIES: {"extensions": {DOCUMENTS_EXTENSION: {}}, **capabilities},
    }
    given = params.get("_meta")
    return {**params, "_meta": {**(given if isinstance(given, dict) else {}), **meta}}


def modern_headers(method: str, params: JsonObject, version: str, tool: PeerTool | None = None) -> dict[str, str]:
    """The headers that repeat a modern request; of a call, also those that the tool's schema asks for."""
    headers = {VERSION_HEADER: version, METHOD_HEADER: write_value(method)}
    named = params.get(NAMED_BY.get(method, ""))
    if isinstance(named, str):
        headers[NAME_HEADER] = write_value(named)
    arguments = params.get("arguments")
    if tool is not None and isinstance(arguments, dict):
        headers |= write_params(tool.input, arguments)
    return headers


def revision_of(result: JsonObject) -> str | None:
    """The modern revision that the answer to `server/discover` has in common with us; None for a server of old."""
    supported = result.get("supportedVersions")
    return next((each for each in MODERN if isinstance(supported, list) and each in supported), None)


def names_modern(data: JsonValue) -> bool:
    """Whether an unsupported-version error names a modern revision that we speak."""
    supported = data.get("supported") if isinstance(data, dict) else None
    return isinstance(supported, list) and any(each in supported for each in MODERN)


def only_unknown(data: JsonValue) -> bool:
    """Whether an unsupported-version error names revisions, and none that we speak."""
    supported = data.get("supported") if isinstance(data, dict) else None
    return isinstance(supported, list) and not {*MODERN, *HANDSHAKE} & {each for each in supported if _is_text(each)}


def agreed_handshake(result: JsonObject) -> str:
    """The revision that the answer to `initialize` chose. Raises `PeerMisspoke` for one that we do not speak."""
    version = result.get("protocolVersion")
    if not isinstance(version, str) or version not in HANDSHAKE:
        raise PeerMisspoke("the server speaks no revision of MCP that is spoken here")
    return version


def read_tool(entry: JsonValue, *, with_headers: bool) -> PeerTool | None:
    """A tool as `tools/list` has it; None for one that cannot be used.

    `with_headers` over HTTP in the modern era, where a tool that misuses their annotation is dropped, as the
    specification wants it.
    """
    if not isinstance(entry, dict):
        return None
    takes, annotations = entry.get("inputSchema"), entry.get("annotations")
    said: dict[str, Any] = annotations if isinstance(annotations, dict) else {}
    try:
        if with_headers and isinstance(takes, dict):
            param_headers(takes)
    except Misused:
        return None
    return drafted_tool(
        entry.get("name"),
        entry.get("description"),
        takes=takes,
        gives=entry.get("outputSchema"),
        effect="safe" if said.get("readOnlyHint") is True else "transactional",
    )


def reads_words(entry: JsonValue) -> bool:
    """Whether a tool, as `tools/list` has it, is how an agent of ours is asked in natural language."""
    meta = entry.get("_meta") if isinstance(entry, dict) else None
    return isinstance(meta, dict) and meta.get(META_WORDS) is True


def words_of(reply: Reply) -> Reply:
    """The reply of such a tool, with its text alone."""
    match reply.body:
        case {"answer": str(answer)}:
            return replace(reply, body=answer)
    return reply


def read_result(result: JsonObject) -> Reply:
    """What a call came to. Raises `PeerMisspoke` where it is no result of a call."""
    meta = result.get("_meta")
    said: dict[str, Any] = meta if isinstance(meta, dict) else {}
    tier = said.get(META_TIER)
    if result.get("isError") is True:
        code = said.get(META_CODE)
        word = code[:64] if isinstance(code, str) else "failed"
        text = _text(result) or "the tool failed"
        return Reply(status="failure", code=word, error=text[:_SENTENCE])
    body: JsonValue
    if "structuredContent" in result:
        body = result["structuredContent"]
    elif isinstance(result.get("content"), list):
        body = _text(result) or _linked(result)
    else:
        raise PeerMisspoke("the result has no content")
    return Reply(status="success", body=body, tier=_TIERS.get(tier, "unknown") if _is_text(tier) else "unknown")


def input_requests(result: JsonObject) -> dict[str, tuple[str, JsonObject]]:
    """What a result that needs more input asks for: method and parameters by the server's names for them.

    Raises `PeerMisspoke` where that cannot be read.
    """
    asked = result.get("inputRequests", {})
    read: dict[str, tuple[str, JsonObject]] = {}
    for name, given in asked.items() if isinstance(asked, dict) and len(asked) <= MAX_INPUTS else [("", None)]:
        method = given.get("method") if isinstance(given, dict) else None
        params = given.get("params", {}) if isinstance(given, dict) else None
        if not isinstance(method, str) or not isinstance(params, dict):
            raise PeerMisspoke("what the server asks for cannot be read")
        read[name] = (method, params)
    return read


def wanted_input(result: JsonObject) -> str:
    """What a result that needs more input asks for, in words."""
    asked = result.get("inputRequests")
    names = sorted(asked)[:8] if isinstance(asked, dict) else []
    return f"the tool asks for more input ({', '.join(names)[:200]}), which cannot be given here"


def read_message(data: bytes) -> JsonObject:
    """One message of a server's. Raises `PeerMisspoke`."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise PeerMisspoke("the server's message is not JSON") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise PeerMisspoke("the server's message is not JSON-RPC 2.0")
    return message


def _text(result: JsonObject) -> str:
    content = result.get("content")
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text")
    return "\n".join(text for text in texts if isinstance(text, str))


def _linked(result: JsonObject) -> JsonValue:
    """Of a result without text what it holds by reference, one file or a list of them; else an empty text."""
    content = result.get("content")
    found: list[JsonValue] = []
    for part in content if isinstance(content, list) else []:
        uri = part.get("uri") if isinstance(part, dict) and part.get("type") == "resource_link" else None
        if isinstance(uri, str) and uri.startswith(("http://", "https://")) and len(uri) <= MAX_URI:
            told = {"url": uri, "media_type": part.get("mimeType"), "name": part.get("name"), "size": part.get("size")}
            found.append({name: value for name, value in told.items() if isinstance(value, str | int)})
    return "" if not found else found[0] if len(found) == 1 else found


def _is_text(value: object) -> bool:
    return isinstance(value, str)
