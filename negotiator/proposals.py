"""What an opener is offered: a document of a tool's, by rule, or one in the asker's own schemas.

What is proposed is drafted from schemas, so that two peers that ask for the same thing are offered the same hash, and
no model is needed to agree.
"""

from typing import Literal

from negotiator.bounded import keep
from negotiator.choosing import clear_tool, intended_tool
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.fitting import effect_allowed, suitable_tool
from negotiator.journal import canonical
from negotiator.ledger import CALLERS, SERVED, Place
from negotiator.negotiation import Answer, Counter, Intent, Objection, Opening, Selected, result_digest, to_json
from negotiator.open_dialogues import MAX_OPEN
from negotiator.own_words import WORDS_ALONE
from negotiator.task import Tool
from protocol_docs import DocumentError, ProtocolDocument, draft_document


def document_of(tool: Tool) -> ProtocolDocument:
    """The document that offers `tool`, drafted by rule: the same tool, the same hash."""
    return draft_document(
        name=tool.name,
        description=tool.description or tool.name,
        request_schema=tool.input.json_schema,
        reply_schema=tool.output.json_schema,
        effect=tool.effect,
    )


async def proposed(engine: Engine, call: Opening, deadline: Deadline) -> Answer:
    """The answer to an opening."""
    answer = await _proposed(engine, call, deadline)
    if len(canonical(to_json(answer))) <= call.capabilities.max_body_bytes:
        return answer
    objection = Objection(kind="other", detail="the document that would be proposed is over max_body_bytes")
    return _rejected(call.id, objection)


async def _proposed(engine: Engine, call: Opening, deadline: Deadline) -> Answer:
    for candidate in call.candidates:
        known = engine.documents.get(candidate)
        if known is not None and await _serves(engine, known, call.intent):
            return _accept(call.id, known, "routine", with_text=False)
    tool = await intended_tool(engine, call.intent, deadline)
    if tool is None:
        objection = Objection(
            kind="other", detail=WORDS_ALONE if engine.words_alone else "no tool offered here does this"
        )
        if any(offered.effect == "transactional" for offered in engine.tools.values()) and call.intent.effect == "safe":
            objection = Objection(kind="effect_mismatch", detail="no safe tool offered here does this")
        return _rejected(call.id, objection)
    if engine.cost_policy.documents_of_askers:
        theirs = await _document_of_asker(engine, call, tool)
        if theirs is not None:
            theirs = await _first_of(engine, theirs, tool)
            engine.keep_strange(theirs)
            keep(engine.meant, theirs.hash, tool.name, MAX_OPEN)
            return _accept(call.id, theirs, "structured", with_text=True)
    document = document_of(tool)
    engine.documents.put(document)
    return _accept(call.id, document, "routine", with_text=True)


async def _document_of_asker(engine: Engine, call: Opening, tool: Tool) -> ProtocolDocument | None:
    """A document in the asker's schemas, the same for all who share them, where `tool` serves it.

    It does where rules can say how; else where words have cost more here than finding out is expected to, and the asker
    is not in a greater hurry than this agent: nobody says how long a model takes.
    """
    document, most = _document_of_intent(call.intent), call.constraints.max_seconds
    if document is None or engine.schemas_of(document) is None or not effect_allowed(document, tool):
        return None
    # What no budget is left to verify would only be rejected when it is used.
    verified = engine.routines.serving(document.hash, "receiver", engine.toolset) is not None
    served = await suitable_tool(engine, document, exactly=not (verified or engine.within_budget))
    patient = most is None or most >= engine.request_seconds
    if served is None and patient and engine.has_model and engine.within_budget and _worth_it(engine, tool):
        served = tool
    return document if served is tool else None


def _document_of_intent(intent: Intent) -> ProtocolDocument | None:
    if intent.input_schema is None or intent.output_schema is None:
        return None
    try:
        return draft_document(
            name=intent.name,
            description=intent.description,
            request_schema=intent.input_schema,
            reply_schema=intent.output_schema,
            effect=intent.effect,
        )
    except (DocumentError, ValueError):
        return None


async def _first_of(engine: Engine, theirs: ProtocolDocument, tool: Tool) -> ProtocolDocument:
    """The document for an opening that has come while this agent's own openings are under way.

    Two that open at once for the same task each know both openings, and so both documents that are drafted from them.
    Where one tool serves both documents by rule, the one whose hash comes first is the answer, on either side.
    """
    first = theirs
    for intent in list(engine.openings.values()):
        ours = _document_of_intent(intent)
        if ours is not None and ours.hash < first.hash and await suitable_tool(engine, ours) is tool:
            first = ours
    return first if first is theirs or await suitable_tool(engine, theirs) is tool else theirs


def _worth_it(engine: Engine, tool: Tool) -> bool:
    """Whether to take an asker's document that only a model maps onto `tool`.

    To take it costs nothing and an exchange under it no more than one in words, so that it is cheaper from the first
    exchange on; the routine for it is bought by its own rule. Fixed counts wait for their number of exchanges.
    """
    policy = engine.cost_policy
    return policy.counts is None or engine.ledger.spending(in_words(tool)).tier_up_due(policy)


def in_words(tool: Tool | None) -> str:
    """The ledger's key for what requests in natural language cost that meant `tool`."""
    return "receiver" if tool is None else place_of(tool).key


def place_of(tool: Tool) -> Place:
    """Where requests for `tool` are counted, whoever asks."""
    return Place(tool.digest, SERVED, CALLERS)


async def countered(engine: Engine, call: Counter) -> Answer | None:
    """A counter with a document of the opener's is taken where one of our tools serves it by rule.

    None where the document is none.
    """
    if call.document is not None:
        try:
            document = ProtocolDocument.from_text(call.document)
        except DocumentError:
            return None
        if await suitable_tool(engine, document) is not None:
            engine.keep_strange(document)
            return _accept(call.id, document, "structured", with_text=False)
    return Answer(id=call.id, decision="rejected", reason="no tool offered here meets the objections")


async def _serves(engine: Engine, document: ProtocolDocument, intent: Intent) -> bool:
    tool = await suitable_tool(engine, document)
    if tool is None or (intent.effect == "safe" and tool.effect == "transactional"):
        return False
    # Who names a document has chosen it, unless what it says that it wants is clearly something else.
    return clear_tool(intent, list(engine.tools.values())) in (None, tool)


def _rejected(identifier: str, objection: Objection) -> Answer:
    return Answer(id=identifier, decision="rejected", objections=(objection,), reason=objection.detail)


def _accept(
    identifier: str,
    document: ProtocolDocument,
    tier: Literal["structured", "routine"],
    *,
    with_text: bool,
) -> Answer:
    selected = Selected(
        protocol_hash=document.hash,
        tier=tier,
        document=document.text if with_text else None,
    )
    return Answer(
        id=identifier,
        decision="accepted",
        selected=selected,
        reason="this document does what is asked",
        digest=result_digest(identifier, selected),
    )
