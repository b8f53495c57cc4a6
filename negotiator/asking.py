"""One request that is being asked: what all tiers need of it, and the one way in which something is sent."""

from typing import NamedTuple

from negotiator.agora_replies import error_of
from negotiator.clock import Deadline
from negotiator.engine import DocumentSchemas, Engine
from negotiator.errors import OutcomeUnknown, PeerFailed, PeerHungUp, PeerMisspoke, PeerUnreachable, TooLarge
from negotiator.events import Listener, Progress, Sent, TierChosen, listener, listening
from negotiator.fitting import Way, sender_half
from negotiator.interpret import Interpreter, body_value
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import ASKED, Account, Place
from negotiator.messages import PeerTier, Reply, Request, Tier
from negotiator.outcome import Step
from negotiator.routines import Direction
from negotiator.running import Runnable
from negotiator.speaking import PeerRecord
from negotiator.task import Task
from negotiator.verdicts import unverified
from negotiator.wire import WireReply
from protocol_docs import ProtocolDocument, as_data_uri
from sandbox import SandboxUnavailable

_UNKNOWN_TO_THE_PEER = ("deadline_passed", "internal_error")
"""What a peer says that stopped somewhere, and does not know whether before or after the effect."""


class Left(NamedTuple):
    """What left by the short road, and what came of it."""

    body: JsonValue
    result: WireReply | Exception
    """The reply, or what was raised in its place."""


