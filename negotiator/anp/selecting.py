"""What peers that negotiate over ANP have selected for our tasks: asked once, remembered, asked again on a trigger.

A result is asked for anew (ANP-06 10.1) when it expires, when the peer's runtime capabilities are others than they were,
when its DID document or service is, when a call is answered that what was selected is not served, and when our own side,
its identity, its requirements or its authorizations, has changed. Until then no negotiation is made.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from weakref import WeakKeyDictionary

from negotiator.anp.asking import Asking
from negotiator.anp.entries import MAX_ENTRIES, Entries, Entry
from negotiator.anp.finding import Finder, FoundAgent, identity_of
from negotiator.anp.taking import Basis, Taking
from negotiator.bounded import keep
from negotiator.clock import Clock, Deadline
from negotiator.dialects.anp.artifact import ArtifactRefused, write_artifact
from negotiator.dialects.anp.binding import PeerRefused
from negotiator.dialects.anp.negotiating import (
    CallerCapabilities,
    Capabilities,
    Constraints,
    Intent,
    Negotiate,
    digest_of,
    spelt,
    write_negotiate,
)
from negotiator.dialects.anp.words import (
    CONTENT_TYPES,
    DIRECT_CALL,
    DRAFTING,
    IN_WORDS,
    PROFILES,
    STRUCTURED_SELECTION,
    TRANSPORT_PROTECTED,
)
from negotiator.errors import PeerMisspoke
from negotiator.identity.did import DidDocument
from negotiator.identity.identity import Identity
from negotiator.task import Task
from negotiator.wire import Transport
from protocol_docs import ProtocolDocument
from protocol_docs.text_store import TextStore

CHECK_SECONDS: Final = 300.0
"""How old may be what is known of a peer's capabilities and DID document while a result of its is used."""


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

    def basis(self, key: str) -> Basis:
        """What a result rests on that is asked for now."""
        return Basis(key=key, capabilities=self.capabilities, identity=self.identity)


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
        self._asking = Asking(transport, clock, identity=identity, new_id=new_id)
        self._taking = Taking(finder, clock)
        self._finder = finder
        self._entries = Entries(store)
        self._clock = clock
        self._identity = identity
        self._authorizes = human_authorization
        self._keys: dict[tuple[str, str, bool], str] = {}
        self._states: dict[str, _State] = {}
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = WeakKeyDictionary()

    async def capabilities(self, found: FoundAgent, deadline: Deadline) -> Capabilities:
        """See `Asking.capabilities`."""
        return await self._asking.capabilities(found, deadline)

    def note(self, found: FoundAgent, capabilities: Capabilities) -> None:
        """Remember what was just seen of an agent."""
        state = _State(self._clock.monotonic(), capabilities.digest, found.document)
        keep(self._states, found.described.did or "", state, MAX_ENTRIES)

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
        entry, seen = self._entries.held(key), self._states.get(found.described.did or "")
        if entry is not None and seen is not None and self._fresh(seen) and self._stands(entry, seen):
            return entry
        turns = self._turns.setdefault(asyncio.get_running_loop(), {})
        turn = turns.setdefault(key, asyncio.Lock())
        try:
            async with turn:
                entry = self._entries.find(key)
                state = await self._state(found, deadline)
                if entry is None or not self._stands(entry, state):
                    current = replace(found, document=state.document)
                    basis = state.basis(key)
                    entry = await self._made(current, task, basis, words=words, known=known(), deadline=deadline)
                    self._entries.put(entry)
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
        state = await self._state(found, deadline)
        basis = state.basis(self._key(found, task, words=True))
        found = replace(found, document=state.document)
        base = self._identity.url if self._identity is not None else found.origin
        asked = self._asked(task, words=True).model_copy(
            update={"mode": DRAFTING, "candidate_protocols": (write_artifact(document, base, None),)}
        )
        made: Entry
        try:
            draft = await self._asking.negotiate(found, asked, deadline)
            named = [each.get("digest") for each in draft.alternatives]
            digests = tuple(each for each in named if isinstance(each, str))[:1]
            if not digests:
                raise PeerMisspoke("the peer drafted nothing")  # noqa: TRY301
            again = asked.model_copy(update={"mode": STRUCTURED_SELECTION, "candidate_protocols": digests})
            made = await self._taking.taken(
                found, await self._asking.negotiate(found, again, deadline), basis, deadline
            )
        except (PeerRefused, PeerMisspoke, ArtifactRefused) as error:
            made = self._taking.refusal(basis, str(error))
        self._entries.put(made)
        return made

    def drop(self, protocol_hash: str | None, did: str) -> None:
        """What was selected is not served any more: ask again at the next need."""
        self._entries.drop(protocol_hash or "")
        # And look at what the peer can do now, before that.
        self._states.pop(did, None)

    # --- what is remembered ---

    def _key(self, found: FoundAgent, task: Task, *, words: bool) -> str:
        """The parts of ANP-06 10.1 that are known beforehand; the others are in the entry, and held against."""
        of = (found.described.did or "", task.digest, words)
        if of not in self._keys:
            caller = self._identity.did if self._identity else None
            keep(self._keys, of, digest_of([of[0], caller, self._ours(task, words=words), task.digest]), MAX_ENTRIES)
        return self._keys[of]

    def _ours(self, task: Task, *, words: bool) -> str:
        """Identifies what this side can do and requires: a change of it makes another result."""
        asked = self._asked(task, words=words)
        return digest_of([write_negotiate(asked)["callerCapabilities"], asked.constraints.model_dump(mode="json")])

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
            keep(self._states, did, state, MAX_ENTRIES)
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
        basis: Basis,
        *,
        words: bool,
        known: Sequence[str],
        deadline: Deadline,
    ) -> Entry:
        asked = self._asked(task, words=words).model_copy(
            update={"candidate_protocols": tuple(spelt(each) for each in known if each.startswith("sha256:"))}
        )
        try:
            result = await self._asking.negotiate(found, asked, deadline)
            return await self._taking.taken(found, result, basis, deadline, words=words)
        except (PeerRefused, PeerMisspoke, ArtifactRefused) as error:
            # Remembered like any other refusal: a peer that errs is not asked with every request.
            return self._taking.refusal(basis, str(error))
