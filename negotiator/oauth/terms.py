"""How an agent gets authorizations from the servers it asks, as its owner has it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from negotiator.errors import UsageError
from negotiator.oauth.messages import Client, fit_for_header
from negotiator.oauth.metadata import confidential, covers

Authorize: TypeAlias = Callable[[str], Awaitable[str]]
"""Has a person look at an address, and returns the address that they were sent back to. Raises `AuthorizationNeeded`
where nobody says yes."""

DEFAULT_REDIRECT: Final = "http://127.0.0.1:8765/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """How an agent gets authorizations.

    A server says itself whose tokens it takes. Which client the agent is at that issuer is found in this order: one of
    `clients`, its own metadata document, one that it registers then and there.

    Example:
        ```python
        Agent(oauth=OAuthClient(authorize=LoopbackReceiver()))
        ```
    """

    authorize: Authorize | None = None
    """How a person is asked; with None, only clients that act for themselves get anything."""
    redirect_uri: str | None = None
    """Where the person is sent back to; that of `authorize`, where it has one, else port 8765 of this machine."""
    clients: Mapping[str, Client] = field(default_factory=dict)
    """Clients that are known already, by the issuer that knows them, or by the address of the one server they are for:
    no other is told of them."""
    metadata_url: str | None = None
    """Where the agent's client metadata document lies: what it is called where issuers read such documents."""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Tokens that were had elsewhere, by the address of the server they are for."""
    name: str = "metaparley agent"
    """What people are asked to say yes to."""
    lasting: bool = True
    """Whether to ask for refresh tokens where they must be asked for."""
    person_seconds: float = 300.0
    """How long a person may take. The request that had to wait may end sooner, by its own deadline; the next one finds
    the token."""

    def __post_init__(self) -> None:
        if self.metadata_url is not None and not self.metadata_url.startswith("https://"):
            raise UsageError("a client metadata document lies at an https address")
        for url, token in self.tokens.items():
            if not confidential(url) or not fit_for_header(token):
                raise UsageError("a token is one word, for an address that is https or this machine's")

    @property
    def redirect(self) -> str:
        """Where the person is sent back to."""
        return self.redirect_uri or getattr(self.authorize, "redirect_uri", None) or DEFAULT_REDIRECT

    def client_for(self, issuer: str, url: str) -> Client | None:
        """The client that is known already at `issuer`, or for the server at `url`."""
        if issuer in self.clients:
            return self.clients[issuer]
        return next((client for place, client in self.clients.items() if covers(place, url)), None)

    def token_for(self, url: str) -> str | None:
        """The token that was had elsewhere for `url`; of several, that of the closest address."""
        places = [place for place in self.tokens if covers(place, url)]
        return self.tokens[max(places, key=len)] if places else None
