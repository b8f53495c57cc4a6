"""What a protected resource (RFC 9728) and an authorization server (RFC 8414, OpenID Connect Discovery) say of
themselves: where that is to be had, and whether it may be believed. Pure.
"""

from typing import Annotated, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from negotiator.jsonvalue import JsonObject
from negotiator.loopback import is_loopback
from negotiator.oauth.errors import AuthorizationUntrusted

RESOURCE_PATH: Final = "/.well-known/oauth-protected-resource"
SERVER_PATH: Final = "/.well-known/oauth-authorization-server"
OPENID_PATH: Final = "/.well-known/openid-configuration"
_PORTS: Final = {"http": 80, "https": 443}
_MODEL: Final = ConfigDict(extra="ignore", frozen=True)


def _list(given: object) -> object:
    """At most what anybody would list; some servers write null for nothing."""
    return tuple(given[:64]) if isinstance(given, list) else given


_Text = Annotated[str, Field(max_length=2_000)]
_Texts = Annotated[tuple[_Text, ...], BeforeValidator(_list)]


class ResourceMetadata(BaseModel):
    """What a protected resource says of itself."""

    model_config = _MODEL

    resource: _Text
    """Its identifier: what tokens for it are made for."""
    authorization_servers: _Texts = ()
    """The issuers whose tokens it takes."""
    scopes_supported: _Texts | None = None


class ServerMetadata(BaseModel):
    """What an authorization server says of itself. Defaults are those of RFC 8414."""

    model_config = _MODEL

    issuer: _Text
    authorization_endpoint: _Text | None = None
    token_endpoint: _Text | None = None
    registration_endpoint: _Text | None = None
    introspection_endpoint: _Text | None = None
    jwks_uri: _Text | None = None
    scopes_supported: _Texts | None = None
    grant_types_supported: _Texts | None = None
    token_endpoint_auth_methods_supported: _Texts | None = None
    code_challenge_methods_supported: _Texts | None = None
    authorization_response_iss_parameter_supported: bool | None = None
    client_id_metadata_document_supported: bool | None = None
    found_at: _Text | None = Field(default=None, exclude=True)
    """Where it said so; it does not say that itself."""


_M = TypeVar("_M", ResourceMetadata, ServerMetadata)


def resource_metadata_urls(url: str) -> tuple[str, ...]:
    """Where the metadata of the resource at `url` may be, the likeliest first: for its path, then for all of its host."""
    parts = split(url)
    path = parts.path.rstrip("/")
    return tuple(dict.fromkeys(f"{origin(url)}{RESOURCE_PATH}{each}" for each in (path, "")))


def server_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer may be, in the order that MCP has it: RFC 8414, then OpenID's two ways."""
    parts = split(issuer)
    path, host = parts.path.rstrip("/"), origin(issuer)
    found = (f"{host}{SERVER_PATH}{path}", f"{host}{OPENID_PATH}{path}", f"{host}{path}{OPENID_PATH}")
    return tuple(dict.fromkeys(found))


def legacy_server(url: str) -> ServerMetadata:
    """What MCP's revision 2025-03-26 has a client take for granted where a server says nothing of itself."""
    host = origin(url)
    return ServerMetadata(
        issuer=host,
        authorization_endpoint=f"{host}/authorize",
        token_endpoint=f"{host}/token",
        registration_endpoint=f"{host}/register",
        code_challenge_methods_supported=("S256",),
    )


def read_resource(found: JsonObject, url: str) -> ResourceMetadata:
    """The metadata of the resource at `url`. Raises `AuthorizationUntrusted` where it is another's (RFC 9728 3.3)."""
    read = _read(ResourceMetadata, found, "the metadata of the resource")
    if not covers(read.resource, url):
        raise AuthorizationUntrusted(f"what {url} says of itself is said of another resource, {read.resource[:200]!r}")
    return read


def read_server(found: JsonObject, issuer: str) -> ServerMetadata:
    """The metadata of an issuer. Raises `AuthorizationUntrusted` where it is another's (RFC 8414 3.3), or unsafe."""
    read = _read(ServerMetadata, found, "the metadata of the authorization server")
    if read.issuer != issuer:
        raise AuthorizationUntrusted(f"the metadata of {issuer} is that of another issuer, {read.issuer[:200]!r}")
    for endpoint in (read.authorization_endpoint, read.token_endpoint, read.registration_endpoint, read.jwks_uri):
        if endpoint is not None and not confidential(endpoint):
            raise AuthorizationUntrusted(f"the authorization server {issuer} has an endpoint that is not https")
    return read


def require_s256(server: ServerMetadata) -> None:
    """Raises `AuthorizationUntrusted` where codes could be taken by whoever sees them on their way (RFC 7636)."""
    if "S256" not in (server.code_challenge_methods_supported or ()):
        raise AuthorizationUntrusted(f"the authorization server {server.issuer} does not say that it knows PKCE (S256)")


def covers(resource: str, url: str) -> bool:
    """Whether a token for `resource` is meant for `url`: the same origin, and the same path or one below it."""
    try:
        given, asked = split(resource), split(url)
    except AuthorizationUntrusted:
        return False
    if origin(resource) != origin(url) or given.fragment or (given.query and given.query != asked.query):
        return False
    above, below = given.path.rstrip("/"), asked.path.rstrip("/")
    # What a server makes of dots it knows alone.
    if any(each in {".", ".."} for each in below.replace("%2e", ".").replace("%2E", ".").split("/")):
        return False
    return below == above or below.startswith(above + "/")


def origin(url: str) -> str:
    """Scheme, host and port, in one spelling. Raises `AuthorizationUntrusted`."""
    parts = split(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = parts.port
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")


def confidential(url: str) -> bool:
    """Whether nobody on the way reads what is sent there: https, or this machine itself."""
    try:
        parts = split(url)
    except AuthorizationUntrusted:
        return False
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def split(url: str) -> SplitResult:
    """The parts of an http(s) address. Raises `AuthorizationUntrusted` where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise AuthorizationUntrusted(f"not an address: {url[:200]!r}") from None
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc or not url.isprintable():
        raise AuthorizationUntrusted(f"not an http or https address: {url[:200]!r}")
    return parts


def _read(model: type[_M], found: JsonObject, what: str) -> _M:
    try:
        return model.model_validate(found)
    except ValidationError as problem:
        where = "/".join(map(str, problem.errors(include_input=False, include_url=False)[0]["loc"]))
        raise AuthorizationUntrusted(f"{what} cannot be read: {where[:100]}") from None
