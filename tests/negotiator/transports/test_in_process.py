"""Agents that hand each other messages: what comes of it is what bytes would have brought, and no object is in two hands."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negotiator import Agent, Task
from negotiator.clock import SystemClock
from negotiator.errors import DeadlinePassed, NegotiatorError, PeerFailed
from negotiator.events import listening
from negotiator.identity import Authority
from negotiator.jsonvalue import JsonObject
from negotiator.oauth.granted import granting
from negotiator.serving import DoorLimits
from negotiator.testing import VirtualClock
from negotiator.testing.world import numbered
from negotiator.transports import InProcessTransport, MemoryTransport
from negotiator.transports.conformance import check_transport
from negotiator.warm_door import WarmDoor
from negotiator.wire import HandsOver, WireReply
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio
AT = "mem://server"
ASKS = {**obj(city=TEXT, rows={"type": "array"}, more={}), "required": ["city"]}
GIVES = obj(said=TEXT, rows={"type": "array"})
ASK = Task("What is said of a city", input=ASKS, output=GIVES, effect="safe", name="say")
CITIES = ["Rome", "Atlantis", "Babel", "Nowhere", "Ōsaka", "", "x" * 300]


class Pair:
    """A caller and a server, and what the server's tool was called with and gave."""

    def __init__(self, transport: MemoryTransport, **options: Any) -> None:
        self.calls: list[JsonObject] = []
        self.given: list[JsonObject] = []
        self.transport = transport
        clock = VirtualClock()
        self.server = Agent(
            state="memory", clock=clock, new_id=numbered("server"), publish="all", request_seconds=5, **options
        )
        self.caller = Agent(state="memory", clock=clock, new_id=numbered("caller"), transport=transport)

        @self.server.tool(effect="safe", name="say", description="What is said of a city", input=ASKS, output=GIVES)
        async def say(city: str, **more: Any) -> JsonObject:
            self.calls.append({"city": city, **more})
            if city == "Babel":
                raise ValueError("secret")
            if city == "Nowhere":
                return {"said": 5}
            if city == "Limbo":
                await asyncio.Event().wait()
            self.given.append({"said": f"fine, {city}", "rows": more.get("rows", [])})
            return self.given[-1]

        transport.serve(AT, self.server.handler())

    async def came(self, value: Any, **options: Any) -> Any:
        try:
            outcome = await self.caller.ask(AT, ASK, value, **options)
        except NegotiatorError as error:
            return type(error), str(error)
        return outcome.json, outcome.output, outcome.tier, outcome.peer_tier, outcome.protocol_hash, outcome.reason

    async def warm(self) -> None:
        """Until a request goes straight."""
        for _ in range(2):
            assert (await self.came({"city": "Rome"}))[2:4] == ("routine", "routine")
            await self.caller.settle()
        self.calls.clear()


