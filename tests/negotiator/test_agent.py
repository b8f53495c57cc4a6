"""The face: decorators, plain programs, event loops, closing."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

import pytest
from pydantic import BaseModel

from negotiator import Agent, Task, UsageError
from negotiator.testing import World
from negotiator.transports import MemoryTransport
from protocol_docs import MalformedDocument
from tests.negotiator.engine_world import EXACT, EXACT_VALUE, SERVER, offer_forecast, oracle


class Forecast(BaseModel):
    high: float
    summary: str


class Place(BaseModel):
    city: str
    day: date


@dataclass
class PlaceData:
    city: str
    day: date


class PlaceTyped(TypedDict):
    city: str
    day: date


def served(**options: object) -> tuple[Agent, Agent]:
    transport = MemoryTransport()
    server = Agent(state="memory", transport=transport)
    caller = Agent(state="memory", transport=transport, **options)  # type: ignore[arg-type]
    transport.serve(SERVER, server.handler())
    return server, caller


def test_a_plain_program_asks_without_an_event_loop() -> None:
    server, caller = served()
    calls = offer_forecast(server)
    outcome = caller.ask_sync(SERVER + "/", EXACT, EXACT_VALUE)
    assert (outcome.tier, outcome.json["high"]) == ("routine", "21")
    assert caller.ask_sync(SERVER, EXACT, EXACT_VALUE).tier == "routine"
    assert len(calls) == 2
    caller.settle_sync()
    caller.close()
    server.close()


def test_many_threads_ask_through_one_loop() -> None:
    server, caller = served()
    offer_forecast(server)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda _: caller.ask_sync(SERVER, EXACT, EXACT_VALUE), range(24)))
    assert {outcome.tier for outcome in outcomes} == {"routine"}
    assert sum(thread.name == "negotiator" for thread in threading.enumerate()) == 1
    caller.close()


@pytest.mark.anyio
async def test_a_sync_tool_may_ask_another_agent() -> None:
    """The tool's thread and the server's loop use one agent from two event loops."""
    async with World() as world:
        offer_forecast(world.agent("far"))
        near = world.agent("near")

        @near.tool(effect="safe", input=EXACT.input, output=EXACT.output, description=EXACT.description)
        def forecast(city: str, day: str) -> object:
            return near.ask_sync("mem://far", EXACT, {"city": city, "day": day}).json

        caller = world.agent("caller")
        outcomes = await asyncio.gather(
            caller.ask("mem://near", EXACT, EXACT_VALUE), near.ask("mem://far", EXACT, EXACT_VALUE)
        )
        assert {outcome.json["summary"] for outcome in outcomes} == {"sunny in Rome on 2026-11-24"}
        near._thread.stop()


@pytest.mark.anyio
async def test_inside_an_event_loop_the_sync_face_is_refused() -> None:
    server, caller = served()
    offer_forecast(server)
    for call in (lambda: caller.ask_sync(SERVER, EXACT, EXACT_VALUE), caller.settle_sync, caller.close):
        with pytest.raises(UsageError, match="await the async method"):
            call()
    async with caller, server:
        assert (await caller.ask(SERVER, EXACT, EXACT_VALUE)).tier == "routine"


@pytest.mark.anyio
@pytest.mark.parametrize("shape", [Place, PlaceData, PlaceTyped])
async def test_shapes_of_every_kind_on_both_sides(world: World, shape: type) -> None:
    server = world.agent("server")

    @server.tool(effect="safe", inline=True)
    def forecast(city: str, day: date) -> Forecast:
        """Weather forecast for a city and a day."""
        return Forecast(high=21.0, summary=f"{city} {day:%d %B}")

    assert forecast("Rome", date(2026, 11, 24)).high == 21.0, "the function is still the function"
    task = Task("Weather forecast for a city and a day", input=shape, output=Forecast, effect="safe")
    values = [{"city": "Rome", "day": "2026-11-24"}, {"city": "Rome", "day": date(2026, 11, 24)}]
    if shape is not PlaceTyped:
        values.append(shape(city="Rome", day=date(2026, 11, 24)))
    for value in values:
        outcome = await world.agent(f"caller{values.index(value)}").ask(SERVER, task, value)
        assert outcome.output == Forecast(high=21.0, summary="Rome 24 November")
        assert (outcome.tier, outcome.usage.calls) == ("routine", 0)


@pytest.mark.anyio
async def test_a_tool_decorator_with_and_without_arguments(world: World) -> None:
    agent = world.agent("a")

    @agent.tool
    def plain(city: str) -> str:
        """A plain tool."""
        return city

    @agent.tool(effect="safe", name="other", description="Another")
    async def named(city: str) -> str:
        return city

    tools = agent.engine.tools
    assert {name: tool.effect for name, tool in tools.items()} == {"plain": "transactional", "other": "safe"}
    assert (tools["plain"].description, tools["other"].description) == ("A plain tool.", "Another")
    with pytest.raises(UsageError, match="already"):
        agent.tool(plain)
    with pytest.raises(UsageError):
        agent.tool(lambda *args: args)
    assert set(tools) == {"plain", "other"}


@pytest.mark.anyio
async def test_an_own_function_is_registered_under_any_text_and_nothing_else(world: World) -> None:
    agent = world.agent("a")
    assert agent.register(b"RFC 868\n", str) == agent.register("RFC 868\n", str)
    for nothing in ("", b"", b"\xff\xfe"):
        with pytest.raises(MalformedDocument):
            agent.register(nothing, str)


@pytest.mark.anyio
async def test_closing_ends_what_is_learned_and_leaves_no_task(world: World) -> None:
    release = asyncio.Event()

    async def stuck(*_: object) -> object:
        await release.wait()
        return {}

    server = world.agent("server", oracle())
    offer_forecast(server)
    before = asyncio.all_tasks()
    caller = world.agent("caller", oracle())
    caller.engine.learner.start("x", stuck)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await caller.aclose()
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_what_was_handed_to_an_agent_is_not_closed_by_it() -> None:
    closed = []

    class Transport(MemoryTransport):
        async def aclose(self) -> None:
            closed.append("transport")

    class Model:
        name = "m"

        async def complete(self, *_: object, **__: object) -> object:
            raise AssertionError

        async def aclose(self) -> None:
            closed.append("model")

    async with Agent(Model(), state="memory", transport=Transport()):  # type: ignore[arg-type]
        pass
    assert closed == []


@pytest.mark.anyio
async def test_an_agent_listens_and_asks_over_asgi_too(world: World) -> None:
    server = world.agent("server", publish="all")
    offer_forecast(server)
    app = server.asgi()
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/wellknown", "query_string": b"", "headers": [], "root_path": ""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
