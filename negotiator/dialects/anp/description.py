"""Agent Descriptions (ANP-07) and the pages that list them (ANP-08): written strictly, read as they are found. Pure.

What the SDK emits is read too: the type `Product`, `identifier` for `did`, `security` as an object, interfaces inline
under `content` or `definition`, or by `url`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from negotiator.dialects.anp.words import (
    BINDING,
    CAPABILITIES,
    CAPABILITY,
    META,
    META_INTERFACE,
    NEGOTIATE,
    NEGOTIATES,
    RPC,
    STRUCTURED_INTERFACE,
    TRANSPORT_PROTECTED,
    WORDS_INTERFACE,
)
from negotiator.dialects.json_body import read_object
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue

VERSION: Final = "1.0.0"
"""Of ANP, as descriptions say it (ANP-07)."""
MAX_INTERFACES: Final = 64
"""Interfaces of one description that are read."""
MAX_ITEMS: Final = 1000
"""Agents on one page that are read."""
_SECURITY: Final = "didwba_sc"
_CONTEXT: Final[JsonObject] = {
    "@vocab": "https://schema.org/",
    "did": "https://w3id.org/did#",
    "ad": "https://agent-network-protocol.com/ad#",
}
_TYPES: Final = frozenset({"AgentDescription", "Product", "ad:AgentDescription", "Agent"})

# --- what is written ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One tool, as far as a description shows it."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where an agent is reached: whole URLs."""

    description: str
    endpoint: str
    interface: str
    words: str | None = None
    """The interface of natural language, where there is one."""


def write_description(
    *, name: str, description: str, did: str | None, places: Places, tools: Sequence[Shown], created: str
) -> JsonObject:
    """An Agent Description, still without proof. Without a DID it has nobody to negotiate with by name, and says so."""
    interfaces: list[JsonObject] = []
    if did is not None:
        interfaces.append(
            {
                "id": META_INTERFACE,
                "type": "MetaProtocolInterface",
                "protocol": "ANP",
                "version": "1.0",
                "profile": META,
                "binding": BINDING,
                "url": places.endpoint,
                "methods": [CAPABILITIES, NEGOTIATE],
                "security": [_SECURITY],
                "securityProfiles": [TRANSPORT_PROTECTED],
                "negotiates": list(NEGOTIATES),
                "description": "Confirms what is spoken here, and selects how a task is to be asked for.",
            }
        )
    references = [CAPABILITY + tool.name for tool in tools]
    if tools:
        interfaces.append(
            {
                "id": STRUCTURED_INTERFACE,
                "type": "StructuredInterface",
                "protocol": "openrpc",
                "version": "1.0",
                "profile": RPC,
                "url": places.interface,
                "capabilityRefs": references,
                "humanAuthorization": False,
                "description": f"What {name} does, as OpenRPC.",
            }
        )
    if tools and places.words is not None:
        interfaces.append(
            {
                "id": WORDS_INTERFACE,
                "type": "NaturalLanguageInterface",
                "protocol": "openrpc",
                "version": "1.0",
                "profile": RPC,
                "url": places.words,
                "capabilityRefs": references,
                "humanAuthorization": False,
                "description": f"Asks {name} in natural language.",
            }
        )
    made: JsonObject = {
        "protocolType": "ANP",
        "protocolVersion": VERSION,
        "type": "AgentDescription",
        "url": places.description,
        "name": name,
        "description": description,
        "created": created,
        "securityDefinitions": {_SECURITY: {"scheme": "didwba", "in": "header", "name": "Authorization"}},
        "security": _SECURITY,
        "capabilities": [
            {"id": CAPABILITY + tool.name, "name": tool.name, "description": tool.description} for tool in tools
        ],
        "interfaces": interfaces,
    }
    return made if did is None else {**made, "did": did}


def write_page(url: str, agents: Iterable[tuple[str, str]]) -> JsonObject:
    """The page of a domain: its agents as (name, URL of the description)."""
    return {
        "@context": _CONTEXT,
        "@type": "CollectionPage",
        "url": url,
        "items": [{"@type": "ad:AgentDescription", "name": name, "@id": place} for name, place in agents],
    }


