"""The sender's part in a negotiation, off the request's path: agree on a document, and make the routine.

How a peer is asked depends on what it speaks: our dialogue document where it lists it; Agora 0.2.0's negotiation
in words; to other Agora peers a document of ours is proposed by using it.
"""

import re
from contextlib import suppress
from dataclasses import dataclass

from negotiator.agreements import Agreed
from negotiator.choosing import LEAST_LIKENESS, likeness
from negotiator.clock import Deadline
from negotiator.describe import sentence_of
from negotiator.engine import Engine
from negotiator.errors import (
    BudgetSpent,
    ModelUnavailable,
    NegotiatorError,
    NotPossible,
    Overloaded,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
)
from negotiator.fitting import Fit, judge_sender
from negotiator.interpret import Interpreter, body_text, body_value
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import ASKED, Account, Place
from negotiator.messages import Reply, Request
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
from negotiator.planner import planned_document
from negotiator.reach import PeerRecord, error_of
from negotiator.sharing import has_sender_routine, listed_documents, proposals, successor
from negotiator.synthesis import make_sender
from negotiator.task import Task
from protocol_docs import DocumentError, ProtocolDocument, StoreUnusable, catalog, draft_document

MAX_TRIED = 4
"""Documents of a peer that takes only its own that are tried, one after the other."""
VALID_SECONDS = 2_592_000.0
"""How long an agreement that a peer put no date on is taken to hold: 30 days."""


async def agree_and_make(engine: Engine, base_url: str, task: Task, *, by_rule: bool = False) -> None:
    """Agree with the peer on a document for the task, unless that is done, and make this side's routine for it.

    The caps of the cost policy hold for both together. "No agreement" is remembered. With `by_rule` this side asks no
    model, and where it would have to, all stays as it was. Of several processes that share a state one negotiates
    with this peer for this task, and the others take what comes of it.
    """
    policy = engine.cost_policy
    room = engine.ledger.room(engine.today, base_url)
    account = Account(
        max_usd=policy.max_negotiation_usd if room is None else min(room, policy.max_negotiation_usd),
        max_tokens=policy.max_negotiation_tokens,
        asks_no_model=by_rule,
    )
    deadline = Deadline.after(policy.max_negotiation_seconds, engine.clock)
    work = _Negotiation(engine, base_url, task, account, deadline)
    async with engine.flights.alone(f"agree/{task.digest}/{base_url}", deadline):
        refused = engine.agreements.refused(task.digest, base_url)
        if refused is not None:
            raise NotPossible(refused)
        await _agree_and_make(work, by_rule=by_rule)


async def _agree_and_make(work: "_Negotiation", *, by_rule: bool) -> None:
    engine, base_url, task, account = work.engine, work.base_url, work.task, work.account
    policy = engine.cost_policy
    place = Place(task.digest, ASKED, base_url)
    made_alone = False
    try:
        agreed = engine.agreements.find(task.digest, base_url)
        document = None if agreed is None else engine.documents.get(agreed.protocol_hash)
        if document is None:
            document = await work.run()
        else:
            made_alone = True
            await make_sender(engine, task, document, account, work.deadline)
        if document is None:
            raise NotPossible(work.why)  # noqa: TRY301
    except Exception as error:
        if by_rule and isinstance(error, BudgetSpent):
            return
        # A peer or a model that was away may be back soon; what was answered stands for longer.
        passing = isinstance(error, PeerUnreachable | PeerHungUp | Overloaded | ModelUnavailable)
        if engine.agreements.find(task.digest, base_url) is None:
            why = str(error) if isinstance(error, NotPossible) else f"{type(error).__name__}: {error}"
            seconds = policy.try_again_seconds if passing else policy.no_agreement_seconds
            engine.agreements.refuse(task.digest, base_url, why, seconds)
        raise
    finally:
        engine.ledger.asked(engine.today, base_url, account)
        if made_alone and account.usage.calls:
            engine.ledger.routine(account)
        elif account.usage.calls or (not made_alone and engine.agreements.find(task.digest, base_url) is not None):
            engine.ledger.agreement(place.key, account)


