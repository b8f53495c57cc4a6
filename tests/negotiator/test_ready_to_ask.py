"""What goes by the sender's short road, until when, and what is left to the ladder."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from negotiator import ask_warm, ready_to_ask
from negotiator.asking import Asking
from negotiator.clock import Deadline
from negotiator.errors import BadInput, PeerMisspoke
from negotiator.events import listening
from negotiator.jsonvalue import JsonObject
from negotiator.routines import Verdict
from negotiator.wire import WireReply
from tests.negotiator.engine_world import oracle
from tests.negotiator.warm_senders import (
    DOCUMENT,
    PEER,
    VALUE,
    Sender,
    good,
    task,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def ladders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the requests that the ladder took."""
    taken: list[str] = []
    real = Asking.__init__

    def counted(self: Asking, *args: Any) -> None:
        real(self, *args)
        taken.append(self.key)

    monkeypatch.setattr(Asking, "__init__", counted)
    return taken


async def test_the_second_request_and_those_after_it_take_no_ladder(ladders: list[str]) -> None:
    sender = Sender()
    for _ in range(3):
        outcome = await sender.ask()
    assert ladders == ["id-1"]
    assert [(step.what, step.detail) for step in outcome.trace] == [
        ("plan", "routine: a verified routine is ready"),
        ("send", "the peer answered: success"),
    ]


def _drop(sender: Sender) -> None:
    sender.agent.engine.agreements.drop(sender.task.digest, PEER)


def _agree_anew(sender: Sender) -> None:
    sender.agent.engine.agreements.agree(sender.task.digest, PEER, DOCUMENT.hash, 60)


def _distrust(sender: Sender) -> None:
    sender.agent.engine.agreements.demote(sender.task.digest, PEER, 60)


def _revoke(sender: Sender) -> None:
    sender.agent.engine.documents.revoke(DOCUMENT.hash)


def _demote(sender: Sender) -> None:
    sender.agent.engine.routines.demote(sender.routine, "a test")


def _replace(sender: Sender) -> None:
    sender.agent.engine.routines.put(replace(sender.routine, verdict=Verdict(passed=True, basis="exact", canary=1)))


def _forget(sender: Sender) -> None:
    sender.agent.engine.reach.forget(PEER)


def _expire(sender: Sender) -> None:
    sender.transport.clock.advance(3601)


@pytest.mark.parametrize("change", [_drop, _agree_anew, _distrust, _revoke, _demote, _replace, _forget, _expire])
async def test_what_stood_ready_is_not_gone_by_once_it_no_longer_stands(
    change: Callable[[Sender], None], ladders: list[str]
) -> None:
    sender = Sender()
    await sender.ask()
    change(sender)
    sender.transport.script.append(WireReply(status=404))  # whatever it would ask first
    await sender.came(VALUE)
    assert len(ladders) == 2


async def test_who_listens_hears_of_every_step(ladders: list[str]) -> None:
    sender = Sender()
    await sender.ask()
    heard = [event async for event in sender.agent.stream(PEER, sender.task, VALUE)]
    assert len(heard) > 1
    with listening(lambda _event: None):
        await sender.ask()
    assert len(ladders) == 3


async def test_a_reply_that_is_no_plain_success_is_taken_up_and_nothing_is_sent_again(ladders: list[str]) -> None:
    sender = Sender()
    await sender.ask()
    sender.transport.script.append(good(body={"high": 21}))
    with pytest.raises(PeerMisspoke):
        await sender.ask()
    assert len(sender.transport.sent) == 2
    assert len(ladders) == 2


async def test_a_reply_that_fits_the_task_and_not_the_document_is_refused() -> None:
    sender = Sender()
    await sender.ask()
    sender.transport.script.append(good(body={"summary": "sunny", "rows": [{}]}))
    with pytest.raises(PeerMisspoke):
        await sender.ask()


async def test_what_no_text_of_ours_can_hold_is_refused_though_it_would_not_be_sent() -> None:
    sender = Sender()
    await sender.ask()
    with pytest.raises(BadInput):
        await sender.ask({**VALUE, "remarks": None, "unused": 2**64})
    assert len(sender.transport.sent) == 1


async def test_what_the_ladder_takes_up_is_what_was_asked_and_sent() -> None:
    sender = Sender()
    await sender.ask()
    engine = sender.agent.engine
    sender.transport.script.append(said := good(body={"high": "21"}))
    deadline = Deadline.after(5, engine.clock)
    under_way = await ask_warm.ask_warm(
        engine, PEER, sender.task, VALUE, deadline, "key", None, engine.clock.monotonic()
    )
    assert isinstance(under_way, ask_warm.UnderWay)
    assert under_way.payload == VALUE
    assert under_way.left == ({"city": "Rome", "day": "2026-11-24"}, said)


async def test_it_is_the_same_where_what_was_sent_is_what_was_asked() -> None:
    sender = Sender("flat")
    await sender.ask()
    engine, value = sender.agent.engine, {"city": "Rome", "day": "", "notes": "", "size": 1, "far": True}
    sender.transport.script.append(said := good(body={"high": "21"}))
    deadline = Deadline.after(5, engine.clock)
    under_way = await ask_warm.ask_warm(engine, PEER, sender.task, value, deadline, "key", None, 0.0)
    assert isinstance(under_way, ask_warm.UnderWay)
    assert (under_way.payload, under_way.left) == (value, (value, said))
    assert under_way.payload is not value
    assert under_way.payload is not under_way.left.body


@pytest.mark.parametrize("under_way", [False, True])
async def test_how_a_peer_served_is_remembered_though_somebody_noted_else_meanwhile(under_way: bool) -> None:
    sender = Sender()
    for _ in range(3):
        await sender.ask()
    peers, send = sender.agent.engine.peers, sender.transport.send

    def note() -> None:
        peers.note(sender.task.digest, PEER, "failed")

    async def sent(*given: Any, **more: Any) -> WireReply:
        note()
        return await send(*given, **more)

    if under_way:
        sender.transport.send = sent  # type: ignore[method-assign]
    else:
        note()
    await sender.ask()
    served = peers.served(sender.task.digest, PEER)
    assert served is not None
    assert served.tier == "routine"


async def test_what_the_caller_changes_meanwhile_is_not_what_was_sent() -> None:
    sender = Sender(model=oracle())
    await sender.ask()
    value: JsonObject = {**VALUE, "remarks": ["as it was"]}
    sender.transport.script.append("silence")
    asking = asyncio.ensure_future(sender.ask(value))
    await sender.transport.silent.wait()
    value["remarks"].append("and later")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert orjson.loads(sender.transport.sent[1].body)["body"]["notes"] == ["as it was"]


async def test_a_silent_peer_ends_a_request_by_its_deadline_and_a_transactional_one_in_doubt() -> None:
    ends = {"safe": "deadline_passed", "transactional": "outcome_unknown"}
    for effect, code in ends.items():
        sender = Sender(effect=effect)
        await sender.ask()
        sender.transport.script.append("silence")
        (_, _, said, _) = await sender.came(VALUE, seconds=0.01)
        assert said == code


async def test_what_stands_ready_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_to_ask, "MAX_READY", 1)
    sender = Sender()
    await sender.ask()
    sender.task = task("plain", "transactional")
    engine = sender.agent.engine
    engine.routines.put(replace(sender.routine, key_digest=sender.task.digest))
    engine.agreements.agree(sender.task.digest, PEER, DOCUMENT.hash, 3600)
    await sender.ask()
    assert list(engine.ready_to_ask) == [(sender.task.digest, PEER)]
