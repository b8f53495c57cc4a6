"""The agent card: who an agent is, where it is spoken to and how, what it can do.

A card has no schemas of its own. Ours carries them in the parameters of our extension, beside the documents that are
listed; another's are read from there, or from its skills where it writes them there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from negotiator.dialects.a2a import extension
from negotiator.dialects.a2a.numbers import whole
from negotiator.dialects.a2a.objects import Version
from negotiator.dialects.a2a.security import NOTHING, Security, read_security, write_needs, write_security
from negotiator.dialects.json_body import read_object, write
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect

Binding: TypeAlias = Literal["JSONRPC", "HTTP+JSON"]

MODES: Final = ("text/plain", "application/json")
MAX_SKILLS: Final = 256
MAX_INTERFACES: Final = 32
MAX_DOCUMENTS: Final = 512
_WORDS: Final = re.compile(r"[^\W_]+")
_BINDINGS: Final = get_args(Binding)
_VERSIONS: Final = get_args(Version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """One thing that an agent can do."""

    id: str
    description: str
    effect: Effect = "transactional"
    input_schema: JsonObject | None = None
    """None where it is not told."""
    output_schema: JsonObject | None = None
    needs: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    """What is enough for it, where that is more than for the agent; see `Security`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What one of our agents shows of itself."""

    name: str
    description: str
    version: str
    skills: tuple[Skill, ...]
    documents: Mapping[str, tuple[str, ...]]
    """Canonical hash to sources; with none, the agent itself gives the text."""
    negotiates_by: tuple[str, ...]
    """Documents of dialogues that it answers under, canonical."""
    security: Security = NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One way to speak to an agent."""

    url: str
    binding: Binding
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A peer's card, as far as it matters here."""

    name: str
    interfaces: tuple[Interface, ...]
    """Those that are spoken here, the best first."""
    skills: tuple[Skill, ...]
    extended: bool = False
    """Whether it declares our extension."""
    documents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    negotiates_by: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    """Extensions that it requires and that are not ours."""
    security: Security = NOTHING
    streams: bool = False
    """Whether it tells of tasks while they are under way."""


def write_card(offer: Offer, base: str, path: str) -> bytes:
    """The card of an agent at `base` that is spoken to below `path`, for clients of both versions."""
    url = base + path
    versions = (("JSONRPC", "1.0"), ("HTTP+JSON", "1.0"), ("JSONRPC", "0.3"), ("HTTP+JSON", "0.3"))
    declared: JsonObject = {
        "uri": extension.URI,
        "description": "Messages under protocol documents that are named by their hash.",
        "required": False,
        "params": {
            "documents": {
                name: list(sources) or [f"{base}/documents/{name}"] for name, sources in offer.documents.items()
            },
            "skills": {
                skill.id: {"inputSchema": skill.input_schema, "outputSchema": skill.output_schema}
                | {"effect": skill.effect}
                for skill in offer.skills
                if skill.input_schema is not None
            },
            "negotiation": list(offer.negotiates_by),
        },
    }
    return write(
        {
            "name": offer.name,
            "description": offer.description,
            "version": offer.version,
            "supportedInterfaces": [
                {"url": url, "protocolBinding": binding, "protocolVersion": version} for binding, version in versions
            ],
            "capabilities": {
                "streaming": True,
                "pushNotifications": False,
                "extendedAgentCard": False,
                "extensions": [declared],
            },
            "defaultInputModes": list(MODES),
            "defaultOutputModes": list(MODES),
            "skills": [_written_skill(skill) for skill in offer.skills],
            **write_security(offer.security),
            # What clients of 0.3 read.
            "protocolVersion": "0.3.0",
            "url": url,
            "preferredTransport": "JSONRPC",
            "additionalInterfaces": [{"url": url, "transport": binding} for binding in _BINDINGS],
        }
    )


def _written_skill(skill: Skill) -> JsonObject:
    tags = list(dict.fromkeys(word.lower() for word in _WORDS.findall(skill.id))) or [skill.effect]
    description = skill.description or skill.id
    said: JsonObject = {"id": skill.id, "name": skill.id.replace("_", " "), "description": description, "tags": tags}
    return said | write_needs(skill.needs)


