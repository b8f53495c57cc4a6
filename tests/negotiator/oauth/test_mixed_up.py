"""A code that one issuer gave is shown to no other, where issuers do not say whose their answers are (RFC 9700 4.4)."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from negotiator.oauth import AuthorizationUntrusted, Client
from negotiator.oauth.messages import own_redirect, read_redirect
from negotiator.oauth.metadata import ServerMetadata
from tests.negotiator.oauth.client_world import ClientWorld

pytestmark = pytest.mark.anyio

SILENT = {"authorization_response_iss_parameter_supported": None}
"""The metadata of an issuer whose answers do not say whose they are."""
BACK = "http://127.0.0.1:8765/callback"


def redirects(world: ClientWorld) -> list[str]:
    """Where people were to be sent back to, in the order in which they were asked."""
    return [asked["redirect_uri"] for _, path, asked in world.issuer.asked if path == "/authorize"]


async def test_an_issuer_that_does_not_name_itself_has_a_redirect_of_its_own() -> None:
    world = ClientWorld()
    world.issuer.metadata.update(SILENT)
    assert (await world.ask()).body == b"done"
    (redirect,) = redirects(world)
    assert redirect == own_redirect(BACK, world.issuer.url) != own_redirect(BACK, "https://second.example")
    registered = next(said for _, path, said in world.issuer.asked if path == "/register")
    assert registered["redirect_uris"] == [redirect]
    # Renewed, and asked again, it is the client that was registered with that redirect.
    world.clock.advance(3600)
    world.fresh()
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths().count("/register") == 1


async def test_one_that_names_itself_has_the_redirect_that_was_said() -> None:
    world = ClientWorld()
    assert (await world.ask()).body == b"done"
    assert redirects(world) == [BACK]


@pytest.mark.parametrize("honest", ["own", "plain", "theirs"])
async def test_a_code_of_another_issuer_is_not_shown_to_the_one_that_fetched_it(honest: str) -> None:
    """The issuer that a server names sends the person on to another one, whose client this agent is as well."""
    world = ClientWorld()
    world.issuer.metadata.update(SILENT)

    async def sent_on(url: str) -> str:
        asked = dict(parse_qsl(urlsplit(url).query))
        # The honest one sends people back to nowhere but where its client was registered, whatever it is asked for.
        known = {"own": own_redirect(BACK, "https://honest.example"), "plain": BACK, "theirs": BACK + "?issuer=x"}
        separator = "&" if "?" in known[honest] else "?"
        return known[honest] + separator + urlencode({"code": "of the honest one", "state": asked["state"]})

    world.fresh(authorize=sent_on)
    with pytest.raises(AuthorizationUntrusted, match="another"):
        await world.ask()
    assert "/token" not in world.issuer.paths()
    assert "of the honest one" not in str(world.issuer.asked)


async def test_two_that_were_registered_by_hand_for_one_redirect_are_not_told_apart_and_so_refused() -> None:
    world = ClientWorld()
    world.issuer.metadata.update(SILENT)
    world.issuer.clients["weather"] = None
    here, other = Client(id="weather"), Client(id="weather")
    world.fresh(clients={world.issuer.url: here, "https://second.example": other})
    with pytest.raises(AuthorizationUntrusted, match=r"Client\(redirect_uri=...\)"):
        await world.ask()
    assert "/authorize" not in world.issuer.paths()

    world.clock.advance(61)
    apart = Client(id="weather", redirect_uri=BACK + "/login")
    world.fresh(clients={world.issuer.url: apart, "https://second.example": other})
    assert (await world.ask()).body == b"done"
    assert redirects(world) == [BACK + "/login"]


async def test_one_that_was_registered_by_hand_alone_keeps_its_redirect() -> None:
    world = ClientWorld()
    world.issuer.metadata.update(SILENT)
    world.issuer.clients["weather"] = None
    robot = Client(id="robot", secret="s", grant="client_credentials")
    world.fresh(clients={world.issuer.url: Client(id="weather"), "https://second.example": robot})
    assert (await world.ask()).body == b"done"
    assert redirects(world) == [BACK]


async def test_a_client_metadata_document_is_not_used_where_answers_could_be_another_s() -> None:
    world = ClientWorld()
    world.issuer.metadata.update(SILENT, client_id_metadata_document_supported=True)
    world.fresh(metadata_url="https://me.example/client.json")
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/register", "/authorize", "/token"]
    assert redirects(world) == [own_redirect(BACK, world.issuer.url)]


def test_a_parameter_of_the_redirect_must_come_back_as_it_was() -> None:
    server, redirect = ServerMetadata(issuer="https://a.example"), own_redirect(BACK + "?x=1", "https://a.example")
    assert read_redirect(redirect + "&code=c&state=s", redirect_uri=redirect, state="s", server=server) == "c"
    other = own_redirect(BACK + "?x=1", "https://b.example")
    for wrong in (f"{BACK}?code=c&state=s", f"{BACK}?x=1&code=c&state=s", f"{other}&code=c&state=s"):
        with pytest.raises(AuthorizationUntrusted, match="another issuer's address"):
            read_redirect(wrong, redirect_uri=redirect, state="s", server=server)
