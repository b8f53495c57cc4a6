"""The sender's path of one request, top to bottom.

1. What do we know: the task, the peer, the document agreed with it, our routine.
2. Plan: the cheapest tier that is ready.
3. Encode, send, decode, check.
4. What fails before bytes left goes down a tier; what fails after is decoded by the next tier, never sent again.
5. Record what it cost; what is due is learned off this path.

What is warm, a peer that is known and a routine that serves, goes straight down this file: it reads no store, starts
no task and sets no timer until it waits for the peer. The rooms beside it (`ask_by_model`, `ask_learning`) are for
what is not.
"""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from negotiator.adopting import adopt_listed
from negotiator.ask_by_model import Done, ask_by_model, ask_in_words, read_by_model, read_from_words
from negotiator.ask_learning import learn, may_agree_first, may_look, negotiate_now, require_room, situation_of
from negotiator.ask_warm import UnderWay, ask_warm
from negotiator.asking import Asking
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import (
    BadInput,
    DeadlinePassed,
    NegotiatorError,
    NotPossible,
    OutcomeUnknown,
    PeerHungUp,
    PeerMisspoke,
    PeerRejected,
    PeerUnreachable,
    RoutineFailed,
    TooLarge,
)
from negotiator.events import Listener, Sent
from negotiator.fitting import sender_half, sender_schemas, text_field
from negotiator.in_time import by
from negotiator.interpret import NotAnswered
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Account
from negotiator.messages import Tier
from negotiator.outcome import Outcome
from negotiator.plan import Plan, by_routine, plan_sender
from negotiator.ready_to_ask import prepare
from negotiator.running import Runnable
from negotiator.selecting import select
from negotiator.shadow import recall
from negotiator.speaking import PeerRecord
from negotiator.structured import decode_reply
from negotiator.task import Task
from protocol_docs import ProtocolDocument
from sandbox import SandboxError


async def ask(
    engine: Engine,
    base_url: str,
    task: Task,
    value: object,
    *,
    deadline: Deadline,
    idempotency_key: str | None = None,
    account: Account | None = None,
    listens: Listener | None = None,
    again: Sent | None = None,
) -> Outcome:
    """Ask the peer at `base_url` to do `task` with `value`; what `account` already holds is entered with the request.

    `listens` hears of what happens on the way. `again`: this was sent before, under the same `idempotency_key`, and its
    reply is asked for, whatever has been agreed on since.

    Raises `BadInput` for a value that does not fit, `NotPossible` where no tier can serve it, the `PeerError`s,
    `OutcomeUnknown` where a transactional request may or may not have taken effect, `DeadlinePassed`, and the
    `ModelError`s.
    """
    key = idempotency_key or engine.new_id()
    under_way: UnderWay | None = None
    if listens is None and again is None:
        made = await ask_warm(engine, base_url, task, value, deadline, key, account, engine.clock.monotonic())
        if isinstance(made, Outcome):
            return made
        under_way = made
    work = Asking(engine, base_url, task, deadline, key, account or Account(), listens, again)
    return await by_ladder(work, value, under_way)


async def by_ladder(work: Asking, value: object, under_way: UnderWay | None) -> Outcome:
    """The rest of `ask`, where the short road did nothing, or left a request under way. Raises as `ask` does."""
    try:
        outcome = await _in_time(work, _asked(work, value) if under_way is None else _taken_up(work, under_way))
    except NegotiatorError:
        # What failed was paid for too, and a task that fails in words needs an agreement the most.
        _enter(work)
        learn(work)
        raise
    except BaseException:
        _enter(work)
        raise
    _enter(work)
    learn(work)
    prepare(work)
    return outcome


