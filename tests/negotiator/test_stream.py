"""A request as a stream of events: what is told on the way, leaving it, cancelling it, taking it up again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from negotiator import Agent, OutcomeUnknown, PeerUnreachable, Task, UsageError
from negotiator.context import Context, current_context
from negotiator.events import Partial, Progress, Result, TierChosen, listening
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import World

pytestmark = pytest.mark.anyio
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something of a city", input=CITY, output=SAID, effect="safe")
BOOK = Task("Book a room in a city", input=CITY, output=SAID)


def reading() -> ScriptedModel:
    return ScriptedModel({"read_reply": {"answer": {"said": "Rome it is"}}})


async def speak(text: str, context: Context):
    context.progress("thinking", 0.5)
    for part in ("Rome ", "it ", "is"):
        yield part


async def test_words_come_as_tier_progress_partial_and_result(world: World) -> None:
    world.agent("server", respond=speak)
    caller = world.agent("caller", reading())
    events = [event async for event in caller.stream("mem://server", SAY, {"city": "Rome"})]
    print(events)
    assert [type(event) for event in events][0] is TierChosen
    assert events[0].tier == "natural_language"
    assert isinstance(events[-1], Result)
    assert events[-1].outcome.output == {"said": "Rome it is"}
    assert events[-1].outcome.peer_tier == "natural_language"
