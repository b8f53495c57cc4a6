"""Origin proofs: who began a request of the Core Binding, whoever carried it (P1, appendix A)."""

from typing import Any, Final
from urllib.parse import quote

from negotiator.clock import Clock
from negotiator.dialects.anp.binding import Call, Target
from negotiator.dialects.anp.errors import refusal
from negotiator.identity.checker import Checker
from negotiator.identity.errors import NotProven
from negotiator.identity.identity import Identity
from negotiator.identity.jcs import canonicalize
from negotiator.identity.messages import (
    WINDOW_SECONDS,
    Message,
    Terms,
    read_signature,
    signature_fields,
    to_sign,
)
from negotiator.jsonvalue import JsonObject

SCHEME: Final = "anp-rfc9421-origin-proof-v1"
_COVERED: Final = ("@method", "@target-uri", "content-digest")
_FIELDS: Final = {"contentDigest": "content-digest", "signatureInput": "signature-input", "signature": "signature"}


def target_uri(target: Target) -> str:
    """What a proof names as its target (A.4)."""
    return f"anp://{target.kind}/{quote(target.did, safe='')}"


async def prove(identity: Identity, signed: JsonObject, target: Target, *, nonce: str, clock: Clock) -> JsonObject:
    """The `auth` of a request whose method, meta and body are `signed`. Raises `IdentityUnusable`."""
    now = int(clock.time())
    terms = Terms(created=now, expires=now + WINDOW_SECONDS, nonce=nonce, key_id=identity.key_id)
    message = Message(method=signed["method"], target=target_uri(target), headers={}, body=canonicalize(signed))
    fields, line, base = to_sign(message, terms, over_http=False)
    fields |= signature_fields(line, await identity.sign(base, key_id=terms.key_id))
    return {"scheme": SCHEME, "origin_proof": {name: fields[field] for name, field in _FIELDS.items()}}


async def proved_sender(call: Call, checker: Checker, peer: str | None) -> str | None:
    """The DID that the origin proof of a request from the address `peer` proves; None where it has none.

    Raises `RpcError` (`anp.unauthorized`) for a proof that does not hold, and `Overloaded`.
    """
    if call.auth is None:
        return None
    proof: Any = call.auth.get("origin_proof")
    if call.auth.get("scheme") != SCHEME or not isinstance(proof, dict) or set(proof) != set(_FIELDS):
        raise refusal(1005, f"the origin proof is none of {SCHEME}")
    if call.meta.target is None or not all(isinstance(proof[name], str) for name in _FIELDS):
        raise refusal(1005, "the origin proof has no target, or fields that are no texts")
    headers = {field: proof[name] for name, field in _FIELDS.items()}
    try:
        message = Message(
            method=call.method,
            target=target_uri(call.meta.target),
            headers=headers,
            body=canonicalize(call.signed),
        )
        signature = read_signature(headers)
        if signature is None or signature.components != _COVERED or not headers["signature-input"].startswith("sig1="):
            raise refusal(1005, "the origin proof must cover the method, the target and the content, in that order")
        holder = await checker.signer_of(message, peer)
    except ValueError:
        raise refusal(1005, "the request cannot be written canonically") from None
    except NotProven as error:
        raise refusal(1005, f"the origin proof does not hold: {error}", error=error.error) from None
    return holder.did
