import asyncio
import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import Overloaded, UsageError
from negotiator.identity import Revocations
from negotiator.oauth import Client, Issuer, ProtectedResource, TokenRefused
from negotiator.oauth.checker import TokenChecker
from negotiator.oauth.claims import Grant, read_claims
from negotiator.oauth.jose import ALGORITHMS
from negotiator.testing import VirtualClock
from protocol_docs import MemoryTextStore
from protocol_docs.errors import SourceUnreachable
from tests.negotiator.oauth import issuer as issuers
from tests.negotiator.oauth.issuer import jwt

pytestmark = pytest.mark.anyio

HERE = "https://weather.example"
KEY = issuers.Key("one")


class World:
    """A checker, the issuer whose tokens it takes, and what it fetched."""

    def __init__(self, **options):
        self.clock = VirtualClock()
        self.issuer = issuers.Issuer(clock=self.clock)
        self.revocations = Revocations(MemoryTextStore())
        self.down = False
        terms = {"url": HERE, "issuers": (self.issuer.url,), **options}
        self.checker = TokenChecker(
            ProtectedResource(**terms), self.exchange, self.clock, lambda: "name", revocations=self.revocations
        )

    async def exchange(self, method, url, **more):
        if self.down:
            raise SourceUnreachable("it is down")
        return await self.issuer.exchange(method, url, **more)

    async def refused(self, token):
        with pytest.raises(TokenRefused) as refused:
            await self.checker.check(token)
        return refused.value


@pytest.fixture
def world():
    return World()


async def test_a_token_of_the_issuer_for_this_agent_names_a_principal_and_its_scopes(world):
    grant = await world.checker.check(world.issuer.token(HERE, "alice", scope="a b", client_id="app"))
    assert grant.principal == "oauth:https://login.example#alice"
    assert (grant.scopes, grant.client) == ({"a", "b"}, "app")
    assert world.issuer.paths() == ["/jwks"]
    await world.checker.check(world.issuer.token([f"{HERE}/mcp", "https://other.example"], scp=["c"]))
    assert world.issuer.paths() == ["/jwks"]


@pytest.mark.parametrize(
    ("audience", "claims"),
    [
        ("https://other.example", {}),
        (f"{HERE}.evil.example", {}),
        (f"{HERE}/", None),
        ([], {}),
        (None, {}),
        ({"a": HERE}, {}),
        (HERE, {"exp": None}),
        (HERE, {"exp": "tomorrow"}),
        (HERE, {"exp": True}),
        (HERE, {"exp": 1_700_000_000}),
        (HERE, {"nbf": 1_900_000_000}),
        (HERE, {"iat": 1_900_000_000}),
        (HERE, {"sub": None}),
        (HERE, {"sub": ""}),
        (HERE, {"sub": "a\nb"}),
        (HERE, {"sub": "x" * 300}),
        (HERE, {"iss": "https://evil.example"}),
        (HERE, {"iss": "https://login.example/"}),
        (HERE, {"iss": None}),
    ],
)
async def test_a_token_for_somebody_else_or_another_time_or_of_another_is_refused(world, audience, claims):
    token = world.issuer.token(audience, **(claims or {}))
    if claims is None:
        assert (await world.checker.check(token)).subject == "alice"
    else:
        assert (await world.refused(token)).error == "invalid_token"


async def test_a_token_ends_with_its_time_but_for_the_difference_of_clocks(world):
    token = world.issuer.token(HERE)
    world.clock.advance(629)
    await world.checker.check(token)
    world.clock.advance(2)
    assert "expired" in str(await world.refused(token))


