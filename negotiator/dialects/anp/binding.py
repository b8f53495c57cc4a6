"""The Core Binding (P1): JSON-RPC 2.0 with `meta`, `auth` and `body`, read strictly and written the same way. Pure."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from negotiator.dialects.anp.errors import PeerProblem, binary_refused, read_problem, refusal
from negotiator.dialects.anp.words import SECURITY
from negotiator.dialects.json_body import read_object
from negotiator.dialects.json_rpc import INVALID_REQUEST, PARSE_ERROR, RpcError, request
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonObject, JsonValue

MAX_ID: Final = 256
"""Characters of a request's id, and of an operation's."""
MAX_DID: Final = 512
_METHOD: Final = re.compile(r"[a-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)*")
_CONTENT_TYPE: Final = re.compile(r"[\w!#$&^.+-]{1,127}/[\w!#$&^.+-]{1,127}")
_META: Final = frozenset(
    {
        "anp_version",
        "content_type",
        "created_at",
        "message_id",
        "operation_id",
        "profile",
        "security_profile",
        "sender_did",
        "target",
    }
)
"""The fields of `meta` for methods that address no device: any other is refused, but for those of `x_` (P1 12.1)."""
_AUTH: Final = frozenset({"origin_proof", "scheme"})
_FRAME_TYPES: Final = frozenset((0x00, 0x40, 0x80, 0xC0))
"""First bytes of the binary header of before: a protocol type in two bits, and six that were reserved as zero."""

Kind: TypeAlias = Literal["agent", "group", "service"]


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is for."""

    kind: Kind
    did: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What each request says of itself (P1 6.2)."""

    profile: str
    security_profile: str
    sender_did: str | None = None
    target: Target | None = None
    operation_id: str | None = None
    created_at: str | None = None
    content_type: str | None = None

    def to_json(self) -> JsonObject:
        """As it stands in a request; what is not there is left out."""
        members: JsonObject = {
            "profile": self.profile,
            "security_profile": self.security_profile,
            "sender_did": self.sender_did,
            "target": None if self.target is None else {"kind": self.target.kind, "did": self.target.did},
            "operation_id": self.operation_id,
            "created_at": self.created_at,
            "content_type": self.content_type,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, its envelope checked."""

    id: str
    method: str
    meta: Meta
    body: JsonObject
    auth: JsonObject | None = None
    signed: JsonObject = field(default_factory=dict)
    """The Signed Request Object: method, meta and body as they came (P1 A.3)."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A request, its JSON-RPC checked and nothing within."""

    id: str
    method: str
    params: JsonObject


def read_plain(data: bytes) -> Plain:
    """Read a JSON-RPC request by ANP's rules (P1 5): text ids, params by name, no batch. Raises `RpcError`."""
    if is_binary(data):
        raise binary_refused()
    if data.lstrip(b" \t\r\n")[:1] == b"[":
        raise refusal(1004, "batches are not taken: send one request at a time")
    try:
        message = read_object(data)
    except ValueError as error:
        raise RpcError(PARSE_ERROR, str(error)) from None
    if message.get("action") is not None and "jsonrpc" not in message:
        raise binary_refused()  # its JSON without the byte before it
    identifier = message.get("id")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_ID:
        raise refusal(1000, "the id is no text of 1 to 256 characters")
    if message.get("jsonrpc") != "2.0" or "result" in message or "error" in message:
        raise RpcError(INVALID_REQUEST, "the message is no request of JSON-RPC 2.0", id=identifier)
    method, params = message.get("method"), message.get("params", {})
    if not isinstance(method, str) or len(method) > MAX_ID or method.startswith("rpc."):
        raise RpcError(INVALID_REQUEST, "the method is no text of a method's form", id=identifier)
    if not isinstance(params, dict):
        raise refusal(1003, "the params are no object", id=identifier)
    return Plain(identifier, method, params)


def read_call(data: bytes) -> Call:
    """Read a request of the Core Binding. Raises `RpcError`, written for the peer."""
    plain = read_plain(data)
    if not _METHOD.fullmatch(plain.method):
        raise RpcError(INVALID_REQUEST, "the method is no text of a method's form", id=plain.id)
    try:
        return _call(plain)
    except RpcError as problem:
        problem.id = plain.id
        raise


