"""An agent as its peers see it over A2A: 1.0 and 0.3, JSON-RPC and HTTP+JSON, on one address.

    GET  /.well-known/agent-card.json   the card
    POST /a2a                           JSON-RPC, of both versions
         /a2a/message:send and others   HTTP+JSON, of 1.0

A data part that is answered at once gets a message; whatever a model reads, is streamed or is not waited for is a
task. The id of a message is its idempotency key.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from negotiator.a2a import meaning
from negotiator.a2a.messages import Messages
from negotiator.a2a.running import Running
from negotiator.a2a.security import Asked
from negotiator.a2a.task_calls import TaskCalls
from negotiator.a2a.tasks import Tasks
from negotiator.admission import UnderWay
from negotiator.clock import Clock
from negotiator.conversations import Conversations
from negotiator.dialects import sse
from negotiator.dialects.a2a import calls, extension
from negotiator.dialects.a2a.calls import Call, Event
from negotiator.dialects.a2a.card import Offer, write_card
from negotiator.dialects.a2a.faults import FAULTS, Fault
from negotiator.dialects.a2a.objects import Misformed
from negotiator.dialects.addresses import A2A_CARD, A2A_EARLIER_CARD, A2A_PATH
from negotiator.serving import Answer, DoorLimits, rendered
from negotiator.task import Tool
from negotiator.wire import WireReply, WireRequest

_SERVER_SENT: Final[Mapping[str, str]] = {
    "content-type": sse.MEDIA_TYPE,
    "cache-control": "no-store",
    "x-accel-buffering": "no",
}


class A2ADoor:
    """A `Door`. Safe to call from many tasks of one event loop."""

    def __init__(
        self,
        answer: Answer,
        *,
        offer: Callable[[], Offer],
        asked: Asked | None = None,
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
            asked: What it asks of callers; nothing, where not given.
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
        self._offer = offer
        self._asked = asked or Asked()
        self._limits = limits or DoorLimits()
        running: dict[str, Running] = {}
        self._calls = TaskCalls(tasks, running, may_have_effects)
        self._messages = Messages(
            answer,
            tools=tools,
            request_schema=request_schema,
            conversations=conversations,
            tasks=tasks,
            running=running,
            clock=clock,
            new_id=new_id,
            seconds=self._limits.seconds,
            under_way=under_way or UnderWay(self._limits.under_way),
        )

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
        if path in (A2A_CARD, A2A_EARLIER_CARD):
            return await self._card(wire)
        call = calls.read_call(wire, path.removeprefix(A2A_PATH))
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
            return calls.write_fault(call, meaning.fault_of(rendered(error)))

    async def _card(self, wire: WireRequest) -> WireReply:
        if wire.method not in ("GET", "HEAD"):
            return WireReply(status=405, headers={"allow": "GET, HEAD"})
        try:
            body = write_card(await self._asked.of(self._offer(), wire.principal), _address(wire), A2A_PATH)
        except Exception as error:  # noqa: BLE001 - as above
            return calls.write_fault(Call(rpc=False), meaning.fault_of(rendered(error)))
        return WireReply(headers={"content-type": calls.JSON, "cache-control": "no-cache"}, body=body)

    async def _served(self, call: Call, wire: WireRequest) -> WireReply:
        echo = _echo(extension.requested(wire.headers))
        match call.operation:
            case "send" | "stream":
                return await self._send(call, wire)
            case "get":
                return calls.write_result(call, self._calls.get(call, wire.principal), echo)
            case "list":
                return calls.write_result(call, self._calls.list(call, wire.principal), echo)
            case "cancel":
                return calls.write_result(call, await self._calls.cancel(call, wire.principal), echo)
            case "subscribe":
                return _streamed(call, self._calls.follow(call, wire.principal), echo)
            case "push":
                raise Fault("PUSH_NOTIFICATION_NOT_SUPPORTED")
            case "extended_card":
                # The card says that there is none; 0.3 has a word of its own for that.
                raise Fault("UNSUPPORTED_OPERATION" if call.version == "1.0" else "EXTENDED_AGENT_CARD_NOT_CONFIGURED")

    # --- messages ---

    async def _send(self, call: Call, wire: WireRequest) -> WireReply:
        sending = self._messages.read(call, wire)
        echo = _echo(extension.requested(wire.headers, sending.message.extensions))
        if call.operation == "stream":
            return _streamed(call, self._messages.streamed(sending), echo)
        answered = await self._messages.answered(sending)
        return calls.write_result(call, calls.write_sent(call, answered, sending.history_length), echo)


def _streamed(call: Call, events: AsyncGenerator[Event, None], echo: Mapping[str, str]) -> WireReply:
    async def chunks() -> AsyncGenerator[bytes, None]:
        async with aclosing(events):
            async for event in events:
                yield calls.write_event(call, event)

    return WireReply(headers={**_SERVER_SENT, **echo}, chunks=chunks())


def _echo(requested: tuple[str, ...]) -> dict[str, str]:
    """What is active is said, in both versions' header; the SDKs differ in which they read."""
    if extension.URI not in requested:
        return {}
    return {extension.HEADER: extension.URI, extension.EARLIER_HEADER: extension.URI}


def _address(wire: WireRequest) -> str:
    """The agent's own address, as this caller reached it."""
    return (wire.base or "http://localhost").rstrip("/")
