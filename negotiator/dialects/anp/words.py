"""The names and numbers of ANP that both of our halves go by (ANP-02, -06, -07, -08, and P1, the Core Binding)."""

from typing import Final

CORE: Final = "anp.core.binding.v1"
"""The profile of `anp.get_capabilities` (P1 8.2)."""
META: Final = "anp.meta.negotiation.v1"
"""The profile of `anp.negotiate` (ANP-06 4.1)."""
RPC: Final = "anp.rpc.v1"
"""What ANP-06's examples call business calls of an OpenRPC interface."""
PROFILES: Final = (CORE, META, RPC)
"""What is spoken here."""

CAPABILITIES: Final = "anp.get_capabilities"
NEGOTIATE: Final = "anp.negotiate"
BINDING: Final = "jsonrpc-2.0"

SECURITY: Final = ("transport-protected", "direct-e2ee", "group-e2ee")
"""All security profiles, the weakest first (P1 6.2.3)."""
TRANSPORT_PROTECTED: Final = SECURITY[0]
"""The one that is spoken here."""
JSON: Final = "application/json"
CONTENT_TYPES: Final = (JSON,)

STRUCTURED_SELECTION: Final = "structured_selection"
DRAFTING: Final = "natural_language_protocol_drafting"
MODES: Final = (STRUCTURED_SELECTION, DRAFTING)
DIRECT_CALL: Final = "direct_structured_call"
IN_WORDS: Final = "natural_language"

NEGOTIATES: Final = (
    "profiles",
    "interfaces",
    "schemas",
    "security_profiles",
    "content_types",
    "execution_modes",
    "protocol_artifacts",
)
"""What can be negotiated here (ANP-06 5.3)."""

# Below our endpoint, which is below an agent's address (ANP-06 5.5).
DESCRIPTION: Final = "/anp/ad.json"
INTERFACE: Final = "/anp/interface.json"
WORDS: Final = "/anp/words.json"
"""The interface of natural language."""
CALLS: Final = "/anp/rpc"
ARTIFACTS: Final = "/anp/artifacts/"
SERVICE: Final = "ANPMessageService"
"""The service of a DID document that tells where an agent is reached (P2 5.4)."""

TIER_HEADER: Final = "x-anp-tier"
"""On a reply to a business call: how this side handled its half. JSON-RPC has no place for it."""

META_INTERFACE: Final = "interface.negotiation"
STRUCTURED_INTERFACE: Final = "interface.tools"
WORDS_INTERFACE: Final = "interface.words"
CAPABILITY: Final = "cap."
"""Before a tool's name: the capability that it is."""
DOCUMENT: Final = "document."
"""Before 64 hex digits: the method that is a call under the protocol document of that hash."""

ANP_CODES: Final = {
    1000: "anp.invalid_request_id",
    1001: "anp.unsupported_profile",
    1002: "anp.unsupported_security_profile",
    1003: "anp.invalid_params_shape",
    1004: "anp.batch_not_supported",
    1005: "anp.unauthorized",
    1006: "anp.forbidden",
    1007: "anp.target_not_found",
    1008: "anp.idempotency_conflict",
    1009: "anp.unsupported_content_type",
    1011: "anp.rate_limited",
    1012: "anp.temporarily_unavailable",
    1013: "anp.invalid_security_binding",
    1014: "anp.invalid_target_binding",
    1600: "meta.negotiation_rejected",
    1601: "meta.no_matching_interface",
    1602: "meta.unsupported_negotiation_mode",
    1603: "meta.unsupported_candidate_profile",
    1604: "meta.unsupported_security_profile",
    1605: "meta.unsupported_content_type",
    1606: "meta.more_information_required",
    1607: "meta.authorization_required",
    1608: "meta.negotiation_expired",
}
"""The errors that are said and understood here: P1 10.3 and ANP-06 11."""
RETRYABLE: Final = (1011, 1012)
UNSUPPORTED: Final = (1001, 1002, 1009, 1601, 1603, 1604, 1605, 1608)
"""What a business call is answered with where what was selected is not served any more (ANP-06 10.1 and 10.3)."""
