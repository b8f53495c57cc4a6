"""JSON-RPC 2.0 as far as the dialects on it have it in common: what is written, and the error that answers a request."""

from typing import Final, TypeAlias

from negotiator.dialects.json_body import write
from negotiator.jsonvalue import JsonObject, JsonValue

Id: TypeAlias = str | int

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
SERVER_ERROR: Final = -32000


class RpcError(Exception):
    """A request that is answered with a JSON-RPC error. The message is written for the peer."""

    def __init__(self, code: int, message: str, *, id: Id | None = None, data: JsonValue = None) -> None:  # noqa: A002
        super().__init__(message)
        self.code = code
        self.id = id
        self.data = data


def request(method: str, params: JsonObject, identifier: Id) -> JsonObject:
    """A request."""
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def notification(method: str, params: JsonObject | None = None) -> JsonObject:
    """A notification."""
    said: JsonObject = {"jsonrpc": "2.0", "method": method}
    return said if params is None else {**said, "params": params}


def result(value: JsonValue, identifier: Id) -> JsonObject:
    """A response that succeeded."""
    return {"jsonrpc": "2.0", "id": identifier, "result": value}


def error(problem: RpcError) -> JsonObject:
    """A response that did not."""
    said: JsonObject = {"code": problem.code, "message": str(problem)}
    if problem.data is not None:
        said["data"] = problem.data
    return {"jsonrpc": "2.0", "id": problem.id, "error": said}


def to_bytes(message: JsonObject | list[JsonObject]) -> bytes:
    """A message, or a batch of them, as JSON, on one line. Raises `ValueError` for what is not plain JSON."""
    return write(message)
