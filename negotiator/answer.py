"""The receiver's path of one request, top to bottom.

1. Has this request been answered before? Then the same reply.
2. The document, by hash: at hand, or from the sources given, checked.
3. Plan: native function, verified routine, model under the document, else `rejected`.
4. Run it. Tools are called through the request's journal, so that a tier that takes over repeats nothing.
5. Reply under the same document; record what it cost; what is due is learned off this path.
"""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from negotiator.clock import Deadline
from negotiator.describe import result_text
from negotiator.engine import Engine
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    EffectsAlreadyMade,
    NegotiatorError,
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerMisspoke,
    RoutineFailed,
    ToolFailed,
)
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value
from negotiator.journal import Journal
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.messages import Reply, Request, Tier
from negotiator.plan import ReceiverSituation, plan_receiver
from negotiator.respond import respond_in_words, respond_to_dialogue
from negotiator.routines import Runnable
from negotiator.schemas import Schema
from negotiator.serving import ExchangeContext
from negotiator.shadow import observe_receiver
from negotiator.structured import read_arguments, write_reply
from negotiator.synthesis import exact_receiver, make_receiver, suitable_tool
from negotiator.task import Tool
from protocol_docs import DocumentError, ProtocolDocument, catalog
from sandbox import SandboxError, SandboxUnavailable

_MAX_SHOWN_VIOLATIONS = 5


