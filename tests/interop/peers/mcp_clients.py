"""Other people's clients of MCP, one a process: `mcp_clients.py fastmcp|pydantic-ai|openai-agents|langchain`.

One order a line, {"url", "tool", "arguments"}; what came of it a line, {"tools", "value"}, or {"error"}.
`mcp_clients.py serve` is a server written with fastmcp instead: it says its port, and ends with its standard input.
"""

import asyncio
import json
import os
import socket
import sys
import threading


def valued(made):
    """The value that a tool gave, which may be written out; what is none is the tool's own error."""
    if isinstance(made, str):
        try:
            return json.loads(made)
        except ValueError:
            raise RuntimeError(made) from None
    return made


async def with_fastmcp(url, tool, arguments):
    from fastmcp import Client

    async with Client(url) as client:
        names = [each.name for each in await client.list_tools()]
        made = await client.call_tool(tool, arguments)
        return names, made.structured_content


async def with_pydantic_ai(url, tool, arguments):
    from pydantic_ai import Agent
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.messages import ModelResponse, RetryPromptPart, TextPart, ToolCallPart, ToolReturnPart
    from pydantic_ai.models.function import FunctionModel

    names = []

    def turn(messages, info):
        names[:] = [each.name for each in info.function_tools]
        returned = [
            part for message in messages for part in message.parts if isinstance(part, ToolReturnPart | RetryPromptPart)
        ]
        if returned:
            return ModelResponse(parts=[TextPart(json.dumps(returned[-1].content, default=str))])
        return ModelResponse(parts=[ToolCallPart(tool, arguments)])

    agent = Agent(FunctionModel(turn), toolsets=[MCPToolset(url)])
    async with agent:
        answer = await agent.run("go")
    return names, valued(json.loads(answer.output))


async def with_openai_agents(url, tool, arguments):
    from agents.mcp import MCPServerStreamableHttp

    async with MCPServerStreamableHttp(params={"url": url}) as server:
        names = [each.name for each in await server.list_tools()]
        made = await server.call_tool(tool, arguments)
    told = made.model_dump(mode="json", by_alias=True)
    if told.get("isError"):
        raise RuntimeError(told["content"][0]["text"])
    return names, told["structuredContent"]


async def with_langchain(url, tool, arguments):
    from langchain_mcp_adapters.client import MultiServerMCPClient

    client = MultiServerMCPClient({"ours": {"transport": "streamable_http", "url": url}})
    tools = {each.name: each for each in await client.get_tools()}
    made = await tools[tool].ainvoke(arguments)
    return list(tools), valued(made if isinstance(made, str) else made[0]["text"])


CLIENTS = {
    "fastmcp": with_fastmcp,
    "pydantic-ai": with_pydantic_ai,
    "openai-agents": with_openai_agents,
    "langchain": with_langchain,
}


def obey():
    client = CLIENTS[sys.argv[1]]
    for line in sys.stdin:
        order = json.loads(line)
        try:
            names, value = asyncio.run(client(order["url"], order["tool"], order["arguments"]))
            told = {"tools": names, "value": value}
        except Exception as error:  # noqa: BLE001 - told to the test
            told = {"error": str(error)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def serve():
    import uvicorn
    from fastmcp import FastMCP
    from pydantic import BaseModel

    class Forecast(BaseModel):
        high: int
        summary: str

    server = FastMCP("a stranger")

    @server.tool(annotations={"readOnlyHint": True})
    def forecast(city: str, day: str) -> Forecast:
        """Weather forecast for a city and a day."""
        return Forecast(high=len(city), summary=f"sunny in {city} on {day}")

    @server.tool
    def book(room: str, night: str) -> Forecast:
        """Book a room for a night."""
        return Forecast(high=1, summary=f"{room} is booked for {night}")

    @server.tool
    def broken(city: str) -> Forecast:
        """Fail for a city."""
        raise ValueError(f"broken: nothing is known of {city}")

    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(json.dumps({"port": listening.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    uvicorn.Server(uvicorn.Config(server.http_app(path="/mcp"), log_level="critical")).run([listening])


serve() if sys.argv[1] == "serve" else obey()
