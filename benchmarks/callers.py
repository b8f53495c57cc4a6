"""One caller of the speed benchmarks, in a process of its own: `python -m benchmarks.callers KIND [PORT]`.

    ask       an agent of ours asks a receiver over HTTP, with its own HTTP client
    ask_fast  the same with the other client that it can be given by its name, aiohttp
    client    that HTTP client alone, with the same request
    fast      aiohttp alone
    sender    what the first takes beyond the client alone, one of each in turn
    own       an agent of ours asks, and whatever it sends is answered at once, without a network
    codec     ask -> answer in one process: bytes are written and read on both sides
    messages  the same where the two agents hand each other messages
    message   a request's message answered with a reply's message: the receiver alone, without bytes

It takes orders like the rivals' callers (`benchmarks/rivals/timing.py`).
"""

import argparse
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from benchmarks.exchange import ANSWERED, ASKED, DOCUMENT, TASK, offer
from benchmarks.rivals import timing
from negotiator import Agent
from negotiator.answer import answer
from negotiator.clock import Deadline, SystemClock
from negotiator.messages import Request
from negotiator.serving import ExchangeContext
from negotiator.transports import InProcessTransport, MemoryTransport
from negotiator.transports.opening import open_transport
from negotiator.wire import Transport, WireReply, WireRequest

Call: TypeAlias = Callable[[], Awaitable[float | None]]
KINDS = ("ask", "ask_fast", "client", "fast", "sender", "own", "codec", "messages", "message")
_WARM = 20
"""Calls before anything is timed, in which what is to be learned is learned."""


class _Noted:
    """A transport that notes the last request and its answer, and in time replays the answer."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.request: WireRequest | None = None
        self.reply: WireReply | None = None
        self.replays = False

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        if not self.replays or self.reply is None:
            self.request, self.reply = request, await self._inner.send(base_url, request, deadline=deadline)
        return self.reply

    async def aclose(self) -> None:
        await self._inner.aclose()


async def asking(transport: Transport | str | None, base_url: str) -> Call:
    """A call of an agent that has agreed with its peer, and whose half is a routine."""
    agent = Agent(model="none", state="memory", transport=transport)
    for _ in range(_WARM):
        outcome = await agent.ask(base_url, TASK, ASKED)
        await agent.settle()
    if (outcome.tier, outcome.peer_tier) != ("routine", "routine"):
        raise RuntimeError(f"the two agents have no routines yet: {outcome}")

    async def ask() -> None:
        if (await agent.ask(base_url, TASK, ASKED)).output != ANSWERED:
            raise RuntimeError("another answer than the one that is due")

    return ask


def _receiver() -> Agent:
    agent = Agent(model="none", publish="agreed", state="memory")
    offer(agent, "mapping")
    return agent


async def client(port: int, name: str = "httpx") -> Call:
    """The transport of an agent, by its client's name, without the agent: the same request over and over."""
    base_url, transport, clock = f"http://127.0.0.1:{port}", open_transport(name), SystemClock()
    noted = _Noted(open_transport(name))
    await (await asking(noted, base_url))()
    await noted.aclose()
    request = noted.request
    if request is None:
        raise RuntimeError("the agent has sent nothing")

    async def send() -> None:
        reply = await transport.send(base_url, request, deadline=Deadline.after(60, clock))
        if reply.status != 200:
            raise RuntimeError(f"status {reply.status}")

    return send


async def sender(port: int) -> Call:
    """An agent's time over that of its client: the machine is as busy for the one as for the other."""
    ask, send = await asking(None, f"http://127.0.0.1:{port}"), await client(port)
    turns = itertools.cycle(((send, ask), (ask, send)))

    async def difference() -> float:
        # Each is as often the first: the second finds the server's caches as the first has left them.
        first, second = next(turns)
        begun = time.perf_counter()
        await first()
        between = time.perf_counter()
        await second()
        later = time.perf_counter() - between - (between - begun)
        return (later if second is ask else -later) * 1e6

    return difference


async def own() -> Call:
    """What a sender adds to whatever carries its bytes."""
    transport = _Noted(MemoryTransport({"mem://receiver": _receiver().handler()}))
    ask = await asking(transport, "mem://receiver")
    transport.replays = True
    return ask


async def codec() -> Call:
    """Both halves, through bytes."""
    return await asking(MemoryTransport({"mem://receiver": _receiver().handler()}), "mem://receiver")


async def messages() -> Call:
    """Both halves, by messages."""
    return await asking(InProcessTransport({"mem://receiver": _receiver().handler()}), "mem://receiver")


async def message() -> Call:
    """The receiver's half, from message to message."""
    engine, request = _receiver().engine, Request(body=ASKED, hashes=DOCUMENT.aliases)

    async def call() -> None:
        context = ExchangeContext(dialect="agora-2025", deadline=Deadline.after(60, engine.clock))
        if (await answer(engine, request, context)).body != ANSWERED:
            raise RuntimeError("another answer than the one that is due")

    return call


async def call_of(kind: str, port: int) -> Call:
    """What is timed under this name."""
    match kind:
        case "ask":
            return await asking(None, f"http://127.0.0.1:{port}")
        case "ask_fast":
            return await asking("aiohttp", f"http://127.0.0.1:{port}")
        case "client":
            return await client(port)
        case "fast":
            return await client(port, "aiohttp")
        case "sender":
            return await sender(port)
        case "own":
            return await own()
        case "codec":
            return await codec()
        case "messages":
            return await messages()
        case _:
            return await message()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("port", type=int, nargs="?", default=0)
    chosen = parser.parse_args()

    async def obey() -> None:
        await timing.obey(await call_of(chosen.kind, chosen.port))

    timing.run(obey())


if __name__ == "__main__":
    main()
