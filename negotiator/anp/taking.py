"""What becomes of a result: how what was selected is called, checked, or why it cannot be used."""

from dataclasses import dataclass, replace
from typing import Final

import orjson

from negotiator.anp.entries import Entry, Way
from negotiator.anp.finding import Finder, FoundAgent
from negotiator.clock import Clock, Deadline
from negotiator.dialects.anp.artifact import Artifact, read_artifact
from negotiator.dialects.anp.negotiating import Result, artifact_digest
from negotiator.dialects.anp.words import (
    CONTENT_TYPES,
    DIRECT_CALL,
    IN_WORDS,
    JSON,
    PROFILES,
    RPC,
    TRANSPORT_PROTECTED,
)
from negotiator.errors import PeerMisspoke
from negotiator.identity import proofs
from negotiator.jsonvalue import JsonObject
from negotiator.wire import origin_of
from protocol_docs import as_data_uri

VALID_SECONDS: Final = 3_600.0
"""How long a result holds that says nothing of it."""
REFUSED_SECONDS: Final = 300.0
"""How long it is remembered that a peer selected nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a result rests on, whatever it says (ANP-06 10.1)."""

    key: str
    """Of the entry."""
    capabilities: str
    """The digest of what the agent can do."""
    identity: str
    """Of the agent: its DID document and services."""

    def entry(self, *, expires: float) -> Entry:
        """An entry that says nothing yet."""
        return Entry(key=self.key, expires=expires, capabilities=self.capabilities, identity=self.identity)


class Taking:
    """Takes results of negotiations at their word, as far as that holds."""

    def __init__(self, finder: Finder, clock: Clock) -> None:
        """`finder` brings interfaces and artifacts."""
        self._finder = finder
        self._clock = clock

    def refusal(self, basis: Basis, why: str) -> Entry:
        """The entry that says that nothing was selected."""
        return replace(basis.entry(expires=self._clock.time() + REFUSED_SECONDS), refused=why[:300])

    async def taken(
        self, found: FoundAgent, result: Result, basis: Basis, deadline: Deadline, *, words: bool = False
    ) -> Entry:
        """The entry of a result that can be used as it is; else that it cannot.

        `words`: whether natural language was allowed. Raises `PeerMisspoke` and `ArtifactRefused` for an artifact that is
        not what it should be, `PeerUnreachable`, and `PeerHungUp`.
        """
        selected, execution = result.selected, result.execution
        if result.status != "accepted" or selected is None:
            return self.refusal(basis, result.reason or f"the peer answered: {result.status}")
        now = self._clock.time()
        entry = replace(
            basis.entry(expires=result.expires or now + VALID_SECONDS),
            negotiation=result.negotiation_id,
            digest=result.negotiation_digest or "",
            interface=selected.interface or "",
            profile=selected.profile or "",
            security_profile=selected.security_profile or TRANSPORT_PROTECTED,
        )
        # Neither weaker than what was required nor other than what is spoken here.
        if entry.security_profile != TRANSPORT_PROTECTED or (selected.content_type or JSON) not in CONTENT_TYPES:
            return self.refusal(basis, "what was selected is of a security profile or content type not asked for")
        if entry.expires <= now or (selected.profile or RPC) not in PROFILES:
            return self.refusal(basis, "what was selected has expired, or is of a profile not asked for")
        human = execution is not None and execution.requires_human_authorization
        mode = DIRECT_CALL if execution is None else execution.mode
        if mode == IN_WORDS and words:
            return await self._in_words(found, entry, deadline, human=human)
        if mode != DIRECT_CALL:
            return self.refusal(basis, f"the peer would have it done in the mode {mode[:100]!r}")
        if selected.protocol_artifact is None:
            return await self._by_interface(found, entry, deadline, human=human)
        artifact = await self._artifact(found, selected.protocol_artifact, deadline)
        url = selected.url if selected.url is not None and origin_of(selected.url) == found.origin else None
        if url is None:
            return self.refusal(basis, "what was selected is called somewhere else")
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
