"""The receiver's part in a negotiation: over our dialogue document, and in words."""

from negotiator.choosing import intended_tool
from negotiator.engine import Engine
from negotiator.errors import PeerMisspoke
from negotiator.interpret import body_text
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply, Request
from negotiator.negotiation import Agreed, Agreement, Answer, Counter, Dialogue, Intent, parse_call, to_json
from negotiator.open_dialogues import OpenDialogue
from negotiator.own_words import WORDS_ALONE
from negotiator.proposals import countered, document_of, proposed
from negotiator.serving import ExchangeContext
from negotiator.synthesis import exact_receiver
from protocol_docs import ProtocolDocument


async def respond_to_dialogue(engine: Engine, body: JsonValue, context: ExchangeContext) -> JsonObject:
    """The reply to one message of our negotiation dialogue: an answer, or one of the dialogue's own errors."""
    try:
        call = parse_call(body)
    except PeerMisspoke:
        return _error("bad_message", "the body is no message of this dialogue")
    kept = OpenDialogue(engine, context.principal, call)
    if kept.reply is not None:
        return kept.reply
    dialogue = kept.dialogue
    if dialogue is None:
        return _error("unknown_negotiation", "no negotiation of this id is open with you")
    if dialogue.rounds >= dialogue.max_rounds:
        kept.forget()
        return _error("too_many_rounds", "this negotiation has had all its rounds")
    try:
        dialogue = dialogue.advance(call)
    except PeerMisspoke as error:
        off = isinstance(call, Agreement) and dialogue.state == "proposed"
        return _error("digest_mismatch" if off else "bad_message", str(error))
    response: Answer | Agreed | None
    if isinstance(call, Agreement):
        response = await _agree(engine, dialogue, call)
    else:
        response = await (
            countered(engine, call) if isinstance(call, Counter) else proposed(engine, call, context.deadline)
        )
    if response is None:
        return _error("bad_message", "the document cannot be read")
    reply = to_json(response)
    kept.keep(dialogue.advance(response), reply)
    return reply


def _error(code: str, detail: str) -> JsonObject:
    return {"error": {"code": code, "detail": detail}}


async def _agree(engine: Engine, dialogue: Dialogue, call: Agreement) -> Agreed | Answer:
    document = engine.documents.get(call.protocol_hash)
    if document is None:
        return Answer(id=dialogue.id, decision="rejected", reason="the document is not at hand any more")
    if not engine.agreements.serve(engine.toolset, document.hash):
        return Answer(id=dialogue.id, decision="rejected", reason="no further documents are agreed to here")
    await exact_receiver(engine, document)
    return Agreed(id=dialogue.id, protocol_hash=call.protocol_hash, digest=call.digest)


async def respond_in_words(engine: Engine, request: Request, context: ExchangeContext) -> Reply:
    """Answer an Agora 0.2.0 peer that negotiates in natural language: offer a document drafted from a tool.

    The peer ends the negotiation by itself and names the document's hash in its next request.
    """
    text = "\n".join([said for _role, said in context.history] + [body_text(request.body)])
    intent = Intent(name=text[:200] or "?", description=text[:4_000])
    tool = await intended_tool(engine, intent, context.deadline)
    if tool is None:
        why = WORDS_ALONE if engine.words_alone else "I offer nothing that does this"
        return Reply(status="success", body=f"{why}, so I can agree to no protocol for it.")
    # Its sender strips what it takes for the final protocol before it hashes it.
    document = ProtocolDocument.from_text(document_of(tool).text.strip())
    engine.documents.put(document)
    if not engine.agreements.serve(engine.toolset, document.hash):
        return Reply(status="success", body="I agree to no further protocols at the moment.", tier="routine")
    body = (
        "I can serve this with the protocol document below. Please use it exactly as it stands, byte for byte, "
        "as its hash identifies it. If it suits you, take it as the final protocol.\n\n" + document.text
    )
    return Reply(status="success", body=body, tier="routine")