class Asking:
    """One request at work."""

    __slots__ = (
        "account",
        "again",
        "agreed",
        "base_url",
        "deadline",
        "demoted",
        "distrusted",
        "document",
        "engine",
        "in_flight",
        "key",
        "left",
        "listens",
        "payload",
        "peer",
        "peer_tier",
        "reason",
        "replied",
        "runnable",
        "started",
        "steps",
        "task",
        "tier",
        "told",
    )

    def __init__(
        self,
        engine: Engine,
        base_url: str,
        task: Task,
        deadline: Deadline,
        key: str,
        account: Account,
        listens: Listener | None,
        again: Sent | None,
    ) -> None:
        self.engine = engine
        self.base_url = base_url
        self.task = task
        self.deadline = deadline
        self.key = key
        self.account = account
        self.listens = listens
        self.again = again
        self.left: Left | None = None
        """What left already, whose result is for `send` to judge as if it had sent it."""
        self.steps: list[Step] = []
        self.started = engine.clock.monotonic()
        self.in_flight = False
        """Whether bytes left and no reply is in hand."""
        self.replied = False
        """Whether a reply came, so that nothing may be sent again."""
        self.agreed: ProtocolDocument | None = None
        """The document agreed on with the peer."""
        self.runnable: Runnable | None = None
        """The routine that may answer this request under it."""
        self.tier: Tier | None = None
        """The tier that answered."""
        self.document: ProtocolDocument | None = None
        """The one that it answered under."""
        self.demoted = False
        """Whether a routine failed before anything was sent."""
        self.distrusted = False
        """Whether the peer broke the document lately, so that no routine serves with it while there is a model."""
        self.peer_tier: PeerTier = "unknown"
        self.peer: PeerRecord | None = None
        self.payload: JsonValue = None
        self.reason = ""
        self.told: Tier | None = None
        """The tier that was told of."""

    @property
    def place(self) -> Place:
        """Where the ledger counts it."""
        return Place(self.task.digest, ASKED, self.base_url)

    @property
    def may_use_words(self) -> bool:
        """Whether natural language is possible with this task and this peer."""
        return self.task.natural_language and (self.peer is None or self.peer.words)

    @property
    def learning_key(self) -> str:
        """What is learned of this task and this peer is learned once at a time."""
        return f"agree/{self.task.digest}/{self.base_url}"

    def interpreter(self) -> Interpreter:
        """The model, at this request's cost."""
        return Interpreter(self.engine.model, self.account, self.deadline)

    # --- routines ---

    def routine(self, document: ProtocolDocument) -> Runnable | None:
        """The routine that may answer this request; while it is on trial it answers a share of them."""
        if self.distrusted:
            return None
        found = self.engine.routines.get(document.hash, "sender", self.task.digest)
        takes = found is not None and found.routine.takes(self.key, self.engine.cost_policy.canary_share)
        return found if takes else None

    def unverified(self, document: ProtocolDocument, runnable: Runnable, way: Way, value: JsonValue) -> bool:
        """Whether `value` is of a class on which the routine has not been shown to be right."""
        if not runnable.routine.verdict.unverified:
            return False
        if not unverified(runnable.routine, sender_half(self.engine, self.task, document), way, value):
            return False
        self.reason = "the routine has not been shown to be right on such a value"
        self.step("fall_back", self.reason)
        return True

    def ran(self, what: str, direction: Direction) -> None:
        """Tell that a routine's code ran, and where."""
        if direction.entry is not None:
            executor = self.engine.executor()
            self.step(what, f"the routine's code ran in the executor {executor.name}, at the level {executor.level}")

    def demote(self, runnable: Runnable, error: Exception) -> None:
        """A routine failed: it serves no more, unless it was its process that did."""
        if isinstance(error, SandboxUnavailable):
            self.step("fall_back", str(error))
            self.reason = "the routine's code does not run here now"
            return
        self.step("demote", f"the routine failed: {type(error).__name__}")
        self.reason = "the routine failed and was taken out of service"
        self.engine.routines.demote(runnable.routine, f"{type(error).__name__}: {error}")

    # --- the peer ---

    async def send(self, body: JsonValue, document: ProtocolDocument | None) -> Reply:
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
            except (PeerUnreachable, TooLarge):
                self.in_flight = False
                raise
            except (PeerHungUp, PeerMisspoke) as error:
                if self.task.effect == "transactional":
                    raise OutcomeUnknown from error
                if hung_up or isinstance(error, PeerMisspoke):
                    raise
                hung_up = True
                self.step("retry", "no reply came; the task is safe")
                continue
            self.in_flight = False
            self.replied = True
            self.peer_tier = reply.tier
            self.step("send", f"the peer answered: {reply.status}")
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
        left, self.left = self.left, None
        if left is not None and self.peer is not None:
            if isinstance(left.result, Exception):
                raise left.result
            return await self.engine.reach.received(self.base_url, self.peer, request, left.result, self.deadline)
        if self.listens is None and listener() is None:
            return await self.engine.reach.exchange(self.base_url, request, self.deadline)
        # Of a request that is made on the way of another one the listeners of that one hear nothing.
        with listening(self.listens):
            return await self.engine.reach.exchange(self.base_url, request, self.deadline)

    def body_of(self, reply: Reply, schemas: DocumentSchemas | None, text_field: str | None = None) -> JsonValue:
        """The reply body, as the document says; a text as it is where `fitting.text_field` gave a place for it.

        Raises `PeerFailed` for the document's own errors.
        """
        if text_field is not None and isinstance(reply.body, str):
            return {text_field: reply.body} if text_field else reply.body
        body = body_value(reply.body)
        if isinstance(body, dict) and body.keys() == {"error"} and isinstance(body["error"], dict):
            code = str(body["error"].get("code", ""))[:64]
            raise PeerFailed(f"the peer answered with the document's error {code!r}")
        if schemas is not None and not schemas.reply.is_valid(body):
            raise PeerMisspoke("the reply body does not fit the document")
        return body

    # --- who listens ---

    def _leaves(self, body: JsonValue, document: ProtocolDocument | None) -> None:
        if self.listens is not None:
            self.listens(Sent(body=body, protocol_hash=None if document is None else document.hash))

    def goes_by(self, tier: Tier) -> None:
        """Tell of the tier that is at work from here on."""
        if self.listens is not None and tier != self.told:
            reason = self.reason if self.told is None or not self.steps else self.steps[-1].detail
            self.told = tier
            self.listens(TierChosen(tier=tier, reason=reason))

    def step(self, what: str, detail: str) -> None:
        """Enter a step in the trace."""
        self.steps.append(Step(what, detail, (self.engine.clock.monotonic() - self.started) * 1000))
        if self.listens is not None and what != "plan":
            self.listens(Progress(message=f"{what}: {detail}"))
