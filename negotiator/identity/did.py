"""DIDs and their documents: `did:wba` (ANP-03) and `did:web`, made and read. Pure.

A `did:wba` whose last segment is `e1_` and the RFC 7638 thumbprint of an Ed25519 key is bound to that key: its document
carries a proof by it, and names whatever other keys there are. Any other DID is as good as the domain it stands on.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from negotiator.errors import UsageError
from negotiator.identity import proofs
from negotiator.identity.ed25519 import PublicKey
from negotiator.identity.errors import MalformedDid
from negotiator.identity.signer import Key
from negotiator.jsonvalue import JsonObject
from protocol_docs import strict_json

Method: TypeAlias = Literal["wba", "web"]

MAX_DID: Final = 512
"""Characters of a DID that is read."""
_MAX_KEYS: Final = 64
_BOUND: Final = "e1_"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_SEGMENT: Final = re.compile(r"(?:[A-Za-z0-9._-]|%[0-9A-Fa-f]{2})+")
_CONTEXTS: Final = (
    "https://www.w3.org/ns/did/v1",
    "https://w3id.org/security/data-integrity/v2",
    "https://w3id.org/security/multikey/v1",
)


@dataclass(frozen=True, slots=True)
class Did:
    """A DID, taken apart."""

    method: Method
    host: str
    """Lower case, with `:port` where there is one."""
    segments: tuple[str, ...] = ()
    """The path, decoded."""

    def __str__(self) -> str:
        parts = ["did", self.method, quote(self.host, safe="."), *(quote(each, safe="") for each in self.segments)]
        return ":".join(parts)

    @property
    def bound_to(self) -> str | None:
        """The thumbprint of the key that it is bound to; None where it is not."""
        last = self.segments[-1] if self.segments else ""
        return last.removeprefix(_BOUND) if self.method == "wba" and last.startswith(_BOUND) else None

    @property
    def path(self) -> str:
        """Where on the host its document is."""
        way = "/".join(quote(each, safe="") for each in self.segments)
        return f"/{way}/did.json" if way else "/.well-known/did.json"

    def url(self, *, loopback: bool = False) -> str:
        """Where its document is: https, or with `loopback` plain http for names of the machine itself."""
        return f"{'http' if loopback and is_loopback(self.host) else 'https'}://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Service:
    """Where somebody says to be reached."""

    type: str
    endpoint: str
    service_did: str | None = None
    """Whose service it is, where the document says so."""


@dataclass(frozen=True, slots=True)
class DidDocument:
    """What a DID document says, as far as it is used here: Ed25519 keys alone."""

    did: str
    keys: Mapping[str, PublicKey]
    """By DID URL, such as `did:web:example.com#key-1`."""
    authentication: frozenset[str]
    """Which of them prove requests."""
    assertion: frozenset[str]
    """Which of them prove statements."""
    services: tuple[Service, ...] = ()

    @property
    def proving(self) -> tuple[str, ...]:
        """The keys that prove requests, in Multikey form, sorted: what is pinned."""
        return tuple(sorted({self.keys[name].multibase for name in self.authentication}))


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is a name of the machine itself (RFC 6761)."""
    name = host.partition(":")[0].lower()
    return name == "localhost" or name.endswith(".localhost")


def parse_did(text: str) -> Did:
    """Read a DID of one of the two methods. Raises `MalformedDid`."""
    parts = text.split(":") if len(text) <= MAX_DID else []
    if len(parts) < 3 or parts[0] != "did" or parts[1] not in ("wba", "web"):  # noqa: PLR2004 - did:method:host
        raise MalformedDid("not a did:wba or did:web")
    if not all(_SEGMENT.fullmatch(part) for part in parts[2:]):
        raise MalformedDid("a DID with something in it that does not belong there")
    try:
        host, *segments = (unquote(part, errors="strict") for part in parts[2:])
    except UnicodeDecodeError:
        raise MalformedDid("a DID that is not UTF-8") from None
    if any(segment in (".", "..") or re.search(r"[/\\?#%\x00-\x20\x7f]", segment) for segment in segments):
        raise MalformedDid("a DID whose path leads elsewhere")
    method: Method = "wba" if parts[1] == "wba" else "web"
    return Did(method, _host(host), tuple(segments))