def read_card(data: bytes) -> Card:
    """Understand a peer's card of either version. What cannot be read of it is left out.

    Raises:
        PeerMisspoke: it is no card at all.
    """
    try:
        found = read_object(data)
    except ValueError as problem:
        raise PeerMisspoke(f"not an agent card: {problem}") from None
    name, skills = found.get("name"), found.get("skills")
    if not isinstance(name, str) or not ("supportedInterfaces" in found or "url" in found):
        raise PeerMisspoke("not an agent card: it has no name, or no address")
    declared = _declared(found)
    ours = next((each for each in declared if each["uri"] == extension.URI), None)
    params = _object(None if ours is None else ours.get("params"))
    described = _object(params.get("skills"))
    listed = skills if isinstance(skills, list) else []
    read = (_skill(each, described) for each in listed[:MAX_SKILLS])
    return Card(
        name=name[:200],
        interfaces=tuple(sorted(_interfaces(found), key=lambda each: each.version, reverse=True)),
        skills=tuple(each for each in read if each is not None),
        extended=ours is not None,
        documents=_documents(params),
        negotiates_by=extension.texts(params, "negotiation"),
        requires=tuple(each["uri"] for each in declared if each.get("required") is True and each is not ours),
        security=read_security(found),
        streams=_object(found.get("capabilities")).get("streaming") is True,
    )


def _declared(found: JsonObject) -> list[dict[str, Any]]:
    given = _object(found.get("capabilities")).get("extensions")
    listed = given[: extension.MAX_REQUESTED] if isinstance(given, list) else []
    return [each for each in listed if isinstance(each, dict) and isinstance(each.get("uri"), str)]


def _interfaces(found: JsonObject) -> list[Interface]:
    listed = found.get("supportedInterfaces")
    read: list[Interface] = []
    if isinstance(listed, list):
        for each in listed[:MAX_INTERFACES]:
            given = _object(each)
            version = str(given.get("protocolVersion") or "1.0")
            if not given.get("tenant"):
                _add(read, given.get("url"), given.get("protocolBinding"), version)
        if read:
            return read
    version = str(found.get("protocolVersion") or "0.3")
    _add(read, found.get("url"), found.get("preferredTransport") or "JSONRPC", version)
    more = found.get("additionalInterfaces")
    for each in more[:MAX_INTERFACES] if isinstance(more, list) else ():
        given = _object(each)
        _add(read, given.get("url"), given.get("transport"), version)
    return read


def _add(read: list[Interface], url: JsonValue, binding: JsonValue, version: str) -> None:
    number = ".".join(version.split(".")[:2])
    if number in _VERSIONS and binding in _BINDINGS and isinstance(url, str) and len(url) <= 2_000:  # noqa: PLR2004 - longer ones are no addresses
        read.append(
            Interface(
                url=url,
                binding="JSONRPC" if binding == "JSONRPC" else "HTTP+JSON",
                version="1.0" if number == "1.0" else "0.3",
            )
        )


def _skill(given: JsonValue, described: JsonObject) -> Skill | None:
    found = _object(given)
    name = found.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= 255:  # noqa: PLR2004 - identifiers of any protocol
        return None
    told = _object(described.get(name)) or found
    # Protobuf made floats of a schema's numbers, too.
    takes, gives = whole(told.get("inputSchema")), whole(told.get("outputSchema"))
    description = found.get("description")
    return Skill(
        id=name,
        description=description[:2_000] if isinstance(description, str) else name,
        effect="safe" if told.get("effect") == "safe" else "transactional",
        input_schema=takes if isinstance(takes, dict) else None,
        output_schema=gives if isinstance(gives, dict) else None,
    )


def _documents(params: JsonObject) -> dict[str, tuple[str, ...]]:
    listed = list(_object(params.get("documents")).items())[:MAX_DOCUMENTS]
    return {name: extension.texts({"": sources}, "") for name, sources in listed if name.startswith("sha256:")}


def _object(given: JsonValue) -> JsonObject:
    return given if isinstance(given, dict) else {}
