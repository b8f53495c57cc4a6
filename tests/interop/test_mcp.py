"""MCP with others: the `mcp` package, of both lines, as client of our agents and as server that is a peer of theirs.

The package runs in an environment of its own. No model is called anywhere.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from negotiator import Agent, PeerFailed, Task
from protocol_docs import catalog

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
TEXT = {"type": "string"}


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


FORECAST = Task(
    "Weather forecast for a city and a day",
    input=obj(city=TEXT, day=TEXT),
    output=obj(high={"type": "integer"}, summary=TEXT),
    effect="safe",
    name="forecast",
)
BOOK = Task(
    "Book a room for a night",
    input=obj(room=TEXT, night=TEXT),
    output=obj(high={"type": "integer"}, summary=TEXT),
    name="book",
)
BROKEN = Task(
    "Fail for a city", input=obj(city=TEXT), output=obj(high={"type": "integer"}, summary=TEXT), name="broken"
)
VALUE = {"city": "Rome", "day": "2026-11-24"}
SERVED = {"mcp-2.3.0": "2026-07-28", "mcp-1.30.0": "2025-11-25"}
"""The revision that the package of each line and we come to."""


@pytest.fixture(scope="module", params=list(SERVED))
def package(request: pytest.FixtureRequest, python_with: Callable[..., str]) -> tuple[str, str]:
    """The Python of an environment with the package, and the revision that it speaks with us."""
    return python_with(request.param, "mcp, uvicorn"), SERVED[request.param]


def ours() -> Agent:
    agent = Agent(state="memory")

    @agent.tool(effect="safe")
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    @agent.tool(public=True)
    def book(room: str) -> dict[str, str]:
        """Book a room."""
        return {"room": room}

    return agent


# --- its client, our server ---


def ordered(python: str, **order: Any) -> dict[str, Any]:
    ran = subprocess.run(
        [python, str(PEERS / "mcp_client.py")],
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "NO_PROXY": "*", "no_proxy": "*"},
    )
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def test_its_client_lists_calls_and_reads_over_http(package: tuple[str, str], serve_app: Callable[..., Any]) -> None:
    agent = ours()
    url = serve_app(agent.asgi(), agent).url + "/mcp"
    told = ordered(package[0], url=url, tool="double", arguments={"number": 21})
    assert told["version"] == package[1]
    assert not told["is_error"]
    assert told["structured"] in (42, {"result": 42})
    assert {tool["name"] for tool in told["tools"]} >= {"double", "book", "find_task", "run_task"}
    texts = {document.text for document in catalog.all_documents()}
    assert told["read"] in texts
    bad = ordered(package[0], url=url, tool="double", arguments={"number": "x"})
    assert bad["is_error"]
    assert "/number" in bad["text"]


def test_its_client_starts_our_server(package: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "negotiator.cli", "mcp", "tests.interop.mcp_fixture:agent"]
    told = ordered(package[0], command=command, cwd=str(ROOT), tool="test_simple_text", arguments={})
    assert told["version"] == package[1]
    assert told["text"] == "This is a simple text response for testing."


# --- its server, our client ---


@contextmanager
def listening(python: str, how: str) -> Iterator[int]:
    """The port of the package's server."""
    process = subprocess.Popen(
        [python, str(PEERS / "mcp_server.py"), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["port"]
    process.communicate(timeout=30)


@pytest.fixture
def its_address(package: tuple[str, str]) -> Iterator[str]:
    """Where the package's server listens."""
    with listening(package[0], "http") as port:
        yield f"http://127.0.0.1:{port}/mcp"


async def hold(agent: Agent, peer: str, version: str) -> None:
    for _ in range(2):
        outcome = await agent.ask(peer, FORECAST, VALUE)
        assert outcome.json == {"high": 4, "summary": "sunny in Rome on 2026-11-24"}
        assert (outcome.tier, outcome.peer_tier, outcome.usage.calls) == ("routine", "unknown", 0)
    booked = await agent.ask(peer, BOOK, {"room": "12", "night": "2026-11-24"})
    assert booked.json["summary"] == "12 is booked for 2026-11-24"
    assert (booked.tier, booked.usage.calls) == ("routine", 0)
    with pytest.raises(PeerFailed, match="broken"):
        await agent.ask(peer, BROKEN, {"city": "Rome"})
    record = agent.engine.reach.known(peer)
    assert record is not None
    assert record.about["version"] == version


async def test_its_server_is_a_peer_over_http(package: tuple[str, str], its_address: str) -> None:
    async with Agent(state="memory") as agent:
        await hold(agent, its_address, package[1])


@pytest.mark.parametrize("transport", ["httpx", "aiohttp"])
async def test_its_server_with_two_endpoints_is_a_peer(package: tuple[str, str], transport: str) -> None:
    with listening(package[0], "sse") as port:
        async with Agent(state="memory", transport=transport) as agent:
            await hold(agent, f"mcp+http://127.0.0.1:{port}/sse", "2025-11-25")


async def test_its_server_is_a_peer_in_a_process_of_ours(package: tuple[str, str]) -> None:
    async with Agent(state="memory") as agent:
        peer = agent.know_command("stranger", [package[0], str(PEERS / "mcp_server.py"), "stdio"])
        await hold(agent, peer, package[1])
