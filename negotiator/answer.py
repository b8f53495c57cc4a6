"""The receiver's path of one request, top to bottom.

1. Has this request been answered before? Then the same reply.
2. The document, by hash: at hand, or from the sources given, checked.
3. Plan: native function, verified routine, model under the document, else `rejected`.
4. Run it. Tools are called through the request's journal, so that a tier that takes over repeats nothing.
5. Reply under the same document; record what it cost; what is due is learned off this path.

What is warm, a document at hand whose routine serves with a safe tool, goes by the straight line of `answer_warm`.
Where anything is in doubt the ladder takes the request as if nothing had been tried, or with the call that was made.
The other rooms beside this one (`answer_by_model`, `answer_in_words`, `answer_exactly`) are for its lower rungs.
"""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

from negotiator.answer_by_model import answer_by_model, under, written_by_model
from negotiator.answer_exactly import answer_directly, answer_natively, misfit
from negotiator.answer_in_words import answer_in_words
from negotiator.answer_warm import answer_warm, body_for, may_be_kept, taken_by
from negotiator.answering import Answering
from negotiator.engine import Engine
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    EffectsAlreadyMade,
    OutcomeUnknown,
    Overloaded,
    PeerMisspoke,
    RoutineFailed,
    ToolFailed,
)
from negotiator.fitting import receiver_half
from negotiator.interpret import body_text
from negotiator.journal import canonical, digest_of
from negotiator.messages import Reply, Request
from negotiator.own_words import WORDS_ALONE
from negotiator.plan import ReceiverSituation, plan_receiver
from negotiator.ready_to_answer import NOTHING_DONE, ResultUnread, ready_for
from negotiator.replies import Claim
from negotiator.respond import respond_in_words, respond_to_dialogue
from negotiator.running import Runnable
from negotiator.serving import ExchangeContext
from negotiator.shadow import recall
from negotiator.synthesis import exact_receiver
from protocol_docs import AmbiguousAlias, DocumentError, DocumentRevoked, ProtocolDocument, catalog
from sandbox import SandboxError

_How: TypeAlias = Callable[[Answering], Coroutine[Any, Any, Reply]]


