"""The receiver's path of one request: whose document, which tier, and nothing done twice."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from negotiator import (
    Agent,
    BadInput,
    BudgetSpent,
    CostPolicy,
    EffectsAlreadyMade,
    ModelMisspoke,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    RoutineFailed,
    ToolFailed,
)
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.interpret import body_value
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.models.scripted import InTurn, ScriptedModel
from negotiator.proposals import document_of
from negotiator.routines import Direction, Routine, Verdict
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from protocol_docs import MemoryTextStore, ProtocolDocument, StoreFull, as_data_uri, catalog, draft_document
from sandbox import POLICY_VERSION
from tests.negotiator.engine_world import (
    BOOK_VALUE,
    EXACT_VALUE,
    TEXT,
    choose_fields,
    obj,
    offer_booking,
    offer_forecast,
    oracle,
)

pytestmark = pytest.mark.anyio

DAY = {"type": "string", "format": "date"}
STRANGE_BOOKING = draft_document(
    name="Reserve a chamber",
    description="Reserves a chamber for an evening",
    request_schema=obj(
        chamber={"type": "string", "description": "the room"}, evening={**DAY, "description": "the night"}
    ),
    reply_schema=obj(ticket={"type": "string", "description": "the reference"}),
    effect="transactional",
)
"""A stranger's vocabulary for the booking tool."""
STRANGE_VALUE = {"chamber": "12", "evening": "2026-11-24"}
STRANGE_FORECAST = draft_document(
    name="Expected weather",
    description="The weather that is expected somewhere on a date",
    request_schema=obj(place=TEXT, when=DAY),
    reply_schema=obj(warmest=TEXT, outlook=TEXT),
    effect="safe",
)
PROSE = ProtocolDocument.from_text("Send a JSON object with place and when. You get a JSON object with outlook.\n")


def context(agent: Agent, principal: str = "anonymous", seconds: float = 60) -> ExchangeContext:
    deadline = Deadline.after(seconds, agent.engine.clock)
    return ExchangeContext(dialect="agora-2025", deadline=deadline, principal=principal)


async def ask(
    agent: Agent,
    body: JsonValue,
    document: ProtocolDocument | None = None,
    *,
    sources: tuple[str, ...] | None = None,
    key: str | None = None,
    principal: str = "anonymous",
    peer: str | None = None,
) -> Reply:
    known = () if document is None else (as_data_uri(document),)
    request = Request(
        body=body,
        hashes=() if document is None else document.aliases,
        sources=known if sources is None else sources,
        idempotency_key=key,
    )
    return await answer(agent.engine, request, replace(context(agent, principal), peer=peer))


# --- documents ---


@pytest.mark.parametrize(
    "sources",
    [
        (),
        (as_data_uri(PROSE),),
        ("data:,another%20text",),
        ("data:;base64,!!!",),
        ("file:///etc/passwd",),
        ("http://169.254.169.254/latest/meta-data",),
        ("http://127.0.0.1:9/x", "http://[::1]:9/x", "http://10.0.0.1/x"),
        ("not a source at all",) * 40,
    ],
)
async def test_a_hash_that_no_source_satisfies_is_rejected_and_nothing_is_computed(
    world: World, sources: tuple[str, ...], attempts_to_leave: list[str]
) -> None:
    model = ScriptedModel({})
    server = world.agent("server", model)
    calls = offer_forecast(server)
    reply = await ask(server, EXACT_VALUE, STRANGE_FORECAST, sources=sources)
    assert (reply.status, reply.code, reply.body) == ("rejected", "document_not_found", None)
    assert calls == model.calls == attempts_to_leave == []
    good = document_of(server.engine.tools["forecast"])
    assert (await ask(server, EXACT_VALUE, good)).tier == "routine"