async def answer(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer one request by the context's deadline, which the caller holds.

    Raises the `NegotiatorError`s, which the edge renders in the peer's dialect.
    """
    if request.idempotency_key is None or all(tool.effect == "safe" for tool in engine.tools.values()):
        return await _Answering(engine, request, context, engine.new_id()).run()
    standing, claim = await engine.replies.claim(context.principal, request)
    if isinstance(standing, Reply):
        return standing
    if standing == "conflict":
        raise BadInput("the idempotency key was used for another request")
    if standing == "elsewhere":
        raise Overloaded("another worker is answering this request")
    work = _Answering(engine, request, context, claim.key)
    kept: Reply | None = None
    try:
        if standing == "abandoned" and work.journal.left_by_crash():
            raise OutcomeUnknown
        reply = await work.run()
    except (NegotiatorError, asyncio.CancelledError) as error:
        if isinstance(error, OutcomeUnknown) or work.journal.effects_made:
            kept = Reply(
                status="failure",
                code=error.code if isinstance(error, EffectsAlreadyMade | ToolFailed) else OutcomeUnknown.code,
            )
        raise
    else:
        if reply.status == "success" or work.journal.effects_made:
            kept = reply
        return reply
    finally:
        engine.replies.finish(claim, kept)
        work.journal.close()


@dataclass(slots=True)
class _Answering:
    engine: Engine
    request: Request
    context: ExchangeContext
    name: str
    account: Account = field(default_factory=Account)
    journal: Journal = field(init=False)
    tier: Tier = "natural_language"

    def __post_init__(self) -> None:
        self.journal = Journal(self.name, self.engine.text)

    async def run(self) -> Reply:
        request = self.request
        try:
            if request.kind == "negotiation":
                return await respond_in_words(self.engine, request, self.context)
            if not request.hashes:
                reply = await self._natural_language()
            else:
                document = await self._document()
                if document is None:
                    return Reply(status="rejected", code="document_not_found")
                reply = await self._under(document)
        finally:
            if self.account.usage.calls:
                self.engine.ledger.strangers(self.engine.today, self.account)
        self.engine.ledger.exchange("receiver", self.tier, "receiver", self.account)
        return reply

    async def _document(self) -> ProtocolDocument | None:
        for spelling in self.request.hashes:
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
        self.engine.documents.put(document)
        return document

    async def _under(self, document: ProtocolDocument) -> Reply:
        engine = self.engine
        if document.hash == catalog.negotiation_dialogue().hash:
            self.tier = "routine"
            body = await respond_to_dialogue(engine, body_value(self.request.body), self.context.deadline)
            return Reply(status="success", body=body, tier="routine")
        if document.hash == catalog.direct_json().hash:
            self.tier = "routine"
            return await self._direct()
        native = engine.natives.get(document.hash)
        runnable = None if native is not None else self._routine(document)
        plan = plan_receiver(
            ReceiverSituation(
                native=native is not None,
                routine_ready=runnable is not None,
                model=engine.has_model and bool(engine.tools),
                within_budget=self._within_budget(),
            )
        )
        if native is not None:
            self.tier = "routine"
            return await self._native(native)
        if plan.tier is None:
            return Reply(status="rejected", code="unsupported_protocol", error=plan.reason)
        schemas = engine.schemas_of(document)
        body = body_value(self.request.body)
        if schemas is not None and not schemas.request.is_valid(body):
            return _misfit(schemas.request, body)
        if runnable is not None:
            try:
                reply = await self._by_routine(document, runnable, body)
            except (BadInput, PeerMisspoke, SandboxError) as error:
                self._demote(runnable, error)
                if not (engine.has_model and self._within_budget()):
                    raise RoutineFailed from error
                self.journal.fall_back()
            else:
                self.tier = "routine"
                return reply
        self.tier = "structured"
        return await self._structured(document, body)

    def _routine(self, document: ProtocolDocument) -> Runnable | None:
        engine = self.engine
        found = engine.routines.get(document.hash, "receiver", engine.toolset)
        if found is None:
            found = exact_receiver(engine, document)
        return found if found is not None and found.routine.serving else None

    async def _native(self, function: Callable[[JsonValue], Any]) -> Reply:
        body = self.request.body

        async def run() -> JsonValue:
            try:
                if inspect.iscoroutinefunction(function):
                    return await function(body)
                return await asyncio.to_thread(function, body)
            except NegotiatorError:
                raise
            except Exception as error:
                raise ToolFailed(f"the native routine raised {type(error).__name__}") from error

        made = await self.journal.call("native", {"body": body}, "transactional", run)
        return Reply(status="success", body=made, tier="routine")

    async def _by_routine(self, document: ProtocolDocument, runnable: Runnable, body: JsonValue) -> Reply:
        routine = runnable.routine
        if routine.whole:
            made = await runnable.handle(body, {name: self._callable(tool) for name, tool in self.engine.tools.items()})
        else:
            arguments = await runnable.into(body)
            result = await self._call(self.engine.tools[routine.tool or ""], arguments)
            made = await runnable.back(result)
        schemas = self.engine.schemas_of(document)
        if schemas is not None:
            schemas.reply.check(made)
        return Reply(status="success", body=made, tier="routine")

    async def _structured(self, document: ProtocolDocument, body: JsonValue) -> Reply:
        engine, interpreter = self.engine, self._interpreter()
        tool = suitable_tool(engine, document)
        if tool is None:
            tool = await self._choose(f"{document.name}: {document.description}\n\n{document.body}")
        if tool is None:
            return Reply(status="rejected", code="unsupported_protocol")
        arguments = await read_arguments(interpreter, engine, document, body, tool)
        result = await self._call(tool, arguments)
        made = await write_reply(interpreter, engine, document, body, tool, result)
        self._learn(document, tool, body, arguments, result, made)
        return Reply(status="success", body=made, tier="structured")

    def _learn(
        self,
        document: ProtocolDocument,
        tool: Tool,
        body: JsonValue,
        arguments: JsonObject,
        result: JsonValue,
        made: JsonValue,
    ) -> None:
        engine = self.engine

        async def work() -> None:
            if engine.routines.get(document.hash, "receiver", engine.toolset) is None:
                account = Account()
                deadline = Deadline.after(engine.cost_policy.max_negotiation_seconds, engine.clock)
                try:
                    await make_receiver(engine, document, tool, account, deadline)
                finally:
                    engine.ledger.strangers(engine.today, account)
            await observe_receiver(engine, document, body, arguments, result, made)

        engine.learner.start(f"receiver/{document.hash}/{engine.toolset}", work)

    async def _natural_language(self) -> Reply:
        engine = self.engine
        if not engine.has_model or not engine.tools:
            raise NotPossible("this agent reads no natural language")
        if not self._within_budget():
            raise BudgetSpent("the budget for callers is spent")
        text = self._text()
        tool = await self._choose(text)
        if tool is None:
            return Reply(status="failure", code="not_answered", error="This agent has nothing that does what is asked.")
        try:
            arguments = await self._interpreter().read_request(text, tool)
        except NotAnswered as error:
            return Reply(status="failure", code="not_answered", error=f"Something is missing: {error}"[:300])
        result = await self._call(tool, arguments)
        body = result_text(tool.description, result, tool.output.json_schema)
        return Reply(status="success", body=body, tier="natural_language")

    def _text(self) -> str:
        turns = [f"{role}: {said}" for role, said in self.context.history]
        return "\n\n".join([*turns, body_text(self.request.body)])

    async def _choose(self, text: str) -> Tool | None:
        tools = self.engine.tools
        return await self._interpreter().choose_tool(text, tools)

    async def _direct(self) -> Reply:
        body = body_value(self.request.body)
        named = body.get("task") if isinstance(body, dict) else None
        tool = self.engine.tools.get(str(named))
        if tool is None:
            error: JsonObject = {"code": "unknown_task", "detail": "no tool of this name is offered here"}
            return Reply(status="success", body={"error": error}, tier="routine")
        try:
            result = await self._call(tool, body.get("input"))
        except BadInput as problem:
            detail = "; ".join(f"{pointer or '/'}: {what}" for pointer, what in problem.violations[:5])
            return Reply(
                status="success", body={"error": {"code": "bad_input", "detail": detail[:500]}}, tier="routine"
            )
        return Reply(status="success", body={"output": result}, tier="routine")

    async def _call(self, tool: Tool, arguments: JsonValue) -> JsonValue:
        tool.input.check(arguments)
        return await self.journal.call(tool.name, arguments, tool.effect, partial(tool.call, arguments))

    def _callable(self, tool: Tool) -> Callable[..., Any]:
        async def call(*args: JsonValue, **keywords: JsonValue) -> JsonValue:
            names = list(tool.input.json_schema.get("properties", {}))
            arguments = dict(zip(names, args, strict=False)) | keywords
            return await self._call(tool, arguments)

        return call

    def _demote(self, runnable: Runnable, error: Exception) -> None:
        if not isinstance(error, SandboxUnavailable):
            self.engine.routines.demote(runnable.routine, f"{type(error).__name__}: {error}")

    def _within_budget(self) -> bool:
        policy = self.engine.cost_policy
        spent = self.engine.ledger.strangers(self.engine.today)
        return (
            spent.usd or 0.0
        ) < policy.max_strangers_usd_per_day and spent.seconds < policy.max_strangers_seconds_per_day

    def _interpreter(self) -> Interpreter:
        return Interpreter(self.engine.model, self.account, self.context.deadline)


def _misfit(schema: Schema, body: JsonValue) -> Reply:
    """The peer's body is not what the document asks for: which fields, and why, but none of its values."""
    try:
        schema.check(body)
    except BadInput as error:
        where = "; ".join(f"{pointer or '/'}: {what}" for pointer, what in error.violations[:_MAX_SHOWN_VIOLATIONS])
        return Reply(status="failure", code=error.code, error=f"the body does not fit the document: {where}"[:300])
    raise AssertionError("a body that is invalid has violations")
