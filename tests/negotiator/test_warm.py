"""What a warm exchange does not do: told by counts, so that a slower road is noticed without a clock."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from negotiator import Agent
from negotiator.answering import Answering
from negotiator.asking import Asking
from negotiator.journal import Journal
from negotiator.routines import Direction
from negotiator.testing import World
from negotiator.wire import WireRequest
from protocol_docs import MemoryTextStore, ProtocolDocument
from tests.negotiator.engine_world import (
    BOOK,
    BOOK_VALUE,
    EXACT,
    EXACT_VALUE,
    SERVER,
    offer_booking,
    offer_forecast,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the store was used, tasks and timers were made, and identifiers drawn, whoever did it."""
    counts: Counter[str] = Counter()

    def counting(owner: Any, name: str, what: str) -> None:
        real = getattr(owner, name)

        def counted(*args: Any, **keywords: Any) -> Any:
            counts[what] += 1
            return real(*args, **keywords)

        monkeypatch.setattr(owner, name, counted)

    for name in ("get", "put", "add", "delete", "keys"):
        counting(MemoryTextStore, name, f"store {name}")
    counting(asyncio, "timeout", "timers")
    counting(asyncio, "create_task", "tasks")
    counting(asyncio, "to_thread", "threads")
    counting(Answering, "__init__", "ladders")
    counting(Asking, "__init__", "ladders")
    counting(os, "urandom", "draws")
    counting(Journal, "__init__", "journals")
    return counts


async def warm(world: World, **server: Any) -> tuple[Agent, Agent]:
    serving = world.agent("server", **server)
    offer_forecast(serving)
    caller = world.agent("caller")
    for _ in range(3):
        outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
        await world.settle()
    assert (outcome.tier, outcome.peer_tier) == ("routine", "routine")
    return caller, serving


async def test_a_warm_exchange_of_both_sides_uses_no_store_and_makes_no_task_and_no_timer(
    world: World, done: Counter[str]
) -> None:
    caller, _ = await warm(world)
    done.clear()
    for _ in range(5):
        outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert (outcome.tier, outcome.peer_tier) == ("routine", "routine")
    assert done == Counter()


async def test_nothing_of_a_warm_exchange_waits_for_the_loop(world: World) -> None:
    caller, _ = await warm(world)
    asking = caller.ask(SERVER, EXACT, EXACT_VALUE)
    with pytest.raises(StopIteration) as ended:
        asking.send(None)
    assert ended.value.value.tier == "routine"


async def test_a_transactional_request_keeps_its_intent_before_its_effect_and_its_reply_after(
    world: World, done: Counter[str]
) -> None:
    offer_booking(world.agent("server"))
    caller = world.agent("caller")
    for _ in range(3):
        await caller.ask(SERVER, BOOK, BOOK_VALUE)
        await world.settle()
    done.clear()
    outcome = await caller.ask(SERVER, BOOK, BOOK_VALUE)
    assert (outcome.tier, outcome.peer_tier) == ("routine", "routine")
    # The claim; intent and result in the journal; the reply; the journal's end.
    assert done == Counter({"ladders": 1, "journals": 1, "store add": 1, "store put": 3, "store delete": 1})


async def test_processes_that_share_a_folder_read_no_row_for_a_warm_exchange(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diskcache", reason="needs the extra disk")
    from protocol_docs.disk_store import DiskTextStore

    serving = world.agent("server", state=tmp_path / "server")
    offer_forecast(serving)
    caller = world.agent("caller", state=tmp_path / "caller")
    for _ in range(3):
        await caller.ask(SERVER, EXACT, EXACT_VALUE)
        await world.settle()
    used: list[str] = []
    for name in ("get", "put", "add", "delete", "keys"):
        monkeypatch.setattr(DiskTextStore, name, lambda *_args, name=name: used.append(name))
    looks: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: (looks.append(args[0]), pread(*args))[1])
    outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert (outcome.tier, outcome.peer_tier) == ("routine", "routine")
    assert used == []
    # Each side looks once whether a routine has changed or a document was revoked.
    assert len(looks) == 2


async def test_a_document_is_found_as_fast_among_many(world: World, done: Counter[str]) -> None:
    caller, serving = await warm(world)
    for number in range(300):
        serving.engine.documents.put(ProtocolDocument.from_text(f"document {number}"))
    await caller.ask(SERVER, EXACT, EXACT_VALUE)
    done.clear()
    await caller.ask(SERVER, EXACT, EXACT_VALUE)
    assert done == Counter()


# --- what stood ready does not stand for ever ---


def _document(serving: Agent) -> str:
    (routine,) = serving.routines()
    return routine.protocol_hash


def _revoke(serving: Agent) -> None:
    serving.engine.documents.revoke(_document(serving), "a test")


def _demote(serving: Agent) -> None:
    (routine,) = serving.routines()
    serving.engine.routines.demote(routine, "a test")


def _forget_the_tool(serving: Agent) -> None:
    serving.engine.tools.clear()


@pytest.mark.parametrize("change", [_revoke, _demote, _forget_the_tool])
async def test_what_was_ready_is_not_served_once_it_no_longer_stands(
    world: World, change: Callable[[Agent], None]
) -> None:
    caller, serving = await warm(world)
    request = await _sent(world, caller)
    assert b'"tier":"routine"' in (await serving.handler()(request)).body
    change(serving)
    assert b'"status":"success"' not in (await serving.handler()(request)).body


async def test_a_native_routine_comes_before_one_that_stood_ready(world: World) -> None:
    caller, serving = await warm(world)
    request = await _sent(world, caller)
    document = serving.engine.documents.get(_document(serving))
    assert document is not None
    serving.register(document, lambda _body: {"high": "own", "summary": "own"}, effect="safe")
    assert b"own" in (await serving.handler()(request)).body


async def test_a_mapping_that_fails_after_its_call_is_taken_out_of_service_and_the_tool_was_called_once(
    world: World,
) -> None:
    serving = world.agent("server")
    calls = offer_forecast(serving)
    caller = world.agent("caller")
    for _ in range(2):
        await caller.ask(SERVER, EXACT, EXACT_VALUE)
        await world.settle()
    request = await _sent(world, caller)
    (routine,) = serving.routines()
    serving.engine.routines.put(replace(routine, back=Direction()))
    before = len(calls)
    reply = await serving.handler()(request)
    assert b'"status":"success"' not in reply.body
    assert len(calls) == before + 1
    assert [each.state for each in serving.routines()] == ["demoted"]


async def _sent(world: World, caller: Agent) -> WireRequest:
    """The bytes of one exchange, to be handed in again."""
    seen: list[WireRequest] = []
    transport: Any = caller.engine.reach.transport
    real = transport.send

    async def send(base_url: str, request: WireRequest, **keywords: Any) -> Any:
        seen.append(request)
        return await real(base_url, request, **keywords)

    transport.send = send
    await caller.ask(SERVER, EXACT, EXACT_VALUE)
    transport.send = real
    return seen[-1]
