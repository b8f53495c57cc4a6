"""What peers that negotiate over ANP have selected for our tasks: asked once, remembered, asked again on a trigger.

A result is asked for anew (ANP-06 10.1) when it expires, when the peer's runtime capabilities are others than they were,
when its DID document or service is, when a call is answered that what was selected is not served, and when our own side,
its identity, its requirements or its authorizations, has changed. Until then no negotiation is made.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final
from weakref import WeakKeyDictionary

import orjson
from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.anp.finding import Finder, FoundAgent, identity_of, path_of
from negotiator.anp.origin import prove
from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.dialects.anp.artifact import Artifact, ArtifactRefused, read_artifact, write_artifact
from negotiator.dialects.anp.binding import Meta, PeerRefused, Target, read_response, write_call
from negotiator.dialects.anp.negotiating import (
    CallerCapabilities,
    Capabilities,
    Constraints,
    Intent,
    Negotiate,
    Result,
    artifact_digest,
    at,
    digest_of,
    read_capabilities,
    read_result,
    spelt,
    write_negotiate,
)
from negotiator.dialects.anp.words import (
    CAPABILITIES,
    CONTENT_TYPES,
    CORE,
    DIRECT_CALL,
    DRAFTING,
    IN_WORDS,
    JSON,
    META,
    NEGOTIATE,
    PROFILES,
    RPC,
    STRUCTURED_SELECTION,
    TRANSPORT_PROTECTED,
)
from negotiator.dialects.json_rpc import to_bytes
from negotiator.errors import NotPossible, PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.identity import proofs
from negotiator.identity.did import DidDocument
from negotiator.identity.identity import Identity
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.task import Task
from negotiator.wire import Transport, WireRequest, origin_of
from protocol_docs import ProtocolDocument, as_data_uri
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

CHECK_SECONDS: Final = 300.0
"""How old may be what is known of a peer's capabilities and DID document while a result of its is used."""
REFUSED_SECONDS: Final = 300.0
"""How long it is remembered that a peer selected nothing."""
VALID_SECONDS: Final = 3_600.0
"""How long a result holds that says nothing of it."""
_ENTRIES: Final = 1024
_PLACE: Final = "anp-selected/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How something is called."""

    method: str
    url: str
    human_authorization: bool = False
    """Whether a person has to agree to each call."""
    parameter: str | None = None
    """The one parameter, of a method that takes words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A result that was cached, with all that it rests on (ANP-06 10.1)."""

    key: str
    """Over the target, the caller, our capabilities and requirements, and the intent."""
    expires: float
    """Unix seconds."""
    capabilities: str
    identity: str
    """Of the target: its DID document and services."""
    negotiation: str = ""
    digest: str = ""
    interface: str = ""
    profile: str = ""
    security_profile: str = ""
    listing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    """By the hash of the document; words under the empty text."""
    refused: str | None = None
    """Why nothing was selected."""


@dataclass(frozen=True, slots=True)
class _State:
    """What was last seen of a peer."""

    at: float
    """Monotonic seconds."""
    capabilities: str
    document: DidDocument | None

    @property
    def identity(self) -> str:
        """Identifies the peer's keys and services."""
        return identity_of(self.document)