async def answer(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer one request by the context's deadline, which the caller holds.

    Raises the `NegotiatorError`s, which the edge renders in the peer's dialect.
    """
    made = await _warm(engine, request, context)
    return await by_ladder(engine, request, context) if made is None else made


async def _warm(engine: Engine, request: Request, context: ExchangeContext) -> Reply | None:
    ready = ready_for(engine, request.hashes) if request.kind == "exchange" else None
    if ready is None or may_be_kept(engine, context.principal, request.idempotency_key):
        return None
    principal, body = context.principal, body_for(ready, request.body)
    taken = taken_by(engine, ready, body, principal)
    if taken is NOTHING_DONE:
        return None
    try:
        made = await answer_warm(engine, ready, taken, body, principal, context.deadline.at, context.history)
    except ResultUnread as unread:
        return await take_up(engine, request, context, unread)
    if made is NOTHING_DONE:
        return None
    return _in_kind(Reply(status="success", body=made, tier="routine"), request)


async def by_ladder(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer what the straight line has left as it was. Raises as `answer` does."""
    return await _once(engine, request, context, _answered)


async def take_up(engine: Engine, request: Request, context: ExchangeContext, unread: ResultUnread) -> Reply:
    """Answer what the straight line could not once its tool was called. Raises as `answer` does."""

    async def taken_up(work: Answering) -> Reply:
        ready = unread.ready
        # The call is entered as if the ladder had made it: a tier that takes over repeats nothing.
        work.made_already(ready.tool, unread.arguments, unread.result)
        return await _recorded(work, _take_over(work, ready.document, ready.runnable, unread.error))

    return _in_kind(await _once(engine, request, context, taken_up), request)


# --- the ladder ---


async def _once(engine: Engine, request: Request, context: ExchangeContext, answering: _How) -> Reply:
    """What `answering` says to a request, told again where the request comes again and may not be made twice."""
    if request.idempotency_key is None or not engine.may_have_effects():
        work = Answering(engine, request, context)
        try:
            return await answering(work)
        finally:
            work.journal.close()
    standing, claim = await engine.replies.claim(context.principal, request, context.peer)
    if isinstance(standing, Reply):
        return standing
    if standing == "conflict":
        raise BadInput("the idempotency key was used for another request")
    if standing == "unproved":
        raise OutcomeUnknown
    if standing == "elsewhere":
        raise Overloaded("another worker is answering this request")
    work = Answering(engine, request, context, claim.key)
    crashed = standing == "abandoned"
    return await _kept(claim, work, partial(_after_crash, answering) if crashed else answering)


async def _after_crash(answering: _How, work: Answering) -> Reply:
    """Another process began on this request, and may have called a tool."""
    if work.journal.left_by_crash():
        raise OutcomeUnknown
    return await answering(work)


async def _kept(claim: Claim, work: Answering, answering: _How) -> Reply:
    """Answer a claimed request, and keep what came of it for when it comes again."""
    kept: Reply | None = None
    try:
        reply = await answering(work)
        if reply.status == "success" or work.journal.effects_made:
            kept = reply
    except BaseException as error:
        if isinstance(error, OutcomeUnknown) or work.journal.effects_made:
            kept = Reply(
                status="failure",
                code=error.code if isinstance(error, EffectsAlreadyMade | ToolFailed) else OutcomeUnknown.code,
                error=error.for_peer if isinstance(error, ToolFailed) else None,
            )
        raise
    finally:
        # Where the outcome could not be kept, the journal is what tells that something was done.
        if work.engine.replies.finish(claim, kept) or not work.journal.effects_made:
            work.journal.close()
    return reply


async def _answered(work: Answering) -> Reply:
    return await _recorded(work, _by_ladder(work))


async def _recorded(work: Answering, answering: Coroutine[Any, Any, Reply]) -> Reply:
    """What `answering` comes to, with what it cost entered, and with effects told of where it fails."""
    try:
        reply = await answering
    except (ToolFailed, OutcomeUnknown, EffectsAlreadyMade):
        raise
    except Exception as error:
        # A caller that is told of a failure must know that there was an effect before it.
        if work.journal.effects_made:
            raise EffectsAlreadyMade from error
        raise
    finally:
        work.enter()
    return reply


async def _by_ladder(work: Answering) -> Reply:
    request = work.request
    if request.kind == "negotiation":
        return await respond_in_words(work.negotiating(), request, work.context)
    if not request.hashes:
        return await answer_in_words(work)
    document = _at_hand(work) or await _sent_along(work)
    if document is None:
        return Reply(status="rejected", code="document_not_found")
    return _in_kind(await _under(work, document), request)


def _in_kind(reply: Reply, request: Request) -> Reply:
    """A peer that says JSON as text is answered in text: some dialects know no other bodies."""
    if reply.status == "success" and isinstance(request.body, str) and not isinstance(reply.body, str):
        return replace(reply, body=body_text(reply.body))
    return reply


def _at_hand(work: Answering) -> ProtocolDocument | None:
    hashes, documents = work.request.hashes, work.engine.documents
    for spelling in hashes:
        # Of two texts on one SHA-1 neither is meant: the sources decide, or the peer is asked for the text.
        with suppress(AmbiguousAlias):
            found = documents.get(spelling)
            if found is not None and all(name in found.aliases for name in hashes):
                return found
    return None


async def _sent_along(work: Answering) -> ProtocolDocument | None:
    """The document from the sources that the request names, checked, and kept."""
    request, engine = work.request, work.engine
    if not request.sources:
        return None
    try:
        document = await engine.find_document(request.hashes, request.sources, timeout=work.context.deadline.require())
    except DocumentError:
        return None
    try:
        engine.keep_strange(document)
    except DocumentRevoked:
        return None
    return document


async def _under(work: Answering, document: ProtocolDocument) -> Reply:
    engine = work.engine
    if document.hash == catalog.negotiation_dialogue().hash:
        work.tier = "routine"
        body = await respond_to_dialogue(work.negotiating(), work.request.body, work.context)
        return Reply(status="success", body=body, tier="routine")
    if document.hash == catalog.direct_json().hash:
        work.tier = "routine"
        return await answer_directly(work)
    native = engine.natives.get(document.hash)
    if native is not None:
        work.tier = "routine"
        return await answer_natively(work, document.hash, native)
    runnable = await _routine(work, document)
    if runnable is None:
        plan = plan_receiver(
            ReceiverSituation(model=engine.has_model and bool(engine.tools), within_budget=engine.within_budget)
        )
        if plan.tier is None and engine.has_model and engine.tools:
            raise BudgetSpent(plan.reason)  # the document is as good as before; tomorrow it is served again
        if plan.tier is None:
            why = WORDS_ALONE if engine.words_alone else plan.reason
            return Reply(status="rejected", code="unsupported_protocol", error=why)
    schemas = engine.schemas_of(document)
    if schemas is not None and not schemas.request.is_valid(work.body):
        return misfit(schemas.request, work.body)
    if runnable is not None:
        work.tier = "routine"
        try:
            reply = await _by_routine(work, document, runnable)
        except (BadInput, PeerMisspoke, SandboxError) as error:
            return await _take_over(work, document, runnable, error)
        work.tier = reply.tier if reply.tier != "unknown" else "routine"
        return reply
    work.tier = "structured"
    work.counted = under(document.hash)
    return await answer_by_model(work, document)


async def _routine(work: Answering, document: ProtocolDocument) -> Runnable | None:
    """The routine that may answer this request; while it is on trial it answers a share of them."""
    engine = work.engine
    found = engine.routines.get(document.hash, "receiver", engine.toolset)
    if found is None or not found.routine.firm:
        found = await _on_trial(work, document, found)
    return None if found is None else found.on_behalf_of(work.context.peer_class)


async def _on_trial(work: Answering, document: ProtocolDocument, found: Runnable | None) -> Runnable | None:
    """What there is of a routine that does not simply serve: the schemas may decide one, or it serves a share."""
    engine = work.engine
    if found is None or found.routine.state == "demoted":
        found = await exact_receiver(engine, document)
    if found is None or found.routine.state == "demoted":
        return None
    tool = engine.tools.get(found.routine.tool or "")
    if found.routine.state == "candidate" and tool is not None:
        await recall(engine, receiver_half(engine, document, tool))
        found = engine.routines.get(document.hash, "receiver", engine.toolset) or found
    trial = found.routine.verdict.canary > 0
    name = work.request.idempotency_key or (digest_of(work.request.body) if trial else "")
    takes = found.routine.takes(name, engine.cost_policy.canary_share)
    return found if takes and not work.unverified(document, found, "into", work.body) else None


async def _by_routine(work: Answering, document: ProtocolDocument, runnable: Runnable) -> Reply:
    engine, routine = work.engine, runnable.routine
    if routine.whole:
        tools = {name: work.callable(tool) for name, tool in engine.tools.items()}
        made = await runnable.handle(work.body, tools)
    else:
        arguments, tool = await runnable.into(work.body), engine.tools[routine.tool or ""]
        result = await work.call(tool, arguments)
        if work.unverified(document, runnable, "back", result):
            return await written_by_model(work, document, tool, arguments, result)
        made = await runnable.back(result)
    schemas = engine.schemas_of(document)
    if schemas is not None:
        schemas.reply.check(made)
    canonical(made)
    return Reply(status="success", body=made, tier="routine")


async def _take_over(work: Answering, document: ProtocolDocument, runnable: Runnable, error: Exception) -> Reply:
    """A routine failed. Where nobody else can read the body either, it is not the routine that is at fault."""
    engine = work.engine
    perhaps_the_body = isinstance(error, BadInput) and not work.journal.entries() and not runnable.routine.whole
    if not (engine.has_model and engine.within_budget):
        if perhaps_the_body and runnable.routine.verdict.basis == "exact":
            raise error
        work.demote(runnable, error)
        raise RoutineFailed from error
    if not perhaps_the_body:
        work.demote(runnable, error)
    work.journal.fall_back()
    work.tier = "structured"
    reply = await answer_by_model(work, document)
    if perhaps_the_body and reply.status == "success":
        work.demote(runnable, error)
    return reply
