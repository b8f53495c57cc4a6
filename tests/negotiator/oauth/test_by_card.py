"""Tokens for agents whose card says where they are had, and that say nothing else of themselves."""

import pytest

from negotiator.clock import Deadline
from negotiator.dialects.a2a.security import NOTHING, Scheme, Security
from negotiator.oauth import AuthorizationNeeded, AuthorizationUntrusted, Client
from tests.negotiator.oauth.client_world import METADATA, URL, ClientWorld

pytestmark = pytest.mark.anyio

TOKEN = "https://login.example/token"
OWN = Scheme(kind="oauth2", token_url=TOKEN, for_itself=True)
CODE = Scheme(kind="oauth2", token_url=TOKEN, authorization_url="https://login.example/authorize", s256=True)
STATED = Scheme(kind="oauth2", metadata_url="https://login.example/.well-known/oauth-authorization-server")
ROBOT = Client(id="robot", secret="s", grant="client_credentials")
PERSON = Client(id="me", secret="s")


def asked(scheme, *scopes):
    return Security(schemes={"it": scheme}, needs=({"it": scopes},))


def world_of(client=ROBOT, **options):
    world = ClientWorld(options={"clients": {"https://login.example": client}, **options})
    world.issuer.clients = {"robot": "s", "me": "s"}
    del world.issuer.others[METADATA]
    world.issuer.others["https://tools.example/there"] = {}
    world.server.named = False
    return world


async def prepared(world, security, *, signed=False):
    await world.authorizer.prepare(URL, security, Deadline.after(30, world.clock), signed=signed)
    return await world.ask()


@pytest.mark.parametrize(("scheme", "client"), [(OWN, ROBOT), (CODE, PERSON), (STATED, ROBOT), (STATED, PERSON)])
async def test_a_token_is_had_where_the_card_says_and_renewed_there(scheme, client):
    world = world_of(client)
    assert (await prepared(world, asked(scheme, "read"))).body == b"done"
    form = next(form for _, path, form in world.issuer.asked if path in ("/authorize", "/token"))
    assert form["scope"] == "read"
    assert None not in world.tokens
    world.clock.advance(3600)
    before = world.issuer.paths().count("/authorize")
    assert (await world.ask()).body == b"done"
    assert world.tokens[-1] != world.tokens[-2]
    assert world.issuer.paths().count("/authorize") == before


async def test_what_an_agent_says_of_itself_comes_before_its_card():
    world = world_of()
    world.issuer.others[METADATA] = world.resource
    evil = Scheme(kind="oauth2", token_url="https://evil.example/token", for_itself=True)
    assert (await prepared(world, asked(evil))).headers["x-audience"] == URL


async def test_a_secret_goes_to_no_issuer_that_a_card_makes_up():
    world = world_of(authorize=None)
    evil = Scheme(kind="oauth2", token_url="https://evil.example/token", for_itself=True)
    with pytest.raises(AuthorizationNeeded):
        await prepared(world, asked(evil))
    assert [url for url in world.fetched if "evil" in url] == []


async def test_codes_that_are_bound_to_nobody_are_not_asked_for():
    loose = Scheme(kind="oauth2", token_url=TOKEN, authorization_url="https://login.example/authorize")
    world = world_of(PERSON)
    with pytest.raises(AuthorizationUntrusted, match="PKCE"):
        await prepared(world, asked(loose))
    assert "/authorize" not in world.issuer.paths()


async def test_metadata_of_another_than_the_card_names_are_not_believed():
    world = world_of()
    place = "https://tools.example/.well-known/oauth-authorization-server"
    world.issuer.others[place] = world.issuer.says()
    with pytest.raises(AuthorizationUntrusted):
        await prepared(world, asked(Scheme(kind="oauth2", metadata_url=place)))


async def test_of_what_a_card_takes_what_is_at_hand_is_chosen():
    bearer, signature = Scheme(kind="http", http="bearer"), Scheme(kind="http", http="didwba")
    world = world_of()
    both = Security(schemes={"b": bearer, "s": signature, "o": OWN}, needs=({"b": ()}, {"s": ()}, {"o": ()}))
    await world.authorizer.prepare(URL, both, Deadline.after(30, world.clock), signed=True)
    assert world.fetched == []
    assert (await prepared(world, both)).body == b"done"
    assert "/token" in world.issuer.paths()
    token = world.issuer.token(URL, scope="")
    world.fresh(tokens={URL: token})
    assert (await prepared(world, asked(bearer))).body == b"done"
    assert world.tokens[-1] == token


@pytest.mark.parametrize("kind", ["apiKey", "mutualTLS", "http"])
async def test_what_nobody_here_has_is_said(kind):
    with pytest.raises(AuthorizationNeeded, match=kind):
        await prepared(world_of(), asked(Scheme(kind=kind)))


async def test_a_card_that_asks_for_nothing_needs_nothing():
    world = world_of()
    await world.authorizer.prepare(URL, NOTHING, Deadline.after(30, world.clock), signed=False)
    assert world.fetched == []
