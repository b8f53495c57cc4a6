"""The sender's short road: a peer and a document that are known, a mapping in both directions, and nothing in doubt.

What stands ready for a task and a peer is put together once, when the ladder in `ask` has gone well by a routine. A
request then takes a look whether it still stands, a check, a mapping, a check, its bytes, and the same backwards. Where
anything is in doubt before bytes leave, nothing is done here, and the ladder takes the request from its start. Where
what comes back is anything but a plain success, the ladder takes the request up where it is: what was sent is not sent
again.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

import orjson

from negotiator.agora_replies import is_ours
from negotiator.agreements import Agreed
from negotiator.asking import Asking, Left
from negotiator.bounded import keep
from negotiator.clock import Deadline
from negotiator.dialects.agora import STANDARD_2025
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import PeerHungUp
from negotiator.events import listener
from negotiator.fitting import sender_schemas
from negotiator.in_time import by
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import ASKED, Account, Place
from negotiator.mapping import FieldMapping, Mapping
from negotiator.messages import PeerTier
from negotiator.models.base import Usage
from negotiator.outcome import Outcome, Step, outcome_of, step_of
from negotiator.plan import Plan, by_routine
from negotiator.reach import preferring, waits_for
from negotiator.running import Runnable
from negotiator.schemas import Schema
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.speaking import PeerRecord
from negotiator.task import Task
from negotiator.wire import WireReply, post_of
from protocol_docs import ProtocolDocument

MAX_READY: Final = 1024
"""Pairs of a task and a peer for which something stands ready."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NOTHING_SPENT: Final = Usage()
_HEADERS: Final = {"content-type": "application/json", "accept": "application/json"}
_OURS: Final = {**_HEADERS, ENGINE_HEADER: ENGINE}


class ReadyToAsk(NamedTuple):
    """What a request for one task, of one peer, needs."""

    peer: PeerRecord
    agreed: Agreed
    document: ProtocolDocument
    schemas: DocumentSchemas
    runnable: Runnable
    hashes: tuple[str, ...]
    """The document's, as requests name it."""
    opening: bytes
    """What the bytes of each request begin with."""
    plan: Plan
    planned: str
    """The plan, as the trace tells it."""
    place: Place
    """Where the ledger counts it."""
    peer_now: Callable[[], PeerRecord | None]
    """Which record of the peer there is; see `Reach.looking_at`."""
    agreed_now: Callable[[], Agreed | None]
    """Which agreement there is; see `Agreements.looking_at`."""
    until: float
    """Unix seconds, when the one or the other expires."""
    same_request: bool
    """Whether a body that equals the task's input fits by having fitted; see `_same`."""
    same_reply: bool
    """The same of an output that equals the reply."""


class UnderWay(NamedTuple):
    """A request that was sent, and whose result is for the ladder to judge."""

    ready: ReadyToAsk
    payload: JsonValue
    left: Left
    started: float
    """`clock.monotonic()` seconds."""
    planned: float
    """Milliseconds from the start to the plan."""

    def go_on(self, work: Asking) -> Plan:
        """Have `work` stand where this is; returns the plan that it went by."""
        ready = self.ready
        work.payload, work.peer, work.agreed, work.runnable = self.payload, ready.peer, ready.document, ready.runnable
        work.left, work.started, work.reason = self.left, self.started, ready.plan.reason
        work.steps.append(Step("plan", ready.planned, self.planned))
        return ready.plan


def prepare(work: Asking) -> None:
    """Have what a request went well with stand ready for the next one, where all of it is plain."""
    engine, task, base_url = work.engine, work.task, work.base_url
    peer, document, runnable = work.peer, work.document, work.runnable
    if peer is None or document is None or runnable is None or work.tier != "routine" or document is not work.agreed:
        return
    found: ReadyToAsk | None = engine.ready_to_ask.get((task.digest, base_url))
    agreed, schemas = engine.agreements.find(task.digest, base_url), sender_schemas(engine, task, document)
    if found is not None and found[:5] == (peer, agreed, document, schemas, runnable):
        return
    plain = runnable.straight and peer.ours and peer.dialect == STANDARD_2025.name and not peer.negotiates
    if agreed is None or schemas is None or agreed.demoted or not plain:
        return
    plan = by_routine(document.hash)
    ready = ReadyToAsk(
        peer=peer,
        agreed=agreed,
        document=document,
        schemas=schemas,
        runnable=runnable,
        hashes=document.aliases[:2],
        opening=STANDARD_2025.opening(document.aliases),
        plan=plan,
        planned=f"{plan.tier}: {plan.reason}",
        place=Place(task.digest, ASKED, base_url),
        peer_now=engine.reach.looking_at(base_url),
        agreed_now=engine.agreements.looking_at(task.digest, base_url),
        until=min(peer.expires, agreed.expires),
        same_request=_same(task.named_input, schemas.request, runnable.routine.into.mapping),
        same_reply=_same(task.output, schemas.reply, runnable.routine.back.mapping),
    )
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


