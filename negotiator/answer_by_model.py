"""The receiver's half under a document for which there is no routine: the model names fields, the host carries them."""

from negotiator.answering import Answering
from negotiator.clock import Deadline
from negotiator.errors import BudgetSpent, NotAllowed, RoutineFailed
from negotiator.evidence import Copying, Exchange
from negotiator.fitting import effect_allowed, receiver_half, suitable_tool
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Tier
from negotiator.plan import routine_due
from negotiator.shadow import observe
from negotiator.structured import read_arguments, write_reply
from negotiator.synthesis import make_receiver
from negotiator.task import Tool
from protocol_docs import ProtocolDocument


async def answer_by_model(work: Answering, document: ProtocolDocument) -> Reply:
    """Answer in the structured tier."""
    engine = work.engine
    found = engine.routines.get(document.hash, "receiver", engine.toolset)
    named = engine.meant.get(document.hash) if found is None else found.routine.tool
    tool = engine.tools.get(named or "")
    tool = tool or await suitable_tool(engine, document)
    if tool is None:
        allowed = {name: each for name, each in work.allowed().items() if effect_allowed(document, each)}
        tool = await work.choose(f"{document.name}: {document.description}\n\n{document.body}", allowed)
    if tool is None:
        return Reply(status="rejected", code="unsupported_protocol")
    # Before a model is paid to read what will not be done.
    if tool.name not in work.allowed():
        raise NotAllowed
    work.require_seen(document, tool)
    filled = await read_arguments(work.interpreter(), engine, document, work.body, tool)
    tier: Tier = "structured"
    if filled.written:
        # Words may have decided the arguments, so that the caller is held to what it may do by words.
        work.require(tool.name, tool.effect, public=tool.is_public, tier="natural_language")
        if engine.schemas_of(document) is None:
            work.tier = tier = "natural_language"
    result = await work.call(tool, filled.value)
    return await written_by_model(work, document, tool, filled.value, result, filled.copying, tier)


async def written_by_model(
    work: Answering,
    document: ProtocolDocument,
    tool: Tool,
    arguments: JsonObject,
    result: JsonValue,
    into: Copying | None = None,
    tier: Tier = "structured",
) -> Reply:
    """The reply is written by the model, and a routine made, or held against the exchange, later."""
    engine, body = work.engine, work.body
    if not (engine.has_model and engine.within_budget):
        raise RoutineFailed
    work.require_seen(document, tool)
    filled = await write_reply(work.interpreter(), engine, document, body, tool, result)
    canonical(filled.value)
    made, back = filled.value, filled.copying
    exchange = Exchange(given=body, passed=arguments, returned=result, made=made, into=into, back=back)
    _learn(work, document, tool, exchange)
    return Reply(status="success", body=made, tier=tier)


def _learn(work: Answering, document: ProtocolDocument, tool: Tool, exchange: Exchange) -> None:
    engine, principal = work.engine, work.context.principal

    async def learn() -> None:
        if engine.routines.wanted(document.hash, "receiver", engine.toolset) and engine.within_budget:
            policy = engine.cost_policy
            account = engine.purse.for_learning()
            spending = engine.ledger.spending(under(document.hash), bought="routines")
            learns = engine.authority.may_learn(principal, engine.model.name)
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

    engine.learner.start(f"receiver/{document.hash}/{engine.toolset}", learn)


def under(protocol_hash: str) -> str:
    """What the ledger counts exchanges under a document by."""
    return f"receiver/under/{protocol_hash}"