async def test_hashes_of_two_documents_name_none(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    good = document_of(server.engine.tools["forecast"])
    server.engine.documents.put(good)
    server.engine.documents.put(PROSE)
    mixed = Request(body=EXACT_VALUE, hashes=(good.aliases[0], PROSE.aliases[1]), sources=(as_data_uri(good),))
    assert (await answer(server.engine, mixed, context(server))).status == "rejected"


async def test_two_texts_on_one_alias_name_neither_until_the_text_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = world.agent("server")
    offer_forecast(server)
    good = document_of(server.engine.tools["forecast"])
    sha1 = good.aliases[1]
    server.engine.documents.put(good)
    server.engine.text.put(f"alias/{sha1}", f"{good.hash}\n{PROSE.hash}")
    server.engine.documents.put(PROSE)
    rows = server.engine.documents._rows
    real = rows.read
    from dataclasses import replace

    monkeypatch.setattr(
        rows,
        "read",
        lambda name: replace(PROSE, aliases=(PROSE.hash, sha1)) if name == PROSE.hash else real(name),
    )
    server.engine.documents._warm.clear()
    bare = Request(body=EXACT_VALUE, hashes=(sha1,))
    assert (await answer(server.engine, bare, context(server))).status == "rejected"
    with_text = Request(body=EXACT_VALUE, hashes=(sha1,), sources=(as_data_uri(good),))
    assert (await answer(server.engine, with_text, context(server))).status == "success"


async def test_a_body_that_does_not_fit_says_where_and_quotes_nothing(world: World) -> None:
    server = world.agent("server")
    calls = offer_forecast(server)
    reply = await ask(server, {"city": 7, "day": "secret-day"}, document_of(server.engine.tools["forecast"]))
    assert (reply.status, reply.code) == ("failure", "bad_input")
    assert "/city" in (reply.error or "")
    assert "secret" not in (reply.error or "")
    assert calls == []


async def test_documents_are_served_from_memory_where_the_store_is_full(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    good = document_of(server.engine.tools["forecast"])

    def full(*_: object) -> None:
        raise StoreFull("full")

    server.engine.text.put = full  # type: ignore[method-assign]
    server.engine.text.add = full  # type: ignore[assignment]
    assert (await ask(server, EXACT_VALUE, good)).status == "success"


# --- tiers ---


async def test_a_strangers_vocabulary_is_read_by_the_model_until_a_routine_agreed_with_it(world: World) -> None:
    model = oracle()
    server = world.agent("server", model)
    calls = offer_booking(server)
    tiers = []
    for _ in range(6):
        reply = await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
        tiers.append(reply.tier)
        assert reply.body == {"ticket": f"12/2026-11-24/{len(tiers)}"}
        await server.settle()
    assert tiers[0] == "structured"
    assert tiers[-1] == "routine"
    assert len(calls) == 6, "shadow runs call no tool"
    (routine,) = server.routines()
    assert (routine.verdict.shadows, routine.verdict.basis) == (3, "examples_and_shadow")


HANDLE = """```python
def handle(request):
    found = forecast(city=request["place"], day=request["when"])
    return {"outlook": found["summary"]}
```"""


async def test_prose_without_schemas_earns_a_whole_routine_by_shadow_runs_alone(world: World) -> None:
    model = oracle(
        choose_tool={"tool": "forecast"},
        read_request={"answer": {"city": "Rome", "day": "2026-11-24"}},
        write_reply='{"outlook": "sunny in Rome on 2026-11-24"}',
        write_receiver=HANDLE,
    )
    server = world.agent("server", model)
    calls = offer_forecast(server)
    tiers = []
    for _ in range(6):
        reply = await ask(server, {"place": "Rome", "when": "2026-11-24"}, PROSE)
        assert reply.status == "success"
        tiers.append(reply.tier)
        await server.settle()
    assert tiers[-1] == "routine"
    assert len(calls) == 6
    (routine,) = server.routines()
    assert (routine.whole, routine.verdict.basis, routine.verdict.shadows) == (True, "shadow_only", 3)


async def test_replies_in_free_text_never_get_a_routine(world: World) -> None:
    model = oracle(
        choose_tool={"tool": "forecast"},
        read_request={"answer": {"city": "Rome", "day": "2026-11-24"}},
        write_reply="It will be sunny.",
        write_receiver='```python\ndef handle(request):\n    forecast(city="Rome", day="2026-11-24")\n'
        '    return "It will be sunny."\n```',
    )
    server = world.agent("server", model)
    offer_forecast(server)
    for _ in range(6):
        reply = await ask(server, "weather in Rome please", PROSE)
        assert reply.tier == "natural_language", "the arguments are a model's reading of words"
        await server.settle()


async def test_a_safe_document_never_reaches_a_transactional_tool(world: World) -> None:
    model = oracle(choose_tool={"tool": "book"})
    server = world.agent("server", model)
    calls = offer_booking(server)
    pretending = draft_document(
        name="Reserve a chamber",
        description="Reserves a chamber for an evening",
        request_schema=obj(chamber=TEXT, evening=DAY),
        reply_schema=obj(ticket=TEXT),
        effect="safe",
    )
    assert (await ask(server, STRANGE_VALUE, pretending)).status == "rejected"
    exact = draft_document(
        name="book", description="Book", request_schema=obj(room=TEXT, night=DAY), reply_schema=obj(reference=TEXT),
        effect="safe",
    )  # fmt: skip
    assert (await ask(server, BOOK_VALUE, exact)).status == "rejected"
    assert calls == []


async def test_without_a_model_what_maps_exactly_is_served_and_the_rest_is_rejected(world: World) -> None:
    server = world.agent("server")
    offer_booking(server)
    good = document_of(server.engine.tools["book"])
    assert (await ask(server, BOOK_VALUE, good)).tier == "routine"
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING)).status == "rejected"
    assert (await ask(server, "hello", PROSE)).status == "rejected"
    with pytest.raises(NotPossible):
        await ask(server, "Book room 12 for tonight")


