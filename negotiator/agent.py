"""The face: an agent that offers tools to peers and asks peers for tasks."""

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from negotiator.a2a.speaker import A2ASpeaker
from negotiator.agreements import Agreements
from negotiator.answer import answer
from negotiator.ask import ask
from negotiator.choosing_peer import choose_peer
from negotiator.clock import Clock, Deadline, SystemClock
from negotiator.conversations import Conversations
from negotiator.directory.client import DirectoryClient
from negotiator.doors import Doors
from negotiator.engine import Engine, NativeTerms, Publish
from negotiator.errors import UsageError
from negotiator.identity.authority import Authority
from negotiator.identity.checker import Checker
from negotiator.identity.gate import Gate
from negotiator.identity.identity import Identity
from negotiator.identity.replay import Nonces
from negotiator.identity.resolver import MAX_DOCUMENT_BYTES, DidResolver, Fetch
from negotiator.identity.signing import signing
from negotiator.identity.tokens import AccessTokens
from negotiator.identity.trust import Revocations, TrustPolicy
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Ledger
from negotiator.mcp.peers import McpPeers
from negotiator.messages import Effect
from negotiator.models import open_model
from negotiator.models.base import Model
from negotiator.outcome import Outcome
from negotiator.peers import KnownPeer
from negotiator.plan import CostPolicy, cost_policy_of
from negotiator.reach import Reach
from negotiator.replies import Replies
from negotiator.respond import document_of
from negotiator.routines import Routine, RoutineShelf
from negotiator.schemas import Schema
from negotiator.serving import AgoraDoor, DoorLimits, Listed, UnderWay
from negotiator.state import State, open_state
from negotiator.task import Task, Tool
from negotiator.transports.asgi import PrincipalOf
from negotiator.wire import Transport, WireHandler
from protocol_docs import DocumentRevoked, Embedder, ProtocolDocument, catalog, find_document
from sandbox import STRANGERS, AtLeast, Executor, Level, open_executor

