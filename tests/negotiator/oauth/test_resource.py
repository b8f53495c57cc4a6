"""An agent that takes tokens, as its callers meet it: challenges, metadata, principals, scopes for each tool."""

import json
from itertools import count

import pytest

from negotiator import Agent
from negotiator.clock import Deadline
from negotiator.errors import UsageError
from negotiator.identity import Authority, Identity, TrustPolicy, current_principal
from negotiator.identity.signing import signing
from negotiator.oauth import Client, Issuer, ProtectedResource
from negotiator.oauth.challenge import bearer_challenge, read_challenges
from negotiator.oauth.checker import TokenChecker
from negotiator.oauth.granted import granted_scopes
from negotiator.testing import VirtualClock
from negotiator.transports.memory import MemoryTransport
from negotiator.wire import WireRequest
from tests.negotiator.oauth import issuer as issuers

pytestmark = pytest.mark.anyio

HERE = "https://weather.example"
PLACE = "/.well-known/oauth-protected-resource"
MODERN = {
    "content-type": "application/json",
    "accept": "application/json",
    "mcp-protocol-version": "2026-07-28",
}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


class World:
    """An agent, an issuer, and whom its tools were called for."""

    def __init__(self, *, url=HERE, scopes=(), trust="anyone", issuer_client=None, authority=None, **options):
        self.clock = VirtualClock()
        self.issuer = issuers.Issuer(clock=self.clock)
        resource = ProtectedResource(
            url=url, issuers=(Issuer(url=self.issuer.url, client=issuer_client),), scopes=scopes, name="Weather"
        )
        self.agent = Agent(
            state="memory",
            clock=self.clock,
            resource=resource,
            trust=TrustPolicy(callers=trust),
            authority=authority or Authority().asking("book", "weather:book"),
            **options,
        )
        # What it fetches comes from the issuer, in place of the network.
        asked = [scope for _, each in self.agent.engine.authority.scopes for scope in each]
        self.agent._tokens = TokenChecker(resource, self.issuer.exchange, self.clock, lambda: "n", scopes=asked)
        self.numbers = count()
        self.calls: list[tuple[str, str, frozenset[str]]] = []

        @self.agent.tool(effect="safe")
        def forecast(city: str) -> str:
            """Say the weather."""
            self.calls.append(("forecast", current_principal(), granted_scopes()))
            return f"sunny in {city}"

        @self.agent.tool(public=True)
        def book(room: str) -> str:
            """Book a room."""
            self.calls.append(("book", current_principal(), granted_scopes()))
            return room

        self.handler = self.agent.handler()

    async def send(self, path, body=b"", *, method="POST", token=None, headers=None):
        said = {**(headers or {}), **({} if token is None else {"authorization": f"Bearer {token}"})}
        return await self.handler(WireRequest(method=method, path=path, headers=said, body=body))

    async def call(self, tool, token=None, **arguments):
        params = {"name": tool, "arguments": arguments, "_meta": META}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": tool}
        return await self.send("/mcp", json.dumps(message).encode(), token=token, headers=headers)

    async def over_a2a(self, tool, method="SendMessage", token=None, **arguments):
        message = {
            "messageId": f"a-message-of-its-own-{next(self.numbers)}",
            "role": "ROLE_USER",
            "parts": [{"data": arguments}],
        }
        params = {"message": message, "metadata": {"skillId": tool}}
        said = {"jsonrpc": "2.0", "id": "1", "method": method, "params": params}
        headers = {"content-type": "application/json", "a2a-version": "1.0"}
        return await self.send("/a2a", json.dumps(said).encode(), token=token, headers=headers)

    def token(self, scope="", subject="alice", audience=f"{HERE}/mcp"):
        return self.issuer.token(audience, subject, scope=scope)


@pytest.mark.parametrize(
    ("path", "resource"),
    [(PLACE, HERE), (f"{PLACE}/mcp", f"{HERE}/mcp")],
)
async def test_everybody_may_read_whose_tokens_are_taken(path, resource):
    world = World(trust="authenticated", scopes=("weather",))
    reply = await world.send(path, method="GET")
    assert reply.status == 200
    assert json.loads(reply.body) == {
        "resource": resource,
        "authorization_servers": ["https://login.example"],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["weather", "weather:book"],
        "resource_name": "Weather",
    }


