"""Security schemes in agent cards: what proves who a caller is, and which of it is enough. Of 1.0 and 0.3 on one card.

1.0 wraps each scheme in a field of its kind and names requirements `securityRequirements`; 0.3 has OpenAPI's form. Both
SDKs read a card that has both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from negotiator.jsonvalue import JsonObject, JsonValue

Kind: TypeAlias = Literal["http", "oauth2", "openIdConnect", "apiKey", "mutualTLS"]

MAX_SCHEMES: Final = 16
MAX_TEXT: Final = 2_000
_WRAPPED: Final[Mapping[str, Kind]] = {
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
    "apiKeySecurityScheme": "apiKey",
    "mtlsSecurityScheme": "mutualTLS",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way to prove who a caller is."""

    kind: Kind
    http: str = ""
    """Of `http`, the name of HTTP's scheme, in lower case: `bearer`."""
    form: str | None = None
    """Of a bearer token, what it looks like, for people."""
    token_url: str | None = None
    """Of `oauth2`, where a token is had."""
    authorization_url: str | None = None
    """Of `oauth2`, where a person is asked."""
    for_itself: bool = False
    """Of `oauth2`, whether a client may have one for itself."""
    s256: bool = False
    """Of `oauth2`, whether its codes are bound to who asked for them (PKCE)."""
    metadata_url: str | None = None
    """Of `oauth2` and `openIdConnect`, where the authorization server says all that itself."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """Of `oauth2`, what can be asked for, with words for people."""
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What an agent asks of its callers."""

    schemes: Mapping[str, Scheme] = field(default_factory=dict)
    needs: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    """Each one is enough: scopes by the names of the schemes that it takes together. Without any, nothing is asked."""


NOTHING: Final = Security()


def chosen(security: Security, have: Callable[[Scheme], bool]) -> tuple[tuple[Scheme, tuple[str, ...]], ...] | None:
    """The schemes of the first need that is met by what we `have`, with their scopes; none where nothing is asked.

    None where no need is met.
    """
    for need in security.needs or ({},):
        named = [(security.schemes.get(name), scopes) for name, scopes in need.items()]
        met = tuple((scheme, scopes) for scheme, scopes in named if scheme is not None and have(scheme))
        if len(met) == len(named):
            return met
    return None


def write_security(security: Security) -> JsonObject:
    """The fields of a card."""
    if not security.schemes:
        return {}
    said: JsonObject = {"securitySchemes": {name: _written(scheme) for name, scheme in security.schemes.items()}}
    return said | write_needs(security.needs)


def write_needs(needs: tuple[Mapping[str, tuple[str, ...]], ...]) -> JsonObject:
    """The fields of a card, or of a skill, that say what is enough."""
    if not needs:
        return {}
    return {
        "securityRequirements": [
            {"schemes": {name: {"list": list(scopes)} for name, scopes in need.items()}} for need in needs
        ],
        "security": [{name: list(scopes) for name, scopes in need.items()} for need in needs],
    }


def _written(scheme: Scheme) -> JsonObject:
    said: dict[str, Any] = {} if scheme.description is None else {"description": scheme.description}
    match scheme.kind:
        case "http":
            said["scheme"] = scheme.http
            said |= {} if scheme.form is None else {"bearerFormat": scheme.form}
            wrapped = "httpAuthSecurityScheme"
        case "openIdConnect":
            said["openIdConnectUrl"] = scheme.metadata_url
            wrapped = "openIdConnectSecurityScheme"
        case "oauth2":
            said["flows"] = _flows(scheme)
            said |= {} if scheme.metadata_url is None else {"oauth2MetadataUrl": scheme.metadata_url}
            wrapped = "oauth2SecurityScheme"
        case "apiKey" | "mutualTLS":
            raise ValueError("an agent of ours asks for no such thing")
    return {"type": scheme.kind, **said, wrapped: said}


def _flows(scheme: Scheme) -> JsonObject:
    flows: dict[str, Any] = {}
    scopes = dict(scheme.scopes)
    if scheme.authorization_url is not None:
        urls = {"authorizationUrl": scheme.authorization_url, "tokenUrl": scheme.token_url}
        flows["authorizationCode"] = {**urls, "scopes": scopes, "pkceRequired": scheme.s256}
    # The wrapped form of 1.0 holds one flow alone.
    elif scheme.for_itself:
        flows["clientCredentials"] = {"tokenUrl": scheme.token_url, "scopes": scopes}
    return flows


def read_security(card: JsonObject) -> Security:
    """What a card of either version asks for. What cannot be read is a scheme that nobody has."""
    given = _object(card.get("securitySchemes"))
    schemes = {name: _scheme(_object(given[name])) for name in list(given)[:MAX_SCHEMES]}
    listed = card.get("securityRequirements")
    modern = isinstance(listed, list)
    listed = listed if isinstance(listed, list) else card.get("security")
    needs = [_need(_object(each), modern=modern) for each in (listed if isinstance(listed, list) else [])[:MAX_SCHEMES]]
    return Security(schemes={name: each for name, each in schemes.items() if each is not None}, needs=tuple(needs))


def _need(given: JsonObject, *, modern: bool) -> dict[str, tuple[str, ...]]:
    named = _object(given.get("schemes")) if modern else given
    return {name: _texts(_object(scopes).get("list") if modern else scopes) for name, scopes in named.items()}


def _scheme(given: JsonObject) -> Scheme | None:
    wrapped = next((name for name in _WRAPPED if isinstance(given.get(name), dict)), None)
    found = given if wrapped is None else _object(given[wrapped])
    kind = given.get("type") if wrapped is None else _WRAPPED[wrapped]
    match kind:
        case "http":
            return Scheme(kind="http", http=(_text(found.get("scheme")) or "").lower())
        case "openIdConnect":
            return Scheme(kind="openIdConnect", metadata_url=_text(found.get("openIdConnectUrl")))
        case "oauth2":
            return _oauth2(found)
        case "apiKey" | "mutualTLS":
            return Scheme(kind=kind)
    return None


def _oauth2(found: JsonObject) -> Scheme:
    flows = _object(found.get("flows"))
    code, own = _object(flows.get("authorizationCode")), _object(flows.get("clientCredentials"))
    scopes = _object((code or own).get("scopes"))
    return Scheme(
        kind="oauth2",
        token_url=_text((code or own).get("tokenUrl")),
        authorization_url=_text(code.get("authorizationUrl")),
        for_itself=bool(own),
        s256=code.get("pkceRequired") is True,
        metadata_url=_text(found.get("oauth2MetadataUrl")),
        scopes={name: _text(said) or "" for name, said in list(scopes.items())[:64]},
    )


def _object(given: JsonValue) -> JsonObject:
    return given if isinstance(given, dict) else {}


def _text(given: JsonValue) -> str | None:
    return given if isinstance(given, str) and 0 < len(given) <= MAX_TEXT else None


def _texts(given: JsonValue) -> tuple[str, ...]:
    return tuple(each for each in given[:64] if isinstance(each, str)) if isinstance(given, list) else ()
