"""An agent as its peers see it over A2A: 1.0 and 0.3, JSON-RPC and HTTP+JSON, on one address.

    GET  /.well-known/agent-card.json   the card
    POST /a2a                           JSON-RPC, of both versions
         /a2a/message:send and others   HTTP+JSON, of 1.0

A data part that is answered at once gets a message; whatever a model reads, is streamed or is not waited for is a
task. The id of a message is its idempotency key.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from negotiator.a2a import meaning
from negotiator.a2a.running import Running
from negotiator.a2a.tasks import Kept, Tasks
from negotiator.clock import Clock, Deadline
from negotiator.conversations import Conversation, Conversations, Turn
from negotiator.dialects.a2a import calls, card, extension, objects
from negotiator.dialects.a2a.calls import Call, Event
from negotiator.dialects.a2a.card import Offer, write_card
from negotiator.dialects.a2a.faults import FAULTS, Fault
from negotiator.dialects.a2a.objects import Artifact, Message, Misformed, Part, State, TaskView
from negotiator.dialects.agora import spelling_of
from negotiator.dialects.base import ConversationExpired, UnknownConversation
from negotiator.dialects.json_body import as_text, write
from negotiator.errors import Overloaded
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Reply
from negotiator.serving import Answer, DoorLimits, ExchangeContext, UnderWay, in_time, rendered
from negotiator.task import Tool
from negotiator.wire import ANONYMOUS, WireReply, WireRequest
from protocol_docs import StoreUnusable

PATH: Final = "/a2a"
PATHS: Final = (PATH, card.PATH, card.EARLIER_PATH)
"""What belongs to this door."""

_UNGUESSABLE: Final = 16
"""Characters of an identifier that nobody else happens to use."""
_CAPABILITY: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
"""A context's id that nobody guesses, so that knowing it shows whose it is among callers without a name."""
_PAGE: Final = 50
_LARGEST_PAGE: Final = 100
_SERVER_SENT: Final[Mapping[str, str]] = {
    "content-type": "text/event-stream",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}
