"""Finding an agent of ANP: from a domain to its description, who it is, and what it is called by.

What a description says of other origins is not followed: whoever names an address has not said that those may be asked.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from negotiator.clock import Deadline
from negotiator.dialects.addresses import ANP_EXPLICIT, ANP_PAGE
from negotiator.dialects.anp.description import Description, Interface, read_description, read_page
from negotiator.dialects.anp.negotiating import digest_of
from negotiator.dialects.anp.openrpc import Method, read_interface
from negotiator.dialects.anp.words import SERVICE
from negotiator.errors import MissingExtra, NotPossible, PeerMisspoke
from negotiator.identity import proofs
from negotiator.identity.did import DidDocument
from negotiator.identity.errors import DidUnresolvable, MalformedDid
from negotiator.identity.resolver import DidResolver
from negotiator.jsonvalue import JsonObject
from negotiator.wire import Transport, WireReply, WireRequest, origin_of

MAX_PAGES: Final = 16
"""Pages of a domain's agents that are read."""
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class FoundAgent:
    """An agent, and whether it is who it says."""

    described: Description
    document: DidDocument | None
    """Its DID document, where the description names a DID that could be resolved."""
    proved: bool
    """Whether the description has a proof by that DID."""

    @property
    def origin(self) -> str:
        """Where it is, without a path."""
        return origin_of(self.described.url)

    @property
    def endpoint(self) -> str | None:
        """Where it is negotiated with: what its DID document says, the description's word being a hint (ANP-06 3.4)."""
        hinted = self.described.negotiation
        if hinted is None or self.document is None:
            return None
        said = [each.endpoint for each in self.document.services if each.type == SERVICE]
        if not said:
            return None
        url = next((each for each in said if each == hinted.url), said[0])
        return url if origin_of(url) == self.origin else None

    @property
    def identity(self) -> str:
        """Identifies its keys and services as they are now."""
        return identity_of(self.document)


def identity_of(document: DidDocument | None) -> str:
    """Identifies the keys and services of a DID document."""
    if document is None:
        return ""
    services = sorted([each.type, each.endpoint, each.service_did or ""] for each in document.services)
    return digest_of([document.did, list(document.proving), services])


class Finder:
    """Looks for agents, through one transport and with one resolver of DIDs."""

    def __init__(self, transport: Transport, resolver: DidResolver) -> None:
        """Ask through `transport`; look DIDs up with `resolver`."""
        self._transport = transport
        self._resolver = resolver

    async def find(self, address: str, deadline: Deadline) -> FoundAgent | None:
        """The agent at an address: of a description, of an agent, or of a domain that has one; None where none is.

        Raises `PeerMisspoke` for one whose proof does not hold, `NotPossible` where a domain has several,
        `PeerUnreachable` and `PeerHungUp`.
        """
        given = address.removeprefix(ANP_EXPLICIT).rstrip("/")
        for url in await self._places(given, deadline):
            reply = await self.get(url, deadline)
            if reply.status != _OK:
                continue
            try:
                described = read_description(reply.body, url)
            except PeerMisspoke:
                # Any page may be where a description might have been.
                continue
            return await self._identified(described)
        return None

    async def methods(
        self, found: FoundAgent, deadline: Deadline, *, kind: str = "StructuredInterface"
    ) -> list[Method]:
        """What the interfaces of one kind offer; an interface that cannot be had or read offers nothing."""
        made: list[Method] = []
        for interface in found.described.structured(kind):
            made += await self.interface(found, interface, deadline)
        return made

    async def interface(self, found: FoundAgent, interface: Interface, deadline: Deadline) -> list[Method]:
        """What one interface offers at this origin."""
        data: bytes | JsonObject
        place = interface.url or found.described.url
        if interface.content is not None:
            data = interface.content
        elif interface.url is not None and origin_of(interface.url) == found.origin:
            reply = await self.get(interface.url, deadline)
            if reply.status != _OK:
                return []
            data = reply.body
        else:
            return []
        try:
            read = read_interface(
                data, place, servers=found.described.servers, human_authorization=interface.human_authorization
            )
        except PeerMisspoke:
            return []
        return [method for method in read if origin_of(method.url) == found.origin]

    async def get(self, url: str, deadline: Deadline) -> WireReply:
        """What is at a URL. Raises `PeerUnreachable` and `PeerHungUp`."""
        request = WireRequest(method="GET", path=path_of(url), headers={"accept": "application/json"})
        return await self._transport.send(origin_of(url), request, deadline=deadline)

    async def document(self, did: str) -> DidDocument | None:
        """A DID's document as it is now; None where it is not to be had or cannot be read here.

        Raises `KeyChanged`, and `Overloaded`.
        """
        try:
            return await self._resolver.document(did)
        except (DidUnresolvable, MalformedDid, MissingExtra):
            return None

    # --- what is there ---

    async def _places(self, given: str, deadline: Deadline) -> list[str]:
        """Where a description may be, the likeliest first."""
        if given.endswith(".json"):
            return [given]
        if given.endswith(ANP_PAGE):
            given = given.removesuffix(ANP_PAGE)
        listed = await self._listed(given, deadline)
        below = [url for _, url in listed if url.startswith(given + "/")]
        if len(below) > 1:
            several = ", ".join(below[:8])
            raise NotPossible(f"{given} has several agents; name one by the address of its description: {several}")
        # The SDK serves no page: its descriptions are where they are by custom.
        return [*below, f"{given}/ad.json", f"{given}/anp/ad.json", f"{given}/agent/ad.json"]

    async def _listed(self, given: str, deadline: Deadline) -> list[tuple[str, str]]:
        """The agents that a domain, or an agent below it, lists there (ANP-08)."""
        agents: list[tuple[str, str]] = []
        for base in dict.fromkeys((given, origin_of(given))):
            seen: set[str] = set()
            url: str | None = base + ANP_PAGE
            while url is not None and url not in seen and len(seen) < MAX_PAGES and origin_of(url) == origin_of(given):
                seen.add(url)
                reply = await self.get(url, deadline)
                try:
                    page = read_page(reply.body, url) if reply.status == _OK else None
                except PeerMisspoke:
                    page = None
                if page is None:
                    break
                agents += [each for each in page.agents if origin_of(each[1]) == origin_of(given)]
                url = page.next
            if agents:
                break
        return list(dict.fromkeys(agents))

    async def _identified(self, described: Description) -> FoundAgent:
        """Who a description is of. Raises `PeerMisspoke` where it has a proof that does not hold, and `KeyChanged`."""
        document = None if described.did is None else await self.document(described.did)
        proof: Any = described.raw.get("proof")
        # Proofs of other kinds say nothing here, and so nothing wrong.
        if document is None or not isinstance(proof, dict) or proof.get("cryptosuite") != proofs.SUITE:
            return FoundAgent(described, document, proved=False)
        name, domain = proof.get("verificationMethod"), proof.get("domain")
        held = isinstance(name, str) and name in document.assertion and proofs.holds(described.raw, document.keys[name])
        if not held:
            raise PeerMisspoke(f"the proof of the description at {described.url} does not hold")
        if domain is not None and domain != urlsplit(described.url).netloc:
            raise PeerMisspoke(f"the description at {described.url} is proved for another domain")
        return FoundAgent(described, document, proved=True)


def path_of(url: str) -> str:
    """The path of a URL, with its query."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
