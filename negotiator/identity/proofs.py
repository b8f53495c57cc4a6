"""Statements that are signed: Data Integrity proofs with the cryptosuite `eddsa-jcs-2022`.

What is signed is SHA-256 of the proof's options, then SHA-256 of the statement without its proof, both canonical
(W3C vc-di-eddsa 3.3). The value is written in base64url, as ANP's SDK does and reads, and read in base58btc too, as
the W3C's text has it.
"""

import hashlib
from typing import Any, Final

from negotiator.identity.ed25519 import PublicKey, from_base58, from_base64url, to_base64url
from negotiator.identity.jcs import canonicalize
from negotiator.jsonvalue import JsonObject

SUITE: Final = "eddsa-jcs-2022"
_TYPE: Final = "DataIntegrityProof"
_BASE64URL_LENGTH: Final = 86
"""Characters of 64 bytes. In base58btc they have 88 or 89, the `z` included."""


def options(verification_method: str, created: str) -> JsonObject:
    """A proof that is still without its value. `created` is an RFC 3339 time in UTC."""
    return {
        "type": _TYPE,
        "created": created,
        "verificationMethod": verification_method,
        "proofPurpose": "assertionMethod",
        "cryptosuite": SUITE,
    }


def signing_input(statement: JsonObject, proof: JsonObject) -> bytes:
    """The 64 bytes to be signed. Raises ValueError where something in it cannot be written canonically."""
    bare = {name: item for name, item in statement.items() if name != "proof"}
    kept = {name: item for name, item in proof.items() if name != "proofValue"}
    return hashlib.sha256(canonicalize(kept)).digest() + hashlib.sha256(canonicalize(bare)).digest()


def with_value(statement: JsonObject, proof: JsonObject, signature: bytes) -> JsonObject:
    """The statement with its proof."""
    return {**statement, "proof": {**proof, "proofValue": to_base64url(signature)}}


def holds(statement: JsonObject, key: PublicKey) -> bool:
    """Whether the statement's proof is of this suite, for assertion, and made by `key`."""
    proof: Any = statement.get("proof")
    if not isinstance(proof, dict) or (proof.get("type"), proof.get("cryptosuite")) != (_TYPE, SUITE):
        return False
    value = proof.get("proofValue")
    if proof.get("proofPurpose") != "assertionMethod" or not isinstance(value, str):
        return False
    try:
        signature = from_base64url(value) if len(value) == _BASE64URL_LENGTH else _from_multibase(value)
        return key.verify(signature, signing_input(statement, proof))
    except ValueError:
        return False


def _from_multibase(value: str) -> bytes:
    if not value.startswith("z"):
        raise ValueError("neither base64url nor base58btc")
    return from_base58(value[1:])
