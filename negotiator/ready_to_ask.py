"""What stands ready to be asked with: a peer and a document that are known, and a mapping in both directions.

It is put together once, when the ladder in `ask` has gone well by a routine, and what need not be done anew for each
request is found out then; `ask_warm` goes by it.
"""

import math
from typing import Final

from negotiator.agreements import Agreed
from negotiator.asking import Asking
from negotiator.bounded import keep
from negotiator.dialects.agora import STANDARD_2025
from negotiator.engine import DocumentSchemas, Engine
from negotiator.fitting import sender_schemas
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import ASKED, Place
from negotiator.mapping import FieldMapping, Mapping
from negotiator.plan import by_routine
from negotiator.reach import SEEN_SECONDS, preferring
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.speaking import PeerRecord
from negotiator.standing import Standing
from negotiator.task import Task
from protocol_docs import ProtocolDocument
from protocol_docs.changes import LATEST

MAX_READY: Final = 1024
"""Pairs of a task and a peer for which something stands ready."""


class ReadyToAsk(Standing):
    """What a request for one task, of one peer, needs."""

    __slots__ = (
        "agreed",
        "around",
        "base_url",
        "copy",
        "digest",
        "document",
        "fields",
        "hashes",
        "noted",
        "opening",
        "peer",
        "plan",
        "prefer",
        "room",
        "runnable",
        "same_reply",
        "same_request",
        "schemas",
        "seconds",
        "tally",
        "until",
    )

    def __init__(
        self,
        engine: Engine,
        task: Task,
        base_url: str,
        peer: PeerRecord,
        agreed: Agreed,
        document: ProtocolDocument,
        schemas: DocumentSchemas,
        runnable: Runnable,
    ) -> None:
        super().__init__()
        self.digest = task.digest
        self.base_url = base_url
        self.peer = peer
        self.agreed = agreed
        self.document = document
        self.schemas = schemas
        self.runnable = runnable
        self.hashes = document.aliases[:2]
        """The document's, as requests name it."""
        self.opening = STANDARD_2025.opening(document.aliases)
        """What the bytes of each request begin with."""
        self.around = len(STANDARD_2025.request_under(self.opening, b"", ""))
        """Bytes of a request beside its body and its key."""
        self.room = math.inf if peer.body_bytes is None else peer.body_bytes
        """Bytes that the peer takes; see `PeerRecord.require_room`."""
        self.plan = by_routine(document.hash)
        self.seconds = 0
        """In how many seconds the peer was last asked to answer."""
        self.prefer = ""
        """The header that says so; see `preferring`."""
        self.tally = engine.ledger.tally(self.place)
        """Where the ledger counts it."""
        self.until = min(peer.expires, agreed.expires)
        """Unix seconds, when the one or the other expires."""
        into, back = runnable.routine.into.mapping, runnable.routine.back.mapping
        self.same_request = _same(task.named_input, schemas.request, into)
        """Whether a body that equals the task's input fits by having fitted; see `_same`."""
        self.same_reply = _same(task.output, schemas.reply, back)
        """The same of an output that equals the reply."""
        plain = self.same_request and not task.input.has_type and task.named_input.flat
        self.copy = into.compile_flat() if into is not None and plain else _in_doubt
        """What makes a body of an input: if it equals that and fits, it is plain JSON. None where that is in doubt."""
        self.fields = _all_fields(task.output, back) if self.same_reply else -1
        """How many fields a reply has that is the output as it is; below 0 where that is in doubt."""
        self.noted: object = None
        """The latest change when the peer's answer was last noted."""

    @property
    def place(self) -> Place:
        """What the ledger knows it by."""
        return Place(self.digest, ASKED, self.base_url)

    def is_as_it_was(self, engine: Engine) -> bool:
        """See `Standing.is_as_it_was`."""
        document = self.document
        self.noted = None
        self.tally = engine.ledger.tally(self.place)
        return (
            engine.reach.at_hand(self.base_url) is self.peer
            and engine.agreements.at_hand(self.digest, self.base_url) is self.agreed
            and engine.documents.stands(document.hash, document)
            and engine.routines.get(document.hash, "sender", self.digest) is self.runnable
        )

    def preferring(self, seconds: int) -> str:
        """The header that asks for an answer in so many seconds, kept for the next request, which mostly has as many."""
        self.seconds, self.prefer = seconds, preferring(seconds)
        return self.prefer

    def answered(self, engine: Engine, now: float) -> None:
        """Remember that the peer answered, where anything else was known of that."""
        if self.noted is not LATEST.change or now - self.peer.seen > SEEN_SECONDS:
            engine.reach.answered(self.base_url, self.peer)
            engine.peers.note(self.digest, self.base_url, "routine")
            self.noted = LATEST.change
        self.tally.number += 1


def prepare(work: Asking) -> None:
    """Have what a request went well with stand ready for the next one, where all of it is plain."""
    engine, task, base_url = work.engine, work.task, work.base_url
    peer, document, runnable = work.peer, work.document, work.runnable
    if peer is None or document is None or runnable is None or work.tier != "routine" or document is not work.agreed:
        return
    found: ReadyToAsk | None = engine.ready_to_ask.get((task.digest, base_url))
    agreed, schemas = engine.agreements.find(task.digest, base_url), sender_schemas(engine, task, document)
    now = peer, agreed, document, schemas, runnable
    if found is not None and (found.peer, found.agreed, found.document, found.schemas, found.runnable) == now:
        return
    plain = runnable.straight and peer.ours and peer.dialect == STANDARD_2025.name and not peer.negotiates
    if agreed is None or schemas is None or agreed.demoted or not plain:
        return
    ready = ReadyToAsk(engine, task, base_url, peer, agreed, document, schemas, runnable)
    keep(engine.ready_to_ask, (task.digest, base_url), ready, MAX_READY)


def _same(one: Schema, other: Schema, mapping: Mapping | None) -> bool:
    """Whether two schemas say the same, and what a mapping makes of a value holds what the value held, if it is equal.

    Equal alone says less: 1, 1.0 and true are equal, and are not the same to a schema. A schema that names its dialect
    may mean another thing by the same words.
    """
    if mapping is None or one != other or any(b'"$schema"' in canonical(each.json_schema) for each in (one, other)):
        return False
    return all(each in (_moved(each), FieldMapping(to=each.to, const={})) for each in mapping.fields)


def _all_fields(schema: Schema, mapping: Mapping | None) -> int:
    """How many fields a value has that a mapping as in `_same` makes of itself; below 0 where that is in doubt."""
    moved = set() if mapping is None else {field.to for field in mapping.fields if field.source is not None}
    named = {"/" + name for name in schema.json_schema.get("properties", {})}
    return len(named) if moved == named and schema.flat else -1


def _in_doubt(_value: JsonValue) -> JsonValue:
    return None


def _moved(field: FieldMapping) -> FieldMapping:
    """What puts a field where it was, or leaves it out."""
    return FieldMapping(to=field.to, source=field.to, required=field.required, null_is_absent=field.null_is_absent)
