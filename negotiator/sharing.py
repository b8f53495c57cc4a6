"""What one peer taught serves the others: documents and routines that are at hand before anything is negotiated.

A sender looks at what its peer lists, into its own store, and into the directories that it was given, in that order.
What it finds there is data like any stranger's text: checked by its hash, held against the task's schemas by rule,
and used with a peer only once that peer lists it or agrees to it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError
from negotiator.fitting import judge_sender
from negotiator.reach import PeerRecord
from negotiator.routines import Routine, Verdict
from negotiator.task import Task
from protocol_docs import DocumentError, ProtocolDocument, catalog

MAX_LISTED: Final = 64
"""Documents of a peer's listing that are looked at for one task."""
MAX_FOUND: Final = 8
"""Documents of one search, at hand or in a directory, that are held against a task's schemas."""
MAX_PROPOSED: Final = 4
"""Documents that are proposed to a peer at once."""


async def listed_documents(
    engine: Engine, peer: PeerRecord, until: Deadline, *, first: Sequence[str] = ()
) -> AsyncIterator[ProtocolDocument]:
    """The texts that a peer lists, those of the hashes `first` before the others, but for the catalog's.

    At hand, carried in the listing or fetched, and checked; what cannot be had by `until` is left out.
    """
    listed = list(peer.listing)[:MAX_LISTED]
    for spelling in sorted(listed, key=lambda name: name not in first):
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
    """Whether a routine for this task under this document is at hand, verified or being verified."""
    found = engine.routines.get(document.hash, "sender", task.digest)
    return found is not None and found.routine.state != "demoted"


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
        if document.hash not in found and await suits(engine, task, document):
            with suppress(DocumentError):
                engine.documents.put(document)
                found[document.hash] = document
    return list(found.values())[:MAX_PROPOSED]


async def suits(engine: Engine, task: Task, document: ProtocolDocument) -> bool:
    """Whether a document may be taken for a task without asking a model: a routine is there, or rules can make one."""
    return has_sender_routine(engine, task, document) or (await judge_sender(engine, task, document)).ready


async def _searched(engine: Engine, task: Task, deadline: Deadline) -> AsyncIterator[ProtocolDocument]:
    wanted = f"{task.name} {task.description}"
    with suppress(DocumentError):
        for hit in engine.documents.search(wanted, MAX_FOUND):
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
    """A candidate for this document, of a routine that serves the task under another one with the same schemas.

    Its fields are settled and need no model; that the other document's prose means the same has still to be shown,
    so it serves only after shadow runs of its own, unless the schemas leave no choice.
    """
    schemas = engine.schemas_of(document)
    if schemas is None:
        return None
    for name in engine.agreements.documents_for(task.digest):
        other = engine.documents.get(name)
        if other is None or other.hash == document.hash:
            continue
        theirs = engine.schemas_of(other)
        same = theirs is not None and (theirs.request.digest, theirs.reply.digest) == (
            schemas.request.digest,
            schemas.reply.digest,
        )
        found = engine.routines.serving(other.hash, "sender", task.digest) if same else None
        if found is not None:
            verdict = Verdict(
                passed=False,
                basis="examples_and_shadow",
                firm=found.routine.verdict.firm,
                sandbox_policy=found.routine.verdict.sandbox_policy,
                detail=f"as under {other.hash}",
            )
            return replace(found.routine, protocol_hash=document.hash, state="candidate", verdict=verdict)
    return None


def successor(engine: Engine, peer: PeerRecord, agreed: ProtocolDocument) -> ProtocolDocument | None:
    """The document in a peer's listing that says it replaces the one agreed; None where there is none at hand."""
    for spelling in list(peer.listing)[:MAX_LISTED]:
        with suppress(DocumentError):
            document = engine.documents.get(spelling)
            if document is None:
                continue
            annex = document.annex
            if annex is not None and annex.supersedes in agreed.aliases and document.hash != agreed.hash:
                return document
    return None
