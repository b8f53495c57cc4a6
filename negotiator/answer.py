"""The receiver's path of one request, top to bottom.

1. Has this request been answered before? Then the same reply.
2. The document, by hash: at hand, or from the sources given, checked.
3. Plan: native function, verified routine, model under the document, else `rejected`.
4. Run it. Tools are called through the request's journal, so that a tier that takes over repeats nothing.
5. Reply under the same document; record what it cost; what is due is learned off this path.
"""

import asyncio
import inspect
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from negotiator.clock import Deadline
from negotiator.context import Context, context_of, within
from negotiator.describe import result_text
from negotiator.engine import Engine
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    EffectsAlreadyMade,
    NotAllowed,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerMisspoke,
    RoutineFailed,
    ToolFailed,
)
from negotiator.evidence import Copying, Exchange
from negotiator.fitting import Way, effect_allowed, receiver_half, suitable_tool
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value
from negotiator.journal import Journal, canonical, digest_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.messages import Effect, Reply, Request, Tier
from negotiator.own_words import WORDS_ALONE, OwnWords
from negotiator.plan import ReceiverSituation, plan_receiver, routine_due
from negotiator.replies import Claim
from negotiator.respond import in_words, place_of, respond_in_words, respond_to_dialogue
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.serving import ExchangeContext
from negotiator.shadow import observe, recall
from negotiator.structured import read_arguments, write_reply
from negotiator.synthesis import exact_receiver, make_receiver
from negotiator.task import Tool
from negotiator.verdicts import unverified
from protocol_docs import AmbiguousAlias, DocumentError, DocumentRevoked, ProtocolDocument, StoreUnusable, catalog
from sandbox import SandboxError, SandboxUnavailable

_MAX_SHOWN_VIOLATIONS = 5

_log = logging.getLogger(__name__)


