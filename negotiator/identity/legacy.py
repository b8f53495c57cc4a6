"""The `DIDWba` authorization header of before HTTP Message Signatures, read only.

It proves who sent a request and to which host, at about which time; not what the request says.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from negotiator.identity.ed25519 import PublicKey, from_base64url
from negotiator.identity.errors import NotProven
from negotiator.identity.jcs import canonicalize
from negotiator.identity.messages import MAX_NONCE, WINDOW_SECONDS, Terms

SCHEME: Final = "didwba "
_MAX_HEADER: Final = 4096
_PART: Final = re.compile(r'\s*([a-z_]{1,32})="([^"\\]{0,1024})"\s*(?:,|$)', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LegacyProof:
    """What such a header says."""

    did: str
    terms: Terms
    timestamp: str
    version: str
    signature: str


def read_legacy(authorization: str) -> LegacyProof:
    """Read the header. Raises `NotProven`."""
    text = authorization[len(SCHEME) :]
    parts: dict[str, str] = {}
    at = 0
    while at < len(text) and len(authorization) <= _MAX_HEADER:
        found = _PART.match(text, at)
        if found is None or found[1].lower() in parts:
            raise NotProven("invalid_request", "the DIDWba header cannot be read")
        parts[found[1].lower()] = found[2]
        at = found.end()
    try:
        did, nonce, timestamp = parts["did"], parts["nonce"], parts["timestamp"]
        key, signature = parts["verification_method"], parts["signature"]
        moment = datetime.fromisoformat(timestamp)
    except (KeyError, ValueError):
        raise NotProven("invalid_request", "the DIDWba header lacks something") from None
    if moment.tzinfo is None or not 1 <= len(nonce) <= MAX_NONCE:
        raise NotProven("invalid_request", "the DIDWba header has no nonce, or a time without its zone")
    created = int(moment.timestamp())
    terms = Terms(created=created, expires=created + WINDOW_SECONDS, nonce=nonce, key_id=f"{did}#{key}")
    return LegacyProof(did, terms, timestamp, parts.get("v", "1.1"), signature)


def check_legacy(proof: LegacyProof, host: str, key: PublicKey) -> None:
    """Whether `key` made the header for `host`. Raises `NotProven` (`invalid_signature`)."""
    audience = "service" if proof.version in ("1", "1.0") else "aud"
    said = {"nonce": proof.terms.nonce, "timestamp": proof.timestamp, audience: host, "did": proof.did}
    try:
        signed = hashlib.sha256(canonicalize(dict(said))).digest()
        if key.verify(from_base64url(proof.signature), signed):
            return
    except ValueError:
        pass
    raise NotProven("invalid_signature", "the DIDWba header is not signed by this key for this host")
