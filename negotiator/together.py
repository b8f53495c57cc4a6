"""More than two parties, one document: the opener negotiates with each peer, and agrees when all hold the same hash.

The dialogue is the one that two parties have. Nothing is agreed before every peer has accepted one and the same
document; which one that is depends on what they accept, never on the order in which they were asked.
"""

import hashlib
from collections import Counter as Tally
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError, NotPossible, UsageError
from negotiator.ledger import Account
from negotiator.sharing import proposals
from negotiator.talk import Talk, document_of_task, remember_none, stands_against
from negotiator.task import Task
from protocol_docs import ProtocolDocument

MAX_PARTIES: Final = 32
"""Peers of one agreement."""
MAX_DOCUMENTS: Final = 4
"""Documents that are put to all of them, one after the other."""


async def agree_together(engine: Engine, base_urls: Sequence[str], task: Task) -> ProtocolDocument:
    """Agree on one document for `task` with all peers, make this side's routine for it, and return the document.

    The caps of the cost policy hold for all of it together. Where there is no document that all accept, that is
    remembered for as long as any other "no agreement", and nothing is agreed with any of them.

    Raises `UsageError` for no peer, or more than `MAX_PARTIES`; `NotPossible` where there is no such document, or was
    none lately; the `PeerError`s, `ModelError`s, `BudgetSpent` and `DeadlinePassed`.
    """
    urls = sorted(set(base_urls))
    if not urls or len(urls) > MAX_PARTIES:
        raise UsageError(f"name from 1 to {MAX_PARTIES} peers")
    policy, group = engine.cost_policy, _group(urls)
    rooms = [room for room in (engine.ledger.room(engine.today, url) for url in urls) if room is not None]
    account = Account(max_usd=min([policy.max_negotiation_usd, *rooms]), max_tokens=policy.max_negotiation_tokens)
    deadline = Deadline.after(policy.max_negotiation_seconds, engine.clock)
    async with engine.flights.alone(f"agree/{task.digest}/{group}", deadline):
        refused = engine.agreements.refused(task.digest, group)
        if refused is not None:
            raise NotPossible(refused)
        return await _agreed(engine, urls, task, account, deadline)


async def _agreed(
    engine: Engine, urls: Sequence[str], task: Task, account: Account, deadline: Deadline
) -> ProtocolDocument:
    group = _group(urls)
    with ExitStack() as talks:
        try:
            return await _Parties(engine, urls, task, account, deadline, talks).agree()
        except NegotiatorError as error:
            remember_none(engine, group, task, error)
            raise
        finally:
            engine.ledger.asked(engine.today, group, account)
            if account.usage.calls:
                engine.ledger.routine(account)


def _group(urls: Sequence[str]) -> str:
    return "together/" + hashlib.sha256("\n".join(urls).encode()).hexdigest()


@dataclass(slots=True)
class _Parties:
    engine: Engine
    urls: Sequence[str]
    task: Task
    account: Account
    deadline: Deadline
    stack: ExitStack
    talks: dict[str, Talk] = field(default_factory=dict)
    why: str = "no document is accepted by all"

    async def agree(self) -> ProtocolDocument:
        for document in await self._documents():
            if await stands_against(self.engine, self.task, document, self.account, self.deadline):
                continue
            if all([await self._holds(url, document) for url in self.urls]):
                return await self._confirmed(document)
        raise NotPossible(self.why)

    async def _documents(self) -> list[ProtocolDocument]:
        """What to put to all: what most of them select by themselves first, then by hash, which is no peer's choice."""
        own = document_of_task(self.engine, self.task)
        known = {each.hash: each for each in (*await proposals(self.engine, self.task, self.deadline), own)}
        votes: Tally[str] = Tally()
        for url in self.urls:
            peer = await self.engine.reach.discover(url, self.deadline)
            if not peer.ours:
                raise NotPossible(f"{url} does not speak our negotiation dialogue")
            talk = await self._opened(url, list(known))
            if talk.selected is None:
                raise NotPossible(f"{url} offers nothing that does this" + (f": {talk.reason}" if talk.reason else ""))
            document = await talk.document()
            known[document.hash] = document
            votes[document.hash] += 1
        return sorted(known.values(), key=lambda each: (-votes[each.hash], each.hash))[:MAX_DOCUMENTS]

    async def _opened(self, url: str, candidates: Sequence[str]) -> Talk:
        talk = self.stack.enter_context(Talk(self.engine, url, self.task, self.account, self.deadline))
        self.talks[url] = talk
        await talk.open(candidates)
        return talk

    async def _holds(self, url: str, document: ProtocolDocument) -> bool:
        """Whether the peer now offers this document; it is asked for it where it offers another."""
        talk = self.talks[url]
        if talk.dialogue.over or talk.dialogue.rounds + 2 > talk.dialogue.max_rounds:
            talk = await self._opened(url, [document.hash])
        if talk.selected is not None and talk.selected.protocol_hash != document.hash:
            await talk.counter((), document)
        holds = talk.selected is not None and talk.selected.protocol_hash == document.hash
        if not holds and talk.reason:
            self.why = f"{url} does not accept what the others do: {talk.reason}"
        return holds

    async def _confirmed(self, document: ProtocolDocument) -> ProtocolDocument:
        valid = []
        for url in self.urls:
            selected = await self.talks[url].confirm()
            if selected is None:
                raise NotPossible(f"{url} does not confirm what it accepted")
            valid.append(selected.valid_seconds)
        for url in self.urls:
            # What holds for all holds for as long as the first of them serves it.
            self.engine.agreements.agree(self.task.digest, url, document.hash, min(valid))
        return document
