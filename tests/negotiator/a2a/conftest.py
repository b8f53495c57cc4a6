"""An agent behind its A2A door, in one process, and a client that speaks JSON by hand."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, TypedDict

import pytest

from negotiator import Agent
from negotiator.clock import Deadline, SystemClock
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import VirtualClock
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply, WireRequest

HEADERS = {"content-type": "application/json"}


def _chooses(messages: Any, _schema: Any) -> Any:
    return {"tool": "double"}


_FENCED = re.compile(r"<<<begin data (\w+)\n(.*?)\n<<<end data \1", re.DOTALL)


def _reads(messages: Any, _schema: Any) -> Any:
    found = re.findall(r"\d+", _FENCED.findall(messages[1].content)[-1][1])
    return {"answer": {"number": int(found[-1])}} if found else {"no_answer": "which number"}


class Doubled(TypedDict):
    number: int
    twice: int


class Client:
    """What a peer of the agent can send."""

    def __init__(self, agent: Agent, clock: VirtualClock) -> None:
        self.agent = agent
        self.clock = clock
        self.called: list[int] = []
        self.began = asyncio.Event()
        self._numbers = itertools.count()
        self.gate = asyncio.Event()
        self.gate.set()
        self.handler = agent.handler()
        self._memory = MemoryTransport({"http://agent": self.handler})

    async def send(self, wire: WireRequest) -> WireReply:
        return await self._memory.send("http://agent", wire, deadline=Deadline.after(30, SystemClock()))

    async def post(self, body: Any, *, version: str = "1.0", path: str = "/a2a", **headers: str) -> WireReply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {**HEADERS, **({"a2a-version": version} if version else {}), **headers}
        return await self.send(WireRequest(path=path, headers=sent, body=data))

    async def call(
        self, method: str, *, version: str = "1.0", headers: dict[str, str] | None = None, **params: Any
    ) -> Any:
        """The `result`, or the `error`, of one JSON-RPC call."""
        body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        reply = await self.post(body, version=version, **(headers or {}))
        assert reply.status == 200
        found = json.loads(reply.body)
        assert found["id"] == 7
        return found.get("result", found.get("error"))

    async def say(self, part: Any, *, configuration: Any = None, method: str = "SendMessage", **message: Any) -> Any:
        """The result of sending one part."""
        given = {"messageId": f"m-{next(self._numbers)}", "role": "ROLE_USER", "parts": [part], **message}
        params = {"message": given, **({"configuration": configuration} if configuration else {})}
        return await self.call(method, **params)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    clock = VirtualClock()
    model = ScriptedModel({"choose_tool": _chooses, "read_request": _reads})
    async with Agent(model, name="doubler", publish="all", state="memory", clock=clock) as agent:
        made = Client(agent, clock)

        @agent.tool(effect="safe")
        async def double(number: int) -> Doubled:
            """Double a number."""
            made.called.append(number)
            made.began.set()
            await made.gate.wait()
            return {"number": number, "twice": 2 * number}

        yield made
        made.gate.set()


@pytest.fixture
def events() -> Callable[[WireReply], AsyncIterator[Any]]:
    """The events of a streamed reply, as they come."""

    async def read(reply: WireReply) -> AsyncIterator[Any]:
        assert reply.headers["content-type"] == "text/event-stream"
        assert reply.chunks is not None
        async for chunk in reply.chunks:
            assert chunk.startswith(b"data: ")
            assert chunk.endswith(b"\n\n")
            yield json.loads(chunk[6:])["result"]

    return read
