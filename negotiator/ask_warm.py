"""The sender's short road: a peer and a document that are known, a mapping in both directions, and nothing in doubt.

What stands ready for a task and a peer is put together once, when the ladder in `ask` has gone well by a routine. A
request then takes a look whether it still stands, a check, a mapping, a check, its bytes, and the same backwards. Where
anything is in doubt before bytes leave, nothing is done here, and the ladder takes the request from its start. Where
what comes back is anything but a plain success, the ladder takes the request up where it is: what was sent is not sent
again.
"""

import re
from typing import Final, NamedTuple

import orjson

from negotiator.agora_replies import is_ours
from negotiator.asking import Asking, Left
from negotiator.clock import Deadline
from negotiator.dialects.agora import STANDARD_2025
from negotiator.dialects.json_body import MAX_DEPTH, write
from negotiator.engine import Engine
from negotiator.errors import PeerHungUp
from negotiator.events import listener
from negotiator.in_time import by, rest
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonObject, JsonValue, nests_within
from negotiator.ledger import Account
from negotiator.messages import PeerTier
from negotiator.outcome import Outcome, Step, warm_outcome
from negotiator.plan import Plan
from negotiator.reach import waits_for
from negotiator.ready_to_ask import ReadyToAsk
from negotiator.serving import ENGINE, ENGINE_HEADER
from negotiator.task import Task
from negotiator.wire import WireReply, post_of

_request_under: Final = STANDARD_2025.request_under
_read_success: Final = STANDARD_2025.read_success
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_JSON: Final = "application/json"
_OURS: Final = {"content-type": _JSON, ENGINE_HEADER: ENGINE}


class UnderWay(NamedTuple):
    """A request that was sent, and whose result is for the ladder to judge."""

    ready: ReadyToAsk
    payload: JsonValue
    """The input as plain JSON, which nobody else holds."""
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


async def ask_warm(
    engine: Engine,
    base_url: str,
    task: Task,
    value: object,
    deadline: Deadline,
    key: str,
    account: Account | None,
    started: float,
    drawn: bool = False,  # noqa: FBT001, FBT002 - each warm request comes here
) -> Outcome | UnderWay | None:
    """What a request came to, by the short road; None where nothing was done. What is under way is for the ladder.

    `started`: when, by `clock.monotonic()`. `drawn`: the key is one of the engine's own. Raises only on cancellation.
    """
    clock = engine.clock
    # What is called is taken out first: see `ready_to_answer.ByRoutine.takes`.
    monotonic, unix = clock.monotonic, clock.time
    try:
        place, now = (task.digest, base_url), unix()
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
    planned = monotonic() - started
    reach, seconds = engine.reach, waits_for(deadline.at - started)
    taker_at = reach.taker
    taker = taker_at(base_url)
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
            data = _request_under(ready.opening, written, key)
            headers = {
                "content-type": _JSON,
                "accept": _JSON,
                "idempotency-key": key,
                "prefer": ready.prefer if seconds == ready.seconds else ready.preferring(seconds),
            }
            carried = reach.transport.send(base_url, post_of(headers, data), deadline=deadline)
            came = await (carried if reach.in_time else by(deadline, carried))
    except Exception as error:  # noqa: BLE001 - the ladder knows what it means
        return _under_way(ready, payload, written, error, started, planned)
    made = _read(ready, task, came)
    if made is None:
        return _under_way(ready, payload, written, _arrived(engine, base_url, came), started, planned)
    output, loaded, peer_tier = made
    ready.answered(engine, now)
    took = monotonic() - started
    return warm_outcome(loaded, output, peer_tier, ready.document.hash, ready.plan.reason, planned, took)


def _said(ready: ReadyToAsk, task: Task, value: object) -> tuple[JsonValue, JsonObject, bytes] | None:
    """A value as plain JSON that nobody else holds, or None where it is what was written; the body that says it, and its
    bytes. None for the ladder.
    """
    copy, fits = ready.copy, task.named_input.fits
    if value.__class__ is dict and (copied := copy(value)) is not None and len(copied) == len(value) and fits(copied):
        return None, copied, orjson.dumps(copied)
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


def _under_way(
    ready: ReadyToAsk,
    payload: JsonValue,
    written: bytes,
    result: WireReply | JsonObject | Exception,
    started: float,
    planned: float,
) -> UnderWay:
    # What left is read from its bytes: who got it as it was may hold it still.
    if isinstance(result, dict):
        result = WireReply(headers=_OURS, body=STANDARD_2025.success(result, "routine"))
    left = Left(orjson.loads(written), result)
    return UnderWay(ready, orjson.loads(written) if payload is None else payload, left, started, planned)


def _read(ready: ReadyToAsk, task: Task, came: WireReply | JsonObject) -> tuple[JsonValue, object, PeerTier] | None:
    """The output, plain and in the task's type, and the tier that the peer says; None for the ladder."""
    tier: PeerTier = "routine"
    try:
        if isinstance(came, dict):
            body: JsonObject = came
        else:
            said = _read_success(came.body) if came.status == 200 and is_ours(came) else None  # noqa: PLR2004 - HTTP
            if said is None:
                return None
            body, tier = said
            if not (ready.schemas.reply.flat or nests_within(came.body, MAX_DEPTH)):
                return None
        fits = ready.schemas.reply.fits
        if (len(body) == 1 and "error" in body) or not fits(body):
            return None
        if len(body) == ready.fields:
            # All that there are, each of them as it is.
            return body, task.output.typed(body), tier
        output = ready.runnable.map_back(body)
        fitted = ready.same_reply and output == body
        return output, task.output.typed(output) if fitted else task.output.load(output), tier
    except Exception:  # noqa: BLE001 - as in `ask_warm`
        return None
