"""A client, a server that asks for tokens, and the issuer that it names; nothing of it leaves the process."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from negotiator.clock import Deadline
from negotiator.oauth import OAuthClient
from negotiator.oauth.authorizer import Authorizer
from negotiator.oauth.kept import Kept
from negotiator.oauth.transport import AuthorizingTransport
from negotiator.testing import VirtualClock
from negotiator.wire import WireReply, WireRequest
from protocol_docs import MemoryTextStore
from protocol_docs.text_store import TextStore
from tests.negotiator.oauth.issuer import Issuer, jwt

URL = "https://tools.example/mcp"
METADATA = "https://tools.example/.well-known/oauth-protected-resource/mcp"


@dataclass
class Server:
    """What is asked for something: a `Transport` that answers as it itself would."""

    issuer: Issuer
    scopes: dict[str, str] = field(default_factory=dict)
    """The scope that a path asks for."""
    named: bool = True
    """Whether its challenge says where its metadata are."""

    def __post_init__(self) -> None:
        self.shown: list[tuple[str, str | None]] = []
        """(address, the token or None) of each request."""
        self.refuses: set[str] = set()
        """Tokens that it does not take any more."""
        self.closed = False

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        said = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        self.shown.append((base_url, said))
        challenge = f'resource_metadata="{METADATA}"' if self.named else ""
        if said is None or said in self.refuses:
            return WireReply(status=401, headers={"www-authenticate": f"Bearer {challenge}"})
        claims = jwt.decode(said, options={"verify_signature": False})
        wanted = self.scopes.get(request.path)
        if wanted is not None and wanted not in claims["scope"].split():
            said = f'Bearer error="insufficient_scope", scope="{wanted}", {challenge}'
            return WireReply(status=403, headers={"www-authenticate": said})
        return WireReply(body=b"done", headers={"x-audience": claims["aud"]})

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class ClientWorld:
    """Everything handed in, and everything to be seen."""

    store: TextStore = field(default_factory=MemoryTextStore)
    clock: VirtualClock = field(default_factory=VirtualClock)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.issuer = Issuer(clock=self.clock)
        self.server = Server(self.issuer)
        self.resource: dict[str, Any] = {"resource": URL, "authorization_servers": [self.issuer.url]}
        self.issuer.others[METADATA] = self.resource
        self.fetched: list[str] = []
        self._number = count(1)
        self.fresh()

    def fresh(self, **options: Any) -> None:
        """Another process of the same owner: the store alone is the same."""
        terms = OAuthClient(**{"authorize": self.issuer.says_yes, **self.options, **options})

        async def exchange(method: str, url: str, **more: Any) -> Any:
            self.fetched.append(url)
            return await self.issuer.exchange(method, url, **more)

        name: Callable[[], str] = lambda: f"unguessable-{next(self._number):012d}"  # noqa: E731
        self.authorizer = Authorizer(terms, exchange, Kept(self.store), self.clock, name)
        self.transport = AuthorizingTransport(self.server, self.authorizer)

    async def ask(self, path: str = "/", url: str = URL, **options: Any) -> WireReply:
        request = replace(WireRequest(path=path), **options)
        return await self.transport.send(url, request, deadline=Deadline.after(30, self.clock))

    @property
    def tokens(self) -> list[str | None]:
        return [token for _, token in self.server.shown]
