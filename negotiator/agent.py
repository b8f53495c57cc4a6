"""The face: an agent that offers tools to peers and asks peers for tasks."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from negotiator.agreements import Agreements
from negotiator.clock import Clock, SystemClock
from negotiator.engine import Engine, Publish
from negotiator.errors import UsageError
from negotiator.files import Files
from negotiator.guarded import Guarded
from negotiator.identity.authority import Authority
from negotiator.identity.trust import TrustPolicy
from negotiator.jsonvalue import JsonValue
from negotiator.ledger import Ledger
from negotiator.loop_thread import LoopThread
from negotiator.messages import Effect
from negotiator.models import open_model
from negotiator.new_ids import new_id as unguessable
from negotiator.own_words import OwnWords
from negotiator.pages import Pages
from negotiator.plan import CostPolicy, cost_policy_of
from negotiator.proving import authorized, checker_of, identity_of, resolver_of, signed_by, tokens_of
from negotiator.reach import Reach
from negotiator.receiver_face import ReceiverFace
from negotiator.replies import Replies
from negotiator.routines import Routine
from negotiator.schemas import Schema
from negotiator.sender_face import SenderFace
from negotiator.shelf import RoutineShelf
from negotiator.speakers import Speakers
from negotiator.state import open_state
from negotiator.task import Task
from negotiator.transports.opening import open_transport
from negotiator.wire import Transport
from protocol_docs import DocumentRevoked, Embedder, ProtocolDocument, catalog
from sandbox import STRANGERS, AtLeast, Executor, Level, open_executor

if TYPE_CHECKING:
    from negotiator.anp.peers import Authorize
    from negotiator.directory.client import DirectoryClient
    from negotiator.identity.identity import Identity
    from negotiator.identity.resolver import Fetch
    from negotiator.mcp.elicitation import Elicit
    from negotiator.oauth.resource import ProtectedResource
    from negotiator.oauth.terms import OAuthClient


class Agent(SenderFace, ReceiverFace):
    """One agent: sender and receiver at once.

    Example:
        ```python
        weather_agent = Agent(model="local", publish="agreed")


        @weather_agent.tool(effect="safe")
        def forecast(city: str, day: date) -> Forecast: ...
        ```

    Args:
        model: `none`, `local`, `openai/<model>`, `litellm/<model>`, `recorded/<file>`, a `Model`, or a model object of
            one of those frameworks.
        respond: What answers in natural language: an async function of (text) or (text, context), or an agent of
            LangGraph, pydantic-ai, the OpenAI Agents SDK or smolagents. Without, the model chooses among the tools.
        respond_effect: What may come of it, as for a tool. Where nothing is said, it is never run twice for one request,
            and callers who prove nothing reach it unless one of the tools is transactional.
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
        elicit: Who answers what an MCP server asks in the middle of a call; without, such a call fails with
            `input_required`.
        relay: Whether anybody may have this agent ask its peers for them, as an MCP client does with `run_task`, at
            this agent's cost and in its name. Whoever starts it over pipes, and whom the program around it vouches for,
            always may.
        allow_sources: Networks that documents may be fetched from beside public addresses: `loopback`, `private`.
        transport: How bytes travel; HTTP by default, with the client of the name `httpx` or, faster, `aiohttp` (the
            extra `fast`).
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
        oauth: How it gets authorizations from servers that ask for them. Needs the extra `oauth`.
        resource: Whose OAuth tokens it takes from callers. Needs the extra `oauth`.
        allowed_origins: Web pages that may call, such as `https://app.example`, beside those of this machine; programs
            that are no pages need not be named.
        allowed_hosts: Names that the agent goes by, such as `agent.example`, beside those of this machine and of its
            identity and resource: where there are any, a request that names another is refused, and without them one
            that comes to a loopback address.
        did_documents: Where callers' and peers' DID documents are had; fetched under guard by default.
        authorize: Asks a person whether a call may be made that a peer wants a person's authorization for, each time
            anew: given the peer's address, the method, and what is sent. Without it such calls are not made.
        clock: Where time comes from.
        new_id: Where unguessable identifiers come from.
    """

    def __init__(
        self,
        model: Any = None,
        *,
        respond: Any = None,
        respond_effect: Effect | None = None,
        name: str = "agent",
        publish: Publish = "agreed",
        peers: Sequence[str] = (),
        directories: Sequence[str] = (),
        embedder: Embedder | None = None,
        state: str | Path | None = None,
        cost_policy: CostPolicy | str | None = None,
        request_seconds: float = 60.0,
        pinned: bool = True,
        elicit: "Elicit | None" = None,
        relay: bool = False,
        allow_sources: Sequence[str] = (),
        transport: Transport | str | None = None,
        executor: Executor | str | None = None,
        sandbox_level: Level | str | None = None,
        identity: "Identity | str | Path | None" = None,
        trust: TrustPolicy | None = None,
        authority: Authority | None = None,
        oauth: "OAuthClient | None" = None,
        resource: "ProtectedResource | None" = None,
        allowed_origins: Sequence[str] = (),
        allowed_hosts: Sequence[str] = (),
        did_documents: "Fetch | None" = None,
        authorize: "Authorize | None" = None,
        clock: Clock | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        clock = clock or SystemClock()
        policy = cost_policy_of(cost_policy)
        opened = open_state(state, clock)
        self.state_directory = opened.directory
        """Where what was learned is kept; None in memory."""
        guarded = Guarded(allow_sources)
        self._relay = relay
        self._executor = _held_to(executor, sandbox_level)
        # What was handed in may be somebody else's too, and is not ours to close.
        self._own_model = model is None or isinstance(model, str)
        self._own_transport = transport is None or isinstance(transport, str)
        new_id = new_id or unguessable
        authority = authority or Authority()
        self.identity = identity_of(identity)
        """Who this agent is; None where it proves nothing."""
        signed = signed_by(self.identity, open_transport(transport), clock, new_id)
        self._authorizer, self._transport = authorized(oauth, signed, guarded, opened, clock, new_id)
        self._trust = trust or TrustPolicy()
        own = [each.url for each in (self.identity, resource) if each is not None]
        self._pages = Pages(allowed_origins, allowed_hosts, own)
        resolver = resolver_of(did_documents, guarded, opened, clock)
        self._checker = checker_of(self.identity, resolver, self._trust, opened, clock)
        self._tokens = tokens_of(resource, authority, guarded, opened, clock, new_id)
        self._speakers = Speakers(
            transport=self._transport,
            text=opened.text,
            clock=clock,
            new_id=new_id,
            pinned=pinned,
            elicit=elicit,
            reply_schema=self._reply_schema,
            prepare=None
            if self._authorizer is None
            else partial(self._authorizer.prepare, signed=self.identity is not None),
            resolver=resolver,
            identity=self.identity,
            authorize=authorize,
        )
        self.engine = Engine(
            name=name,
            model=open_model(model),
            clock=clock,
            new_id=new_id,
            text=opened.text,
            documents=opened.documents(embedder),
            routines=RoutineShelf(opened.routine_cache(), self._run_source, again_after=policy.no_agreement_seconds),
            reach=Reach(self._transport, opened.text, clock, speakers=self._speakers.all()),
            find_document=guarded.document,
            executor=lambda: self._executor,
            ledger=Ledger(opened.text, policy),
            agreements=Agreements(opened.text, clock),
            replies=Replies(opened.text, clock, abandoned_after=2 * request_seconds, presence=opened.presence),
            flights=opened.flights,
            cost_policy=policy,
            authority=authority,
            own_words=None if respond is None else OwnWords.of(respond, respond_effect),
            publish=publish,
            request_seconds=request_seconds,
            embedder=embedder,
            directories=_directories(self._transport, directories) if directories else (),
        )
        for document in catalog.all_documents():
            with suppress(DocumentRevoked):
                self.engine.documents.put(document)
        for known in peers:
            self.engine.peers.add(known)
        self._thread = LoopThread()
        self._streams = WeakValueDictionary()
        self.files = Files(
            guarded.file,
            folder=None if opened.directory is None else opened.directory / "files",
            base_url=None if self.identity is None else self.identity.url,
        )
        """Files to hand on, and those that peers refer to; see `negotiator.files`."""

    def as_tools(
        self, *tasks: Task, peer: str | None = None, seconds: float | None = None, sync: bool = False
    ) -> list[Callable[..., Any]]:
        """Plain typed functions for the tools of another framework's agent: each a name, a signature, a docstring.

        They take and return plain JSON in the types of their schemas, which are also at `input_schema` and
        `output_schema`, and raise what `ask` does.

        Args:
            tasks: One function for each, which asks `peer`. With none: this agent's own tools, and `find_task` and
                `run_task`, which reach every peer and task that it knows.
            peer: Whose address is asked; one of those that are known by default.
            seconds: The deadline of a call.
            sync: Functions for frameworks that call tools without an event loop, such as smolagents. Otherwise they are
                async: a call that is cancelled is a request that is cancelled.
        """
        from negotiator.frameworks.at_hand import asking, at_hand  # noqa: PLC0415 - imported on use
        from negotiator.frameworks.functions import async_function, sync_function  # noqa: PLC0415

        ask = partial(self.ask, seconds=seconds) if peer is None else partial(self.ask, peer, seconds=seconds)
        made = [asking(ask, task) for task in tasks] if tasks else at_hand(self.engine, self._listing, seconds)
        if sync:
            return [sync_function(told, run, self._thread.run) for told, run in made]
        return [async_function(told, run) for told, run in made]

    def documents(self) -> list[ProtocolDocument]:
        """All documents at hand."""
        return list(self.engine.documents.documents())

    def routines(self) -> list[Routine]:
        """All routines, with their verdicts."""
        return self.engine.routines.routines()

    async def aclose(self) -> None:
        """Cancel streams, stop learning, let go of connections and of the model. The sandbox's workers belong to the process."""
        for stream in list(self._streams.values()):
            with suppress(UsageError):  # of another event loop, which ends its own
                await stream.cancel()
        await self.engine.learner.aclose()
        await self.engine.reach.aclose()
        if self._authorizer is not None:
            await self._authorizer.aclose()
        if self._own_transport:
            await self._transport.aclose()
        if self._own_model:
            await self.engine.model.aclose()

    def close(self) -> None:
        """`aclose` for programs without an event loop."""
        self._thread.run(self.aclose())
        self._thread.stop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _reply_schema(self, protocol_hash: str) -> Schema | None:
        document = self.engine.documents.get(protocol_hash)
        schemas = None if document is None else self.engine.schemas_of(document)
        return None if schemas is None else schemas.reply

    async def _run_source(self, source: str, data: JsonValue, **options: Any) -> JsonValue:
        return await self._executor.arun(source, data, **options)


def _directories(transport: Transport, addresses: Sequence[str]) -> list["DirectoryClient"]:
    from negotiator.directory.client import DirectoryClient  # noqa: PLC0415 - imported on use

    return [DirectoryClient(transport, each) for each in addresses]


def _held_to(executor: Executor | str | None, level: Level | str | None) -> AtLeast:
    try:
        floor = Level(level) if level is not None else STRANGERS if executor is None else Level.TRUSTED
        return AtLeast(floor, open_executor(executor) if isinstance(executor, str) else executor)
    except ValueError as error:
        raise UsageError(str(error)) from None
