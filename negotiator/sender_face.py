"""The face of a sender: the peers that are known, and asking them."""

from collections.abc import Mapping, Sequence
from typing import Any, overload
from weakref import WeakValueDictionary

from negotiator.ask import ask, by_ladder
from negotiator.ask_warm import ask_warm
from negotiator.asked import AskedBefore, ask_and_keep
from negotiator.asking import Asking
from negotiator.choosing_peer import choose_peer
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import UsageError
from negotiator.events import Listener
from negotiator.ledger import Account
from negotiator.loop_thread import LoopThread
from negotiator.outcome import Outcome
from negotiator.peers import KnownPeer
from negotiator.speakers import Speakers
from negotiator.stream import Stream
from negotiator.task import Task
from protocol_docs import ProtocolDocument


class SenderFace:
    """The half of `Agent` that asks."""

    engine: Engine
    _speakers: Speakers
    _thread: LoopThread
    _streams: "WeakValueDictionary[str, Stream]"

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
        address = self._speakers.mcp().add_command(name, command, environment or {})
        self.know(address, about=about)
        return address

    def approve(self, peer: str, tool: str | None = None) -> None:
        """Take the definition of a tool of an MCP server's or an ANP agent's as it is now, or of all of them, after it
        has changed.

        Until then calls of a tool whose definition changed raise `DefinitionChanged`. What was agreed with the peer on
        the definition of before is forgotten, and the routines for it, unless another peer is asked under it too.
        """
        address = peer.rstrip("/")
        for name in (*self._speakers.mcp().approve(address, tool), *self._speakers.anp().approve(address, tool)):
            if not self.engine.agreements.drop_document(address, name):
                for routine in self.engine.routines.routines():
                    if routine.protocol_hash == name and routine.role == "sender":
                        self.engine.routines.drop(routine)
        self.engine.reach.forget(address)

    async def agree(self, task: Task, *peers: str) -> ProtocolDocument:
        """Agree with all `peers` on one document for `task` and return it, before anything is asked of them.

        See `negotiator.together.agree_together` for what it raises.
        """
        from negotiator.together import agree_together  # noqa: PLC0415 - imported on use

        engine = self.engine.without_model() if task.sensitive else self.engine
        return await agree_together(engine, [peer.rstrip("/") for peer in peers], task)

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
        clock, new_id = engine.clock, engine.new_id
        monotonic = clock.monotonic
        now = monotonic()
        deadline = Deadline(now + (engine.request_seconds if seconds is None else seconds), clock)
        if not isinstance(peer, Task):
            # As `negotiator.ask.ask`, without its frame around what is warm.
            base_url, key = peer.rstrip("/"), idempotency_key or new_id()
            made = await ask_warm(engine, base_url, task, value, deadline, key, None, now, not idempotency_key)
            if isinstance(made, Outcome):
                return made
            return await by_ladder(Asking(engine, base_url, task, deadline, key, Account(), None, None), value, made)
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
    def stream(
        self,
        peer: str,
        task: Task,
        value: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Stream: ...
    @overload
    def stream(
        self,
        peer: Task,
        task: Any,
        /,
        *,
        seconds: float | None = ...,
        idempotency_key: str | None = ...,
    ) -> Stream: ...
    def stream(
        self,
        peer: str | Task,
        task: Any,
        value: Any = None,
        /,
        *,
        seconds: float | None = None,
        idempotency_key: str | None = None,
    ) -> Stream:
        """`ask`, as a stream of what happens on the way: `async for event in agent.stream(peer, task, value)`.

        The request is kept, its values included, until it has come to something, so that `resume` can take it up again
        by `stream.id`. The stream raises what `ask` does.
        """
        named = None if isinstance(peer, Task) else peer.rstrip("/")
        asked, given = (peer, task) if isinstance(peer, Task) else (task, value)
        id = idempotency_key or self.engine.new_id()  # noqa: A001 - the word people expect
        kept = AskedBefore(self.engine.text, self.engine.clock.time)

        async def begin(listens: Listener) -> Outcome:
            engine = self.engine.without_model() if asked.sensitive else self.engine
            deadline = Deadline.after(engine.request_seconds if seconds is None else seconds, engine.clock)
            at, account = named, None
            if at is None:
                chosen = await choose_peer(engine, asked, deadline)
                at, account = chosen.base_url, chosen.account
            return await ask_and_keep(
                engine, kept, id, at, asked, given, deadline=deadline, account=account, listens=listens
            )

        return self._streaming(Stream(id, begin))

    def resume(self, id: str, task: Task | None = None, *, seconds: float | None = None) -> Stream:  # noqa: A002
        """Take up a stream again by its id: while it is under way the same one, from its first event on; else its
        request, in whatever process it was made, asked for again under the same name.

        A peer of this package gives the reply that it made meanwhile, and does nothing twice. Of another peer, a safe
        task is asked again and a transactional one ends in `OutcomeUnknown`. `task` gives the output its Python type
        again; without it, it is plain JSON. Raises `UsageError` where nothing is known under that id: it has come to
        something, or is more than a day old.
        """
        standing = self._streams.get(id)
        if standing is not None and not standing.may_be_resumed:
            return standing
        kept = AskedBefore(self.engine.text, self.engine.clock.time)
        row = kept.find(id)
        if row is None:
            raise UsageError("nothing that is under way is known under that id")
        typed = row.task(task)

        async def begin(listens: Listener) -> Outcome:
            deadline = Deadline.after(self.engine.request_seconds if seconds is None else seconds, self.engine.clock)
            return await ask_and_keep(
                self.engine,
                kept,
                id,
                row.peer,
                typed,
                row.value,
                deadline=deadline,
                account=None,
                listens=listens,
                again=row.again,
            )

        return self._streaming(Stream(id, begin))

    def _streaming(self, stream: Stream) -> Stream:
        self._streams[stream.id] = stream
        return stream

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
