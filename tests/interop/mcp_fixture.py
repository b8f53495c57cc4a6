"""The agent of ours that MCP's conformance suite is run against: tools of the names that its scenarios call."""

import asyncio
from dataclasses import replace
from typing import Any

from negotiator import Agent, Context, ToolFailed
from negotiator.wire import WireReply, WireRequest
from protocol_docs import catalog

agent = Agent(name="metaparley fixture", state="memory")


@agent.tool(effect="safe")
def test_simple_text() -> str:
    """Give a simple text."""
    return "This is a simple text response for testing."


@agent.tool(effect="safe")
def test_streaming_elicitation() -> str:
    """Give a simple text, whose stream holds nothing that is asked of the client."""
    return "Nothing was asked on the way."


@agent.tool(effect="safe")
def test_logging_tool() -> str:
    """Give a simple text, whose stream holds no log."""
    return "Nothing was logged on the way."


@agent.tool(effect="safe")
async def test_tool_with_progress(context: Context) -> str:
    """Take a while, and tell of it."""
    for fraction in (0.0, 0.5, 1.0):
        context.progress("on the way", fraction)
        await asyncio.sleep(0.05)
    return "It took a while."


@agent.tool(effect="safe")
def test_error_handling() -> str:
    """Fail, always."""
    raise ToolFailed("the tool was told to", for_peer="This tool intentionally returns an error for testing")


@agent.tool(
    effect="safe",
    input={
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
    output={"type": "object"},
)
def json_schema_2020_12_tool(**arguments: Any) -> dict[str, Any]:
    """Give back what fits a schema that uses much of the language."""
    return arguments


@agent.tool(
    effect="safe",
    input={
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        "required": ["region"],
    },
)
def test_custom_header(region: str) -> str:
    """Give back the region that the header names too."""
    return region


RENAMED = {
    b"test://static-text": b"pd://sha256/" + catalog.direct_json().hash.removeprefix("sha256:").encode(),
}
"""Resources that scenarios read under names of their own; an agent's are documents, by their hashes."""


async def served(wire: WireRequest) -> WireReply:
    """The agent, with the scenarios' names of resources on the way in; what is answered is its own."""
    body, headers = wire.body, dict(wire.headers)
    for theirs, ours in RENAMED.items():
        body = body.replace(theirs, ours)
        headers = {name: value.replace(theirs.decode(), ours.decode()) for name, value in headers.items()}
    return await _handler(replace(wire, body=body, headers=headers))


@agent.tool(public=True)
def transfer(account: str, amount: int) -> dict[str, int]:
    """Transfer an amount."""
    return {"amount": amount}


_handler = agent.handler()