async def answer(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer one request by the context's deadline, which the caller holds.

    Raises the `NegotiatorError`s, which the edge renders in the peer's dialect.
    """
    if request.idempotency_key is None or not engine.may_have_effects:
        work = _Answering(engine, request, context, engine.new_id())
        try:
            return await work.run()
        finally:
            work.journal.close()
    standing, claim = await engine.replies.claim(context.principal, request)
    if isinstance(standing, Reply):
        return standing
    if standing == "conflict":
        raise BadInput("the idempotency key was used for another request")
    if standing == "elsewhere":
        raise Overloaded("another worker is answering this request")
    return await _once(engine, claim, _Answering(engine, request, context, claim.key), crashed=standing == "abandoned")


async def _once(engine: Engine, claim: Claim, work: "_Answering", *, crashed: bool) -> Reply:
    """Answer a claimed request, and keep what came of it for when it comes again."""
    kept: Reply | None = None
    try:
        reply = await work.run(after_crash=crashed)
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
        if engine.replies.finish(claim, kept) or not work.journal.effects_made:
            work.journal.close()
    return reply


@dataclass(slots=True)
class _Answering:
    engine: Engine
    request: Request
    context: ExchangeContext
    name: str
    account: Account = field(default_factory=Account)
    journal: Journal = field(init=False)
    tier: Tier = "natural_language"
    counted: str = "receiver"
    """What the ledger counts this exchange under: a document, or the tool that was asked for in words."""
    tool: Tool | None = None
    """The one that was asked for."""

    def __post_init__(self) -> None:
        self.journal = Journal(self.name, self.engine.text)

    async def run(self, *, after_crash: bool = False) -> Reply:
        """The reply. `after_crash`: another process began on this request and may have called a tool."""
        request = self.request
        if after_crash and self.journal.left_by_crash():
            raise OutcomeUnknown
        try:
            if request.kind == "negotiation":
                return await respond_in_words(self._negotiating(), request, self.context)
            if not request.hashes:
                reply = await self._natural_language()
            else:
                document = await self._document()
                if document is None:
                    return Reply(status="rejected", code="document_not_found")
                reply = _in_kind(await self._under(document), request)
        except (ToolFailed, OutcomeUnknown, EffectsAlreadyMade):
            raise
        except Exception as error:
            # A caller that is told of a failure must know that there was an effect before it.
            if self.journal.effects_made:
                raise EffectsAlreadyMade from error
            raise
        finally:
            self.engine.purse.end(self.account)
            self.engine.ledger.exchange("receiver", self.tier, self.counted, self.account)
            if self.tool is not None:
                called = self.account.usage.calls > 0
                self.engine.ledger.arrived(place_of(self.tool), self.engine.clock.time(), interpreted=called)
        return reply

    async def _document(self) -> ProtocolDocument | None:
        for spelling in self.request.hashes:
            # Of two texts on one SHA-1 neither is meant: the sources decide, or the peer is asked for the text.
            with suppress(AmbiguousAlias):
                found = self.engine.documents.get(spelling)
                if found is not None and all(name in found.aliases for name in self.request.hashes):
                    return found
        if not self.request.sources:
            return None
        try:
            document = await self.engine.find_document(
                self.request.hashes,
                self.request.sources,
                timeout=self.context.deadline.require(),
            )
        except DocumentError:
            return None
        try:
            # It is held in memory where the store has no room.
            with suppress(StoreUnusable):
                self.engine.documents.put(document)
        except DocumentRevoked:
            return None
        return document

    async def _under(self, document: ProtocolDocument) -> Reply:
        engine = self.engine
        if document.hash == catalog.negotiation_dialogue().hash:
            self.tier = "routine"
            body = await respond_to_dialogue(self._negotiating(), self.request.body, self.context)
            return Reply(status="success", body=body, tier="routine")
        if document.hash == catalog.direct_json().hash:
            self.tier = "routine"
            return await self._direct()
        native = engine.natives.get(document.hash)
        runnable = None if native is not None else await self._routine(document)
        plan = plan_receiver(
            ReceiverSituation(
                native=native is not None,
                routine_ready=runnable is not None,
                model=engine.has_model and bool(engine.tools),
                within_budget=native is not None or runnable is not None or engine.within_budget,
            )
        )
        if native is not None:
            self.tier = "routine"
            return await self._native(document.hash, native)
        if plan.tier is None and engine.has_model and engine.tools:
            raise BudgetSpent(plan.reason)  # the document is as good as before; tomorrow it is served again
        if plan.tier is None:
            why = WORDS_ALONE if engine.words_alone else plan.reason
            return Reply(status="rejected", code="unsupported_protocol", error=why)
        schemas = engine.schemas_of(document)
        body = body_value(self.request.body)
        if schemas is not None and not schemas.request.is_valid(body):
            return _misfit(schemas.request, body)
        if runnable is not None:
            self.tier = "routine"
            try:
                reply = await self._by_routine(document, runnable, body)
            except (BadInput, PeerMisspoke, SandboxError) as error:
                return await self._take_over(document, runnable, body, error)
            self.tier = reply.tier if reply.tier != "unknown" else "routine"
            return reply
        self.tier = "structured"
        self.counted = _under(document.hash)
        return await self._structured(document, body)

    async def _take_over(
        self, document: ProtocolDocument, runnable: Runnable, body: JsonValue, error: Exception
    ) -> Reply:
        """A routine failed. Where nobody else can read the body either, it is not the routine that is at fault."""
        engine = self.engine
        perhaps_the_body = isinstance(error, BadInput) and not self.journal.entries() and not runnable.routine.whole
        if not (engine.has_model and engine.within_budget):
            if perhaps_the_body and runnable.routine.verdict.basis == "exact":
                raise error
            self._demote(runnable, error)
            raise RoutineFailed from error
        if not perhaps_the_body:
            self._demote(runnable, error)
        self.journal.fall_back()
        self.tier = "structured"
        reply = await self._structured(document, body)
        if perhaps_the_body and reply.status == "success":
            self._demote(runnable, error)
        return reply

    async def _routine(self, document: ProtocolDocument) -> Runnable | None:
        engine = self.engine
        found = engine.routines.get(document.hash, "receiver", engine.toolset)
        if found is None or found.routine.state == "demoted":
            found = await exact_receiver(engine, document)
        if found is None or found.routine.state == "demoted":
            return None
        tool = engine.tools.get(found.routine.tool or "")
        if found.routine.state == "candidate" and tool is not None:
            await recall(engine, receiver_half(engine, document, tool))
            found = engine.routines.get(document.hash, "receiver", engine.toolset) or found
        trial = found.routine.verdict.canary > 0
        name = self.request.idempotency_key or (digest_of(self.request.body) if trial else "")
        body = body_value(self.request.body)
        takes = found.routine.takes(name, engine.cost_policy.canary_share)
        if not takes or self._unverified(document, found, "into", body):
            return None
        return found.on_behalf_of(self.context.peer_class)

    def _unverified(self, document: ProtocolDocument, runnable: Runnable, way: Way, value: JsonValue) -> bool:
        tool = self.engine.tools.get(runnable.routine.tool or "")
        if not runnable.routine.verdict.unverified or tool is None:
            return False
        return unverified(runnable.routine, receiver_half(self.engine, document, tool), way, value)

    async def _native(self, protocol_hash: str, function: Callable[[JsonValue], Any]) -> Reply:
        body, terms = self.request.body, self.engine.native_terms[protocol_hash]
        self._require(terms.name, terms.effect, public=terms.public)

        async def run() -> JsonValue:
            try:
                if inspect.iscoroutinefunction(function):
                    return await function(body)
                made = await asyncio.to_thread(function, body)
                return await made if inspect.isawaitable(made) else made
            except (ToolFailed, OutcomeUnknown):
                raise
            except Exception as error:
                raise ToolFailed(f"the native routine failed with {type(error).__name__}") from error

        made = await self.journal.call("native", {"body": body}, terms.effect, within(self._context(), run))
        return Reply(status="success", body=made, tier="routine")

    async def _by_routine(self, document: ProtocolDocument, runnable: Runnable, body: JsonValue) -> Reply:
        routine = runnable.routine
        if routine.whole:
            made = await runnable.handle(body, {name: self._callable(tool) for name, tool in self.engine.tools.items()})
        else:
            arguments, tool = await runnable.into(body), self.engine.tools[routine.tool or ""]
            result = await self._call(tool, arguments)
            if self._unverified(document, runnable, "back", result):
                return await self._written(document, tool, body, arguments, result)
            made = await runnable.back(result)
        schemas = self.engine.schemas_of(document)
        if schemas is not None:
            schemas.reply.check(made)
        if routine.kind == "code":
            canonical(made)
        return Reply(status="success", body=made, tier="routine")

    async def _structured(self, document: ProtocolDocument, body: JsonValue) -> Reply:
        engine, interpreter = self.engine, self._interpreter()
        found = engine.routines.get(document.hash, "receiver", engine.toolset)
        named = engine.meant.get(document.hash) if found is None else found.routine.tool
        tool = engine.tools.get(named or "")
        tool = tool or await suitable_tool(engine, document)
        if tool is None:
            allowed = {name: each for name, each in self._allowed().items() if effect_allowed(document, each)}
            tool = await self._choose(f"{document.name}: {document.description}\n\n{document.body}", allowed)
        if tool is None:
            return Reply(status="rejected", code="unsupported_protocol")
        # Before a model is paid to read what will not be done.
        if tool.name not in self._allowed():
            raise NotAllowed
        self._require_seen(document, tool)
        filled = await read_arguments(interpreter, engine, document, body, tool)
        result = await self._call(tool, filled.value)
        return await self._written(document, tool, body, filled.value, result, filled.copying)

    async def _written(
        self,
        document: ProtocolDocument,
        tool: Tool,
        body: JsonValue,
        arguments: JsonObject,
        result: JsonValue,
        into: Copying | None = None,
    ) -> Reply:
        """The reply is written by the model, and a routine made, or held against the exchange, later."""
        engine = self.engine
        if not (engine.has_model and engine.within_budget):
            raise RoutineFailed
        self._require_seen(document, tool)
        filled = await write_reply(self._interpreter(), engine, document, body, tool, result)
        canonical(filled.value)
        made, back = filled.value, filled.copying
        exchange = Exchange(given=body, passed=arguments, returned=result, made=made, into=into, back=back)
        self._learn(document, tool, exchange)
        return Reply(status="success", body=made, tier="structured")

    def _learn(self, document: ProtocolDocument, tool: Tool, exchange: Exchange) -> None:
        engine = self.engine

        async def work() -> None:
            if engine.routines.wanted(document.hash, "receiver", engine.toolset) and engine.within_budget:
                policy = engine.cost_policy
                account = engine.purse.for_learning()
                spending = engine.ledger.spending(_under(document.hash), bought="routines")
                learns = engine.authority.may_learn(self.context.principal, engine.model.name)
                account.asks_no_model = not learns or not routine_due(spending, policy)
                deadline = Deadline.after(policy.max_negotiation_seconds, engine.clock)
                try:
                    await make_receiver(engine, document, tool, account, deadline)
                except BudgetSpent:
                    if not account.asks_no_model:
                        raise
                finally:
                    engine.purse.end(account, learning=True)
                    if account.usage.calls:
                        engine.ledger.routine(account)
            await observe(engine, receiver_half(engine, document, tool), exchange)

        engine.learner.start(f"receiver/{document.hash}/{engine.toolset}", work)

    async def _natural_language(self) -> Reply:
        engine = self.engine
        if engine.own_words is not None:
            return await self._in_own_words(engine.own_words)
        if not engine.has_model or not engine.tools:
            raise NotPossible("this agent reads no natural language")
        if not engine.within_budget:
            raise BudgetSpent("the budget for callers is spent")
        offered = self._allowed()
        if not offered:
            raise NotAllowed
        text = self._text()
        tool = await self._choose(text, offered)
        self.counted = in_words(tool)
        if tool is None:
            return Reply(status="failure", code="not_answered", error="This agent has nothing that does what is asked.")
        try:
            arguments = await self._interpreter().read_request(text, tool)
        except NotAnswered as error:
            return Reply(status="failure", code="input_missing", error=f"Something is missing: {error}"[:300])
        result = await self._call(tool, arguments)
        body = result_text(tool.description, result, tool.output.json_schema)
        return Reply(status="success", body=body, tier="natural_language")

    async def _in_own_words(self, words: OwnWords) -> Reply:
        """The owner's own function answers; what it does on the way is one entry of the journal."""
        engine, text = self.engine, body_text(self.request.body)
        self._require(words.name, engine.reach_of_words, public=engine.reach_of_words == "safe")
        run = within(self._context(), partial(words.answer, text))
        said = await self.journal.call(words.name, {"text": text}, words.effect, run)
        return Reply(status="success", body=said, tier="natural_language")

    def _text(self) -> str:
        turns = [f"{role}: {said}" for role, said in self.context.history]
        return "\n\n".join([*turns, body_text(self.request.body)])

    async def _choose(self, text: str, tools: dict[str, Tool]) -> Tool | None:
        return await self._interpreter().choose_tool(text, tools) if tools else None

    async def _direct(self) -> Reply:
        body = body_value(self.request.body)
        match body:
            case {"task": str(named), "input": dict(value)}:
                pass
            case _:
                return _direct_error("bad_message", "the body is not an object with task (text) and input (object)")
        tools = self.engine.tools
        fitting = [tools[named]] if named in tools else [each for each in tools.values() if each.description == named]
        if len(fitting) != 1:
            return _direct_error("unknown_task", "no task, or more than one, fits this name or description")
        try:
            result = await self._call(fitting[0], value)
        except BadInput as problem:
            return _direct_error("bad_input", _where(problem))
        except ToolFailed as problem:
            return _direct_error("failed", problem.for_peer or "the task was begun and failed")
        return Reply(status="success", body={"output": result}, tier="routine")

    async def _call(self, tool: Tool, arguments: JsonValue) -> JsonValue:
        self._require(tool.name, tool.effect, public=tool.is_public)
        self.tool = tool
        run = within(self._context(), tool.ready(arguments))
        return await self.journal.call(tool.name, arguments, tool.effect, run)

    def _context(self) -> Context:
        """What the function that serves this can know of it."""
        context = self.context
        return context_of(
            principal=context.principal, deadline=context.deadline, request=self.name, history=context.history
        )

    def _require(self, name: str, effect: Effect, *, public: bool) -> None:
        """Raises `NotAllowed` where this caller may not have that run in the tier that is at work."""
        principal = self.context.principal
        allowed = self.engine.authority.allows(principal, name, effect, self.tier, public=public)
        # What was done, and for whom, is to be found again: names alone, no values.
        word = "is used" if allowed else "is not allowed"
        _log.info("%s (%s) %s for %.200r, in the tier %s", name, effect, word, principal, self.tier)
        if not allowed:
            raise NotAllowed

    def _require_seen(self, document: ProtocolDocument, tool: Tool) -> None:
        """Raises `NotPossible` where a field is marked, so that a model may not see what is said here."""
        schemas = self.engine.schemas_of(document)
        if tool.sensitive or (schemas is not None and (schemas.request.sensitive or schemas.reply.sensitive)):
            raise NotPossible("a field is sensitive, and no model may see it")

    def _allowed(self) -> dict[str, Tool]:
        """The tools that this caller may have run in the tier that is at work: what a model is shown.

        In words, none that has sensitive fields: a model would have to read them.
        """
        allows, principal = self.engine.authority.allows, self.context.principal
        return {
            name: tool
            for name, tool in self.engine.tools.items()
            if allows(principal, name, tool.effect, self.tier, public=tool.is_public)
            and not (self.tier == "natural_language" and tool.sensitive)
        }

    def _negotiating(self) -> Engine:
        """The engine for a negotiation with this caller: without our model, where it may not have it paid for."""
        engine = self.engine
        may = engine.authority.may_learn(self.context.principal, engine.model.name)
        return engine if may else engine.without_model()

    def _callable(self, tool: Tool) -> Callable[..., Any]:
        async def call(*args: JsonValue, **keywords: JsonValue) -> JsonValue:
            names = list(tool.input.json_schema.get("properties", {}))
            arguments = dict(zip(names, args, strict=False)) | keywords
            return await self._call(tool, arguments)

        return call

    def _demote(self, runnable: Runnable, error: Exception) -> None:
        if not isinstance(error, SandboxUnavailable):
            self.engine.routines.demote(runnable.routine, f"{type(error).__name__}: {error}")

    def _interpreter(self) -> Interpreter:
        self.engine.purse.begin(self.account)
        return Interpreter(self.engine.model, self.account, self.context.deadline)


def _under(protocol_hash: str) -> str:
    return f"receiver/under/{protocol_hash}"


def _in_kind(reply: Reply, request: Request) -> Reply:
    """A peer that says JSON as text is answered in text: some dialects know no other bodies."""
    if reply.status == "success" and isinstance(request.body, str) and not isinstance(reply.body, str):
        return replace(reply, body=body_text(reply.body))
    return reply


def _misfit(schema: Schema, body: JsonValue) -> Reply:
    """The peer's body is not what the document asks for: which fields, and why, but none of its values."""
    try:
        schema.check(body)
    except BadInput as error:
        text = f"the body does not fit the document: {_where(error)}"[:300]
        return Reply(status="failure", code=error.code, error=text)
    raise AssertionError("a body that is invalid has violations")


def _where(error: BadInput) -> str:
    found = error.violations[:_MAX_SHOWN_VIOLATIONS]
    return "; ".join(f"{pointer or '/'}: {what}" for pointer, what in found) or str(error)


def _direct_error(code: str, detail: str) -> Reply:
    """An error in the words of the direct-JSON document, which is a reply under it."""
    return Reply(status="success", body={"error": {"code": code, "detail": detail[:500]}}, tier="routine")
