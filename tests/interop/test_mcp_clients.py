"""Agents of ours as servers of MCP, used by the clients of other people's frameworks over real HTTP.

Each runs in an environment of its own, and no model is called on either side.
"""

from collections.abc import Callable
from typing import Any

import pytest

from negotiator import Agent

pytestmark = pytest.mark.interop

CLIENTS = {
    "fastmcp": ("mcp-clients", "mcp"),
    "pydantic-ai": ("mcp-clients", "mcp"),
    "openai-agents": ("mcp-clients", "mcp"),
    "langchain": ("mcp-langchain", "mcp"),
}
FORECAST = {"city": "Rome", "high": 4, "large": 9_007_199_254_740_993}


@pytest.fixture(scope="module")
def ours(serve_on: Callable[..., Any]) -> Agent:
    """An agent of ours that knows one more as its peer."""
    far = Agent(name="far", publish="all", state="memory")

    @far.tool(effect="safe", name="count_letters")
    def count_letters(word: str) -> dict[str, int]:
        """Count the letters of a word."""
        return {"letters": len(word)}

    agent = Agent(name="near", state="memory", relay=True)

    @agent.tool(effect="safe")
    def forecast(city: str) -> dict[str, str | int]:
        """Weather forecast for a city."""
        return {"city": city, "high": len(city), "large": 9_007_199_254_740_993}

    agent.know(serve_on(far.asgi(), far).url)
    agent.url = serve_on(agent.asgi(), agent).url + "/mcp"  # type: ignore[attr-defined]
    return agent


@pytest.fixture(scope="module", params=list(CLIENTS))
def client(request: pytest.FixtureRequest, python_with: Callable[..., str], start_peer: Callable[..., Any]) -> Any:
    """A client that is given orders, a line each."""
    environment, modules = CLIENTS[request.param]
    return start_peer(python_with(environment, modules, low=11), "mcp_clients.py", request.param)


def test_it_lists_and_calls_our_tools_and_what_does_not_fit_is_told_it(client: Any, ours: Any) -> None:
    told = client.tell(url=ours.url, tool="forecast", arguments={"city": "Rome"})
    assert told["value"] == FORECAST
    assert {"forecast", "find_task", "run_task"} <= set(told["tools"])
    assert "city" in client.tell(url=ours.url, tool="forecast", arguments={"town": 5})["error"]
    assert client.tell(url=ours.url, tool="forecast", arguments={"city": "Rome"})["value"] == FORECAST


def test_it_finds_and_runs_what_a_peer_of_ours_can_do(client: Any, ours: Any) -> None:
    found = client.tell(url=ours.url, tool="find_task", arguments={"query": "count the letters of a word"})["value"]
    task = found["tasks"][0]
    assert task["name"] == "count_letters"
    ran = client.tell(url=ours.url, tool="run_task", arguments={"task": task["task"], "input": {"word": "letter"}})
    assert (ran["value"]["output"], ran["value"]["tier"]) == ({"letters": 6}, "routine")