async def adopt_listed(
    engine: Engine,
    base_url: str,
    peer: PeerRecord,
    task: Task,
    deadline: Deadline,
) -> Agreed | None:
    """Take a document that the peer lists and that fits the task by rule, without a word or a model.

    Looked for once per listing; a document that fits only with a model's help is left to a negotiation.
    """
    if not engine.first_look(base_url, task.digest, tuple(peer.listing)):
        return None
    # A listing whose addresses do not answer must leave the request the larger part of its time.
    until = Deadline.after(max(deadline.remaining(), 0) / 4, engine.clock)
    known = engine.agreements.documents_for(task.digest)
    async for document in listed_documents(engine, peer, until, about=(task.name, task.description), first=known):
        # What another peer's agreement brought need not be judged again.
        fit = _TAUGHT if has_sender_routine(engine, task, document) else await judge_sender(engine, task, document)
        if fit.ready:
            await take_listed(engine, base_url, task, document, deadline, exact=fit.exact)
            return engine.agreements.find(task.digest, base_url)
    return None


async def take_listed(
    engine: Engine, base_url: str, task: Task, document: ProtocolDocument, deadline: Deadline, *, exact: bool
) -> None:
    """Agree to a document that a peer lists: to list it is to offer it, and its hash in a request is the answer."""
    # Only what is used is kept: a listing may hold any number of texts.
    with suppress(StoreUnusable):
        engine.documents.put(document)
    if exact:
        await make_sender(engine, task, document, Account(), deadline)  # by rule: it asks no model
    engine.agreements.agree(task.digest, base_url, document.hash, VALID_SECONDS)


async def adopt_successor(
    engine: Engine, base_url: str, peer: PeerRecord, task: Task, agreed: ProtocolDocument
) -> None:
    """Go over to the document that replaces the agreed one, where the peer lists it and our half can be made for it.

    Off the request's path, under the caps of a negotiation. Until our half is made, and where it cannot be, the
    agreed document goes on to serve: that a text calls itself a successor changes nothing by itself.
    """
    policy = engine.cost_policy
    account = Account(max_usd=policy.max_negotiation_usd, max_tokens=policy.max_negotiation_tokens)
    deadline = Deadline.after(policy.max_negotiation_seconds, engine.clock)
    try:
        document = await successor(engine, peer, agreed, deadline)
        if document is None:
            return
        if task.effect == "safe" and (document.annex is None or document.annex.effect != "safe"):
            return
        engine.documents.put(document)
        if not await make_sender(engine, task, document, account, deadline):
            engine.agreements.agree(task.digest, base_url, document.hash, VALID_SECONDS)
    finally:
        engine.ledger.asked(engine.today, base_url, account)
        if account.usage.calls:
            engine.ledger.routine(account)


_TAUGHT = Fit(ready=True, exact=False)


