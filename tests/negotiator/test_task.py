"""Tasks and tools, however their shapes are said."""

import asyncio
import functools
import threading
from dataclasses import dataclass
from datetime import date
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel

from negotiator import BadInput, OutcomeUnknown, PeerRejected, Task, Tool, ToolFailed, UsageError
from negotiator.task import toolset_digest
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio


class Model(BaseModel):
    city: str
    day: date


@dataclass
class Data:
    city: str
    day: date


class Typed(TypedDict):
    city: str
    day: date


SCHEMA = obj(city=TEXT, day={"type": "string", "format": "date"})
VALUE = {"city": "Rome", "day": "2026-11-24"}


@pytest.mark.parametrize("shape", [Model, Data, Typed, SCHEMA])
async def test_a_tool_takes_its_arguments_in_any_shape_by_name(shape: Any) -> None:
    def forecast(city: str, day: Any) -> dict[str, str]:
        return {"city": city, "day": str(day)}

    tool = Tool.of(forecast, effect="safe", input=shape, output=obj(city=TEXT, day=TEXT))
    assert await tool.call(VALUE) == VALUE
    with pytest.raises(BadInput):
        await tool.call({"city": "Rome"})


@pytest.mark.parametrize("shape", [Model, Data, Typed, SCHEMA])
def test_a_task_takes_and_gives_any_shape(shape: Any) -> None:
    task = Task("Forecast", input=shape, output=shape)
    assert task.input.dump(VALUE) == VALUE
    loaded = task.output.load(VALUE)
    assert task.output.dump(loaded) == VALUE
    if isinstance(shape, type) and shape is not Typed:
        assert isinstance(loaded, shape)


def test_a_task_is_the_same_where_words_shapes_and_effect_are() -> None:
    task = Task("Forecast", input=SCHEMA)
    assert task.digest == Task("Forecast", input=dict(SCHEMA), name="another name").digest
    others = [
        Task("Other", input=SCHEMA),
        Task("Forecast", input=obj(city=TEXT)),
        Task("Forecast", input=SCHEMA, output=SCHEMA),
        Task("Forecast", input=SCHEMA, effect="safe"),
    ]
    assert len({each.digest for each in [task, *others]}) == 5
    assert task.effect == "transactional"
    assert task.name == "Forecast"
    assert "Forecast" in repr(task)


async def test_a_refused_call_did_nothing() -> None:
    calls = []

    class Picky(BaseModel):
        city: str

        def model_post_init(self, _context: object) -> None:
            if self.city == "Atlantis":
                raise ValueError("no such city")

    def forecast(city: str) -> str:
        calls.append(city)
        return city

    tool = Tool.of(forecast, effect="transactional", input=Picky, output=TEXT)
    run = tool.ready({"city": "Rome"})
    assert calls == []
    assert await run() == "Rome"
    with pytest.raises(BadInput):
        tool.ready({"city": "Atlantis"})
    assert calls == ["Rome"]


async def test_functions_of_every_kind() -> None:
    async def asynchronous(city: str) -> str:
        return city

    class Asynchronous:
        async def __call__(self, city: str) -> str:
            return city

    loop_thread = threading.get_ident()
    threads = []

    def sync(city: str) -> str:
        threads.append(threading.get_ident())
        return city

    for function in (asynchronous, Asynchronous(), functools.partial(asynchronous), sync):
        tool = Tool.of(function, effect="safe", input=obj(city=TEXT), output=TEXT, name="f", description="d")
        assert await tool.call({"city": "Rome"}) == "Rome"
    inline = Tool.of(sync, effect="safe", inline=True, input=obj(city=TEXT), output=TEXT)
    await inline.call({"city": "Rome"})
    assert threads[0] != loop_thread
    assert threads[1] == loop_thread


@pytest.mark.parametrize("error", [ValueError, BadInput, PeerRejected, asyncio.TimeoutError])
async def test_an_error_of_a_tool_is_a_failed_tool(error: type[Exception]) -> None:
    def failing() -> None:
        raise error("secret")

    with pytest.raises(ToolFailed) as caught:
        await Tool.of(failing, effect="safe").call({})
    assert isinstance(caught.value.__cause__, error)
    assert "secret" not in str(caught.value)


async def test_what_a_tool_says_on_purpose_is_kept() -> None:
    def failing(*, known: bool) -> None:
        raise ToolFailed(for_peer="closed today") if known else OutcomeUnknown

    tool = Tool.of(failing, effect="safe")
    with pytest.raises(ToolFailed, match="closed today"):
        await tool.call({"known": True})
    with pytest.raises(OutcomeUnknown):
        await tool.call({"known": False})


def test_functions_that_cannot_be_called_by_name_are_refused() -> None:
    for function in (lambda *a: a, lambda **a: a, len):
        with pytest.raises((UsageError, ValueError)):
            Tool.of(function, effect="safe")


def test_a_toolset_is_known_by_the_interfaces_in_it_in_any_order() -> None:
    def one(a: str) -> str:
        """One."""
        return a

    def two(a: str) -> str:
        """Two."""
        return a

    tools = [Tool.of(function, effect="safe") for function in (one, two)]
    named = {tool.name: tool for tool in tools}
    assert toolset_digest(named) == toolset_digest(dict(reversed(named.items())))
    assert toolset_digest(named) != toolset_digest({"one": tools[0]})
    changed = Tool.of(one, effect="transactional")
    assert toolset_digest({"one": tools[0]}) != toolset_digest({"one": changed})
