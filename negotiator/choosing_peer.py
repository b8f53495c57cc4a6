"""Which of the peers that are known does a task, and under which document, where no peer was named.

Schemas decide wherever both sides have them. Words are compared, and where they leave it open the model asked, for
what has none. What peers hide from their listings is learned by negotiating, where nothing else is left.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from negotiator.adopting import own_words_first, take_listed
from negotiator.choosing import CLEAR_LEAD, LEAST_LIKENESS, likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import ModelError, NegotiatorError, NoPeerSuits
from negotiator.fitting import judge_sender
from negotiator.interpret import Interpreter
from negotiator.jsonvalue import JsonObject
from negotiator.ledger import Account
from negotiator.models.asking import quoted
from negotiator.negotiate import agree_and_make
from negotiator.peers import KnownPeer
from negotiator.prompts import prompt
from negotiator.sharing import has_sender_routine, listed_documents
from negotiator.speaking import PeerRecord
from negotiator.task import Task
from protocol_docs import ProtocolDocument, catalog

MAX_AT_ONCE: Final = 8
"""Peers that are asked what they list at a time."""
MAX_JUDGED: Final = 16
"""Documents whose schemas are held against the task's, the nearest in words first."""
MAX_SHOWN: Final = 12
"""Offers that the model chooses among."""
MAX_WORDS: Final = 500
"""Characters of one offer, and of the task, that the model is shown."""
MAX_NEGOTIATED: Final = 4
"""Peers that are negotiated with, one after the other, where nothing else told."""

