"""`negotiator mcp`: an agent of yours, as an MCP server on this process's standard input and output."""

import argparse
import asyncio
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from negotiator.cli import exits
from negotiator.cli.console import Console
from negotiator.cli.options import Commands, command
from negotiator.cli.serve import load

if TYPE_CHECKING:
    from negotiator.agent import Agent


def add(commands: Commands) -> None:
    """Add the command."""
    parser = command(
        commands,
        "mcp",
        "serve an agent of yours to an MCP client that starts it",
        description="Serve the Agent that stands as NAME in MODULE over MCP on standard input and output, until the\n"
        "input ends. Over HTTP, `negotiator serve` answers MCP clients at /mcp.",
        example="  negotiator mcp weather:agent",
    )
    parser.add_argument("agent", metavar="MODULE:NAME", help="the module is looked for in the current folder too")
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace, console: Console) -> int:  # noqa: ARG001 - every command's signature
    """Serve until the input ends."""
    with redirect_stdout(sys.stderr):
        agent = load(chosen.agent)
    asyncio.run(_serve(agent))
    return exits.OK


async def _serve(agent: "Agent") -> None:
    from negotiator.mcp.stdio import serve_stdio  # noqa: PLC0415 - on use

    try:
        await serve_stdio(agent.mcp_server())
    finally:
        await agent.aclose()