_STATES: Final[Mapping[str, State]] = {
    "input_missing": "input-required",
    "not_allowed": "rejected",
    "not_possible": "rejected",
}
"""What becomes of a task by what stood in the way of it; anything else is `failed`."""
_REASONS: Final[Mapping[str, str]] = {
    "bad_input": "INVALID_PARAMS",
    "malformed": "INVALID_PARAMS",
    "not_allowed": "NOT_ALLOWED",
    "overloaded": "OVERLOADED",
}
"""What is refused, rather than a task that failed: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sending:
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

    @property
    def version(self) -> str:
        return f"a2a-{self.call.version}"


class A2ADoor:
    """A `Door`. Safe to call from many tasks of one event loop."""

    def __init__(
        self,
        answer: Answer,
        *,
        offer: Callable[[], Offer],
        tools: Mapping[str, Tool],
        request_schema: meaning.RequestSchema,
        conversations: Conversations,
        tasks: Tasks,
        clock: Clock,
        new_id: Callable[[], str],
        may_have_effects: Callable[[], bool],
        limits: DoorLimits | None = None,
        under_way: UnderWay | None = None,
    ) -> None:
        """Answer with `answer`.

        Args:
            answer: What an agent does with a request.
            offer: What the card shows, at the moment.
            tools: What a data part may be the input of.
            request_schema: The schema of the body under a document, where one is at hand.
            conversations: Where rounds in words are kept, by context.
            tasks: Where tasks are kept.
            clock: Where time comes from.
            new_id: Where unguessable identifiers come from.
            may_have_effects: Whether a request may do what must not be cut in two.
            limits: What is taken from peers.
            under_way: Shared with the other doors of the same agent.
        """
        self._answer = answer
        self._offer = offer
        self._tools = tools
        self._request_schema = request_schema
        self._conversations = conversations
        self._tasks = tasks
        self._clock = clock
        self._new_id = new_id
        self._may_have_effects = may_have_effects
        self._limits = limits or DoorLimits()
        self._under_way = under_way or UnderWay(self._limits.under_way)
        self._running: dict[str, Running] = {}

    @property
    def body_bytes(self) -> int:
        """Bytes of a request's body."""
        return self._limits.body_bytes

    def refuse(self, code: str) -> WireReply:
        """The reply to a request that its transport did not take, unread."""
        return calls.write_fault(Call(rpc=True), Fault(code.upper() if code.upper() in FAULTS else "INTERNAL_ERROR"))

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request; raises only on cancellation."""
        if len(wire.body) > self._limits.body_bytes:
            return self.refuse("too_large")
        path = wire.path.partition("?")[0]
        if path in (card.PATH, card.EARLIER_PATH):
            return self._card(wire)
        call = calls.read_call(wire, path.removeprefix(PATH))
        if call.rpc and wire.method != "POST":
            return WireReply(status=405, headers={"allow": "POST"})
        try:
            if call.fault is not None:
                raise call.fault  # noqa: TRY301 - errors are answered in one place
            return await self._served(call, wire)
        except Fault as fault:
            return calls.write_fault(call, fault)
        except Misformed as problem:
            return calls.write_fault(call, Fault("INVALID_PARAMS", str(problem)))
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            return calls.write_fault(call, _fault_of(rendered(error)))

    def _card(self, wire: WireRequest) -> WireReply:
        if wire.method not in ("GET", "HEAD"):
            return WireReply(status=405, headers={"allow": "GET, HEAD"})
        try:
            body = write_card(self._offer(), _address(wire), PATH)
        except Exception as error:  # noqa: BLE001 - as above
            return calls.write_fault(Call(rpc=False), _fault_of(rendered(error)))
        return WireReply(headers={"content-type": calls.JSON, "cache-control": "no-cache"}, body=body)

    async def _served(self, call: Call, wire: WireRequest) -> WireReply:
        echo = _echo(extension.requested(wire.headers))
        match call.operation:
            case "send" | "stream":
                return await self._send(call, wire)
            case "get":
                kept = self._task(call, wire)
                shown = objects.write_task(kept.view, call.version, history_length=_count(call.params, "historyLength"))
                return calls.write_result(call, shown, echo)
            case "list":
                return calls.write_result(call, self._list(call, wire.principal), echo)
            case "cancel":
                return calls.write_result(call, await self._cancel(call, wire), echo)
            case "subscribe":
                return self._subscribe(call, wire, echo)
            case "push":
                raise Fault("PUSH_NOTIFICATION_NOT_SUPPORTED")
            case "extended_card":
                # The card says that there is none; 0.3 has a word of its own for that.
                raise Fault("UNSUPPORTED_OPERATION" if call.version == "1.0" else "EXTENDED_AGENT_CARD_NOT_CONFIGURED")

    # --- messages ---

    async def _send(self, call: Call, wire: WireRequest) -> WireReply:
        message = objects.read_message(call.params.get("message"), call.version)
        configured = call.params.get("configuration") or {}
        if not isinstance(configured, dict):
            raise Fault("INVALID_PARAMS", "configuration is no object")
        if "taskPushNotificationConfig" in configured or "pushNotificationConfig" in configured:
            raise Fault("PUSH_NOTIFICATION_NOT_SUPPORTED")
        waiting = self._continued(message, wire.principal)
        about = call.params.get("metadata")
        requested = extension.requested(wire.headers, message.extensions)
        sending = _Sending(
            call=call,
            message=message,
            asked=self._asked(message, about if isinstance(about, dict) else {}, wire.principal),
            context=message.context or (waiting.view.context if waiting else self._new_id()),
            principal=wire.principal,
            peer=wire.peer,
            active=extension.URI in requested,
            text_only=_text_only(configured.get("acceptedOutputModes")),
            history_length=_count(configured, "historyLength"),
        )
        echo = _echo(requested)
        at_once = configured.get("returnImmediately") is True or configured.get("blocking") is False
        streamed = call.operation == "stream"
        if not (sending.asked.in_words or waiting or at_once or streamed):
            return await self._directly(sending, echo)
        running = self._begun(sending, waiting)
        if isinstance(running, Kept):
            view = running.view
            if streamed:
                return _streamed(call, _shown(view), echo)
        elif streamed:
            return _streamed(call, running.follow(), echo)
        else:
            view = running.view if at_once else await running.ended()
        return calls.write_result(call, calls.write_sent(call, view, sending.history_length), echo)

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

    async def _directly(self, sending: _Sending, echo: Mapping[str, str]) -> WireReply:
        """A request that no model need read, and its answer as a message; what failed is a task that failed."""
        with self._under_way:
            reply = await self._replied(sending, ())
        if reply.status == "success":
            answer = Message(
                id=self._new_id(),
                speaker="agent",
                parts=_readable(meaning.parts_of(sending.asked, reply.body), sending),
                context=sending.context,
                **_told(sending, reply),
            )
            return calls.write_result(sending.call, calls.write_sent(sending.call, answer, None), echo)
        if reply.code in _REASONS:
            raise _fault_of(reply)
        view = TaskView(id=self._new_id(), context=sending.context, state="working")
        failed = self._tasks.stamped(self._failed(view, sending, reply))
        self._tasks.begin(failed, sending.principal, seconds=0.0)
        return calls.write_result(sending.call, calls.write_sent(sending.call, failed, None), echo)

    def _begun(self, sending: _Sending, waiting: Kept | None) -> Running | Kept:
        """The task that a message begins, goes on with, or has begun already. Raises `Fault` and `Overloaded`."""
        task = waiting.view.id if waiting else self._new_id()
        message = replace(sending.message, task=task, context=sending.context)
        with ExitStack() as room:
            room.enter_context(self._under_way)
            if sending.asked.request.idempotency_key is not None:
                digest = _digest(sending.message)
                standing = self._tasks.claim_message(sending.principal, message.id, digest, task)
                if standing is not None:
                    return self._repeated(sending.principal, standing, digest)
            history = (*(waiting.view.history if waiting else ()), message)
            view = TaskView(id=task, context=sending.context, state="working", history=history)
            view = self._tasks.stamped(view)
            self._tasks.begin(view, sending.principal, seconds=self._limits.seconds)
            running = Running(view=view, principal=sending.principal)
            self._running[task] = running
            running.start(self._work(running, sending, room.pop_all()))
        return running

    def _repeated(self, principal: str, standing: tuple[str, str], digest: str) -> Running | Kept:
        task, said = standing
        if said != digest:
            raise Fault("INVALID_PARAMS", "the id of the message was used for another message")
        found = self._running.get(task) or self._tasks.get(task, principal)
        if found is None:
            raise Fault("TASK_NOT_FOUND", "the task that this message began is forgotten")
        return found

    async def _work(self, running: Running, sending: _Sending, room: ExitStack) -> None:
        """Answer a task's message, and tell what came of it, whatever that is."""
        view = ended = running.view
        try:
            with room:
                opened = self._conversation(sending)
                reply = await self._replied(sending, opened.history if opened else ())
            ended = self._concluded(view, sending, reply)
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

    async def _replied(self, sending: _Sending, history: tuple[Turn, ...]) -> Reply:
        """Our reply, of whatever status; raises only on cancellation."""
        context = ExchangeContext(
            dialect=sending.version,
            deadline=Deadline.after(self._limits.seconds, self._clock),
            history=history,
            principal=sending.principal,
            peer=sending.peer,
        )
        try:
            reply = await in_time(self._answer, sending.asked.request, context)
        except Exception as error:  # noqa: BLE001 - whatever it is, peers get one sentence and the log its place
            reply = rendered(error)
        return meaning.as_failure(sending.asked, reply)

    def _concluded(self, view: TaskView, sending: _Sending, reply: Reply) -> TaskView:
        if reply.status != "success":
            return self._failed(view, sending, reply)
        parts = _readable(meaning.parts_of(sending.asked, reply.body), sending)
        return replace(
            view, state="completed", artifacts=(Artifact(id=self._new_id(), parts=parts, **_told(sending, reply)),)
        )

    def _failed(self, view: TaskView, sending: _Sending, reply: Reply) -> TaskView:
        state = "rejected" if reply.status == "rejected" else _STATES.get(reply.code or "", "failed")
        said = Message(
            id=self._new_id(),
            speaker="agent",
            parts=(objects.text_part(_sentence(reply)),),
            context=view.context,
            task=view.id,
            **_told(sending, reply),
        )
        metadata = meaning.metadata_of(sending.asked, reply) if sending.active else {}
        history = (*view.history, said) if state == "input-required" else view.history
        return replace(view, state=state, message=said, history=history, metadata=metadata)

    # --- conversations ---

    def _conversation(self, sending: _Sending) -> Conversation | None:
        """What was said before in this context, where that is ours to know. Raises `ConversationFull`."""
        if not sending.asked.in_words or not _CAPABILITY.fullmatch(sending.context):
            return None
        going_on = replace(sending.asked.request, conversation=sending.context)
        try:
            return self._conversations.resume(going_on, principal=sending.principal)
        except ConversationExpired:
            self._conversations.close(sending.context, principal=sending.principal)
        except UnknownConversation:
            pass
        return None

    def _recorded(self, sending: _Sending, opened: Conversation | None, said: JsonValue) -> None:
        request = sending.asked.request
        if not sending.asked.in_words or not _CAPABILITY.fullmatch(sending.context):
            return
        # Without it the next message is the first of its context.
        with suppress(Overloaded, StoreUnusable, UnknownConversation):
            if opened is None:
                opened = self._conversations.open(request, principal=sending.principal, name=sending.context)
            self._conversations.record(opened, request.body, as_text(said))

    # --- tasks ---

    def _task(self, call: Call, wire: WireRequest) -> Kept:
        kept = self._tasks.get(objects.identifier(call.params, "id") or "", wire.principal)
        if kept is None:
            raise Fault("TASK_NOT_FOUND")
        return kept

    def _list(self, call: Call, principal: str) -> JsonObject:
        params = call.params
        context, status = objects.identifier(params, "contextId"), params.get("status")
        state = objects.read_state(status, "1.0") if status else None
        size = _count(params, "pageSize")
        if size is not None and not 1 <= size <= _LARGEST_PAGE:
            raise Fault("INVALID_PARAMS", f"pageSize is not within 1 and {_LARGEST_PAGE}")
        if state == "unknown":
            raise Fault("INVALID_PARAMS", "status is no state of a task")
        # Callers without a name are one principal, and must not see each other's tasks.
        hidden = principal == ANONYMOUS and not (context and _CAPABILITY.fullmatch(context))
        after = params.get("statusTimestampAfter")
        found = [
            kept
            for kept in ([] if hidden else self._tasks.of(principal, context))
            if state in (None, kept.view.state) and (not isinstance(after, str) or (kept.view.timestamp or "") >= after)
        ]
        first = _after(found, objects.identifier(params, "pageToken"))
        shown = found[first : first + (size or _PAGE)]
        left = len(found) > first + len(shown)
        length = _count(params, "historyLength")
        with_artifacts = params.get("includeArtifacts") is True or params.get("includeArtifacts") == "true"
        return {
            "tasks": [
                objects.write_task(kept.view, "1.0", history_length=length, with_artifacts=with_artifacts)
                for kept in shown
            ],
            "nextPageToken": shown[-1].view.id if left else "",
            "pageSize": size or _PAGE,
            "totalSize": len(found),
        }

    async def _cancel(self, call: Call, wire: WireRequest) -> JsonObject:
        kept = self._task(call, wire)
        running = self._running.get(kept.view.id)
        if kept.over:
            raise Fault("TASK_NOT_CANCELABLE", f"the task is {kept.view.state}")
        if running is not None:
            if self._may_have_effects():
                raise Fault("TASK_NOT_CANCELABLE", "the task may have begun what must not be cut in two")
            view = await running.cancel()
        elif kept.view.state == "input-required":
            view = self._tasks.stamped(replace(kept.view, state="canceled", message=None))
            self._tasks.put(view, wire.principal)
        else:
            raise Fault("TASK_NOT_CANCELABLE", "the task is under way elsewhere")
        if view.state != "canceled":
            raise Fault("TASK_NOT_CANCELABLE", f"the task is {view.state}")
        return objects.write_task(view, call.version)

    def _subscribe(self, call: Call, wire: WireRequest, echo: Mapping[str, str]) -> WireReply:
        kept = self._task(call, wire)
        running = self._running.get(kept.view.id)
        if running is not None:
            return _streamed(call, running.follow(), echo)
        if kept.view.state == "input-required":
            return _streamed(call, _shown(kept.view), echo)
        why = f"the task is {kept.view.state}" if kept.over else "the task is under way elsewhere; get it instead"
        raise Fault("UNSUPPORTED_OPERATION", why)


