"""`anp.get_capabilities` (P1 8.2) and `anp.negotiate` (ANP-06 7 and 8): what is asked and what is answered. Pure."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from negotiator.dialects.anp.binding import moment
from negotiator.dialects.anp.errors import refusal
from negotiator.dialects.anp.words import CONTENT_TYPES, DIRECT_CALL, PROFILES, SECURITY, STRUCTURED_SELECTION
from negotiator.errors import PeerMisspoke
from negotiator.identity.jcs import canonicalize
from negotiator.jsonvalue import JsonObject, JsonValue
from protocol_docs.errors import MalformedHash
from protocol_docs.hashes import parse_hash

MAX_PARTS: Final = 64
"""Entries of any one list."""
REQUEST_BYTES: Final = "max_request_bytes"
"""The limit that says how long a request may be (P1 8.1)."""
_DIGITS: Final = 15

Word = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=4_000)]
Words = Annotated[tuple[Word, ...], Field(max_length=MAX_PARTS)]
Status: TypeAlias = Literal["accepted", "rejected", "needs_more_information"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Intent(_Part):
    """What is to be done (ANP-06 7.4)."""

    name: Annotated[str, Field(max_length=200)] = ""
    description: Text = ""
    intent_tags: Words = ()
    input_summary: dict[str, Any] | None = None


class CallerCapabilities(_Part):
    """What the caller can do (7.5); what it does not say it leaves open."""

    supported_profiles: Words | None = None
    supported_security_profiles: Words | None = None
    supported_content_types: Words | None = None
    supported_execution_modes: Words | None = None
    limits: dict[str, Any] = {}


class Constraints(_Part):
    """What the caller prefers or requires (7.6). What is none of these is kept: it may be a requirement."""

    model_config = ConfigDict(extra="allow")

    preferred_interface_types: Words = ()
    requires_human_authorization: bool = False
    max_latency_ms: Annotated[int, Field(ge=0)] | None = None
    allow_natural_language_fallback: bool = False
    required_security_profile: Word | None = None
    preferred_content_types: Words = ()


class Negotiate(_Part):
    """The body of `anp.negotiate` (7.3). No other member is known (P1 12.1)."""

    model_config = ConfigDict(extra="forbid")

    negotiation_id: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, alias="negotiation_id"
    )
    mode: Word = STRUCTURED_SELECTION
    intent: Intent
    required_capabilities: Words = ()
    caller_capabilities: CallerCapabilities = CallerCapabilities()
    constraints: Constraints = Constraints()
    candidate_interface_refs: Words = ()
    candidate_protocols: Annotated[tuple[str | dict[str, Any], ...], Field(max_length=MAX_PARTS)] = ()


def read_negotiate(body: JsonObject) -> Negotiate:
    """Check the body of `anp.negotiate`. Raises `RpcError`."""
    try:
        return Negotiate.model_validate(body, by_alias=True, by_name=False)
    except ValidationError as error:
        where = sorted({"/" + "/".join(str(part) for part in each["loc"]) for each in error.errors()})
        raise refusal(1003, "the body is none of anp.negotiate", where=where[:8]) from None


def write_negotiate(asked: Negotiate) -> JsonObject:
    """The body as it is sent; what says nothing is left out."""
    made: JsonObject = asked.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return {"mode": asked.mode, **made}


# --- results ---


class Selected(_Part):
    """The path that the business interaction takes (8.3)."""

    capability: Word | None = None
    interface: Word | None = None
    protocol: Word | None = None
    profile: Word | None = None
    security_profile: Word | None = None
    content_type: Word | None = None
    url: Annotated[str, Field(max_length=2_000)] | None = None
    protocol_artifact: Annotated[str, Field(max_length=2_000)] | None = None


class Execution(_Part):
    """How it is gone (8.4)."""

    mode: Word = DIRECT_CALL
    requires_human_authorization: bool = False
    timeout_ms: Annotated[int, Field(ge=0)] | None = None


class Schemas(_Part):
    """Where the schemas are."""

    request_schema: str | None = None
    response_schema: str | None = None


class Result(_Part):
    """What a negotiation came to (8.2)."""

    negotiation_id: Annotated[str, Field(min_length=1, max_length=200)]
    status: Status
    selected: Selected | None = None
    execution: Execution | None = None
    schemas: Schemas | None = None
    valid_until: str | None = None
    negotiation_digest: Annotated[str, Field(max_length=200)] | None = None
    alternatives: Annotated[tuple[dict[str, Any], ...], Field(max_length=MAX_PARTS)] = ()
    reason: Text | None = None

    @property
    def expires(self) -> float | None:
        """Unix seconds; None where it says nothing."""
        return None if self.valid_until is None else moment(self.valid_until)


def write_result(result: Result) -> JsonObject:
    """The result with its digest."""
    made: JsonObject = result.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"negotiation_digest"})
    if not result.alternatives:
        made.pop("alternatives", None)
    return {**made, "negotiationDigest": digest_of(made)}


def read_result(value: JsonValue) -> Result:
    """Check a peer's result: whole, and of the digest that it names. Raises `PeerMisspoke`."""
    try:
        result = Result.model_validate(value, by_alias=True, by_name=False)
    except ValidationError:
        raise PeerMisspoke("the negotiation's result is none of ANP-06") from None
    if result.status == "accepted" and result.selected is None:
        raise PeerMisspoke("a negotiation accepted, and nothing selected")
    if result.valid_until is not None and result.expires is None:
        raise PeerMisspoke("the negotiation's result holds until no time")
    return result


