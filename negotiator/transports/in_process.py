"""Agents of one process and event loop that hand each other messages: nothing that both know is written to be read.

What a document and a mapping stand ready for goes straight from the one agent's short road to the other's: it is
checked on both sides as ever, it is held to the size and depth that its bytes have, the receiver's authority and
admission judge it, and its deadline ends it. Each side's mapping makes new objects, so that no object is in the hands of
both. Whatever is not so plain travels as bytes, as by `MemoryTransport`.
"""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol, runtime_checkable

from negotiator.jsonvalue import JsonObject
from negotiator.transports.memory import PEER, MemoryTransport
from negotiator.wire import ANONYMOUS, SeveralDoors, TakesMessages, WireHandler, WireReply


@runtime_checkable
class _MessageDoors(SeveralDoors, Protocol):
    """An agent's doors with a way for messages."""

    @property
    def handed(self) -> Callable[..., Coroutine[Any, Any, JsonObject | WireReply] | None]:
        """`TakesMessages`, after a principal and what the place is called that the message came from."""
        ...


class InProcessTransport(MemoryTransport):
    """A `Transport` between agents of one process and event loop, by base address.

    Example:
        ```python
        transport = InProcessTransport({"mem://weather": weather_agent.handler()})
        caller = Agent(transport=transport)
        outcome = await caller.ask("mem://weather", task, value)
        ```
    """

    def __init__(self, agents: Mapping[str, WireHandler] | None = None, *, reply_bytes: int = 1_048_576) -> None:
        """Reach `agents` by base address; refuse replies over `reply_bytes`, where they travel as bytes."""
        self._takes: dict[str, TakesMessages] = {}
        super().__init__(agents, reply_bytes=reply_bytes)

    def serve(self, base_url: str, handler: WireHandler) -> None:
        """See `MemoryTransport.serve`."""
        super().serve(base_url, handler)
        self._takes.pop(base_url.rstrip("/"), None)
        if isinstance(handler, _MessageDoors):
            self._takes[base_url.rstrip("/")] = partial(handler.handed, ANONYMOUS, PEER)

    def withdraw(self, base_url: str) -> None:
        """See `MemoryTransport.withdraw`."""
        super().withdraw(base_url)
        self._takes.pop(base_url.rstrip("/"), None)

    def taker(self, base_url: str) -> TakesMessages | None:
        """See `negotiator.wire.HandsOver.taker`."""
        return None if self._faults else self._takes.get(base_url)
