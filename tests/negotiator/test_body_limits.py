"""What a peer says that it takes at once: more is not sent, and whoever asked is told so in an error of its own."""

from dataclasses import replace

import orjson
import pytest

from negotiator import NegotiatorError, OutcomeUnknown, PeerFailed, Task, TooLarge
from negotiator.agora_replies import error_of
from negotiator.clock import Deadline
from negotiator.errors import PeerError
from negotiator.mapping import FieldMapping, Mapping
from negotiator.messages import Reply
from negotiator.routines import Direction
from negotiator.serving import BODY_BYTES_HEADER
from negotiator.speaking import PeerRecord
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest
from tests.negotiator.engine_world import (
    BOOK,
    CITY_DAY,
    EXACT,
    EXACT_VALUE,
    FORECAST,
    SERVER,
    offer_booking,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio

LONG = "x" * 1000


def says(world: World, bytes_: object) -> None:
    """Have the server's listing say that it takes so much, whatever it does take."""
    handler = world.agents[0].handler()

    async def handled(wire: WireRequest) -> WireReply:
        reply = await handler(wire)
        if BODY_BYTES_HEADER not in reply.headers:
            return reply
        return WireReply(
            status=reply.status, headers={**reply.headers, BODY_BYTES_HEADER: str(bytes_)}, body=reply.body
        )

    world.memory.serve(SERVER, handled)


def posts(world: World) -> list[bytes]:
    return [each.request.body for each in world.carried if each.request.method == "POST"]


async def test_an_agent_says_on_its_listing_how_much_it_takes_and_another_remembers_it(world: World) -> None:
    world.agent("server")
    reach = world.agent("caller").engine.reach
    assert (await reach.discover(SERVER, Deadline.after(9, world.clock))).body_bytes == 1_048_576
    known = reach.known(SERVER)
    assert known is not None
    assert known.body_bytes == 1_048_576


@pytest.mark.parametrize("said", ["", "much", "-1", "1e3", "²", "9" * 400])
async def test_a_limit_that_is_no_number_is_none(world: World, said: str) -> None:
    world.agent("server")
    says(world, said)
    reach = world.agent("caller").engine.reach
    assert (await reach.discover(SERVER, Deadline.after(9, world.clock))).body_bytes is None


@pytest.mark.parametrize("warm", [False, True], ids=["by the ladder", "by the short road"])
async def test_a_request_of_as_many_bytes_as_the_peer_takes_is_sent_and_one_of_more_is_not(
    world: World, warm: bool
) -> None:
    offer_forecast(world.agent("server"))
    first = world.agent("first")
    await first.ask(SERVER, EXACT, EXACT_VALUE, idempotency_key="key-1")
    size = len(posts(world)[-1])
    says(world, size)
    caller = world.agent("caller")
    if warm:
        await caller.ask(SERVER, EXACT, EXACT_VALUE, idempotency_key="key-2")
        assert caller.engine.ready_to_ask
    assert (await caller.ask(SERVER, EXACT, EXACT_VALUE, idempotency_key="key-3")).tier == "routine"
    sent = len(posts(world))
    with pytest.raises(TooLarge, match=f"takes {size} bytes"):
        await caller.ask(SERVER, EXACT, {**EXACT_VALUE, "city": "Romes"}, idempotency_key="key-4")
    assert len(posts(world)) == sent


async def test_a_transactional_request_that_is_too_large_is_no_unknown_outcome(world: World) -> None:
    booked = offer_booking(world.agent("server"))
    says(world, 4000)
    caller = world.agent("caller")
    with pytest.raises(TooLarge) as caught:
        await caller.ask(SERVER, BOOK, {"room": LONG * 5, "night": "2026-11-24"})
    assert isinstance(caught.value, PeerError)
    assert not isinstance(caught.value, OutcomeUnknown)
    assert booked == []


@pytest.mark.parametrize("words", [True, False], ids=["words", "no words"])
async def test_what_is_too_large_under_a_document_is_asked_in_words_where_those_are_fewer(
    world: World, words: bool
) -> None:
    offer_forecast(world.agent("server", oracle()))
    says(world, 2000)
    caller = world.agent("caller", oracle())
    task = Task(
        EXACT.description, input=CITY_DAY, output=FORECAST, effect="safe", name=EXACT.name, natural_language=words
    )
    name = (await caller.ask(SERVER, task, EXACT_VALUE)).protocol_hash
    assert name is not None
    ready = caller.engine.routines.get(name, "sender", task.digest)
    assert ready is not None
    padded = Mapping((FieldMapping(to="/city", const=LONG * 3), FieldMapping(to="/day", source="/day")))
    caller.engine.routines.put(replace(ready.routine, into=Direction(mapping=padded)))
    if not words:
        with pytest.raises(TooLarge):
            await caller.ask(SERVER, task, EXACT_VALUE)
        return
    outcome = await caller.ask(SERVER, task, EXACT_VALUE)
    assert (outcome.tier, outcome.json["summary"]) == ("natural_language", "sunny in Rome on 2026-11-24")
    assert "fall_back" in [step.what for step in outcome.trace]


async def test_a_negotiation_whose_opening_is_too_large_is_not_begun(world: World) -> None:
    offer_forecast(world.agent("server", publish="none"))
    says(world, 100)
    with pytest.raises(NegotiatorError):
        await world.agent("caller").ask(SERVER, EXACT, EXACT_VALUE)
    assert posts(world) == []


async def test_a_peer_that_refuses_a_body_unread_has_done_nothing(world: World) -> None:
    offer_forecast(world.agent("server"))
    caller = world.agent("caller")
    await caller.ask(SERVER, EXACT, EXACT_VALUE)
    refusal = orjson.dumps({"status": "failure", "code": "too_large", "error": "the request is too large"})

    async def full(_: WireRequest) -> WireReply:
        return WireReply(status=413, headers={"agora-engine": "metaparley"}, body=refusal)

    world.memory.serve(SERVER, full)
    with pytest.raises(TooLarge):
        await caller.ask(SERVER, EXACT, EXACT_VALUE)


def test_only_the_word_for_it_is_taken_for_it() -> None:
    assert isinstance(error_of(Reply(status="failure", code="too_large")), TooLarge)
    assert isinstance(error_of(Reply(status="failure", code="failed")), PeerFailed)


@pytest.mark.parametrize(("most", "size", "fits"), [(None, 10**7, True), (10, 10, True), (10, 11, False), (0, 0, True)])
def test_a_record_says_what_the_peer_takes(most: int | None, size: int, fits: bool) -> None:
    record = PeerRecord(dialect="agora-2025", seen=0, expires=0, body_bytes=most)
    if fits:
        record.require_room(b" " * size)
    else:
        with pytest.raises(TooLarge):
            record.require_room(b" " * size)
