"""Everything that an agent works with, handed in from outside."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from negotiator.agreements import Agreements
from negotiator.bounded import keep
from negotiator.clock import Clock
from negotiator.errors import UsageError
from negotiator.flights import Flights, OwnFlights
from negotiator.identity.authority import Authority
from negotiator.jsonvalue import JsonValue
from negotiator.learning import Learner
from negotiator.ledger import Ledger
from negotiator.mapping import PairInference, infer_pair
from negotiator.messages import Effect
from negotiator.models.base import Model
from negotiator.models.none import NoModel
from negotiator.negotiation import Intent
from negotiator.own_words import OwnWords
from negotiator.peers import KnownPeers
from negotiator.plan import CostPolicy
from negotiator.purse import Purse
from negotiator.reach import Reach
from negotiator.replies import Replies
from negotiator.schemas import Schema
from negotiator.shelf import RoutineShelf
from negotiator.speaking import PeerRecord
from negotiator.task import Tool, toolset_digest
from protocol_docs import DocumentStore, Embedder, ProtocolDocument, StoreUnusable
from protocol_docs.changes import LATEST, Watched, changed
from protocol_docs.text_store import TextStore
from sandbox import Executor

if TYPE_CHECKING:
    from negotiator.directory.client import Directory

Publish = Literal["all", "agreed", "none"]

MAX_OBSERVED_TASKS = 256
"""Tasks whose last inputs are remembered."""
MAX_COMPILED = 1024
"""Documents whose schemas are kept compiled, and pairs of schemas whose mapping is kept."""
STRANGE_BYTES = 16 * 1_048_576
"""Bytes of all documents that callers sent and that are kept in the store."""
_STRANGE = "strange/"
MAX_LOOKED_AT = 1024
"""Listings that are remembered as searched."""
_OFFERED = frozenset({"tools", "natives", "native_terms"})
_RESTED_ON = _OFFERED | {"agreements", "authority", "documents", "own_words", "peers", "reach", "routines"}
"""What answers rest on, and may be put in another's place."""


class DocumentSchemas(NamedTuple):
    """What a document says of its bodies, compiled."""

    request: Schema
    reply: Schema


class NativeTerms(NamedTuple):
    """What the owner of a function under a document of its own says of it."""

    name: str
    """The document's."""
    effect: Effect
    public: bool


@cache
def _comparing() -> ThreadPoolExecutor:
    """One thread a process compares schemas, so that strangers' never take those that tools run in."""
    return ThreadPoolExecutor(1, thread_name_prefix="negotiator-schemas")


def _both(one: Callable[[], object], other: Callable[[], object]) -> object:
    now = one(), other()
    return None if None in now else now


def _compiled(document: ProtocolDocument) -> DocumentSchemas | None:
    annex = document.annex
    if annex is None or annex.request_schema is None or annex.reply_schema is None:
        return None
    try:
        return DocumentSchemas(Schema.of(annex.request_schema), Schema.of(annex.reply_schema))
    except UsageError:
        return None


