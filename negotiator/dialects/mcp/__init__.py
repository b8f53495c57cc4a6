"""The Model Context Protocol: its messages, headers, events and results, in the modern and the handshake revisions."""

from negotiator.dialects.json_rpc import RpcError
from negotiator.dialects.mcp.messages import (
    Call,
    read_call,
)
from negotiator.dialects.mcp.words import (
    DOCUMENTS_EXTENSION,
    HANDSHAKE,
    MODERN,
)
from negotiator.dialects.offered import Offered

__all__ = ["DOCUMENTS_EXTENSION", "HANDSHAKE", "MODERN", "Call", "Offered", "RpcError", "read_call"]
