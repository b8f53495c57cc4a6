"""The revisions, names and numbers of the Model Context Protocol that both of our halves go by."""

from typing import Final

from negotiator.dialects.json_rpc import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

MODERN: Final = ("2026-07-28",)
"""Revisions without a handshake, newest first: each request says for itself what it needs to."""
HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions that begin with `initialize`, newest first."""
ASSUMED: Final = "2025-03-26"
"""What a request over HTTP without a version is in (2025-11-25, transports, protocol version header)."""
STRUCTURED_SINCE: Final = "2025-06-18"
"""The first revision with output schemas and structured content. Revisions are compared as text."""

VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
PARAM_PREFIX: Final = "mcp-param-"
SESSION_HEADER: Final = "mcp-session-id"

META_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
META_CLIENT: Final = "io.modelcontextprotocol/clientInfo"
META_SERVER: Final = "io.modelcontextprotocol/serverInfo"

DOCUMENTS_EXTENSION: Final = "io.github.metaparley/protocol-documents"
"""Our extension: documents by hash, and agreeing on them. What breaks it gets another name."""
META_CODE: Final = "io.github.metaparley/code"
"""On a tool's error: the word of `NegotiatorError.code`, for callers that know us."""
META_KEY: Final = "io.github.metaparley/idempotencyKey"
"""On a request: the key under which it is answered once."""
META_PART: Final = "io.github.metaparley/part"
"""On a notification of progress: true where its message is a part of the answer's text."""
META_WORDS: Final = "io.github.metaparley/words"
"""On a tool: true where its `request` is natural language and its `answer` too."""
META_TIER: Final = "io.github.metaparley/tier"
"""On a result: how this side handled its half."""

HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022

STATUSES: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}
"""HTTP statuses of errors in the modern revisions; of the others' errors, 200, where the message could be read."""

NAMED_BY: Final = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}
"""The parameter of a method that the header `Mcp-Name` repeats."""
