"""What cards ask of callers, ours and others', and how it is met."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent
from negotiator.dialects.a2a.card import read_card
from negotiator.dialects.a2a.security import NOTHING, Scheme, Security, chosen, read_security, write_security
from negotiator.identity import Authority, Identity, TrustPolicy
from negotiator.oauth import ProtectedResource
from negotiator.oauth.checker import TokenChecker
from negotiator.testing import VirtualClock
from negotiator.wire import WireRequest
from tests.negotiator.oauth import issuer as issuers

pytestmark = pytest.mark.anyio

HERE = "https://weather.example"
OAUTH = Scheme(
    kind="oauth2",
    token_url="https://login.example/token",
    authorization_url="https://login.example/authorize",
    s256=True,
    metadata_url="https://login.example/.well-known/oauth-authorization-server",
    scopes={"read": ""},
)
OPENID = Scheme(kind="openIdConnect", metadata_url="https://login.example/.well-known/openid-configuration")
BEARER = Scheme(kind="http", http="bearer")
OWN = Scheme(kind="oauth2", token_url="https://login.example/token", for_itself=True)
SECURITY = Security(
    schemes={"oauth": OAUTH, "openid": OPENID, "bearer": BEARER, "own": OWN},
    needs=({"oauth": ("read",)}, {"openid": ("a", "b"), "bearer": ()}),
)


def test_what_is_written_is_read_again_by_readers_of_either_version():
    said = json.loads(json.dumps(write_security(SECURITY)))
    assert read_security(said) == SECURITY
    wrapped = {"httpAuthSecurityScheme", "oauth2SecurityScheme", "openIdConnectSecurityScheme"}
    modern = {
        "securitySchemes": {
            name: {key: value for key, value in scheme.items() if key in wrapped}
            for name, scheme in said["securitySchemes"].items()
        },
        "securityRequirements": said["securityRequirements"],
    }
    earlier = {
        "securitySchemes": {
            name: {key: value for key, value in scheme.items() if key not in wrapped}
            for name, scheme in said["securitySchemes"].items()
        },
        "security": said["security"],
    }
    assert read_security(modern) == read_security(earlier) == SECURITY


def test_a_card_of_nothing_asks_for_nothing():
    assert write_security(NOTHING) == {}
    assert read_security({}) == NOTHING
    assert chosen(NOTHING, lambda _: False) == ()


def test_the_first_need_that_is_met_in_all_its_schemes_is_chosen():
    assert chosen(SECURITY, lambda scheme: scheme.kind == "oauth2") == ((OAUTH, ("read",)),)
    both = chosen(SECURITY, lambda scheme: scheme.kind != "oauth2")
    assert both == ((OPENID, ("a", "b")), (BEARER, ()))
    assert chosen(SECURITY, lambda scheme: scheme.kind == "http") is None
    unknown = Security(schemes={}, needs=({"missing": ()},))
    assert chosen(unknown, lambda _: True) is None


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "schemes", "list", "flows", "scheme", "tokenUrl", "oauth2SecurityScheme", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["securitySchemes", "securityRequirements", "security"]), ANY))
def test_cards_of_any_shape_are_read(found):
    security = read_security(found)
    assert chosen(security, lambda _: False) in (None, ())


class World:
    """An agent and its card, as anybody reads it."""

    def __init__(self, *, trust="anyone", tokens=True, identity=False, scopes=(), **metadata):
        self.clock = VirtualClock()
        self.issuer = issuers.Issuer(clock=self.clock, metadata=metadata)
        resource = ProtectedResource(url=HERE, issuers=(self.issuer.url,), scopes=scopes) if tokens else None
        self.agent = Agent(
            state="memory",
            publish="all",
            clock=self.clock,
            resource=resource,
            identity=Identity.in_memory(HERE) if identity else None,
            trust=TrustPolicy(callers=trust),
            authority=Authority().asking("book", "weather:book"),
        )
        if resource is not None:
            self.agent._tokens = TokenChecker(
                resource, self.issuer.exchange, self.clock, lambda: "n", scopes=("weather:book",)
            )

        @self.agent.tool(public=True)
        def book(room: str) -> str:
            """Book a room."""
            return room

        @self.agent.tool(effect="safe")
        def forecast(city: str) -> str:
            """Say the weather."""
            return city

    async def card(self, token=None):
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        request = WireRequest(method="GET", path="/.well-known/agent-card.json", headers=headers, base=HERE)
        reply = await self.agent.handler()(request)
        assert reply.status == 200
        return reply.body


async def test_an_agent_that_proves_nothing_and_asks_nothing_says_nothing_of_it():
    said = json.loads(await World(tokens=False).card())
    assert not {"securitySchemes", "securityRequirements", "security"} & set(said)


async def test_an_agent_that_hears_anyone_says_what_it_takes_and_asks_for_it_where_a_tool_does():
    world = World(identity=True)
    said = json.loads(await world.card())
    assert set(said["securitySchemes"]) == {"signature", "oauth1", "bearer"}
    assert said["securitySchemes"]["signature"]["httpAuthSecurityScheme"]["scheme"] == "DIDWba"
    flow = said["securitySchemes"]["oauth1"]["flows"]["authorizationCode"]
    assert flow == {
        "authorizationUrl": "https://login.example/authorize",
        "tokenUrl": "https://login.example/token",
        "scopes": {"weather:book": ""},
        "pkceRequired": True,
    }
    assert "securityRequirements" not in said
    needs = {skill["id"]: skill.get("security") for skill in said["skills"]}
    assert needs["forecast"] is None
    assert needs["book"] == [{"signature": []}, {"oauth1": ["weather:book"]}, {"bearer": []}]
    fetched = len(world.issuer.asked)
    await world.card()
    assert len(world.issuer.asked) == fetched


async def test_an_agent_that_wants_proof_says_which_and_tells_strangers_no_more():
    world = World(trust="authenticated", scopes=("weather",))
    card = read_card(await world.card())
    assert card.security.needs == ({"oauth1": ("weather",)}, {"bearer": ()})
    assert (card.skills, card.documents) == ((), {})
    known = read_card(await world.card(world.issuer.token(HERE, scope="weather")))
    assert {skill.id for skill in known.skills} == {"book", "forecast"}
    assert known.security == card.security


async def test_an_agent_that_takes_signatures_alone_names_no_other_scheme():
    said = json.loads(await World(trust="authenticated", tokens=False, identity=True).card())
    assert said["security"] == [{"signature": []}]
    assert set(said["securitySchemes"]) == {"signature"}


async def test_an_issuer_that_is_down_leaves_the_bearer_token():
    world = World(issuer="https://evil.example")
    said = json.loads(await world.card())
    assert set(said["securitySchemes"]) == {"bearer"}
