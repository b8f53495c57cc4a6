"""How messages of MCP's client get to a server over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final

from negotiator.clock import Deadline
from negotiator.dialects import sse
from negotiator.dialects.json_rpc import RpcError, notification, request, to_bytes
from negotiator.dialects.mcp import progress
from negotiator.dialects.mcp.client import read_message
from negotiator.dialects.mcp.words import METHOD_HEADER, SESSION_HEADER
from negotiator.errors import PeerHungUp, PeerMisspoke
from negotiator.events import emit
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.elicitation import Elicit
from negotiator.mcp.links import MAX_MESSAGE, SessionEnded, answer_to, outcome, watched
from negotiator.oauth.errors import AuthorizationNeeded
from negotiator.wire import StreamTransport, Transport, WireReply, WireRequest

MAX_RESUMED: Final = 8
"""Times that one stream is gone on with."""
NO_MESSAGE: Final = 0
"""As the code of an error: the server refused a request with no message at all."""
MAX_SESSION: Final = 1_024
"""Characters of a session's name."""
_ACCEPT: Final = "application/json, text/event-stream"
_RETRY_SECONDS: Final = 1.0
_UNAUTHORIZED, _FORBIDDEN = 401, 403


class HttpLink:
    """Streamable HTTP, through any transport."""

    http = True

    def __init__(self, transport: Transport, url: str, elicit: Elicit | None = None) -> None:
        self._transport = transport
        self._url = url
        self._elicit = elicit
        self._number = 0
        self._session: str | None = None
        self._headers: dict[str, str] = {}

    async def call(self, method: str, params: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> JsonObject:
        """See `Link.call`."""
        self._number += 1
        number = self._number
        self._headers = dict(headers)
        async with self._listening(method, deadline, headers):
            return await self._called(method, params, number, deadline, headers)

    async def _called(
        self, method: str, params: JsonObject, number: int, deadline: Deadline, headers: Mapping[str, str]
    ) -> JsonObject:
        wire = await self._post(request(method, watched(method, params, number), number), deadline, headers)
        if method == "initialize":
            self._session = _session_of(wire)
        media = wire.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media == sse.MEDIA_TYPE and wire.status == 200:  # noqa: PLR2004 - HTTP
            return outcome(await self._from_events(wire, number, deadline))
        body = await _whole(wire)
        if wire.status == _UNAUTHORIZED or (wire.status == _FORBIDDEN and "www-authenticate" in wire.headers):
            raise AuthorizationNeeded(f"{self._url} asks for an authorization: see Agent(oauth=OAuthClient(...))")
        if media == "application/json":
            try:
                message = read_message(body)
            except PeerMisspoke:
                if 400 <= wire.status < 500:  # noqa: PLR2004 - HTTP
                    return self._no_message(wire.status)
                raise
            # Of a request that was refused unread some servers do not know the id, and say one of their own.
            if message.get("id") != number and "error" not in message:
                raise PeerMisspoke("the server's response answers another request")
            if wire.status == 404 and self._session is not None and message.get("id") != number:  # noqa: PLR2004
                self._ended()
            return outcome(message)
        return self._no_message(wire.status)

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:
        """See `Link.notify`."""
        await _whole(await self._post(notification(method), deadline, headers))

    async def aclose(self) -> None:
        """See `Link.aclose`; a session ends by itself."""

    def _ended(self) -> None:
        self._session = None
        raise SessionEnded("the server knows the session no longer")

    def _no_message(self, status: int) -> JsonObject:
        if status == 404 and self._session is not None:  # noqa: PLR2004 - HTTP
            self._ended()
        if status in (502, 504):
            raise PeerHungUp(f"a gateway before the server answered {status}")
        if 400 <= status < 500:  # noqa: PLR2004 - HTTP
            raise RpcError(NO_MESSAGE, f"the server refused the request with HTTP {status}")
        raise PeerMisspoke(f"the server answered HTTP {status} and no message")

    async def _post(self, message: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> WireReply:
        said = {"content-type": "application/json", "accept": _ACCEPT, **headers}
        if self._session is not None:
            said[SESSION_HEADER] = self._session
        return await self._carried(WireRequest(headers=said, body=to_bytes(message)), deadline)

    async def _carried(self, wire: WireRequest, deadline: Deadline) -> WireReply:
        if isinstance(self._transport, StreamTransport):
            return await self._transport.open(self._url, wire, deadline=deadline)
        return await self._transport.send(self._url, wire, deadline=deadline)

    async def _from_events(self, wire: WireReply, number: int, deadline: Deadline) -> JsonObject:
        """The response among the events; what a server asks on the way is answered.

        A stream of the handshake era that ends before the response is gone on with, where its server lets it
        (2025-11-25, transports: resumability).
        """
        reader = sse.EventReader(MAX_MESSAGE)
        for _ in range(MAX_RESUMED):
            found = await self._read(wire, reader, number, deadline)
            if found is not None:
                return found
            wait = _RETRY_SECONDS if reader.retry is None else reader.retry
            if reader.last_id is None or METHOD_HEADER in self._headers or deadline.remaining() <= wait:
                break
            await asyncio.sleep(wait)
            going_on = await self._get(deadline, self._headers, {"last-event-id": reader.last_id})
            if going_on is None:
                break
            wire, before = going_on, reader
            reader = sse.EventReader(MAX_MESSAGE)
            reader.last_id, reader.retry = before.last_id, before.retry
        raise PeerHungUp("the server's stream ended before its response")

    async def _read(
        self, wire: WireReply, reader: sse.EventReader, number: int | None, deadline: Deadline
    ) -> JsonObject | None:
        """The response of that number among the events of a stream; None where it ended before it."""

        async def taken(part: bytes) -> JsonObject | None:
            for data in reader.feed(part):
                message = read_message(data) if data else {}
                if message.get("id") == number and number is not None and "method" not in message:
                    return message
                if (told := progress.read(message)) is not None:
                    if told[0] == number:
                        emit(told[1])
                    continue
                answer = await answer_to(message, self._url, self._elicit)
                if answer is not None:
                    await _whole(await self._post(answer, deadline, self._headers))
            return None

        if wire.chunks is None:
            return await taken(wire.body + b"\n\n")
        async with aclosing(wire.chunks) as chunks:
            async for part in chunks:
                if (found := await taken(part)) is not None:
                    return found
        return None

    async def _get(self, deadline: Deadline, headers: Mapping[str, str], more: Mapping[str, str]) -> WireReply | None:
        """A stream of events from the server; None where it gives none, as it may."""
        said = {"accept": sse.MEDIA_TYPE, **headers, **more}
        if self._session is not None:
            said[SESSION_HEADER] = self._session
        wire = await self._carried(WireRequest(method="GET", headers=said), deadline)
        media = wire.headers.get("content-type", "").partition(";")[0].strip().lower()
        if wire.status == 200 and media == sse.MEDIA_TYPE:  # noqa: PLR2004 - HTTP
            return wire
        if wire.chunks is not None:
            await wire.chunks.aclose()
        return None

    @asynccontextmanager
    async def _listening(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> AsyncIterator[None]:
        """Hear, while a tool is called, what a server of the handshake era asks beside the call's own stream."""
        asks = self._elicit is not None and self._session is not None and METHOD_HEADER not in headers
        streams = isinstance(self._transport, StreamTransport)
        wire = await self._get(deadline, headers, {}) if asks and streams and method == "tools/call" else None
        if wire is None:
            yield
            return
        hearing = asyncio.create_task(self._read(wire, sse.EventReader(MAX_MESSAGE), None, deadline))
        try:
            yield
        finally:
            hearing.cancel()
            # What became of that stream is nothing to the call: the server answers that on its own.
            await asyncio.gather(hearing, return_exceptions=True)


def _session_of(wire: WireReply) -> str | None:
    """The session that a server begins. Raises `PeerMisspoke` for a name that no header can hold (2025-11-25)."""
    named = wire.headers.get(SESSION_HEADER)
    if named is not None and not (len(named) <= MAX_SESSION and all("!" <= each <= "~" for each in named)):
        raise PeerMisspoke("the server's session has a name that cannot be said")
    return named


async def _whole(wire: WireReply) -> bytes:
    if wire.chunks is None:
        return wire.body
    async with aclosing(wire.chunks) as chunks:
        return b"".join([part async for part in chunks])
