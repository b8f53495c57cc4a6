"""A client of MCP made of the `mcp` package alone, of either line, at a test's orders: one line of JSON each.

An order is {"url": ...} or {"command": [...]}, with {"tool": ..., "arguments": ...} and perhaps {"uri": ...}; what came of
it is {"version", "tools", "is_error", "structured", "text", "resources", "read"}.
"""

import asyncio
import json
import sys
from contextlib import AsyncExitStack


async def opened(stack: AsyncExitStack, order: dict):
    try:
        from mcp import Client, StdioServerParameters
        from mcp.client.stdio import stdio_client
    except ImportError:
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client
        from mcp.client.streamable_http import streamablehttp_client

        if "url" in order:
            read, write, _ = await stack.enter_async_context(streamablehttp_client(order["url"]))
        else:
            command, *rest = order["command"]
            read, write = await stack.enter_async_context(
                stdio_client(StdioServerParameters(command=command, args=rest, cwd=order.get("cwd")))
            )
        session = await stack.enter_async_context(ClientSession(read, write))
        begun = await session.initialize()
        return session, begun.protocolVersion
    target = order.get("url")
    if target is None:
        command, *rest = order["command"]
        target = stdio_client(StdioServerParameters(command=command, args=rest, cwd=order.get("cwd")))
    client = await stack.enter_async_context(Client(target, mode=order.get("mode", "auto")))
    return client, client.protocol_version


async def done(order: dict) -> dict:
    async with AsyncExitStack() as stack:
        client, version = await opened(stack, order)
        listed = await client.list_tools()
        made = await client.call_tool(order["tool"], order["arguments"])
        resources = (await client.list_resources()).resources
        read = await client.read_resource(resources[0].uri)
        told = made.model_dump(by_alias=True, mode="json")
        return {
            "version": version,
            "tools": [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in listed.tools],
            "is_error": bool(told.get("isError")),
            "structured": told.get("structuredContent"),
            "text": told["content"][0]["text"],
            "resources": [str(each.uri) for each in resources],
            "read": read.contents[0].text,
        }


for line in sys.stdin:
    sys.stdout.write(json.dumps(asyncio.run(done(json.loads(line)))) + "\n")
    sys.stdout.flush()
