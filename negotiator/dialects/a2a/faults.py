"""How A2A says that something went wrong: one table for JSON-RPC, HTTP and the `reason` (specification 1.0, 5.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from negotiator.dialects.base import Refused
from negotiator.jsonvalue import JsonObject

DOMAIN: Final = "a2a-protocol.org"


@dataclass(frozen=True, slots=True)
class Spelling:
    """One error of the specification."""

    code: int
    """JSON-RPC's."""
    http: int
    """Of the HTTP+JSON binding; JSON-RPC's answers are 200, but for overload."""
    status: str
    """The word of google.rpc.Code."""
    text: str


FAULTS: Final[Mapping[str, Spelling]] = MappingProxyType(
    {
        "PARSE_ERROR": Spelling(-32700, 400, "INVALID_ARGUMENT", "Invalid JSON payload"),
        "INVALID_REQUEST": Spelling(-32600, 400, "INVALID_ARGUMENT", "Request payload validation error"),
        "METHOD_NOT_FOUND": Spelling(-32601, 404, "NOT_FOUND", "Method not found"),
        "INVALID_PARAMS": Spelling(-32602, 400, "INVALID_ARGUMENT", "Invalid parameters"),
        "INTERNAL_ERROR": Spelling(-32603, 500, "INTERNAL", "Internal error"),
        "OVERLOADED": Spelling(-32603, 503, "UNAVAILABLE", "Too much work is under way"),
        "TOO_LARGE": Spelling(-32600, 413, "INVALID_ARGUMENT", "The request is too large"),
        "SLOW_REQUEST": Spelling(-32600, 408, "INVALID_ARGUMENT", "The request did not arrive in time"),
        "UNAUTHENTICATED": Spelling(-32000, 401, "UNAUTHENTICATED", "Who asks is not proved"),
        "NOT_ALLOWED": Spelling(-32000, 403, "PERMISSION_DENIED", "This caller may not do that"),
        "TASK_NOT_FOUND": Spelling(-32001, 404, "NOT_FOUND", "Task not found"),
        "TASK_NOT_CANCELABLE": Spelling(-32002, 400, "FAILED_PRECONDITION", "Task cannot be canceled"),
        "PUSH_NOTIFICATION_NOT_SUPPORTED": Spelling(
            -32003, 400, "FAILED_PRECONDITION", "Push Notification is not supported"
        ),
        "UNSUPPORTED_OPERATION": Spelling(-32004, 400, "FAILED_PRECONDITION", "This operation is not supported"),
        "CONTENT_TYPE_NOT_SUPPORTED": Spelling(-32005, 400, "INVALID_ARGUMENT", "Incompatible content types"),
        "EXTENDED_AGENT_CARD_NOT_CONFIGURED": Spelling(
            -32007, 400, "FAILED_PRECONDITION", "Authenticated Extended Card not configured"
        ),
        "VERSION_NOT_SUPPORTED": Spelling(-32009, 400, "FAILED_PRECONDITION", "A2A version not supported"),
    }
)
"""By `reason`. What this agent never says (-32006 and -32008) is not here."""

_AT_ALL_BINDINGS: Final = ("NOT_ALLOWED", "OVERLOADED", "SLOW_REQUEST", "TOO_LARGE", "UNAUTHENTICATED")
"""Told by the HTTP status over JSON-RPC too: what stands before an agent reads nothing else."""


class Fault(Refused):
    """A request that is answered with an error of A2A's. The message is written for the peer."""

    def __init__(self, reason: str, text: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(text or FAULTS[reason].text)
        self.reason = reason
        self.retry_after = retry_after

    @property
    def spelling(self) -> Spelling:
        """The row of the table."""
        return FAULTS[self.reason]

    def http(self, *, rpc: bool) -> int:
        """The HTTP status."""
        return 200 if rpc and self.reason not in _AT_ALL_BINDINGS else self.spelling.http

    def details(self) -> list[JsonObject]:
        """google.rpc.ErrorInfo, as both bindings carry it."""
        info: JsonObject = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": self.reason,
            "domain": DOMAIN,
            "metadata": {},
        }
        return [info]
