"""What a server of MCP says of itself, its tools and its resources, in each revision's form."""

from collections.abc import Iterable
from typing import Any, Final

from negotiator.dialects.json_body import as_text
from negotiator.dialects.mcp.words import (
    DOCUMENTS_EXTENSION,
    HANDSHAKE,
    META_CODE,
    META_SERVER,
    META_TIER,
    META_WORDS,
    MODERN,
    STRUCTURED_SINCE,
)
from negotiator.dialects.offered import Offered
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.referring import references

EXTENSION_VERSION: Final = "1"
MAX_LISTED_HASHES: Final = 256
"""Hashes that the extension's settings name."""
_LOCAL_REFS: Final = ("#/$defs/", "#/definitions/")


def tool_entry(tool: Offered, version: str) -> JsonObject:
    """A tool as `tools/list` has it."""
    safe = tool.effect == "safe"
    entry: JsonObject = {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": {"type": "object", **tool.input},
        "annotations": {"readOnlyHint": safe, "idempotentHint": safe, "destructiveHint": not safe},
    }
    output = output_schema(tool, version)
    if output is not None:
        entry["outputSchema"] = output
    if tool.in_words:
        entry["_meta"] = {META_WORDS: True}
    return entry


def output_schema(tool: Offered, version: str) -> JsonObject | None:
    """A tool's output schema as the revision may say it; None where it has none, or cannot."""
    if not tool.output or version < STRUCTURED_SINCE:
        return None
    if version in MODERN or tool.output.get("type") == "object":
        return tool.output
    if not all(ref.startswith(_LOCAL_REFS) for ref in _refs(tool.output)):
        return None
    # The handshake revisions know objects only; what is none is put into one.
    definitions: JsonObject = {word: tool.output[word] for word in ("$defs", "definitions") if word in tool.output}
    inner: JsonObject = {word: value for word, value in tool.output.items() if word not in definitions}
    return {"type": "object", "properties": {"result": inner}, "required": ["result"], **definitions}


def tool_result(value: JsonValue, tool: Offered, version: str, tier: str | None = None) -> JsonObject:
    """The result of a call that succeeded. Raises `ValueError` for what is not plain JSON."""
    content: list[JsonValue] = [{"type": "text", "text": as_text(value) if value is not None else "null"}]
    made: JsonObject = {"content": content}
    if version >= STRUCTURED_SINCE:
        content += [_link(each) for each in references(value, tool.output) if isinstance(each.get("url"), str)]
    schema = output_schema(tool, version)
    if version in MODERN or (version >= STRUCTURED_SINCE and schema is not None):
        wrapped = schema is not None and schema is not tool.output
        made["structuredContent"] = {"result": value} if wrapped else value
    made["isError"] = False
    if tier is not None:
        made["_meta"] = {META_TIER: tier}
    return made


def _link(reference: JsonObject) -> JsonObject:
    """A file that a result refers to, for clients that show such; the reference itself stands in the content."""
    link: JsonObject = {"type": "resource_link", "uri": reference["url"], "name": reference.get("name") or "file"}
    told = {"mimeType": reference.get("media_type"), "size": reference.get("size")}
    return {**link, **{name: value for name, value in told.items() if value is not None}}


def tool_failure(code: str, sentence: str) -> JsonObject:
    """The result of a call that failed, in words that a caller's model can act on."""
    text = f"{code}: {sentence}" if sentence else code
    return {"content": [{"type": "text", "text": text}], "isError": True, "_meta": {META_CODE: code}}


def extension_settings(hashes: Iterable[str]) -> JsonObject:
    """The settings of our extension: its versions, and the documents that are listed."""
    return {"versions": [EXTENSION_VERSION], "documents": sorted(hashes)[:MAX_LISTED_HASHES]}


def initialized(version: str, info: JsonObject, instructions: str, settings: JsonObject) -> JsonObject:
    """The answer to `initialize`."""
    return {
        "protocolVersion": version,
        "capabilities": {"tools": {}, "resources": {}, "experimental": {DOCUMENTS_EXTENSION: settings}},
        "serverInfo": info,
        "instructions": instructions,
    }


def discovered(instructions: str, settings: JsonObject) -> JsonObject:
    """The answer to `server/discover`, but for what every modern result holds."""
    return {
        "supportedVersions": [*MODERN, *HANDSHAKE],
        "capabilities": {"tools": {}, "resources": {}, "extensions": {DOCUMENTS_EXTENSION: settings}},
        "instructions": instructions,
    }


def complete(made: JsonObject, info: JsonObject) -> JsonObject:
    """A result with what every modern one holds."""
    meta: Any = made.get("_meta", {})
    return {"resultType": "complete", **made, "_meta": {**meta, META_SERVER: info}}


def cached(made: JsonObject, seconds: float, *, shared: bool) -> JsonObject:
    """A modern result that may be kept; `shared` where it says the same to everybody."""
    return {**made, "ttlMs": int(seconds * 1000), "cacheScope": "public" if shared else "private"}


def _refs(schema: JsonValue) -> Iterable[str]:
    waiting: list[JsonValue] = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            found = value.get("$ref")
            if isinstance(found, str):
                yield found
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
