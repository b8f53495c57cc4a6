import asyncio
import logging
import os
import stat

import pytest

from negotiator.clock import Deadline
from negotiator.errors import UsageError
from negotiator.oauth import AuthorizationNeeded, AuthorizationUntrusted, Client, OAuthClient
from negotiator.oauth.transport import wanted
from negotiator.state import open_state
from negotiator.wire import WireReply
from tests.negotiator.oauth.client_world import METADATA, URL, ClientWorld

pytestmark = pytest.mark.anyio


@pytest.fixture
def world():
    return ClientWorld()


async def test_a_server_that_asks_for_a_token_gets_one_made_for_it(world):
    reply = await world.ask()
    assert (reply.body, reply.headers["x-audience"]) == (b"done", URL)
    assert world.issuer.paths() == ["/register", "/authorize", "/token"]
    _, _, asked = world.issuer.asked[-2]
    assert asked["resource"] == URL
    assert await world.ask() == reply
    assert world.issuer.paths() == ["/register", "/authorize", "/token"]
    assert world.tokens[0] is None
    assert world.tokens[1] == world.tokens[2] is not None


async def test_another_process_that_shares_the_state_asks_nobody(world):
    await world.ask()
    world.fresh(authorize=None)
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths().count("/authorize") == 1


async def test_a_token_is_renewed_before_it_ends_and_nobody_is_asked(world):
    await world.ask()
    world.clock.advance(3600 - 20)
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/register", "/authorize", "/token", "/token"]
    assert world.tokens[-1] != world.tokens[-2]
    # The refresh token was used up and another kept in its place.
    world.clock.advance(3600)
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths().count("/authorize") == 1


async def test_a_token_that_is_refused_is_renewed_and_where_that_is_refused_too_a_person_is_asked(world):
    await world.ask()
    world.server.refuses.add(world.tokens[-1])
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths()[3:] == ["/token"]
    world.server.refuses.add(world.tokens[-1])
    world.issuer.refreshes.clear()
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths()[4:] == ["/token", "/authorize", "/token"]


async def test_a_step_up_keeps_what_was_asked_for_before(world):
    world.resource["scopes_supported"] = ["read"]
    world.server.scopes["/write"] = "write"
    await world.ask()
    assert (await world.ask("/write")).body == b"done"
    asked = [form["scope"] for _, path, form in world.issuer.asked if path == "/authorize"]
    assert asked == ["read", "read write"]


async def test_a_step_up_that_would_change_nothing_is_not_tried_again(world):
    world.server.scopes["/admin"] = "admin"
    deny = world.issuer.says_yes

    async def grudging(url):
        return await deny(url.replace("admin", "less"))

    world.fresh(authorize=grudging)
    with pytest.raises(AuthorizationNeeded):
        await world.ask("/admin")
    with pytest.raises(AuthorizationNeeded):
        await world.ask("/admin")
    assert world.issuer.paths().count("/authorize") == 2
    assert (await world.ask()).body == b"done"


async def test_an_answer_of_another_issuer_is_not_believed_and_nobody_is_asked_twice(world):
    world.issuer.says_issuer = "https://evil.example"
    with pytest.raises(AuthorizationUntrusted):
        await world.ask()
    with pytest.raises(AuthorizationNeeded):
        await world.ask()
    assert "/token" not in world.issuer.paths()
    assert world.issuer.paths().count("/authorize") == 1
    world.issuer.says_issuer = None
    world.clock.advance(61)
    assert (await world.ask()).body == b"done"


async def test_a_resource_that_is_another_gets_nothing(world):
    world.resource["resource"] = "https://evil.example/mcp"
    with pytest.raises(AuthorizationUntrusted):
        await world.ask()
    assert world.issuer.asked == []


async def test_a_server_that_does_not_know_pkce_is_asked_for_nothing(world):
    world.issuer.metadata["code_challenge_methods_supported"] = None
    with pytest.raises(AuthorizationUntrusted, match="PKCE"):
        await world.ask()
    assert "/authorize" not in world.issuer.paths()


