"""What an agent offers over MCP: its tools, what finds and runs tasks anywhere, and agreeing on documents.

However many peers and tasks an agent knows, a caller's model reads two tools for them, `find_task` and `run_task`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from negotiator.dialects.offered import Offered
from negotiator.direct import call_tool, offered
from negotiator.engine import Engine
from negotiator.errors import BadInput, PeerMisspoke
from negotiator.interpret import body_text
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mcp.tasks import Tasks
from negotiator.messages import Effect, Reply, Request
from negotiator.negotiation import Agreement, parse_call
from negotiator.schemas import Schema
from negotiator.serving import Answer, ExchangeContext, Listed, in_time
from protocol_docs import MalformedHash, catalog, parse_hash

LOCAL: Final = "local"
"""The principal of whoever started this process."""
VOUCHED: Final = "host:"
"""How principals begin for whom the program around this agent vouches."""
_TEXT: Final[JsonObject] = {"type": "string", "minLength": 1, "maxLength": 2200}
_ANY: Final[JsonObject] = {"type": "object"}


def _object(required: Iterable[str] = (), **properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


_MESSAGE: Final = _object(["message"], message=_ANY)
_HASH: Final[JsonObject] = {"type": "string", "description": "sha256:<hex>"}

FIND: Final = Offered(
    name="find_task",
    description="Find what this agent, or a peer it knows, can do. Gives tasks with their schemas, for run_task.",
    input=_object(
        ["query"],
        query={**_TEXT, "description": "what is to be done, in words"},
        limit={"type": "integer", "minimum": 1, "maximum": 10, "default": 5},
    ),
    output=_object(["tasks"], tasks={"type": "array", "items": _ANY}),
    effect="safe",
)
RUN: Final = Offered(
    name="run_task",
    description="Run a task that find_task named, with an input that fits its input_schema.",
    input=_object(["task", "input"], task={**_TEXT, "description": "as find_task named it"}, input=_ANY),
    output=_object(["output"], output={}, tier={"type": "string"}, peer_tier={"type": "string"}),
    effect="transactional",
)
IN_WORDS: Final = Offered(
    name="ask_in_words",
    description="Ask this agent in natural language for anything it does; it answers in words.",
    input=_object(["request"], request={"type": "string", "minLength": 1, "maxLength": 65_536}),
    output=_object(["answer"], answer={"type": "string"}),
    effect="transactional",
    in_words=True,
)
PROPOSE: Final = Offered(
    name="propose_document",
    description="Negotiate a protocol document: one opening or counter of the negotiation dialogue, for its answer.",
    input=_MESSAGE,
    output=_MESSAGE,
    effect="safe",
)
ACCEPT: Final = Offered(
    name="accept_document",
    description="Agree on a protocol document: the agreement of the negotiation dialogue, for its confirmation.",
    input=_MESSAGE,
    output=_MESSAGE,
    effect="safe",
)
GET: Final = Offered(
    name="get_document",
    description="The text of a protocol document that is listed here, by its hash.",
    input=_object(["hash"], hash=_HASH),
    output=_object(["hash", "text"], hash=_HASH, text={"type": "string"}),
    effect="safe",
)
USE: Final = Offered(
    name="use_document",
    description="One exchange under a protocol document: a request body as the document says, for the reply body.",
    input=_object(
        ["hash", "body"],
        hash=_HASH,
        body={},
        sources={"type": "array", "items": {"type": "string"}, "maxItems": 8},
    ),
    output=_object(["body"], body={}),
    effect="transactional",
)
METHODS: Final[Mapping[str, Offered]] = {
    "pd/propose": PROPOSE,
    "pd/accept": ACCEPT,
    "pd/get": GET,
    "pd/use": USE,
}
"""The methods of our extension, each with the tool that does the same for clients without it."""
_OURS: Final = (FIND, RUN, *METHODS.values())


@dataclass(slots=True)
class Offer:
    """The tools and documents of one agent."""

    engine: Engine
    answer: Answer
    listing: Callable[[], Mapping[str, Listed]]
    relay: bool = False
    """Whether anybody may have peers asked for them, beside those whom this agent's own side vouches for."""

    def tools(self, *, extension: bool) -> list[Offered]:
        """All tools, in an order that stays; `extension` where the caller speaks our extension and needs no tools
        for it. One of the agent's own takes the place of one of ours of that name.
        """
        own = [offered(tool) for tool in self.engine.tools.values()]
        effect: Effect = "transactional" if self.engine.may_have_effects() else "safe"
        said = (replace(IN_WORDS, effect=effect),) if self.engine.reads_words else ()
        ours = (*said, FIND, RUN) if extension else (*said, *_OURS)
        return own + [each for each in ours if each.name not in self.engine.tools]

    def find(self, name: str) -> Offered | None:
        """The tool of that name."""
        return next((tool for tool in self.tools(extension=False) if tool.name == name), None)

    async def call(self, tool: Offered, arguments: JsonObject, context: ExchangeContext, key: str | None) -> Reply:
        """Call a tool; `key` is the caller's idempotency key.

        Raises the `NegotiatorError`s, and `DeadlinePassed` where the answer is not there in time.
        """
        if tool.name in self.engine.tools:
            return await self._own(tool.name, arguments, context, key)
        Schema.of(tool.input).check(arguments)
        if tool.in_words:
            request = Request(body=str(arguments["request"]), idempotency_key=key)
            reply = await in_time(self.answer, request, context)
            return _as(reply, {"answer": body_text(reply.body)})
        if tool is FIND or tool is RUN:
            tasks = Tasks(self.engine, partial(self._own, context=context, key=key), relay=self._relays(context))
            asked = partial(tasks.find if tool is FIND else tasks.run, arguments, context.deadline, key)
            return await in_time(lambda _request, _context: asked(), Request(), context)
        return await self.extension(tool, arguments, context, key)

    async def extension(self, tool: Offered, arguments: JsonObject, context: ExchangeContext, key: str | None) -> Reply:
        """Agree on documents, read them and use them. Raises as `call` does."""
        Schema.of(tool.input).check(arguments)
        if tool is GET:
            return self._document(str(arguments["hash"]))
        if tool is USE:
            reply = await self._under(arguments, context, key)
            return _as(reply, {"body": reply.body})
        message = arguments["message"]
        try:
            agrees = isinstance(parse_call(message), Agreement)
        except PeerMisspoke:
            raise BadInput("the message is none of the negotiation dialogue's") from None
        if agrees != (tool is ACCEPT):
            raise BadInput(f"the message is not one for {tool.name}")
        request = Request(body=message, hashes=catalog.negotiation_dialogue().aliases)
        reply = await in_time(self.answer, request, context)
        return _as(reply, {"message": reply.body})

    def _relays(self, context: ExchangeContext) -> bool:
        # A key that a caller made for itself proves who it is, and not that this agent's person wants to pay for it.
        return self.relay or context.principal == LOCAL or context.principal.startswith(VOUCHED)

    async def _own(self, name: str, arguments: JsonObject, context: ExchangeContext, key: str | None) -> Reply:
        return await call_tool(self.answer, name, arguments, context, key)

    def _document(self, spelling: str) -> Reply:
        listed = self.listing()
        try:
            named = parse_hash(spelling)
        except MalformedHash:
            raise BadInput("the hash is none") from None
        found = [each.document for each in listed.values() if named in each.document.aliases]
        if len(found) != 1:
            return Reply(status="failure", code="document_not_found", error="no such document is listed here")
        return Reply(status="success", body={"hash": found[0].hash, "text": found[0].data.decode()})

    async def _under(self, arguments: JsonObject, context: ExchangeContext, key: str | None) -> Reply:
        try:
            named = parse_hash(str(arguments["hash"]))
        except MalformedHash:
            raise BadInput("the hash is none") from None
        sources: Any = arguments.get("sources", [])
        request = Request(body=arguments["body"], hashes=(named,), sources=tuple(sources), idempotency_key=key)
        return await in_time(self.answer, request, context)


def _as(reply: Reply, body: JsonValue) -> Reply:
    return reply if reply.status != "success" else Reply(status="success", body=body, tier=reply.tier)
