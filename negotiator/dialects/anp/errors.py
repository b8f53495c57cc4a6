"""Errors as ANP says them: a number, and a machine-readable word beside it (P1 10.2, ANP-06 11)."""

from dataclasses import dataclass
from typing import Any

from negotiator.dialects.anp.words import ANP_CODES, META, NEGOTIATE, RETRYABLE
from negotiator.dialects.json_rpc import Id, RpcError
from negotiator.jsonvalue import JsonObject, JsonValue


def refusal(code: int, message: str, *, id: Id | None = None, **details: JsonValue) -> RpcError:  # noqa: A002
    """An error of ANP's own numbers, with its `anp_code`."""
    data: JsonObject = {"anp_code": ANP_CODES[code], "retryable": code in RETRYABLE, "details": details}
    return RpcError(code, message, id=id, data=data)


def binary_refused() -> RpcError:
    """The answer to the binary meta-protocol of before (a first byte with the protocol type, `PT=00`)."""
    return refusal(
        1001,
        f"the binary meta-protocol (PT=00) is not spoken: send {NEGOTIATE} of the profile {META} as JSON-RPC 2.0",
        supported_profiles=[META],
    )


@dataclass(frozen=True, slots=True)
class PeerProblem:
    """An error that a peer answered with."""

    code: int
    message: str
    anp_code: str
    word: str = ""
    """The word of `NegotiatorError.code`, where the peer is of our kind and says it."""


def read_problem(error: JsonObject) -> PeerProblem:
    """An error object of a peer's, whatever it holds."""
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    said: dict[str, Any] = data if isinstance(data, dict) else {}
    word = said.get("anp_code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else 0
    return PeerProblem(
        code=number,
        message=message[:300] if isinstance(message, str) and message else "the peer gave no reason",
        anp_code=word[:100] if isinstance(word, str) else ANP_CODES.get(number, ""),
        word=own[:64] if isinstance(own := said.get("code"), str) else "",
    )
