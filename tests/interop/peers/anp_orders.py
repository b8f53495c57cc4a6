"""Does what it is told with anp 1.0.7, a line of JSON each way. It runs in that package's environment.

Its resolver asks https addresses alone and knows no plain http for this machine, so the DID documents that it is to find
are handed to it; `resolve` has one over TLS, under an authority of the test's in SSL_CERT_FILE.
"""

import asyncio
import base64
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import anp.authentication.did_wba_verifier as verifier_module
from anp.authentication import DIDWbaAuthHeader, create_did_wba_document
from anp.authentication.did_wba import resolve_did_wba_document, validate_did_document_binding
from anp.authentication.did_wba_verifier import DidWbaVerifier, DidWbaVerifierConfig, DidWbaVerifierError
from anp.authentication.verification_methods import create_verification_method
from anp.openanp import RemoteAgent
from anp.openanp.client.agent import RpcError
from anp.proof import (
    Rfc9421OriginProofGenerationOptions,
    generate_rfc9421_origin_proof,
    verify_rfc9421_origin_proof,
    verify_w3c_proof,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jcs import canonicalize

logging.disable(logging.CRITICAL)
DOCUMENTS: dict[str, Any] = {}


async def _resolve(did: str, *_: Any, **__: Any) -> Any:
    document = DOCUMENTS.get(did)
    return document if document is not None and validate_did_document_binding(document) else None


verifier_module.resolve_did_wba_document = _resolve
verifier_module.resolve_did_document = _resolve


def _verifier() -> DidWbaVerifier:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return DidWbaVerifier(
        DidWbaVerifierConfig(
            jwt_private_key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            jwt_public_key=key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode(),
        )
    )


VERIFIER = _verifier()
FOLDER = Path(tempfile.mkdtemp())


def know(document: dict[str, Any]) -> dict[str, Any]:
    """Have a document found."""
    DOCUMENTS[document["id"]] = document
    return {"holds": validate_did_document_binding(document)}


def verify(method: str, url: str, headers: dict[str, str], body: str) -> dict[str, Any]:
    """Check a request as the package's server does."""
    try:
        found = asyncio.run(VERIFIER.verify_request(method, url, headers, base64.b64decode(body)))
    except DidWbaVerifierError as error:
        return {"refused": str(error), "status": error.status_code, "headers": error.headers}
    return {"did": found["did"], "headers": found["response_headers"]}


def new(host: str, path: list[str], port: int | None = None) -> dict[str, Any]:
    """Make an identity as the package does."""
    document, keys = create_did_wba_document(host, port=port, path_segments=path)
    (FOLDER / "did.json").write_text(json.dumps(document))
    (FOLDER / "key.pem").write_bytes(keys["key-1"][0])
    return {"document": document}


def sign(method: str, url: str, body: str, mode: str = "http_signatures") -> dict[str, Any]:
    """Sign a request as the package's client does."""
    client = DIDWbaAuthHeader(str(FOLDER / "did.json"), str(FOLDER / "key.pem"), auth_mode=mode)
    return {"headers": client.get_auth_header(url, force_new=True, method=method, body=base64.b64decode(body))}


def answer_challenge(method: str, url: str, body: str, challenge: dict[str, str]) -> dict[str, Any]:
    """Sign a request again, as a refusal of it asks."""
    client = DIDWbaAuthHeader(str(FOLDER / "did.json"), str(FOLDER / "key.pem"))
    if not client.should_retry_after_401(challenge):
        return {"headers": None}
    data = base64.b64decode(body)
    return {"headers": client.get_challenge_auth_header(url, challenge, method=method, body=data)}


def take_token(url: str, headers: dict[str, str]) -> dict[str, Any]:
    """Take the token of a reply as the package's client does, and say what it would show next."""
    client = DIDWbaAuthHeader(str(FOLDER / "did.json"), str(FOLDER / "key.pem"))
    client.update_token(url, headers)
    return {"headers": client.get_auth_header(url)}


def resolve(did: str) -> dict[str, Any]:
    """Look a document up as the package does."""
    return {"document": asyncio.run(resolve_did_wba_document(did))}


def call(url: str, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Discover an agent by its description, and call a method of it, as the package's client does."""

    async def calling() -> dict[str, Any]:
        auth = DIDWbaAuthHeader(str(FOLDER / "did.json"), str(FOLDER / "key.pem"))
        agent = await RemoteAgent.discover(url, auth)
        try:
            result = await agent.call(method, **params)
        except RpcError as error:
            return {"methods": agent.method_names, "error": {"code": error.code, "data": error.data}}
        return {"methods": agent.method_names, "tools": agent.tools, "name": agent.name, "result": result}

    return asyncio.run(calling())


def prove(method: str, meta: dict[str, Any], body: dict[str, Any], **times: Any) -> dict[str, Any]:
    """Make an origin proof as the package does."""
    key = serialization.load_pem_private_key((FOLDER / "key.pem").read_bytes(), None)
    options = Rfc9421OriginProofGenerationOptions(**times)
    keyid = json.loads((FOLDER / "did.json").read_text())["id"] + "#key-1"
    return {"proof": generate_rfc9421_origin_proof(method, meta, body, key, keyid, options=options)}


def proved(proof: dict[str, str], method: str, meta: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    """Check an origin proof as the package does."""
    document = DOCUMENTS[meta["sender_did"]]
    try:
        verify_rfc9421_origin_proof(proof, method, meta, body, did_document=document)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is refused
        return {"holds": False, "why": str(error)}
    return {"holds": True}


def statement(value: dict[str, Any]) -> dict[str, Any]:
    """Check a statement's proof as the package does."""
    named = value["proof"]["verificationMethod"]
    document = DOCUMENTS[named.partition("#")[0]]
    method = next(each for each in document["verificationMethod"] if each["id"] == named)
    return {"holds": bool(verify_w3c_proof(value, create_verification_method(method).public_key))}


def canonical(value: Any) -> dict[str, Any]:
    """A value as the package writes it to be signed."""
    return {"text": canonicalize(value).decode()}


ORDERS = {
    each.__name__: each
    for each in (
        know,
        verify,
        new,
        sign,
        answer_challenge,
        take_token,
        resolve,
        call,
        prove,
        proved,
        statement,
        canonical,
    )
}

if __name__ == "__main__":
    for line in sys.stdin:
        order = json.loads(line)
        sys.stdout.write(json.dumps(ORDERS[order.pop("order")](**order)) + "\n")
        sys.stdout.flush()
