"""The client that MCP's conformance suite starts: it calls each tool of the server at the address it is given.

What is held to the specification is the wire, so each call is one exchange under the tool's document, with arguments
made from its schema; which tier would fill them in is not the suite's matter.
"""

import asyncio
import json
import os
import sys
from typing import Any

import httpx

from negotiator import Agent, NegotiatorError
from negotiator.clock import Deadline, SystemClock
from negotiator.mcp.elicitation import Question
from negotiator.messages import Request
from negotiator.oauth import Client, OAuthClient

METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""What the suite expects a client to be called by an issuer that reads such documents."""


async def says_yes(url: str) -> str:
    """A person in a hurry: whatever the suite's authorization servers ask is answered by the redirect they give."""
    async with httpx.AsyncClient(trust_env=False) as browser:
        return str((await browser.get(url)).headers["location"])


async def answers(_question: Question) -> dict[str, Any]:
    """A person who takes what a form has by default."""
    return {}


def oauth(url: str, context: dict[str, Any]) -> OAuthClient:
    """As the scenario has it: with a client that is registered already, or without."""
    clients = {}
    if "client_id" in context:
        own = "issuer" not in context
        clients[context.get("issuer", url)] = Client(
            id=context["client_id"],
            secret=context.get("client_secret"),
            key=context.get("private_key_pem"),
            algorithm=context.get("signing_algorithm", "ES256"),
            grant="client_credentials" if own else "authorization_code",
        )
    return OAuthClient(authorize=says_yes, clients=clients, metadata_url=METADATA_URL)


def sample(schema: Any) -> Any:
    """A value that fits most of the schemas that the suite's servers have."""
    if not isinstance(schema, dict):
        return {}
    match schema.get("type"):
        case "object":
            return {name: sample(each) for name, each in schema.get("properties", {}).items()}
        case "array":
            return []
        case "string":
            return schema.get("enum", ["x"])[0]
        case "integer" | "number":
            return 5
        case "boolean":
            return True
        case _:
            return {}


async def main(url: str) -> None:
    """Call every tool once."""
    deadline = Deadline.after(60, SystemClock())
    peer = f"mcp+{url}"
    # What the scenario would have called, where it says so.
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    calls = context.get("toolCalls", [])
    options: dict[str, Any] = {"oauth": oauth(url, context), "elicit": answers, "allow_sources": ["loopback"]}
    async with Agent(state="memory", **options) as agent:
        record = await agent.engine.reach.discover(peer, deadline)
        # One scenario has a tool's schema sent back as it came: what is held of it, beside the document.
        held = {tool.name: tool.input for tool in agent._speakers.mcp()._session(peer).tools.values()}
        for name, sources in record.listing.items():
            document = await agent.engine.find_document((name,), sources, timeout=10)
            annex = document.annex
            told = [each["arguments"] for each in calls if each["name"] == document.name]
            if document.name == "json_schema_echo":
                told = [{"schema": held["json_schema_2020_12_tool"]}]
            for body in told or [sample(None if annex is None else annex.request_schema)]:
                try:
                    reply = await agent.engine.reach.exchange(peer, Request(body=body, hashes=(name,)), deadline)
                    sys.stderr.write(f"{document.name}: {reply.status} {reply.code or ''}\n")
                except NegotiatorError as error:
                    sys.stderr.write(f"{document.name}: {type(error).__name__}: {error}\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[-1]))
