"""OAuth's messages as a client writes and reads them (OAuth 2.1, RFC 7591, RFC 7636, RFC 8707, RFC 9207). Pure.

Time, and what must be unguessable, are handed in.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from negotiator.dialects.json_body import read_object
from negotiator.identity.ed25519 import to_base64url
from negotiator.jsonvalue import JsonObject
from negotiator.loopback import is_loopback
from negotiator.oauth.errors import AuthorizationNeeded, AuthorizationUntrusted
from negotiator.oauth.metadata import ResourceMetadata, ServerMetadata

AuthMethod: TypeAlias = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]
"""How a client says at the token endpoint who it is."""
Form: TypeAlias = dict[str, str]

OFFLINE: Final = "offline_access"
"""The scope that asks for a refresh token (OpenID Connect Core 11)."""
MAX_TOKEN: Final = 16_384
"""Characters of a token."""
_MAX_LIFE: Final = 10 * 365 * 86_400.0
_OK: Final = (200, 201)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What an authorization server gave. Neither of its secrets is ever printed."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    expires: float | None = None
    """Unix seconds; None where it was not said."""
    scopes: tuple[str, ...] = ()
    """What it is good for, as far as that was said; else what was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client as an authorization server knows it.

    Example:
        ```python
        OAuthClient(clients={"https://login.example": Client(id="weather", secret=read_secret())})
        ```
    """

    id: str
    secret: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    """A private key in PEM, whose holder it proves to be (`private_key_jwt`, RFC 7523)."""
    key_id: str | None = None
    algorithm: str = "ES256"
    """Of the signatures with `key`."""
    method: AuthMethod | None = None
    """How it says who it is; what the server knows best, where not said."""
    grant: Literal["authorization_code", "client_credentials"] = "authorization_code"
    """For a person who says yes, or for itself."""
    redirect_uri: str | None = None
    """Where people are sent back to, as it was registered; that of `OAuthClient`, where not given. An issuer whose
    answers do not say whose they are (RFC 9207) must have one of its own, where there are several."""
    scopes: tuple[str, ...] = ()
    """What to ask for, where a server does not say what it wants."""
    servers: tuple[str, ...] = ()
    """The addresses of the servers that its tokens may be asked for and shown to; where none is named, whichever says
    that it takes this issuer's. Anybody can say so: where the issuer does not bind its tokens to one server (RFC 8707),
    a client that acts for itself should name them."""


class TokenDenied(AuthorizationNeeded):
    """The token endpoint gave no token; `error` is its word for why (RFC 6749 5.2)."""

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message)
        self.error = error


def scopes_to_ask(
    challenged: Sequence[str],
    resource: ResourceMetadata | None,
    server: ServerMetadata,
    *,
    before: Sequence[str] = (),
    otherwise: Sequence[str] = (),
    lasting: bool = True,
) -> tuple[str, ...]:
    """What to ask for: what the challenge names, else what the resource lists, else `otherwise`.

    `before` was asked for already and stays (a step up takes nothing away). `lasting` asks for a refresh token too,
    where the server knows that scope, and unless there is nothing else to ask for: then it has a default of its own.
    """
    listed = () if resource is None else resource.scopes_supported or ()
    wanted = [*before, *(challenged or listed or otherwise)]
    if wanted and lasting and OFFLINE in (server.scopes_supported or ()):
        wanted.append(OFFLINE)
    return tuple(dict.fromkeys(wanted))


def challenge_of(verifier: str) -> str:
    """PKCE's challenge for a verifier of 43 to 128 characters, S256 (RFC 7636 4.2)."""
    return to_base64url(sha256(verifier.encode("ascii")).digest())


def authorization_url(
    server: ServerMetadata,
    *,
    client_id: str,
    redirect_uri: str,
    scopes: Sequence[str],
    state: str,
    verifier: str,
    resource: str | None,
) -> str:
    """Where the person goes who is to say yes. Raises `AuthorizationUntrusted` where there is no such place."""
    if server.authorization_endpoint is None:
        raise AuthorizationUntrusted(f"the authorization server {server.issuer} asks nobody: it has no such endpoint")
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
    }
    if scopes:
        asked["scope"] = " ".join(scopes)
    if OFFLINE in scopes:
        # Without it, OpenID Connect Core 11 has the server ignore the scope.
        asked["prompt"] = "consent"
    if resource is not None:
        asked["resource"] = resource
    place, _, fragment = server.authorization_endpoint.partition("#")
    if fragment:
        raise AuthorizationUntrusted(f"the authorization endpoint of {server.issuer} has a fragment")
    return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"


