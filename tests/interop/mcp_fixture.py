"""The agent of ours that MCP's conformance suite is run against: tools of the names that its scenarios call."""

from typing import Any

from negotiator import Agent, ToolFailed

agent = Agent(name="metaparley fixture", state="memory")


@agent.tool(effect="safe")
def test_simple_text() -> str:
    """Give a simple text."""
    return "This is a simple text response for testing."


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


@agent.tool(public=True)
def transfer(account: str, amount: int) -> dict[str, int]:
    """Transfer an amount."""
    return {"amount": amount}
