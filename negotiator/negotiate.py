"""The sender's part in a negotiation, off the request's path: agree on a document, and make the routine.

How a peer is asked depends on what it speaks: our dialogue document where it lists it; Agora 0.2.0's negotiation
in words; to other Agora peers a document of ours is proposed by using it.
"""

from dataclasses import dataclass

from negotiator.adopting import VALID_SECONDS
from negotiator.choosing import LEAST_LIKENESS, likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import BudgetSpent, NotPossible
from negotiator.in_words import propose_in_words
from negotiator.ledger import ASKED, Account, Place
from negotiator.negotiation import Objection
from negotiator.planner import planned_document
from negotiator.selecting import select
from negotiator.sharing import listed_documents, proposals
from negotiator.speaking import PeerRecord
from negotiator.synthesis import make_sender
from negotiator.talk import Talk, document_of_task, may_change, remember_none
from negotiator.task import Task
from protocol_docs import ProtocolDocument

MAX_TRIED = 4
"""Documents of a peer that takes only its own that are tried, one after the other."""


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
        if engine.agreements.find(task.digest, base_url) is None:
            remember_none(engine, base_url, task, error)
        raise
    finally:
        engine.ledger.asked(engine.today, base_url, account)
        if made_alone and account.usage.calls:
            engine.ledger.routine(account)
        elif account.usage.calls or (not made_alone and engine.agreements.find(task.digest, base_url) is not None):
            engine.ledger.agreement(place.key, account)


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
        if peer.negotiates:
            return await self._selected(peer)
        if not peer.words or peer.about:  # another wire language has documents that are listed, or none
            return await self._from_listing(peer)
        if peer.dialect == "agora-0.2.0":
            return await self._in_words()
        return await self._propose_by_use()

    async def _selected(self, peer: PeerRecord) -> ProtocolDocument | None:
        """A peer that selects by itself: what it has selected, else a document of ours that it would serve."""
        chosen = await select(self.engine, self.base_url, peer, self.task, self.deadline)
        self.why = chosen.refused or self.why
        document = await self._from_listing(chosen)
        if document is None and not self.account.asks_no_model and self.task.natural_language:
            draft = document_of_task(self.engine, self.task)
            drafted = await self.engine.reach.drafted(peer, self.task, draft, self.deadline)
            document = await self._from_listing(drafted)
        return document

    async def _dialogue(self) -> ProtocolDocument | None:
        engine, task = self.engine, self.task
        candidates = [each.hash for each in await proposals(engine, task, self.deadline)]
        with Talk(engine, self.base_url, task, self.account, self.deadline) as talk:
            await talk.open(candidates)
            objections = await self._objections(talk)
            if objections:
                self.why = f"what the peer offers does not fit: {objections[0].detail[:200]}"
                await talk.counter(objections, document_of_task(engine, task))
                objections = await self._objections(talk)
            if objections or objections is None:
                return None
            document = await talk.document()
            selected = await talk.confirm()
        if selected is None:
            return None
        engine.agreements.agree(task.digest, self.base_url, document.hash, selected.valid_seconds)
        return document

    async def _objections(self, talk: Talk) -> tuple[Objection, ...] | None:
        """What stands in the way of the peer's answer; None where it has ended the negotiation."""
        if not talk.dialogue.over:
            return await talk.objections()
        if talk.reason and talk.dialogue.rounds == 1:
            self.why = f"the peer says: {talk.reason}"
        return None

    async def _from_listing(self, peer: PeerRecord) -> ProtocolDocument | None:
        """A peer that takes its own documents alone: the likeliest of those that our half can be made for."""
        about = (self.task.name, self.task.description)
        listed = [document async for document in listed_documents(self.engine, peer, self.deadline, about=about)]
        said = [(document.name, document.description) for document in listed]
        near = likeness((self.task.name, self.task.description), said)
        ranked = sorted(zip(listed, near, strict=True), key=lambda pair: (-pair[1], pair[0].hash))
        for document, lead in ranked[:MAX_TRIED]:
            if lead < LEAST_LIKENESS or not may_change(self.task, document):
                continue
            self.engine.documents.put(document)
            if await self._take(document) is not None:
                return document
        return None

    async def _in_words(self) -> ProtocolDocument | None:
        """Agora 0.2.0: propose our own document in its negotiation, and see whether it says yes."""
        document = await self._best()
        said = await propose_in_words(self.engine, self.base_url, self.task, document, self.account, self.deadline)
        if said is not None:
            self.why = f"the peer says: {said}"
            return None
        return await self._take(document)

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
        return found[0] if found else document_of_task(self.engine, self.task)
