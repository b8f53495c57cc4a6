"""Agents that meet in one process, without a network."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from negotiator.agent import Agent
from negotiator.clock import Deadline
from negotiator.errors import PeerUnreachable
from negotiator.identity.authority import EVERYBODY
from negotiator.jsonvalue import JsonObject
from negotiator.testing.clock import VirtualClock
from negotiator.transports.memory import MemoryTransport
from negotiator.wire import WireReply, WireRequest
from protocol_docs import catalog
from protocol_docs.errors import SourceUnreachable


@dataclass(frozen=True, slots=True)
class Carried:
    """One request that was sent."""

    base_url: str
    request: WireRequest

    @property
    def body(self) -> JsonObject:
        """The body as JSON; empty where there is none."""
        value: JsonObject = orjson.loads(self.request.body or b"{}")
        return value


class World:
    """Some agents, one clock, one transport. An async context manager, which closes its agents.

    Example:
        ```python
        async with World() as world:
            server = world.agent("server")
            caller = world.agent("caller")
            outcome = await caller.ask("mem://server", task, value)
        ```
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.memory = MemoryTransport()
        """Where faults are ordered: `world.memory.fail("mem://server", "hang_up_after")`."""
        self._waiting: list[tuple[int, asyncio.Event]] = []
        self.carried: list[Carried] = []
        """Every request that was sent, in order, lost ones included."""
        self.agents: list[Agent] = []
        self._stack = AsyncExitStack()

    def agent(
        self,
        name: str,
        model: Any = None,
        *,
        state: str | Path = "memory",
        address: str | None = None,
        **options: Any,
    ) -> Agent:
        """An agent served at `mem://<name>` (or `address`); `options` are those of `Agent`.

        All agents of a world are one owner's, so that each may use what another offers, unless `authority` is given.
        """
        options.setdefault("did_documents", self._did_document)
        options.setdefault("authority", EVERYBODY)
        agent = Agent(
            model,
            name=name,
            state=state,
            transport=_Seen(self),
            clock=self.clock,
            new_id=numbered(name),
            **options,
        )
        self._stack.push_async_callback(agent.aclose)
        self.agents.append(agent)
        self.memory.serve(address or f"mem://{name}", agent.handler())
        return agent

    async def _did_document(self, url: str) -> bytes:
        """What the agents of this world serve at an address, as the network would give it."""
        for base_url in self.memory.addresses():
            if url.startswith(base_url + "/"):
                wire = WireRequest(method="GET", path=url.removeprefix(base_url))
                reply = await self.memory.send(base_url, wire, deadline=Deadline.after(5, self.clock))
                if reply.status == 200:  # noqa: PLR2004 - HTTP
                    return reply.body
        raise SourceUnreachable(f"nobody in this world serves {url}")

    async def settle(self) -> None:
        """Return when no agent learns any more."""
        for agent in self.agents:
            await agent.settle()

    async def sent(self, count: int) -> None:
        """Return when `count` requests have been sent since the world began."""
        reached = asyncio.Event()
        self._waiting.append((count, reached))
        self._note()
        await reached.wait()

    def _note(self) -> None:
        for most, reached in self._waiting:
            if len(self.carried) >= most:
                reached.set()

    def exchanges(self) -> list[Carried]:
        """The requests that were exchanges: no listings, and nothing of the negotiation dialogue."""
        return [each for each in self.carried if each.request.method == "POST" and not _is_dialogue(each.body)]

    def dialogue(self) -> list[JsonObject]:
        """The messages of our negotiation dialogue that openers sent."""
        sent = [each.body for each in self.carried if each.request.method == "POST" and _is_dialogue(each.body)]
        return [orjson.loads(body["body"]) if isinstance(body["body"], str) else body["body"] for body in sent]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


def _is_dialogue(body: JsonObject) -> bool:
    return body.get("protocolDigest") == catalog.negotiation_dialogue().hash


class _Seen:
    def __init__(self, world: World) -> None:
        self._world = world

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        with self._seen(base_url, request):
            return await self._world.memory.send(base_url, request, deadline=deadline)

    async def open(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        with self._seen(base_url, request):
            return await self._world.memory.open(base_url, request, deadline=deadline)

    @contextmanager
    def _seen(self, base_url: str, request: WireRequest) -> Iterator[None]:
        sent = Carried(base_url, request)
        self._world.carried.append(sent)
        self._world._note()  # noqa: SLF001 - a part of the world
        try:
            yield
        except PeerUnreachable:
            self._world.carried.remove(sent)
            raise

    async def aclose(self) -> None:
        """The transport is the world's."""


def numbered(prefix: str) -> Callable[[], str]:
    """Identifiers that repeat from run to run: `a-1`, `a-2`, ... Guessable, so for tests alone."""
    numbers = count(1)
    return lambda: f"{prefix}-{next(numbers)}"
