"""One negotiation over our dialogue document as its opener leads it: message by message, within the caps."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from negotiator.agora_replies import error_of
from negotiator.clock import Deadline
from negotiator.describe import sentence_of
from negotiator.engine import Engine
from negotiator.errors import (
    ModelUnavailable,
    NotPossible,
    Overloaded,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
)
from negotiator.interpret import body_value
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Account
from negotiator.messages import Request, Tier
from negotiator.negotiation import (
    Agreement,
    Answer,
    Call,
    Capabilities,
    Constraints,
    Counter,
    Dialogue,
    Intent,
    Objection,
    Opening,
    Response,
    Selected,
    parse_response,
    result_digest,
    to_json,
)
from negotiator.synthesis import make_sender
from negotiator.task import Task
from protocol_docs import DocumentError, ProtocolDocument, catalog, draft_document


class Talk:
    """A negotiation with one peer about one task. In a `with` block: what is open there is known to our responder.

    Each message raises `BudgetSpent`, `DeadlinePassed`, `PeerFailed`, `PeerMisspoke` and what the transport raises.
    """

    def __init__(self, engine: Engine, base_url: str, task: Task, account: Account, deadline: Deadline) -> None:
        self._engine, self._base_url, self._task = engine, base_url, task
        self._account, self._deadline = account, deadline
        self.dialogue = Dialogue(id=engine.new_id(), role="opener", max_rounds=engine.cost_policy.max_rounds)
        self.reason = ""
        """What the peer says of its last answer."""

    def __enter__(self) -> Self:
        self._engine.openings[self.dialogue.id] = intent_of(self._task)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.openings.pop(self.dialogue.id, None)

    @property
    def selected(self) -> Selected | None:
        """What the peer proposes to use, while that can be agreed to; None before and where it selects nothing."""
        return self.dialogue.selected if self.dialogue.state == "proposed" else None

    async def open(self, candidates: Sequence[str]) -> None:
        """Say what is wanted, and the hashes of documents that would do, the best first."""
        tiers: tuple[Tier, ...] = ("natural_language", "structured", "routine")
        if not self._engine.has_model:
            tiers = ("routine",)
        await self._say(
            Opening(
                id=self.dialogue.id,
                intent=intent_of(self._task),
                capabilities=Capabilities(dialects=("agora",), tiers=tiers),
                constraints=Constraints(natural_language=self._task.natural_language),
                candidates=tuple(candidates),
            )
        )

    async def counter(self, objections: Sequence[Objection], document: ProtocolDocument) -> None:
        """Object, and propose a document instead."""
        await self._say(
            Counter(
                id=self.dialogue.id,
                round=self.dialogue.rounds,
                objections=tuple(objections),
                document=document.text,
            )
        )

    async def confirm(self) -> Selected | None:
        """Agree to what is selected; None where the peer does not confirm it."""
        selected = self.selected
        if selected is None:
            return None
        digest = result_digest(self.dialogue.id, selected)
        await self._say(Agreement(id=self.dialogue.id, protocol_hash=selected.protocol_hash, digest=digest))
        return selected if self.dialogue.state == "agreed" else None

    async def objections(self) -> tuple[Objection, ...]:
        """What stands in the way of what is selected; making our routine for it is the test."""
        if self.selected is None:
            return (Objection(kind="unclear", detail="nothing was selected"),)
        return await stands_against(self._engine, self._task, await self.document(), self._account, self._deadline)

    async def document(self) -> ProtocolDocument:
        """The text of what is selected, checked and kept."""
        engine, selected = self._engine, self.selected
        if selected is None:
            raise PeerMisspoke("nothing was selected")
        known = engine.documents.get(selected.protocol_hash)
        if known is not None:
            return known
        try:
            if selected.document is not None:
                document = ProtocolDocument.from_text(selected.document)
            else:
                document = await engine.find_document(
                    (selected.protocol_hash,), selected.sources, timeout=self._deadline.require()
                )
        except DocumentError as error:
            raise PeerMisspoke("the proposed document cannot be had or read") from error
        if document.hash != selected.protocol_hash:
            raise PeerMisspoke("the proposed document does not have the hash that was named")
        engine.documents.put(document)
        return document

    async def _say(self, message: Call) -> None:
        require_room(self._account, self._deadline)
        self.dialogue = self.dialogue.advance(message)
        response = await self._heard(message)
        self.dialogue = self.dialogue.advance(response)
        self.reason = response.reason[:200] if isinstance(response, Answer) else ""

    async def _heard(self, message: Call) -> Response:
        """The answer to a message. A lost one is sent again unchanged, which the dialogue allows."""
        request = Request(body=to_json(message), hashes=catalog.negotiation_dialogue().aliases)
        reach = self._engine.reach
        try:
            reply = await reach.exchange(self._base_url, request, self._deadline)
        except PeerHungUp:
            reply = await reach.exchange(self._base_url, request, self._deadline)
        error = error_of(reply)
        if error is not None:
            raise error
        body = body_value(reply.body)
        match body:
            case {"error": {"code": str(code)}}:
                raise PeerFailed(f"the peer ended the negotiation: {code[:64]!r}")
        return parse_response(body)


async def stands_against(
    engine: Engine, task: Task, document: ProtocolDocument, account: Account, deadline: Deadline
) -> tuple[Objection, ...]:
    """What stands in the way of a document for a task: its effect, or what our routine for it lacks."""
    if not may_change(task, document):
        return (Objection(kind="effect_mismatch", detail="the task is safe, the document is not"),)
    return await make_sender(engine, task, document, account, deadline)


def may_change(task: Task, document: ProtocolDocument) -> bool:
    """Whether the document's effect is one that the task may have."""
    return task.effect != "safe" or (document.annex is not None and document.annex.effect == "safe")


def remember_none(engine: Engine, peer: str, task: Task, error: Exception) -> None:
    """Remember that a negotiation came to nothing: a peer or a model that was away may be back soon."""
    passing = isinstance(error, PeerUnreachable | PeerHungUp | Overloaded | ModelUnavailable)
    policy = engine.cost_policy
    why = str(error) if isinstance(error, NotPossible) else f"{type(error).__name__}: {error}"
    seconds = policy.try_again_seconds if passing else policy.no_agreement_seconds
    engine.agreements.refuse(task.digest, peer, why, seconds)


def require_room(account: Account, deadline: Deadline) -> None:
    """Raises `BudgetSpent` and `DeadlinePassed` where the negotiation has had what it may cost."""
    if not account.asks_no_model:
        account.require_room()
    deadline.require()


def document_of_task(engine: Engine, task: Task) -> ProtocolDocument:
    """A document drafted from the task's own schemas, at hand for when a peer takes it."""
    document = draft_document(
        name=task.name,
        description=task.description,
        request_schema=task.input.json_schema,
        reply_schema=task.output.json_schema,
        effect=task.effect,
    )
    engine.documents.put(document)
    return document


def intent_of(task: Task) -> Intent:
    """What an opening says of a task."""
    schema = task.input.json_schema
    empty: JsonValue = {}
    return Intent(
        name=task.name[:200],
        description=task.description[:4_000],
        effect=task.effect,
        input_summary=sentence_of(task.description, empty, schema, task.output.json_schema)[:4_000],
        input_schema=schema,
        output_schema=task.output.json_schema,
    )
