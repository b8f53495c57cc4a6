"""OAuth with others: the authorization server, the servers and the client of the `mcp` package, and the cards that both
lines of a2a-sdk read. No model is called anywhere.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from negotiator import Agent, Task
from negotiator.identity import Authority, TrustPolicy, current_principal
from negotiator.oauth import AuthorizationNeeded, Issuer, OAuthClient, ProtectedResource
from tests.interop.conftest import _Peer

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

TEXT = {"type": "string"}
FORECAST = Task(
    "Weather forecast for a city and a day",
    input={
        "type": "object",
        "properties": {"city": TEXT, "day": TEXT},
        "required": ["city", "day"],
        "additionalProperties": False,
    },
    output={
        "type": "object",
        "properties": {"high": {"type": "integer"}, "summary": TEXT},
        "required": ["high", "summary"],
        "additionalProperties": False,
    },
    effect="safe",
    name="forecast",
)
VALUE = {"city": "Rome", "day": "2026-11-24"}


class Stranger:
    """The package in a process of its own; see `peers/mcp_auth.py`."""

    def __init__(self, python: str) -> None:
        self._peer = _Peer(python, "mcp_auth.py")
        told = self._peer.hear()
        self.issuer: str = told["issuer"]
        self.server: str = told["server"]

    def call(self, url: str, tool: str, **arguments: Any) -> Any:
        """Have its client call a tool."""
        return self._peer.tell(url=url, tool=tool, arguments=arguments)

    def asked(self) -> Any:
        """How often a person was asked there, and how many clients it registered."""
        return httpx.get(f"{self.issuer}/asked", trust_env=False).json()

    def end(self) -> None:
        self._peer.end()


@pytest.fixture(scope="module")
def stranger(python_with: Callable[..., str]) -> Iterator[Stranger]:
    peer = Stranger(python_with("mcp-2.3.0", "mcp, uvicorn, jwt"))
    yield peer
    peer.end()


async def says_yes(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as browser:
        return str((await browser.get(url)).headers["location"])


async def test_its_server_gives_our_agent_a_token_and_renews_it(stranger: Stranger, tmp_path: Path) -> None:
    before = stranger.asked()
    oauth = OAuthClient(authorize=says_yes)
    async with Agent(state=tmp_path / "state", oauth=oauth, allow_sources=["loopback"]) as agent:
        for _ in range(3):
            outcome = await agent.ask(stranger.server, FORECAST, VALUE)
            assert outcome.json == {"high": 4, "summary": "sunny in Rome on 2026-11-24"}
            assert (outcome.tier, outcome.usage.calls) == ("routine", 0)
    # Tokens of that server end before they are used again: each later request was made with a renewed one.
    after = stranger.asked()
    assert (after["asked"] - before["asked"], after["clients"] - before["clients"]) == (1, 1)
    # Another process of the same owner asks nobody, and one of another owner gets nothing.
    async with Agent(state=tmp_path / "state", oauth=OAuthClient(), allow_sources=["loopback"]) as agent:
        assert (await agent.ask(stranger.server, FORECAST, VALUE)).json["high"] == 4
    assert stranger.asked() == after
    async with Agent(state="memory", oauth=OAuthClient(), allow_sources=["loopback"]) as agent:
        with pytest.raises(AuthorizationNeeded):
            await agent.ask(stranger.server, FORECAST, VALUE)
    async with Agent(state="memory") as agent:
        with pytest.raises(AuthorizationNeeded, match="oauth"):
            await agent.ask(stranger.server, FORECAST, VALUE)


class Ours:
    """An agent of ours that takes the stranger's tokens, where it listens, and for whom its tools were called."""

    def __init__(self, stranger: Stranger, serve_app: Callable[..., Any], **options: Any) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await self._app(scope, receive, send)

        # The agent must know its address, and so where it listens, before it is there.
        served = serve_app(app)
        self.url: str = served.url
        issuer = Issuer(url=stranger.issuer, jwks_url=f"{stranger.issuer}/jwks")
        self.agent = Agent(
            state="memory",
            publish="all",
            resource=ProtectedResource(url=self.url, issuers=(issuer,), scopes=("tools",)),
            trust=TrustPolicy(callers="authenticated"),
            authority=Authority().asking("book", "rooms"),
            allow_sources=["loopback"],
            **options,
        )
        self.calls: list[tuple[str, str]] = []

        @self.agent.tool(effect="safe")
        def double(number: int) -> int:
            """Double a number."""
            self.calls.append(("double", current_principal()))
            return 2 * number

        @self.agent.tool
        def book(room: str) -> dict[str, str]:
            """Book a room."""
            self.calls.append(("book", current_principal()))
            return {"room": room}

        self._app = self.agent.asgi()
        served._agents = (self.agent,)