async def test_an_agent_under_a_prefix_says_so_below_it_and_at_the_root_of_its_host():
    world = World(url=f"{HERE}/agents/one")
    for path in (f"{PLACE}/mcp", f"{PLACE}/agents/one/mcp"):
        assert json.loads((await world.send(path, method="GET")).body)["resource"] == f"{HERE}/agents/one/mcp"
    assert (await world.send(f"{PLACE}/agents/two/mcp", method="GET")).status != 200


async def test_who_shows_no_token_is_told_where_to_get_one():
    world = World(trust="authenticated", scopes=("weather",))
    reply = await world.call("forecast", city="Rome")
    assert reply.status == 401
    challenge = bearer_challenge(reply.headers["www-authenticate"])
    assert challenge is not None
    assert challenge.parameters == {"resource_metadata": f"{HERE}{PLACE}/mcp", "scope": "weather"}
    assert [each.scheme for each in read_challenges(reply.headers["www-authenticate"])] == ["bearer"]
    assert world.calls == []
    root = await world.send("/", b"{}")
    asked = bearer_challenge(root.headers["www-authenticate"])
    assert asked is not None
    assert asked.parameters["resource_metadata"] == HERE + PLACE


async def test_a_token_names_whom_a_tool_runs_for_and_what_it_is_good_for():
    world = World(trust="authenticated")
    reply = await world.call("forecast", world.token("a b"), city="Rome")
    assert reply.status == 200
    assert world.calls == [("forecast", "oauth:https://login.example#alice", frozenset({"a", "b"}))]
    assert granted_scopes() == frozenset()


@pytest.mark.parametrize("audience", ["https://other.example/mcp", f"{HERE}/other"])
async def test_a_token_for_another_is_refused_before_anything_is_done(audience):
    world = World()
    reply = await world.call("forecast", world.token(audience=audience), city="Rome")
    assert reply.status == 401
    challenge = bearer_challenge(reply.headers["www-authenticate"])
    assert challenge is not None
    assert challenge.parameters["error"] == "invalid_token"
    assert world.calls == []


async def test_a_tool_that_asks_for_more_says_what_before_anything_is_done():
    world = World(scopes=("weather",))
    reply = await world.call("book", world.token("weather"), room="12")
    assert reply.status == 403
    challenge = bearer_challenge(reply.headers["www-authenticate"])
    assert challenge is not None
    assert challenge.parameters["error"] == "insufficient_scope"
    assert challenge.scopes == ("weather", "weather:book")
    assert challenge.parameters["resource_metadata"] == f"{HERE}{PLACE}/mcp"
    assert world.calls == []
    assert (await world.call("book", world.token("weather weather:book"), room="12")).status == 200
    assert [call[0] for call in world.calls] == ["book"]


async def test_a_tool_that_asks_for_a_scope_is_for_nobody_who_shows_no_token():
    world = World()
    reply = await world.call("book", room="12")
    assert reply.status == 401
    challenge = bearer_challenge(reply.headers["www-authenticate"])
    assert challenge is not None
    assert "error" not in challenge.parameters
    assert challenge.scopes == ("weather:book",)
    assert (await world.call("forecast", city="Rome")).status == 200
    assert world.calls == [("forecast", "anonymous", frozenset())]


@pytest.mark.parametrize("method", ["SendMessage", "SendStreamingMessage"])
async def test_scopes_hold_over_every_wire_language(method):
    world = World()

    async def said(token):
        reply = await world.over_a2a("book", method, token, room="12")
        return reply.body if reply.chunks is None else b"".join([part async for part in reply.chunks])

    for token in (None, world.token("weather", audience=f"{HERE}/a2a")):
        assert b"may not do that" in await said(token)
    assert world.calls == []
    await said(world.token("weather:book", audience=f"{HERE}/a2a"))
    assert [call[:2] for call in world.calls] == [("book", "oauth:https://login.example#alice")]


async def test_the_authority_table_knows_principals_of_tokens():
    authority = Authority(()).allowing("oauth:https://login.example#alice", tools="forecast")
    world = World(trust="authenticated", authority=authority)
    assert b"sunny" in (await world.call("forecast", world.token(), city="Rome")).body
    other = await world.call("forecast", world.token(subject="bob"), city="Rome")
    assert b"sunny" not in other.body
    assert [call[1] for call in world.calls] == ["oauth:https://login.example#alice"]


