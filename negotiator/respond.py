"""The receiver's part in a negotiation: over our dialogue document, and in words.

What is proposed is drafted by rule from a tool's own schemas, so that two peers that ask for the same thing are
offered the same hash, and no model is needed to agree.
"""

from typing import Literal

import orjson

from negotiator.choosing import intended_tool
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import PeerMisspoke
from negotiator.interpret import body_text
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.negotiation import (
    Agreed,
    Agreement,
    Answer,
    Call,
    Counter,
    Dialogue,
    Intent,
    Objection,
    Opening,
    Selected,
    parse_call,
    result_digest,
    to_json,
)
from negotiator.serving import ExchangeContext
from negotiator.synthesis import exact_receiver, suitable_tool
from negotiator.task import Tool
from protocol_docs import DocumentError, ProtocolDocument, draft_document

DIALOGUE_SECONDS = 600.0
"""How long an unfinished negotiation is remembered."""


def document_of(tool: Tool) -> ProtocolDocument:
    """The document that offers `tool`, drafted by rule: the same tool, the same hash."""
    return draft_document(
        name=tool.name,
        description=tool.description or tool.name,
        request_schema=tool.input.json_schema,
        reply_schema=tool.output.json_schema,
        effect=tool.effect,
    )


async def respond_to_dialogue(engine: Engine, body: JsonValue, deadline: Deadline) -> JsonObject:
    """Answer one message of our negotiation dialogue. Raises `PeerMisspoke` for what does not follow."""
    call = parse_call(body)
    dialogue = _load(engine, call)
    dialogue = dialogue.advance(call)
    response: Answer | Agreed
    if isinstance(call, Agreement):
        response = _agree(engine, dialogue, call)
    else:
        response = await _answer(engine, dialogue, call, deadline)
    dialogue = dialogue.advance(response)
    _save(engine, dialogue, call)
    return to_json(response)


def _agree(engine: Engine, dialogue: Dialogue, call: Agreement) -> Agreed | Answer:
    document = engine.documents.get(call.protocol_hash)
    if document is None:
        return Answer(id=dialogue.id, decision="rejected", reason="the document is not at hand any more")
    engine.agreements.serve(engine.toolset, document.hash)
    exact_receiver(engine, document)
    return Agreed(id=dialogue.id, protocol_hash=call.protocol_hash, digest=call.digest)


async def _answer(engine: Engine, dialogue: Dialogue, call: Opening | Counter, deadline: Deadline) -> Answer:
    if isinstance(call, Counter):
        return _answer_counter(engine, dialogue, call)
    for candidate in call.candidates:
        known = engine.documents.get(candidate)
        if known is not None and _serves(engine, known, call.intent):
            return _accept(dialogue.id, known, "routine", with_text=False)
    tool = await intended_tool(engine, call.intent, deadline)
    if tool is None:
        objection = Objection(kind="other", detail="no tool offered here does this")
        if any(offered.effect == "transactional" for offered in engine.tools.values()) and call.intent.effect == "safe":
            objection = Objection(kind="effect_mismatch", detail="no safe tool offered here does this")
        return Answer(id=dialogue.id, decision="rejected", objections=(objection,), reason=objection.detail)
    document = document_of(tool)
    engine.documents.put(document)
    return _accept(dialogue.id, document, "routine", with_text=True)


def _answer_counter(engine: Engine, dialogue: Dialogue, call: Counter) -> Answer:
    """A counter with a document of the opener's is taken where one of our tools serves it by rule."""
    if call.document is not None:
        try:
            document = ProtocolDocument.from_text(call.document)
        except DocumentError:
            objection = Objection(kind="unclear", detail="the document cannot be read")
            return Answer(id=dialogue.id, decision="rejected", objections=(objection,), reason=objection.detail)
        if suitable_tool(engine, document) is not None:
            engine.documents.put(document)
            return _accept(dialogue.id, document, "structured", with_text=False)
    return Answer(id=dialogue.id, decision="rejected", reason="no tool offered here meets the objections")


def _serves(engine: Engine, document: ProtocolDocument, intent: Intent) -> bool:
    tool = suitable_tool(engine, document)
    return tool is not None and not (intent.effect == "safe" and tool.effect == "transactional")


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


async def respond_in_words(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer an Agora 0.2.0 peer that negotiates in natural language: offer a document drafted from a tool.

    The peer ends the negotiation by itself and names the document's hash in its next request.
    """
    text = "\n".join([said for _role, said in context.history] + [body_text(request.body)])
    intent = Intent(name=text[:200] or "?", description=text[:4_000])
    tool = await intended_tool(engine, intent, context.deadline)
    if tool is None:
        return Reply(status="success", body="I offer nothing that does this, so I can agree to no protocol for it.")
    document = document_of(tool)
    engine.documents.put(document)
    engine.agreements.serve(engine.toolset, document.hash)
    body = (
        "I can serve this with the protocol document below. Please use it exactly as it stands, byte for byte, "
        "as its hash identifies it. If it suits you, take it as the final protocol.\n\n" + document.text
    )
    return Reply(status="success", body=body, tier="routine")


def _load(engine: Engine, call: Call) -> Dialogue:
    if isinstance(call, Opening):
        return Dialogue(id=call.id, role="responder", max_rounds=engine.cost_policy.max_rounds + 2)
    text = engine.text.get(f"dialogue/{call.id}")
    row = None if text is None else orjson.loads(text)
    if row is None or row["expires"] <= engine.clock.time():
        raise PeerMisspoke("there is no such negotiation")
    return Dialogue(
        id=call.id,
        role="responder",
        state=row["state"],
        rounds=row["rounds"],
        max_rounds=engine.cost_policy.max_rounds + 2,
        selected=None if row["selected"] is None else Selected.model_validate(row["selected"]),
    )


def _save(engine: Engine, dialogue: Dialogue, call: Call) -> None:
    key = f"dialogue/{call.id}"
    if dialogue.over:
        engine.text.delete(key)
        return
    selected = None if dialogue.selected is None else dialogue.selected.model_dump(mode="json", exclude={"document"})
    row = {
        "state": dialogue.state,
        "rounds": dialogue.rounds,
        "selected": selected,
        "expires": engine.clock.time() + DIALOGUE_SECONDS,
    }
    engine.text.put(key, orjson.dumps(row).decode())
