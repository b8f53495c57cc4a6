"""A server of MCP written with the `mcp` package alone, of either line. `mcp_server.py http` says its port and
listens, `mcp_server.py sse` with the two endpoints of 2024-11-05;
`mcp_server.py stdio` speaks on its standard input and output.
"""

import json
import os
import socket
import sys
import threading
from typing import TypedDict

try:
    from mcp.server import MCPServer as Server
except ImportError:
    from mcp.server.fastmcp import FastMCP as Server
from mcp.types import ToolAnnotations


class Forecast(TypedDict):
    high: int
    summary: str


server = Server("a stranger")


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def forecast(city: str, day: str) -> Forecast:
    """Weather forecast for a city and a day."""
    return {"high": len(city), "summary": f"sunny in {city} on {day}"}


@server.tool()
def book(room: str, night: str) -> Forecast:
    """Book a room for a night."""
    return {"high": 1, "summary": f"{room} is booked for {night}"}


@server.tool(annotations=ToolAnnotations(readOnlyHint=True), structured_output=False)
def say(city: str) -> str:
    """Say a sentence about a city."""
    return f"{city} is a city."


@server.tool(annotations=ToolAnnotations(readOnlyHint=True))
def broken(city: str) -> Forecast:
    """Fail for a city."""
    raise ValueError(f"nothing is known of {city}")


def http() -> None:
    import uvicorn

    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(json.dumps({"port": listening.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    app = server.sse_app() if sys.argv[1] == "sse" else server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run([listening])


if sys.argv[1] in ("http", "sse"):
    http()
else:
    server.run(transport="stdio")