def own_redirect(redirect_uri: str, issuer: str) -> str:
    """Where people are sent back to from one issuer, and from no other: `redirect_uri` with a parameter more.

    It stays on the address that they come back to (RFC 6749 3.1.2).
    """
    whose = to_base64url(sha256(issuer.encode()).digest())[:16]
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}issuer={whose}"


def read_redirect(redirected: str, *, redirect_uri: str, state: str, server: ServerMetadata) -> str:
    """The code in the address that the person was sent back to.

    Raises:
        AuthorizationUntrusted: it is not the answer to what was asked, or another issuer's (RFC 9207 2.4).
        AuthorizationNeeded: the person, or the server, said no.
    """
    try:
        given, expected = urlsplit(redirected[:MAX_TOKEN]), urlsplit(redirect_uri)
    except ValueError:
        raise AuthorizationUntrusted("the answer is no address") from None
    if (given.scheme, given.netloc, given.path or "/") != (expected.scheme, expected.netloc, expected.path or "/"):
        raise AuthorizationUntrusted("the answer came to another address than the one that was named")
    pairs = parse_qsl(given.query, keep_blank_values=True)
    said = dict(pairs)
    if len(said) != len(pairs):
        raise AuthorizationUntrusted("the answer says something twice")
    if not set(parse_qsl(expected.query, keep_blank_values=True)) <= set(pairs):
        raise AuthorizationUntrusted("the answer came to another issuer's address")
    if not hmac.compare_digest(said.get("state", "").encode(), state.encode()):
        raise AuthorizationUntrusted("the answer is not to what was asked here")
    issuer = said.get("iss")
    # Compared as text: no spelling but the issuer's own is its.
    if issuer is None and server.authorization_response_iss_parameter_supported:
        raise AuthorizationUntrusted("the answer does not say whose it is, though the authorization server always does")
    if issuer is not None and issuer != server.issuer:
        raise AuthorizationUntrusted(f"the answer is another issuer's, {issuer[:200]!r}")
    if "error" in said:
        raise AuthorizationNeeded(f"the authorization was not given: {_plain(said['error'])}")
    if not said.get("code"):
        raise AuthorizationUntrusted("the answer has no code")
    return said["code"]


def code_form(code: str, *, redirect_uri: str, verifier: str, resource: str | None) -> Form:
    """What the token endpoint is sent for a code."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
    return form | ({} if resource is None else {"resource": resource})


def refresh_form(refresh: str, *, resource: str | None) -> Form:
    """What it is sent for a refresh token."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    return form | ({} if resource is None else {"resource": resource})


def own_form(scopes: Sequence[str], *, resource: str | None) -> Form:
    """What it is sent by a client for itself."""
    form = {"grant_type": "client_credentials"} | ({"scope": " ".join(scopes)} if scopes else {})
    return form | ({} if resource is None else {"resource": resource})


def read_token(status: int, body: bytes, *, now: float, asked: Sequence[str], before: str | None = None) -> Token:
    """What the token endpoint answered.

    Args:
        status: Of HTTP.
        body: As it came.
        now: Unix seconds.
        asked: The scopes that were asked for, which hold where the answer names none (RFC 6749 5.1).
        before: The refresh token that was used, which stays in force where no other is given.

    Raises:
        TokenDenied: it said no.
        AuthorizationUntrusted: it said nothing that can be read, or gave a token of another kind.
    """
    found = _object(body, "the token endpoint")
    if status not in _OK:
        said = found.get("error")
        error = said if isinstance(said, str) else "server_error"
        raise TokenDenied(error, f"the authorization server gave no token: {_plain(error)}")
    access, refresh, kind = found.get("access_token"), found.get("refresh_token"), found.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise AuthorizationUntrusted("the authorization server gave a token of a kind that is not used here")
    if not isinstance(access, str) or not fit_for_header(access):
        raise AuthorizationUntrusted("the authorization server gave no token that could be shown")
    given = found.get("scope")
    life = _seconds(found.get("expires_in"))
    return Token(
        access=access,
        refresh=refresh if isinstance(refresh, str) and 0 < len(refresh) <= MAX_TOKEN else before,
        expires=None if life is None else now + min(max(life, 0.0), _MAX_LIFE),
        scopes=tuple(dict.fromkeys(given.split())) if isinstance(given, str) else tuple(asked),
    )