async def test_documents_by_the_hundred_that_map_exactly_are_served_whatever_the_cache_holds(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    server.engine.routines._cache._max_entries = 3
    for number in range(8):
        document = draft_document(
            name=f"forecast {number}",
            description="Weather forecast for a city and a day",
            request_schema=obj(city=TEXT, day=DAY),
            reply_schema=obj(high=TEXT, summary=TEXT),
            effect="safe",
        )
        assert (await ask(server, EXACT_VALUE, document)).tier == "routine"


# --- routines that fail ---


def routine_for(server: Agent, document: ProtocolDocument, source: str) -> Routine:
    return Routine(
        protocol_hash=document.hash,
        role="receiver",
        kind="code",
        key_digest=server.engine.toolset,
        source=source,
        whole=True,
        state="serving",
        verdict=Verdict(passed=True, basis="shadow_only", sandbox_policy=POLICY_VERSION),
    )


CALLS_THEN_FAILS = """
def handle(request):
    book(room=request["chamber"], night=request["evening"])
    return {"ticket": 1 / 0}
"""
CALLS_THEN_MISSPEAKS = """
def handle(request):
    book(room=request["chamber"], night=request["evening"])
    return {"ticket": 7}
"""
CALLS_WRONGLY = """
def handle(request):
    book(room="another", night=request["evening"])
    return {"ticket": 7}
"""
CALLS_TWICE = """
def handle(request):
    book(room=request["chamber"], night=request["evening"])
    return {"ticket": book(room=request["chamber"], night=request["evening"])["reference"]}
"""
LOOPS = """
def handle(request):
    book(room=request["chamber"], night=request["evening"])
    while True:
        pass
"""


@pytest.mark.parametrize("source", [CALLS_THEN_FAILS, CALLS_THEN_MISSPEAKS])
async def test_a_routine_that_fails_after_its_call_is_taken_over_and_the_tool_is_not_called_again(
    world: World, source: str
) -> None:
    server = world.agent("server", oracle())
    calls = offer_booking(server)
    server.engine.routines.put(routine_for(server, STRANGE_BOOKING, source))
    reply = await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
    assert (reply.status, reply.tier, reply.body) == ("success", "structured", {"ticket": "12/2026-11-24/1"})
    assert len(calls) == 1
    assert server.routines()[0].state == "demoted"
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING)).status == "success"


