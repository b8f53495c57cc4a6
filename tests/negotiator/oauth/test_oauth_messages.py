import base64
import hashlib
import json
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import UsageError
from negotiator.oauth import AuthorizationNeeded, AuthorizationUntrusted, Client
from negotiator.oauth.asking import identified
from negotiator.oauth.messages import (
    Token,
    TokenDenied,
    authorization_url,
    method_for,
    read_redirect,
    read_registration,
    read_token,
    registration,
    scopes_to_ask,
)
from negotiator.oauth.metadata import ResourceMetadata, ServerMetadata
from tests.negotiator.oauth.issuer import Key, jwt

BACK = "http://127.0.0.1:8765/callback"
SERVER = ServerMetadata(
    issuer="https://login.example",
    authorization_endpoint="https://login.example/authorize?tenant=1",
    token_endpoint="https://login.example/token",
    authorization_response_iss_parameter_supported=True,
)
GOOD = {"code": "c", "state": "s", "iss": SERVER.issuer}


def asked(**more):
    terms = {
        "client_id": "me",
        "redirect_uri": BACK,
        "scopes": ("a", "b"),
        "state": "s",
        "verifier": "v" * 43,
        "resource": "https://a.example/mcp",
    }
    url = authorization_url(SERVER, **{**terms, **more})
    assert url.startswith("https://login.example/authorize?tenant=1&")
    return dict(parse_qsl(urlsplit(url).query))


def test_a_person_is_sent_with_a_challenge_a_state_and_the_resource():
    said = asked()
    proved = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()
    assert (said["code_challenge"], said["code_challenge_method"]) == (proved, "S256")
    assert (said["state"], said["resource"], said["scope"]) == ("s", "https://a.example/mcp", "a b")
    assert "v" * 43 not in said.values()
    assert "prompt" not in said
    assert asked(scopes=("a", "offline_access"))["prompt"] == "consent"
    assert "scope" not in asked(scopes=())


def back(**said):
    return f"{BACK}?{urlencode({name: value for name, value in said.items() if value is not None})}"


def test_the_code_is_read_from_an_answer_that_fits():
    assert read_redirect(back(**GOOD), redirect_uri=BACK, state="s", server=SERVER) == "c"


@pytest.mark.parametrize(
    "redirected",
    [
        back(**{**GOOD, "state": "t"}),
        back(**{**GOOD, "state": None}),
        back(**{**GOOD, "iss": None}),
        back(**{**GOOD, "iss": "https://evil.example"}),
        back(**{**GOOD, "iss": SERVER.issuer + "/"}),
        back(**{**GOOD, "code": None}),
        back(**GOOD) + "&code=d",
        back(**GOOD).replace("8765", "8766"),
        back(**GOOD).replace("/callback", "/other"),
        "not an address",
        "http://[",
    ],
)
def test_an_answer_that_does_not_fit_is_not_believed(redirected):
    with pytest.raises(AuthorizationUntrusted):
        read_redirect(redirected, redirect_uri=BACK, state="s", server=SERVER)


def test_a_no_is_told_and_only_from_whom_was_asked():
    no = {**GOOD, "code": None, "error": "access_denied"}
    with pytest.raises(AuthorizationNeeded, match="access_denied"):
        read_redirect(back(**no), redirect_uri=BACK, state="s", server=SERVER)
    with pytest.raises(AuthorizationUntrusted):
        read_redirect(back(**{**no, "iss": "https://evil.example"}), redirect_uri=BACK, state="s", server=SERVER)


@given(st.text(max_size=100))
def test_no_other_text_is_an_answer(text):
    with pytest.raises(AuthorizationUntrusted):
        read_redirect(text, redirect_uri=BACK, state="s", server=SERVER)


def token(status=200, **said):
    return read_token(status, json.dumps(said).encode(), now=100.0, asked=("a",), before="old")


def test_a_token_is_read_with_its_end_and_scopes():
    assert token(access_token="t", token_type="BEARER", expires_in=60) == Token(
        access="t", refresh="old", expires=160.0, scopes=("a",)
    )
    assert token(access_token="t", expires_in="60", scope="b c", refresh_token="new") == Token(
        access="t", refresh="new", expires=160.0, scopes=("b", "c")
    )
    assert token(access_token="t").expires is None


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nx: y"},
        {"access_token": 1},
        {"access_token": "t", "token_type": "DPoP"},
        {"access_token": "t" * 20_000},
    ],
)
def test_what_is_no_token_that_can_be_shown_is_refused(said):
    with pytest.raises(AuthorizationUntrusted):
        token(**said)