def test_its_client_gets_a_token_for_our_agent_and_one_for_more(
    stranger: Stranger, serve_app: Callable[..., Any]
) -> None:
    ours = Ours(stranger, serve_app)
    alice = f"oauth:{stranger.issuer}#alice"
    told = stranger.call(f"{ours.url}/mcp", "double", number=21)
    assert told["structured"] in (42, {"result": 42})
    assert (told["is_error"], told["asked"]) == (False, 1)
    assert ours.calls == [("double", alice)]
    # Its second authorization is the step up to what the tool asks for.
    told = stranger.call(f"{ours.url}/mcp", "book", room="12")
    assert (told["structured"], told["is_error"], told["asked"]) == ({"room": "12"}, False, 2)
    assert ours.calls[1:] == [("book", alice)]


async def test_our_agents_ask_each_other_with_its_tokens(stranger: Stranger, serve_app: Callable[..., Any]) -> None:
    ours = Ours(stranger, serve_app)
    alice = f"oauth:{stranger.issuer}#alice"
    book = Task(
        "Book a room.",
        input={"type": "object", "properties": {"room": TEXT}, "required": ["room"], "additionalProperties": False},
        output={"type": "object", "additionalProperties": TEXT},
        name="book",
    )
    oauth = OAuthClient(authorize=says_yes)
    async with Agent(state="memory", oauth=oauth, allow_sources=["loopback"]) as agent:
        outcome = await agent.ask(f"{ours.url}/mcp", book, {"room": "7"})
        assert outcome.json == {"room": "7"}
    assert ours.calls == [("book", alice)]


READERS = {
    "a2a-1.3.0": """
import json, sys
from a2a.client.card_resolver import parse_agent_card
card = parse_agent_card(json.load(sys.stdin))
kinds = {name: scheme.WhichOneof("scheme") for name, scheme in card.security_schemes.items()}
needs = [{name: list(scopes.list) for name, scopes in need.schemes.items()} for need in card.security_requirements]
print(json.dumps([kinds, needs, card.security_schemes["oauth1"].oauth2_security_scheme.flows.authorization_code.token_url]))
""",
    "a2a-0.3.26": """
import json, sys
from a2a.types import AgentCard
card = AgentCard.model_validate(json.load(sys.stdin))
names = {"http": "http_auth_security_scheme", "oauth2": "oauth2_security_scheme"}
kinds = {name: names[scheme.root.type] for name, scheme in card.security_schemes.items()}
print(json.dumps([kinds, card.security, card.security_schemes["oauth1"].root.flows.authorization_code.token_url]))
""",
}


@pytest.mark.parametrize("line", list(READERS))
def test_both_lines_of_a2a_read_what_a_card_asks_for(
    stranger: Stranger, serve_app: Callable[..., Any], python_with: Callable[..., str], line: str
) -> None:
    ours = Ours(stranger, serve_app)
    card = httpx.get(f"{ours.url}/.well-known/agent-card.json", trust_env=False)
    ran = subprocess.run(
        [python_with(line, "a2a"), "-c", READERS[line]],
        input=card.text,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    kinds, needs, token_url = json.loads(ran.stdout)
    assert kinds == {"oauth1": "oauth2_security_scheme", "bearer": "http_auth_security_scheme"}
    assert needs == [{"oauth1": ["tools"]}, {"bearer": []}]
    assert token_url == f"{stranger.issuer}/token"