@dataclass(slots=True)
class _Negotiation:
    engine: Engine
    base_url: str
    task: Task
    account: Account
    deadline: Deadline
    why: str = "the peer offers nothing that does this"
    """Why there is no agreement, where there is none."""

    async def run(self) -> ProtocolDocument | None:
        peer = await self.engine.reach.discover(self.base_url, self.deadline)
        if not self.account.asks_no_model:
            listed = await planned_document(self.engine, peer, self.task, self.account, self.deadline)
            if listed is not None:
                self.engine.documents.put(listed)
                if await self._take(listed) is not None:
                    return listed
        if peer.ours:
            return await self._dialogue()
        if not peer.words or peer.about:  # another wire language has documents that are listed, or none
            return await self._from_listing(peer)
        if peer.dialect == "agora-0.2.0":
            return await self._in_words()
        return await self._propose_by_use()

    async def _dialogue(self) -> ProtocolDocument | None:
        engine, task = self.engine, self.task
        identifier = engine.new_id()
        dialogue = Dialogue(id=identifier, role="opener", max_rounds=engine.cost_policy.max_rounds)
        message: Call = Opening(
            id=identifier,
            intent=_intent(task),
            capabilities=Capabilities(
                dialects=("agora",),
                tiers=("natural_language", "structured", "routine") if engine.has_model else ("routine",),
            ),
            constraints=Constraints(natural_language=task.natural_language),
            candidates=tuple(each.hash for each in await proposals(engine, task, self.deadline)),
        )
        objected = False
        while True:
            self._within_caps()
            dialogue = dialogue.advance(message)
            response = await self._say(message)
            dialogue = dialogue.advance(response)
            if dialogue.state == "agreed" and dialogue.selected is not None:
                document = engine.documents.get(dialogue.selected.protocol_hash)
                if document is None:
                    return None
                valid = dialogue.selected.valid_seconds
                engine.agreements.agree(task.digest, self.base_url, document.hash, valid)
                return document
            if dialogue.over or not isinstance(response, Answer):
                if isinstance(response, Answer) and response.reason and not objected:
                    self.why = f"the peer says: {response.reason[:200]}"
                return None
            objections = await self._objections(response)
            if not objections and dialogue.selected is not None:
                selected = dialogue.selected
                digest = result_digest(identifier, selected)
                message = Agreement(id=identifier, protocol_hash=selected.protocol_hash, digest=digest)
            elif objected:
                return None
            else:
                objected = True
                self.why = f"what the peer offers does not fit: {objections[0].detail[:200]}"
                message = Counter(
                    id=identifier,
                    round=dialogue.rounds,
                    objections=objections,
                    document=self._propose().text,
                )

    async def _objections(self, answer: Answer) -> tuple[Objection, ...]:
        """What stands in the way of the proposed document; making our routine for it is the test."""
        selected = answer.selected
        if selected is None:
            return (Objection(kind="unclear", detail="nothing was selected"),)
        document = await self._proposed(selected)
        annex = document.annex
        if self.task.effect == "safe" and (annex is None or annex.effect != "safe"):
            return (Objection(kind="effect_mismatch", detail="the task is safe, the document is not"),)
        return await make_sender(self.engine, self.task, document, self.account, self.deadline)

    async def _proposed(self, selected: Selected) -> ProtocolDocument:
        engine = self.engine
        known = engine.documents.get(selected.protocol_hash)
        if known is not None:
            return known
        try:
            if selected.document is not None:
                document = ProtocolDocument.from_text(selected.document)
            else:
                document = await engine.find_document(
                    (selected.protocol_hash,), selected.sources, timeout=self.deadline.require()
                )
        except DocumentError as error:
            raise PeerMisspoke("the proposed document cannot be had or read") from error
        if document.hash != selected.protocol_hash:
            raise PeerMisspoke("the proposed document does not have the hash that was named")
        engine.documents.put(document)
        return document

    async def _say(self, message: Call) -> Response:
        """One message and its answer. A lost one is sent again unchanged, which the dialogue allows."""
        request = Request(body=to_json(message), hashes=catalog.negotiation_dialogue().aliases)
        try:
            reply = await self.engine.reach.exchange(self.base_url, request, self.deadline)
        except PeerHungUp:
            reply = await self.engine.reach.exchange(self.base_url, request, self.deadline)
        error = error_of(reply)
        if error is not None:
            raise error
        body = body_value(reply.body)
        match body:
            case {"error": {"code": str(code)}}:
                raise PeerFailed(f"the peer ended the negotiation: {code[:64]!r}")
        return parse_response(body)

    async def _in_words(self) -> ProtocolDocument | None:
        """Agora 0.2.0: propose our own document in its negotiation, and see whether it says yes."""
        document = await self._best()
        text = (
            "Let us agree on a protocol document, so that neither side needs a language model for this task any "
            f"more. The task: {self.task.description}\n\nI propose the document below, to be used exactly as it "
            "stands. If you can serve it, answer with the word ACCEPT. If not, say what has to change.\n\n"
            f"{document.text}"
        )
        reply, conversation = await self._speak(text, None)
        said = body_text(reply.body).strip()
        accepted = await self._accepts(said)
        if not accepted:
            reply, conversation = await self._speak(
                "I can use this document only. Please answer ACCEPT or REJECT.", conversation
            )
            added = _new_in(body_text(reply.body).strip(), said)
            accepted = await self._accepts(added)
            said = added or said
        await self._close(conversation)
        if not accepted:
            self.why = f"the peer says: {said[:200]}"
            return None
        return await self._take(document)

    async def _speak(self, text: str, conversation: str | None) -> tuple[Reply, str | None]:
        self._within_caps()
        request = Request(kind="negotiation", body=text, multiround=True, conversation=conversation)
        reply = await self.engine.reach.exchange(self.base_url, request, self.deadline)
        if reply.status != "success":
            raise PeerMisspoke(f"the peer ended the negotiation: {reply.status}")
        return reply, reply.conversation or conversation

    async def _accepts(self, said: str) -> bool:
        if _YES.match(said):
            return True
        if not said or _NO.match(said) or not self.engine.has_model:
            return False
        interpreter = Interpreter(self.engine.model, self.account, self.deadline)
        return await interpreter.judge(said) == "accepts"

    async def _close(self, conversation: str | None) -> None:
        if conversation is None:
            return
        try:
            await self.engine.reach.exchange(
                self.base_url, Request(kind="close", conversation=conversation), self.deadline
            )
        except NegotiatorError:
            return  # it expires by itself

    async def _from_listing(self, peer: PeerRecord) -> ProtocolDocument | None:
        """A peer that takes its own documents alone: the likeliest of those that our half can be made for."""
        about = (self.task.name, self.task.description)
        listed = [document async for document in listed_documents(self.engine, peer, self.deadline, about=about)]
        said = [(document.name, document.description) for document in listed]
        near = likeness((self.task.name, self.task.description), said)
        ranked = sorted(zip(listed, near, strict=True), key=lambda pair: (-pair[1], pair[0].hash))
        for document, lead in ranked[:MAX_TRIED]:
            if lead < LEAST_LIKENESS or not _may_change(self.task, document):
                continue
            self.engine.documents.put(document)
            if await self._take(document) is not None:
                return document
        return None

    async def _propose_by_use(self) -> ProtocolDocument | None:
        """A standard Agora peer negotiates by accepting or rejecting a hash: the next exchange will tell."""
        return await self._take(await self._best())

    async def _take(self, document: ProtocolDocument) -> ProtocolDocument | None:
        objections = await make_sender(self.engine, self.task, document, self.account, self.deadline)
        if objections:
            self.why = objections[0].detail
            return None
        self.engine.agreements.agree(self.task.digest, self.base_url, document.hash, VALID_SECONDS)
        return document

    async def _best(self) -> ProtocolDocument:
        """What others have agreed to or keep for such a task, if there is such a document; else one of our own."""
        found = await proposals(self.engine, self.task, self.deadline)
        return found[0] if found else self._propose()

    def _propose(self) -> ProtocolDocument:
        """A document drafted from the task's own schemas, at hand for when the peer takes it."""
        task = self.task
        document = draft_document(
            name=task.name,
            description=task.description,
            request_schema=task.input.json_schema,
            reply_schema=task.output.json_schema,
            effect=task.effect,
        )
        self.engine.documents.put(document)
        return document

    def _within_caps(self) -> None:
        if not self.account.asks_no_model:
            self.account.require_room()
        self.deadline.require()


def _may_change(task: Task, document: ProtocolDocument) -> bool:
    """Whether the document's effect is one that the task may have."""
    return task.effect != "safe" or (document.annex is not None and document.annex.effect == "safe")


_YES = re.compile(r"\W*(?:yes,? )?(?:i )?accept(?:ed)?\b", re.IGNORECASE)
_NO = re.compile(r"\W*(?:no|(?:i )?reject(?:ed)?|i (?:cannot|can['\u2019]t))\b", re.IGNORECASE)


def _new_in(said: str, earlier: str) -> str:
    """What an answer adds to the one before, which the package's LangChain conversations repeat in front of it."""
    while earlier and said.startswith(earlier):
        said = said.removeprefix(earlier).strip()
    return said


def _intent(task: Task) -> Intent:
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
