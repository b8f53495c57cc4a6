"""The sender's short road: a peer and a document that are known, a mapping in both directions, and nothing in doubt.

What stands ready for a task and a peer is put together once, when the ladder in `ask` has gone well by a routine. A
request then takes a look whether it still stands, a check, a mapping, a check, its bytes, and the same backwards. Where
anything is in doubt before bytes leave, nothing is done here, and the ladder takes the request from its start. Where
what comes back is anything but a plain success, the ladder takes the request up where it is: what was sent is not sent
again.
"""

import math
import re
from typing import Final, NamedTuple

import orjson

from negotiator.agora_replies import is_ours
from negotiator.agreements import Agreed
from negotiator.asking import Asking, Left
from negotiator.bounded import keep
from negotiator.clock import Deadline
from negotiator.dialects.agora import STANDARD_2025
from negotiator.dialects.json_body import write
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import PeerHungUp
from negotiator.events import listener
from negotiator.fitting import sender_schemas
from negotiator.in_time import by, rest
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import ASKED, Account, Place
from negotiator.mapping import FieldMapping, Mapping
from negotiator.messages import PeerTier
from negotiator.outcome import Outcome, Step, warm_outcome
from negotiator.plan import Plan, by_routine
from negotiator.reach import SEEN_SECONDS, preferring, waits_for
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.speaking import PeerRecord
from negotiator.standing import Standing
from negotiator.task import Task
from negotiator.wire import WireReply, post_of
from protocol_docs import ProtocolDocument
from protocol_docs.changes import LATEST

MAX_READY: Final = 1024
"""Pairs of a task and a peer for which something stands ready."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_JSON: Final = "application/json"
_OURS: Final = {"content-type": _JSON, ENGINE_HEADER: ENGINE}


class ReadyToAsk(Standing):
    """What a request for one task, of one peer, needs."""

    __slots__ = (
        "agreed",
        "around",
        "base_url",
        "digest",
        "document",
        "hashes",
        "noted",
        "opening",
        "peer",
        "plan",
        "room",
        "runnable",
        "same_reply",
        "same_request",
        "schemas",
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
        self.tally = engine.ledger.tally(self.place)
        """Where the ledger counts it."""
        self.until = min(peer.expires, agreed.expires)
        """Unix seconds, when the one or the other expires."""
        self.same_request = _same(task.named_input, schemas.request, runnable.routine.into.mapping)
        """Whether a body that equals the task's input fits by having fitted; see `_same`."""
        self.same_reply = _same(task.output, schemas.reply, runnable.routine.back.mapping)
        """The same of an output that equals the reply."""
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

    def answered(self, engine: Engine, now: float) -> None:
        """Remember that the peer answered, where anything else was known of that."""
        if self.noted is not LATEST.change or now - self.peer.seen > SEEN_SECONDS:
            engine.reach.answered(self.base_url, self.peer)
            engine.peers.note(self.digest, self.base_url, "routine")
            self.noted = LATEST.change
        self.tally.number += 1


class UnderWay(NamedTuple):
    """A request that was sent, and whose result is for the ladder to judge."""

    ready: ReadyToAsk
    payload: JsonValue
    left: Left
    started: float
    """`clock.monotonic()` seconds."""
    planned: float
    """Seconds from the start to the plan."""

    def go_on(self, work: Asking) -> Plan:
        """Have `work` stand where this is; returns the plan that it went by."""
        ready = self.ready
        work.payload, work.peer, work.agreed, work.runnable = self.payload, ready.peer, ready.document, ready.runnable
        work.left, work.started, work.reason = self.left, self.started, ready.plan.reason
        work.steps.append(Step("plan", f"{ready.plan.tier}: {ready.plan.reason}", self.planned * 1000))
        return ready.plan


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


def _moved(field: FieldMapping) -> FieldMapping:
    """What puts a field where it was, or leaves it out."""
    return FieldMapping(to=field.to, source=field.to, required=field.required, null_is_absent=field.null_is_absent)


