"""The fields of Agora's envelopes, read one by one from what a stranger sent.

Readers of requests raise `Malformed`. Readers of replies never raise: a peer's useful answer is not thrown away
for an odd field beside it, so what cannot be read is taken as absent.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, get_args
from urllib.parse import quote, unquote

from negotiator.dialects.base import Malformed, UnknownConversation
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import PeerTier, Request
from protocol_docs.errors import MalformedHash
from protocol_docs.hashes import parse_hash, spell

MAX_SOURCES: Final = 16
"""Sources of one document that are read."""
MAX_ERROR: Final = 300
"""Characters of a peer's error text that are kept."""
MAX_RETRY_AFTER: Final = 3600.0
"""Seconds that a peer can put us off."""
NEGOTIATION: Final = "negotiation"
"""The word that 0.2.0 and the paper's demo put where a hash goes, to negotiate in natural language."""

_SPELLINGS: Final = 4096
"""Hashes whose spellings are remembered: what is served much is named much."""
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OUR_CONVERSATION = re.compile(r"[A-Za-z0-9_-]{1,128}")
_THEIR_CONVERSATION = re.compile(r"[\x21-\x7e]{1,255}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SECONDS = re.compile(r"[0-9]{1,9}")
_JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)
_TIERS: Final[dict[object, PeerTier]] = {tier: tier for tier in get_args(PeerTier)}


# --- requests ---------------------------------------------------------------------------------------------------


def require_json_type(headers: Mapping[str, str]) -> None:
    """A web page can have a browser post anything but this type to an agent on loopback, so it is required."""
    given = headers.get("content-type", "")
    if given != "application/json" and not _JSON_TYPE.fullmatch(given.strip()):
        raise Malformed("Content-Type must be application/json")
    if "content-encoding" in headers and headers["content-encoding"].strip().lower() != "identity":
        raise Malformed("a request body must not be compressed")


def conversation_in(path: str) -> str | None:
    """The conversation that a path names; None for the base address."""
    if path == "/":
        return None
    bare = path.partition("?")[0]
    if bare in ("", "/"):
        return None
    head, _, name = bare.removeprefix("/").partition("/")
    if head != "conversations":
        raise Malformed("no such address")
    name = unquote(name)
    if not _OUR_CONVERSATION.fullmatch(name):
        raise UnknownConversation
    return name


def path_of(conversation: str | None) -> str:
    """Where a request of this conversation goes, relative to the base address."""
    return "/" if conversation is None else "/conversations/" + quote(conversation, safe="")


def read_hashes(envelope: JsonObject) -> tuple[str, ...]:
    """`protocolDigest` and `protocolHash`, canonical; the SHA-256 first where there is one."""
    digest, spelt = envelope.get("protocolDigest"), envelope.get("protocolHash")
    if digest.__class__ is str and spelt.__class__ is str:
        return hashes_of(digest, spelt)
    for field, spelling in (("protocolDigest", digest), ("protocolHash", spelt)):
        if spelling is not None and not isinstance(spelling, str):
            raise Malformed(f"{field} must be a string")
    return hashes_of(digest, spelt)


@lru_cache(_SPELLINGS)
def hashes_of(digest: str | None, spelt: str | None) -> tuple[str, ...]:
    """What `read_hashes` reads of `protocolDigest` and `protocolHash`. Raises `Malformed`."""
    read = []
    for field, spelling, wanted in (("protocolDigest", digest, "sha256:"), ("protocolHash", spelt, "")):
        if spelling is None:
            continue
        try:
            canonical = parse_hash(spelling)
        except MalformedHash:
            raise Malformed(f"{field} is not a hash") from None
        if not canonical.startswith(wanted):
            raise Malformed(f"{field} must be {wanted}<64 hex digits>")
        read.append(canonical)
    if len(read) == 2 and read[1].startswith("sha256:"):  # noqa: PLR2004 - both fields
        if read[0] != read[1]:
            raise Malformed("protocolDigest and protocolHash name two documents")
        return (read[0],)
    return tuple(read)


def read_sources(envelope: JsonObject) -> tuple[str, ...]:
    """`protocolSources`: absent, null, one text, or a list of texts (the demo puts null in it for "none")."""
    given = envelope.get("protocolSources")
    if not given and (given is None or isinstance(given, list)):
        return ()
    listed = [] if given is None else given if isinstance(given, list) else [given]
    sources = [source for source in listed if source is not None]
    if not all(isinstance(source, str) for source in sources):
        raise Malformed("protocolSources must be a list of strings")
    if len(sources) > MAX_SOURCES:
        raise Malformed(f"protocolSources may hold {MAX_SOURCES} entries")
    return tuple(sources)