def registration(
    *, name: str, redirect_uri: str, scopes: Sequence[str], method: AuthMethod, home: str | None = None
) -> JsonObject:
    """What a client says of itself, to be registered (RFC 7591), or in its own metadata document."""
    host = urlsplit(redirect_uri)
    native = host.scheme not in ("http", "https") or is_loopback(host.hostname or "")
    said: dict[str, Any] = {
        "client_name": name,
        "application_type": "native" if native else "web",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
    }
    if scopes:
        said["scope"] = " ".join(scopes)
    if home is not None:
        said["client_uri"] = home
    return said


def read_registration(status: int, body: bytes, *, asked: AuthMethod) -> Client:
    """What a registration came to. Raises `AuthorizationNeeded` where it was refused, and `AuthorizationUntrusted`."""
    found = _object(body, "the registration endpoint")
    if status not in _OK:
        error = found.get("error")
        said = _plain(error) if isinstance(error, str) else f"HTTP {status}"
        raise AuthorizationNeeded(f"the authorization server does not register this client: {said}")
    name, secret, method = found.get("client_id"), found.get("client_secret"), found.get("token_endpoint_auth_method")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_TOKEN:
        raise AuthorizationUntrusted("the authorization server registered no client")
    return Client(
        id=name,
        secret=secret if isinstance(secret, str) and 0 < len(secret) <= MAX_TOKEN else None,
        method=_method(method) or asked,
    )


def method_for(server: ServerMetadata, client: Client | None = None) -> AuthMethod:
    """How a client is to say who it is: as it was told to, else the best that both it and the server know.

    A client that is yet to be registered (None) needs no secret, where the server takes such. Raises
    `AuthorizationNeeded` where they know none in common.
    """
    if client is not None and client.method is not None:
        return client.method
    # RFC 8414 2: what is known where nothing is said.
    known = server.token_endpoint_auth_methods_supported or ("client_secret_basic",)
    if client is None:
        liked: tuple[AuthMethod, ...] = ("none", "client_secret_basic", "client_secret_post")
    elif client.key is not None:
        liked = ("private_key_jwt",)
    elif client.secret is not None:
        liked = ("client_secret_basic", "client_secret_post")
    else:
        return "none"
    found = next((each for each in liked if each in known), None)
    if found is None:
        raise AuthorizationNeeded(f"the authorization server {server.issuer} wants to know its clients in another way")
    return found


def fit_for_header(token: str) -> bool:
    """Whether a token can be shown in a header (RFC 6750 2.1, as widely as servers have it)."""
    return 0 < len(token) <= MAX_TOKEN and all("!" <= each <= "~" for each in token)


def bearer(token: str) -> Mapping[str, str]:
    """The header that shows a token."""
    return {"authorization": f"Bearer {token}"}


def _method(said: object) -> AuthMethod | None:
    known: tuple[AuthMethod, ...] = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
    return next((each for each in known if each == said), None)


def _object(body: bytes, whose: str) -> JsonObject:
    try:
        return read_object(body)
    except ValueError:
        raise AuthorizationUntrusted(f"what {whose} says cannot be read") from None


def _seconds(given: object) -> float | None:
    """A number of seconds; some write it as text."""
    if isinstance(given, str):
        return float(given) if given.isascii() and given.isdecimal() and len(given) < 12 else None  # noqa: PLR2004
    return float(given) if isinstance(given, int | float) else None


def _plain(text: str) -> str:
    """Another's word, fit for a message of ours."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in text[:200])