async def test_a_routine_that_loops_after_its_call_is_ended_and_the_next_request_served() -> None:
    async with World() as world:  # the sandbox keeps the machine's time
        server = world.agent("server", oracle())
        calls = offer_booking(server)
        server.engine.routines.put(routine_for(server, STRANGE_BOOKING, LOOPS))
        reply = await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
        assert (reply.tier, reply.body) == ("structured", {"ticket": "12/2026-11-24/1"})
        assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING)).status == "success"
        assert len(calls) == 2


async def test_a_fallback_that_would_call_something_else_ends_in_a_typed_error(world: World) -> None:
    server = world.agent("server", oracle())
    calls = offer_booking(server)
    server.engine.routines.put(routine_for(server, STRANGE_BOOKING, CALLS_WRONGLY))
    with pytest.raises(EffectsAlreadyMade):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
    assert [call["room"] for call in calls] == ["another"]


async def test_a_routine_that_calls_a_transactional_tool_twice_is_stopped_at_the_second(world: World) -> None:
    server = world.agent("server", oracle())
    calls = offer_booking(server)
    server.engine.routines.put(routine_for(server, STRANGE_BOOKING, CALLS_TWICE))
    with pytest.raises(EffectsAlreadyMade):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
    assert len(calls) == 1


async def test_without_a_model_a_failing_routine_ends_in_a_typed_error(world: World) -> None:
    server = world.agent("server")
    calls = offer_booking(server)
    server.engine.routines.put(routine_for(server, STRANGE_BOOKING, CALLS_THEN_FAILS))
    with pytest.raises(EffectsAlreadyMade):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")
    assert server.routines()[0].state == "demoted"
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")).code == "effects_already_made"
    assert len(calls) == 1
    server.engine.routines.put(routine_for(server, STRANGE_BOOKING, "def handle(request):\n    return 1 / 0\n"))
    with pytest.raises(RoutineFailed):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING)


async def test_a_strangers_odd_value_does_not_take_a_good_routine_down(world: World) -> None:
    server = world.agent("server", oracle(pair_fields="garbage"))
    offer_booking(server)
    server.engine.routines.put(
        Routine(
            protocol_hash=STRANGE_BOOKING.hash,
            role="receiver",
            kind="mapping",
            key_digest=server.engine.toolset,
            into=Direction(mapping=mapping(room="/chamber", night="/missing")),
            back=Direction(mapping=mapping(ticket="/reference")),
            tool="book",
            state="serving",
            verdict=Verdict(passed=True, basis="examples_and_shadow"),
        )
    )
    with pytest.raises(ModelMisspoke):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING)
    assert server.routines()[0].serving
    server.engine.model = oracle()
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING)).tier == "structured"
    assert server.routines()[0].state == "demoted", "what another tier could read, it should have read"


def mapping(**fields: str) -> Any:
    from negotiator.mapping import FieldMapping, Mapping

    return Mapping(tuple(FieldMapping(to=f"/{to}", source=source, required=True) for to, source in fields.items()))


# --- tools ---


async def test_a_tool_that_raises_is_not_tried_by_another_tier_and_tells_only_what_it_means_to(world: World) -> None:
    server = world.agent("server", oracle())
    calls = []

    @server.tool(effect="safe", inline=True, input=obj(city=TEXT, day=DAY), output=obj(high=TEXT, summary=TEXT))
    def forecast(city: str, day: str) -> JsonObject:
        """Weather forecast for a city and a day."""
        calls.append(city)
        if city == "Rome":
            raise KeyError("secret")
        raise ToolFailed("secret", for_peer="no data for that city")

    good = document_of(server.engine.tools["forecast"])
    with pytest.raises(ToolFailed) as caught:
        await ask(server, EXACT_VALUE, good)
    assert caught.value.for_peer is None
    with pytest.raises(ToolFailed) as caught:
        await ask(server, {**EXACT_VALUE, "city": "Oslo"}, good)
    assert caught.value.for_peer == "no data for that city"
    assert calls == ["Rome", "Oslo"]
    assert server.routines()[0].serving, "the tool's failure is not the routine's"