if TYPE_CHECKING:
    from negotiator.mcp.server import McpServer

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Agent:
    """One agent: sender and receiver at once.

    Example:
        ```python
        weather_agent = Agent(model="local", publish="agreed")


        @weather_agent.tool(effect="safe")
        def forecast(city: str, day: date) -> Forecast: ...
        ```

    Args:
        model: `none`, `local`, `openai/<model>`, `litellm/<model>`, `recorded/<file>`, or a `Model`.
        name: For people and for logs.
        publish: What is listed to peers: `all` tools with schemas as documents drafted by rule, only documents
            that were `agreed`, or `none`.
        peers: Addresses that may be asked without being named; see `know`.
        directories: Addresses of directories where documents are looked for before one is negotiated; what is
            looked for is told to them.
        embedder: What documents are found by, and fields told apart, beside their words, such as
            `negotiator.embeddings.SentenceEncoder()`.
        state: A folder, or `memory`; see `negotiator.state`.
        cost_policy: The numbers by which tiers are chosen, or the name of some: `default`, and for comparison
            `agora-paper` and `agora-package`.
        request_seconds: The deadline of a request that names none, seconds.
        pinned: Whether a tool of an MCP server's whose definition changes is refused until `approve` takes it.
        relay: Whether anybody may have this agent ask its peers for them, as an MCP client does with `run_task`, at
            this agent's cost and in its name. Whoever starts it over pipes, and whom the program around it vouches for,
            always may.
        allow_sources: Networks that documents may be fetched from beside public addresses: `loopback`, `private`.
        transport: How bytes travel; HTTP by default.
        executor: What runs model-written code: `locked`, `monty`, `trusted`, or an `Executor`. By default the strongest
            that this machine has for code that nobody vouches for, which `trusted` never is.
        sandbox_level: The weakest level that model-written code may run at: below it routines are mappings and your own
            functions alone, and the next tier answers what needs code. By default `sandbox.STRANGERS`; with an
            executor handed in, whatever that one has.
        identity: Who this agent is, or the folder of its keys: what it sends is signed, and what callers prove is
            checked. Needs the extra `identity`.
        trust: Which callers are heard at all; everybody, where nothing is said.
        authority: Who may use which tools; by default callers who prove nothing reach what is public, and others
            everything.
        did_documents: Where callers' DID documents are had; fetched under guard by default.
        clock: Where time comes from.
        new_id: Where unguessable identifiers come from.
    """

    def __init__(
        self,
        model: str | Model | None = None,
        *,
        name: str = "agent",
        publish: Publish = "agreed",
        peers: Sequence[str] = (),
        directories: Sequence[str] = (),
        embedder: Embedder | None = None,
        state: str | Path | None = None,
        cost_policy: CostPolicy | str | None = None,
        request_seconds: float = 60.0,
        pinned: bool = True,
        relay: bool = False,
        allow_sources: Sequence[str] = (),
        transport: Transport | None = None,
        executor: Executor | str | None = None,
        sandbox_level: Level | str | None = None,
        identity: Identity | str | Path | None = None,
        trust: TrustPolicy | None = None,
        authority: Authority | None = None,
        did_documents: Fetch | None = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        policy = cost_policy_of(cost_policy)
        opened = open_state(state, clock)
        self.state_directory = opened.directory
        """Where what was learned is kept; None in memory."""
        self._allow_sources = tuple(allow_sources)
        self._relay = relay
        self._executor = _held_to(executor, sandbox_level)
        # What was handed in may be somebody else's too, and is not ours to close.
        self._own_model, self._own_transport = model is None or isinstance(model, str), transport is None
        new_id = new_id or partial(secrets.token_urlsafe, 18)
        self.identity = identity if identity is None or isinstance(identity, Identity) else Identity.open(identity)
        """Who this agent is; None where it proves nothing."""
        self._transport = transport if transport is not None else _http()
        if self.identity is not None:
            self._transport = signing(self._transport, self.identity, clock, new_id)
        self._trust = trust or TrustPolicy()
        self._checker = self._checking(opened, did_documents, clock)
        self._mcp = McpPeers(self._transport, opened.text, clock, pinned=pinned)
        self.engine = Engine(
            name=name,
            model=open_model(model),
            clock=clock,
            new_id=new_id,
            text=opened.text,
            documents=opened.documents(embedder),
            routines=RoutineShelf(opened.routine_cache(), self._run_source, again_after=policy.no_agreement_seconds),
            reach=Reach(
                self._transport,
                opened.text,
                clock,
                speakers=[self._mcp, A2ASpeaker(self._transport, self._reply_schema)],
            ),
            find_document=self._find_document,
            executor=lambda: self._executor,
            ledger=Ledger(opened.text, policy),
            agreements=Agreements(opened.text, clock),
            replies=Replies(opened.text, clock, abandoned_after=2 * request_seconds, presence=opened.presence),
            flights=opened.flights,
            cost_policy=policy,
            authority=authority or Authority(),
            publish=publish,
            request_seconds=request_seconds,
            embedder=embedder,
            directories=[DirectoryClient(self._transport, each) for each in directories],
        )
        for document in catalog.all_documents():
            with suppress(DocumentRevoked):
                self.engine.documents.put(document)
        for known in peers:
            self.engine.peers.add(known)
        self._sync: _LoopThread | None = None
        self._starting = threading.Lock()

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self,
        function: None = None,
        /,
        *,
        effect: Effect = ...,
        inline: bool = ...,
        public: bool | None = ...,
        name: str | None = ...,
        description: str | None = ...,
        input: Any = ...,
        output: Any = ...,
    ) -> Callable[[F], F]: ...
    def tool(
        self,
        function: F | None = None,
        /,
        *,
        effect: Effect = "transactional",
        inline: bool = False,
        public: bool | None = None,
        name: str | None = None,
        description: str | None = None,
        input: Any = None,  # noqa: A002
        output: Any = None,
    ) -> F | Callable[[F], F]:
        """Offer a function to peers; a decorator, with or without arguments.

        Sync functions run in a thread, unless `inline`; async ones in the loop. Schemas are read from the
        signature, or given as `input` and `output`. Callers who have not proved who they are reach safe tools, and
        those that are `public`; see `authority`. Raises `UsageError`.
        """

        def add(given: F) -> F:
            made = Tool.of(
                given,
                effect=effect,
                inline=inline,
                public=public,
                name=name,
                description=description,
                input=input,
                output=output,
            )
            if made.name in self.engine.tools:
                raise UsageError(f"there is a tool named {made.name} already")
            self.engine.tools[made.name] = made
            return given

        return add if function is None else add(function)

    def register(
        self,
        document: str | bytes | ProtocolDocument,
        routine: Callable[[JsonValue], Any],
        *,
        effect: Effect = "transactional",
        public: bool | None = None,
    ) -> str:
        """Put a person's own function under the hash of any text: an RFC, an API description.

        The function is given the request body (text or JSON) and returns the reply body; it is sync (run in a
        thread) or async; `effect` and `public` mean what they do for tools. Returns the document's hash. Raises
        `protocol_docs.MalformedDocument`.
        """
        if isinstance(document, str):
            document = ProtocolDocument.from_text(document)
        elif isinstance(document, bytes):
            document = ProtocolDocument.from_bytes(document)
        self.engine.documents.put(document)
        self.engine.natives[document.hash] = routine
        public = effect == "safe" if public is None else public
        self.engine.native_terms[document.hash] = NativeTerms(document.name, effect, public)
        return document.hash

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
            return self._in_thread(self.ask(peer, task, seconds=seconds, idempotency_key=idempotency_key))
        return self._in_thread(self.ask(peer, task, value, seconds=seconds, idempotency_key=idempotency_key))

    async def settle(self) -> None:
        """Return when what is being learned off the requests' path has ended."""
        await self.engine.learner.settle()

    def settle_sync(self) -> None:
        """`settle` for programs without an event loop."""
        self._in_thread(self.settle())

    def handler(self, *, origins: Sequence[str] = ()) -> WireHandler:
        """The agent as seen from the wire, for transports other than HTTP and for tests: see `asgi`."""
        from negotiator.a2a import PATHS, door_of  # noqa: PLC0415 - imported on use
        from negotiator.mcp.door import McpDoor  # noqa: PLC0415 - imported on use

        engine = self.engine
        limits = DoorLimits(seconds=engine.request_seconds)
        under_way = UnderWay(limits.under_way)
        conversations = Conversations(engine.text, engine.clock, engine.new_id)
        agora = AgoraDoor(
            answer=partial(answer, engine),
            listing=self._listing,
            conversations=conversations,
            clock=engine.clock,
            limits=limits,
            under_way=under_way,
        )
        mcp = McpDoor(self._mcp_server(limits, under_way), path="/mcp", body_bytes=limits.body_bytes, origins=origins)
        a2a = door_of(engine, self._listing, conversations, limits, under_way)
        doors = Doors(agora, {"/mcp": mcp, **dict.fromkeys(PATHS, a2a)})
        return Gate(doors, checker=self._checker, trust=self._trust, identity=self.identity, new_id=engine.new_id)

    def asgi(
        self, *, origins: Sequence[str] = (), principal_of: PrincipalOf | None = None
    ) -> Callable[..., Coroutine[Any, Any, None]]:
        """The agent as an ASGI application, to be served or mounted anywhere: Agora at `/`, MCP at `/mcp`,
        A2A at `/a2a` with its card at `/.well-known/agent-card.json`.

        `origins` are the web pages that may call it over MCP, such as `https://app.example`, beside those of this
        machine; programs that are no pages need not be named. `principal_of` names, from a request's ASGI scope, whom
        the middleware of the program around this one has found it to be for; such a caller needs no proof here.
        """
        from negotiator.transports.asgi import asgi_app  # noqa: PLC0415 - imported on use

        handler = self.handler(origins=origins)
        return asgi_app(handler) if principal_of is None else asgi_app(handler, principal_of=principal_of)

    def mcp_server(self) -> "McpServer":
        """The agent as an MCP server, for transports of one's own; `asgi` and `negotiator mcp` have theirs."""
        limits = DoorLimits(seconds=self.engine.request_seconds)
        return self._mcp_server(limits, UnderWay(limits.under_way))

    def _mcp_server(self, limits: DoorLimits, under_way: UnderWay) -> "McpServer":
        from negotiator.mcp.offer import Offer  # noqa: PLC0415 - imported on use
        from negotiator.mcp.server import McpServer  # noqa: PLC0415 - imported on use

        offer = Offer(self.engine, partial(answer, self.engine), self._listing, self._relay)
        return McpServer(offer, clock=self.engine.clock, seconds=limits.seconds, under_way=under_way)

    def documents(self) -> list[ProtocolDocument]:
        """All documents at hand."""
        return list(self.engine.documents.documents())

    def routines(self) -> list[Routine]:
        """All routines, with their verdicts."""
        return self.engine.routines.routines()

    async def aclose(self) -> None:
        """Stop learning, let go of connections and of the model. The sandbox's workers belong to the process."""
        await self.engine.learner.aclose()
        await self.engine.reach.aclose()
        if self._own_transport:
            await self._transport.aclose()
        if self._own_model:
            await self.engine.model.aclose()

    def close(self) -> None:
        """`aclose` for programs without an event loop."""
        self._in_thread(self.aclose())
        if self._sync is not None:
            self._sync.stop()
            self._sync = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _listing(self) -> dict[str, Listed]:
        engine = self.engine
        if engine.publish == "none":
            return {}
        listed = list(catalog.all_documents())
        if engine.publish == "all":
            for tool in engine.tools.values():
                document = document_of(tool)
                with suppress(DocumentRevoked):
                    if engine.documents.get(document.hash) is None:
                        engine.documents.put(document)
                    listed.append(document)
        hashes = [*engine.agreements.served(engine.toolset), *engine.natives]
        found = (engine.documents.get(name) for name in hashes)
        listed.extend(document for document in found if document is not None)
        return {document.hash: Listed(document) for document in listed}

    def _checking(self, state: State, did_documents: Fetch | None, clock: Clock) -> Checker | None:
        """What checks callers' proofs; None without an address that they could have been made for."""
        if self.identity is None:
            return None
        loopback = "loopback" in self._allow_sources
        return Checker(
            [self.identity.url],
            resolver=DidResolver(did_documents or self._fetch_did, state.text, clock, loopback=loopback),
            nonces=Nonces(state.text, clock),
            revocations=Revocations(state.text),
            clock=clock,
            trust=self._trust,
            tokens=AccessTokens(state.secrets, self.identity.did, clock),
        )

    async def _fetch_did(self, url: str) -> bytes:
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        return await GuardedFetcher(allow=self._allow_sources, max_bytes=MAX_DOCUMENT_BYTES, seconds=5.0).fetch(url)

    def _reply_schema(self, protocol_hash: str) -> Schema | None:
        document = self.engine.documents.get(protocol_hash)
        schemas = None if document is None else self.engine.schemas_of(document)
        return None if schemas is None else schemas.reply

    async def _find_document(
        self,
        hashes: Sequence[str],
        sources: Sequence[str],
        *,
        timeout: float,  # noqa: ASYNC109 - protocol_docs' own word
    ) -> ProtocolDocument:
        from protocol_docs.fetch import GuardedFetcher  # noqa: PLC0415 - imported on use

        fetcher = GuardedFetcher(allow=self._allow_sources)
        return await find_document(hashes, sources, fetcher=fetcher, timeout=timeout)

    async def _run_source(self, source: str, data: JsonValue, **options: Any) -> JsonValue:
        return await self._executor.arun(source, data, **options)

    def _in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            work.close()
            raise UsageError("there is a running event loop: await the async method instead")
        with self._starting:
            if self._sync is None:
                self._sync = _LoopThread()
        return self._sync.run(work)


def _held_to(executor: Executor | str | None, level: Level | str | None) -> AtLeast:
    try:
        floor = Level(level) if level is not None else STRANGERS if executor is None else Level.TRUSTED
        return AtLeast(floor, open_executor(executor) if isinstance(executor, str) else executor)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _http() -> Transport:
    from negotiator.transports.http_client import HTTPTransport  # noqa: PLC0415 - httpx is imported on use

    return HTTPTransport()


class _LoopThread:
    """One event loop in one daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="negotiator", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
