"""HTTP Message Signatures (RFC 9421) with content digests (RFC 9530), as ANP-02 asks for them. Pure.

What a signature covers is checked before what it says: a signature that leaves the method, the target or the body open
is none, whatever else it covers. Of RFC 9421 this reads requests, Ed25519, and components without parameters.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from negotiator.identity.ed25519 import PublicKey
from negotiator.identity.errors import NotProven
from negotiator.identity.structured_fields import Bare, Member, parse_dictionary, write_member

LABEL: Final = "sig1"
"""What a signature of ours is called, and which one is read where there are several."""
WINDOW_SECONDS: Final = 300
"""The longest life of a signature: ANP-02 has 1 to 5 minutes."""
SKEW_SECONDS: Final = 30
"""How far ahead another's clock may be."""
MAX_NONCE: Final = 128
"""Characters."""

_ALWAYS: Final = ("@method", "@target-uri")
_DIGESTS: Final = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_PORTS: Final = {"http": 80, "https": 443}
_PARAMETERS: Final = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request as far as a signature can cover it."""

    method: str
    target: str
    """The whole URI, as the signer sees it."""
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When a signature holds, whose it is, and what makes it the only one of its kind."""

    created: int
    """Unix seconds."""
    expires: int
    nonce: str
    key_id: str
    """The DID URL of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature as it was found on a request: its form is right, and nothing else is known of it yet."""

    components: tuple[str, ...]
    terms: Terms
    value: bytes
    line: str
    """What is signed of the signature itself: components and parameters, canonical."""


def content_digest(body: bytes) -> str:
    """The `Content-Digest` field of a body."""
    return f"sha-256={write_member(Member(hashlib.sha256(body).digest()))}"


def signing_input(message: Message, components: Sequence[str], line: str) -> bytes:
    """The signature base (RFC 9421 2.5). Raises ValueError where a component is not there or cannot be read."""
    lines = [f'"{name}": {_value(message, name)}' for name in components]
    lines.append(f'"@signature-params": {line}')
    base = "\n".join(lines)
    if not base.isascii():
        raise ValueError("a component that is not ASCII")
    return base.encode("ascii")


def to_sign(message: Message, terms: Terms, *, over_http: bool = True) -> tuple[dict[str, str], str, bytes]:
    """What is needed for a signature of ours: the digest's field, the line of the signature, and what to sign.

    Covers the method, the target, the authority where that is one of HTTP's, and the body where there is one.
    """
    fields = {"content-digest": content_digest(message.body)} if message.body else {}
    components = (*_ALWAYS, *(("@authority",) if over_http else ()), *fields)
    # In this order, and no other parameter: ANP's SDK writes them anew, so, when it checks.
    parameters: dict[str, Bare] = {
        "created": terms.created,
        "expires": terms.expires,
        "nonce": terms.nonce,
        "keyid": terms.key_id,
    }
    line = write_member(Member(components, parameters))
    covered = Message(
        method=message.method, target=message.target, headers={**message.headers, **fields}, body=message.body
    )
    return fields, line, signing_input(covered, components, line)


def signature_fields(line: str, signature: bytes) -> dict[str, str]:
    """The two fields of a signature."""
    return {"signature-input": f"{LABEL}={line}", "signature": f"{LABEL}={write_member(Member(signature))}"}


def read_signature(headers: Mapping[str, str]) -> Signature | None:
    """The signature on a request; None where there is none.

    Raises `NotProven` (`invalid_request`) where there is something else in its place.
    """
    inputs, values = headers.get("signature-input"), headers.get("signature")
    if inputs is None and values is None:
        return None
    try:
        named, signed = parse_dictionary(inputs or ""), parse_dictionary(values or "")
    except ValueError as error:
        raise NotProven("invalid_request", f"the signature's fields cannot be read: {error}") from None
    label = LABEL if LABEL in named else next(iter(named))
    member, value = named[label], signed.get(label)
    if value is None or not isinstance(value.value, bytes) or not isinstance(member.value, tuple):
        raise NotProven("invalid_request", "the signature's fields do not belong together")
    components = member.value
    if len(set(components)) != len(components) or any(each != each.lower() for each in components):
        raise NotProven("invalid_request", "a component is named twice, or not in lower case")
    return Signature(
        components=components, terms=_terms(member.parameters), value=value.value, line=write_member(member)
    )