def did_for(url: str, key: PublicKey, *, method: Method = "wba") -> str:
    """The DID of an agent at `url`; a `did:wba` is bound to `key`. Raises `UsageError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in url:
        raise UsageError(f"not the address of an agent: {url[:200]!r}")
    try:
        host = _host(parts.netloc)
    except (MalformedDid, ValueError):
        raise UsageError("a DID needs a host that has a name; on one machine, localhost") from None
    segments = tuple(unquote(each) for each in parts.path.split("/") if each)
    made = Did(method, host, (*segments, _BOUND + key.thumbprint) if method == "wba" else segments)
    try:
        return str(parse_did(str(made)))
    except MalformedDid as error:
        raise UsageError(f"no DID can be made for {url[:200]!r}: {error}") from None


def make_document(did: str, url: str, keys: Iterable[Key]) -> JsonObject:
    """The document of a DID of ours, still without proof. Revoked keys are not in it."""
    standing = [key for key in keys if key.state != "revoked"]
    names = {key.name: f"{did}#{key.name}" for key in standing}
    return {
        "@context": list(_CONTEXTS),
        "id": did,
        "verificationMethod": [
            {"id": names[key.name], "type": "Multikey", "controller": did, "publicKeyMultibase": key.public.multibase}
            for key in standing
        ],
        "authentication": [names[key.name] for key in standing if key.state == "active"],
        "assertionMethod": list(names.values()),
        "service": [
            {"id": f"{did}#agent", "type": "AgentService", "serviceEndpoint": url},
            # Where ANP has agents reached (ANP-P2 5.4).
            {"id": f"{did}#anp", "type": "ANPMessageService", "serviceEndpoint": f"{url}/anp", "serviceDid": did},
        ],
    }


def read_document(data: bytes, did: str) -> DidDocument:
    """Read the document that was found for `did`. Keys of kinds other than Ed25519 are passed over.

    Raises `MalformedDid` where it is another's, breaks the shape, or, for a DID that is bound to a key, is not proved
    by it.
    """
    try:
        value: Any = strict_json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise MalformedDid(f"a DID document that is not JSON: {error}") from None
    named = parse_did(did)
    if not isinstance(value, dict) or value.get("id") != did:
        raise MalformedDid("the document is not of this DID")
    keys: dict[str, PublicKey] = {}
    methods = _entries(value, "verificationMethod")
    authentication, assertion = _entries(value, "authentication"), _entries(value, "assertionMethod")
    for entry in (*methods, *authentication, *assertion):
        if isinstance(entry, dict):
            _take(keys, did, entry)
    document = DidDocument(
        did,
        MappingProxyType(keys),
        frozenset(name for name in _names(did, authentication) if name in keys),
        frozenset(name for name in _names(did, assertion) if name in keys),
        tuple(each for entry in _entries(value, "service") if (each := _service(entry)) is not None),
    )
    if named.bound_to is not None and not _bound(document, value, named.bound_to):
        raise MalformedDid("the document is not proved by the key that the DID names")
    return document


def _host(text: str) -> str:
    name, colon, port = text.partition(":")
    if not _HOST.fullmatch(name) or len(name) > 253 or _is_address(name):  # noqa: PLR2004 - RFC 1035
        raise MalformedDid("a DID whose host is no name")
    if colon and not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535):  # noqa: PLR2004 - ports
        raise MalformedDid("a DID whose port is none")
    return f"{name.lower()}:{int(port)}" if colon else name.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # 127.1 and 0x7f.1 reach the machine itself with most resolvers.
        return bool(re.fullmatch(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)", name))
    return True


def _entries(value: JsonObject, name: str) -> list[Any]:
    found: Any = value.get(name, [])
    if not isinstance(found, list) or len(found) > _MAX_KEYS:
        raise MalformedDid(f"a DID document whose {name} is no list, or too long")
    return found


def _service(entry: Any) -> Service | None:
    match entry:
        case {"type": str(kind), "serviceEndpoint": str(endpoint)}:
            whose = entry.get("serviceDid")
            return Service(kind, endpoint, whose if isinstance(whose, str) else None)
    return None


def _names(did: str, entries: list[Any]) -> list[str]:
    named = (entry if isinstance(entry, str) else entry.get("id") for entry in entries if isinstance(entry, str | dict))
    return [_absolute(did, name) for name in named if isinstance(name, str)]


def _absolute(did: str, name: str) -> str:
    return did + name if name.startswith("#") else name


def _take(keys: dict[str, PublicKey], did: str, entry: dict[str, Any]) -> None:
    named = entry.get("id")
    if not isinstance(named, str) or not (name := _absolute(did, named)).startswith(did + "#"):
        # A key that somebody else's document speaks for is not looked up, so it proves nothing.
        return
    key = _key(entry)
    if key is None:
        return
    if keys.setdefault(name, key) != key:
        raise MalformedDid("a DID document with two keys of one name")


def _key(entry: dict[str, Any]) -> PublicKey | None:
    multibase, jwk = entry.get("publicKeyMultibase"), entry.get("publicKeyJwk")
    try:
        if entry.get("type") in ("Multikey", "Ed25519VerificationKey2020") and isinstance(multibase, str):
            return PublicKey.from_multibase(multibase)
        if entry.get("type") in ("JsonWebKey", "JsonWebKey2020") and isinstance(jwk, dict):
            return PublicKey.from_jwk(jwk)
    except ValueError:
        return None
    return None


def _bound(document: DidDocument, value: JsonObject, thumbprint: str) -> bool:
    proof: Any = value.get("proof")
    named = proof.get("verificationMethod") if isinstance(proof, dict) else None
    if not isinstance(named, str):
        return False
    name = _absolute(document.did, named)
    if name not in document.assertion or document.keys[name].thumbprint != thumbprint:
        return False
    return proofs.holds(value, document.keys[name])
