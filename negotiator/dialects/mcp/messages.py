"""What a server of MCP receives, checked.

The era is told for each message: modern ones carry their revision in `_meta`, others follow an `initialize`.
Source: revision 2026-07-28 (basic, basic/transports), and 2025-11-25 for the handshake revisions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from negotiator.dialects.json_body import read_object
from negotiator.dialects.json_rpc import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Id, RpcError
from negotiator.dialects.mcp.headers import read_value
from negotiator.dialects.mcp.words import (
    ASSUMED,
    HANDSHAKE,
    HEADER_MISMATCH,
    META_CAPABILITIES,
    META_VERSION,
    METHOD_HEADER,
    MODERN,
    NAME_HEADER,
    NAMED_BY,
    UNSUPPORTED_VERSION,
    VERSION_HEADER,
)
from negotiator.jsonvalue import JsonObject

MAX_ID: Final = 256
"""Characters of a request's id."""
MAX_METHOD: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One message of a client's, checked as far as its envelope goes."""

    kind: Literal["request", "notification", "response"]
    """A `response` answers something that was asked of the client; here nothing ever is."""
    method: str = ""
    id: Id | None = None
    params: JsonObject = field(default_factory=dict)
    version: str
    """The revision it is in."""
    modern: bool
    capabilities: JsonObject = field(default_factory=dict)
    """The client's, of a modern request."""

    @property
    def meta(self) -> JsonObject:
        """The request's `_meta`."""
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}


def read_call(data: bytes, headers: Mapping[str, str] | None, spoken: str | None = None) -> Call:
    """Understand a client's message. Raises `RpcError`.

    Args:
        data: The message.
        headers: Those of HTTP, in lower case; None where there are none.
        spoken: The revision that a handshake on this connection agreed on, where there was one.
    """
    message = _message(data)
    identifier = _id(message)
    if "method" not in message:
        if identifier is None or ("result" in message) == ("error" in message):
            raise RpcError(INVALID_REQUEST, "the message is neither a request nor a response", id=identifier)
        return Call(kind="response", id=identifier, version=ASSUMED, modern=False)
    method, params = message["method"], message.get("params", {})
    if not isinstance(method, str) or not 0 < len(method) <= MAX_METHOD:
        raise RpcError(INVALID_REQUEST, "the method is no text of a method's length", id=identifier)
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "the params are no object", id=identifier)
    kind: Literal["request", "notification"] = "request" if "id" in message else "notification"
    call = Call(kind=kind, method=method, id=identifier, params=params, version=ASSUMED, modern=False)
    return _modern(call, headers) if _is_modern(call, headers) else _handshake(call, headers, spoken)


def _message(data: bytes) -> JsonObject:
    if data.lstrip(b" \t\r\n")[:1] == b"[":
        raise RpcError(INVALID_REQUEST, "the message is several: send one at a time")
    try:
        message = read_object(data)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, str(error)) from None
    if message.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "the message is not JSON-RPC 2.0", id=_id(message, strict=False))
    return message


def _id(message: JsonObject, *, strict: bool = True) -> Id | None:
    if "id" not in message:
        return None
    identifier = message["id"]
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        return identifier
    if isinstance(identifier, str) and len(identifier) <= MAX_ID:
        return identifier
    if strict:
        raise RpcError(INVALID_REQUEST, "the id is neither an integer nor a text of an id's length")
    return None


def _is_modern(call: Call, headers: Mapping[str, str] | None) -> bool:
    if META_VERSION in call.meta or call.method == "server/discover":
        return True
    named = None if headers is None else headers.get(VERSION_HEADER)
    return named is not None and named not in HANDSHAKE


def _modern(call: Call, headers: Mapping[str, str] | None) -> Call:
    if call.kind == "notification":
        # None is defined from client to server; what must be there in a request need not be here.
        return Call(kind="notification", method=call.method, params=call.params, version=MODERN[0], modern=True)
    missing = [name for name in (META_VERSION, META_CAPABILITIES) if name not in call.meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta lacks {' and '.join(missing)}", id=call.id)
    version, capabilities = call.meta[META_VERSION], call.meta[META_CAPABILITIES]
    if not isinstance(version, str) or not isinstance(capabilities, dict):
        raise RpcError(INVALID_PARAMS, "params._meta holds a value of the wrong type", id=call.id)
    if headers is not None:
        _agree(call, version, headers)
    if version not in MODERN:
        raise RpcError(
            UNSUPPORTED_VERSION,
            "this revision is not spoken here",
            id=call.id,
            data={"supported": [*MODERN, *HANDSHAKE], "requested": version},
        )
    return Call(
        kind="request",
        method=call.method,
        id=call.id,
        params=call.params,
        version=version,
        modern=True,
        capabilities=capabilities,
    )


def _agree(call: Call, version: str, headers: Mapping[str, str]) -> None:
    named = call.params.get(NAMED_BY.get(call.method, ""))
    for header, said in ((VERSION_HEADER, version), (METHOD_HEADER, call.method), (NAME_HEADER, named)):
        if not isinstance(said, str):
            continue
        found = headers.get(header)
        if found is None or read_value(found) != said:
            raise RpcError(HEADER_MISMATCH, f"the header {header} does not say what the body does", id=call.id)


def _handshake(call: Call, headers: Mapping[str, str] | None, spoken: str | None) -> Call:
    version = (headers or {}).get(VERSION_HEADER, spoken or ASSUMED)
    return Call(kind=call.kind, method=call.method, id=call.id, params=call.params, version=version, modern=False)