async def test_a_token_is_shown_to_no_other_server(world):
    await world.ask()
    held = world.tokens[-1]
    assert held is not None
    for url in ("https://tools.example/other", "https://tools.example:444/mcp", "https://evil.example/mcp"):
        with pytest.raises((AuthorizationNeeded, AuthorizationUntrusted)):
            await world.ask(url=url)
    assert [url for url, token in world.server.shown if token == held] == [URL]
    with pytest.raises(AuthorizationNeeded, match="https"):
        await world.ask(url="http://tools.example/mcp")


async def test_what_one_issuer_calls_a_client_is_told_to_no_other(world):
    await world.ask()
    first = world.issuer
    world.issuer = type(first)(url="https://second.example", clock=world.clock)
    world.issuer.others = first.others
    world.resource["authorization_servers"] = [world.issuer.url]
    world.server.refuses.add(world.tokens[-1])
    world.fresh()
    before = len(first.asked)
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/register", "/authorize", "/token"]
    assert len(first.asked) == before


async def test_a_client_that_is_known_already_registers_nowhere(world):
    world.issuer.clients["weather"] = "s e"
    world.fresh(clients={world.issuer.url: Client(id="weather", secret="s e")})
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/authorize", "/token"]


async def test_a_client_with_a_document_of_its_own_is_called_by_its_address(world):
    world.issuer.metadata["client_id_metadata_document_supported"] = True
    world.fresh(metadata_url="https://me.example/client.json")
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/authorize", "/token"]
    assert world.issuer.asked[-2][2]["client_id"] == "https://me.example/client.json"


@pytest.mark.parametrize("place", ["https://login.example", URL])
async def test_a_client_that_acts_for_itself_asks_nobody(world, place):
    key = world.issuer.keys[0].pem
    client = Client(id="robot", key=key, grant="client_credentials", scopes=("a",))
    world.fresh(authorize=None, clients={place: client})
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/token"]
    assert world.issuer.asked[-1][2]["scope"] == "a"


async def test_a_client_for_one_server_is_told_to_no_other(world):
    client = Client(id="robot", secret="s", grant="client_credentials")
    world.fresh(authorize=None, clients={"https://other.example/mcp": client})
    with pytest.raises(AuthorizationNeeded, match="nobody can be asked"):
        await world.ask()
    assert world.issuer.paths() == []


async def test_a_client_gets_no_token_for_a_server_that_only_says_it_takes_its_issuers(world):
    world.issuer.clients["robot"] = "s"
    client = Client(id="robot", secret="s", grant="client_credentials", servers=("https://mine.example",))
    world.fresh(authorize=None, clients={world.issuer.url: client})
    with pytest.raises(AuthorizationNeeded, match="for other servers"):
        await world.ask()
    assert world.issuer.paths() == []
    world.clock.advance(61)
    here = Client(
        id="robot", secret="s", grant="client_credentials", servers=("https://mine.example", "https://tools.example")
    )
    world.fresh(authorize=None, clients={world.issuer.url: here})
    assert (await world.ask()).body == b"done"
    assert world.issuer.paths() == ["/token"]


async def test_a_token_that_was_had_elsewhere_is_shown_where_it_is_for(world):
    token = world.issuer.token(URL, scope="")
    world.fresh(authorize=None, tokens={URL: token})
    assert (await world.ask()).body == b"done"
    assert world.fetched == []
    world.server.refuses.add(token)
    with pytest.raises(AuthorizationNeeded, match="does not take"):
        await world.ask()
    with pytest.raises(UsageError):
        OAuthClient(tokens={"http://tools.example/mcp": token})


async def test_a_server_that_says_nothing_of_itself_is_its_own_authorization_server():
    world = ClientWorld()
    world.server.named = False
    origin = "https://tools.example"
    world.issuer.url = origin
    world.issuer.others.clear()
    assert (await world.ask()).headers["x-audience"] == ""
    assert world.issuer.paths() == ["/register", "/authorize", "/token"]
    assert "resource" not in world.issuer.asked[-1][2]


