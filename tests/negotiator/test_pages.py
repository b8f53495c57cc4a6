"""Web pages reach no door of an agent unless its owner names them, whatever name they make lead to it."""

import asyncio
from typing import Any

import pytest

from negotiator import Agent
from negotiator.dialects.addresses import A2A_CARD
from negotiator.errors import UsageError
from negotiator.identity import Identity
from negotiator.pages import Pages
from negotiator.testing import VirtualClock
from negotiator.warm_door import WarmDoor
from negotiator.wire import WireRequest
from tests.negotiator.test_warm_door import HEADERS, Served, warm, wire

pytestmark = pytest.mark.anyio

EVERY_DOOR = [
    ("POST", "/"),
    ("GET", "/wellknown"),
    ("GET", "/documents/sha256:00"),
    ("DELETE", "/conversations/c"),
    ("POST", "/mcp"),
    ("POST", "/a2a"),
    ("POST", "/a2a/message:send"),
    ("GET", A2A_CARD),
    ("POST", "/anp"),
    ("GET", "/.well-known/agent-descriptions"),
    ("GET", "/files/sha256:00"),
]
FOREIGN = ["https://evil.example", "null", "", "http://[broken", "http://localhost.evil.example", "file://localhost"]


async def status(agent: Agent, method: str, path: str, *, server: str | None = None, **headers: str) -> int:
    """What an HTTP server that listens at `server` is told to answer."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": raw, "client": ("127.0.0.1", 5)}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(event: Any) -> None:
        sent.append(event)

    await agent.asgi()({**scope, "server": None if server is None else (server, 8000)}, receive, send)
    told: int = sent[0]["status"]
    return told


@pytest.mark.parametrize(("method", "path"), EVERY_DOOR)
@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_that_nobody_named_reaches_no_door(method: str, path: str, origin: str) -> None:
    assert await status(Agent(state="memory"), method, path, origin=origin) == 403


@pytest.mark.parametrize(("method", "path"), EVERY_DOOR)
async def test_a_name_that_was_made_to_lead_to_this_machine_reaches_no_door(method: str, path: str) -> None:
    agent = Agent(state="memory")
    for server in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        assert await status(agent, method, path, server=server, host="evil.example:8000") == 403


@pytest.mark.parametrize(("method", "path"), EVERY_DOOR)
async def test_programs_and_pages_of_this_machine_and_those_that_are_named_are_let_by(method: str, path: str) -> None:
    agent = Agent(state="memory", allowed_origins=("https://app.example:444/",), allowed_hosts=("agent.example",))
    here = {"server": "127.0.0.1", "host": "localhost:8000"}
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:5", "HTTPS://App.Example:444"):
        assert await status(agent, method, path, **here, origin=origin) != 403
    for host in ("127.0.0.1:8000", "[::1]:8000", "a.localhost", "Agent.Example.:8000", "agent.example"):
        assert await status(agent, method, path, server="127.0.0.1", host=host) != 403
    assert await status(agent, method, path) != 403


async def test_a_name_matters_on_loopback_alone_unless_the_agent_s_names_are_said() -> None:
    agent = Agent(state="memory")
    assert await status(agent, "GET", "/wellknown", server="10.0.0.1", host="whatever.example") == 200
    named = Agent(state="memory", allowed_hosts=("agent.example",))
    assert await status(named, "GET", "/wellknown", server="10.0.0.1", host="whatever.example") == 403
    assert await status(named, "GET", "/wellknown", server="10.0.0.1", host="agent.example") == 200


async def test_the_name_of_an_agent_s_identity_is_its_own() -> None:
    identity = Identity.in_memory("https://weather.example/agents", clock=VirtualClock())
    agent = Agent(state="memory", identity=identity)
    assert await status(agent, "GET", "/wellknown", server="127.0.0.1", host="weather.example") == 200
    assert await status(agent, "GET", "/wellknown", server="127.0.0.1", host="other.example") == 403
    # It says who the agent is, and not which names are all that it goes by.
    assert await status(agent, "GET", "/wellknown", server="10.0.0.1", host="other.example") == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "new"])
async def test_a_page_whose_origin_was_taken_out_on_the_way_still_changes_nothing(site: str) -> None:
    agent = Agent(state="memory")
    assert await status(agent, "POST", "/", sec_fetch_site=site) == 403
    assert await status(agent, "DELETE", "/conversations/c", sec_fetch_site=site) == 403
    # A person who follows a link to a document reads it.
    assert await status(agent, "GET", "/wellknown", sec_fetch_site=site) == 200


async def test_a_warm_request_of_a_page_is_refused_like_any_other_and_calls_no_tool() -> None:
    served = Served()
    assert isinstance(await warm(served, wire()), bytes)
    del served.calls[:]
    # What says that it is a page's is no header of the short way, so that it takes the long one.
    assert not {b"origin", b"sec-fetch-site", b"sec-fetch-mode"} & WarmDoor.reads.keys()
    for header in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert (await served.door(wire(headers={**HEADERS, **header}))).status == 403
    # The name that it came by is looked at on either.
    named = {**HEADERS, "host": "evil.example"}
    for _ in range(2):
        assert (await served.door(wire(headers=named, local="127.0.0.1"))).status == 403
        assert served.calls == []
    assert (await served.door(wire(headers={**HEADERS, "host": "localhost"}, local="127.0.0.1"))).status == 200
    assert (await served.door(wire(headers=named, local="127.0.0.1"))).status == 403
    assert len(served.calls) == 1
    assert (await served.door(wire(headers=named, local="10.0.0.1"))).status == 200


async def test_a_page_that_is_refused_costs_nothing_that_a_proof_would() -> None:
    agent = Agent(state="memory")
    handler = agent.handler()
    headers = {"origin": "https://evil.example", "authorization": "Bearer x"}
    replies = await asyncio.gather(*(handler(WireRequest(path=path, headers=headers)) for _, path in EVERY_DOOR))
    assert {reply.status for reply in replies} == {403}


@pytest.mark.parametrize("said", ["app.example", "https://app.example/path", "", "https://", "*"])
def test_what_is_no_origin_is_the_owner_s_mistake(said: str) -> None:
    with pytest.raises(UsageError, match="no origin"):
        Pages(origins=(said,))


@pytest.mark.parametrize("said", ["https://agent.example", "agent.example/path", "", "a@agent.example"])
def test_what_is_no_host_is_the_owner_s_mistake(said: str) -> None:
    with pytest.raises(UsageError, match="no host"):
        Pages(hosts=(said,))
