"""A request as a stream of events: what is told on the way, leaving it, cancelling it, taking it up again."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from negotiator import OutcomeUnknown, PeerFailed, PeerHungUp, PeerUnreachable, Task, UsageError
from negotiator.clock import Deadline
from negotiator.context import Context
from negotiator.errors import PeerMisspoke
from negotiator.events import Event, Partial, Progress, Result, TierChosen, emit, listener, listening
from negotiator.models.scripted import ScriptedModel
from negotiator.stream import MAX_EVENTS, Stream
from negotiator.telling import MAX_WAITING
from negotiator.testing import World
from negotiator.transports.memory import MemoryTransport
from negotiator.watching import send_watched
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something of a city", input=CITY, output=SAID, effect="safe")
BOOK = Task("Book a room in a city", input=CITY, output=SAID)
ROME = {"city": "Rome"}
SERVER = "mem://server"


def reading() -> ScriptedModel:
    return ScriptedModel({"read_reply": {"answer": {"said": "Rome it is"}}})


async def speak(text: str, context: Context) -> AsyncIterator[str]:
    context.progress("thinking", 0.5)
    for part in ("Rome ", "it ", "is"):
        yield part


def booking(world: World, **options: Any) -> list[str]:
    """A server that books, once its gate is open."""
    server = world.agent("server", **options)
    booked: list[str] = []

    @server.tool(effect="transactional", input=CITY, output=SAID, description=BOOK.description, public=True)
    async def book(city: str, context: Context) -> dict[str, str]:
        booked.append(city)
        context.progress("half of it", 0.5)
        return {"said": f"booked {len(booked)}"}

    return booked


async def test_words_come_as_tier_progress_partial_and_result(world: World) -> None:
    world.agent("server", respond=speak)
    events = [event async for event in world.agent("caller", reading()).stream(SERVER, SAY, ROME)]
    tiers = [event.tier for event in events if isinstance(event, TierChosen)]
    assert tiers == ["natural_language"]
    assert Progress(message="thinking", fraction=0.5) in events
    assert [event.text for event in events if isinstance(event, Partial)] == ["Rome ", "it ", "is"]
    result = events[-1]
    assert isinstance(result, Result)
    assert (result.outcome.output, result.outcome.peer_tier) == ({"said": "Rome it is"}, "natural_language")


async def test_a_tool_tells_how_far_it_is_whatever_the_tier(world: World) -> None:
    booking(world)
    events = [event async for event in world.agent("caller").stream(SERVER, BOOK, ROME)]
    assert [event.tier for event in events if isinstance(event, TierChosen)] == ["routine"]
    assert Progress(message="half of it", fraction=0.5) in events


async def test_who_only_asks_asks_for_no_stream_and_nothing_is_made_of_what_is_told(world: World) -> None:
    booking(world)
    await world.agent("caller").ask(SERVER, BOOK, ROME)
    assert all("event-stream" not in each.request.headers.get("accept", "") for each in world.carried)
    assert listener() is None


async def test_what_a_tool_asks_of_others_is_heard_by_none_of_its_own_callers(world: World) -> None:
    far = world.agent("far")
    far.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)(_said)
    near = world.agent("server")

    @near.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    async def ask(city: str) -> Any:
        return (await near.ask("mem://far", SAY, {"city": city})).json

    events = [event async for event in world.agent("caller").stream(SERVER, SAY, ROME)]
    assert sum(isinstance(event, TierChosen) for event in events) == 1
    assert not any(isinstance(event, Progress) and "far" in event.message for event in events)
    assert sum("the peer answered" in event.message for event in events if isinstance(event, Progress)) == 1


async def _said(city: str, context: Context) -> dict[str, str]:
    context.progress("far away")
    return {"said": city}


async def test_an_error_is_raised_in_place_of_a_result(world: World) -> None:
    server = world.agent("server")

    @server.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    def say(city: str) -> dict[str, str]:
        raise ValueError(city)

    stream = world.agent("caller").stream(SERVER, SAY, ROME)
    with pytest.raises(PeerFailed):
        [event async for event in stream]
    with pytest.raises(PeerFailed):
        await stream.result()


async def test_one_that_was_left_goes_on_and_is_taken_up_from_its_first_event(world: World) -> None:
    world.agent("server", respond=speak)
    caller = world.agent("caller", reading())
    stream = caller.stream(SERVER, SAY, ROME)
    async for event in stream:
        first = event
        break
    again = caller.resume(stream.id)
    assert again is stream
    events = [event async for event in again]
    assert events[0] == first
    assert isinstance(events[-1], Result)


async def test_one_that_is_cancelled_ends_and_its_request_is_answered_once_all_the_same(world: World) -> None:
    server = world.agent("server")
    gate, begun, booked = asyncio.Event(), asyncio.Event(), []

    @server.tool(effect="transactional", input=CITY, output=SAID, description=BOOK.description)
    async def book(city: str) -> dict[str, str]:
        begun.set()
        await gate.wait()
        booked.append(city)
        return {"said": "booked"}

    caller = world.agent("caller")
    stream = caller.stream(SERVER, BOOK, ROME)
    going = asyncio.ensure_future(stream.result())
    await begun.wait()
    await stream.cancel()
    assert stream.done
    with pytest.raises(asyncio.CancelledError):
        await going
    # In one process the cancelled caller is the server's own task: the peer kept that nobody knows how it went.
    with pytest.raises(OutcomeUnknown):
        await caller.resume(stream.id).result()
    gate.set()
    assert booked == []


async def test_as_a_context_manager_it_is_cancelled_at_the_end(world: World) -> None:
    world.agent("server", respond=speak)
    async with world.agent("caller", reading()).stream(SERVER, SAY, ROME) as stream:
        async for event in stream:
            if isinstance(event, TierChosen):
                break
    assert stream.done
    with pytest.raises(asyncio.CancelledError):
        await stream.result()


@pytest.mark.parametrize("faults", [("hang_up_after",), ("hang_up_after", "hang_up_after")])
async def test_a_reply_that_was_lost_is_had_by_the_id_and_nothing_is_done_twice(
    world: World, tmp_path: Path, faults: tuple[Any, ...]
) -> None:
    booked = booking(world)
    caller = world.agent("caller", state=tmp_path)
    assert (await caller.ask(SERVER, BOOK, ROME)).output == {"said": "booked 1"}
    world.memory.fail(SERVER, *faults)
    stream = caller.stream(SERVER, BOOK, {"city": "Oslo"})
    with pytest.raises(OutcomeUnknown):
        await stream.result()
    for _ in faults[1:]:
        with pytest.raises(OutcomeUnknown):
            await caller.resume(stream.id).result()
    await caller.aclose()
    # Another process, with the same state.
    later = world.agent("later", state=tmp_path)
    outcome = await later.resume(stream.id, BOOK).result()
    assert outcome.output == {"said": "booked 2"}
    assert booked == ["Rome", "Oslo"]
    with pytest.raises(UsageError, match="nothing"):
        later.resume(stream.id)


async def test_of_a_peer_that_keeps_no_replies_a_transactional_request_is_not_asked_again(world: World) -> None:
    sent: list[WireRequest] = []

    async def stranger(wire: WireRequest) -> WireReply:
        if wire.method != "POST":
            return WireReply(status=404)
        sent.append(wire)
        raise PeerHungUp("gone")

    world.memory.serve("mem://stranger", stranger)
    caller = world.agent("caller", reading())
    stream = caller.stream("mem://stranger", BOOK, ROME)
    with pytest.raises(OutcomeUnknown):
        await stream.result()
    assert len(sent) == 1
    with pytest.raises(OutcomeUnknown, match="not asked again"):
        await caller.resume(stream.id).result()
    assert len(sent) == 1


async def test_what_never_left_is_asked_when_it_is_taken_up(world: World) -> None:
    caller = world.agent("caller")
    stream = caller.stream(SERVER, BOOK, ROME)
    with pytest.raises(PeerUnreachable):
        await stream.result()
    booked = booking(world)
    assert (await caller.resume(stream.id).result()).output == {"said": "booked 1"}
    assert booked == ["Rome"]


async def test_what_came_to_something_is_kept_no_longer_nor_is_what_is_sensitive(world: World) -> None:
    booking(world)
    caller = world.agent("caller")
    stream = caller.stream(SERVER, BOOK, ROME)
    await stream.result()
    assert not list(caller.engine.text.keys("asked/"))
    secret = {**CITY, "properties": {"city": {"type": "string", "x-sensitive": True}}}
    failing = caller.stream("mem://nobody", Task("Keep a secret", input=secret, output=SAID), ROME)
    with pytest.raises(PeerUnreachable):
        await failing.result()
    assert not list(caller.engine.text.keys("asked/"))


async def test_another_task_is_not_taken_for_what_was_asked(world: World) -> None:
    caller = world.agent("caller")
    stream = caller.stream("mem://nobody", SAY, ROME)
    with pytest.raises(PeerUnreachable):
        await stream.result()
    with pytest.raises(UsageError, match="another task"):
        caller.resume(stream.id, BOOK)


async def test_more_events_than_are_held_push_out_the_oldest() -> None:
    async def ask(listens: Any) -> Any:
        for number in range(MAX_EVENTS + 5):
            listens(Partial(text=str(number)))
        return "outcome"

    stream = Stream("id", ask)
    await stream.result()
    texts = [event.text async for event in stream if isinstance(event, Partial)]
    assert (len(texts), texts[0], texts[-1]) == (MAX_EVENTS, "5", str(MAX_EVENTS + 4))


@pytest.mark.parametrize(
    "body",
    [
        b"data: nothing\n\n",
        b'data: {"reply": {"status": 9999, "headers": {}, "body": ""}}\n\n',
        b'data: {"progress": {"message": "x", "fraction": 7}}\n\n',
        b"data: " + b"x" * 5_000_000,
    ],
)
async def test_a_peer_whose_events_cannot_be_read_misspeaks(body: bytes, world: World) -> None:
    with pytest.raises(PeerMisspoke):
        await _watched(world, body)


async def test_a_stream_that_ends_before_the_reply_is_a_peer_that_hung_up(world: World) -> None:
    with pytest.raises(PeerHungUp):
        await _watched(world, b'data: {"partial": {"text": "half"}}\n\n')


async def test_what_a_peer_tells_is_cut_to_length(world: World) -> None:
    heard: list[Event] = []
    long = b'data: {"progress": {"message": "' + b"x" * 9_999 + b'"}}\n\n'
    reply = b'data: {"reply": {"status": 200, "headers": {"a": "b"}, "body": "whole"}}\n\n'
    with listening(heard.append):
        wire = await _watched(world, long + reply)
    assert (wire.status, wire.headers, wire.body) == (200, {"a": "b"}, b"whole")
    assert [len(event.message) for event in heard if isinstance(event, Progress)] == [300]


async def _watched(world: World, body: bytes) -> WireReply:
    async def streaming(_wire: WireRequest) -> WireReply:
        async def chunks() -> Any:
            yield body

        return WireReply(headers={"content-type": "text/event-stream"}, chunks=chunks())

    transport = MemoryTransport({"mem://odd": streaming}, reply_bytes=8_000_000)
    return await send_watched(transport, "mem://odd", WireRequest(), deadline=Deadline.after(5, world.clock))


async def test_a_reader_that_does_not_read_holds_up_no_answer(world: World) -> None:
    server = world.agent("server")

    @server.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    async def say(city: str, context: Context) -> dict[str, str]:
        for number in range(MAX_WAITING + 100):
            context.progress(str(number))
        return {"said": city}

    events = [event async for event in world.agent("caller").stream(SERVER, SAY, ROME)]
    told = [event for event in events if isinstance(event, Progress) and event.message.isdecimal()]
    assert len(told) == MAX_WAITING
    assert isinstance(events[-1], Result)


def test_nobody_listens_outside() -> None:
    emit(Progress(message="to nobody"))


async def test_the_page_about_streams_runs(world: World) -> None:
    """The code of docs/streams.md, in order, with agents of this world."""
    text = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
    code = "\n\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, "streams.md", "exec"), page)  # noqa: S102 - our own page
    world.memory.serve("mem://page", page["agent"].handler())
    caller = world.agent("caller")
    assert await page["main"](caller, "mem://page") == 2
    with pytest.raises(UsageError):
        await page["later"](caller, "unknown")
    assert page["reference"].url.startswith("https://agent.example/files/sha256:")
    await page["agent"].aclose()