def digest_of(value: JsonValue) -> str:
    """`sha-256:` and base64url of SHA-256 over the canonical JSON."""
    return spelt("sha256:" + hashlib.sha256(canonicalize(value)).hexdigest())


def spelt(protocol_hash: str) -> str:
    """A `sha256:<hex>` in ANP's spelling."""
    digest = bytes.fromhex(protocol_hash.removeprefix("sha256:"))
    return "sha-256:" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def read_digest(text: str) -> str:
    """The `sha256:<hex>` of a digest in ANP's spelling or another. Raises `MalformedHash`."""
    word = "sha-256:"
    if text.startswith(word) and not text.startswith(word + "="):
        try:
            digest = base64.b64decode(text.removeprefix(word) + "=", altchars=b"-_", validate=True)
        except ValueError:
            digest = b""
        if len(digest) != 32:  # noqa: PLR2004 - SHA-256
            raise MalformedHash(f"not a digest: {text[:100]!r}")
        return "sha256:" + digest.hex()
    return parse_hash(text)


def artifact_digest(artifact: str) -> str | None:
    """The hash that a `protocol_artifact`, a digest or a URI that ends in one, names; None where it names none."""
    last = unquote(urlsplit(artifact).path.rpartition("/")[2]) if "//" in artifact else artifact
    try:
        found = read_digest(last)
    except MalformedHash:
        return None
    return found if found.startswith("sha256:") else None


def at(seconds: float) -> str:
    """A Unix time as in RFC 3339."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- capabilities ---


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an endpoint says that it can do now."""

    service_did: str
    profiles: tuple[str, ...] = PROFILES
    security_profiles: tuple[str, ...] = SECURITY[:1]
    content_types: tuple[str, ...] = CONTENT_TYPES
    limits: Mapping[str, str] = field(default_factory=dict)
    """Numbers as decimal text."""
    interface: str | None = None
    """Identifies the functions that are offered, where the endpoint says (`x_interface`)."""

    @property
    def body_bytes(self) -> int | None:
        """Bytes that a request may have; None where it does not say."""
        said = self.limits.get(REQUEST_BYTES, "")
        return int(said) if said.isdecimal() and len(said) <= _DIGITS else None

    def to_json(self) -> JsonObject:
        """The result of `anp.get_capabilities`."""
        extended: JsonObject = {} if self.interface is None else {"x_interface": self.interface}
        return {
            **extended,
            "service_did": self.service_did,
            "supported_profiles": list(self.profiles),
            "supported_security_profiles": list(self.security_profiles),
            "supported_content_types": list(self.content_types),
            "limits": dict(self.limits),
        }

    @property
    def digest(self) -> str:
        """Identifies what it says, whatever the order."""
        said = self.to_json()
        return digest_of({name: sorted(value) if isinstance(value, list) else value for name, value in said.items()})


def read_capabilities(value: JsonValue) -> Capabilities:
    """Check a peer's. Raises `PeerMisspoke` for what lacks what P1 8.1 asks for."""
    match value:
        case {
            "service_did": str(did),
            "supported_profiles": list(profiles),
            "supported_security_profiles": list(security),
        }:
            limits, interface = value.get("limits"), value.get("x_interface")
            return Capabilities(
                interface=interface[:200] if isinstance(interface, str) else None,
                service_did=did[:512],
                profiles=_texts(profiles),
                security_profiles=_texts(security),
                content_types=_texts(value.get("supported_content_types")),
                limits={
                    str(name)[:100]: str(limit)[:100]
                    for name, limit in (limits.items() if isinstance(limits, dict) else ())
                    if isinstance(limit, str | int) and not isinstance(limit, bool)
                },
            )
    raise PeerMisspoke("the peer's capabilities are none of the Core Binding")


def _texts(value: JsonValue) -> tuple[str, ...]:
    found = value if isinstance(value, list) else []
    return tuple(each[:200] for each in found[:MAX_PARTS] if isinstance(each, str))
