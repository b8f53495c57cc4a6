"""The names of a text: one SHA-256 that counts, and the other spellings that are met on the wire.

Inside this project a hash is written `sha256:<64 hex>`; `sha1:<40 hex>` is an alias, which Agora's dialects
use. Every other spelling is turned into one of these two at the edge by `parse_hash`, and made by `spell`.
A hash says which text, never that the text is safe.
"""

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from protocol_docs.errors import MalformedHash

if TYPE_CHECKING:
    from protocol_docs.document import ProtocolDocument

Spelling: TypeAlias = Literal["sha1-hex", "sha1-base64", "cid", "oci", "rfc9530"]
"""`sha1-hex`: Agora's Working Standard. `sha1-base64`: Agora 0.2.0. `cid`: CIDv1, raw, sha2-256, base32.
`oci`: OCI image-spec digest, which is the canonical form too. `rfc9530`: a Content-Digest member."""

_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_SHA1_HEX = re.compile(r"[0-9a-f]{40}")
_RFC9530 = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
# CIDv1: version 1, codec raw (0x55), multihash sha2-256 (0x12) of 32 bytes (0x20).
_CID_PREFIX = b"\x01\x55\x12\x20"
_LONGEST = 128


def sha256_of(data: bytes) -> str:
    """The canonical hash of these exact bytes, `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha1_of(data: bytes) -> str:
    """The alias of these exact bytes that Agora uses, `sha1:<hex>`. It names; it proves nothing."""
    return "sha1:" + hashlib.sha1(data, usedforsecurity=False).hexdigest()


def parse_hash(spelling: str) -> str:
    """Turn any known spelling into `sha256:<hex>` or `sha1:<hex>`, lower-case.

    Accepts 64 or 40 hex digits of either case, with or without `sha256:` or `sha1:` (which makes OCI digests),
    a SHA-1 in 28 characters of base64, a CIDv1 (raw, sha2-256) in base32, and `sha-256=:...:` of RFC 9530.

    Raises:
        MalformedHash: for anything else.
    """
    text = spelling.strip() if len(spelling) <= _LONGEST else ""
    folded = text.lower()
    algorithm, _, digest = folded.rpartition(":")
    if algorithm in ("", "sha256") and _SHA256_HEX.fullmatch(digest):
        return "sha256:" + digest
    if algorithm in ("", "sha1") and _SHA1_HEX.fullmatch(digest):
        return "sha1:" + digest
    if match := _RFC9530.fullmatch(text):
        return "sha256:" + _base64(match[1], 32, spelling).hex()
    if len(text) == 28 and text.endswith("="):  # noqa: PLR2004 - 20 bytes in base64
        return "sha1:" + _base64(text, 20, spelling).hex()
    if folded.startswith("bafkrei") and text in (folded, text.upper()):
        return "sha256:" + _cid(folded, spelling).hex()
    raise MalformedHash(f"not a spelling of a hash: {spelling[:_LONGEST]!r}")


def spell(document_or_hash: "ProtocolDocument | str", spelling: Spelling) -> str:
    """Write a hash the way a dialect wants it.

    A document can be spelt in every way; a hash only in those of its own algorithm.

    Raises:
        MalformedHash: where the hash given is of the other algorithm, or no hash.
    """
    wanted = "sha1" if spelling.startswith("sha1") else "sha256"
    if isinstance(document_or_hash, str):
        known: tuple[str, ...] = (parse_hash(document_or_hash),)
    else:
        known = document_or_hash.aliases
    found = next((name for name in known if name.startswith(wanted + ":")), None)
    if found is None:
        raise MalformedHash(f"{known[0]} cannot be spelt as {spelling}: that needs the text")
    digest = bytes.fromhex(found.partition(":")[2])
    if spelling == "sha1-hex":
        return digest.hex()
    if spelling == "oci":
        return found
    if spelling == "cid":
        return "b" + base64.b32encode(_CID_PREFIX + digest).decode("ascii").rstrip("=").lower()
    encoded = base64.b64encode(digest).decode("ascii")
    return encoded if spelling == "sha1-base64" else f"sha-256=:{encoded}:"


def _base64(text: str, size: int, spelling: str) -> bytes:
    # Encoding back refuses set padding bits, by which one digest would have several spellings.
    try:
        digest = base64.b64decode(text, validate=True)
    except binascii.Error:
        digest = b""
    if len(digest) != size or base64.b64encode(digest).decode("ascii") != text:
        raise MalformedHash(f"not a digest in base64: {spelling!r}")
    return digest


def _cid(text: str, spelling: str) -> bytes:
    body = text[1:].upper()
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
    except binascii.Error:
        raw = b""
    if len(raw) != len(_CID_PREFIX) + 32 or not raw.startswith(_CID_PREFIX):
        raise MalformedHash(f"not a CIDv1 of raw bytes under sha2-256: {spelling!r}")
    if base64.b32encode(raw).decode("ascii").rstrip("=") != body:
        raise MalformedHash(f"not a CIDv1 in its one spelling: {spelling!r}")
    return raw[len(_CID_PREFIX) :]
