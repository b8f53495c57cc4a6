"""The Model Context Protocol's edges: an agent as an MCP server, over HTTP and stdio."""

from negotiator.mcp.door import McpDoor
from negotiator.mcp.offer import Offer
from negotiator.mcp.server import Caller, Handled, McpServer

__all__ = ["Caller", "Handled", "McpDoor", "McpServer", "Offer"]
