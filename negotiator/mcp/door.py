"""MCP over streamable HTTP, as one more door of an agent: one path, POST alone, JSON or server-sent events.

There are no sessions, so nothing to GET or to DELETE, which the handshake revisions allow (2025-11-25, transports).
"""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from negotiator.dialects import sse
from negotiator.dialects.json_rpc import INVALID_REQUEST, SERVER_ERROR, RpcError, error, to_bytes
from negotiator.dialects.mcp import progress
from negotiator.mcp import batches
from negotiator.mcp.server import Caller, Handled, McpServer
from negotiator.telling import Telling
from negotiator.wire import WireReply, WireRequest

_JSON: Final = "application/json"
_TOKEN: Final = f'"{progress.TOKEN}"'.encode()
"""Stands in every message that asks for progress, and in few others."""
_WORDS: Final = {
    "too_large": (413, INVALID_REQUEST, "the message is too large"),
    "slow_request": (408, SERVER_ERROR, "the message did not come in time"),
    "method_not_allowed": (405, SERVER_ERROR, "only POST is taken here: there are no sessions and no other streams"),
    "not_found": (404, SERVER_ERROR, "there is nothing here"),
    "content_type": (415, SERVER_ERROR, "the content type is not application/json"),
    "not_acceptable": (406, SERVER_ERROR, "the client accepts neither application/json nor text/event-stream"),
}


class McpDoor:
    """A `WireHandler` over an `McpServer`."""

    def __init__(self, server: McpServer, *, path: str, body_bytes: int) -> None:
        """Answer at `path`.

        Args:
            server: What answers.
            path: The one path of the door.
            body_bytes: Bytes that a message may have.
        """
        self._server = server
        self._path = path
        self._body_bytes = body_bytes
        self._working: set[asyncio.Task[Handled]] = set()

    @property
    def body_bytes(self) -> int:
        """Bytes that a message may have."""
        return self._body_bytes

    def refuse(self, code: str) -> WireReply:
        """The reply to what is refused before it is read as a message."""
        status, number, words = _WORDS[code]
        headers = {"content-type": _JSON} | ({"allow": "POST"} if status == 405 else {})  # noqa: PLR2004 - HTTP
        return WireReply(status=status, headers=headers, body=to_bytes(error(RpcError(number, words))))

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request."""
        refused = self._refused(wire)
        if refused is not None:
            return self.refuse(refused)
        caller = Caller(principal=wire.principal, peer=wire.peer)
        accept = wire.headers.get("accept")
        whole = _form(accept) == _JSON
        if whole and (_TOKEN not in wire.body or _form(accept, without=_JSON) is None):
            return _whole(await batches.handle(self._server, wire.body, headers=wire.headers, caller=caller))
        telling = Telling()
        task = asyncio.create_task(
            batches.handle(
                self._server,
                wire.body,
                headers=wire.headers,
                caller=caller,
                tell=lambda said: telling.put(to_bytes(said)),
            )
        )
        # Held here: who reads the stream may leave, and what was begun is ended all the same.
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        try:
            if whole and not await telling.before(task):
                return _whole(task.result())
        except asyncio.CancelledError:
            task.cancel()
            raise
        headers = {"content-type": sse.MEDIA_TYPE, "cache-control": "no-store", "x-accel-buffering": "no"}
        return WireReply(headers=headers, chunks=_events(telling, task))

    def _refused(self, wire: WireRequest) -> str | None:
        if wire.path.partition("?")[0].rstrip("/") != self._path:
            return "not_found"
        if wire.method != "POST":
            return "method_not_allowed"
        if wire.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
            return "content_type"
        if len(wire.body) > self._body_bytes:
            return "too_large"
        return "not_acceptable" if _form(wire.headers.get("accept")) is None else None


def _form(accept: str | None, without: str | None = None) -> str | None:
    """The media type of the reply that the client likes best, JSON where it likes both alike; None for neither."""
    liked = {media: 0.0 for media in (_JSON, sse.MEDIA_TYPE) if media != without}
    for part in (accept or "*/*").split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_number(each[2:]) for each in parameters if each.startswith("q=")), 1.0)
        for media, before in liked.items():
            if name in (media, "*/*", media.partition("/")[0] + "/*"):
                liked[media] = max(before, weight)
    best = max(liked, key=lambda media: liked[media])
    return best if liked[best] > 0 else None


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _whole(handled: Handled) -> WireReply:
    headers = {}
    if handled.retry_after is not None:
        headers["retry-after"] = str(math.ceil(handled.retry_after))
    if handled.message is None:
        return WireReply(status=handled.status, headers=headers)
    return WireReply(status=handled.status, headers={"content-type": _JSON, **headers}, body=to_bytes(handled.message))


async def _events(telling: Telling, task: "asyncio.Task[Handled]") -> AsyncGenerator[bytes, None]:
    async with aclosing(telling.messages(task)) as messages:
        async for said in messages:
            yield sse.KEEP_ALIVE if said is None else sse.event(said)
    message = task.result().message
    for each in message if isinstance(message, list) else [message]:
        if each is not None:
            yield sse.event(to_bytes(each))
