"""The planner model, for what rules do not decide: whether a document without usable schemas is about a task.

It is given the task, what is known of the peer, and the candidate documents, and answers a tier, a hash and a reason,
bound to a schema in which only those tiers and hashes occur. What it saw is what its answer is kept under, so that it
is asked once. It is asked where an agreement is worth its price, never on the path of a request that has one; an
answer that is bad or late leaves the choice to the rules, which go on as if it had not been asked.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.bounded import keep
from negotiator.choosing import likeness
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import ModelError
from negotiator.interpret import Interpreter
from negotiator.journal import digest_of
from negotiator.jsonvalue import JsonObject
from negotiator.ledger import Account
from negotiator.models.asking import quoted
from negotiator.prompts import prompt
from negotiator.sharing import listed_documents
from negotiator.speaking import PeerRecord
from negotiator.task import Task
from protocol_docs import ProtocolDocument
from protocol_docs.errors import StoreUnusable

MAX_CANDIDATES: Final = 6
"""Documents that it is shown, those nearest to the task in words."""
MAX_SECONDS: Final = 60.0
"""What it may take to answer, seconds; at most a third of the time that is left."""
MAX_REASON: Final = 200
"""Characters of its reason."""
_MAX_SHOWN: Final = 400
"""Characters of a candidate, and of the task, that it is shown."""
_DIGITS: Final = 12
"""Digits of a hash that it is shown, where they tell the candidates apart."""
_NONE: Final = "none"
_ANSWERS: Final = 1024
_PREFIX: Final = "plans/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the planner model answered, checked."""

    tier: Literal["structured", "natural_language"]
    protocol_hash: str | None
    """One of the candidates', for `structured`; None for `natural_language`."""
    reason: str
    """For logs: its words may be those of a document, so nothing is done because of them."""


async def planned_document(
    engine: Engine, peer: PeerRecord, task: Task, account: Account, deadline: Deadline
) -> ProtocolDocument | None:
    """The document of the peer's listing that the planner model takes for the task's; None leaves it to the rules.

    Only documents without usable schemas are put to it: of the others, schemas decide.
    """
    if not engine.has_model:
        return None
    listed = [
        document async for document in listed_documents(engine, peer, deadline, about=(task.name, task.description))
    ]
    open_ones = [document for document in listed if engine.schemas_of(document) is None and _may(task, document)]
    candidates = _nearest(task, open_ones)[:MAX_CANDIDATES]
    if not candidates:
        return None
    digest = _digest(engine, task, peer, candidates)
    choice = _kept(engine, digest)
    if choice is None:
        choice = await _ask(engine, peer, task, candidates, account, deadline)
        if choice is None:
            return None
        _keep(engine, digest, choice)
    return next((document for document in candidates if document.hash == choice.protocol_hash), None)


def _nearest(task: Task, documents: Sequence[ProtocolDocument]) -> list[ProtocolDocument]:
    near = likeness((task.name, task.description), [(each.name, each.description) for each in documents])
    ranked = sorted(zip(documents, near, strict=True), key=lambda each: (-each[1], each[0].hash))
    return [document for document, _ in ranked]


def _kept(engine: Engine, digest: str) -> Choice | None:
    text = engine.planned.get(digest)
    with suppress(ValidationError, StoreUnusable):
        text = text or engine.text.get(_PREFIX + digest)
        return None if text is None else adapter(Choice).validate_json(text)
    return None


def _keep(engine: Engine, digest: str, choice: Choice) -> None:
    text = adapter(Choice).dump_json(choice).decode()
    keep(engine.planned, digest, text, _ANSWERS)
    with suppress(StoreUnusable):
        engine.text.put(_PREFIX + digest, text)


def _may(task: Task, document: ProtocolDocument) -> bool:
    """A safe task never goes under a document that says that it changes something."""
    return not (task.effect == "safe" and document.annex is not None and document.annex.effect == "transactional")


def _digest(engine: Engine, task: Task, peer: PeerRecord, candidates: Sequence[ProtocolDocument]) -> str:
    capabilities = digest_of([peer.dialect, peer.ours, sorted(peer.listing)])
    documents = digest_of([document.hash for document in candidates])
    return digest_of([1, engine.model.name, task.digest, task.natural_language, capabilities, documents])


async def _ask(
    engine: Engine,
    peer: PeerRecord,
    task: Task,
    candidates: Sequence[ProtocolDocument],
    account: Account,
    deadline: Deadline,
) -> Choice | None:
    names = _names(candidates)
    system, user = prompt(
        "plan",
        task=_line(f"{task.name}: {task.description}"),
        peer=f"It speaks {peer.dialect} and lists {len(peer.listing)} documents.",
        candidates=quoted(
            "\n".join(f"{name}: {_line(f'{each.name}: {each.description}')}" for name, each in names.items()),
            MAX_CANDIDATES * (_MAX_SHOWN + 80),
        ),
    )
    until = Deadline.after(min(MAX_SECONDS, max(deadline.remaining(), 0) / 3), engine.clock)
    interpreter = Interpreter(engine.model, account, until)
    try:
        async with asyncio.timeout(until.remaining()):
            answer = await interpreter.choose("plan", system, user, _schema(list(names)), 160)
    except (ModelError, TimeoutError):
        return None
    document = names.get(answer["protocol_hash"])
    # Half an answer is none: a tier without its document, or a document for a tier that has none.
    if (answer["tier"] == "structured") is not (document is not None):
        return None
    return Choice(
        tier=answer["tier"],
        protocol_hash=None if document is None else document.hash,
        reason=_line(answer["reason"])[:MAX_REASON],
    )


def _names(candidates: Sequence[ProtocolDocument]) -> dict[str, ProtocolDocument]:
    """The candidates under as many digits of their hashes as a model can copy, or under all of them."""
    short = {document.hash[: len("sha256:") + _DIGITS]: document for document in candidates}
    return short if len(short) == len(candidates) else {document.hash: document for document in candidates}


def _schema(names: list[str]) -> JsonObject:
    return {
        "type": "object",
        "properties": {
            "tier": {"enum": ["structured", "natural_language"]},
            "protocol_hash": {"enum": [*names, _NONE]},
            "reason": {"type": "string", "maxLength": MAX_REASON},
        },
        "required": ["tier", "protocol_hash", "reason"],
        "additionalProperties": False,
    }


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_SHOWN]
