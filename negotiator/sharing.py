"""What one peer taught serves the others: documents and routines that are at hand before anything is negotiated.

A sender looks at what its peer lists, into its own store, and into the directories that it was given, in that order.
What it finds there is data like any stranger's text: checked by its hash, held against the task's schemas by rule,
and used with a peer only once that peer lists it or agrees to it.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from negotiator.choosing import likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError
from negotiator.fitting import changes_less, judge_sender
from negotiator.routines import Routine
from negotiator.speaking import PeerRecord
from negotiator.task import Task
from protocol_docs import DocumentError, ProtocolDocument, catalog

MAX_LISTED: Final = 64
"""Documents of a peer's listing that are looked at for one task: where it tells what they are about, the nearest."""
MAX_FOUND: Final = 4
"""Documents of one search, at hand or in a directory, that are held against a task's schemas."""
NEAR: Final = 0.2
"""How like a task's words a document's must be (cosine, 0 to 1) before its schemas are compared."""
MAX_PROPOSED: Final = 16
"""Documents that are proposed to a peer at once."""


async def listed_documents(
    engine: Engine, peer: PeerRecord, until: Deadline, *, about: tuple[str, str], first: Sequence[str] = ()
) -> AsyncIterator[ProtocolDocument]:
    """The texts that a peer lists, those of the hashes `first` before the others, but for the catalog's.

    At hand, carried in the listing or fetched, and checked; what cannot be had by `until` is left out. Of a listing of
    more than `MAX_LISTED`, those come that are the likest to `about`, a name and a description.
    """
    listed = sorted(peer.listing, key=lambda name: name not in first)
    if len(listed) > MAX_LISTED:
        near = dict(zip(listed, likeness(about, [peer.names.get(name, ("", "")) for name in listed]), strict=True))
        listed.sort(key=lambda name: (name not in first, -near[name]))
    for spelling in listed[:MAX_LISTED]:
        left = until.remaining()
        if left <= 0:
            return
        try:
            document = engine.documents.get(spelling)
            if document is None:
                document = await engine.find_document((spelling,), tuple(peer.listing[spelling]), timeout=left)
        except DocumentError:
            continue
        if document.hash not in catalog.hashes() and engine.documents.revoked(document.hash) is None:
            yield document


def has_sender_routine(engine: Engine, task: Task, document: ProtocolDocument) -> bool:
    """Whether a routine for this task under this document is at hand, verified or, with a model, being verified."""
    found = engine.routines.get(document.hash, "sender", task.digest)
    if found is None or not engine.has_model:
        return found is not None and found.routine.serving
    return found.routine.state != "demoted"


async def proposals(engine: Engine, task: Task, deadline: Deadline) -> list[ProtocolDocument]:
    """Documents to propose to a peer for a task before one is drafted, the best first: at most `MAX_PROPOSED`.

    First those that another peer agreed to, then what fits by rule of those at hand, then of those in directories.
    """
    found: dict[str, ProtocolDocument] = {}
    for name in engine.agreements.documents_for(task.digest):
        document = engine.documents.get(name)
        if document is not None:
            found[document.hash] = document
    async for document in _searched(engine, task, deadline):
        if len(found) >= MAX_PROPOSED:
            break
        if document.hash not in found and _near(task, document) and await suits(engine, task, document):
            with suppress(DocumentError):
                engine.documents.put(document)
                found[document.hash] = document
    return list(found.values())[:MAX_PROPOSED]


async def suits(engine: Engine, task: Task, document: ProtocolDocument) -> bool:
    """Whether a document may be taken for a task without asking a model: a routine is there, or rules can make one.

    One that says that it changes nothing is not taken for a task that may: its peer is to say that it means the same.
    """
    if has_sender_routine(engine, task, document):
        return True
    return not changes_less(task, document) and (await judge_sender(engine, task, document)).ready


def _near(task: Task, document: ProtocolDocument) -> bool:
    return likeness((task.name, task.description), [(document.name, document.description)])[0] >= NEAR


async def _searched(engine: Engine, task: Task, deadline: Deadline) -> AsyncIterator[ProtocolDocument]:
    wanted = f"{task.name} {task.description}"
    with suppress(DocumentError):
        # In a thread: the first search of a store reads all of it.
        for hit in await asyncio.to_thread(engine.documents.search, wanted, MAX_FOUND):
            if hit.document.hash not in catalog.hashes():
                yield hit.document
    for directory in engine.directories:
        # A directory that is slow must not cost the negotiation its time.
        until = Deadline.after(max(deadline.remaining(), 0) / 4, engine.clock)
        with suppress(NegotiatorError):
            for entry in await directory.search(wanted, until, limit=MAX_FOUND):
                if engine.documents.get(entry.hash) is None and engine.documents.revoked(entry.hash) is None:
                    with suppress(DocumentError):
                        yield await directory.get(entry.hash, until)


def taught(engine: Engine, task: Task, document: ProtocolDocument) -> Routine | None:
    """What a routine for this document would be after one that serves the task under another with the same schemas.

    Its fields are settled and need no model. That the other document's prose means the same has still to be shown:
    it is good for a candidate, with shadow runs of its own.
    """
    schemas = engine.schemas_of(document)
    if schemas is None or not engine.has_model:
        return None
    wanted = (schemas.request.digest, schemas.reply.digest)
    for name in engine.agreements.documents_for(task.digest):
        other = engine.documents.get(name) if name != document.hash else None
        theirs = None if other is None else engine.schemas_of(other)
        if theirs is None or (theirs.request.digest, theirs.reply.digest) != wanted:
            continue
        found = engine.routines.serving(name, "sender", task.digest)
        if found is not None and not found.routine.whole:
            return replace(found.routine, protocol_hash=document.hash)
    return None


async def successor(
    engine: Engine, peer: PeerRecord, agreed: ProtocolDocument, until: Deadline
) -> ProtocolDocument | None:
    """The document that a peer lists and that says it replaces the agreed one; None where there is none."""
    async for document in listed_documents(engine, peer, until, about=(agreed.name, agreed.description)):
        annex = document.annex
        if annex is not None and annex.supersedes in agreed.aliases and document.hash != agreed.hash:
            return document
    return None
