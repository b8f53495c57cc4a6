"""What an address or a path alone says of the wire language behind it, before anything is sent or loaded."""

from typing import Final
from urllib.parse import urlsplit

MCP_STDIO: Final = "stdio:"
"""Before the name of a server of MCP that runs in a process of ours."""
MCP_EXPLICIT: Final = "mcp+"
"""Before an http(s) address that is a server of MCP's though its path does not end in `mcp`."""
MCP_PATH: Final = "/mcp"
"""Where our agents answer MCP."""

A2A_CARD: Final = "/.well-known/agent-card.json"
A2A_EARLIER_CARD: Final = "/.well-known/agent.json"
"""Before 0.3."""
A2A_PATH: Final = "/a2a"
"""Where our agents answer A2A."""
A2A_PATHS: Final = (A2A_PATH, A2A_CARD, A2A_EARLIER_CARD)

ANP_EXPLICIT: Final = "anp+"
"""Before an http(s) address that is to be spoken to in ANP, whatever else is spoken there."""
ANP_PAGE: Final = "/.well-known/agent-descriptions"
"""Where a domain lists its agents (ANP-08)."""
ANP_PATH: Final = "/anp"
"""Where our agents answer ANP."""
ANP_PATHS: Final = (ANP_PATH, ANP_PAGE)


def of_mcp(base_url: str) -> bool:
    """Whether an address is a server of MCP's."""
    if base_url.startswith((MCP_STDIO, MCP_EXPLICIT)):
        return True
    return urlsplit(base_url).path.rstrip("/").rpartition("/")[2] == "mcp"


def of_a2a(base_url: str) -> bool:
    """Whether an address is that of an agent card, which leaves no doubt."""
    return base_url.endswith(A2A_CARD)


def of_anp(base_url: str) -> bool:
    """Whether an address is to be spoken to in ANP, or shows an agent's description."""
    return base_url.startswith(ANP_EXPLICIT) or base_url.endswith((ANP_PAGE, "/ad.json"))