async def test_requests_that_knock_together_ask_a_person_once(world):
    replies = await asyncio.gather(*(world.ask() for _ in range(5)))
    assert {reply.body for reply in replies} == {b"done"}
    assert world.issuer.paths().count("/authorize") == 1


async def test_a_request_ends_by_its_deadline_and_the_answer_that_comes_later_is_kept(world):
    asked, said = asyncio.Event(), asyncio.Event()

    async def slow(url):
        asked.set()
        await said.wait()
        return await world.issuer.says_yes(url)

    world.fresh(authorize=slow)
    with world.clock.driving():
        asking = asyncio.ensure_future(world.ask())
        await asked.wait()
        world.clock.advance(31)
        with pytest.raises(AuthorizationNeeded, match="still being waited for"):
            await asking
        said.set()
        assert (await world.ask()).body == b"done"
    assert world.issuer.paths().count("/authorize") == 1


async def test_what_is_under_way_ends_with_the_agent(world):
    asked = asyncio.Event()

    async def never(url):
        asked.set()
        await asyncio.Event().wait()
        return url

    world.fresh(authorize=never)
    asking = asyncio.ensure_future(world.ask())
    await asked.wait()
    await world.authorizer.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_no_secret_is_logged_or_told(world, caplog):
    caplog.set_level(logging.DEBUG)
    await world.ask()
    world.server.refuses.add(world.tokens[-1])
    world.issuer.metadata["token_endpoint"] = "https://login.example/none"
    world.fresh()
    with pytest.raises((AuthorizationNeeded, AuthorizationUntrusted)) as told:
        await world.ask()
    secrets = {token for token in world.tokens if token} | set(world.issuer.refreshes) | set(world.issuer.codes)
    assert secrets
    text = caplog.text + str(told.value) + repr(world.authorizer)
    assert not [secret for secret in secrets if secret in text]


async def test_what_is_kept_on_disk_is_closed_to_others(tmp_path):
    pytest.importorskip("diskcache")
    old = os.umask(0)
    try:
        state = open_state(tmp_path / "state")
        world = ClientWorld(store=state.text)
        await world.ask()
    finally:
        os.umask(old)
    places = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    assert any(world.tokens[-1].encode() in path.read_bytes() for path in places if path.is_file())
    reached = [path for path in places if not path.is_dir() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    holding = [path for path in reached if not any(above.stat().st_mode & 0o077 == 0 for above in path.parents)]
    assert holding == []
    assert stat.S_IMODE((tmp_path / "state" / "store").stat().st_mode) == 0o700


async def test_a_caller_that_brings_its_own_authorization_is_left_alone(world):
    await world.ask()
    own = world.issuer.token(URL, scope="own")
    await world.ask(headers={"authorization": f"Bearer {own}"})
    assert world.tokens[-1] == own


@pytest.mark.parametrize(
    ("status", "said", "asks"),
    [
        (401, None, True),
        (401, "Bearer", True),
        (401, 'DIDWba realm="x", Bearer error="invalid_token"', True),
        (401, 'DIDWba realm="x"', False),
        (401, 'Basic realm="x"', False),
        (403, 'Bearer error="insufficient_scope"', True),
        (403, "Bearer", False),
        (403, None, False),
        (200, "Bearer", False),
        (500, "Bearer", False),
    ],
)
def test_only_what_a_token_helps_against_asks_for_one(status, said, asks):
    headers = {} if said is None else {"www-authenticate": said}
    assert (wanted(WireReply(status=status, headers=headers)) is not None) is asks


async def test_metadata_that_the_challenge_names_are_the_only_ones_that_are_read(world):
    await world.ask()
    assert [url for url in world.fetched if "protected-resource" in url] == [METADATA]
    deadline = Deadline.after(1, world.clock)
    assert await world.authorizer.token(URL, deadline) == world.tokens[-1]