async def _in_time(work: Asking, asked: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        return await by(work.deadline, asked)
    except (TimeoutError, PeerHungUp, PeerUnreachable) as error:
        # The transport keeps the same deadline, and may be the first to notice that it has passed.
        if work.deadline.remaining() > 0 and not isinstance(error, TimeoutError):
            raise
        if work.in_flight and work.task.effect == "transactional":
            raise OutcomeUnknown from error
        raise DeadlinePassed from error


async def _asked(work: Asking, value: object) -> Outcome:
    engine, task = work.engine, work.task
    work.deadline.require()
    work.payload = task.input.dump(value)
    task.check_input(work.payload)
    canonical(work.payload)
    reach = engine.reach
    work.peer = reach.known(work.base_url) or await reach.discover(work.base_url, work.deadline)
    if work.peer.negotiates:
        work.peer = await select(engine, work.base_url, work.peer, task, work.deadline)
    if work.again is not None:
        tier, document, output = await _once_more(work, work.again)
    else:
        plan = await _plan(work)
        work.reason = plan.reason
        if plan.tier == "natural_language":
            why = engine.agreements.refused(task.digest, work.base_url)
            work.reason = plan.reason if why is None else f"{plan.reason}: {why[:300]}"
        work.step("plan", f"{plan.tier}: {work.reason}")
        if plan.tier is not None:
            work.goes_by(plan.tier)
        tier, document, output = await _perform(work, plan)
    return _came_to(work, tier, document, output)


async def _taken_up(work: Asking, under_way: UnderWay) -> Outcome:
    """The rest of a request that left by the short road."""
    return _came_to(work, *await _perform(work, under_way.go_on(work)))


def _came_to(work: Asking, tier: Tier, document: ProtocolDocument | None, output: JsonValue) -> Outcome:
    engine, task = work.engine, work.task
    work.tier = tier
    loaded = _loaded(work, output)
    if tier != "routine":
        engine.observe(task.digest, work.payload)
    work.document = document
    engine.peers.note(task.digest, work.base_url, tier)
    account = work.account
    return Outcome(
        output=loaded,
        json=output,
        tier=tier,
        peer_tier=work.peer_tier,
        protocol_hash=None if document is None else document.hash,
        reason=work.reason,
        usage=account.usage,
        seconds=engine.clock.monotonic() - work.started,
        model=", ".join(sorted(account.models)) or "none",
        trace=tuple(work.steps),
    )


def _loaded(work: Asking, output: JsonValue) -> object:
    try:
        return work.task.output.load(output)
    except BadInput as error:
        raise PeerMisspoke(f"the reply is not what the task's output type takes: {error}") from error


def _enter(work: Asking) -> None:
    """Record what the request has cost, whether or not it came to anything."""
    engine, place, called = work.engine, work.place, work.account.usage.calls > 0
    if work.tier is None and not called:
        return
    key = place.key if work.document is None else place.under(work.document.hash)
    engine.ledger.exchange("sender", work.tier or "failed", key, work.account)
    engine.ledger.arrived(place, engine.clock.time(), interpreted=called)
    if called:
        engine.ledger.asked(engine.today, work.base_url, work.account)


# --- what is ready, and which tier it is for ---


async def _plan(work: Asking) -> Plan:
    await _agree(work)
    if work.agreed is not None and work.runnable is not None:
        # What follows reads the store, and would change nothing.
        return by_routine(work.agreed.hash)
    situation = situation_of(work, work.agreed)
    if situation.document is None and may_agree_first(work):
        situation = replace(situation, free_agreement=True)
    plan = plan_sender(situation)
    if plan.negotiate_first:
        work.step("negotiate", plan.reason)
        await negotiate_now(work, by_rule=situation.model and situation.free_agreement)
        await _agree(work)
        if work.agreed is not None and work.runnable is not None:
            return by_routine(work.agreed.hash)
        plan = plan_sender(situation_of(work, work.agreed))
    if plan.tier is not None:
        require_room(work)
    return plan


async def _agree(work: Asking) -> None:
    """The document that is agreed on with the peer, or one in its listing that fits; and the routine for it."""
    engine, task = work.engine, work.task
    agreed = engine.agreements.find(task.digest, work.base_url)
    if agreed is None and work.peer is not None and may_look(work):
        agreed = await adopt_listed(engine, work.base_url, work.peer, task, work.deadline)
    work.agreed = document = None if agreed is None else engine.documents.get(agreed.protocol_hash)
    if agreed is not None and agreed.demoted and engine.has_model:
        work.distrusted = agreed.demoted > engine.clock.time()
    if document is None:
        work.runnable = None
        return
    work.runnable = work.routine(document)
    if work.runnable is None:
        await recall(engine, sender_half(engine, task, document))
        work.runnable = work.routine(document)


# --- doing it ---


async def _perform(work: Asking, plan: Plan) -> Done:
    engine = work.engine
    document = work.agreed
    if document is not None and plan.tier in ("routine", "structured"):
        try:
            done = await _under(work, document, plan)
            if done is not None:
                return done
        except PeerRejected:
            agreements, seconds = engine.agreements, engine.cost_policy.no_agreement_seconds
            agreements.drop(work.task.digest, work.base_url)
            agreements.refuse(work.task.digest, work.base_url, "the peer rejects the document", seconds)
            work.step("fall_back", "the peer does not use the document")
            if work.peer is not None and work.peer.negotiates and (done := await _anew(work, work.peer)) is not None:
                return done
        except TooLarge:
            # Nothing was sent: there may be fewer words to it.
            if work.replied or not (engine.has_model and work.may_use_words):
                raise
            work.step("fall_back", "the request under the document is larger than what the peer takes")
    if engine.has_model and work.may_use_words:
        return await ask_in_words(work)
    if work.demoted:
        raise RoutineFailed
    why = engine.agreements.refused(work.task.digest, work.base_url)
    raise NotPossible(work.reason if why is None else f"{work.reason} (no agreement: {why})")


async def _anew(work: Asking, peer: PeerRecord) -> Done | None:
    """A peer that selects documents by itself is asked once more which; None where that is none."""
    work.peer = await select(work.engine, work.base_url, peer, work.task, work.deadline)
    await _agree(work)
    if work.agreed is None or work.runnable is None:
        return None
    return await _under(work, work.agreed, by_routine(work.agreed.hash))


async def _under(work: Asking, document: ProtocolDocument, plan: Plan) -> Done | None:
    """The exchange under a document; None where nothing was sent and natural language is next."""
    try:
        if plan.tier == "routine" and work.runnable is not None:
            done = await _by_routine(work, document, work.runnable)
            if done is not None:
                return done
        if not work.engine.has_model:
            return None
        return await ask_by_model(work, document)
    except NotAnswered as error:
        if work.replied:
            raise PeerMisspoke(f"the reply does not hold the answer: {error}") from error
        work.step("fall_back", "the document's request could not be filled")
        return None


async def _by_routine(work: Asking, document: ProtocolDocument, runnable: Runnable) -> Done | None:
    """None where nothing was sent and the next lower tier is to make the whole exchange."""
    engine = work.engine
    schemas = sender_schemas(engine, work.task, document)
    if work.left is not None:
        body = work.left.body
    elif work.unverified(document, runnable, "into", work.payload):
        return None
    else:
        try:
            body = await runnable.into(work.payload)
            if schemas is not None:
                schemas.request.check(body)
            canonical(body)
            work.ran("encode", runnable.routine.into)
        except (BadInput, PeerMisspoke, SandboxError) as error:
            if isinstance(error, BadInput) and not engine.has_model and runnable.routine.verdict.basis == "exact":
                raise  # the schemas leave no choice: it is the value that does not fit
            work.demote(runnable, error)
            work.demoted = True
            return None
    reply = await work.send(body, document)
    try:
        received = work.body_of(reply, schemas, text_field(work.task, document))
    except PeerMisspoke:
        work.step("demote", "the peer broke the document: a model reads what it says from now on")
        engine.agreements.demote(work.task.digest, work.base_url, engine.cost_policy.no_agreement_seconds)
        raise
    return await _back(work, document, runnable, body, received)


async def _back(
    work: Asking, document: ProtocolDocument, runnable: Runnable, body: JsonValue, received: JsonValue
) -> Done:
    """The reply is read by the routine, and by the model where that cannot."""
    engine, task = work.engine, work.task
    if work.unverified(document, runnable, "back", received):
        return await read_by_model(work, document, body, received)
    try:
        output = await runnable.back(received)
        task.output.check(output)
        work.ran("decode", runnable.routine.back)
    except (BadInput, PeerMisspoke, SandboxError) as error:
        work.demote(runnable, error)
        if not engine.has_model:
            raise RoutineFailed("the routine could not read the reply, and there is no model to do it") from error
        work.goes_by("structured")
        read = await decode_reply(work.interpreter(), engine, task, document, body, received)
        return "structured", document, read.value
    return "routine", document, output


async def _once_more(work: Asking, sent: Sent) -> Done:
    """The reply to what was sent before. A peer that keeps replies by their key does nothing twice."""
    document = None if sent.protocol_hash is None else work.engine.documents.get(sent.protocol_hash)
    if document is None and sent.protocol_hash is not None:
        raise NotPossible("the document that it was asked under is not at hand any more")
    if work.task.effect == "transactional" and not (work.peer is not None and work.peer.ours):
        raise OutcomeUnknown("the peer is not known to keep replies, so that it is not asked again")
    work.reason = "it was asked before, and goes on"
    work.step("plan", work.reason)
    reply = await work.send(sent.body, document)
    if document is None:
        work.goes_by("natural_language")
        return await read_from_words(work, reply)
    runnable = work.routine(document)
    field = None if runnable is None else text_field(work.task, document)
    received = work.body_of(reply, work.engine.schemas_of(document), field)
    work.goes_by("structured" if runnable is None else "routine")
    if runnable is None:
        return await read_by_model(work, document, sent.body, received)
    return await _back(work, document, runnable, sent.body, received)
