"""The sender's path of one request, top to bottom.

1. What do we know: the task, the peer, the document agreed with it, our routine.
2. Plan: the cheapest tier that is ready.
3. Encode, send, decode, check.
4. What fails before bytes left goes down a tier; what fails after is decoded by the next tier, never sent again.
5. Record what it cost; what is due is learned off this path.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from negotiator.clock import Deadline
from negotiator.describe import sentence_of
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import (
    BadInput,
    BudgetSpent,
    DeadlinePassed,
    NegotiatorError,
    NotPossible,
    OutcomeUnknown,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerRejected,
    PeerUnreachable,
    RoutineFailed,
)
from negotiator.events import Listener, Progress, Sent, TierChosen, listener, listening
from negotiator.evidence import Copying, Exchange
from negotiator.fitting import Way, sender_half
from negotiator.heat import expected_exchanges
from negotiator.interpret import Interpreter, NotAnswered, body_text, body_value
from negotiator.journal import canonical
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import ASKED, Account, Place
from negotiator.messages import PeerTier, Reply, Request, Tier
from negotiator.negotiate import adopt_listed, adopt_successor, agree_and_make
from negotiator.outcome import Outcome, Step
from negotiator.plan import Plan, SenderSituation, Spending, agreement_due, plan_sender, routine_due
from negotiator.reach import PeerRecord, error_of
from negotiator.routines import Direction
from negotiator.running import Runnable
from negotiator.shadow import observe, recall
from negotiator.structured import decode_reply, encode_request
from negotiator.task import Task
from negotiator.verdicts import unverified
from protocol_docs import ProtocolDocument, as_data_uri, catalog
from sandbox import SandboxError, SandboxUnavailable


async def ask(
    engine: Engine,
    base_url: str,
    task: Task,
    value: object,
    *,
    deadline: Deadline,
    idempotency_key: str | None = None,
    account: Account | None = None,
    listens: Listener | None = None,
    again: Sent | None = None,
) -> Outcome:
    """Ask the peer at `base_url` to do `task` with `value`; what `account` already holds is entered with the request.

    `listens` hears of what happens on the way. `again`: this was sent before, under the same `idempotency_key`, and its
    reply is asked for, whatever has been agreed on since.

    Raises `BadInput` for a value that does not fit, `NotPossible` where no tier can serve it, the `PeerError`s,
    `OutcomeUnknown` where a transactional request may or may not have taken effect, `DeadlinePassed`, and the
    `ModelError`s.
    """
    key = idempotency_key or engine.new_id()
    request = _Asking(engine, base_url, task, deadline, key, account or Account(), listens=listens, again=again)
    try:
        outcome = await _in_time(request, value)
    except NegotiatorError:
        # What failed was paid for too, and a task that fails in words needs an agreement the most.
        request.enter()
        request.learn()
        raise
    except BaseException:
        request.enter()
        raise
    request.enter()
    request.learn()
    return outcome


async def _in_time(request: "_Asking", value: object) -> Outcome:
    try:
        async with asyncio.timeout(max(request.deadline.remaining(), 0)):
            return await request.run(value)
    except (TimeoutError, PeerHungUp, PeerUnreachable) as error:
        # The transport keeps the same deadline, and may be the first to notice that it has passed.
        if request.deadline.remaining() > 0 and not isinstance(error, TimeoutError):
            raise
        if request.in_flight and request.task.effect == "transactional":
            raise OutcomeUnknown from error
        raise DeadlinePassed from error


_UNKNOWN_TO_THE_PEER = ("deadline_passed", "internal_error")
"""What a peer says that stopped somewhere, and does not know whether before or after the effect."""

Done: TypeAlias = tuple[Tier, ProtocolDocument | None, JsonValue]
"""The tier that served, the document it served under, and the task's output as JSON."""