def forged(header, claims, key=KEY):
    """A token with any header, signed where the key can."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    signing = ".".join(parts)
    made = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).sign(signing.encode(), key.private)
    return f"{signing}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "kid": "one"},
        {"alg": "HS256", "kid": "one"},
        {"alg": "RS256", "kid": "one"},
        {"alg": "ES384", "kid": "one"},
        {"alg": ["ES256"], "kid": "one"},
        {"kid": "one"},
        {"alg": "ES256", "kid": "two"},
        {"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1},
        {"alg": "ES256", "kid": "one", "b64": False},
        {"alg": "ES256", "kid": "one", "typ": "dpop+jwt"},
        {"alg": "ES256", "kid": "one", "typ": 1},
    ],
)
async def test_a_header_that_is_not_taken_is_refused_though_the_signature_holds(world, header):
    world.issuer.keys = [KEY]
    claims = {"iss": world.issuer.url, "sub": "alice", "aud": HERE, "exp": 1_900_000_000}
    await world.checker.check(forged({"alg": "ES256", "kid": "one"}, claims))
    assert (await world.refused(forged(header, claims))).error == "invalid_token"


async def test_a_secret_of_everybody_signs_nothing(world):
    """A public key is public: a MAC with it proves nothing."""
    await world.checker.check(world.issuer.token(HERE))
    claims = {"iss": world.issuer.url, "sub": "alice", "aud": HERE, "exp": 1_900_000_000}
    mac = jwt.encode(claims, "a" * 64, algorithm="HS256", headers={"kid": "one"})
    assert (await world.refused(mac)).error == "invalid_token"


async def test_a_key_of_another_with_the_same_name_proves_nothing(world):
    stranger = issuers.Key("one")
    assert (await world.refused(world.issuer.token(HERE, key=stranger))).error == "invalid_token"


async def test_a_token_changed_in_one_place_is_refused(world):
    head, claims, signature = world.issuer.token(HERE).split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**said, "sub": "root"}).encode()).rstrip(b"=").decode()
    for token in (f"{head}.{other}.{signature}", f"{head}.{claims}.", f"{head}.{claims}", f"{head}.{claims}.AAAA"):
        assert (await world.refused(token)).error == "invalid_token"


async def test_a_new_key_is_seen_at_once_and_names_that_are_made_up_fetch_nothing_more(world):
    await world.checker.check(world.issuer.token(HERE))
    world.clock.advance(16)
    new = issuers.Key("two")
    world.issuer.keys.append(new)
    assert (await world.checker.check(world.issuer.token(HERE, key=new))).subject == "alice"
    for number in range(20):
        await world.refused(world.issuer.token(HERE, key=issuers.Key(f"made-up-{number}")))
    assert world.issuer.paths() == ["/jwks", "/jwks"]


async def test_a_key_that_was_withdrawn_is_taken_for_five_minutes_at_most(world):
    token = world.issuer.token(HERE)
    await world.checker.check(token)
    world.issuer.keys = [issuers.Key("two")]
    world.clock.advance(301)
    assert (await world.refused(token)).error == "invalid_token"


async def test_an_issuer_that_is_down_is_no_reason_to_believe_or_to_refuse(world):
    world.down = True
    with pytest.raises(Overloaded):
        await world.checker.check(world.issuer.token(HERE))
    world.down = False
    with pytest.raises(Overloaded):
        await world.checker.check(world.issuer.token(HERE))
    world.clock.advance(16)
    assert (await world.checker.check(world.issuer.token(HERE))).subject == "alice"
    world.clock.advance(301)
    world.down = True
    for _ in range(2):
        with pytest.raises(Overloaded):
            await world.checker.check(world.issuer.token(HERE))


async def test_a_principal_that_was_revoked_is_refused(world):
    await world.checker.check(world.issuer.token(HERE, "mallory"))
    world.revocations.revoke("oauth:https://login.example#mallory")
    await world.refused(world.issuer.token(HERE, "mallory"))
    await world.checker.check(world.issuer.token(HERE, "alice"))


async def test_every_token_must_have_what_the_agent_asks_of_all():
    world = World(scopes=("weather",))
    refused = await world.refused(world.issuer.token(HERE, scope="other"))
    assert (refused.error, refused.scopes) == ("insufficient_scope", ("weather",))
    await world.checker.check(world.issuer.token(HERE, scope="other weather"))


async def test_no_issuer_is_asked_about_a_token_of_another(world):
    for token in (world.issuer.token(HERE, iss="https://evil.example"), "opaque", "a.b.c", "x" * 20_000, "a b"):
        await world.refused(token)
    assert world.issuer.asked == []


# --- tokens that their issuer is asked about ---


def asking(**options):
    issuer = Issuer(url="https://login.example", client=Client(id="weather", secret="s"), **options)
    world = World(issuers=(issuer,))
    world.issuer.clients["weather"] = "s"
    return world


async def test_a_token_that_says_nothing_is_asked_about_and_the_answer_holds_for_a_while():
    world = asking()
    world.issuer.others["opaque"] = {"active": True, "sub": "alice", "aud": HERE, "scope": "a"}
    for _ in range(3):
        assert (await world.checker.check("opaque")).principal == "oauth:https://login.example#alice"
    assert world.issuer.paths() == ["/introspect"]
    world.clock.advance(31)
    world.issuer.others["opaque"] = {"active": False}
    assert (await world.refused("opaque")).error == "invalid_token"


@pytest.mark.parametrize(
    "said",
    [
        {"active": False},
        {"active": "true", "sub": "alice", "aud": HERE},
        {"active": True, "sub": "alice"},
        {"active": True, "sub": "alice", "aud": "https://other.example"},
        {"active": True, "sub": "alice", "aud": HERE, "iss": "https://evil.example"},
        {"active": True, "sub": "alice", "aud": HERE, "exp": 1_700_000_000},
        {"active": True, "aud": HERE},
        {},
    ],
)
async def test_the_word_of_an_issuer_is_held_to_the_same(said):
    world = asking()
    world.issuer.others["opaque"] = said
    assert (await world.refused("opaque")).error == "invalid_token"


async def test_an_issuer_that_does_not_know_us_is_no_answer():
    world = asking()
    world.issuer.clients.clear()
    with pytest.raises(Overloaded):
        await world.checker.check("opaque")


async def test_however_many_tokens_strangers_show_an_issuer_is_asked_about_a_few_at_a_time():
    world = asking()
    world.issuer.others["opaque"] = {"active": True, "sub": "alice", "aud": HERE}
    answers, asked = asyncio.Event(), []
    exchange = world.issuer.exchange

    async def slow(method, url, **more):
        if method == "POST":
            asked.append(url)
            await answers.wait()
        return await exchange(method, url, **more)

    world.issuer.exchange = slow
    shown = [asyncio.create_task(world.checker.check(f"made-up-{number}")) for number in range(100)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(asked) == 16
    assert [type(each.exception()) for each in shown if each.done()] == [Overloaded] * 84
    answers.set()
    ended = await asyncio.gather(*shown, return_exceptions=True)
    assert sum(isinstance(each, TokenRefused) for each in ended) == 16
    assert (await world.checker.check("opaque")).subject == "alice"


# --- what may be said at all ---


@pytest.mark.parametrize(
    "terms",
    [
        {"url": "http://weather.example"},
        {"url": "https://weather.example/"},
        {"issuers": ()},
    ],
)
def test_terms_that_protect_nothing_are_refused(terms):
    with pytest.raises(UsageError):
        ProtectedResource(**{"url": HERE, "issuers": ("https://login.example",), **terms})


def test_only_algorithms_of_public_keys_can_be_named():
    assert not [each for each in ALGORITHMS if each.startswith("HS") or each == "none"]
    for algorithms in (("HS256",), ("none",), ()):
        with pytest.raises(UsageError):
            Issuer(url="https://login.example", algorithms=algorithms)


SUBJECTS = st.text(min_size=1, max_size=20).filter(str.isprintable)


@given(SUBJECTS, SUBJECTS)
def test_no_two_subjects_have_one_name(one, other):
    names = {Grant(issuer="https://a.example", subject=each, expires=0.0).principal for each in (one, other)}
    assert len(names) == len({one, other})


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub", "scope", "client_id"]), ANY))
def test_claims_of_any_shape_are_refused_unless_they_say_all_that_is_needed(claims):
    try:
        grant = read_claims(claims, issuer="https://a.example", audiences={HERE}, now=1_800_000_000.0)
    except TokenRefused:
        return
    assert claims["iss"] == "https://a.example"
    assert claims["exp"] > 1_799_999_000
    assert grant.subject in (claims.get("sub"), claims.get("client_id"))
