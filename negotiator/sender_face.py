"""The face of a sender: the peers that are known, and asking them."""

from collections.abc import Mapping, Sequence
from typing import Any, overload

from negotiator.ask import ask
from negotiator.choosing_peer import choose_peer
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.loop_thread import LoopThread
from negotiator.mcp.peers import McpPeers
from negotiator.outcome import Outcome
from negotiator.peers import KnownPeer
from negotiator.task import Task


class SenderFace:
    """The half of `Agent` that asks."""

    engine: Engine
    _mcp: McpPeers
    _thread: LoopThread

    def know(self, *peers: str, about: str = "") -> None:
        """Make peers known, so that `ask` may choose them where none is named; kept with the state.

        `about` says in a sentence what they are there for: what is compared where they publish no schemas.
        Raises `UsageError`.
        """
        for peer in peers:
            self.engine.peers.add(peer, about)

    def know_command(
        self, name: str, command: str | Sequence[str], *, environment: Mapping[str, str] | None = None, about: str = ""
    ) -> str:
        """Make known the MCP server that a command starts, and give its address, `stdio:<name>`.

        It is started at the first need, ended with `aclose`, and told nothing of this process's environment but where
        programs and its home are, and `environment`. Raises `UsageError`.
        """
        address = self._mcp.add_command(name, command, environment or {})
        self.know(address, about=about)
        return address

    def approve(self, peer: str, tool: str | None = None) -> None:
        """Take the definition of an MCP server's tool as it is now, or of all its tools, after it has changed.

        Until then calls of a tool whose definition changed raise `DefinitionChanged`.
        """
        self._mcp.approve(peer.rstrip("/"), tool)
        self.engine.reach.forget(peer.rstrip("/"))

    def forget(self, peer: str) -> bool:
        """Choose a peer no more where none is named; True if it was known."""
        return self.engine.peers.forget(peer)

    def peers(self) -> list[KnownPeer]:
        """The peers that may be asked without being named."""
        return self.engine.peers.all()

    @overload
    async def ask(
        self,
        peer: str,
        task: Task,
        value: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Outcome: ...
    @overload
    async def ask(
        self,
        peer: Task,
        task: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Outcome: ...
    async def ask(
        self,
        peer: str | Task,
        task: Any,
        value: Any = None,
        /,
        *,
        seconds: float | None = None,
        idempotency_key: str | None = None,
    ) -> Outcome:
        """`ask(peer, task, value)` asks the peer at a URL; `ask(task, value)` one of those that are known.

        See `negotiator.ask.ask` for what it raises, and where no peer is named also `NoPeerSuits`.
        """
        asked = peer if isinstance(peer, Task) else task
        engine = self.engine.without_model() if isinstance(asked, Task) and asked.sensitive else self.engine
        deadline = Deadline.after(engine.request_seconds if seconds is None else seconds, engine.clock)
        if not isinstance(peer, Task):
            return await ask(engine, peer.rstrip("/"), task, value, deadline=deadline, idempotency_key=idempotency_key)
        chosen = await choose_peer(engine, peer, deadline)
        return await ask(
            engine,
            chosen.base_url,
            peer,
            task,
            deadline=deadline,
            idempotency_key=idempotency_key,
            account=chosen.account,
        )

    @overload
    def ask_sync(
        self,
        peer: str,
        task: Task,
        value: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Outcome: ...
    @overload
    def ask_sync(
        self,
        peer: Task,
        task: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Outcome: ...
    def ask_sync(
        self,
        peer: str | Task,
        task: Any,
        value: Any = None,
        /,
        *,
        seconds: float | None = None,
        idempotency_key: str | None = None,
    ) -> Outcome:
        """`ask` for programs without an event loop; learning goes on in one background thread.

        Raises `UsageError` from inside a running event loop.
        """
        if isinstance(peer, Task):
            return self._thread.run(self.ask(peer, task, seconds=seconds, idempotency_key=idempotency_key))
        return self._thread.run(self.ask(peer, task, value, seconds=seconds, idempotency_key=idempotency_key))

    async def settle(self) -> None:
        """Return when what is being learned off the requests' path has ended."""
        await self.engine.learner.settle()

    def settle_sync(self) -> None:
        """`settle` for programs without an event loop."""
        self._thread.run(self.settle())