def test_a_refusal_is_told_by_its_word_and_holds_nothing_that_could_forge_a_line():
    with pytest.raises(TokenDenied) as denied:
        token(400, error="invalid_grant\nroot: hello")
    assert denied.value.error == "invalid_grant\nroot: hello"
    assert "\n" not in str(denied.value)


def test_secrets_are_not_printed():
    printed = repr(Token(access="SECRET", refresh="SECRET")) + repr(Client(id="me", secret="SECRET", key="SECRET"))
    assert "SECRET" not in printed


RESOURCE = ResourceMetadata(resource="https://a.example", scopes_supported=("r1", "r2"))
LASTING = SERVER.model_copy(update={"scopes_supported": ("r1", "offline_access")})


@pytest.mark.parametrize(
    ("challenged", "resource", "server", "before", "expected"),
    [
        (("c",), RESOURCE, SERVER, (), ("c",)),
        ((), RESOURCE, SERVER, (), ("r1", "r2")),
        ((), None, SERVER, (), ("own",)),
        (("c",), RESOURCE, SERVER, ("b", "c"), ("b", "c")),
        (("c",), RESOURCE, LASTING, (), ("c", "offline_access")),
    ],
)
def test_scopes_are_those_of_the_challenge_else_of_the_resource_and_stay_in_a_step_up(
    challenged, resource, server, before, expected
):
    assert scopes_to_ask(challenged, resource, server, before=before, otherwise=("own",)) == expected


def test_nothing_is_asked_for_where_nothing_is_named():
    assert scopes_to_ask((), None, LASTING) == ()


def test_a_client_is_native_where_the_person_comes_back_to_this_machine():
    made = registration(name="x", redirect_uri=BACK, scopes=(), method="none")
    assert (made["application_type"], made["redirect_uris"]) == ("native", [BACK])
    assert made["grant_types"] == ["authorization_code", "refresh_token"]
    web = registration(name="x", redirect_uri="https://a.example/back", scopes=("a",), method="none")
    assert (web["application_type"], web["scope"]) == ("web", "a")


def test_a_registration_is_read_or_told():
    said = {"client_id": "me", "client_secret": "s", "token_endpoint_auth_method": "client_secret_post"}
    assert read_registration(201, json.dumps(said).encode(), asked="none") == Client(
        id="me", secret="s", method="client_secret_post"
    )
    with pytest.raises(AuthorizationNeeded, match="invalid_redirect_uri"):
        read_registration(400, b'{"error": "invalid_redirect_uri"}', asked="none")
    with pytest.raises(AuthorizationUntrusted):
        read_registration(201, b"{}", asked="none")


def sent(client, **server):
    known = SERVER.model_copy(update=server)
    return identified({"a": "b"}, client, known, method=method_for(known, client), now=100.0, name="n")


def test_a_client_says_who_it_is_as_the_server_knows_it():
    secret = Client(id="m e", secret="s:%")
    headers, form = sent(secret)
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"m%20e:s%3A%25"
    assert form == {"a": "b", "client_id": "m e"}
    headers, form = sent(secret, token_endpoint_auth_methods_supported=("client_secret_post",))
    assert (form["client_id"], form["client_secret"]) == ("m e", "s:%")
    assert "authorization" not in headers
    headers, form = sent(Client(id="me"))
    assert form == {"a": "b", "client_id": "me"}
    with pytest.raises(AuthorizationNeeded):
        sent(secret, token_endpoint_auth_methods_supported=("tls_client_auth",))
    with pytest.raises(UsageError):
        sent(Client(id="me", method="client_secret_basic"))


def test_a_client_with_a_key_signs_for_the_issuer_alone():
    key = Key("k")
    _, form = sent(Client(id="me", key=key.pem, key_id="k"), token_endpoint_auth_methods_supported=("private_key_jwt",))
    said = jwt.decode(
        form["client_assertion"],
        key.private.public_key(),
        algorithms=["ES256"],
        audience=SERVER.issuer,
        options={"verify_exp": False},
    )
    assert (said["iss"], said["sub"], said["jti"], said["exp"] - said["iat"]) == ("me", "me", "n", 60)
    assert jwt.get_unverified_header(form["client_assertion"])["kid"] == "k"
    with pytest.raises(UsageError, match="cannot sign"):
        sent(Client(id="me", key="no key", method="private_key_jwt"))
