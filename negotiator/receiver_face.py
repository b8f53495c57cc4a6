"""The face of a receiver: what an agent offers, and the doors that it is reached by."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from negotiator.admission import UnderWay
from negotiator.answer import answer
from negotiator.conversations import Conversations
from negotiator.dialects.addresses import A2A_PATHS, ANP_PATHS, MCP_PATH
from negotiator.doors import Doors
from negotiator.engine import Engine, NativeTerms
from negotiator.errors import UsageError
from negotiator.files import PATH as FILES_PATH
from negotiator.files import Files, FilesDoor
from negotiator.identity.gate import Gate
from negotiator.identity.trust import TrustPolicy
from negotiator.jsonvalue import JsonValue
from negotiator.late import Late
from negotiator.listing import listing_of
from negotiator.messages import Effect
from negotiator.pages import Pages
from negotiator.serving import AgoraDoor, DoorLimits, Listed
from negotiator.task import Tool
from negotiator.transports.asgi import AsgiApp, PrincipalOf, asgi_app
from negotiator.warm_door import WarmDoor
from negotiator.watching import WatchedDoor
from negotiator.wire import Door, WireHandler
from protocol_docs import ProtocolDocument

if TYPE_CHECKING:
    from negotiator.identity.checker import Checker
    from negotiator.identity.identity import Identity
    from negotiator.mcp.server import McpServer
    from negotiator.oauth.checker import TokenChecker

F = TypeVar("F", bound=Callable[..., Any])


class ReceiverFace:
    """The half of `Agent` that answers."""

    engine: Engine
    files: Files
    identity: "Identity | None"
    _checker: "Checker | None"
    _tokens: "TokenChecker | None"
    _trust: TrustPolicy
    _pages: Pages
    _relay: bool

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
            self._offer(made)
            return given

        return add if function is None else add(function)

    def _offer(self, tool: Tool) -> None:
        if tool.name in self.engine.tools:
            raise UsageError(f"there is a tool named {tool.name} already")
        self.engine.tools[tool.name] = tool

    @classmethod
    def from_tools(cls, tools: Any, *, effect: Effect | Mapping[str, Effect] = "transactional", **options: Any) -> Self:
        """An agent that offers tools which are there already.

        Example:
            ```python
            served = Agent.from_tools(tools, respond=graph, effect="safe")
            ```

        Args:
            tools: Functions, `Tool`s, and tool objects of LangChain, pydantic-ai, the OpenAI Agents SDK and smolagents,
                in any order; or what holds them: a toolset, a `ToolNode`, a graph, an agent.
            effect: Of all of them, or of each by its name; `transactional` where a name is missing.
            options: Those of `Agent`.

        Raises:
            UsageError: something is no tool, cannot be called outside of a run of its own framework (it takes the run's
                context, or asks for an approval there), or two of them have one name.
        """
        from negotiator.frameworks.toolset import tools_of  # noqa: PLC0415 - imported on use

        agent = cls(**options)
        for tool in tools_of(tools, effect):
            agent._offer(tool)
        return agent

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

    def handler(self) -> WireHandler:
        """The agent as seen from the wire, for transports other than HTTP and for tests: see `asgi`."""
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
        mcp = Late(partial(self._mcp_door, limits, under_way))
        a2a = Late(partial(self._a2a_door, conversations, limits, under_way))
        anp = Late(partial(self._anp_door, limits, under_way))
        below: dict[str, Late[Door]] = {MCP_PATH: mcp, **dict.fromkeys(A2A_PATHS, a2a), **dict.fromkeys(ANP_PATHS, anp)}
        below[FILES_PATH] = Late(partial(FilesDoor, self.files, agora))
        doors = Doors(WatchedDoor(agora), below)
        gate = Gate(
            doors,
            checker=self._checker,
            trust=self._trust,
            identity=self.identity,
            new_id=engine.new_id,
            tokens=self._tokens,
            authority=engine.authority,
            pages=self._pages,
        )
        return WarmDoor(gate, engine, limits, under_way)

    def _mcp_door(self, limits: DoorLimits, under_way: UnderWay) -> Door:
        from negotiator.mcp.door import McpDoor  # noqa: PLC0415 - imported on use

        server = self._mcp_server(limits, under_way)
        return McpDoor(server, path=MCP_PATH, body_bytes=limits.body_bytes)

    def _a2a_door(self, conversations: Conversations, limits: DoorLimits, under_way: UnderWay) -> Door:
        from negotiator.a2a.offer import door_of  # noqa: PLC0415 - imported on use
        from negotiator.a2a.security import Asked  # noqa: PLC0415

        signed = self._checker is not None
        asked = Asked(trust=self._trust, authority=self.engine.authority, tokens=self._tokens, signed=signed)
        return door_of(self.engine, self._listing, conversations, limits, under_way, asked)

    def _anp_door(self, limits: DoorLimits, under_way: UnderWay) -> Door:
        from negotiator.anp.door import door_of  # noqa: PLC0415 - imported on use

        who, proves = self.identity, self._checker
        return door_of(self.engine, self._listing, limits, under_way, identity=who, checker=proves)

    def asgi(self, *, principal_of: PrincipalOf | None = None) -> AsgiApp:
        """The agent as an ASGI application, to be served or mounted anywhere: Agora at `/`, MCP at `/mcp`,
        A2A at `/a2a` with its card at `/.well-known/agent-card.json`, ANP at `/anp` with the page that lists the agent
        at `/.well-known/agent-descriptions`.

        `principal_of` names, from a request's ASGI scope, whom the middleware of the program around this one has found
        it to be for; such a caller needs no proof here.
        """
        handler = self.handler()
        return asgi_app(handler) if principal_of is None else asgi_app(handler, principal_of=principal_of)

    def mcp_server(self) -> "McpServer":
        """The agent as an MCP server, for transports of one's own; `asgi` and `negotiator mcp` have theirs."""
        limits = DoorLimits(seconds=self.engine.request_seconds)
        return self._mcp_server(limits, UnderWay(limits.under_way))

    def _mcp_server(self, limits: DoorLimits, under_way: UnderWay) -> "McpServer":
        from negotiator.mcp.offer import Offer  # noqa: PLC0415 - imported on use
        from negotiator.mcp.server import McpServer  # noqa: PLC0415 - imported on use

        engine = self.engine
        offer = Offer(engine, partial(answer, engine), self._listing, self._relay)
        return McpServer(offer, clock=engine.clock, seconds=limits.seconds, under_way=under_way)

    def _listing(self) -> dict[str, Listed]:
        return listing_of(self.engine)
