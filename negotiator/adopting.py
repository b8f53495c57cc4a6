"""Documents that a peer lists, taken without a word: to list a document is to offer it."""

from contextlib import suppress
from typing import Final

from negotiator.agreements import Agreed
from negotiator.choosing import CLEAR_LEAD, LEAST_LIKENESS, likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.fitting import Fit, changes_less, judge_sender
from negotiator.ledger import Account
from negotiator.sharing import has_sender_routine, listed_documents, successor
from negotiator.speaking import PeerRecord
from negotiator.synthesis import make_sender
from negotiator.task import Task
from protocol_docs import ProtocolDocument, StoreUnusable

VALID_SECONDS: Final = 2_592_000.0
"""How long an agreement that a peer put no date on is taken to hold: 30 days."""
AGREE_FIRST: Final = ("agree first",)
"""What is looked for, at a peer and for a task, by asking for a document before the first exchange."""
_TAUGHT: Final = Fit(ready=True, exact=False)


async def adopt_listed(
    engine: Engine,
    base_url: str,
    peer: PeerRecord,
    task: Task,
    deadline: Deadline,
) -> Agreed | None:
    """Take a document that the peer lists and that fits the task by rule, without a word or a model.

    Looked for once per listing; a document that fits only with a model's help is left to a negotiation. Many functions
    have the same schemas: the one is taken whose words are the nearest to the task's, and one that may have an effect
    only where they have something in common. One that fits, but not so that a routine serves at once, waits until the
    peer was asked for a document in the task's own words, see `own_words_first`.
    """
    own_words = own_words_first(engine, base_url, peer, task)
    if not engine.first_look(base_url, task.digest, (peer.selection, str(own_words), *peer.listing)):
        return None
    # A listing whose addresses do not answer must leave the request the larger part of its time.
    until = Deadline.after(max(deadline.remaining(), 0) / 4, engine.clock)
    known = engine.agreements.documents_for(task.digest)
    about = (task.name, task.description)
    documents = [each async for each in listed_documents(engine, peer, until, about=about, first=known)]
    near = likeness(about, [(each.name, each.description) for each in documents])
    ranked = sorted(zip(documents, near, strict=True), key=lambda pair: (pair[0].hash not in known, -pair[1]))
    passed_over = 0.0
    for document, lead in ranked:
        if passed_over >= max(CLEAR_LEAD * lead, LEAST_LIKENESS) and document.hash not in known:
            break  # what is meant is there, and rules cannot do it: nothing else will do instead
        safe = document.annex is not None and document.annex.effect == "safe"
        if lead < LEAST_LIKENESS and not safe and document.hash not in known:
            continue
        if peer.ours and changes_less(task, document) and document.hash not in known:
            continue  # it can be asked for what is meant, which it may not have listed yet
        # What another peer's agreement brought need not be judged again.
        fit = _TAUGHT if has_sender_routine(engine, task, document) else await judge_sender(engine, task, document)
        serves = fit.exact or fit is _TAUGHT
        if serves or (fit.ready and not own_words):
            await take_listed(engine, base_url, task, document, deadline, exact=fit.exact)
            return engine.agreements.find(task.digest, base_url)
        passed_over = max(passed_over, lead)
    return None


def agrees_first(engine: Engine, peer: PeerRecord | None) -> bool:
    """Whether a document is asked for before the first exchange, as far as that takes no model here."""
    policy = engine.cost_policy
    return policy.agree_first and policy.counts is None and peer is not None and peer.ours


def own_words_first(engine: Engine, base_url: str, peer: PeerRecord | None, task: Task) -> bool:
    """Whether the peer is yet to be asked, by rule alone, for a document in the task's own words.

    Under such a document this side's half is exact, and the peer's is learned once for all that have these schemas.
    Another asker's document would have to be shadowed here first, and by each asker again: one that comes a few times
    would never be done with it.
    """
    return (
        agrees_first(engine, peer)
        and not engine.looked(base_url, task.digest, AGREE_FIRST)
        and engine.agreements.refused(task.digest, base_url) is None
    )


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
