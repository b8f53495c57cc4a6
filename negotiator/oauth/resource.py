"""An agent as a protected resource: whose tokens it takes, and what it says of that (RFC 9728). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.oauth.challenge import write_challenge
from negotiator.oauth.errors import TokenRefused
from negotiator.oauth.jose import ALGORITHMS
from negotiator.oauth.messages import Client
from negotiator.oauth.metadata import RESOURCE_PATH, confidential

DOORS: Final = ("", "/mcp")
"""The paths below an agent that are resources of their own to clients, who name them as they reach them."""
_ALSO: Final = ("/", "/a2a")
"""Other paths that a token may be made for, by clients who were told of no identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An authorization server whose tokens are taken."""

    url: str
    """As it writes itself in its tokens, to the letter."""
    jwks_url: str | None = None
    """Where its public keys are; where its metadata say, if not given."""
    client: Client | None = None
    """Who this agent is there: its tokens are then asked about (RFC 7662), and need not be signed."""
    introspection_url: str | None = None
    """Where they are asked about; where its metadata say, if not given."""
    algorithms: tuple[str, ...] = ALGORITHMS
    """Of signatures that are taken."""

    def __post_init__(self) -> None:
        for url in (self.url, self.jwks_url, self.introspection_url):
            if url is not None and not confidential(url):
                raise UsageError(f"an issuer is reached over https: {url!r}")
        if not self.algorithms or not set(self.algorithms) <= set(ALGORITHMS):
            raise UsageError(f"algorithms of public keys are {', '.join(ALGORITHMS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedResource:
    """An agent that takes OAuth tokens.

    Whether it hears callers without one is the trust policy's business, and which scopes a tool asks for stands in the
    authority table.

    Example:
        ```python
        Agent(
            resource=ProtectedResource(url="https://weather.example", issuers=("https://login.example",)),
            trust=TrustPolicy(callers="authenticated"),
            authority=Authority().asking("book", "weather:book"),
        )
        ```
    """

    url: str
    """The agent's own address. Tokens must be made for it, or for one of its doors, such as `<url>/mcp`."""
    issuers: tuple[Issuer | str, ...]
    scopes: tuple[str, ...] = ()
    """What every token must be good for."""
    audiences: tuple[str, ...] = ()
    """Other identifiers that tokens for this agent are made for, where an issuer has a name of its own for it."""
    name: str | None = None
    """For people."""

    def __post_init__(self) -> None:
        if not confidential(self.url) or self.url.endswith("/") or urlsplit(self.url).query:
            raise UsageError("a protected agent has an https address, without a slash at its end")
        if not self.issuers:
            raise UsageError("a protected agent takes the tokens of somebody")

    @property
    def known(self) -> dict[str, Issuer]:
        """The issuers by their names."""
        made = (each if isinstance(each, Issuer) else Issuer(url=each) for each in self.issuers)
        return {each.url: each for each in made}

    @property
    def identifiers(self) -> frozenset[str]:
        """What a token may be made for."""
        return frozenset({*(self.url + door for door in (*DOORS, *_ALSO)), *self.audiences})

    def metadata_at(self, path: str, scopes: Iterable[str]) -> JsonObject | None:
        """The metadata at a path below the agent, or below its host's root; None where there are none.

        `scopes` are those that some tool asks for.
        """
        if not path.startswith(RESOURCE_PATH):
            return None
        door = path.removeprefix(RESOURCE_PATH).removeprefix(urlsplit(self.url).path).rstrip("/")
        if door not in DOORS:
            return None
        listed = list(dict.fromkeys((*self.scopes, *scopes)))
        said: dict[str, Any] = {
            "resource": self.url + door,
            "authorization_servers": list(self.known),
            "bearer_methods_supported": ["header"],
        }
        if listed:
            said["scopes_supported"] = listed
        if self.name is not None:
            said["resource_name"] = self.name
        return said

    def challenge(self, path: str, refused: TokenRefused | None) -> str:
        """What `WWW-Authenticate` says to a request at a path; `refused` is None where no token was shown."""
        place = "/" + path.partition("?")[0].strip("/").partition("/")[0]
        door = place if place in DOORS else ""
        said = {"resource_metadata": f"{self.url}{RESOURCE_PATH}{door}"}
        if refused is not None and refused.error != "invalid_request":
            said = {"error": refused.error, "error_description": str(refused), **said}
        scopes = dict.fromkeys((*self.scopes, *(() if refused is None else refused.scopes)))
        if scopes:
            said["scope"] = " ".join(scopes)
        return write_challenge("Bearer", said)
