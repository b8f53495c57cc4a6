"""Peers that select by themselves under what document a task is asked of them, as those of ANP do."""

from functools import partial

from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.speaking import PeerRecord
from negotiator.task import Task


async def select(engine: Engine, base_url: str, peer: PeerRecord, task: Task, deadline: Deadline) -> PeerRecord:
    """What such a peer has selected for a task, remembered or asked for; any other peer as it is.

    An agreement ends with what was selected; what is selected instead is adopted like anything that a peer lists. Asks
    no model on this side. Raises the `PeerError`s.
    """
    if not peer.negotiates:
        return peer
    words = task.natural_language and engine.has_model
    peer = await engine.reach.selected(
        peer, task, words=words, known=partial(engine.agreements.documents_for, task.digest), deadline=deadline
    )
    agreed = engine.agreements.find(task.digest, base_url)
    if agreed is not None and agreed.protocol_hash not in peer.listing:
        engine.agreements.drop(task.digest, base_url)
    if peer.refused is not None:
        seconds = engine.cost_policy.try_again_seconds
        engine.agreements.refuse(task.digest, base_url, f"the peer says: {peer.refused}", seconds)
    return peer