def _call(plain: Plain) -> Call:
    params = plain.params
    meta, body, auth = params.get("meta"), params.get("body"), params.get("auth")
    unknown = sorted(set(params) - {"meta", "auth", "body"})
    if unknown:
        raise refusal(1003, "the params have members beside meta, auth and body", unknown=unknown[:8])
    if not isinstance(meta, dict) or not isinstance(body, dict):
        raise refusal(1003, "the params have no objects meta and body")
    if auth is not None and (not isinstance(auth, dict) or set(auth) - _AUTH):
        raise refusal(1003, "auth is not an object of scheme and origin_proof")
    signed: JsonObject = {"method": plain.method, "meta": meta, "body": body}
    return Call(id=plain.id, method=plain.method, meta=read_meta(meta), body=body, auth=auth, signed=signed)


def read_meta(meta: JsonObject) -> Meta:
    """Check a request's `meta`. Raises `RpcError`."""
    unknown = sorted(name for name in meta if name not in _META and not name.startswith("x_"))
    if unknown:
        raise refusal(1003, "meta has fields that are not known", unknown=unknown[:8])
    profile, security = _text(meta, "profile"), _text(meta, "security_profile")
    if profile is None or security is None:
        raise refusal(1003, "meta says no profile or no security_profile")
    if security not in SECURITY:
        raise refusal(1002, "there is no such security profile", supported=list(SECURITY[:1]))
    sender = _text(meta, "sender_did", MAX_DID)
    if sender is not None and not sender.startswith("did:"):
        raise refusal(1003, "sender_did is no DID")
    created = _text(meta, "created_at")
    if created is not None and moment(created) is None:
        raise refusal(1003, "created_at is no time as in RFC 3339")
    content_type = _text(meta, "content_type")
    if content_type is not None and not _CONTENT_TYPE.fullmatch(content_type.partition(";")[0].strip()):
        raise refusal(1003, "content_type is none")
    return Meta(
        profile=profile,
        security_profile=security,
        sender_did=sender,
        target=_target(meta.get("target")),
        operation_id=_text(meta, "operation_id"),
        created_at=created,
        content_type=content_type,
    )


def moment(text: str) -> float | None:
    """A time as in RFC 3339 in Unix seconds; None where it is none."""
    if not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d", text) or not re.search(r"(?:[Zz]|[+-]\d\d:\d\d)$", text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        return None


def is_binary(data: bytes) -> bool:
    """Whether bytes begin with the binary header of the meta-protocol of before."""
    return bool(data) and data[0] in _FRAME_TYPES


def _text(meta: JsonObject, name: str, most: int = MAX_ID) -> str | None:
    value = meta.get(name)
    if value is None and name not in meta:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise refusal(1003, f"{name} is no text of 1 to {most} characters")
    return value


def _target(value: JsonValue) -> Target | None:
    if value is None:
        return None
    match value:
        case {"kind": "agent" | "group" | "service" as kind, "did": str(did)} if len(value) == 2:  # noqa: PLR2004
            if did.startswith("did:") and len(did) <= MAX_DID:
                return Target(kind, did)
    raise refusal(1014, "the target is not an object of a kind and a DID")


# --- our requests, and what comes back ---


def write_call(
    identifier: str, method: str, meta: Meta, body: JsonObject, auth: JsonObject | None = None
) -> JsonObject:
    """A request of the Core Binding."""
    params: JsonObject = {"meta": meta.to_json(), "body": body}
    if auth is not None:
        params["auth"] = auth
    return request(method, params, identifier)


class PeerRefused(Exception):
    """A peer answered with an error."""

    def __init__(self, problem: PeerProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def read_response(data: bytes, identifier: str) -> JsonValue:
    """The result of a response. Raises `PeerRefused` for an error, and `PeerMisspoke` for what is no response."""
    if is_binary(data):
        raise PeerMisspoke("the peer speaks the binary meta-protocol of before; what is spoken is anp.negotiate")
    try:
        message: dict[str, Any] = read_object(data)
    except ValueError as error:
        raise PeerMisspoke(f"the peer's response cannot be read: {error}") from None
    problem = message.get("error")
    if message.get("jsonrpc") != "2.0" or ("result" in message) == (problem is not None):
        raise PeerMisspoke("the peer's response is none of JSON-RPC 2.0")
    # What could not be read as a request has no id to repeat.
    if message.get("id") != identifier and not (problem is not None and message.get("id") is None):
        raise PeerMisspoke("the peer's response answers another request")
    if problem is not None:
        raise PeerRefused(read_problem(problem if isinstance(problem, dict) else {}))
    return message["result"]