@pytest.mark.parametrize("error", [BadInput, OutcomeUnknown, TimeoutError, RecursionError])
async def test_whatever_a_tool_raises_is_the_tools(world: World, error: type[Exception]) -> None:
    server = world.agent("server", oracle())

    @server.tool(effect="safe", inline=True, input=obj(city=TEXT, day=DAY), output=obj(high=TEXT, summary=TEXT))
    def forecast(city: str, day: str) -> JsonObject:
        """Weather forecast."""
        raise error

    with pytest.raises(OutcomeUnknown if error is OutcomeUnknown else ToolFailed):
        await ask(server, EXACT_VALUE, document_of(server.engine.tools["forecast"]))
    assert server.routines()[0].serving


@pytest.mark.parametrize(
    "result", [{"high": 3}, None, {"high": "1", "summary": object()}, {"high": "\ud800", "summary": ""}, {1: 2}]
)
async def test_a_tool_that_lies_about_its_output_is_a_failed_tool(world: World, result: object) -> None:
    server = world.agent("server", oracle())

    @server.tool(
        effect="transactional", inline=True, input=obj(city=TEXT, day=DAY), output=obj(high=TEXT, summary=TEXT)
    )
    def forecast(city: str, day: str) -> object:
        """Weather forecast."""
        return result

    with pytest.raises(ToolFailed):
        await ask(server, EXACT_VALUE, document_of(server.engine.tools["forecast"]), key="k")
    assert (await ask(server, EXACT_VALUE, document_of(server.engine.tools["forecast"]), key="k")).code == "tool_failed"


async def test_a_result_over_64_bits_is_a_failed_tool(world: World) -> None:
    server = world.agent("server")

    @server.tool(effect="transactional", inline=True, input=obj(), output={"type": "integer"})
    def count() -> int:
        """Count."""
        return 2**70

    document = draft_document(
        name="count", description="Count.", request_schema=obj(), reply_schema={"type": "integer"},
        effect="transactional",
    )  # fmt: skip
    with pytest.raises(ToolFailed):
        await ask(server, {}, document)


async def test_a_sync_tool_runs_beside_the_loop(world: World) -> None:
    server = world.agent("server")
    entered, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @server.tool(effect="safe", input=obj(city=TEXT, day=DAY), output=obj(high=TEXT, summary=TEXT))
    def forecast(city: str, day: str) -> JsonObject:
        """Weather forecast."""
        loop.call_soon_threadsafe(entered.set)
        assert leave.wait(30), "the loop was blocked"
        return {"high": "1", "summary": city}

    asking = asyncio.ensure_future(ask(server, EXACT_VALUE, document_of(server.engine.tools["forecast"])))
    await entered.wait()
    leave.set()
    assert (await asking).body == {"high": "1", "summary": "Rome"}


async def test_an_effect_followed_by_a_failing_model_is_told_as_an_effect(world: World) -> None:
    server = world.agent("server", oracle(pair_fields=InTurn(choose_fields, *["garbage"] * 4), encode_reply="garbage"))
    calls = offer_booking(server)
    with pytest.raises(EffectsAlreadyMade) as caught:
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")
    assert isinstance(caught.value.__cause__, ModelMisspoke)
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")).code == "effects_already_made"
    assert len(calls) == 1


# --- once ---


async def test_the_same_key_gets_the_same_reply_and_one_call(world: World) -> None:
    server = world.agent("server")
    calls = offer_booking(server)
    good = document_of(server.engine.tools["book"])
    first = await ask(server, BOOK_VALUE, good, key="k")
    assert await ask(server, BOOK_VALUE, good, key="k") == first
    together = await asyncio.gather(*(ask(server, BOOK_VALUE, good, key="k2") for _ in range(20)))
    assert len({str(reply) for reply in together}) == 1
    assert len(calls) == 2
    assert (await ask(server, BOOK_VALUE, good, key="k", principal="somebody else")) != first
    with pytest.raises(BadInput, match="another request"):
        await ask(server, {**BOOK_VALUE, "room": "13"}, good, key="k")
    assert len(calls) == 3


