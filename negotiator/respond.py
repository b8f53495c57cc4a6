"""The receiver's part in a negotiation: over our dialogue document, and in words.

What is proposed is drafted by rule from a tool's own schemas, so that two peers that ask for the same thing are
offered the same hash, and no model is needed to agree.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.bounded import keep
from negotiator.choosing import clear_tool, intended_tool
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import Overloaded, PeerMisspoke
from negotiator.fitting import effect_allowed, suitable_tool
from negotiator.interpret import body_text
from negotiator.journal import digest_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import CALLERS, SERVED, Place
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
    State,
    parse_call,
    result_digest,
    to_json,
)
from negotiator.own_words import WORDS_ALONE
from negotiator.serving import ExchangeContext
from negotiator.synthesis import exact_receiver
from negotiator.task import Tool
from protocol_docs import DocumentError, ProtocolDocument, draft_document

DIALOGUE_SECONDS = 600.0
"""How long a silent negotiation is remembered."""
MAX_OPEN = 1024
"""Negotiations that are remembered at a time."""
_PREFIX = "dialogue/"


def document_of(tool: Tool) -> ProtocolDocument:
    """The document that offers `tool`, drafted by rule: the same tool, the same hash."""
    return draft_document(
        name=tool.name,
        description=tool.description or tool.name,
        request_schema=tool.input.json_schema,
        reply_schema=tool.output.json_schema,
        effect=tool.effect,
    )


async def respond_to_dialogue(engine: Engine, body: JsonValue, context: ExchangeContext) -> JsonObject:
    """The reply to one message of our negotiation dialogue: an answer, or one of the dialogue's own errors."""
    try:
        call = parse_call(body)
    except PeerMisspoke:
        return _error("bad_message", "the body is no message of this dialogue")
    kept = _Kept(engine, context.principal, call)
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
        response = await _answer(engine, dialogue, call, context.deadline)
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


async def _answer(engine: Engine, dialogue: Dialogue, call: Opening | Counter, deadline: Deadline) -> Answer | None:
    """None for a counter whose document is none."""
    if isinstance(call, Counter):
        return await _answer_counter(engine, dialogue, call)
    for candidate in call.candidates:
        known = engine.documents.get(candidate)
        if known is not None and await _serves(engine, known, call.intent):
            return _accept(dialogue.id, known, "routine", with_text=False)
    tool = await intended_tool(engine, call.intent, deadline)
    if tool is None:
        objection = Objection(
            kind="other", detail=WORDS_ALONE if engine.words_alone else "no tool offered here does this"
        )
        if any(offered.effect == "transactional" for offered in engine.tools.values()) and call.intent.effect == "safe":
            objection = Objection(kind="effect_mismatch", detail="no safe tool offered here does this")
        return Answer(id=dialogue.id, decision="rejected", objections=(objection,), reason=objection.detail)
    if engine.cost_policy.documents_of_askers:
        theirs = await _document_of_asker(engine, call.intent, tool)
        if theirs is not None:
            theirs = await _first_of(engine, theirs, tool)
            engine.keep_strange(theirs)
            keep(engine.meant, theirs.hash, tool.name, MAX_OPEN)
            return _accept(dialogue.id, theirs, "structured", with_text=True)
    document = document_of(tool)
    engine.documents.put(document)
    return _accept(dialogue.id, document, "routine", with_text=True)


async def _document_of_asker(engine: Engine, intent: Intent, tool: Tool) -> ProtocolDocument | None:
    """A document in the asker's schemas, the same for all who share them, where `tool` serves it.

    It does where rules can say how; else where words have cost more here than finding out is expected to.
    """
    document = _document_of_intent(intent)
    if document is None or engine.schemas_of(document) is None or not effect_allowed(document, tool):
        return None
    served = await suitable_tool(engine, document)
    if served is None and engine.has_model and engine.within_budget and _worth_it(engine, tool):
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


async def _answer_counter(engine: Engine, dialogue: Dialogue, call: Counter) -> Answer | None:
    """A counter with a document of the opener's is taken where one of our tools serves it by rule."""
    if call.document is not None:
        try:
            document = ProtocolDocument.from_text(call.document)
        except DocumentError:
            return None
        if await suitable_tool(engine, document) is not None:
            engine.keep_strange(document)
            return _accept(dialogue.id, document, "structured", with_text=False)
    return Answer(id=dialogue.id, decision="rejected", reason="no tool offered here meets the objections")


async def _serves(engine: Engine, document: ProtocolDocument, intent: Intent) -> bool:
    tool = await suitable_tool(engine, document)
    if tool is None or (intent.effect == "safe" and tool.effect == "transactional"):
        return False
    # Who names a document has chosen it, unless what it says that it wants is clearly something else.
    return clear_tool(intent, list(engine.tools.values())) in (None, tool)


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


class _Kept:
    """What is remembered of one negotiation with one opener: how it stands, and the last reply.

    A message that comes again unchanged gets that reply again.
    """

    def __init__(self, engine: Engine, principal: str, call: Call) -> None:
        self._engine = engine
        self._message = digest_of(to_json(call))
        opener = hashlib.sha256(principal.encode()).hexdigest()[:16]
        self._key = f"{_PREFIX}{opener}/{call.id}"
        row = _read(engine.text.get(self._key))
        if row is not None and row.expires <= engine.clock.time():
            row = None
        self.reply: JsonObject | None = None
        self.dialogue: Dialogue | None = None
        most = engine.cost_policy.max_rounds + 2
        if row is not None and row.message == self._message:
            self.reply = row.reply
        elif isinstance(call, Opening):
            self.dialogue = Dialogue(id=call.id, role="responder", max_rounds=most)
        elif row is not None:
            self.dialogue = Dialogue(
                id=call.id,
                role="responder",
                state=row.state,
                rounds=row.rounds,
                max_rounds=most,
                selected=row.selected,
            )

    def keep(self, dialogue: Dialogue, reply: JsonObject) -> None:
        """Raises `Overloaded` where as many negotiations are open as may be."""
        now, text = self._engine.clock.time(), self._engine.text
        selected = None if dialogue.selected is None else dialogue.selected.model_copy(update={"document": None})
        row = _Row(
            state=dialogue.state,
            rounds=dialogue.rounds,
            selected=selected,
            message=self._message,
            reply=reply,
            expires=now + DIALOGUE_SECONDS,
        )
        if text.get(self._key) is None and sum(1 for _ in text.keys(_PREFIX)) >= MAX_OPEN:
            for key in text.keys(_PREFIX):
                old = _read(text.get(key))
                if old is None or old.expires <= now:
                    text.delete(key)
            if sum(1 for _ in text.keys(_PREFIX)) >= MAX_OPEN:
                raise Overloaded("too many negotiations are open")
        text.put(self._key, adapter(_Row).dump_json(row).decode())

    def forget(self) -> None:
        self._engine.text.delete(self._key)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    state: State
    rounds: int
    selected: Selected | None
    message: str
    reply: JsonObject
    expires: float


def _read(text: str | None) -> _Row | None:
    try:
        return None if text is None else adapter(_Row).validate_json(text)
    except ValidationError:
        return None
