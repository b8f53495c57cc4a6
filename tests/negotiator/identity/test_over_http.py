"""Two agents with identities over real HTTP on this machine, alone and mounted under a prefix."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from negotiator import Agent, Task
from negotiator.cli import main
from negotiator.errors import NotPossible
from negotiator.identity import Identity, TrustPolicy, current_principal

pytestmark = pytest.mark.anyio

WORD = {
    "type": "object",
    "properties": {"word": {"type": "string"}},
    "required": ["word"],
    "additionalProperties": False,
}
TASK = Task("Say a word again", input=WORD, output={"type": "string"}, effect="transactional", name="say")


def under(prefix: str, app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The application below a prefix, as frameworks mount one."""

    async def mounted(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await app({**scope, "root_path": prefix}, receive, send)

    return mounted if prefix else app


@asynccontextmanager
async def serving(prefix: str = "", **options: Any) -> AsyncIterator[tuple[Agent, list[str]]]:
    """An agent behind uvicorn, known by the name of this machine, and for whom its tool was called."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://localhost:{listening.getsockname()[1]}{prefix}"
        agent = Agent(state="memory", identity=Identity.in_memory(url), allow_sources=["loopback"], **options)
        calls: list[str] = []

        @agent.tool
        def say(word: str) -> str:
            """Say a word again."""
            calls.append(current_principal())
            return word

        config = uvicorn.Config(under(prefix, agent.asgi()), lifespan="off", ws="none", log_level="critical")
        server = uvicorn.Server(config)
        running = asyncio.ensure_future(server.serve([listening]))
        try:
            yield agent, calls
        finally:
            server.should_exit = True
            await running
            await agent.aclose()


def name_of(agent: Agent) -> str:
    assert agent.identity is not None
    return agent.identity.did


def url_of(agent: Agent) -> str:
    assert agent.identity is not None
    return agent.identity.url


@pytest.mark.parametrize("prefix", ["", "/agents/one"])
async def test_an_agent_proves_to_another_who_it_is(prefix: str) -> None:
    async with AsyncExitStack() as stack:
        server, calls = await stack.enter_async_context(serving(prefix, trust=TrustPolicy(callers="authenticated")))
        caller, _ = await stack.enter_async_context(serving("/callers"))
        for word in ("one", "two"):
            assert (await caller.ask(url_of(server), TASK, {"word": word})).output == word
        assert calls == [name_of(caller)] * 2


async def test_whoever_proves_nothing_is_told_so_and_nothing_is_done() -> None:
    async with (
        serving(trust=TrustPolicy(callers="authenticated")) as (server, calls),
        Agent(state="memory") as stranger,
    ):
        with pytest.raises(NotPossible, match="who asks is not proved"):
            await stranger.ask(url_of(server), TASK, {"word": "one"})
        assert calls == []


@pytest.mark.parametrize("prefix", ["", "/agents/one"])
async def test_the_command_checks_the_document_that_an_agent_serves(
    prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("diskcache")
    async with serving(prefix) as (server, _):
        words = ["identity", "verify", name_of(server)]
        assert await asyncio.to_thread(main, [*words, "--allow", "loopback"]) == 0
        assert "the document holds" in capsys.readouterr().out
        assert await asyncio.to_thread(main, words) != 0


@pytest.mark.parametrize("path", ["/", "/mcp", "/a2a", "/.well-known/agent-card.json", "/wellknown", "/nowhere"])
async def test_every_door_is_behind_the_gate(path: str) -> None:
    async with serving(trust=TrustPolicy(callers="authenticated")) as (server, calls), httpx.AsyncClient() as client:
        for wrong in ({}, {"authorization": "Bearer x"}, {"signature": "x"}):
            reply = await client.post(url_of(server) + path, headers=wrong, content=b"{}")
            assert reply.status_code == 401
            assert reply.headers["www-authenticate"].startswith("DIDWba ")
            assert reply.json()["code"] == "unauthenticated"
        assert calls == []