# --- what is read ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One interface of a description."""

    id: str
    type: str
    protocol: str
    profile: str
    url: str | None
    """Whole."""
    methods: tuple[str, ...]
    binding: str
    human_authorization: bool
    content: JsonObject | None
    """The interface itself, where it is inline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a description says, as far as it is used here."""

    url: str
    """Where it was found."""
    name: str
    description: str
    did: str | None
    interfaces: tuple[Interface, ...]
    servers: JsonValue
    """Servers for inline interfaces that name none."""
    raw: JsonObject
    """All of it, its proof included."""

    @property
    def negotiation(self) -> Interface | None:
        """The interface of `anp.negotiate` (ANP-06 6.3); None where there is none that can be used."""
        return next(
            (
                each
                for each in self.interfaces
                if each.type == "MetaProtocolInterface"
                and each.profile == META
                and each.binding == BINDING
                and NEGOTIATE in each.methods
                and each.url is not None
            ),
            None,
        )

    def structured(self, kind: str = "StructuredInterface") -> tuple[Interface, ...]:
        """Its interfaces in OpenRPC, of one kind."""
        kinds = (kind, "InlineOpenRPC") if kind == "StructuredInterface" else (kind,)
        return tuple(each for each in self.interfaces if each.type in kinds and each.protocol.lower() == "openrpc")


def read_description(data: bytes, url: str) -> Description:
    """Read what was found at `url`. Raises `PeerMisspoke` for what describes no agent."""
    value = _object(data, "the agent's description")
    kind = value.get("type", value.get("@type"))
    kinds = kind if isinstance(kind, list) else [kind]
    if not any(isinstance(each, str) and each in _TYPES for each in kinds):
        raise PeerMisspoke("what was found describes no agent")
    given: Any = value.get("interfaces", value.get("ad:interfaces", []))
    found = given if isinstance(given, list) else []
    did = next((each for each in (value.get("did"), value.get("identifier"), value.get("@id")) if _is_did(each)), None)
    return Description(
        url=url,
        name=_words(value.get("name"), 200),
        description=_words(value.get("description"), 4_000),
        did=did,
        interfaces=tuple(_interface(each, url) for each in found[:MAX_INTERFACES] if isinstance(each, dict)),
        servers=value.get("servers"),
        raw=value,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a domain's agents."""

    agents: tuple[tuple[str, str], ...]
    """(name, whole URL of the description)."""
    next: str | None


def read_page(data: bytes, url: str) -> Page:
    """Read the page found at `url`. Raises `PeerMisspoke` for what is none."""
    value = _object(data, "the page of agents")
    items: Any = value.get("items", value.get("member"))
    if not isinstance(items, list):
        raise PeerMisspoke("what was found lists no agents")
    agents: list[tuple[str, str]] = []
    for item in items[:MAX_ITEMS]:
        if not isinstance(item, dict):
            continue
        place = next((item[key] for key in ("@id", "id", "url") if isinstance(item.get(key), str)), None)
        if place is not None and (whole := absolute(url, place)) is not None:
            agents.append((_words(item.get("name"), 200), whole))
    following = value.get("next")
    if isinstance(following, dict):
        following = following.get("@id")
    return Page(tuple(agents), absolute(url, following) if isinstance(following, str) else None)


def absolute(base: str, url: str) -> str | None:
    """A URL as it stands in a document found at `base`, whole; None where it is none of http(s)."""
    try:
        whole = urljoin(base, url)
        parts = urlsplit(whole)
    except ValueError:
        return None
    return whole if parts.scheme in ("http", "https") and parts.hostname and len(whole) <= 2_000 else None  # noqa: PLR2004


def _interface(value: JsonObject, base: str) -> Interface:
    url, content = value.get("url"), value.get("content", value.get("definition"))
    methods = value.get("methods")
    return Interface(
        id=_words(value.get("id"), 200),
        type=_words(value.get("type", value.get("@type")), 100).removeprefix("ad:"),
        protocol=_words(value.get("protocol"), 100),
        profile=_words(value.get("profile"), 200),
        url=absolute(base, url) if isinstance(url, str) else None,
        methods=tuple(each for each in methods if isinstance(each, str)) if isinstance(methods, list) else (),
        binding=_words(value.get("binding"), 100),
        human_authorization=value.get("humanAuthorization") is True,
        content=content if isinstance(content, dict) else None,
    )


def _object(data: bytes, what: str) -> JsonObject:
    try:
        return read_object(data)
    except ValueError as error:
        raise PeerMisspoke(f"{what} cannot be read: {error}") from None


def _words(value: JsonValue, most: int) -> str:
    return value[:most] if isinstance(value, str) else ""


def _is_did(value: JsonValue) -> bool:
    return isinstance(value, str) and value.startswith("did:") and len(value) <= 512  # noqa: PLR2004 - as the binding
