"""How messages of MCP's client get to a server of the revision 2024-11-05 over HTTP ("HTTP with SSE").

One stream of events stays open and is the session: it names first the address that messages are posted to, and brings
the responses. It is opened with the handshake, and begun anew where it has ended.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit

from negotiator.clock import Clock, Deadline
from negotiator.dialects import sse
from negotiator.dialects.json_rpc import RpcError, notification, request, to_bytes
from negotiator.dialects.mcp import progress
from negotiator.dialects.mcp.client import read_message
from negotiator.errors import NegotiatorError, PeerHungUp, PeerMisspoke
from negotiator.events import emit
from negotiator.in_time import OutOfTime, by
from negotiator.jsonvalue import JsonObject
from negotiator.mcp.elicitation import Elicit
from negotiator.mcp.http_link import NO_MESSAGE
from negotiator.mcp.links import MAX_MESSAGE, SessionEnded, answer_to, outcome, watched
from negotiator.wire import StreamTransport, WireRequest, origin_of

STREAM_SECONDS: Final = 3600.0
"""How long one stream is kept."""
MAX_READ: Final = 262_144
"""Bytes of a stream after which another is begun."""
ANSWER_SECONDS: Final = 300.0
"""How long a person may take for what a server asks beside its responses."""
MAX_ENDPOINT: Final = 2_048
"""Characters of the address that messages are posted to."""
_NOT_FOUND: Final = 404


@dataclass(slots=True)
class _Stream:
    """One stream that is open."""

    opened: float
    """Seconds, monotonic."""
    endpoint: "asyncio.Future[str]"
    read: int = 0
    """Bytes."""
    ended: bool = False
    waiting: "dict[int, asyncio.Queue[JsonObject | None]]" = field(default_factory=dict)
    """What comes for each request that waits, by its id; None where nothing more comes."""
    answering: "set[asyncio.Task[None]]" = field(default_factory=set)
    reading: "asyncio.Task[None] | None" = None


class SseLink:
    """A `Link` to a server with two endpoints. Belongs to one event loop."""

    http = True

    def __init__(self, transport: StreamTransport, url: str, clock: Clock, elicit: Elicit | None = None) -> None:
        """`url` is that of the stream."""
        self._transport = transport
        self._url = url
        self._clock = clock
        self._elicit = elicit
        self._number = 0
        self._stream: _Stream | None = None

    async def call(self, method: str, params: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> JsonObject:
        """See `Link.call`."""
        if method == "initialize":
            await self._open(deadline)
        stream = self._live()
        self._number += 1
        number, queue = self._number, asyncio.Queue[JsonObject | None]()
        stream.waiting[number] = queue
        try:
            await self._post(stream, request(method, watched(method, params, number), number), deadline, headers)
            while True:
                message = await by(deadline, queue.get())
                if message is None:
                    raise PeerHungUp("the server's stream ended before its response")
                told = progress.read(message)
                if told is None:
                    return outcome(message)
                emit(told[1])
        except OutOfTime:
            raise PeerHungUp("the server's response did not come in time") from None
        finally:
            del stream.waiting[number]

    async def notify(self, method: str, deadline: Deadline, headers: Mapping[str, str]) -> None:
        """See `Link.notify`."""
        await self._post(self._live(), notification(method), deadline, headers)

    async def aclose(self) -> None:
        """See `Link.aclose`."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        tasks = [each for each in (stream.reading, *stream.answering) if each is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _live(self) -> _Stream:
        stream = self._stream
        if stream is None or stream.ended:
            raise SessionEnded("the server's stream has ended")
        if not stream.waiting and (
            stream.read > MAX_READ or self._clock.monotonic() - stream.opened > STREAM_SECONDS / 2
        ):
            raise SessionEnded("the stream is begun anew, before its transport ends it in the middle of a call")
        return stream

    async def _open(self, deadline: Deadline) -> None:
        """Begin a stream, and hear where messages go. Raises `RpcError` where there is none at the address."""
        await self.aclose()
        wire = WireRequest(method="GET", headers={"accept": sse.MEDIA_TYPE, "cache-control": "no-store"})
        until = Deadline.after(STREAM_SECONDS, self._clock)
        try:
            reply = await by(deadline, self._transport.open(self._url, wire, deadline=until))
            media = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
            if reply.chunks is None or reply.status != 200 or media != sse.MEDIA_TYPE:  # noqa: PLR2004 - HTTP
                if reply.chunks is not None:
                    await reply.chunks.aclose()
                raise RpcError(NO_MESSAGE, f"the server has no stream of events: HTTP {reply.status}")
            stream = _Stream(self._clock.monotonic(), asyncio.get_running_loop().create_future())
            stream.reading = asyncio.create_task(self._read(stream, reply.chunks))
            self._stream = stream
            await by(deadline, _came(stream.endpoint))
        except OutOfTime:
            raise PeerHungUp("the server did not begin its stream in time") from None

    async def _read(self, stream: _Stream, chunks: AsyncGenerator[bytes, None]) -> None:
        reader = sse.EventReader(MAX_MESSAGE)
        problem: NegotiatorError = PeerHungUp("the server's stream ended before it said where messages go")
        try:
            async with aclosing(chunks):
                async for part in chunks:
                    stream.read += len(part)
                    for data in reader.feed(part):
                        if not stream.endpoint.done():
                            stream.endpoint.set_result(self._endpoint(data))
                        elif data:
                            self._heard(stream, read_message(data))
        except NegotiatorError as error:
            problem = error
        finally:
            stream.ended = True
            if not stream.endpoint.done():
                stream.endpoint.set_exception(problem)
                stream.endpoint.exception()  # whoever waits hears of it; nobody may
            for queue in stream.waiting.values():
                queue.put_nowait(None)

    def _endpoint(self, data: bytes) -> str:
        """The path that messages are posted to, at the stream's own origin. Raises `PeerMisspoke`."""
        said = data.decode("utf-8", "replace").partition("#")[0]
        scheme, whole, rest = said.partition("://")
        if whole and scheme.isalpha():
            # Another's address would be sent what is meant for this server.
            path = "/" + rest.partition("/")[2] if origin_of(said) == origin_of(self._url) else ""
        else:
            path = urljoin(urlsplit(self._url).path or "/", said) if said else ""
        good = path.startswith("/") and not said.startswith("//") and path.isprintable() and " " not in path
        if not good or len(path) > MAX_ENDPOINT:
            raise PeerMisspoke("the server's stream names no address of its own that messages are posted to")
        return path

    def _heard(self, stream: _Stream, message: JsonObject) -> None:
        told, number = progress.read(message), message.get("id")
        if told is not None:
            number = told[0]
        elif "method" in message:
            task = asyncio.create_task(self._answered(stream, message))
            stream.answering.add(task)
            task.add_done_callback(stream.answering.discard)
            return
        queue = stream.waiting.get(number) if isinstance(number, int) else None
        if queue is not None:
            queue.put_nowait(message)

    async def _answered(self, stream: _Stream, message: JsonObject) -> None:
        deadline = Deadline.after(ANSWER_SECONDS, self._clock)
        try:
            answer = await by(deadline, answer_to(message, self._url, self._elicit))
            if answer is not None:
                await self._post(stream, answer, deadline, {})
        except (NegotiatorError, RpcError, OutOfTime):
            return  # what becomes of the call is for its server to say

    async def _post(self, stream: _Stream, message: JsonObject, deadline: Deadline, headers: Mapping[str, str]) -> None:
        said = {"content-type": "application/json", **headers}
        wire = WireRequest(path=stream.endpoint.result(), headers=said, body=to_bytes(message))
        reply = await self._transport.send(origin_of(self._url), wire, deadline=deadline)
        if reply.status == _NOT_FOUND:
            stream.ended = True
            raise SessionEnded("the server knows the session no longer")
        if 400 <= reply.status < 500:  # noqa: PLR2004 - HTTP
            raise RpcError(NO_MESSAGE, f"the server refused the request with HTTP {reply.status}")
        if reply.status >= 300:  # noqa: PLR2004 - HTTP
            raise PeerHungUp(f"the server answered HTTP {reply.status} and no message")


async def _came(endpoint: "asyncio.Future[str]") -> str:
    return await asyncio.shield(endpoint)
