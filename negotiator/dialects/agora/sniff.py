"""Which dialect a peer speaks, told from one message of it. Total and deterministic.

    the request says                                            so it is
    `queryId`                                                   the demo
    `protocolDigest`, `idempotencyKey`, no `protocolSources`    2025
    a hash in base64, or "negotiation"                          0.2.0
    any other hash                                              2025
    no hash, and `multiround` beside `protocolSources`          0.2.0, which puts it in every request without a hash
    no hash, sources null                                       2024
    no hash, sources a list                                     the paper
    anything else, and what is not a JSON object                2025

The paper and 2024 cannot be told from 2025 where there is a hash: they are answered as 2025, whose `failure`
they know too.
"""

from typing import Final

import orjson

from negotiator.dialects.agora.before_2025 import Paper, Standard2024
from negotiator.dialects.agora.demo import Demo
from negotiator.dialects.agora.envelope import AgoraDialect
from negotiator.dialects.agora.fields import NEGOTIATION
from negotiator.dialects.agora.package_020 import Package020
from negotiator.dialects.agora.standard_2025 import Standard2025
from negotiator.dialects.json_body import MAX_DEPTH
from negotiator.jsonvalue import JsonObject, nests_within
from negotiator.wire import WireReply, WireRequest

PAPER: Final = Paper()
STANDARD_2024: Final = Standard2024()
STANDARD_2025: Final = Standard2025()
PACKAGE_020: Final = Package020()
DEMO: Final = Demo()

_BASE64_LENGTH = 28


def sniff(wire: WireRequest) -> AgoraDialect:
    """The dialect of a request, whatever its bytes are."""
    return read(wire.body)[0]


def read(body: bytes) -> tuple[AgoraDialect, JsonObject | None]:
    """The dialect of a request by its body, and what its `decode_request` would read again: the envelope, where that
    can be used.
    """
    envelope = _object(body)
    return told_by(envelope), None if envelope is None or not nests_within(body, MAX_DEPTH) else envelope


def told_by(envelope: JsonObject | None) -> AgoraDialect:
    """The dialect of a request by its envelope; None stands for what is none."""
    if envelope is None or ("body" not in envelope and "protocolHash" not in envelope):
        return STANDARD_2025
    if "queryId" in envelope:
        return DEMO
    spelt = envelope.get("protocolHash")
    if spelt == NEGOTIATION:
        return PACKAGE_020
    if "protocolDigest" in envelope or "idempotencyKey" in envelope:
        return STANDARD_2025
    if isinstance(spelt, str) and len(spelt) == _BASE64_LENGTH and spelt.endswith("="):
        return PACKAGE_020
    if spelt is not None or "protocolSources" not in envelope:
        return STANDARD_2025
    if "multiround" in envelope:
        return PACKAGE_020
    return STANDARD_2024 if envelope["protocolSources"] is None else PAPER


def sniff_reply(wire: WireReply) -> AgoraDialect | None:
    """The dialect of a reply; None where it does not tell. A success looks the same in all of them."""
    envelope = _object(wire.body)
    status = None if envelope is None else envelope.get("status")
    if envelope is None or not isinstance(status, str):
        return None
    if status == "rejected":
        return PAPER
    if status == "error":
        return PACKAGE_020
    if status == "failure":
        return STANDARD_2025 if "error" in envelope else PAPER
    return STANDARD_2025 if status == "success" and "conversationExpires" in envelope else None


def _object(data: bytes) -> JsonObject | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