async def test_a_request_that_did_nothing_may_be_made_again_under_its_key(world: World) -> None:
    server = world.agent("server", oracle(pair_fields=InTurn("x", "y", *[choose_fields] * 4)))
    calls = offer_booking(server)
    with pytest.raises(ModelMisspoke):
        await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")
    assert (await ask(server, STRANGE_VALUE, STRANGE_BOOKING, key="k")).status == "success"
    assert len(calls) == 1


async def test_a_request_that_was_cut_off_in_its_effect_is_not_run_again(world: World) -> None:
    server = world.agent("server")
    entered, calls = asyncio.Event(), []

    @server.tool(effect="transactional", input=obj(room=TEXT, night=DAY), output=obj(reference=TEXT))
    async def book(room: str, night: str) -> JsonObject:
        """Book a room for a night."""
        calls.append(room)
        entered.set()
        await asyncio.Event().wait()
        return {}

    good = document_of(server.engine.tools["book"])
    asking = asyncio.ensure_future(ask(server, BOOK_VALUE, good, key="k"))
    await entered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await ask(server, BOOK_VALUE, good, key="k")).code == "outcome_unknown"
    assert calls == ["12"]


async def test_a_crash_between_intent_and_result_is_an_unknown_outcome_and_no_second_call(
    world: World, tmp_path: Path
) -> None:
    class Crash(BaseException):
        pass

    first = world.agent("first", state=tmp_path)
    offered = offer_booking(first)
    tool = first.engine.tools["book"]
    good = document_of(tool)
    # The process ends in the call: neither journal nor claim is tidied up.
    first.engine.replies.finish = lambda *_: False  # type: ignore[method-assign]

    def crash(**_: object) -> None:
        raise Crash

    object.__setattr__(tool, "function", crash)
    with pytest.raises(Crash):
        await ask(first, BOOK_VALUE, good, key="k")

    second = world.agent("second", state=tmp_path)
    calls = offer_booking(second)
    with pytest.raises(Overloaded):
        await ask(second, BOOK_VALUE, good, key="k")
    world.clock.advance(2 * second.engine.request_seconds + 1)
    with pytest.raises(OutcomeUnknown):
        await ask(second, BOOK_VALUE, good, key="k")
    assert (await ask(second, BOOK_VALUE, good, key="k")).code == "outcome_unknown"
    assert calls == offered == []
    assert (await ask(second, BOOK_VALUE, good, key="new")).status == "success"


async def test_a_key_that_a_stranger_guesses_shows_nothing_and_does_nothing(world: World) -> None:
    server = world.agent("server")
    calls = offer_booking(server)
    good = document_of(server.engine.tools["book"])
    first = await ask(server, BOOK_VALUE, good, key="1", peer="192.0.2.1")
    assert await ask(server, BOOK_VALUE, good, key="1", peer="192.0.2.1") == first
    with pytest.raises(OutcomeUnknown):
        await ask(server, BOOK_VALUE, good, key="1", peer="192.0.2.66")
    with pytest.raises(BadInput):
        await ask(server, {**BOOK_VALUE, "room": "13"}, good, key="1", peer="192.0.2.66")
    assert len(calls) == 1


async def test_a_crash_before_the_intent_lets_one_worker_take_over(world: World) -> None:
    store = MemoryTextStore()
    workers = [world.agent(f"worker{number}") for number in range(3)]
    for worker in workers:
        worker.engine.text = store
        worker.engine.replies._store = store
    offered = [offer_booking(worker) for worker in workers]
    good = document_of(workers[0].engine.tools["book"])
    request = Request(body=BOOK_VALUE, hashes=good.aliases, idempotency_key="k")
    assert (await workers[0].engine.replies.claim("anonymous", request))[0] == "new"
    world.clock.advance(1000)
    replies = await asyncio.gather(
        *(ask(worker, BOOK_VALUE, good, key="k") for worker in workers[1:]), return_exceptions=True
    )
    assert sum(isinstance(reply, Reply) and reply.status == "success" for reply in replies) == 1
    assert sum(map(len, offered)) == 1


