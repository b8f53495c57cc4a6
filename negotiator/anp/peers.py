"""Agents of ANP as peers: what their interfaces offer are documents that they list, and a call an exchange under one.

With an agent that negotiates, a document is listed once it has selected it for a task; with any other, each method of
its OpenRPC interfaces is one. A call that needs a person's authorization is made when that person has given it, each time
anew, and is otherwise not sent.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.anp.entries import Entry, Way
from negotiator.anp.finding import Finder, FoundAgent, path_of
from negotiator.anp.selecting import Selecting
from negotiator.anp.taking import words_way
from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.dialects.addresses import of_anp
from negotiator.dialects.anp.binding import PeerRefused, read_response
from negotiator.dialects.anp.errors import PeerProblem
from negotiator.dialects.anp.negotiating import Capabilities
from negotiator.dialects.anp.words import META, TIER_HEADER, TRANSPORT_PROTECTED, UNSUPPORTED
from negotiator.dialects.json_rpc import INVALID_PARAMS, METHOD_NOT_FOUND, request, to_bytes
from negotiator.errors import (
    HumanAuthorizationRequired,
    NotPossible,
    PeerHungUp,
    PeerMisspoke,
    PeerUnreachable,
    UsageError,
)
from negotiator.identity.identity import Identity
from negotiator.identity.resolver import DidResolver
from negotiator.interpret import body_text, body_value
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import PeerTier, Reply, Request
from negotiator.pins import Pins, changed_definition
from negotiator.speaking import Found, PeerRecord
from negotiator.task import Task
from negotiator.wire import Transport, WireReply, WireRequest, origin_of
from protocol_docs import ProtocolDocument, as_data_uri
from protocol_docs.text_store import TextStore

NAME: Final = "anp"
MAX_ROUTES: Final = 4096
Authorize = Callable[[str, str, JsonValue], Awaitable[bool]]
"""Asks a person whether a call may be made: the peer's address, the method, what is sent."""
_TIERS: Final[dict[str, PeerTier]] = {
    "natural_language": "natural_language",
    "structured": "structured",
    "routine": "routine",
}
_LOST: Final = (502, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class _About:
    """What a description told, in a record of the peer."""

    url: str
    """Of the description."""
    peer: str
    """The address that it was asked for by."""
    ways: dict[str, Way] = field(default_factory=dict)
    """Of an agent that does not negotiate: by the hash of the document; words under the empty text."""
    changed: dict[str, str] = field(default_factory=dict)
    """Methods whose definition is another than the one that was approved, by the approved hash."""


class AnpPeers:
    """The agents of ANP that one agent asks, as a `Selector`."""

    name = NAME

    def __init__(
        self,
        transport: Transport,
        store: TextStore,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        resolver: DidResolver,
        identity: Identity | None = None,
        pinned: bool = True,
        authorize: Authorize | None = None,
    ) -> None:
        """Reach them through `transport`.

        Args:
            transport: How bytes travel.
            store: Where is kept what was selected, and which definitions were seen.
            clock: Where time comes from.
            new_id: Where unguessable identifiers come from.
            resolver: Where their DID documents are had.
            identity: Who asks; without, only what they do for anybody is selected.
            pinned: Whether a method whose definition changes is refused until it is approved.
            authorize: Asks a person where a peer wants one to agree to a call.
        """
        self._transport = transport
        self._finder = Finder(transport, resolver)
        self._selecting = Selecting(
            transport,
            self._finder,
            store,
            clock,
            identity=identity,
            new_id=new_id,
            human_authorization=authorize is not None,
        )
        self._pins = Pins(store, "anp-methods/", pinned=pinned)
        self._new_id = new_id
        self._authorize = authorize
        self._found: dict[str, FoundAgent] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        """Of agents that negotiate: by description and document."""

    def approve(self, base_url: str, method: str | None = None) -> tuple[str, ...]:
        """Take the definitions as they are from now on, of one method or of all; the hashes that stood before."""
        return self._pins.approve(base_url, method)

    # --- what `Reach` asks for ---

    def claims(self, base_url: str) -> bool:
        """See `Speaker.claims`."""
        return of_anp(base_url)

    async def look(self, base_url: str, deadline: Deadline) -> Found | None:
        """See `Speaker.look`. Raises also `NotPossible` where a domain has several agents, and `KeyChanged`."""
        found = await self._finder.find(base_url, deadline)
        if found is None:
            return None
        keep(self._found, found.described.url, found, MAX_ROUTES)
        capabilities = None if found.endpoint is None else await self._capabilities(found, deadline)
        if capabilities is not None:
            about = _About(url=found.described.url, peer=base_url)
            return Found(
                about=adapter(_About).dump_python(about, mode="json"),
                words=False,
                negotiates=True,
                body_bytes=capabilities.body_bytes,
            )
        methods = await self._finder.methods(found, deadline)
        sifted = self._pins.sift(base_url, [each.tool for each in methods])
        words = await words_way(self._finder, found, deadline)
        ways = {
            each.tool.document.hash: Way(
                method=each.tool.name, url=each.url, human_authorization=each.human_authorization
            )
            for each in methods
            if each.tool.document.hash in sifted.usable
        }
        if words is not None:
            ways[""] = words
        if not ways and not sifted.changed:
            raise PeerMisspoke(f"the agent at {found.described.url} has no interface that is spoken here")
        about = _About(url=found.described.url, peer=base_url, ways=ways, changed=sifted.changed)
        return Found(
            listing={name: (as_data_uri(tool.document),) for name, tool in sifted.usable.items()},
            about=adapter(_About).dump_python(about, mode="json"),
            words=words is not None,
        )

    async def selected(
        self, record: PeerRecord, task: Task, *, words: bool, known: Callable[[], Sequence[str]], deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.selected`."""
        found = await self._agent(record, deadline)
        try:
            entry = await self._selecting.selected(found, task, words=words, known=known, deadline=deadline)
        except PeerHungUp as error:
            # It hung up on a question about itself: nothing of the request was sent.
            raise PeerUnreachable(str(error)) from error
        return self._with(record, found, entry)

    async def drafted(
        self, record: PeerRecord, task: Task, document: ProtocolDocument, deadline: Deadline
    ) -> PeerRecord:
        """See `Selector.drafted`."""
        found = await self._agent(record, deadline)
        return self._with(record, found, await self._selecting.agreed_draft(found, task, document, deadline=deadline))

    async def exchange(self, record: PeerRecord, request: Request, deadline: Deadline) -> Reply:
        """See `Speaker.exchange`. Raises also `DefinitionChanged` and `HumanAuthorizationRequired`."""
        if request.kind != "exchange":
            raise NotPossible("ANP has no negotiation in words but by its own method")
        about = _about(record)
        names = request.hashes or ("",)
        known = {
            **about.ways,
            **{name: way for name in names if (way := self._ways.get((about.url, name))) is not None},
        }
        name = next((each for each in names if each in known), None)
        if name is None:
            changed = next((about.changed[each] for each in names if each in about.changed), None)
            if changed is not None:
                raise changed_definition(about.peer, changed)
            return Reply(
                status="rejected", code="unsupported_protocol", error="the agent has selected no such document"
            )
        way = known[name]
        params = _params(way, request)
        identifier = (request.idempotency_key or self._new_id())[:255]
        wire = WireRequest(
            path=path_of(way.url),
            headers={"content-type": "application/json", "accept": "application/json", "idempotency-key": identifier},
            body=to_bytes(_request(identifier, way, params)),
        )
        record.require_room(wire.body)
        await self._authorized(about.url, way, params)
        reply = await self._transport.send(origin_of(way.url), wire, deadline=deadline)
        return self._read(reply, identifier, about, name, negotiated=record.negotiates)

    async def aclose(self) -> None:
        """Nothing is held."""

    # --- one agent ---

    async def _capabilities(self, found: FoundAgent, deadline: Deadline) -> Capabilities | None:
        """What an agent that negotiates can do now, None of any other: what it says at run time counts (ANP-06 3.4)."""
        try:
            capabilities = await self._selecting.capabilities(found, deadline)
        except (PeerRefused, PeerMisspoke):
            return None
        if capabilities.service_did not in self._services(found) or META not in capabilities.profiles:
            return None
        if TRANSPORT_PROTECTED not in capabilities.security_profiles:
            raise PeerMisspoke("the agent speaks no security profile that is spoken here")
        self._selecting.note(found, capabilities)
        return capabilities

    def _services(self, found: FoundAgent) -> set[str | None]:
        services = found.document.services if found.document is not None else ()
        return {found.described.did, *(each.service_did for each in services)} - {None}

    async def _agent(self, record: PeerRecord, deadline: Deadline) -> FoundAgent:
        """The agent of a record, looked for again in a process that has not seen it."""
        url = _about(record).url
        if url not in self._found:
            found = await self._finder.find(url, deadline)
            if found is None:
                raise PeerMisspoke(f"there is no agent any more at {url}")
            keep(self._found, url, found, MAX_ROUTES)
        return self._found[url]

    def _with(self, record: PeerRecord, found: FoundAgent, entry: Entry) -> PeerRecord:
        for name, way in entry.ways.items():
            keep(self._ways, (found.described.url, name), way, MAX_ROUTES)
        return replace(
            record, listing=entry.listing, words="" in entry.ways, refused=entry.refused, selection=entry.negotiation
        )

    async def _authorized(self, url: str, way: Way, params: JsonObject) -> None:
        """Ask whoever may say so, for this call alone. Raises `HumanAuthorizationRequired`."""
        if way.human_authorization and not (self._authorize and await self._authorize(url, way.method, params)):
            raise HumanAuthorizationRequired(f"{url} wants a person to agree to {way.method[:100]!r}, and none has")

    def _read(self, reply: WireReply, identifier: str, about: _About, name: str, *, negotiated: bool) -> Reply:
        if reply.status in _LOST:
            raise PeerHungUp(f"a gateway before {about.url} answered {reply.status}")
        if reply.status in (401, 403):
            raise NotPossible(f"the agent at {about.url} asks for an authorization that cannot be given here")
        try:
            value = read_response(reply.body, identifier)
        except PeerRefused as error:
            if negotiated and _unserved(error.problem):
                found = self._found.get(about.url)
                self._ways.pop((about.url, name), None)
                self._selecting.drop(name or None, (found.described.did if found else None) or "")
            return _failed(error.problem)
        return Reply(status="success", body=value, tier=_TIERS.get(reply.headers.get(TIER_HEADER, ""), "unknown"))


def _about(record: PeerRecord) -> _About:
    try:
        return adapter(_About).validate_python(record.about)
    except ValidationError as error:
        raise PeerMisspoke("what is remembered of the peer cannot be read") from error


def _params(way: Way, asked: Request) -> JsonObject:
    if way.parameter is not None:
        return {way.parameter: body_text(asked.body)}
    params = body_value(asked.body)
    if not isinstance(params, dict):
        raise UsageError("a method takes an object")
    return params


def _request(identifier: str, way: Way, params: JsonObject) -> JsonObject:
    return request(way.method, params, identifier)


def _unserved(problem: PeerProblem) -> bool:
    return problem.code in UNSUPPORTED or problem.code == METHOD_NOT_FOUND


def _failed(problem: PeerProblem) -> Reply:
    if _unserved(problem):
        return Reply(status="rejected", code="unsupported_protocol", error=problem.message)
    if problem.code in (1011, 1012):
        return Reply(status="failure", code="overloaded", error=problem.message, retry_after=1.0)
    codes: dict[int, Any] = {INVALID_PARAMS: "bad_input", 1005: "not_allowed", 1006: "not_allowed"}
    return Reply(status="failure", code=codes.get(problem.code, problem.word or "failed"), error=problem.message)