@pytest.fixture
def bytes_sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What travelled as bytes."""
    sent: list[str] = []
    real = MemoryTransport.send

    async def counted(self: Any, base_url: str, request: Any, **more: Any) -> WireReply:
        sent.append(request.path)
        return await real(self, base_url, request, **more)

    monkeypatch.setattr(MemoryTransport, "send", counted)
    return sent


async def test_it_does_what_every_transport_must() -> None:
    transport = InProcessTransport()
    assert isinstance(transport, HandsOver)

    @asynccontextmanager
    async def serve(handler: Any) -> Any:
        transport.serve("mem://agent/", handler)
        yield "mem://agent"
        transport.withdraw("mem://agent/")

    await check_transport(transport, serve, SystemClock())


async def test_what_stands_ready_on_both_sides_is_handed_over_and_no_bytes_travel(bytes_sent: list[str]) -> None:
    pair = Pair(InProcessTransport())
    await pair.warm()
    bytes_sent.clear()
    came = await pair.came({"city": "Rome", "rows": [{"a": 1}]})
    assert came[0] == {"said": "fine, Rome", "rows": [{"a": 1}]}
    assert bytes_sent == []
    assert pair.calls == [{"city": "Rome", "rows": [{"a": 1}]}]


async def test_no_object_is_in_the_hands_of_both() -> None:
    pair = Pair(InProcessTransport())
    await pair.warm()
    value: JsonObject = {"city": "Rome", "rows": [{"a": [1]}], "more": {"b": [2]}}
    kept = orjson.dumps(value)
    outcome = await pair.caller.ask(AT, ASK, value)
    seen, given = pair.calls[-1], pair.given[-1]
    seen["rows"][0]["a"].append("the tool's")
    seen["more"]["b"].append("the tool's")
    given["rows"].append("the tool's")
    assert orjson.dumps(value) == kept
    assert outcome.json == {"said": "fine, Rome", "rows": [{"a": [1]}]}
    outcome.json["rows"].append("the caller's")
    assert "the caller's" not in given["rows"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
DEEP = st.integers(58, 66).map(lambda n: orjson.loads(b"[" * n + b"]" * n))
LONG = st.sampled_from([1_048_000, 1_048_576]).map(lambda n: "x" * n)
VALUES = st.fixed_dictionaries(
    {"city": st.sampled_from(CITIES) | JSON},
    optional={"rows": st.lists(JSON, max_size=2) | DEEP, "more": JSON | DEEP | LONG},
)


@settings(max_examples=150, deadline=None)
@given(value=VALUES, refused=st.sampled_from([False, False, True]), key=st.sampled_from([None, "key", "a b"]))
def test_messages_bring_what_bytes_bring(value: Any, refused: bool, key: str | None) -> None:
    async def of(transport: MemoryTransport) -> Any:
        pair = Pair(transport)
        await pair.warm()
        if refused:
            pair.server.engine.authority = Authority(())
        came = await pair.came(value, idempotency_key=key)
        then = await pair.came(value, idempotency_key=key)
        ledgers = [each.engine.ledger.exchanges for each in (pair.caller, pair.server)]
        states = [each.state for agent in (pair.caller, pair.server) for each in agent.routines()]
        return repr((came, then, pair.calls, ledgers, states))

    async def both() -> None:
        assert await of(InProcessTransport()) == await of(MemoryTransport())

    asyncio.run(both())


async def test_who_may_not_is_refused_as_at_any_door() -> None:
    pair = Pair(InProcessTransport())
    await pair.warm()
    pair.server.engine.authority = Authority(())
    with pytest.raises(PeerFailed):
        await pair.caller.ask(AT, ASK, {"city": "Rome"})
    assert pair.calls == []


@pytest.mark.parametrize("transport", [MemoryTransport, InProcessTransport])
async def test_a_tool_that_does_not_end_is_ended_by_its_own_agents_deadline_where_that_is_sooner(
    transport: Callable[[], MemoryTransport],
) -> None:
    pair = Pair(transport())
    await pair.warm()
    door: Any = pair.server.handler()
    door._limits = DoorLimits(seconds=0.01)
    pair.transport.serve(AT, door)
    with pytest.raises(PeerFailed, match="ran out"):
        await pair.caller.ask(AT, ASK, {"city": "Limbo"}, seconds=5)


@pytest.mark.parametrize("transport", [MemoryTransport, InProcessTransport])
async def test_a_tool_that_does_not_end_is_ended_by_the_callers_deadline(
    transport: Callable[[], MemoryTransport],
) -> None:
    pair = Pair(transport())
    await pair.warm()
    with pytest.raises(DeadlinePassed):
        await pair.caller.ask(AT, ASK, {"city": "Limbo"}, seconds=0.01)


def _fault(pair: Pair) -> Any:
    pair.transport.fail(AT, None)
    return listening(None)


@pytest.mark.parametrize(
    "within",
    [_fault, lambda _pair: listening(lambda _event: None), lambda _pair: granting(frozenset({"weather"}))],
)
async def test_what_is_not_plain_travels_as_bytes(within: Callable[[Pair], Any], bytes_sent: list[str]) -> None:
    pair = Pair(InProcessTransport())
    await pair.warm()
    bytes_sent.clear()
    with within(pair):
        assert (await pair.came({"city": "Rome"}))[0]["said"] == "fine, Rome"
    assert bytes_sent == ["/"]


async def test_who_was_withdrawn_is_not_there_for_messages_either(bytes_sent: list[str]) -> None:
    pair = Pair(InProcessTransport())
    await pair.warm()
    pair.transport.withdraw(AT + "/")
    assert (await pair.came({"city": "Rome"}))[0].__name__ == "PeerUnreachable"
    pair.transport.serve(AT, Door())
    bytes_sent.clear()
    await pair.came({"city": "Rome"})
    assert bytes_sent
    assert pair.calls == []


class Door:
    """A handler that takes no messages."""

    async def __call__(self, _wire: Any) -> WireReply:
        return WireReply(status=404)


def test_an_agents_handler_takes_messages() -> None:
    assert isinstance(Agent(state="memory").handler(), WarmDoor)
