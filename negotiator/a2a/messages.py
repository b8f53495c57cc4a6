"""A message from a peer: what it asks, the task that it begins or goes on with, and what comes of it."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Mapping, MutableMapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from negotiator.a2a import meaning
from negotiator.a2a.on_the_way import OnTheWay
from negotiator.a2a.running import Running
from negotiator.a2a.task_calls import CAPABILITY, resting
from negotiator.a2a.tasks import Kept, Tasks
from negotiator.admission import Place, UnderWay
from negotiator.clock import Clock, Deadline
from negotiator.conversations import Conversation, Conversations, Turn
from negotiator.dialects.a2a import extension, objects
from negotiator.dialects.a2a.calls import Call, Event
from negotiator.dialects.a2a.faults import Fault
from negotiator.dialects.a2a.objects import Artifact, Message, Part, State, TaskView
from negotiator.dialects.a2a.routes import read_count
from negotiator.dialects.base import ConversationExpired, UnknownConversation
from negotiator.dialects.json_body import as_text, write
from negotiator.errors import OutcomeUnknown, Overloaded
from negotiator.events import listening
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply
from negotiator.replies import address_of
from negotiator.serving import Answer, ExchangeContext, in_time, rendered
from negotiator.task import Tool
from negotiator.wire import ANONYMOUS, WireRequest
from protocol_docs import StoreUnusable

_UNGUESSABLE: Final = 16
"""Characters of an identifier that nobody else happens to use."""
_STATES: Final[Mapping[str, State]] = {
    "input_missing": "input-required",
    "not_allowed": "rejected",
    "not_possible": "rejected",
}
"""What becomes of a task by what stood in the way of it; anything else is `failed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One message on its way in, with what is known of it."""

    call: Call
    message: Message
    asked: meaning.Asked
    context: str
    principal: str
    peer: str | None
    active: bool
    """Whether our extension is asked for."""
    text_only: bool
    """Whether the peer reads no JSON."""
    history_length: int | None
    waiting: Kept | None
    """The task that it goes on with."""
    at_once: bool
    """Whether a task is shown as it begins."""

    @property
    def version(self) -> str:
        """The wire language it is in, as a dialect's name."""
        return f"a2a-{self.call.version}"


class Messages:
    """The messages of one agent's peers. Belongs to one event loop."""

    def __init__(
        self,
        answer: Answer,
        *,
        tools: Mapping[str, Tool],
        request_schema: meaning.RequestSchema,
        conversations: Conversations,
        tasks: Tasks,
        running: MutableMapping[str, Running],
        clock: Clock,
        new_id: Callable[[], str],
        seconds: float,
        under_way: UnderWay,
    ) -> None:
        """Answer with `answer`, within `seconds`, as long as `under_way` has room; else as `A2ADoor` has it.

        `running` are the tasks under way in this process, by their ids.
        """
        self._answer = answer
        self._tools = tools
        self._request_schema = request_schema
        self._conversations = conversations
        self._tasks = tasks
        self._running = running
        self._clock = clock
        self._new_id = new_id
        self._seconds = seconds
        self._under_way = under_way

    def read(self, call: Call, wire: WireRequest) -> Sending:
        """Understand a message. Raises `Fault` and `Misformed`."""
        message = objects.read_message(call.params.get("message"), call.form)
        configured = call.params.get("configuration") or {}
        if not isinstance(configured, dict):
            raise Fault("INVALID_PARAMS", "configuration is no object")
        if "taskPushNotificationConfig" in configured or "pushNotificationConfig" in configured:
            raise Fault("PUSH_NOTIFICATION_NOT_SUPPORTED")
        waiting = self._continued(message, wire.principal)
        about = call.params.get("metadata")
        return Sending(
            call=call,
            message=message,
            asked=self._asked(message, about if isinstance(about, dict) else {}, wire.principal),
            context=message.context or (waiting.view.context if waiting else self._new_id()),
            principal=wire.principal,
            peer=wire.peer,
            active=extension.URI in extension.requested(wire.headers, message.extensions),
            text_only=_text_only(configured.get("acceptedOutputModes")),
            history_length=read_count(configured, "historyLength"),
            waiting=waiting,
            at_once=configured.get("returnImmediately") is True or configured.get("blocking") is False,
        )

    async def answered(self, sending: Sending) -> Message | TaskView:
        """What came of a message, or the task that it began. Raises `Fault` and `Overloaded`."""
        if not (sending.asked.in_words or sending.waiting or sending.at_once):
            return await self._directly(sending)
        running = self._begun(sending)
        if isinstance(running, Kept) or sending.at_once:
            return running.view
        return await running.ended()

    def streamed(self, sending: Sending) -> AsyncGenerator[Event, None]:
        """The task that a message began, and what becomes of it. Raises `Fault` and `Overloaded`."""
        running = self._begun(sending)
        return resting(running.view) if isinstance(running, Kept) else running.follow()

    def _asked(self, message: Message, about: JsonObject, principal: str) -> meaning.Asked:
        asked = meaning.read(message, about, self._tools, self._request_schema)
        if principal != ANONYMOUS or len(message.id) >= _UNGUESSABLE:
            return asked
        # Strangers who count their messages must not be given each other's replies.
        return replace(asked, request=replace(asked.request, idempotency_key=None))

    def _continued(self, message: Message, principal: str) -> Kept | None:
        """The task that a message goes on with. Raises `Fault`."""
        if message.task is None:
            return None
        kept = self._tasks.get(message.task, principal)
        if kept is None:
            raise Fault("TASK_NOT_FOUND")
        if message.context is not None and message.context != kept.view.context:
            raise Fault("INVALID_PARAMS", "the task is of another context")
        if kept.view.state != "input-required" and self._tasks.begun_by(principal, message.id) is None:
            raise Fault("UNSUPPORTED_OPERATION", f"the task takes no messages: it is {kept.view.state}")
        return kept

    async def _directly(self, sending: Sending) -> Message | TaskView:
        """A request that no model need read, and its answer as a message; what failed is a task that failed."""
        with self._place(sending):
            reply = await self._replied(sending, ())
        if reply.status == "success":
            return Message(
                id=self._new_id(),
                speaker="agent",
                parts=_readable(meaning.parts_of(sending.asked, reply.body), sending),
                context=sending.context,
                **_told(sending, reply),
            )
        if reply.code in meaning.REASONS:
            raise meaning.fault_of(reply)
        view = TaskView(id=self._new_id(), context=sending.context, state="working")
        failed = self._tasks.stamped(self._failed(view, sending, reply))
        with suppress(Overloaded):
            self._tasks.begin(failed, sending.principal, seconds=0.0)
        return failed

    def _place(self, sending: Sending) -> Place:
        hashes = sending.asked.request.hashes
        return self._under_way.of(sending.principal, sending.peer, hashes[0] if hashes else "")

    def _begun(self, sending: Sending) -> Running | Kept:
        """The task that a message begins, goes on with, or has begun already. Raises `Fault` and `Overloaded`."""
        waiting = sending.waiting
        task = waiting.view.id if waiting else self._new_id()
        message = replace(sending.message, task=task, context=sending.context)
        with ExitStack() as room:
            room.enter_context(self._place(sending))
            if sending.asked.request.idempotency_key is not None:
                digest = _digest(sending)
                standing = self._tasks.claim_message(sending.principal, message.id, digest, task)
                if standing is not None:
                    return self._repeated(sending.principal, standing, digest)
            history = (*(waiting.view.history if waiting else ()), message)
            view = TaskView(id=task, context=sending.context, state="working", history=history)
            view = self._tasks.stamped(view)
            try:
                self._tasks.begin(view, sending.principal, seconds=self._seconds)
            except Overloaded:
                if sending.asked.request.idempotency_key is not None:
                    self._tasks.unclaim_message(sending.principal, message.id)
                raise
            running = Running(view=view, principal=sending.principal)
            self._running[task] = running
            running.start(self._work(running, sending, room.pop_all()))
        return running

    def _repeated(self, principal: str, standing: tuple[str, str], digest: str) -> Running | Kept:
        (task, standing_digest), said = standing, digest.partition(" ")[0]
        if standing_digest.partition(" ")[0] != said:
            raise Fault("INVALID_PARAMS", "the id of the message was used for another message")
        if standing_digest != digest:
            raise OutcomeUnknown
        found = self._running.get(task) or self._tasks.get(task, principal)
        if found is None:
            raise Fault("TASK_NOT_FOUND", "the task that this message began is forgotten")
        return found

    async def _work(self, running: Running, sending: Sending, room: ExitStack) -> None:
        """Answer a task's message, and tell what came of it, whatever that is."""
        view = ended = running.view
        artifact = self._new_id()
        tells = OnTheWay(
            running, artifact=artifact, new_id=self._new_id, stamped=self._tasks.stamped, active=sending.active
        )
        try:
            with room:
                opened = self._conversation(sending)
                with listening(tells):
                    reply = await self._replied(sending, opened.history if opened else ())
            ended = self._concluded(view, sending, reply, artifact)
            if reply.status == "success" or ended.state == "input-required":
                self._recorded(sending, opened, reply.error if reply.body is None else reply.body)
        except asyncio.CancelledError:
            ended = replace(view, state="canceled")
            raise
        except Exception as error:  # noqa: BLE001 - as above
            ended = self._failed(view, sending, rendered(error))
        finally:
            ended = self._tasks.stamped(ended)
            self._tasks.put(ended, sending.principal)
            self._running.pop(view.id, None)
            outputs = (Event(artifact=(ended, each)) for each in ended.artifacts)
            running.tell(ended, *outputs, Event(status=ended), over=True)

    async def _replied(self, sending: Sending, history: tuple[Turn, ...]) -> Reply:
        """Our reply, of whatever status; raises only on cancellation."""
        context = ExchangeContext(
            dialect=sending.version,
            deadline=Deadline.after(self._seconds, self._clock),
            history=history,
            principal=sending.principal,
            peer=sending.peer,
        )
        try:
            reply = await in_time(self._answer, sending.asked.request, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            reply = rendered(error)
        return meaning.as_failure(sending.asked, reply)

    def _concluded(self, view: TaskView, sending: Sending, reply: Reply, artifact: str) -> TaskView:
        if reply.status != "success":
            return self._failed(view, sending, reply)
        parts = _readable(meaning.parts_of(sending.asked, reply.body), sending)
        made = Artifact(id=artifact, parts=parts, **_told(sending, reply))
        return replace(view, state="completed", artifacts=(made,))

    def _failed(self, view: TaskView, sending: Sending, reply: Reply) -> TaskView:
        state = "rejected" if reply.status == "rejected" else _STATES.get(reply.code or "", "failed")
        said = Message(
            id=self._new_id(),
            speaker="agent",
            parts=(objects.text_part(meaning.sentence_of(reply)),),
            context=view.context,
            task=view.id,
            **_told(sending, reply),
        )
        metadata = meaning.metadata_of(sending.asked, reply) if sending.active else {}
        history = (*view.history, said) if state == "input-required" else view.history
        return replace(view, state=state, message=said, history=history, metadata=metadata)

    # --- conversations ---

    def _conversation(self, sending: Sending) -> Conversation | None:
        """What was said before in this context, where that is ours to know. Raises `ConversationFull`."""
        if not sending.asked.in_words or not CAPABILITY.fullmatch(sending.context):
            return None
        going_on = replace(sending.asked.request, conversation=sending.context)
        try:
            return self._conversations.resume(going_on, principal=sending.principal)
        except ConversationExpired:
            self._conversations.close(sending.context, principal=sending.principal)
        except UnknownConversation:
            pass
        return None

    def _recorded(self, sending: Sending, opened: Conversation | None, said: JsonValue) -> None:
        request = sending.asked.request
        if not sending.asked.in_words or not CAPABILITY.fullmatch(sending.context):
            return
        # Without it the next message is the first of its context.
        with suppress(Overloaded, StoreUnusable, UnknownConversation):
            if opened is None:
                opened = self._conversations.open(request, principal=sending.principal, name=sending.context)
            self._conversations.record(opened, request.body, as_text(said))


def _told(sending: Sending, reply: Reply) -> dict[str, Any]:
    if not sending.active:
        return {}
    return {"metadata": meaning.metadata_of(sending.asked, reply), "extensions": (extension.URI,)}


def _readable(parts: tuple[Part, ...], sending: Sending) -> tuple[Part, ...]:
    return objects.as_text(parts) if sending.text_only else parts


def _text_only(accepted: JsonValue) -> bool:
    """Whether a peer reads text and no JSON. Raises `Fault` where it reads neither."""
    if not isinstance(accepted, list) or not accepted:
        return False
    kinds = {str(each).partition(";")[0].strip().lower() for each in accepted}
    if kinds & {"application/json", "application/*", "*/*", "data"}:
        return False
    if kinds & {"text/plain", "text/*", "text"}:
        return True
    raise Fault("CONTENT_TYPE_NOT_SUPPORTED", "replies are text/plain or application/json")


def _digest(sending: Sending) -> str:
    """What a message says, and where it came from where nothing else tells whose it is; with a blank between."""
    said = objects.write_message(sending.message, "1.0")
    return f"{hashlib.sha256(write(said)).hexdigest()} {address_of(sending.principal, sending.peer)}"