class Selecting:
    """Negotiates with peers for our tasks, and remembers what came of it."""

    def __init__(
        self,
        transport: Transport,
        finder: Finder,
        store: TextStore,
        clock: Clock,
        *,
        identity: Identity | None,
        new_id: Callable[[], str],
        human_authorization: bool = False,
    ) -> None:
        """Ask through `transport` as `identity`; keep results in `store`.

        `human_authorization`: whether a person is there to be asked, which peers are told.
        """
        self._transport = transport
        self._finder = finder
        self._store = store
        self._clock = clock
        self._identity = identity
        self._new_id = new_id
        self._authorizes = human_authorization
        self._entries: dict[str, Entry] = {}
        self._keys: dict[tuple[str, str, bool], str] = {}
        self._states: dict[str, _State] = {}
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    async def capabilities(self, found: FoundAgent, deadline: Deadline) -> Capabilities:
        """What an agent says that it can do now (`anp.get_capabilities`). Raises as `call` does."""
        meta = Meta(
            profile=CORE,
            security_profile=TRANSPORT_PROTECTED,
            operation_id=self._new_id(),
            created_at=at(self._clock.time()),
        )
        return read_capabilities(await self._call(_endpoint(found), CAPABILITIES, meta, {}, deadline, proved=False))

    def note(self, found: FoundAgent, capabilities: Capabilities) -> None:
        """Remember what was just seen of an agent."""
        state = _State(self._clock.monotonic(), capabilities.digest, found.document)
        keep(self._states, found.described.did or "", state, _ENTRIES)

    async def selected(
        self, found: FoundAgent, task: Task, *, words: bool, known: Callable[[], Sequence[str]], deadline: Deadline
    ) -> Entry:
        """What the agent has selected for a task, or that it has selected nothing.

        Args:
            found: The agent.
            task: What is to be done.
            words: Whether natural language may be selected.
            known: Tells which documents would do, by their hashes.
            deadline: When to have ended.

        Raises `PeerUnreachable` where it cannot be asked, `KeyChanged`, and `PeerMisspoke`.
        """
        key = self._key(found, task, words=words)
        entry, seen = self._entries.get(key), self._states.get(found.described.did or "")
        if entry is not None and seen is not None and self._fresh(seen) and self._stands(entry, seen):
            return entry
        turns = self._turns.setdefault(asyncio.get_running_loop(), {})
        turn = turns.setdefault(key, asyncio.Lock())
        try:
            async with turn:
                entry = self._known(key)
                state = await self._state(found, deadline)
                if entry is None or not self._stands(entry, state):
                    current = replace(found, document=state.document)
                    entry = await self._made(current, task, state, key, words=words, known=known(), deadline=deadline)
                    self._remember(entry)
        finally:
            if not turn.locked():
                turns.pop(key, None)
        return entry

    async def agreed_draft(
        self, found: FoundAgent, task: Task, document: ProtocolDocument, *, deadline: Deadline
    ) -> Entry:
        """What comes of proposing a document of ours in natural-language protocol drafting (ANP-06 9).

        A draft that the agent would serve is agreed to, its own where it drafts another.
        """
        key = self._key(found, task, words=True)
        state = await self._state(found, deadline)
        found = replace(found, document=state.document)
        base = self._identity.url if self._identity is not None else found.origin
        asked = self._asked(task, words=True).model_copy(
            update={"mode": DRAFTING, "candidate_protocols": (write_artifact(document, base, None),)}
        )
        made: Entry
        try:
            draft = await self._negotiate(found, asked, deadline)
            named = [each.get("digest") for each in draft.alternatives]
            digests = tuple(each for each in named if isinstance(each, str))[:1]
            if not digests:
                raise PeerMisspoke("the peer drafted nothing")  # noqa: TRY301
            again = asked.model_copy(update={"mode": STRUCTURED_SELECTION, "candidate_protocols": digests})
            made = await self._taken(found, await self._negotiate(found, again, deadline), state, key, deadline)
        except (PeerRefused, PeerMisspoke, ArtifactRefused) as error:
            made = self._refusal(key, state, str(error))
        self._remember(made)
        return made

    def drop(self, protocol_hash: str | None, did: str) -> None:
        """What was selected is not served any more: ask again at the next need."""
        for key, entry in list(self._entries.items()):
            if (protocol_hash or "") in entry.ways:
                del self._entries[key]
                self._store.delete(_row(key))
        # And look at what the peer can do now, before that.
        self._states.pop(did, None)

    # --- what is remembered ---

    def _key(self, found: FoundAgent, task: Task, *, words: bool) -> str:
        """The parts of ANP-06 10.1 that are known beforehand; the others are in the entry, and held against."""
        of = (found.described.did or "", task.digest, words)
        if of not in self._keys:
            caller = self._identity.did if self._identity else None
            keep(self._keys, of, digest_of([of[0], caller, self._ours(task, words=words), task.digest]), _ENTRIES)
        return self._keys[of]

    def _ours(self, task: Task, *, words: bool) -> str:
        """Identifies what this side can do and requires: a change of it makes another result."""
        asked = self._asked(task, words=words)
        return digest_of([write_negotiate(asked)["callerCapabilities"], asked.constraints.model_dump(mode="json")])

    def _known(self, key: str) -> Entry | None:
        if key in self._entries:
            return self._entries[key]
        text = self._store.get(_row(key))
        if text is None:
            return None
        try:
            entry = adapter(Entry).validate_json(text)
        except ValidationError:
            return None
        keep(self._entries, key, entry, _ENTRIES)
        return entry if entry.key == key else None

    def _remember(self, entry: Entry) -> None:
        keep(self._entries, entry.key, entry, _ENTRIES)
        try:
            self._store.put(_row(entry.key), orjson.dumps(adapter(Entry).dump_python(entry, mode="json")).decode())
        except StoreUnusable:
            return  # it is remembered in memory at least

    def _fresh(self, state: _State) -> bool:
        return self._clock.monotonic() - state.at <= CHECK_SECONDS

    def _stands(self, entry: Entry, state: _State) -> bool:
        fresh = entry.expires > self._clock.time()
        return fresh and (entry.capabilities, entry.identity) == (state.capabilities, state.identity)

    async def _state(self, found: FoundAgent, deadline: Deadline) -> _State:
        """What the agent is and can do, as of lately."""
        did = found.described.did or ""
        state = self._states.get(did)
        if state is None or not self._fresh(state):
            document = await self._finder.document(did)
            capabilities = await self._capabilities(replace(found, document=document), deadline)
            state = _State(self._clock.monotonic(), capabilities, document)
            keep(self._states, did, state, _ENTRIES)
        return state

    async def _capabilities(self, found: FoundAgent, deadline: Deadline) -> str:
        try:
            return (await self.capabilities(found, deadline)).digest
        except PeerRefused as error:
            raise PeerMisspoke(f"the agent does not say any more what it can do: {error}") from error

    # --- asking ---

    def _asked(self, task: Task, *, words: bool) -> Negotiate:
        """Only what is needed to select: names and types of the input, none of its values."""
        properties = task.input.json_schema.get("properties", {})
        summary = {
            name: str(schema.get("type", "any")) if isinstance(schema, dict) else "any"
            for name, schema in list(properties.items())[:32]
        }
        modes = (DIRECT_CALL, IN_WORDS) if words else (DIRECT_CALL,)
        preferred = ("StructuredInterface", "NaturalLanguageInterface") if words else ("StructuredInterface",)
        return Negotiate(
            intent=Intent(
                name=task.name[:200],
                description=task.description[:4_000],
                intent_tags=(f"effect.{task.effect}",),
                input_summary=summary or None,
            ),
            caller_capabilities=CallerCapabilities(
                supported_profiles=PROFILES,
                supported_security_profiles=(TRANSPORT_PROTECTED,),
                supported_content_types=CONTENT_TYPES,
                supported_execution_modes=modes,
            ),
            constraints=Constraints(
                preferred_interface_types=preferred,
                requires_human_authorization=self._authorizes and task.effect == "transactional",
                allow_natural_language_fallback=words,
                required_security_profile=TRANSPORT_PROTECTED,
                preferred_content_types=CONTENT_TYPES,
            ),
        )

    async def _made(
        self,
        found: FoundAgent,
        task: Task,
        state: _State,
        key: str,
        *,
        words: bool,
        known: Sequence[str],
        deadline: Deadline,
    ) -> Entry:
        asked = self._asked(task, words=words).model_copy(
            update={"candidate_protocols": tuple(spelt(each) for each in known if each.startswith("sha256:"))}
        )
        try:
            result = await self._negotiate(found, asked, deadline)
            return await self._taken(found, result, state, key, deadline, words=words)
        except (PeerRefused, PeerMisspoke, ArtifactRefused) as error:
            # Remembered like any other refusal: a peer that errs is not asked with every request.
            return self._refusal(key, state, str(error))

    async def _taken(
        self,
        found: FoundAgent,
        result: Result,
        state: _State,
        key: str,
        deadline: Deadline,
        *,
        words: bool = False,
    ) -> Entry:
        """The entry of a result that can be used as it is; else that it cannot."""
        selected, execution = result.selected, result.execution
        if result.status != "accepted" or selected is None:
            return self._refusal(key, state, result.reason or f"the peer answered: {result.status}")
        now = self._clock.time()
        entry = Entry(
            key=key,
            expires=result.expires or now + VALID_SECONDS,
            capabilities=state.capabilities,
            identity=state.identity,
            negotiation=result.negotiation_id,
            digest=result.negotiation_digest or "",
            interface=selected.interface or "",
            profile=selected.profile or "",
            security_profile=selected.security_profile or TRANSPORT_PROTECTED,
        )
        # Neither weaker than what was required nor other than what is spoken here.
        if entry.security_profile != TRANSPORT_PROTECTED or (selected.content_type or JSON) not in CONTENT_TYPES:
            return self._refusal(key, state, "what was selected is of a security profile or content type not asked for")
        if entry.expires <= now or (selected.profile or RPC) not in PROFILES:
            return self._refusal(key, state, "what was selected has expired, or is of a profile not asked for")
        human = execution is not None and execution.requires_human_authorization
        mode = DIRECT_CALL if execution is None else execution.mode
        if mode == IN_WORDS and words:
            return await self._in_words(found, entry, deadline, human=human)
        if mode != DIRECT_CALL:
            return self._refusal(key, state, f"the peer would have it done in the mode {mode[:100]!r}")
        if selected.protocol_artifact is None:
            return await self._by_interface(found, entry, deadline, human=human)
        artifact = await self._artifact(found, selected.protocol_artifact, deadline)
        url = selected.url if selected.url is not None and origin_of(selected.url) == found.origin else None
        if url is None:
            return self._refusal(key, state, "what was selected is called somewhere else")
        document = artifact.document
        return replace(
            entry,
            listing={document.hash: (as_data_uri(document),)},
            ways={document.hash: Way(method=artifact.method, url=url, human_authorization=human)},
        )

    async def _by_interface(self, found: FoundAgent, entry: Entry, deadline: Deadline, *, human: bool) -> Entry:
        """A structured interface without an artifact: its methods, as documents drafted by rule."""
        chosen = [each for each in found.described.structured() if not entry.interface or each.id == entry.interface]
        methods = [method for each in chosen for method in await self._finder.interface(found, each, deadline)]
        return replace(
            entry,
            listing={each.tool.document.hash: (as_data_uri(each.tool.document),) for each in methods},
            ways={
                each.tool.document.hash: Way(
                    method=each.tool.name, url=each.url, human_authorization=human or each.human_authorization
                )
                for each in methods
            },
        )

    async def _in_words(self, found: FoundAgent, entry: Entry, deadline: Deadline, *, human: bool) -> Entry:
        way = await words_way(self._finder, found, deadline)
        if way is None:
            return replace(entry, refused="natural language was selected, and there is no interface of it")
        return replace(entry, ways={"": replace(way, human_authorization=human or way.human_authorization)})

    async def _artifact(self, found: FoundAgent, named: str, deadline: Deadline) -> Artifact:
        """The artifact by its digest, checked, and by its publisher where it names one."""
        wanted = artifact_digest(named)
        if wanted is None or origin_of(named) != found.origin:
            raise PeerMisspoke("the artifact that was selected cannot be had by its digest at this origin")
        reply = await self._finder.get(named, deadline)
        if reply.status != 200:  # noqa: PLR2004 - HTTP
            raise PeerMisspoke(f"the artifact that was selected is not there: HTTP {reply.status}")
        artifact = read_artifact(reply.body, wanted=wanted)
        if artifact.publisher is not None:
            self._check_publisher(found, artifact, orjson.loads(reply.body))
        return artifact

    def _check_publisher(self, found: FoundAgent, artifact: Artifact, value: JsonObject) -> None:
        proof = value.get("proof")
        name = proof.get("verificationMethod") if isinstance(proof, dict) else None
        document = found.document
        if document is None or artifact.publisher != document.did:
            raise PeerMisspoke("the artifact is published by somebody else than who selected it")
        if not isinstance(name, str) or name not in document.assertion:
            raise PeerMisspoke("the artifact is not proved by its publisher")
        if not proofs.holds(value, document.keys[name]):
            raise PeerMisspoke("the proof of the artifact does not hold")

    async def _negotiate(self, found: FoundAgent, asked: Negotiate, deadline: Deadline) -> Result:
        """One `anp.negotiate`; a lost reply is asked for again under the same operation."""
        did = found.described.did or ""
        operation = self._new_id()
        meta = Meta(
            profile=META,
            security_profile=TRANSPORT_PROTECTED,
            sender_did=None if self._identity is None else self._identity.did,
            target=Target("agent", did),
            operation_id=operation,
            created_at=at(self._clock.time()),
            content_type=JSON,
        )
        body = write_negotiate(asked.model_copy(update={"negotiation_id": operation}))
        try:
            value = await self._call(_endpoint(found), NEGOTIATE, meta, body, deadline, proved=True)
        except PeerHungUp:
            value = await self._call(_endpoint(found), NEGOTIATE, meta, body, deadline, proved=True)
        result = read_result(value)
        if result.negotiation_id != operation:
            raise PeerMisspoke("the result is of another negotiation")
        return result

    async def _call(
        self, url: str, method: str, meta: Meta, body: JsonObject, deadline: Deadline, *, proved: bool
    ) -> JsonValue:
        """One request of the Core Binding. Raises `PeerRefused`, `PeerMisspoke`, `PeerUnreachable`, `PeerHungUp`."""
        auth: JsonObject | None = None
        if proved and self._identity is not None and meta.target is not None:
            signed: JsonObject = {"method": method, "meta": meta.to_json(), "body": body}
            auth = await prove(self._identity, signed, meta.target, nonce=self._new_id(), clock=self._clock)
        identifier = self._new_id()
        wire = WireRequest(
            path=path_of(url),
            headers={"content-type": JSON, "accept": JSON},
            body=to_bytes(write_call(identifier, method, meta, body, auth)),
        )
        reply = await self._transport.send(origin_of(url), wire, deadline=deadline)
        if reply.status in (401, 403):
            raise NotPossible(f"the agent at {url} asks for an authorization that cannot be given here")
        if reply.status in (502, 504):
            raise PeerHungUp(f"a gateway before {url} answered {reply.status}")
        return read_response(reply.body, identifier)

    def _refusal(self, key: str, state: _State, why: str) -> Entry:
        return Entry(
            key=key,
            expires=self._clock.time() + REFUSED_SECONDS,
            capabilities=state.capabilities,
            identity=state.identity,
            refused=why[:300],
        )


async def words_way(finder: Finder, found: FoundAgent, deadline: Deadline) -> Way | None:
    """How an agent is asked in natural language; None where it has no interface that takes one text and gives one."""
    for method in await finder.methods(found, deadline, kind="NaturalLanguageInterface"):
        annex = method.tool.document.annex
        properties = method.tool.input.get("properties", {})
        gives = annex.reply_schema if annex is not None else None
        takes = [name for name, schema in properties.items() if schema.get("type") == "string"]
        if len(properties) == 1 and takes and gives is not None and gives.get("type") == "string":
            return Way(
                method=method.tool.name,
                url=method.url,
                human_authorization=method.human_authorization,
                parameter=takes[0],
            )
    return None


def _endpoint(found: FoundAgent) -> str:
    url = found.endpoint
    if url is None:
        raise PeerUnreachable("the agent has no endpoint to negotiate with, by its DID document")
    return url


def _row(key: str) -> str:
    return _PLACE + sha256(key.encode()).hexdigest()
