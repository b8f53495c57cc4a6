"""What stands ready is gone by as long as nothing has changed that it rests on: every change is said, whoever makes it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from negotiator import Agent
from negotiator.engine import Engine
from negotiator.ledger import ASKED, SERVED, Ledger, Place
from negotiator.own_words import OwnWords
from negotiator.plan import CostPolicy
from negotiator.ready_to_answer import ByRoutine, Natively
from negotiator.ready_to_ask import ReadyToAsk
from negotiator.shelf import RoutineShelf, _key
from negotiator.state import open_state
from negotiator.task import Tool
from negotiator.testing import World
from protocol_docs import DocumentStore, MemoryTextStore, ProtocolDocument, StoreUnusable, changes
from protocol_docs.changes import LATEST, Watched
from tests.negotiator.engine_world import EXACT, EXACT_VALUE, SERVER, offer_forecast

pytestmark = pytest.mark.anyio


class Ready:
    """Two agents that have gone by what stands ready on both sides."""

    def __init__(self, caller: Agent, server: Agent) -> None:
        self.asking, self.serving = caller, server
        self.caller, self.server = caller.engine, server.engine
        (self.asks,) = self.caller.ready_to_ask.values()
        (self.answers,) = self.server.ready.values()
        assert isinstance(self.asks, ReadyToAsk)
        assert isinstance(self.answers, ByRoutine)
        self.document: ProtocolDocument = self.asks.document


async def ready(world: World, **states: Any) -> Ready:
    server = world.agent("server", **({"state": states["server"]} if states else {}))
    offer_forecast(server)
    caller = world.agent("caller", **({"state": states["caller"]} if states else {}))
    for _ in range(4):
        await caller.ask(SERVER, EXACT, EXACT_VALUE)
        await world.settle()
    made = Ready(caller, server)
    for standing, engine in ((made.asks, made.caller), (made.answers, made.server)):
        assert standing.stands(engine)
        assert standing._as_of is LATEST.change, "nothing is looked at anew where nothing changes"
    return made


def shelf_beside(engine: Engine) -> RoutineShelf:
    """Another shelf over the same routines, as another part of the program may have."""
    return RoutineShelf(engine.routines._cache, engine.run_source)


def store_beside(engine: Engine) -> DocumentStore:
    """The documents with none of them in memory."""
    return DocumentStore(engine.text)


def without_room(engine: Engine) -> RoutineShelf:
    """The shelf, once its cache takes nothing any more."""

    def refuse(*_given: Any) -> None:
        raise StoreUnusable("a test")

    cache: Any = engine.routines._cache
    cache.put = cache.delete = refuse
    return engine.routines


def another(engine: Engine) -> Tool:
    (tool,) = engine.tools.values()
    return replace(tool, description="Another.")


def _put_aside(engine: Engine, name: str, value: Any) -> None:
    setattr(engine, name, value)


# What is done to the sender's side, after which it must not go by what stood ready.
ASKS: dict[str, Callable[[Ready], object]] = {
    "an agreement is dropped": lambda it: it.caller.agreements.drop(EXACT.digest, SERVER),
    "an agreement is made anew": lambda it: it.caller.agreements.agree(EXACT.digest, SERVER, it.document.hash, 60),
    "a peer broke its document": lambda it: it.caller.agreements.demote(EXACT.digest, SERVER, 60),
    "agreements on a document are forgotten": lambda it: it.caller.agreements.drop_document(SERVER, it.document.hash),
    "other agreements are in their place": lambda it: _put_aside(
        it.caller, "agreements", type(it.caller.agreements)(MemoryTextStore(), it.caller.clock)
    ),
    "a document is revoked": lambda it: it.caller.documents.revoke(it.document.hash),
    "a document is removed": lambda it: it.caller.documents.remove(it.document.hash),
    "other documents are in their place": lambda it: _put_aside(it.caller, "documents", store_beside(it.caller)),
    "a routine is demoted": lambda it: it.caller.routines.demote(it.asks.runnable.routine, "a test"),
    "a routine is replaced": lambda it: it.caller.routines.put(replace(it.asks.runnable.routine, made_by="a test")),
    "a routine is dropped": lambda it: it.caller.routines.drop(it.asks.runnable.routine),
    "a routine is demoted on another shelf": lambda it: shelf_beside(it.caller).demote(
        it.asks.runnable.routine, "a test"
    ),
    "a routine is dropped from the cache itself": lambda it: it.caller.routines._cache.delete(
        _key(it.document.hash, "sender", EXACT.digest)
    ),
    "a routine is replaced in memory alone": lambda it: without_room(it.caller).put(
        replace(it.asks.runnable.routine, made_by="a test")
    ),
    "another shelf is in its place": lambda it: _put_aside(it.caller, "routines", shelf_beside(it.caller)),
    "a peer is forgotten": lambda it: it.caller.reach.forget(SERVER),
    "a peer is known otherwise": lambda it: it.caller.reach._remember(SERVER, replace(it.asks.peer, ours=False)),
}
ANSWERS: dict[str, Callable[[Ready], object]] = {
    "a document is revoked": lambda it: it.server.documents.revoke(it.document.hash),
    "a document is removed": lambda it: it.server.documents.remove(it.document.hash),
    "other documents are in their place": lambda it: _put_aside(it.server, "documents", store_beside(it.server)),
    "a routine is demoted": lambda it: it.server.routines.demote(it.answers.runnable.routine, "a test"),
    "a routine is replaced": lambda it: it.server.routines.put(replace(it.answers.runnable.routine, made_by="a test")),
    "a routine is dropped": lambda it: it.server.routines.drop(it.answers.runnable.routine),
    "a routine is demoted on another shelf": lambda it: shelf_beside(it.server).demote(
        it.answers.runnable.routine, "a test"
    ),
    "another shelf is in its place": lambda it: _put_aside(it.server, "routines", shelf_beside(it.server)),
    "a tool is another": lambda it: it.server.tools.update({it.answers.tool.name: another(it.server)}),
    "a tool is put in its place": lambda it: it.server.tools.__setitem__(it.answers.tool.name, another(it.server)),
    "a tool is taken away": lambda it: it.server.tools.pop(it.answers.tool.name),
    "all tools are taken away": lambda it: it.server.tools.clear(),
    "there are other tools": lambda it: _put_aside(it.server, "tools", {}),
    "a person's own function comes first": lambda it: it.server.natives.update({it.document.hash: str}),
    "other functions are in their place": lambda it: _put_aside(it.server, "natives", {it.document.hash: str}),
}


@pytest.mark.parametrize("change", ASKS)
async def test_a_sender_looks_again_after(world: World, change: str) -> None:
    made = await ready(world)
    ASKS[change](made)
    assert not made.asks.stands(made.caller)


@pytest.mark.parametrize("change", ANSWERS)
async def test_a_receiver_looks_again_after(world: World, change: str) -> None:
    made = await ready(world)
    ANSWERS[change](made)
    assert not made.answers.stands(made.server)


@pytest.mark.parametrize("name", ["natives", "native_terms"])
async def test_a_persons_own_function_is_looked_at_again_once_it_or_its_terms_are_others(
    world: World, name: str
) -> None:
    made = await ready(world)
    made.serving.register(made.document, lambda _body: {"high": "own", "summary": "own"}, effect="safe")
    for _ in range(2):
        assert (await made.asking.ask(SERVER, EXACT, EXACT_VALUE)).json == {"high": "own", "summary": "own"}
    (native,) = made.server.ready.values()
    assert isinstance(native, Natively)
    assert native.stands(made.server)
    del getattr(made.server, name)[made.document.hash]
    assert not native.stands(made.server)


@pytest.mark.parametrize("side", ["caller", "server"])
@pytest.mark.parametrize("what", ["revoke", "demote"])
async def test_what_another_process_changes_is_seen_at_the_next_look(
    world: World, tmp_path: Path, side: str, what: str
) -> None:
    pytest.importorskip("diskcache", reason="needs the extra disk")
    made = await ready(world, caller=tmp_path / "caller", server=tmp_path / "server")
    other = open_state(tmp_path / side)
    standing, engine = (made.asks, made.caller) if side == "caller" else (made.answers, made.server)
    before = LATEST.change
    if what == "revoke":
        other.documents().revoke(made.document.hash)
    else:
        RoutineShelf(other.routine_cache(), engine.run_source).demote(standing.runnable.routine, "a test")
    # As if it had been said nowhere in this process.
    LATEST.change = before
    assert not standing.stands(engine)


async def test_what_changes_while_it_is_looked_at_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await ready(world)
    real = DocumentStore.stands

    def then_revoked(self: DocumentStore, *given: Any) -> bool:
        stands = real(self, *given)
        self.revoke(made.document.hash)
        return stands

    with monkeypatch.context() as patched:
        patched.setattr(DocumentStore, "stands", then_revoked)
        changes.changed()
        made.asks.stands(made.caller)
    assert not made.asks.stands(made.caller)


async def test_a_change_elsewhere_costs_one_look_and_nothing_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await ready(world)
    looks: list[str] = []
    real = DocumentStore.stands
    monkeypatch.setattr(DocumentStore, "stands", lambda self, *given: (looks.append("a look"), real(self, *given))[1])
    DocumentStore(MemoryTextStore()).put(ProtocolDocument.from_text("of somebody else"))
    for _ in range(3):
        assert made.asks.stands(made.caller)
        assert made.answers.stands(made.server)
    assert looks == ["a look"] * 2


@pytest.mark.parametrize("change", ["tool", "native", "own words"])
async def test_whether_anything_must_not_be_done_twice_is_known_from_the_next_request_on(change: str) -> None:
    agent = Agent(state="memory")
    engine = agent.engine
    assert not engine.may_have_effects()

    def act(_body: Any = None) -> None:
        """Act."""

    if change == "tool":
        agent.tool(effect="transactional")(act)
    elif change == "native":
        agent.register(ProtocolDocument.from_text("act"), act, effect="transactional")
    else:
        engine.own_words = OwnWords.of(act, "transactional")
    assert engine.may_have_effects()


MUTATORS: dict[str, Callable[[dict[str, int]], object]] = {
    "__setitem__": lambda it: it.__setitem__("a", 2),
    "__delitem__": lambda it: it.__delitem__("a"),
    "__ior__": lambda it: it.__ior__({"a": 2}),
    "clear": lambda it: it.clear(),
    "pop": lambda it: it.pop("a"),
    "popitem": lambda it: it.popitem(),
    "setdefault": lambda it: it.setdefault("b", 2),
    "update": lambda it: it.update(a=2),
}


@pytest.mark.parametrize("name", MUTATORS)
def test_a_watched_dict_says_each_change_and_changes_like_any_other(name: str) -> None:
    plain, watched = {"a": 1}, Watched({"a": 1})
    before = LATEST.change
    assert MUTATORS[name](watched) == MUTATORS[name](plain)
    assert watched == plain
    assert LATEST.change is not before


def test_there_is_no_other_way_to_change_a_dict() -> None:
    reads = {"__init__", "copy", "fromkeys", "get", "items", "keys", "values"}
    public = {name for name in dir(dict) if not name.startswith("_")} - reads
    special = {"__setitem__", "__delitem__", "__ior__"}
    assert public | special == MUTATORS.keys()
    assert MUTATORS.keys() <= vars(Watched).keys()


# --- what is counted beside ---


def test_what_is_counted_in_a_tally_is_what_the_ledger_says() -> None:
    store = MemoryTextStore()
    ledger = Ledger(store, CostPolicy())
    asked, served = Place("t", ASKED, "mem://a"), Place("t", SERVED, "callers")
    for place, number in ((asked, 3), (served, 2)):
        tally = ledger.tally(place)
        assert tally is ledger.tally(place)
        tally.number += number
    assert ledger.exchanges == ledger.exchanges == {"sender/routine": 3, "receiver/routine": 2}
    ledger.arrived(asked, 1.0, interpreted=True)
    assert ledger.evidence(asked).here == 4
    ledger.tally(asked).number += 1
    ledger.arrived(asked, 2.0, interpreted=True)
    assert ledger.evidence(asked).here == 6


def test_tallies_are_bounded_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negotiator.ledger.MAX_TALLIES", 2)
    ledger = Ledger(MemoryTextStore(), CostPolicy())
    before = LATEST.change
    for number in range(5):
        ledger.tally(Place("t", ASKED, f"mem://{number}")).number += 1
    assert ledger.exchanges == {"sender/routine": 5}
    assert len(ledger._tallies) <= 2
    assert LATEST.change is not before, "whoever counts on asks for another"