_ROUTINE, _EXACT, _FITS, _NOTHING = 3, 2, 1, 0
_TIERS: Final = {"routine": 3, "structured": 2, "natural_language": 1, "failed": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The peer to ask."""

    base_url: str
    reason: str
    """A sentence for people."""
    account: Account = field(default_factory=Account)
    """What choosing has cost."""


@dataclass(slots=True)
class _Look:
    """What is seen of one peer."""

    peer: KnownPeer
    record: PeerRecord | None = None
    why_not: str = "it lists nothing that says what it does"
    documents: list[ProtocolDocument] = field(default_factory=list)
    standing: int = _NOTHING
    document: ProtocolDocument | None = None
    """The one that decided, where one did."""
    nearness: float = 0.0


async def choose_peer(engine: Engine, task: Task, deadline: Deadline) -> Chosen:
    """The known peer that does `task`.

    Raises:
        NoPeerSuits: no peer is known, or none of them does it; `looked_at` says why of each.
    """
    known = engine.peers.all()
    if not known:
        raise NoPeerSuits("no peer was named and none is known: name one, or make peers known with Agent.know")
    work = _Choosing(engine, task, deadline)
    try:
        return await work.run(known)
    except BaseException:
        engine.ledger.exchange("sender", "failed", f"sender/{task.digest}", work.account)
        raise


@dataclass(slots=True)
class _Choosing:
    engine: Engine
    task: Task
    deadline: Deadline
    account: Account = field(default_factory=Account)

    async def run(self, known: list[KnownPeer]) -> Chosen:
        at_once = asyncio.Semaphore(MAX_AT_ONCE)
        # What does not answer must leave the request the larger part of its time.
        until = Deadline.after(max(self.deadline.remaining(), 0) / 4, self.engine.clock)

        async def look(peer: KnownPeer) -> _Look:
            async with at_once:
                return await self._look(peer, until)

        looks = list(await asyncio.gather(*(look(peer) for peer in known)))
        await self._judge(looks)
        best = max(looks, key=self._order)
        if best.standing >= _FITS:
            if best.document is not None and not self._in_own_words(best):
                exact = best.standing == _EXACT
                url = best.peer.base_url
                await take_listed(self.engine, url, self.task, best.document, self.deadline, exact=exact)
            return self._chosen(best, _REASONS[best.standing])
        found = await self._by_words(looks) or await self._by_negotiation(looks)
        if found is not None:
            return found
        looked_at = tuple((each.peer.base_url, each.why_not) for each in looks)
        shown = "; ".join(f"{url}: {why}" for url, why in looked_at[:5])
        raise NoPeerSuits(f"no peer was named and none of the {len(looks)} known does this ({shown})", looked_at)

    def _in_own_words(self, best: _Look) -> bool:
        """Whether the request itself is to ask for a better document than the one that fits."""
        return best.standing == _FITS and own_words_first(self.engine, best.peer.base_url, best.record, self.task)

    async def _look(self, peer: KnownPeer, until: Deadline) -> _Look:
        seen = _Look(peer)
        try:
            seen.record = await self.engine.reach.discover(peer.base_url, until)
        except NegotiatorError as error:
            seen.why_not = f"it did not say what it lists ({error.code})"
            return seen
        seen.documents = [
            document async for document in listed_documents(self.engine, seen.record, until, about=_said(self.task))
        ]
        return seen

    # --- by schemas ---

    async def _judge(self, looks: list[_Look]) -> None:
        engine, task = self.engine, self.task
        offers = [(seen, document) for seen in looks if seen.record is not None for document in seen.documents]
        near = dict(
            zip(
                (document.hash for _, document in offers),
                likeness(_said(task), [(document.name, document.description) for _, document in offers]),
                strict=True,
            )
        )
        judged: dict[str, int] = {}
        for seen, document in sorted(offers, key=lambda offer: (-near[offer[1].hash], offer[1].hash)):
            if document.hash not in judged and has_sender_routine(engine, task, document):
                judged[document.hash] = _ROUTINE
            elif document.hash not in judged and len(judged) < MAX_JUDGED:
                fit = await judge_sender(engine, task, document)
                judged[document.hash] = _EXACT if fit.exact else _FITS if fit.ready else _NOTHING
            standing = judged.get(document.hash, _NOTHING)
            if standing > seen.standing:
                seen.standing, seen.document = standing, document
            seen.nearness = max(seen.nearness, near[document.hash])
        for seen in looks:
            self._look_back(seen)

    def _look_back(self, seen: _Look) -> None:
        """What was agreed with a peer before, or could not be."""
        engine, task, url = self.engine, self.task, seen.peer.base_url
        agreed = engine.agreements.find(task.digest, url)
        if seen.record is not None and agreed is not None and engine.documents.get(agreed.protocol_hash) is not None:
            ready = engine.routines.serving(agreed.protocol_hash, "sender", task.digest) is not None
            seen.standing, seen.document = max(seen.standing, _ROUTINE if ready else _FITS), None
        if seen.documents and seen.standing == _NOTHING:
            seen.why_not = f"none of the {len(seen.documents)} documents it lists fits the task's schemas"
        refused = engine.agreements.refused(task.digest, url)
        if refused is not None:
            seen.why_not = f"no agreement could be reached lately: {refused}"

    def _order(self, seen: _Look) -> tuple[int, int, float, float]:
        served = self.engine.peers.served(self.task.digest, seen.peer.base_url)
        tier = 0 if served is None else _TIERS[served.tier]
        answered = 0.0 if seen.record is None else seen.record.seen
        return seen.standing, tier, seen.nearness, answered

    # --- by words ---

    async def _by_words(self, looks: list[_Look]) -> Chosen | None:
        """For what has no schemas to go by; only where a model could then speak with the peer."""
        if not self.engine.has_model or not self.task.natural_language:
            return None
        offers = [(seen, words) for seen in looks if seen.record is not None for words in _offers_in_words(self, seen)]
        if not offers:
            return None
        near = likeness(_said(self.task), [words for _, words in offers])
        ranked = sorted(zip(offers, near, strict=True), key=lambda each: (-each[1], each[0][0].peer.base_url))
        (best, _), lead = ranked[0]
        others = [nearness for (seen, _), nearness in ranked if seen is not best]
        if lead >= LEAST_LIKENESS and lead >= CLEAR_LEAD * max(others, default=0.0):
            return self._chosen(best, "its own words are the nearest to the task's")
        shown = [offer for offer, _ in ranked[:MAX_SHOWN]]
        try:
            number = await self._asked([words for _, words in shown])
        except ModelError:
            return self._chosen(best, "its own words are the nearest to the task's") if lead >= LEAST_LIKENESS else None
        if number is None:
            for seen, _ in shown:
                seen.why_not = "what it says of itself is not what the task wants"
            return None
        return self._chosen(shown[number][0], "the model takes its words for what the task wants")

    async def _asked(self, offers: list[tuple[str, str]]) -> int | None:
        """The number of the offer that the model chooses. Raises `ModelError`."""
        listed = "\n".join(
            " ".join(f"{number}. {name}: {text}".split())[:MAX_WORDS] for number, (name, text) in enumerate(offers, 1)
        )
        system, user = prompt(
            "choose_peer",
            task=f"{self.task.name}: {self.task.description}"[:MAX_WORDS],
            offers=quoted(listed, MAX_SHOWN * MAX_WORDS),
        )
        numbers = [str(number) for number in range(1, len(offers) + 1)]
        schema: JsonObject = {
            "type": "object",
            "properties": {"offer": {"enum": [*numbers, "none"]}},
            "required": ["offer"],
            "additionalProperties": False,
        }
        interpreter = Interpreter(self.engine.model, self.account, self.deadline)
        answer = await interpreter.choose("choose_peer", system, user, schema, 32)
        return None if answer["offer"] == "none" else int(answer["offer"]) - 1

    # --- by asking ---

    async def _by_negotiation(self, looks: list[_Look]) -> Chosen | None:
        """Peers that list only what was agreed tell what else they do when they are asked for it."""
        dialogue = set(catalog.negotiation_dialogue().aliases)
        willing = [seen for seen in looks if seen.record is not None and dialogue & set(seen.record.listing)]
        for seen in sorted(willing, key=self._order, reverse=True)[:MAX_NEGOTIATED]:
            url = seen.peer.base_url
            if self.engine.agreements.refused(self.task.digest, url) is not None:
                continue
            engine, task = self.engine, self.task
            key = f"agree/{task.digest}/{url}"
            engine.learner.start(key, partial(agree_and_make, engine, url, task))
            await engine.learner.wait_for(key)
            if engine.agreements.find(task.digest, url) is not None:
                return self._chosen(seen, "it agreed to a document for the task")
            seen.why_not = engine.agreements.refused(task.digest, url) or "no agreement was reached"
        return None

    def _chosen(self, seen: _Look, reason: str) -> Chosen:
        return Chosen(base_url=seen.peer.base_url, reason=reason, account=self.account)


_REASONS: Final = {
    _ROUTINE: "a verified routine is ready for a document that it lists or agreed to",
    _EXACT: "it lists a document whose schemas are the task's",
    _FITS: "it lists or agreed to a document whose schemas map onto the task's",
}


def _said(task: Task) -> tuple[str, str]:
    return task.name, task.description


def _offers_in_words(work: _Choosing, seen: _Look) -> Sequence[tuple[str, str]]:
    """What a peer says of itself where schemas did not decide: what it is known for, and its documents without any."""
    in_prose = (document for document in seen.documents if work.engine.schemas_of(document) is None)
    offers = [(document.name, document.description) for document in in_prose]
    offers += () if seen.record is None else seen.record.says
    return [(seen.peer.about, ""), *offers] if seen.peer.about.strip() else offers