async def test_nothing_is_called_where_the_intent_cannot_be_kept(world: World) -> None:
    server = world.agent("server")
    calls = offer_booking(server)
    good = document_of(server.engine.tools["book"])
    await ask(server, BOOK_VALUE, good)

    def full(*_: object) -> None:
        raise StoreFull("full")

    server.engine.text.put = full  # type: ignore[method-assign]
    with pytest.raises(StoreFull):
        await ask(server, BOOK_VALUE, good)
    assert len(calls) == 1


async def test_a_disk_that_fills_up_after_the_call_loses_no_reply_and_repeats_nothing(world: World) -> None:
    server = world.agent("server")
    calls = []
    store = server.engine.text

    def full(*_: object) -> None:
        raise StoreFull("full")

    put = store.put

    @server.tool(effect="transactional", inline=True, input=obj(room=TEXT, night=DAY), output=obj(reference=TEXT))
    def book(room: str, night: str) -> JsonObject:
        """Book a room for a night."""
        calls.append(room)
        store.put = full  # type: ignore[method-assign]
        return {"reference": room}

    good = document_of(server.engine.tools["book"])
    waiting = [asyncio.ensure_future(ask(server, BOOK_VALUE, good, key="k")) for _ in range(3)]
    replies = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(reply, Reply) and reply.body == {"reference": "12"} for reply in replies)
    store.put = put  # type: ignore[method-assign]
    world.clock.advance(1000)
    with pytest.raises(OutcomeUnknown):
        await ask(server, BOOK_VALUE, good, key="k")
    assert calls == ["12"]


async def test_nothing_of_finished_requests_stays_in_the_store_beyond_its_time(world: World) -> None:
    server = world.agent("server")
    offer_booking(server)
    good = document_of(server.engine.tools["book"])
    await ask(server, BOOK_VALUE, good)
    before = list(server.engine.text.keys())
    for _ in range(5):
        await ask(server, BOOK_VALUE, good)
    assert list(server.engine.text.keys()) == before
    for number in range(600):
        world.clock.advance(600)
        await ask(server, BOOK_VALUE, good, key=str(number))
    assert len(list(server.engine.text.keys("replies/"))) < 450


# --- strangers ---


async def test_strangers_together_have_a_budget_and_routines_are_outside_it(world: World) -> None:
    policy = CostPolicy(max_strangers_seconds_per_day=7)
    from negotiator.models.scripted import Slow

    slow = oracle(
        choose_tool=Slow(3, {"tool": "forecast"}),
        read_request=Slow(3, {"answer": {"city": "Rome", "day": "2026-11-24"}}),
    )
    slow._sleep = world.clock.sleep
    server = world.agent("server", slow, cost_policy=policy)
    offer_forecast(server)
    good = document_of(server.engine.tools["forecast"])
    assert (await ask(server, "How warm is it in Rome?")).status == "success"
    for principal in ("a", "b", "c"):
        with pytest.raises(BudgetSpent):
            await ask(server, "How warm is it in Rome?", principal=principal)
    with pytest.raises(BudgetSpent):
        await ask(server, STRANGE_VALUE, STRANGE_FORECAST)
    assert (await ask(server, EXACT_VALUE, good)).tier == "routine"
    world.clock.advance(86_400)
    assert (await ask(server, "How warm is it in Rome?")).status == "success"


async def test_a_call_without_a_known_price_does_not_lift_the_budget_of_money(world: World) -> None:
    from negotiator.ledger import Account
    from negotiator.models.base import Usage

    server = world.agent("server", oracle(), cost_policy=CostPolicy(max_strangers_usd_per_day=1.0))
    offer_forecast(server)
    for usd in (2.0, None):
        server.engine.ledger.strangers(server.engine.today, Account(usage=Usage(calls=1, usd=usd)))
    with pytest.raises(BudgetSpent):
        await ask(server, "How warm is it in Rome?")


