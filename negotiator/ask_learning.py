"""What a request knows of its cost before it is asked, and what it leaves to be learned after it was answered."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial

from negotiator.adopting import AGREE_FIRST, adopt_successor, agrees_first
from negotiator.asking import Asking
from negotiator.errors import BudgetSpent
from negotiator.heat import expected_exchanges
from negotiator.negotiate import agree_and_make
from negotiator.plan import SenderSituation, Spending, agreement_due, routine_due
from protocol_docs import ProtocolDocument, catalog


def situation_of(work: Asking, document: ProtocolDocument | None) -> SenderSituation:
    """What the plan is made of, where no routine is ready; it reads the store."""
    return SenderSituation(
        document=None if document is None else document.hash,
        model=work.engine.has_model,
        natural_language=work.may_use_words,
        negotiable=work.engine.agreements.refused(work.task.digest, work.base_url) is None,
        spending=_spending(work, work.place.key),
    )


def _spending(work: Asking, key: str, bought: str = "agreements") -> Spending:
    ledger, policy = work.engine.ledger, work.engine.cost_policy
    expected = expected_exchanges(ledger.evidence(work.place), policy.horizon_seconds)
    return replace(ledger.spending(key, bought=bought), expected=expected)


def may_agree_first(work: Asking) -> bool:
    """Whether to agree before the first exchange; True once for a task and a peer."""
    first = agrees_first(work.engine, work.peer)
    return first and work.engine.first_look(work.base_url, work.task.digest, AGREE_FIRST)


def may_look(work: Asking) -> bool:
    """Whether the peer's listing is looked at."""
    counts = work.engine.cost_policy.counts
    return counts is None or work.engine.ledger.spending(work.place.key).exchanges >= counts.look


def require_room(work: Asking) -> None:
    """Bound this request by what is left of the day's budgets. Raises `BudgetSpent`."""
    work.account.max_usd = work.engine.ledger.room(work.engine.today, work.base_url)
    if work.account.max_usd is not None and work.account.max_usd <= 0:
        raise BudgetSpent("the day's budget for asking is spent")


def learn(work: Asking) -> None:
    """Begin what is worth its price now that this exchange is paid for."""
    _follow_listing(work)
    if work.tier == "routine":
        return
    document, by_rule = work.document, False
    if document is None:
        situation = situation_of(work, None)
        due = agreement_due(situation, work.engine.cost_policy)
        if not due and agrees_first(work.engine, work.peer) and situation.negotiable and situation.model:
            # What the peer was not ready for it may be now, and to ask costs no model call here; but each time
            # leaves it a dialogue to remember, so ask after 1, 2, 4, 8 ... exchanges.
            number = situation.spending.exchanges
            due = by_rule = number & (number - 1) == 0
    else:
        due = work.engine.routines.wanted(document.hash, "sender", work.task.digest)
        by_rule = due and not routine_due(_under_spending(work, document), work.engine.cost_policy)
    if due:
        engine, base_url, task = work.engine, work.base_url, work.task
        engine.learner.start(work.learning_key, lambda: agree_and_make(engine, base_url, task, by_rule=by_rule))


def _under_spending(work: Asking, document: ProtocolDocument) -> Spending:
    earlier = work.engine.ledger.spending(work.place.key).exchanges
    return replace(_spending(work, work.place.under(document.hash), "routines"), earlier=earlier)


def _follow_listing(work: Asking) -> None:
    """Look for a successor of the document, once for each listing."""
    engine, base_url, task, peer, document = work.engine, work.base_url, work.task, work.peer, work.document
    if document is None or peer is None or not engine.new_listing(base_url, task.digest, peer):
        return
    if peer.listing.keys() - catalog.hashes() - set(document.aliases):
        key = f"successor/{task.digest}/{base_url}"
        engine.learner.start(key, partial(adopt_successor, engine, base_url, peer, task, document))


async def negotiate_now(work: Asking, *, by_rule: bool) -> None:
    """Agree now; `by_rule` where the exchange can go on without, so that it takes no model and little time."""
    engine, base_url, task = work.engine, work.base_url, work.task
    engine.learner.start(work.learning_key, lambda: agree_and_make(engine, base_url, task, by_rule=by_rule))
    with suppress(TimeoutError):
        async with asyncio.timeout(max(work.deadline.remaining(), 0) / 4 if by_rule else None):
            await engine.learner.wait_for(work.learning_key)
