"""How each Agora dialect says that something went wrong: one table for codes, one for status words.

Peers see what stands here, and of our errors nothing else. Codes of `NegotiatorError` and `DocumentError` that
tell how we are built (a model, a tool, another peer of ours) are folded into words that tell what to do next.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from negotiator.messages import Reply, Status


@dataclass(frozen=True, slots=True)
class Spelling:
    """One thing that can go wrong, as peers hear of it."""

    http: int
    """The HTTP status of the 2024 and 2025 standards (Working Standard 10.1: transport errors are HTTP's, Agora's
    own are 200). 0.2.0 and the demo answer 200 whatever happens, or their senders drop the text."""
    word: str
    """The value of the field `code`, which our own peers understand and others ignore."""
    text: str
    """The sentence."""
    rejected: bool = False
    """Whether it is the document that is not used here."""


UNSUPPORTED: Final = Spelling(200, "unsupported_protocol", "Unsupported protocol", rejected=True)
"""Working Standard 8.3 fixes this sentence."""
_MISSING: Final = Spelling(200, "document_not_found", "Unsupported protocol", rejected=True)
_INTERNAL: Final = Spelling(500, "internal_error", "this agent failed")
_UNAVAILABLE: Final = Spelling(200, "unavailable", "this agent cannot answer at the moment")
_UPSTREAM: Final = Spelling(200, "upstream_failed", "something that this agent depends on failed")
_MALFORMED: Final = Spelling(400, "malformed", "the request is malformed")
_FAILED: Final = Spelling(200, "failed", "the request failed")

_NOT_POSSIBLE: Final = Spelling(200, "not_possible", "this agent cannot do that")

SPELLINGS: Final[Mapping[str, Spelling]] = MappingProxyType(
    {
        # What the request is
        "malformed": _MALFORMED,
        "malformed_hash": _MALFORMED,
        "not_found": Spelling(404, "not_found", "no such address"),
        "method_not_allowed": Spelling(405, "method_not_allowed", "this address does not take that method"),
        "slow_request": Spelling(408, "slow_request", "the request did not arrive in time"),
        "too_large": Spelling(413, "too_large", "the request is too large"),
        "unknown_conversation": Spelling(404, "unknown_conversation", "there is no such conversation"),
        "conversation_expired": Spelling(200, "conversation_expired", "Conversation expired"),
        "conversation_full": Spelling(200, "conversation_full", "this conversation is at its limit; open another"),
        "bad_input": Spelling(200, "bad_input", "the body is not what the document asks for"),
        # What the document is
        "unsupported_protocol": UNSUPPORTED,
        "peer_rejected": UNSUPPORTED,
        "document_not_found": _MISSING,
        "hash_mismatch": _MISSING,
        "source_refused": _MISSING,
        "source_unreachable": _MISSING,
        "source_too_large": _MISSING,
        "malformed_document": UNSUPPORTED,
        "document_revoked": UNSUPPORTED,
        "ambiguous_alias": _MISSING,
        # What we could do
        "deadline_passed": Spelling(200, "deadline_passed", "the time for this request ran out"),
        "unauthenticated": Spelling(401, "unauthenticated", "who asks is not proved"),
        "not_allowed": Spelling(403, "not_allowed", "this caller may not do that"),
        "overloaded": Spelling(503, "overloaded", "too much work is under way; try again later"),
        "budget_spent": Spelling(200, "budget_spent", "a limit of this agent was reached"),
        "not_possible": _NOT_POSSIBLE,
        "no_peer_suits": _NOT_POSSIBLE,
        "outcome_unknown": Spelling(200, "outcome_unknown", "whether the request took effect is not known"),
        "effects_already_made": Spelling(
            200, "effects_already_made", "the request took effect and then failed; it was not repeated"
        ),
        "tool_failed": Spelling(200, "tool_failed", "the service behind this agent failed"),
        "store_full": _UNAVAILABLE,
        "store_unusable": _UNAVAILABLE,
        "routine_failed": _UNAVAILABLE,
        "input_missing": Spelling(200, "not_answered", "something that is needed was not said"),
        "not_answered": Spelling(200, "not_answered", "the request was not understood"),
        "model_error": _UNAVAILABLE,
        "model_unavailable": _UNAVAILABLE,
        "model_misspoke": _UNAVAILABLE,
        "peer_error": _UPSTREAM,
        "peer_unreachable": _UPSTREAM,
        "peer_hung_up": _UPSTREAM,
        "peer_misspoke": _UPSTREAM,
        "peer_failed": _UPSTREAM,
        "definition_changed": _UPSTREAM,
        "too_large_for_peer": _UPSTREAM,
        "input_required": _UPSTREAM,
        "human_authorization_required": _UPSTREAM,
        "internal_error": _INTERNAL,
    }
)
"""By `NegotiatorError.code` or `DocumentError.code`; a code that is not here is `internal_error` where it was
raised, and `failed` where a reply was made with it on purpose."""

STATUS_WORDS: Final[Mapping[str, Mapping[Status, str]]] = MappingProxyType(
    {
        "agora-paper": {"success": "success", "failure": "failure", "rejected": "rejected"},
        "agora-2024": {"success": "success", "failure": "failure", "rejected": "rejected"},
        "agora-2025": {"success": "success", "failure": "failure", "rejected": "failure"},
        "agora-0.2.0": {"success": "success", "failure": "error", "rejected": "error"},
        "agora-demo": {"success": "success", "failure": "error", "rejected": "error"},
    }
)
"""By dialect: the word of the field `status`."""


def spelling_of(reply: Reply) -> Spelling:
    """How a reply that is not a success is spelt."""
    found = SPELLINGS.get(reply.code or "", _FAILED)
    if reply.status == "rejected" and not found.rejected:
        return UNSUPPORTED
    return found


def refusal(code: str, *, text: str | None = None, retry_after: float | None = None) -> Reply:
    """The reply for an error that was raised; `text` only where it was written for the peer."""
    spelling = SPELLINGS.get(code, _INTERNAL)
    return Reply(
        status="rejected" if spelling.rejected else "failure",
        code=code if code in SPELLINGS else "internal_error",
        error=text or spelling.text,
        retry_after=retry_after,
    )
