"""A caller, an agent behind its gate, and the wire between them."""

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp
from negotiator.identity import Identity, MemorySigner, Revocations, TrustPolicy
from negotiator.identity.checker import Checker
from negotiator.identity.gate import Gate
from negotiator.identity.replay import Nonces
from negotiator.identity.resolver import DidResolver
from negotiator.identity.signing import SigningTransport, signing
from negotiator.identity.tokens import AccessTokens
from negotiator.testing import VirtualClock
from negotiator.transports.memory import MemoryTransport
from negotiator.wire import Door, WireReply, WireRequest
from protocol_docs import MemoryTextStore
from protocol_docs.errors import SourceUnreachable
from protocol_docs.text_store import TextStore

HERE = "https://weather.example/agents"


class Echo:
    """The one door: it notes what came in."""

    body_bytes = 4096

    def __init__(self) -> None:
        self.seen: list[WireRequest] = []

    def at(self, _path: str) -> Door:
        return self

    def refuse(self, code: str) -> WireReply:
        raise AssertionError(f"what is refused at the gate is nothing for the door: {code}")

    async def __call__(self, wire: WireRequest) -> WireReply:
        self.seen.append(wire)
        return WireReply(headers={"x-principal": wire.principal})


@dataclass
class GateWorld:
    """Everything handed in, and everything to be seen."""

    trust: TrustPolicy = field(default_factory=TrustPolicy)
    store: TextStore = field(default_factory=MemoryTextStore)
    clock: VirtualClock = field(default_factory=VirtualClock)
    secrets: list[bytes] = field(default_factory=lambda: [b"s" * 32])
    audience: str = "did:web:weather.example"

    def __post_init__(self) -> None:
        self.signer = MemorySigner()
        self.caller = Identity.in_memory("https://caller.example", signer=self.signer, clock=self.clock)
        self.identity = Identity.in_memory(HERE, clock=self.clock)
        self.documents = {self.caller.parsed.url(): self.caller}
        self.fetched: list[str] = []
        self.revocations = Revocations(self.store)
        self.echo = Echo()
        self.gate = self.a_gate()
        self.memory = MemoryTransport({HERE: self.gate})
        self.sent: list[WireRequest] = []
        self._numbers = count(1)

    def a_gate(self) -> Gate:
        """The gate, or that of another worker over the same store."""
        checker = Checker(
            [HERE],
            resolver=DidResolver(self.fetch, self.store, self.clock),
            nonces=Nonces(self.store, self.clock),
            revocations=self.revocations,
            clock=self.clock,
            trust=self.trust,
            tokens=AccessTokens(lambda: self.secrets, self.audience, self.clock),
        )
        return Gate(
            self.echo,
            checker=checker,
            trust=self.trust,
            identity=self.identity,
            new_id=lambda: f"theirs-{self.number()}",
        )

    def number(self) -> int:
        return next(self._numbers)

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self.documents:
            raise SourceUnreachable("nobody is there")
        return await self.documents[url].document()

    def client(self, identity: Identity | None = None) -> SigningTransport:
        return signing(_Seen(self), identity or self.caller, self.clock, lambda: f"ours-{self.number()}")

    async def ask(self, client: SigningTransport, request: WireRequest | None = None) -> WireReply:
        return await client.send(HERE, request or WireRequest(body=b"{}"), deadline=Deadline.after(60, self.clock))

    async def a_signed_request(self, request: WireRequest | None = None) -> WireRequest:
        """One that was sent and lost."""
        self.memory.fail(HERE, "hang_up_before")
        sent = len(self.sent)
        with suppress(PeerHungUp):
            await self.ask(self.client(), request)
        return self.sent[sent]

    async def give(self, wire: WireRequest, gate: Gate | None = None) -> WireReply:
        """Hand a request to the gate as it stands."""
        return await (gate or self.gate)(wire)


class _Seen:
    def __init__(self, world: GateWorld) -> None:
        self._world = world

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        self._world.sent.append(request)
        return await self._world.memory.send(base_url, request, deadline=deadline)

    async def aclose(self) -> None:
        pass


def error_of(reply: WireReply) -> str:
    """ANP-02's word in a refusal."""
    said = reply.headers["www-authenticate"]
    assert said.startswith("DIDWba realm=")
    return said.partition('error="')[2].partition('"')[0]