async def test_whom_an_agent_hears_can_be_listed_by_issuer():
    world = World()
    world.agent._trust = TrustPolicy(callers="listed", listed=("oauth:https://login.example#a*",))
    world.handler = world.agent.handler()
    assert (await world.call("forecast", world.token(subject="alice"), city="Rome")).status == 200
    assert (await world.call("forecast", world.token(subject="bob"), city="Rome")).status == 403


async def test_a_subject_that_looks_like_another_principal_is_none():
    world = World(trust="authenticated")
    for subject in ("did:wba:partner.example:e1_x", "host:root", "https://evil.example#x"):
        await world.call("forecast", world.token(subject=subject), city="Rome")
    assert [call[1] for call in world.calls] == [
        "oauth:https://login.example#did:wba:partner.example:e1_x",
        "oauth:https://login.example#host:root",
        "oauth:https://login.example#https:%2F%2Fevil.example%23x",
    ]


async def test_an_issuer_that_is_down_is_said_as_such():
    world = World(trust="authenticated")

    token = world.token()
    world.issuer.metadata["jwks_uri"] = "https://login.example/none"
    reply = await world.call("forecast", token, city="Rome")
    assert reply.status == 503
    assert world.calls == []


async def test_signatures_and_tokens_are_taken_side_by_side():
    identity = Identity.in_memory(HERE)
    world = World(trust="authenticated", identity=identity, issuer_client=Client(id="weather", secret="s"))
    world.issuer.clients["weather"] = "s"
    caller = Identity.in_memory("https://caller.example", clock=world.clock)
    assert world.agent._checker is not None

    async def document(_url):
        return await caller.document()

    world.agent._checker._resolver._fetch = document
    numbers = iter(range(100))
    transport = signing(
        MemoryTransport({HERE: world.handler}), caller, world.clock, lambda: f"nonce-of-some-length-{next(numbers)}"
    )
    params = {"name": "forecast", "arguments": {"city": "Rome"}, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = {**MODERN, "mcp-method": "tools/call", "mcp-name": "forecast"}
    request = WireRequest(path="/mcp", headers=headers, body=body)
    for _ in range(2):
        reply = await transport.send(HERE, request, deadline=Deadline.after(30, world.clock))
        assert reply.status == 200
    assert [call[1] for call in world.calls] == [caller.did] * 2
    # The second was made with the token that the agent gave for the signature: nobody else is told of it.
    assert world.issuer.asked == []
    world.issuer.others["opaque"] = {"active": True, "sub": "alice", "aud": HERE}
    assert (await world.call("forecast", "opaque", city="Rome")).status == 200
    refused = await world.call("forecast", city="Rome")
    assert [each.scheme for each in read_challenges(refused.headers["www-authenticate"])] == ["bearer", "didwba"]


def test_the_table_says_which_scopes_a_tool_asks_for():
    table = Authority().asking(("book", "cancel"), "rooms").asking("b*", ("b", "rooms"))
    assert table.scopes_for("book") == ("rooms", "b")
    assert table.scopes_for("cancel") == ("rooms",)
    assert table.scopes_for("forecast") == ()
    for principal, expected in (
        ("anonymous", False),
        ("oauth:https://a#x", False),
        ("did:web:a", True),
        ("local", True),
    ):
        allowed = table.allows(principal, "cancel", "transactional", "routine", public=True)
        assert allowed is expected
    granted = frozenset({"rooms"})
    assert table.allows("oauth:https://a#x", "cancel", "safe", "routine", public=False, granted=granted)
    assert not table.allows("oauth:https://a#x", "book", "safe", "routine", public=False, granted=granted)
    with pytest.raises(UsageError):
        table.allowing("x", effects="none")


async def test_what_is_no_call_of_a_tool_asks_for_no_scope():
    world = World()
    for body in (b"", b"[]", b'{"method":"tools/call","params":{"name":3}}', b'{"method":"tools/call"}', b"\xff"):
        reply = await world.send("/mcp", body, headers=MODERN)
        assert "www-authenticate" not in reply.headers