async def _shown(view: TaskView) -> AsyncGenerator[Event, None]:
    """A task that rests, and its state, which is the last that can be said of it."""
    yield Event(task=view)
    yield Event(status=view)


def _streamed(call: Call, events: AsyncGenerator[Event, None], echo: Mapping[str, str]) -> WireReply:
    async def chunks() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                yield calls.write_event(call, event)

    return WireReply(headers={**_SERVER_SENT, **echo}, chunks=chunks())


def _told(sending: _Sending, reply: Reply) -> dict[str, Any]:
    if not sending.active:
        return {}
    return {"metadata": meaning.metadata_of(sending.asked, reply), "extensions": (extension.URI,)}


def _readable(parts: tuple[Part, ...], sending: _Sending) -> tuple[Part, ...]:
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


def _sentence(reply: Reply) -> str:
    return reply.error or spelling_of(reply).text


def _fault_of(reply: Reply) -> Fault:
    reason = _REASONS.get(reply.code or "", "INTERNAL_ERROR")
    return Fault(reason, _sentence(reply), retry_after=reply.retry_after)


def _count(params: JsonObject, name: str) -> int | None:
    given = params.get(name)
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise Fault("INVALID_PARAMS", f"{name} is no number from 0 on")
    return given


def _after(found: list[Kept], token: str | None) -> int:
    if token is None:
        return 0
    at = next((number for number, kept in enumerate(found, 1) if kept.view.id == token), None)
    if at is None:
        raise Fault("INVALID_PARAMS", "the page's token is not known, or not any more")
    return at


def _digest(message: Message) -> str:
    said = objects.write_message(message, "1.0")
    return hashlib.sha256(write(said)).hexdigest()


def _echo(requested: tuple[str, ...]) -> dict[str, str]:
    """What is active is said, in both versions' header; the SDKs differ in which they read."""
    if extension.URI not in requested:
        return {}
    return {extension.HEADER: extension.URI, extension.EARLIER_HEADER: extension.URI}


def _address(wire: WireRequest) -> str:
    """The agent's own address, as this caller reached it."""
    return (wire.base or "http://localhost").rstrip("/")