async def ask_warm(
    engine: Engine,
    base_url: str,
    task: Task,
    value: object,
    deadline: Deadline,
    key: str,
    account: Account | None,
    *,
    drawn: bool = False,
) -> Outcome | UnderWay | None:
    """What a request came to, by the short road; None where nothing was done. What is under way is for the ladder.

    `drawn`: the key is one of the engine's own. Raises only on cancellation.
    """
    clock = engine.clock
    started = clock.monotonic()
    try:
        place, now = (task.digest, base_url), clock.time()
        ready: ReadyToAsk | None = engine.ready_to_ask.get(place)
        if ready is None or ready.until <= now or not ready.stands(engine):
            engine.ready_to_ask.pop(place, None)
            return None
        if (
            deadline.at <= started
            or listener() is not None
            or not (drawn or _PLAIN_KEY.fullmatch(key))
            or (account is not None and account.usage.calls)
        ):
            return None
        said = _said(ready, task, value)
        if said is None or (size := ready.around + len(said[2]) + len(key)) > ready.room:
            return None
    except Exception:  # noqa: BLE001 - the ladder meets it again, and knows what it means
        return None
    payload, body, written = said
    planned = clock.monotonic() - started
    reach, seconds = engine.reach, waits_for(deadline.at - started)
    taker = reach.taker(base_url)
    handed = None if taker is None else taker(body, ready.hashes, key, written, size, seconds)
    came: WireReply | JsonObject
    try:
        if handed is not None:
            # As `by` does it, without a frame around what mostly does not wait.
            try:
                waits = handed.send(None)
            except StopIteration as done:
                came = done.value
            else:
                came = await rest(deadline, handed, waits)
        else:
            data = STANDARD_2025.request_under(ready.opening, written, key)
            headers = {
                "content-type": _JSON,
                "accept": _JSON,
                "idempotency-key": key,
                "prefer": preferring(seconds),
            }
            carried = reach.transport.send(base_url, post_of(headers, data), deadline=deadline)
            came = await (carried if reach.in_time else by(deadline, carried))
    except Exception as error:  # noqa: BLE001 - the ladder knows what it means
        return UnderWay(ready, payload, _left(written, error), started, planned)
    made = _read(ready, task, came)
    if made is None:
        return UnderWay(ready, payload, _left(written, _arrived(engine, base_url, came)), started, planned)
    output, loaded, peer_tier = made
    ready.answered(engine, now)
    took = clock.monotonic() - started
    return warm_outcome(loaded, output, peer_tier, ready.document.hash, ready.plan.reason, planned, took)


def _said(ready: ReadyToAsk, task: Task, value: object) -> tuple[JsonValue, JsonObject, bytes] | None:
    """A value as plain JSON that nobody else holds, the body that says it, and its bytes; None for the ladder."""
    runnable = ready.runnable
    payload = task.input.proven(value)
    if payload is None:
        payload = task.input.dump(value)
        canonical(payload)
    body = runnable.map_into(payload)
    if (
        not task.named_input.fits(payload)
        or body.__class__ is not dict
        or not ((ready.same_request and body == payload) or ready.schemas.request.fits(body))
    ):
        return None
    # What a mapping has only moved is as plain as what it was.
    return payload, body, orjson.dumps(body) if runnable.moves_into else write(body)


def _arrived(engine: Engine, base_url: str, came: WireReply | JsonObject) -> WireReply | JsonObject | Exception:
    """What came, unless it is that of a gateway without a reply."""
    try:
        return engine.reach.arrived(base_url, came) if isinstance(came, WireReply) else came
    except PeerHungUp as error:
        return error


def _left(written: bytes, result: WireReply | JsonObject | Exception) -> Left:
    """What left, read from its bytes: who got it as it was may hold it still."""
    if isinstance(result, dict):
        result = WireReply(headers=_OURS, body=STANDARD_2025.success(result, "routine"))
    return Left(orjson.loads(written), result)


def _read(ready: ReadyToAsk, task: Task, came: WireReply | JsonObject) -> tuple[JsonValue, object, PeerTier] | None:
    """The output, plain and in the task's type, and the tier that the peer says; None for the ladder."""
    tier: PeerTier = "routine"
    try:
        if isinstance(came, dict):
            body: JsonObject = came
        else:
            said = STANDARD_2025.read_success(came.body) if came.status == 200 and is_ours(came) else None  # noqa: PLR2004 - HTTP
            if said is None:
                return None
            body, tier = said
        if (len(body) == 1 and "error" in body) or not ready.schemas.reply.fits(body):
            return None
        output = ready.runnable.map_back(body)
        fitted = ready.same_reply and output == body
        return output, task.output.typed(output) if fitted else task.output.load(output), tier
    except Exception:  # noqa: BLE001 - as in `ask_warm`
        return None