@dataclass(slots=True)
class _Asking:
    engine: Engine
    base_url: str
    task: Task
    deadline: Deadline
    key: str
    account: Account = field(default_factory=Account)
    steps: list[Step] = field(default_factory=list)
    started: float = 0.0
    in_flight: bool = False
    """Whether bytes left and no reply is in hand."""
    replied: bool = False
    """Whether a reply came, so that nothing may be sent again."""
    tier: Tier | None = None
    """The tier that answered."""
    document: ProtocolDocument | None = None
    """The one that it answered under."""
    demoted: bool = False
    """Whether a routine failed before anything was sent."""
    distrusted: bool = False
    """Whether the peer broke the document lately, so that no routine serves with it while there is a model."""
    peer_tier: PeerTier = "unknown"
    peer: PeerRecord | None = None
    payload: JsonValue = None
    reason: str = ""
    listens: Listener | None = None
    again: Sent | None = None
    told: Tier | None = None
    """The tier that was told of."""

    async def run(self, value: object) -> Outcome:
        self.started = self.engine.clock.monotonic()
        self.deadline.require()
        self.payload = self.task.input.dump(value)
        self.task.input.check(self.payload)
        canonical(self.payload)
        self.peer = await self.engine.reach.discover(self.base_url, self.deadline)
        if self.again is not None:
            tier, document, output = await self._once_more(self.again)
        else:
            plan = await self._plan()
            self.reason = plan.reason
            self._step("plan", f"{plan.tier}: {plan.reason}")
            if plan.tier is not None:
                self._goes_by(plan.tier)
            tier, document, output = await self._perform(plan)
        self.tier = tier
        loaded = self._loaded(output)
        if tier != "routine":
            self.engine.observe(self.task.digest, self.payload)
        self.document = document
        self.engine.peers.note(self.task.digest, self.base_url, tier)
        return Outcome(
            output=loaded,
            json=output,
            tier=tier,
            peer_tier=self.peer_tier,
            protocol_hash=None if document is None else document.hash,
            reason=self.reason,
            usage=self.account.usage,
            seconds=self.engine.clock.monotonic() - self.started,
            model=", ".join(sorted(self.account.models)) or "none",
            trace=tuple(self.steps),
        )

    def enter(self) -> None:
        """Record what the request has cost, whether or not it came to anything."""
        ledger, place, called = self.engine.ledger, self._place, self.account.usage.calls > 0
        if self.tier is None and not called:
            return
        key = place.key if self.document is None else place.under(self.document.hash)
        ledger.exchange("sender", self.tier or "failed", key, self.account)
        ledger.arrived(place, self.engine.clock.time(), interpreted=called)
        ledger.asked(self.engine.today, self.base_url, self.account)

    def _loaded(self, output: JsonValue) -> object:
        try:
            return self.task.output.load(output)
        except BadInput as error:
            raise PeerMisspoke(f"the reply is not what the task's output type takes: {error}") from error

    async def _plan(self) -> Plan:
        situation = self._situation(await self._agreed())
        if situation.document is None and self._may_agree_first():
            situation = replace(situation, free_agreement=True)
        plan = plan_sender(situation)
        if plan.negotiate_first:
            self._step("negotiate", plan.reason)
            await self._negotiate(by_rule=situation.model and situation.free_agreement)
            plan = plan_sender(self._situation(await self._agreed()))
        if plan.tier not in ("routine", None):
            self._require_room()
        return plan

    def _may_agree_first(self) -> bool:
        """Whether to agree before the first exchange; True once for a task and a peer."""
        return self._agrees_first and self.engine.first_look(self.base_url, self.task.digest, ("agree first",))

    @property
    def _agrees_first(self) -> bool:
        policy = self.engine.cost_policy
        return policy.agree_first and policy.counts is None and self.peer is not None and self.peer.ours

    @property
    def _may_use_words(self) -> bool:
        return self.task.natural_language and (self.peer is None or self.peer.words)

    def _require_room(self) -> None:
        """Bound this request by what is left of the day's budgets. Raises `BudgetSpent`."""
        self.account.max_usd = self.engine.ledger.room(self.engine.today, self.base_url)
        if self.account.max_usd is not None and self.account.max_usd <= 0:
            raise BudgetSpent("the day's budget for asking is spent")

    def _situation(self, document: ProtocolDocument | None) -> SenderSituation:
        if document is not None and self._routine(document) is not None:
            # What follows reads the store, and would change nothing.
            return SenderSituation(document=document.hash, routine_ready=True)
        return SenderSituation(
            document=None if document is None else document.hash,
            model=self.engine.has_model,
            natural_language=self._may_use_words,
            negotiable=self.engine.agreements.refused(self.task.digest, self.base_url) is None,
            spending=self._spending(self._place.key),
        )

    def _spending(self, key: str, bought: str = "agreements") -> Spending:
        ledger, policy = self.engine.ledger, self.engine.cost_policy
        expected = expected_exchanges(ledger.evidence(self._place), policy.horizon_seconds)
        return replace(ledger.spending(key, bought=bought), expected=expected)

    def _may_look(self) -> bool:
        counts = self.engine.cost_policy.counts
        return counts is None or self.engine.ledger.spending(self._place.key).exchanges >= counts.look

    async def _agreed(self) -> ProtocolDocument | None:
        agreed = self.engine.agreements.find(self.task.digest, self.base_url)
        if agreed is None and self.peer is not None and self._may_look():
            agreed = await adopt_listed(self.engine, self.base_url, self.peer, self.task, self.deadline)
        document = None if agreed is None else self.engine.documents.get(agreed.protocol_hash)
        if agreed is not None and agreed.demoted and self.engine.has_model:
            self.distrusted = agreed.demoted > self.engine.clock.time()
        if document is not None and self._routine(document) is None:
            await recall(self.engine, sender_half(self.engine, self.task, document))
        return document

    def _routine(self, document: ProtocolDocument) -> Runnable | None:
        """The routine that may answer this request; while it is on trial it answers a share of them."""
        if self.distrusted:
            return None
        found = self.engine.routines.serving(document.hash, "sender", self.task.digest)
        share = self.engine.cost_policy.canary_share
        return found if found is not None and found.routine.takes(self.key, share) else None

    def _unverified(self, document: ProtocolDocument, runnable: Runnable, way: Way, value: JsonValue) -> bool:
        if not runnable.routine.verdict.unverified:
            return False
        if not unverified(runnable.routine, sender_half(self.engine, self.task, document), way, value):
            return False
        self.reason = "the routine has not been shown to be right on such a value"
        self._step("fall_back", self.reason)
        return True

    async def _perform(self, plan: Plan) -> Done:
        document = None if plan.protocol_hash is None else self.engine.documents.get(plan.protocol_hash)
        if document is not None and plan.tier in ("routine", "structured"):
            try:
                done = await self._under(document, plan)
                if done is not None:
                    return done
            except PeerRejected:
                agreements, seconds = self.engine.agreements, self.engine.cost_policy.no_agreement_seconds
                agreements.drop(self.task.digest, self.base_url)
                agreements.refuse(self.task.digest, self.base_url, "the peer rejects the document", seconds)
                self._step("fall_back", "the peer does not use the document")
        if self.engine.has_model and self._may_use_words:
            return await self._natural_language()
        if self.demoted:
            raise RoutineFailed
        why = self.engine.agreements.refused(self.task.digest, self.base_url)
        raise NotPossible(self.reason if why is None else f"{self.reason} (no agreement: {why})")

    async def _under(self, document: ProtocolDocument, plan: Plan) -> Done | None:
        """The exchange under a document; None where nothing was sent and natural language is next."""
        try:
            if plan.tier == "routine":
                done = await self._by_routine(document)
                if done is not None:
                    return done
            if not self.engine.has_model:
                return None
            return await self._structured(document)
        except NotAnswered as error:
            if self.replied:
                raise PeerMisspoke(f"the reply does not hold the answer: {error}") from error
            self._step("fall_back", "the document's request could not be filled")
            return None

    async def _by_routine(self, document: ProtocolDocument) -> Done | None:
        """None where nothing was sent and the next lower tier is to make the whole exchange."""
        runnable = self._routine(document)
        schemas = self.engine.schemas_of(document)
        if runnable is None or self._unverified(document, runnable, "into", self.payload):
            return None
        try:
            body = await runnable.into(self.payload)
            if schemas is not None:
                schemas.request.check(body)
            canonical(body)
            self._ran("encode", runnable.routine.into)
        except (BadInput, PeerMisspoke, SandboxError) as error:
            if isinstance(error, BadInput) and not self.engine.has_model and runnable.routine.verdict.basis == "exact":
                raise  # the schemas leave no choice: it is the value that does not fit
            self._demote(runnable, error)
            self.demoted = True
            return None
        reply = await self._send(body, document)
        try:
            received = self._body(reply, schemas)
        except PeerMisspoke:
            self._step("demote", "the peer broke the document: a model reads what it says from now on")
            seconds = self.engine.cost_policy.no_agreement_seconds
            self.engine.agreements.demote(self.task.digest, self.base_url, seconds)
            raise
        return await self._back(document, runnable, body, received)

    async def _back(self, document: ProtocolDocument, runnable: Runnable, body: JsonValue, received: JsonValue) -> Done:
        """The reply is read by the routine, and by the model where that cannot."""
        if self._unverified(document, runnable, "back", received):
            return await self._read(document, body, received)
        try:
            output = await runnable.back(received)
            self.task.output.check(output)
            self._ran("decode", runnable.routine.back)
        except (BadInput, PeerMisspoke, SandboxError) as error:
            self._demote(runnable, error)
            if not self.engine.has_model:
                raise RoutineFailed("the routine could not read the reply, and there is no model to do it") from error
            self._goes_by("structured")
            read = await decode_reply(self._interpreter(), self.engine, self.task, document, body, received)
            return "structured", document, read.value
        return "routine", document, output

    async def _structured(self, document: ProtocolDocument) -> Done:
        self._goes_by("structured")
        filled = await encode_request(self._interpreter(), self.engine, self.task, document, self.payload)
        body = filled.value
        canonical(body)
        self._step("encode", "the request body was filled by the model")
        reply = await self._send(body, document)
        received = self._body(reply, self.engine.schemas_of(document))
        return await self._read(document, body, received, filled.copying)

    async def _read(
        self, document: ProtocolDocument, body: JsonValue, received: JsonValue, into: Copying | None = None
    ) -> Done:
        """The reply is read by the model, and the routine, if there is one, held against the exchange later."""
        engine, task = self.engine, self.task
        if not engine.has_model:
            raise RoutineFailed("the routine does not know such a reply, and there is no model to read it")
        filled = await decode_reply(self._interpreter(), engine, task, document, body, received)
        self._step("decode", "the reply body was read by the model")
        exchange = Exchange(
            given=self.payload, passed=body, returned=received, made=filled.value, into=into, back=filled.copying
        )
        half = sender_half(engine, task, document)
        engine.learner.start(
            f"shadow/{document.hash}/{task.digest}/{self.key}", lambda: observe(engine, half, exchange)
        )
        return "structured", document, filled.value

    async def _natural_language(self) -> Done:
        self._goes_by("natural_language")
        schema = self.task.input.json_schema
        text = sentence_of(self.task.description, self.payload, schema, self.task.output.json_schema)
        return await self._from_words(await self._send(text, None))

    async def _from_words(self, reply: Reply) -> Done:
        try:
            output = await self._interpreter().read_reply(self.task, self.payload, body_text(reply.body))
        except NotAnswered as error:
            raise PeerMisspoke(f"the reply does not hold the answer: {error}") from error
        self._step("decode", "the reply was read by the model")
        return "natural_language", None, output

    async def _once_more(self, sent: Sent) -> Done:
        """The reply to what was sent before. A peer that keeps replies by their key does nothing twice."""
        document = None if sent.protocol_hash is None else self.engine.documents.get(sent.protocol_hash)
        if document is None and sent.protocol_hash is not None:
            raise NotPossible("the document that it was asked under is not at hand any more")
        if self.task.effect == "transactional" and not (self.peer is not None and self.peer.ours):
            raise OutcomeUnknown("the peer is not known to keep replies, so that it is not asked again")
        self.reason = "it was asked before, and goes on"
        self._step("plan", self.reason)
        reply = await self._send(sent.body, document)
        if document is None:
            self._goes_by("natural_language")
            return await self._from_words(reply)
        received = self._body(reply, self.engine.schemas_of(document))
        runnable = self._routine(document)
        self._goes_by("structured" if runnable is None else "routine")
        if runnable is None:
            return await self._read(document, sent.body, received)
        return await self._back(document, runnable, sent.body, received)

    async def _send(self, body: JsonValue, document: ProtocolDocument | None) -> Reply:
        """One exchange. A safe task without a reply is tried once more; a transactional one never is."""
        sources: tuple[str, ...] = ()
        if document is not None and not (self.peer is not None and self.peer.ours):
            sources = (as_data_uri(document),)
        hung_up = False
        self._leaves(body, document)
        while True:
            request = Request(
                body=body,
                hashes=() if document is None else document.aliases,
                sources=sources,
                idempotency_key=self.key,
            )
            self.in_flight = True  # stays set when this task is cancelled: nobody knows then
            try:
                reply = await self._carry(request)
            except PeerUnreachable:
                self.in_flight = False
                raise
            except (PeerHungUp, PeerMisspoke) as error:
                if self.task.effect == "transactional":
                    raise OutcomeUnknown from error
                if hung_up or isinstance(error, PeerMisspoke):
                    raise
                hung_up = True
                self._step("retry", "no reply came; the task is safe")
                continue
            self.in_flight = False
            self.replied = True
            self.peer_tier = reply.tier
            self._step("send", f"the peer answered: {reply.status}")
            if reply.status == "rejected" and document is not None and not sources:
                self.replied = False
                sources = (as_data_uri(document),)
                continue
            if reply.code in _UNKNOWN_TO_THE_PEER and self.task.effect == "transactional":
                raise OutcomeUnknown(f"the peer failed on the way: {reply.code}")
            failed = error_of(reply)
            if failed is not None:
                raise failed
            return reply

    async def _carry(self, request: Request) -> Reply:
        if self.listens is None and listener() is None:
            return await self.engine.reach.exchange(self.base_url, request, self.deadline)
        # Of a request that is made on the way of another one the listeners of that one hear nothing.
        with listening(self.listens):
            return await self.engine.reach.exchange(self.base_url, request, self.deadline)

    def _body(self, reply: Reply, schemas: DocumentSchemas | None) -> JsonValue:
        """The reply body, as the document says. Raises `PeerFailed` for the document's own errors."""
        body = body_value(reply.body)
        if isinstance(body, dict) and body.keys() == {"error"} and isinstance(body["error"], dict):
            code = str(body["error"].get("code", ""))[:64]
            raise PeerFailed(f"the peer answered with the document's error {code!r}")
        if schemas is not None and not schemas.reply.is_valid(body):
            raise PeerMisspoke("the reply body does not fit the document")
        return body

    def _ran(self, what: str, direction: Direction) -> None:
        if direction.entry is not None:
            executor = self.engine.executor()
            self._step(what, f"the routine's code ran in the executor {executor.name}, at the level {executor.level}")

    def _demote(self, runnable: Runnable, error: Exception) -> None:
        if isinstance(error, SandboxUnavailable):
            self._step("fall_back", str(error))
            self.reason = "the routine's code does not run here now"
            return
        self._step("demote", f"the routine failed: {type(error).__name__}")
        self.reason = "the routine failed and was taken out of service"
        self.engine.routines.demote(runnable.routine, f"{type(error).__name__}: {error}")

    def learn(self) -> None:
        """Begin what is worth its price now that this exchange is paid for."""
        self._follow_listing()
        document, by_rule = self.document, False
        if document is None:
            situation = self._situation(None)
            due = agreement_due(situation, self.engine.cost_policy)
            if not due and self._agrees_first and situation.negotiable and situation.model:
                # What the peer was not ready for it may be now, and to ask costs no model call here; but each time
                # leaves it a dialogue to remember, so ask after 1, 2, 4, 8 ... exchanges.
                number = situation.spending.exchanges
                due = by_rule = number & (number - 1) == 0
        else:
            due = self.engine.routines.wanted(document.hash, "sender", self.task.digest)
            by_rule = due and not routine_due(self._under_spending(document), self.engine.cost_policy)
        if due:
            engine, base_url, task = self.engine, self.base_url, self.task
            engine.learner.start(self._learning_key, lambda: agree_and_make(engine, base_url, task, by_rule=by_rule))

    def _under_spending(self, document: ProtocolDocument) -> Spending:
        earlier = self.engine.ledger.spending(self._place.key).exchanges
        return replace(self._spending(self._place.under(document.hash), "routines"), earlier=earlier)

    def _follow_listing(self) -> None:
        """Look for a successor of the document, once for each listing."""
        engine, base_url, task, peer, document = self.engine, self.base_url, self.task, self.peer, self.document
        if document is None or peer is None or not engine.new_listing(base_url, task.digest, peer):
            return
        if peer.listing.keys() - catalog.hashes() - set(document.aliases):
            key = f"successor/{task.digest}/{base_url}"
            engine.learner.start(key, partial(adopt_successor, engine, base_url, peer, task, document))

    async def _negotiate(self, *, by_rule: bool) -> None:
        """Agree now; `by_rule` where the exchange can go on without, so that it takes no model and little time."""
        engine, base_url, task = self.engine, self.base_url, self.task
        engine.learner.start(self._learning_key, lambda: agree_and_make(engine, base_url, task, by_rule=by_rule))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(self.deadline.remaining(), 0) / 4 if by_rule else None):
                await engine.learner.wait_for(self._learning_key)

    def _interpreter(self) -> Interpreter:
        return Interpreter(self.engine.model, self.account, self.deadline)

    @property
    def _place(self) -> Place:
        return Place(self.task.digest, ASKED, self.base_url)

    @property
    def _learning_key(self) -> str:
        return f"agree/{self.task.digest}/{self.base_url}"

    def _leaves(self, body: JsonValue, document: ProtocolDocument | None) -> None:
        if self.listens is not None:
            self.listens(Sent(body=body, protocol_hash=None if document is None else document.hash))

    def _goes_by(self, tier: Tier) -> None:
        if self.listens is not None and tier != self.told:
            reason = self.reason if self.told is None or not self.steps else self.steps[-1].detail
            self.told = tier
            self.listens(TierChosen(tier=tier, reason=reason))

    def _step(self, what: str, detail: str) -> None:
        self.steps.append(Step(what, detail, (self.engine.clock.monotonic() - self.started) * 1000))
        if self.listens is not None and what != "plan":
            self.listens(Progress(message=f"{what}: {detail}"))