def _standing(engine: Engine, base_url: str, task: Task) -> ReadyToAsk | None:
    """What stands ready and still stands as it was: each look is one in memory."""
    found: ReadyToAsk | None = engine.ready_to_ask.get((task.digest, base_url))
    if found is None:
        return None
    document, digest = found.document, task.digest
    if (
        found.peer_now() is found.peer
        and found.agreed_now() is found.agreed
        and found.until > engine.clock.time()
        and engine.documents.stands(document.hash, document)
        and engine.routines.get(document.hash, "sender", digest) is found.runnable
    ):
        return found
    del engine.ready_to_ask[digest, base_url]
    return None


async def ask_warm(
    engine: Engine, base_url: str, task: Task, value: object, deadline: Deadline, key: str, account: Account | None
) -> Outcome | UnderWay | None:
    """What a request came to, by the short road; None where nothing was done. What is under way is for the ladder.

    Raises only on cancellation.
    """
    monotonic = engine.clock.monotonic
    started = monotonic()
    try:
        ready = _standing(engine, base_url, task)
        if ready is None or deadline.at <= started or listener() is not None or not _PLAIN_KEY.fullmatch(key):
            return None
        if account is not None and account.usage.calls:
            return None
        payload = task.input.proven(value)
        if payload is None:
            payload = task.input.dump(value)
            canonical(payload)
        planned = (monotonic() - started) * 1000
        body = ready.runnable.map_into(payload)
        fitted = ready.same_request and body == payload
        if (
            not task.named_input.fits(payload)
            or body.__class__ is not dict
            or not (fitted or ready.schemas.request.fits(body))
        ):
            return None
        data = STANDARD_2025.request_under(ready.opening, body, key)
        ready.peer.require_room(data)
    except Exception:  # noqa: BLE001 - the ladder meets it again, and knows what it means
        return None
    straight, seconds, handed = engine.reach.in_process, waits_for(deadline.at - started), None
    if straight is not None:
        handed = straight.hand_over(
            base_url, body, hashes=ready.hashes, key=key, data=data, seconds=seconds, deadline=deadline
        )
    try:
        if handed is not None:
            came = await by(deadline, handed)
        else:
            headers = {**_HEADERS, "idempotency-key": key, "prefer": preferring(seconds)}
            reach = engine.reach
            carried = reach.transport.send(base_url, post_of(headers, data), deadline=deadline)
            came = await (carried if reach.in_time else by(deadline, carried))
    except Exception as error:  # noqa: BLE001 - the ladder knows what it means
        return UnderWay(ready, payload, _left(data, error), started, planned)
    made = _read(ready, task, came)
    if made is None:
        return UnderWay(ready, payload, _left(data, _arrived(engine, base_url, came)), started, planned)
    output, loaded, peer_tier = made
    engine.reach.answered(base_url, ready.peer)
    engine.peers.note(task.digest, base_url, "routine")
    engine.ledger.warm(ready.place)
    took, name = monotonic() - started, ready.document.hash
    steps = step_of("plan", ready.planned, planned), step_of("send", "the peer answered: success", took * 1000)
    return outcome_of(
        loaded, output, "routine", peer_tier, name, ready.plan.reason, _NOTHING_SPENT, took, "none", steps
    )


def _arrived(engine: Engine, base_url: str, came: WireReply | JsonObject) -> WireReply | JsonObject | Exception:
    """What came, unless it is that of a gateway without a reply."""
    try:
        return engine.reach.arrived(base_url, came) if isinstance(came, WireReply) else came
    except PeerHungUp as error:
        return error


def _left(data: bytes, result: WireReply | JsonObject | Exception) -> Left:
    """What left, read from its bytes: who got it as it was may hold it still."""
    if isinstance(result, dict):
        result = WireReply(headers=_OURS, body=STANDARD_2025.success(result, "routine"))
    return Left(orjson.loads(data)["body"], result)


def _read(ready: ReadyToAsk, task: Task, came: WireReply | JsonObject) -> tuple[JsonValue, object, PeerTier] | None:
    """The output, plain and in the task's type, and the tier that the peer says; None for the ladder."""
    body: JsonObject
    tier: PeerTier = "routine"
    try:
        if isinstance(came, dict):
            body = came
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
