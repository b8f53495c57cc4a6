"""Replies as the events of ASGI: whole ones, and those that come in parts."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias

from negotiator.wire import WireReply

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]


async def stream(send: Send, receive: Receive, reply: WireReply, chunks: AsyncGenerator[bytes, None]) -> None:
    """Send a reply as it comes. A client that leaves ends the stream, and nothing that the stream waits for."""
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers.items()]

    async def leave() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def carry() -> None:
        with suppress(OSError):
            await send({"type": "http.response.start", "status": reply.status, "headers": raw})
            async for part in chunks:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    carrying, leaving = asyncio.create_task(carry()), asyncio.create_task(leave())
    try:
        await asyncio.wait({carrying, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (carrying, leaving):
            task.cancel()
        ended = await asyncio.gather(carrying, leaving, return_exceptions=True)
        await chunks.aclose()
    failed = next((each for each in ended if isinstance(each, Exception)), None)
    if failed is not None:
        raise failed


async def respond(send: Send, reply: WireReply, *, head: bool, close: bool) -> None:
    """Send a reply that is whole: to a HEAD without its body, and with the word that the connection ends where so."""
    headers = reply.headers.items()
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers if name != "content-length"]
    # To a HEAD, what a GET would have had.
    said = reply.headers.get("content-length") if head else None
    raw.append((b"content-length", b"%d" % len(reply.body) if said is None else said.encode("latin-1")))
    if close:
        raw.append((b"connection", b"close"))
    await _send(send, reply.status, raw, b"" if head else reply.body)


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        # ASGI's word for a client that left; there is nobody to tell.
        return