def read_body(envelope: JsonObject) -> JsonValue:
    """`body`: required; a string or an object."""
    if "body" not in envelope:
        raise Malformed("body is missing")
    body = envelope["body"]
    if not isinstance(body, str | dict):
        raise Malformed("body must be a string or an object")
    return body


def read_multiround(envelope: JsonObject) -> bool:
    """`multiround`: absent, null, or a boolean."""
    multiround = envelope.get("multiround")
    if multiround is not None and not isinstance(multiround, bool):
        raise Malformed("multiround must be a boolean")
    return bool(multiround)


def read_idempotency_key(envelope: JsonObject, headers: Mapping[str, str]) -> str | None:
    """`idempotencyKey`, or the header `Idempotency-Key`, with or without the quotes of a structured field."""
    field = envelope.get("idempotencyKey")
    if field is not None and not isinstance(field, str):
        raise Malformed("idempotencyKey must be a string")
    header = headers.get("idempotency-key")
    if header is not None and len(header) > 1 and header.startswith('"') and header.endswith('"'):
        header = header[1:-1]
    for key in (field, header):
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise Malformed("an idempotency key is 1 to 255 printable ASCII characters without spaces")
    if field is not None and header is not None and field != header:
        raise Malformed("idempotencyKey and the header Idempotency-Key differ")
    return header if field is None else field


# --- writing requests ---------------------------------------------------------------------------------------------


def request_headers(request: Request) -> dict[str, str]:
    """The headers every dialect sends. Raises `UsageError` for an idempotency key that no header can hold."""
    headers = {"content-type": "application/json", "accept": "application/json"}
    if request.idempotency_key is not None:
        if not _IDEMPOTENCY_KEY.fullmatch(request.idempotency_key):
            raise UsageError("an idempotency key is 1 to 255 printable ASCII characters without spaces")
        headers["idempotency-key"] = request.idempotency_key
    return headers


def sha1_in(request: Request, *, base64: bool) -> str | None:
    """The request's document by its SHA-1, as 40 hex digits or in base64; None where it names no document.

    Raises `UsageError` where only the SHA-256 is known: Agora's dialects multiplex on SHA-1.
    """
    return _sha1_spelt(request.hashes, base64) if request.hashes else None


def sha256_in(request: Request) -> str | None:
    """The request's document by its SHA-256, canonical, where that is known."""
    return next((name for name in request.hashes if name.startswith("sha256:")), None)


@lru_cache(_SPELLINGS)
def _sha1_spelt(hashes: tuple[str, ...], base64: bool) -> str:  # noqa: FBT001 - lru_cache takes what it is given
    known = next((name for name in hashes if name.startswith("sha1:")), None)
    if known is None:
        raise UsageError("Agora names documents by SHA-1, and only the SHA-256 was given")
    return spell(known, "sha1-base64" if base64 else "sha1-hex")


# --- replies ------------------------------------------------------------------------------------------------------


def clip(text: object) -> str | None:
    """A peer's error text in one line of at most 300 characters; None where there is none."""
    if not isinstance(text, str):
        return None
    return _CONTROL.sub(" ", text[: 4 * MAX_ERROR]).strip()[:MAX_ERROR] or None


def read_code(envelope: JsonObject) -> str | None:
    """The machine-readable word for an error, where the peer gives one."""
    code = envelope.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None


def read_tier(envelope: JsonObject) -> PeerTier:
    """The tier that made the reply."""
    tier = envelope.get("tier")
    return _TIERS.get(tier, "unknown") if isinstance(tier, str) else "unknown"


def read_conversation(envelope: JsonObject) -> tuple[str | None, float | None]:
    """A conversation's id, and its end in Unix seconds."""
    name, expires = envelope.get("conversationId"), envelope.get("conversationExpires")
    if not isinstance(name, str) or not _THEIR_CONVERSATION.fullmatch(name) or name in (".", ".."):
        return None, None
    if isinstance(expires, int | float) and not isinstance(expires, bool):
        return name, float(expires)
    return name, None


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; its date form is not read, for want of a clock."""
    given = headers.get("retry-after", "").strip()
    return min(float(given), MAX_RETRY_AFTER) if _SECONDS.fullmatch(given) else None
