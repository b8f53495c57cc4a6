"""The `mcp` package: a server with one tool, and its client: `mcp_sdk.py serve`, `mcp_sdk.py call PORT ASKED`."""

import json
import sys
from typing import TypedDict

import timing
from mcp import Client
from mcp.server import MCPServer


class Forecast(TypedDict):
    degrees: float
    sky: str


server = MCPServer("a rival")


@server.tool()
async def forecast(town: str, on: str, remarks: str) -> Forecast:
    """The weather that is expected in a town on a day."""
    return {"degrees": float(len(town)), "sky": f"clear on {on}"}


async def call(port, asked):
    async with Client(f"http://127.0.0.1:{port}/mcp", mode="auto") as client:

        async def once():
            made = await client.call_tool("forecast", asked)
            if made.structured_content != {"degrees": float(len(asked["town"])), "sky": f"clear on {asked['on']}"}:
                raise AssertionError(made)

        await timing.obey(once)


if sys.argv[1] == "serve":
    timing.serve(server.streamable_http_app(json_response=True, stateless_http=True))
else:
    timing.run(call(int(sys.argv[2]), json.loads(sys.argv[3])))