@dataclass(kw_only=True)
class Engine:
    """The parts of one agent. Made by `Agent`; tests and simulations make their own."""

    name: str
    model: Model
    clock: Clock
    new_id: Callable[[], str]
    """Unguessable identifiers, at most 64 characters of A-Z a-z 0-9 - _."""
    text: TextStore
    documents: DocumentStore
    routines: RoutineShelf
    reach: Reach
    find_document: Callable[..., Awaitable[ProtocolDocument]]
    """`protocol_docs.find_document` with its fetcher: (hashes, sources, timeout=seconds)."""
    executor: Callable[[], Executor]
    """Made at the first need."""
    ledger: Ledger
    agreements: Agreements
    replies: Replies
    cost_policy: CostPolicy
    authority: Authority = field(default_factory=Authority)
    """Who may use which tools."""
    publish: Publish = "agreed"
    own_words: OwnWords | None = None
    """The owner's own natural-language tier, in place of a model that chooses among the tools."""
    request_seconds: float = 60.0
    """The deadline of a request that names none."""
    learner: Learner = field(default_factory=Learner)
    flights: Flights = field(default_factory=OwnFlights)
    """Turns for what is to be made once, however many need it."""
    tools: dict[str, Tool] = field(default_factory=dict)
    natives: dict[str, Callable[[JsonValue], Any]] = field(default_factory=dict)
    """A person's own functions by the hash of the document they implement."""
    native_terms: dict[str, NativeTerms] = field(default_factory=dict)
    """What their owner says of those functions, by the same hash."""
    meant: dict[str, str] = field(default_factory=dict)
    """The tool that a document of an asker's was agreed on for, by its hash: no model need be asked which it is."""
    openings: dict[str, Intent] = field(default_factory=dict)
    """What this agent is negotiating about as an opener at the moment, by the negotiation's id."""
    observed: dict[str, list[JsonValue]] = field(default_factory=dict)
    """The last inputs by task digest, in memory only: private examples for new routines."""

    ready: dict[tuple[str, ...], Any] = field(default_factory=dict)
    """What stands ready to answer under a document, by the spellings that name it; see `negotiator.ready_to_answer`."""

    ready_to_ask: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What stands ready to ask with, by task digest and peer; see `negotiator.ready_to_ask`."""

    directories: "Sequence[Directory]" = ()
    """Where documents are looked for before one is negotiated, beside what peers list and what is at hand."""
    embedder: Embedder | None = None
    """What tells, beside words, which field of one schema is which of another."""
    planned: dict[str, str] = field(default_factory=dict)
    """What the planner model answered, by the digest of what it saw; see `negotiator.planner`."""

    peers: KnownPeers = field(init=False)
    """The peers that may be asked without being named."""
    purse: Purse = field(init=False)
    """What callers together may cost in a day."""

    _looked_at: dict[tuple[str, str, int], None] = field(default_factory=dict)
    _listings: dict[tuple[str, str], PeerRecord] = field(default_factory=dict)
    _toolset: tuple[int, str] | None = None
    _effects: tuple[object, bool] = (None, False)
    """The latest change when it was looked whether anything here has effects, and what was found."""
    _schemas: "dict[str, DocumentSchemas | None]" = field(default_factory=dict)
    _requests: "dict[str, Schema | None]" = field(default_factory=dict)
    _pairs: dict[tuple[str, ...], PairInference] = field(default_factory=dict)
    _strange: dict[str, int] = field(default_factory=dict)
    """The bytes of documents that callers sent and that are kept, once they were counted."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OFFERED:
            value = Watched(value)
        object.__setattr__(self, name, value)
        if name in _RESTED_ON:
            changed()

    def __post_init__(self) -> None:
        self.peers = KnownPeers(self.text, self.clock)
        self.purse = Purse(self.ledger, self.cost_policy, lambda: self.today)

    @property
    def generation(self) -> Callable[[], object]:
        """What tells of what other processes do to routines and documents: equal as long as that is nothing, else None
        or something else.
        """
        own, shared = self.routines.generation, self.documents.generation
        return own.now if shared is None or shared is own else partial(_both, own.now, shared.now)

    @property
    def has_model(self) -> bool:
        """Whether a language model is at hand."""
        return not isinstance(self.model, NoModel)

    def keep_strange(self, document: ProtocolDocument) -> None:
        """Keep a document that a caller sent: in the store as long as there is room for such, else in memory alone.

        No document is ever forgotten by itself, and whoever sends one need prove nothing. Raises `DocumentRevoked`.
        """
        key, size = _STRANGE + document.hash, len(document.data)
        with suppress(StoreUnusable):
            if self.text.get(key) is None:
                if not self._strange:
                    here = {_STRANGE + each for each in self.documents.hashes()}
                    sizes = (self.text.get(each) or "0" for each in self.text.keys(_STRANGE) if each in here)
                    self._strange["bytes"] = sum(map(int, sizes))
                if self._strange["bytes"] + size > STRANGE_BYTES:
                    self.documents.hold(document)
                    return
                self.text.put(key, str(size))
                self._strange["bytes"] += size
            self.documents.put(document)
            return
        self.documents.hold(document)

    def without_model(self) -> "Engine":
        """The same engine, shared with this one in all its parts, with rules and schemas alone."""
        made = copy(self)
        made.model = NoModel()
        return made

    def may_have_effects(self) -> bool:
        """Whether a request can do something that must not be done twice."""
        as_of, may = self._effects
        if as_of is not LATEST.change:
            as_of, own = LATEST.change, () if self.own_words is None else (self.own_words,)
            may = any(
                each.effect == "transactional" for each in (*self.native_terms.values(), *self.tools.values(), *own)
            )
            self._effects = as_of, may
        return may

    @property
    def reads_words(self) -> bool:
        """Whether this agent answers in natural language, by its owner's own function or by a model and tools."""
        return self.own_words is not None or (self.has_model and bool(self.tools))

    @property
    def words_alone(self) -> bool:
        """Whether this agent can do nothing but answer in words: it has no tool that a document could be about."""
        return self.own_words is not None and not self.tools and not self.natives

    @property
    def reach_of_words(self) -> Effect:
        """What may come of a stranger's words: what was said of them, else the worst of what was handed over."""
        if self.own_words is not None and self.own_words.declared is not None:
            return self.own_words.declared
        worst = any(tool.effect == "transactional" for tool in self.tools.values())
        return "transactional" if worst else "safe"

    @property
    def toolset(self) -> str:
        """Identifies what the agent offers."""
        if self._toolset is None or self._toolset[0] != len(self.tools):
            self._toolset = (len(self.tools), toolset_digest(self.tools))
        return self._toolset[1]

    def schemas_of(self, document: ProtocolDocument) -> "DocumentSchemas | None":
        """The compiled schemas of a document's annex; None where it has none that can be used."""
        try:
            return self._schemas[document.hash]
        except KeyError:
            compiled = _compiled(document)
            keep(self._schemas, document.hash, compiled, MAX_COMPILED)
            return compiled

    def request_schema_of(self, document: ProtocolDocument) -> Schema | None:
        """The compiled schema of a document's request alone; None where it has none that can be used."""
        if document.hash not in self._requests:
            annex = document.annex
            given = None if annex is None else annex.request_schema
            compiled: Schema | None = None
            with suppress(UsageError):
                compiled = None if given is None else Schema.of(given)
            keep(self._requests, document.hash, compiled, MAX_COMPILED)
        return self._requests[document.hash]

    async def pair(self, request: tuple[Schema, Schema], reply: tuple[Schema, Schema]) -> PairInference:
        """`mapping.infer_pair`, remembered; in a thread of its own, since a stranger's schemas can take it seconds."""
        key = tuple(schema.digest for schema in (*request, *reply))
        found = self._pairs.get(key)
        if found is None:
            found = await asyncio.get_running_loop().run_in_executor(
                _comparing(),
                partial(infer_pair, embedder=self.embedder),
                (request[0].json_schema, request[1].json_schema),
                (reply[0].json_schema, reply[1].json_schema),
            )
            keep(self._pairs, key, found, MAX_COMPILED)
        return found

    @property
    def within_budget(self) -> bool:
        """Whether model calls may still be made for callers today, all of them together."""
        return self.purse.has_room

    def first_look(self, base_url: str, task_digest: str, listed: tuple[str, ...]) -> bool:
        """Whether this listing of a peer's has not been searched for this task yet; it has from now on."""
        seen = (base_url, task_digest, hash(listed))
        if seen in self._looked_at:
            return False
        keep(self._looked_at, seen, None, MAX_LOOKED_AT)
        return True

    def looked(self, base_url: str, task_digest: str, listed: tuple[str, ...]) -> bool:
        """Whether `first_look` has said so before; nothing is noted."""
        return (base_url, task_digest, hash(listed)) in self._looked_at

    def new_listing(self, base_url: str, task_digest: str, peer: PeerRecord) -> bool:
        """Whether a peer lists something else than when this was last asked for this task."""
        key = (base_url, task_digest)
        before = self._listings.get(key)
        if before is peer:
            return False
        keep(self._listings, key, peer, MAX_LOOKED_AT)
        return before is None or before.listing.keys() != peer.listing.keys()

    @property
    def today(self) -> int:
        """The day, in Unix days: what daily budgets are counted by."""
        return int(self.clock.time() // 86_400)

    def observe(self, task_digest: str, payload: JsonValue) -> None:
        """Remember an input as a private example."""
        seen = self.observed.get(task_digest, [])
        if payload not in seen:
            keep(self.observed, task_digest, [*seen, payload][-8:], MAX_OBSERVED_TASKS)

    async def run_source(self, source: str, data: JsonValue, **options: Any) -> JsonValue:
        """Run a routine's source under this agent's executor; see `sandbox.arun`."""
        return await self.executor().arun(source, data, **options)
