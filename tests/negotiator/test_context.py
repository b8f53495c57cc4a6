"""What a tool can know of the request that it serves."""

import threading
from typing import Any

import httpx
import pytest

from negotiator import Agent, Task, UsageError
from negotiator.context import Context, current_context
from negotiator.task import Tool
from negotiator.testing import World
from negotiator.tracing import current_trace, outgoing, trace_of, tracing

pytestmark = pytest.mark.anyio
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
SAID = {"type": "object", "properties": {"said": {"type": "string"}}, "required": ["said"]}
SAY = Task("Say something of a city", input=CITY, output=SAID, effect="safe")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def asynchronous(city: str, context: Context) -> dict[str, str]:
    """Say something of a city."""
    assert current_context() is context
    return {"said": f"{city} for {context.principal}, {context.request}, in {context.seconds_left():.0f}"}


def in_a_thread(city: str, *, request: Context) -> dict[str, str]:
    """Say something of a city."""
    assert threading.current_thread() is not threading.main_thread()
    assert current_context() is request
    return {"said": f"{city} for {request.principal}, {request.request}, in {request.seconds_left():.0f}"}


@pytest.mark.parametrize("function", [asynchronous, in_a_thread])
@pytest.mark.parametrize("given", [{}, {"input": CITY}])
async def test_a_parameter_of_that_type_is_given_and_is_no_part_of_the_schema(
    world: World, function: Any, given: dict[str, Any]
) -> None:
    server = world.agent("server", request_seconds=30.0)
    server.tool(effect="safe", output=SAID, **given)(function)
    assert list(server.engine.tools[function.__name__].input.json_schema["properties"]) == ["city"]
    outcome = await world.agent("caller").ask("mem://server", SAY, {"city": "Rome"}, seconds=7)
    who, request, seconds = outcome.output["said"].split(", ")
    assert (who, seconds) == ("Rome for anonymous", "in 7")
    assert request


def test_there_is_one_context_and_not_two() -> None:
    def twice(a: Context, b: Context) -> None: ...

    with pytest.raises(UsageError, match="more than one"):
        Tool.of(twice, effect="safe")


async def test_the_trace_of_a_request_reaches_its_tool_and_the_peers_that_it_asks(world: World) -> None:
    seen: list[Any] = []
    server = world.agent("server")

    @server.tool(effect="safe", input=CITY, output=SAID, description=SAY.description)
    async def say(city: str, context: Context) -> dict[str, str]:
        seen.append((dict(context.trace), dict(outgoing())))
        return {"said": city}

    app = server.asgi()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://server") as client:
        body = {"protocolDigest": "", "body": {"task": "say", "input": {"city": "Rome"}}}
        from protocol_docs import catalog

        body["protocolDigest"] = catalog.direct_json().hash
        for headers in ({"traceparent": PARENT, "tracestate": "a=b"}, {"traceparent": "nonsense"}, {}):
            reply = await client.post("/", json={**body, "protocolHash": body["protocolDigest"]}, headers=headers)
            assert reply.status_code == 200, reply.text
    whole = {"traceparent": PARENT, "tracestate": "a=b"}
    assert seen == [(whole, whole), ({}, {}), ({}, {})]
    assert current_trace() is None


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01"},
        {"traceparent": "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"traceparent": PARENT.upper()},
        {"traceparent": PARENT + "\r\nx: y"},
        {"tracestate": "a=b"},
    ],
)
def test_a_trace_that_is_none_by_the_specification_is_not_handed_on(headers: dict[str, str]) -> None:
    """W3C Trace Context, 3.2.2."""
    assert trace_of(headers) is None


def test_a_state_that_is_too_long_or_no_text_is_dropped_alone() -> None:
    for state in ("a=" + "b" * 512, "a=\u20ac", "a=b\r\nc: d"):
        assert trace_of({"traceparent": PARENT, "tracestate": state}) == {"traceparent": PARENT}


async def test_a_host_without_a_tracer_names_the_trace_itself(world: World) -> None:
    with tracing({"traceparent": PARENT}):
        assert outgoing() == {"traceparent": PARENT}
    assert outgoing() == {}


async def test_what_middleware_of_the_host_set_is_seen_in_a_tool() -> None:
    from contextvars import ContextVar

    span: ContextVar[str] = ContextVar("span", default="none")
    seen: list[str] = []
    agent = Agent(state="memory")

    @agent.tool(effect="safe")
    def look() -> str:
        seen.append(span.get())
        return "done"

    inner = agent.asgi()

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        span.set("host-span")
        await inner(scope, receive, send)

    from protocol_docs import catalog

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=middleware), base_url="http://agent") as client:
        name = catalog.direct_json().hash
        body = {"protocolDigest": name, "protocolHash": name, "body": {"task": "look", "input": {}}}
        assert (await client.post("/", json=body)).status_code == 200
    assert seen == ["host-span"]
    await agent.aclose()
