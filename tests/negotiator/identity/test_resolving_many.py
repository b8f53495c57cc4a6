"""Strangers who name DIDs whose hosts do not answer keep nobody else's from being read."""

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from negotiator.errors import Overloaded
from negotiator.identity import Identity
from negotiator.identity.checker import Checker
from negotiator.identity.resolver import REMEMBER_SECONDS, DidResolver
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore
from tests.negotiator.identity.gate_world import GateWorld

pytestmark = pytest.mark.anyio


class Hosts:
    """Hosts of DID documents, most of which take their time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.quick = [
            Identity.in_memory(f"https://{name}.example", clock=self.clock) for name in ("weather", "hotel", "bank")
        ]
        self.fetched: list[str] = []
        self.end = asyncio.Event()
        self.resolver = DidResolver(self.fetch, MemoryTextStore(), self.clock)
        self.waiting: list[asyncio.Future[object]] = []

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        for each in self.quick:
            if each.parsed.url() == url:
                return await each.document()
        await self.end.wait()
        return json.dumps({}).encode()

    async def flood(self, count: int, *, asker: str = "192.0.2.66", host: str = "slow{}.example") -> int:
        """Name as many DIDs as `count`; how many of them are being fetched."""
        for number in range(count):
            did = f"did:web:{host.format(number)}:{asker}:{number}".replace("192.0.2.", "a")
            self.waiting.append(asyncio.ensure_future(self.resolver.document(did, asker=asker)))
        before = len(self.fetched)
        for _ in range(3):
            await asyncio.sleep(0)
        return len(self.fetched) - before

    async def finish(self) -> list[object]:
        self.end.set()
        return await asyncio.gather(*self.waiting, return_exceptions=True)


async def test_one_address_has_half_of_the_places_whatever_it_names() -> None:
    hosts = Hosts()
    assert await hosts.flood(100) == 4
    assert (await hosts.resolver.document(hosts.quick[0].did, asker="192.0.2.1")).did == hosts.quick[0].did
    assert sum(isinstance(each, Overloaded) for each in await hosts.finish()) == 96
    # What has ended has left its place.
    hosts.end.clear()
    assert await hosts.flood(100, asker="192.0.2.67") == 4
    await hosts.finish()


async def test_one_host_has_half_of_the_places_whoever_names_it() -> None:
    hosts = Hosts()
    fetched = [await hosts.flood(20, asker=f"192.0.2.{number}", host="slow.example") for number in range(10, 20)]
    assert sum(fetched) == 4
    assert (await hosts.resolver.document(hosts.quick[0].did, asker="192.0.2.1")).did == hosts.quick[0].did
    await hosts.finish()


async def test_however_many_come_who_was_read_before_is_read_again() -> None:
    hosts = Hosts()
    known, new = hosts.quick[0].did, hosts.quick[1].did
    await hosts.resolver.document(known, asker="192.0.2.1")
    for number in range(10, 60):
        await hosts.flood(1, asker=f"192.0.2.{number}", host=f"slow{number}.example")
    hosts.clock.advance(REMEMBER_SECONDS + 1)
    with pytest.raises(Overloaded):
        await hosts.resolver.document(new, asker="192.0.2.2")
    assert (await hosts.resolver.document(known, asker="192.0.2.1")).did == known
    assert hosts.fetched.count(hosts.quick[0].parsed.url()) == 2
    await hosts.finish()
    with suppress(Overloaded):
        assert (await hosts.resolver.document(new, asker="192.0.2.2")).did == new


async def test_the_gate_says_whose_request_it_is_that_names_a_did() -> None:
    world = GateWorld()
    checker: Checker = world.gate._checker  # type: ignore[assignment]
    askers: list[str | None] = []
    document = checker._resolver.document

    async def noted(did: str, *, with_key: str | None = None, asker: str | None = None) -> object:
        askers.append(asker)
        return await document(did, with_key=with_key, asker=asker)

    checker._resolver.document = noted  # type: ignore[assignment, method-assign]
    wire = await world.a_signed_request()
    await world.gate(replace(wire, peer="192.0.2.9"))
    assert askers == ["192.0.2.9"]