def check_covered(signature: Signature, message: Message) -> None:
    """Whether a signature covers what it must, and the body is the one it covers. Raises `NotProven`."""
    required = [*_ALWAYS, *(["content-digest"] if message.body else [])]
    missing = [name for name in required if name not in signature.components]
    if missing:
        raise NotProven("invalid_request", f"the signature must cover {', '.join(missing)}")
    if "content-digest" in signature.components:
        _check_digest(message)


def check_time(terms: Terms, now: float) -> None:
    """Whether a signature holds at `now`, Unix seconds. Raises `NotProven` (`invalid_timestamp`)."""
    if terms.created > now + SKEW_SECONDS:
        raise NotProven("invalid_timestamp", "the signature is of the future")
    if terms.expires <= now or now - terms.created > WINDOW_SECONDS:
        raise NotProven("invalid_timestamp", "the signature has expired")
    if not 0 < terms.expires - terms.created <= WINDOW_SECONDS:
        raise NotProven("invalid_timestamp", f"a signature holds for at most {WINDOW_SECONDS} seconds")


def check_signature(signature: Signature, message: Message, targets: Sequence[str], key: PublicKey) -> None:
    """Whether `key` signed this message for one of `targets`: the URIs that this request has here.

    Raises `NotProven` (`invalid_signature`).
    """
    for target in targets:
        addressed = Message(method=message.method, target=target, headers=message.headers, body=message.body)
        try:
            if key.verify(signature.value, signing_input(addressed, signature.components, signature.line)):
                return
        except ValueError:
            continue
    raise NotProven("invalid_signature", "the signature is not of this key over this request to this address")


def authority_of(target: str) -> str:
    """The authority of a URI, as RFC 9421 2.2.3 has it: lower case, without the scheme's own port."""
    parts = urlsplit(target)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS.get(parts.scheme)) else f"{host}:{parts.port}"


def _value(message: Message, name: str) -> str:
    if name.startswith("@"):
        return _derived(message, name)
    if name not in message.headers:
        raise ValueError(f"there is no field {name}")
    value = message.headers[name].strip()
    if not value.replace("\t", " ").isprintable():
        raise ValueError("a field that holds control characters")
    return value


def _derived(message: Message, name: str) -> str:
    parts = urlsplit(message.target)
    match name:
        case "@method":
            return message.method
        case "@target-uri":
            return message.target
        case "@authority":
            return authority_of(message.target)
        case "@scheme":
            return parts.scheme.lower()
        case "@path":
            return parts.path or "/"
        case "@query":
            return f"?{parts.query}"
        case "@request-target":
            return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        case _:
            raise ValueError(f"{name} is not read here")


def _terms(parameters: Mapping[str, Bare]) -> Terms:
    created, expires = parameters.get("created"), parameters.get("expires")
    nonce, key_id = parameters.get("nonce"), parameters.get("keyid")
    if set(parameters) - _PARAMETERS:
        raise NotProven("invalid_request", "the signature has a parameter that is not known here")
    if parameters.get("alg", "ed25519") != "ed25519":
        raise NotProven("invalid_verification_method", "only Ed25519 signatures are read here")
    if not isinstance(key_id, str) or not key_id.startswith("did:") or "#" not in key_id:
        raise NotProven("invalid_verification_method", "the signature's keyid is no DID URL")
    if not isinstance(nonce, str) or not 1 <= len(nonce) <= MAX_NONCE:
        raise NotProven("invalid_nonce", "the signature has no nonce, or one that is too long")
    # A boolean is an int to Python, and none to RFC 9651.
    if type(created) is not int or (expires is not None and type(expires) is not int):
        raise NotProven("invalid_timestamp", "the signature does not say in integers when it holds")
    assert not isinstance(expires, str | bytes)  # noqa: S101 - for the type checker
    return Terms(
        created=created,
        expires=created + WINDOW_SECONDS if expires is None else expires,
        nonce=nonce,
        key_id=key_id,
    )


def _check_digest(message: Message) -> None:
    try:
        members = parse_dictionary(message.headers.get("content-digest", ""))
    except ValueError:
        raise NotProven("invalid_content_digest", "the content digest cannot be read") from None
    known = [(name, member.value) for name, member in members.items() if name in _DIGESTS]
    if not known:
        raise NotProven("invalid_content_digest", "no digest of SHA-256 or SHA-512 is there")
    for name, value in known:
        if not isinstance(value, bytes) or not hmac.compare_digest(value, _DIGESTS[name](message.body).digest()):
            raise NotProven("invalid_content_digest", "the body is not the one of the digest")
