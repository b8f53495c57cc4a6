"""What the tools of each framework do at their edges, handed over to an agent of ours. Prints one JSON object.

python framework_edges.py langgraph
"""

import json

from negotiator import Agent, UsageError, current_context
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.identity.callers import current_principal
from negotiator.messages import Request
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from negotiator.tracing import tracing
from protocol_docs import catalog


def seen(city: str, times: int = 2) -> str:
    """Say for whom a city is looked at.

    Args:
        city: The city.
        times: How often it is said.
    """
    context = current_context()
    trace = dict(context.trace).get("traceparent", "")
    return " ".join([f"{city} for {current_principal()} in {context.seconds_left():.0f}s {trace}"] * times)


def fails(city: str) -> str:
    """Fail.

    Args:
        city: The city.
    """
    raise RuntimeError(f"no {city}")


def langgraph():
    from langchain_core.tools import tool
    from langgraph.prebuilt import ToolNode

    failing = tool(fails)
    failing.handle_tool_error = True
    return ToolNode([tool(seen), failing]), {}


def pydantic_ai():
    from pydantic_ai import FunctionToolset, RunContext, Tool

    def in_a_run(ctx: RunContext[int], city: str) -> str:
        """Needs a run."""
        return city

    refused = {"context": Tool(in_a_run), "approval": Tool(seen, requires_approval=True)}
    return FunctionToolset([seen, fails]), refused


def openai_agents():
    from agents import FunctionTool, RunContextWrapper, ToolGuardrailFunctionOutput, function_tool, tool_input_guardrail

    def in_a_run(ctx: RunContextWrapper[int], city: str) -> str:
        """Needs a run."""
        return city

    @tool_input_guardrail
    def guard(data):
        return ToolGuardrailFunctionOutput.allow()

    async def by_hand(ctx, text):
        return f"{ctx.tool_name} {json.loads(text)['city']}"

    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    made = FunctionTool(name="by_hand", description="By hand.", params_json_schema=schema, on_invoke_tool=by_hand)
    refused = {
        "context": function_tool(in_a_run),
        "approval": function_tool(seen, needs_approval=True),
        "guardrail": function_tool(seen, tool_input_guardrails=[guard]),
        "enabled": function_tool(seen, is_enabled=lambda *_: True),
    }
    return [function_tool(seen), function_tool(fails), made], refused


def smolagents():
    from smolagents import Tool, tool

    class Picture(Tool):
        name = "picture"
        description = "Draw."
        inputs = {"city": {"type": "string", "description": "the city"}}  # noqa: RUF012 - its own way
        output_type = "image"

        def forward(self, city):
            return city

    return [tool(seen), tool(fails)], {"image": Picture()}


async def edges(name):
    """What came of each."""
    tools, refused = globals()[name.replace("-", "_")]()
    told = {"refused": {}}
    for why, each in refused.items():
        try:
            Agent.from_tools([each], state="memory")
        except UsageError as error:
            told["refused"][why] = str(error)
    try:
        Agent.from_tools(tools, state="memory", effect={"nobody": "safe"})
    except UsageError as error:
        told["unknown"] = str(error)
    async with World() as world:
        agent = Agent.from_tools(tools, state="memory", effect={"seen": "safe"}, clock=world.clock)
        told["tools"] = {each.name: [each.effect, each.description] for each in agent.engine.tools.values()}
        told["optional"] = agent.engine.tools["seen"].input.json_schema.get("required", [])

        async def call(tool, value):
            body = {"task": tool, "input": value}
            context = ExchangeContext(
                dialect="test", deadline=Deadline.after(9, world.clock), principal="did:wba:someone"
            )
            with tracing({"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}):
                reply = await answer(agent.engine, Request(body=body, hashes=catalog.direct_json().aliases), context)
            return reply.body

        told["seen"] = await call("seen", {"city": "Rome", "times": 1})
        told["bad"] = (await call("seen", {"city": 7, "times": 1}))["error"]["code"]
        told["fails"] = (await call("fails", {"city": "Rome"}))["error"]
        if "by_hand" in agent.engine.tools:
            told["by_hand"] = await call("by_hand", {"city": "Rome"})
    return told
