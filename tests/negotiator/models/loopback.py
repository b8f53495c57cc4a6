"""An OpenAI-shaped endpoint on loopback that plays a script, one answer a request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Play:
    """One answer. `body` is sent as JSON, or as it is where it is bytes; `hang` sends nothing and waits."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    hang_up: bool = False


def said(text: str | None, **more: Any) -> Play:
    """A chat completion."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return Play(
        {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "served",
            "choices": [{"index": 0, "message": message, "finish_reason": more.pop("finish", "stop")}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
            **more,
        }
    )


def refused(message: str, status: int = 400, headers: dict[str, str] | None = None, **more: Any) -> Play:
    """An error as OpenAI spells it."""
    return Play({"error": {"message": message, "type": "x", **more}}, status, headers or {})


class Endpoint:
    """What was asked so far, and where."""

    def __init__(self, plays: list[Play]) -> None:
        self.plays = plays
        self.requests: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.hung_up_on = asyncio.Event()
        self.url = ""
        self.open: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open[writer] = asyncio.current_task()
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                headers = dict(line.lower().split(": ", 1) for line in head.strip().split("\r\n")[1:])
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.headers.append(headers)
                self.requests.append(json.loads(body))
                play = self.plays.pop(0) if self.plays else refused("the script is over", 418)
                if play.hang:
                    await reader.read()
                    self.hung_up_on.set()
                    break
                if play.hang_up:
                    break
                content = play.body if isinstance(play.body, bytes) else json.dumps(play.body).encode()
                lines = {"content-type": "application/json", **play.headers, "content-length": str(len(content))}
                head = f"HTTP/1.1 {play.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n"
                writer.write(head.encode() + content)
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def close(self) -> None:
        """End every connection and wait until it has ended."""
        for writer in self.open:
            writer.close()
        await asyncio.gather(*(task for task in self.open.values() if task is not None))


@contextlib.asynccontextmanager
async def endpoint(*plays: Play) -> AsyncIterator[Endpoint]:
    """Serve `plays`; a request more than there are answers gets a 418, which nobody retries."""
    it = Endpoint(list(plays))
    server = await asyncio.start_server(it.answer, "127.0.0.1", 0)
    it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield it
    finally:
        server.close()
        await it.close()
        await server.wait_closed()
