"""One request that is being answered: what all tiers need of it, and the one way in which a tool is called."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial

from negotiator.context import context_of, within
from negotiator.engine import Engine
from negotiator.errors import NotAllowed, NotPossible
from negotiator.fitting import Way, receiver_half
from negotiator.interpret import Interpreter, body_value
from negotiator.journal import Journal
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.messages import Effect, Request, Tier
from negotiator.oauth.granted import granted_scopes
from negotiator.proposals import place_of
from negotiator.running import Runnable
from negotiator.serving import ExchangeContext
from negotiator.task import Tool
from negotiator.verdicts import unverified
from protocol_docs import ProtocolDocument
from sandbox import SandboxUnavailable

_log = logging.getLogger(__name__)


class Answering:
    """One request at work."""

    __slots__ = ("_name", "account", "body", "context", "counted", "engine", "journal", "request", "tier", "tool")

    def __init__(self, engine: Engine, request: Request, context: ExchangeContext, name: str | None = None) -> None:
        """`name` is the request's in the journal; one of its own is made at need where there is none."""
        self.engine = engine
        self.request = request
        self.context = context
        self._name = name
        self.body: JsonValue = body_value(request.body)
        """The request's body, read where it is JSON in a text."""
        self.account = Account()
        self.journal = Journal(self.name_it, engine.text)
        self.tier: Tier = "natural_language"
        self.counted = "receiver"
        """What the ledger counts this exchange under: a document, or the tool that was asked for in words."""
        self.tool: Tool | None = None
        """The one that was asked for."""

    def name_it(self) -> str:
        """The request's name: the same for one that comes again under the same idempotency key."""
        if self._name is None:
            self._name = self.engine.new_id()
        return self._name

    # --- tools ---

    async def call(self, tool: Tool, arguments: JsonObject) -> JsonValue:
        """Have a tool run for the caller, once. Raises `NotAllowed`, and what `Tool.ready` and `Journal.call` do."""
        self.require(tool.name, tool.effect, public=tool.is_public)
        self.tool = tool
        run = self.in_context(tool.ready(arguments))
        return await self.journal.call(tool.name, arguments, tool.effect, run, fresh=True)

    def in_context(self, run: Callable[[], Awaitable[JsonValue]]) -> Callable[[], Awaitable[JsonValue]]:
        """`run`, which can know of the request what a function that serves it may."""
        known = self.context
        context = context_of(
            principal=known.principal, deadline=known.deadline, request=self.name_it, history=known.history
        )
        return partial(within, context, run)

    def made_already(self, tool: Tool, arguments: JsonObject, result: JsonValue) -> None:
        """Enter a safe call that was made before this began."""
        self.tool, self.tier = tool, "routine"
        self.journal.enter(tool.name, arguments, result)

    def callable(self, tool: Tool) -> Callable[..., Awaitable[JsonValue]]:
        """A tool as a handler's code sees it: a function of positional and named arguments."""

        async def call(*args: JsonValue, **keywords: JsonValue) -> JsonValue:
            names = list(tool.input.json_schema.get("properties", {}))
            arguments = dict(zip(names, args, strict=False)) | keywords
            return await self.call(tool, arguments)

        return call

    # --- who may do what, and what may be seen ---

    def require(self, name: str, effect: Effect, *, public: bool, tier: Tier | None = None) -> None:
        """Raises `NotAllowed` where this caller may not have that run in a tier, by default the one at work."""
        require(self.engine, self.context.principal, tier or self.tier, name, effect, public=public)

    def allowed(self) -> dict[str, Tool]:
        """The tools that this caller may have run in the tier that is at work: what a model is shown.

        In words, none that has sensitive fields: a model would have to read them.
        """
        allows, principal, granted = self.engine.authority.allows, self.context.principal, granted_scopes()
        return {
            name: tool
            for name, tool in self.engine.tools.items()
            if allows(principal, name, tool.effect, self.tier, public=tool.is_public, granted=granted)
            and not (self.tier == "natural_language" and tool.sensitive)
        }

    def require_seen(self, document: ProtocolDocument, tool: Tool) -> None:
        """Raises `NotPossible` where a field is marked, so that a model may not see what is said here."""
        schemas = self.engine.schemas_of(document)
        if tool.sensitive or (schemas is not None and (schemas.request.sensitive or schemas.reply.sensitive)):
            raise NotPossible("a field is sensitive, and no model may see it")

    # --- models and routines ---

    def interpreter(self) -> Interpreter:
        """The model, at this request's cost, which callers' budget has to bear."""
        self.engine.purse.begin(self.account)
        return Interpreter(self.engine.model, self.account, self.context.deadline)

    def negotiating(self) -> Engine:
        """The engine for a negotiation with this caller: without our model, where it may not have it paid for."""
        engine = self.engine
        may = engine.authority.may_learn(self.context.principal, engine.model.name)
        return engine if may else engine.without_model()

    async def choose(self, text: str, tools: dict[str, Tool]) -> Tool | None:
        """The tool that a text asks for, as the model has it."""
        return await self.interpreter().choose_tool(text, tools) if tools else None

    def unverified(self, document: ProtocolDocument, runnable: Runnable, way: Way, value: JsonValue) -> bool:
        """Whether `value` is of a class on which the routine has not been shown to be right."""
        if not runnable.routine.verdict.unverified:
            return False
        tool = self.engine.tools.get(runnable.routine.tool or "")
        return tool is not None and unverified(runnable.routine, receiver_half(self.engine, document, tool), way, value)

    def demote(self, runnable: Runnable, error: Exception) -> None:
        """A routine failed: it serves no more, unless it was its process that did."""
        if not isinstance(error, SandboxUnavailable):
            self.engine.routines.demote(runnable.routine, f"{type(error).__name__}: {error}")

    # --- the end ---

    def enter(self) -> None:
        """Record that the request was answered, and what that has cost; the store is written where a model was asked."""
        engine, account = self.engine, self.account
        called = account.usage.calls > 0
        if account.shared is not None:
            engine.purse.end(account)
        engine.ledger.exchange("receiver", self.tier, self.counted, account)
        if self.tool is not None:
            engine.ledger.arrived(place_of(self.tool), engine.clock.time(), interpreted=called)


def is_told() -> bool:
    """Whether each use of a tool is told to the log."""
    return _log.isEnabledFor(logging.INFO)


def require(engine: Engine, principal: str, tier: Tier, name: str, effect: Effect, *, public: bool) -> None:
    """Raises `NotAllowed` where this caller may not have that run in this tier."""
    granted = granted_scopes()
    allowed = engine.authority.allows(principal, name, effect, tier, public=public, granted=granted)
    if is_told():
        tell(name, effect, principal, tier, allowed=allowed)
    if not allowed:
        raise NotAllowed


def tell(name: str, effect: Effect, principal: str, tier: Tier, *, allowed: bool) -> None:
    """Tell the log what was done and for whom, so that it is found again: names alone, no values."""
    word = "is used" if allowed else "is not allowed"
    _log.info("%s (%s) %s for %.200r, in the tier %s", name, effect, word, principal, tier)
