"""Several messages in one, which revision 2025-03-26 has a server take, and no other has at all.

Source: revision 2025-03-26, basic, batching; its transports say that a batch of requests is answered with a batch or
with events, and one that asks nothing with 202.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

import orjson

from negotiator.dialects.json_body import write
from negotiator.dialects.json_rpc import INVALID_REQUEST, PARSE_ERROR, RpcError, error
from negotiator.dialects.mcp.messages import read_call
from negotiator.dialects.mcp.words import ASSUMED, VERSION_HEADER
from negotiator.jsonvalue import JsonValue
from negotiator.mcp.server import Caller, Handled, McpServer, Tell

BATCHED: Final = ("2025-03-26",)
MAX_BATCH: Final = 32
"""Messages of one batch; as many may be under way at a time for it."""


def is_batch(data: bytes) -> bool:
    """Whether a message is several."""
    return data.lstrip(b" \t\r\n")[:1] == b"["


async def handle(
    server: McpServer,
    data: bytes,
    *,
    headers: Mapping[str, str] | None,
    caller: Caller,
    spoken: str | None = None,
    tell: Tell | None = None,
) -> Handled:
    """Answer what came, one message or several; as `McpServer.handle`. On the way to a batch nothing is told."""
    if not is_batch(data):
        return await server.handle(data, headers=headers, caller=caller, spoken=spoken, tell=tell)
    version = spoken if headers is None else headers.get(VERSION_HEADER, ASSUMED)
    try:
        parts = _parts(data, version)
    except RpcError as problem:
        return Handled(message=error(problem), status=400)
    made = await asyncio.gather(*(_one(server, part, headers, caller, version) for part in parts))
    answers = [each.message for each in made if isinstance(each.message, dict)]
    return Handled(message=answers or None, status=200 if answers else 202)


def _parts(data: bytes, version: str | None) -> list[bytes]:
    if version not in BATCHED:
        raise RpcError(INVALID_REQUEST, "batches are of revision 2025-03-26 alone: send one message at a time")
    try:
        found: list[JsonValue] = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise RpcError(PARSE_ERROR, "the body is not JSON") from None
    if not 0 < len(found) <= MAX_BATCH:
        raise RpcError(INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} messages")
    return [write(each) for each in found]


async def _one(
    server: McpServer, part: bytes, headers: Mapping[str, str] | None, caller: Caller, version: str | None
) -> Handled:
    try:
        call = read_call(part, headers, version)
    except RpcError as problem:
        return Handled(message=error(problem))
    if call.method == "initialize" or call.modern:
        alone = RpcError(INVALID_REQUEST, "this message may not be one of a batch", id=call.id)
        return Handled(message=error(alone))
    return await server.handle(part, headers=headers, caller=caller, spoken=version)
