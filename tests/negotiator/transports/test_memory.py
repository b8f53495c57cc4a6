"""Agents in one process: reached by name, and failing in every way there is."""

from contextlib import asynccontextmanager

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.transports import MemoryTransport
from negotiator.transports.conformance import NotConforming, check_transport
from negotiator.wire import Transport, WireReply, WireRequest

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()


@pytest.fixture
def deadline():
    return Deadline.after(5, CLOCK)


class Counting:
    def __init__(self) -> None:
        self.heard = 0

    async def __call__(self, request: WireRequest) -> WireReply:
        self.heard += 1
        return WireReply(body=request.body)


def serving(transport):
    @asynccontextmanager
    async def serve(handler):
        transport.serve("memory://agent", handler)
        yield "memory://agent"
        transport.withdraw("memory://agent")

    return serve


async def test_it_does_what_every_transport_must():
    transport = MemoryTransport()
    assert isinstance(transport, Transport)
    await check_transport(transport, serving(transport), CLOCK)


async def test_the_conformance_check_notices_a_transport_that_loses_headers():
    class Careless(MemoryTransport):
        async def send(self, base_url, request, *, deadline):
            bare = WireRequest(method=request.method, path=request.path, body=request.body)
            return await super().send(base_url, bare, deadline=deadline)

    transport = Careless()
    with pytest.raises(NotConforming, match="headers are carried"):
        await check_transport(transport, serving(transport), CLOCK)


async def test_unreachable_and_hung_up_differ_in_what_the_agent_heard(deadline):
    agent = Counting()
    transport = MemoryTransport({"memory://a": agent})
    transport.fail("memory://a/", "unreachable", "hang_up_before", None, "hang_up_after")
    with pytest.raises(PeerUnreachable):
        await transport.send("memory://a", WireRequest(), deadline=deadline)
    with pytest.raises(PeerHungUp):
        await transport.send("memory://a", WireRequest(), deadline=deadline)
    assert agent.heard == 0
    assert (await transport.send("memory://a", WireRequest(body=b"x"), deadline=deadline)).body == b"x"
    with pytest.raises(PeerHungUp):
        await transport.send("memory://a", WireRequest(), deadline=deadline)
    assert agent.heard == 2


async def test_silence_ends_at_the_deadline():
    agent = Counting()
    transport = MemoryTransport({"memory://a": agent})
    transport.fail("memory://a", "silence")
    with pytest.raises(PeerHungUp):
        await transport.send("memory://a", WireRequest(), deadline=Deadline.after(0.02, CLOCK))
    assert agent.heard == 0


async def test_a_timeout_of_the_agent_s_own_is_not_taken_for_the_deadline(deadline):
    async def broken(_):
        raise TimeoutError("its own")

    transport = MemoryTransport({"memory://a": broken})
    with pytest.raises(TimeoutError, match="its own"):
        await transport.send("memory://a", WireRequest(), deadline=deadline)


async def test_a_reply_over_the_limit_is_misspoken(deadline):
    transport = MemoryTransport({"memory://a": Counting()}, reply_bytes=10)
    with pytest.raises(PeerMisspoke):
        await transport.send("memory://a", WireRequest(body=b"x" * 11), deadline=deadline)