async def test_words_that_ask_for_nothing_offered_are_answered_so(world: World) -> None:
    server = world.agent("server", oracle(choose_tool=InTurn({"tool": "none"}, {"tool": "forecast"}),
                                          read_request={"no_answer": "which city?"}))  # fmt: skip
    calls = offer_forecast(server)
    reply = await ask(server, "Sing a song")
    assert (reply.status, reply.code) == ("failure", "not_answered")
    reply = await ask(server, "How warm is it?")
    assert "which city?" in (reply.error or "")
    assert calls == []


# --- direct calls and people's own functions ---


async def test_a_direct_call_needs_a_name_or_a_description_and_errors_are_the_documents_own(world: World) -> None:
    server = world.agent("server")
    calls = offer_booking(server)
    direct = catalog.direct_json()

    async def code(body: JsonValue) -> str:
        reply = await ask(server, body, direct)
        assert reply.status == "success"
        return str(body_value(reply.body)["error"]["code"])

    reply = await ask(server, {"task": "book", "input": BOOK_VALUE}, direct)
    assert reply.body == {"output": {"reference": "12/2026-11-24/1"}}
    reply = await ask(
        server, '{"task": "Book a room for a night", "input": {"room": "1", "night": "2026-01-01"}}', direct
    )
    assert orjson.loads(reply.body)["output"]["reference"].startswith("1/")
    assert await code({"task": "sing", "input": {}}) == "unknown_task"
    assert await code({"task": "book", "input": {"room": 1}}) == "bad_input"
    assert await code("no json") == "bad_message"
    assert await code({"task": "book"}) == "bad_message"
    assert await code([]) == "bad_message"
    assert len(calls) == 2


async def test_a_persons_own_function_serves_a_text_that_is_no_document_of_ours(world: World) -> None:
    server = world.agent("server", publish="agreed")
    text = "RFC 867\n\n   Daytime Protocol\n\nSend anything and get the time.\n"
    name = server.register(text, lambda body: f"24 November 2026 for {body}")
    document = ProtocolDocument.from_text(text)
    assert name == document.hash
    reply = await ask(server, "anything", document, sources=())
    assert (reply.body, reply.tier) == ("24 November 2026 for anything", "routine")
    assert name in server._listing()

    async def echo(body: JsonValue) -> JsonValue:
        return body

    server.register(text, echo)
    assert (await ask(server, {"a": [1]}, document)).body == {"a": [1]}


@pytest.mark.parametrize("made", [object(), 2**70, "\ud800"])
async def test_a_native_function_that_fails_is_a_failed_tool(world: World, made: object) -> None:
    server = world.agent("server")
    document = ProtocolDocument.from_text("Say something.\n")
    calls = []

    def native(body: JsonValue) -> object:
        calls.append(body)
        return made

    server.register(document, native)
    with pytest.raises(ToolFailed):
        await ask(server, "x", document, key="k")
    assert (await ask(server, "x", document, key="k")).code == "tool_failed"
    assert calls == ["x"]


async def test_what_is_listed_is_what_the_owner_chose(world: World) -> None:
    for publish in ("all", "agreed", "none"):
        server = world.agent(publish, publish=publish)
        offer_booking(server)
        document = document_of(server.engine.tools["book"])
        listed = set(server._listing())
        assert (document.hash in listed) == (publish == "all")
        assert (catalog.negotiation_dialogue().hash in listed) == (publish != "none")


async def test_strangers_cannot_grow_the_listing_without_end(world: World) -> None:
    from negotiator.agreements import MAX_SERVED

    agreements = world.agent("server").engine.agreements
    taken = [agreements.serve("tools", f"sha256:{number:064x}") for number in range(MAX_SERVED + 5)]
    assert taken.count(True) == MAX_SERVED
    assert agreements.serve("tools", f"sha256:{0:064x}"), "what is served stays served"
    assert len(agreements.served("tools")) == MAX_SERVED
