"""An exchange that is watched: between agents of this package, what happens on the way comes before the reply.

A sender that listens says `Accept: text/event-stream` beside JSON. Where something happens before the reply is there,
the reply's body is a stream of events, each one JSON object:

    {"progress": {"message": "half of it", "fraction": 0.5}}
    {"partial": {"text": "Sunny, with"}}
    {"reply": {"status": 200, "headers": {...}, "body": "..."}}       the last; what there would have been without a stream

Where nothing happens before it, the reply comes as it always does. Nobody who does not ask for a stream gets one.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from negotiator.clock import Deadline
from negotiator.dialects.sse import KEEP_ALIVE, MEDIA_TYPE, EventReader, event
from negotiator.errors import PeerHungUp, PeerMisspoke
from negotiator.events import Event, Partial, Progress, emit, listening
from negotiator.jsonvalue import JsonObject
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.telling import Telling
from negotiator.wire import Door, StreamTransport, Transport, WireReply, WireRequest

MAX_MESSAGE: Final = 300
"""Characters of a message of progress."""
MAX_PART: Final = 16_384
"""Characters of one part of an answer."""
MAX_EVENT: Final = 4 * 1_048_576
"""Bytes of one event, the one that holds the reply included."""


class _Reply(BaseModel):
    model_config = ConfigDict(extra="ignore")

    status: int = Field(ge=100, le=599)
    headers: dict[str, str]
    body: str


class _Told(BaseModel):
    """One event from a peer: data, cut to length."""

    model_config = ConfigDict(extra="ignore")

    class Progressed(BaseModel):
        message: str
        fraction: float | None = Field(default=None, ge=0, le=1)

    class Part(BaseModel):
        text: str

    progress: Progressed | None = None
    partial: Part | None = None
    reply: _Reply | None = None


class WatchedDoor:
    """A `Door` whose answers can be watched on their way."""

    def __init__(self, inner: Door) -> None:
        """Answer as `inner` does."""
        self._inner = inner
        self._running: set[asyncio.Task[WireReply]] = set()

    @property
    def body_bytes(self) -> int:
        """See `Door.body_bytes`."""
        return self._inner.body_bytes

    def refuse(self, code: str) -> WireReply:
        """See `Door.refuse`."""
        return self._inner.refuse(code)

    async def __call__(self, wire: WireRequest) -> WireReply:
        """See `Door.__call__`."""
        if wire.method != "POST" or MEDIA_TYPE not in wire.headers.get("accept", ""):
            return await self._inner(wire)
        telling = Telling()

        def tell(what: Event) -> None:
            data = _data(what)
            if data is not None:
                telling.put(data)

        with listening(tell):
            answering = asyncio.ensure_future(self._inner(wire))
        self._running.add(answering)
        answering.add_done_callback(self._running.discard)
        try:
            told = await telling.before(answering)
        except asyncio.CancelledError:
            answering.cancel()
            raise
        if not told:
            return await answering
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store", ENGINE_HEADER: ENGINE}
        return WireReply(headers=headers, chunks=_told(telling, answering))


async def _told(telling: Telling, answering: "asyncio.Future[WireReply]") -> AsyncGenerator[bytes, None]:
    async with aclosing(telling.messages(answering)) as messages:
        async for message in messages:
            yield KEEP_ALIVE if message is None else event(message)
    reply = answering.result()
    said = {"status": reply.status, "headers": dict(reply.headers), "body": reply.body.decode()}
    yield event(orjson.dumps({"reply": said}))


def _data(what: Event) -> bytes | None:
    match what:
        case Progress():
            said: JsonObject = {"message": what.message[:MAX_MESSAGE]}
            if what.fraction is not None:
                said["fraction"] = min(max(what.fraction, 0.0), 1.0)
            return orjson.dumps({"progress": said})
        case Partial():
            return orjson.dumps({"partial": {"text": what.text[:MAX_PART]}})
        case _:
            return None  # how this side works is its own affair


async def send_watched(transport: Transport, base_url: str, wire: WireRequest, *, deadline: Deadline) -> WireReply:
    """`Transport.send` to a peer of our kind, with what it tells on the way for whoever listens here.

    Raises as that does.
    """
    if not isinstance(transport, StreamTransport):
        return await transport.send(base_url, wire, deadline=deadline)
    accept = f"{wire.headers.get('accept', 'application/json')}, {MEDIA_TYPE}"
    asked = replace(wire, headers={**wire.headers, "accept": accept})
    reply = await transport.open(base_url, asked, deadline=deadline)
    if reply.chunks is None:
        return reply
    async with aclosing(reply.chunks) as chunks:
        if not reply.headers.get("content-type", "").startswith(MEDIA_TYPE):
            return replace(reply, body=b"".join([part async for part in chunks]), chunks=None)
        reader = EventReader(MAX_EVENT)
        async for part in chunks:
            for data in reader.feed(part):
                last = _hear(data)
                if last is not None:
                    return WireReply(status=last.status, headers=last.headers, body=last.body.encode())
    raise PeerHungUp(f"{base_url}: the stream ended before the reply")


def _hear(data: bytes) -> _Reply | None:
    try:
        told = _Told.model_validate_json(data)
    except ValidationError as error:
        raise PeerMisspoke("an event of a watched exchange that cannot be read") from error
    if told.progress is not None:
        emit(Progress(message=told.progress.message[:MAX_MESSAGE], fraction=told.progress.fraction))
    if told.partial is not None:
        emit(Partial(text=told.partial.text[:MAX_PART]))
    return told.reply
