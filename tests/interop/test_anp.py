"""anp 1.0.7 over TLS on real sockets: its `RemoteAgent` meets our agent, and our client its openanp server.

The package runs in an environment of its own, and resolves DIDs by itself: it is given an authority, and nothing else.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

import httpx
import orjson
import pytest

from negotiator import Agent, NotPossible, PeerFailed, Task
from negotiator.anp.origin import prove
from negotiator.clock import SystemClock
from negotiator.dialects.anp.binding import Target
from negotiator.identity import Identity, TrustPolicy, current_principal
from negotiator.transports.http_client import HTTPTransport
from negotiator.wire import WireRequest
from protocol_docs.errors import SourceUnreachable
from tests.interop.conftest import PEERS, _Peer, _python_with
from tests.interop.tls import Authority, ServedOverTls

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

Order = Callable[..., Any]
TEXT = {"type": "string"}


class Forecast(TypedDict):
    high: int
    summary: str


def obj(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


FORECAST = Task(
    "Weather forecast for a city and a day",
    input=obj(city=TEXT, day=TEXT),
    output=obj(high={"type": "integer"}, summary=TEXT),
    name="forecast",
)
BROKEN = Task(
    "Fail for a city", input=obj(city=TEXT), output=obj(high={"type": "integer"}, summary=TEXT), name="broken"
)
GUEST = obj(name=TEXT, nights={"type": "integer"})
BOOK = Task(
    "Book a room for a guest",
    input=obj(room=TEXT, guest=GUEST),
    output=obj(room=TEXT, guest=TEXT, caller=TEXT),
    name="book",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def anp(authority: Authority) -> Iterator[Order]:
    """Have the package do something; see `peers/anp_orders.py`."""
    with pytest.MonkeyPatch.context() as patch:
        # Read when the package is imported.
        patch.setenv("SSL_CERT_FILE", str(authority.authorities))
        peer = _Peer(_python_with("anp-1.0.7", "anp, fastapi, uvicorn"), "anp_orders.py")
    try:
        yield lambda order, **options: peer.tell(order=order, **options)
    finally:
        peer.end()


class Home:
    """One origin: our agent below `/agent`, and DID documents of others beside it."""

    def __init__(self, authority: Authority, **options: Any) -> None:
        self.authority = authority
        self.served = ServedOverTls(authority)
        self.url = self.served.url + "/agent"
        self.identity = Identity.in_memory(self.url)
        self.documents: dict[str, bytes] = {}
        self.agent = Agent(
            state="memory",
            identity=self.identity,
            did_documents=self.fetch,
            transport=(transport := HTTPTransport(verify=authority.context())),
            **options,
        )
        self._transport = transport

    async def __aenter__(self) -> Agent:
        return self.agent

    async def __aexit__(self, *_: object) -> None:
        await self.agent.aclose()
        await self._transport.aclose()

    def serve(self) -> str:
        app = self.agent.asgi()

        async def routed(scope: Any, receive: Any, send: Any) -> None:
            body = self.documents.get(scope["path"])
            if body is None:
                await app({**scope, "root_path": "/agent"}, receive, send)
                return
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        self.served.start(routed)
        return self.url

    async def fetch(self, url: str) -> bytes:
        async with httpx.AsyncClient(verify=self.authority.context(), trust_env=False) as client:
            try:
                return (await client.get(url)).content
            except httpx.HTTPError as error:
                raise SourceUnreachable("nobody is there") from error

    def a_stranger(self, anp: Order) -> str:
        """Have the package be somebody whose document is here."""
        host = self.served.url.removeprefix("https://")
        name, _, port = host.partition(":")
        document = anp("new", host=name, path=["people"], port=int(port))["document"]
        parts = document["id"].split(":")
        self.documents["/" + "/".join(parts[3:]) + "/did.json"] = json.dumps(document).encode()
        return str(document["id"])


@pytest.fixture
def home(authority: Authority) -> Iterator[Callable[..., Home]]:
    made: list[Home] = []

    def make(**options: Any) -> Home:
        made.append(Home(authority, **options))
        return made[-1]

    yield make
    for each in made:
        each.served.end()


# --- its client, our agent ---


def offered(home: Home) -> Home:
    @home.agent.tool(effect="safe")
    def forecast(city: str, day: str) -> Forecast:
        """Weather forecast for a city and a day."""
        return {"high": len(city), "summary": f"{city} on {day}"}

    @home.agent.tool
    def whoami() -> str:
        """Say who asks."""
        return current_principal()

    return home


def test_its_client_discovers_our_agent_proves_itself_and_calls(anp: Order, home: Callable[..., Home]) -> None:
    here = offered(home(trust=TrustPolicy(callers="authenticated")))
    did = here.a_stranger(anp)
    place = here.serve() + "/anp/ad.json"
    told = anp("call", url=place, method="forecast", params={"city": "Rome", "day": "Monday"})
    assert told["result"] == {"high": 4, "summary": "Rome on Monday"}
    assert told["methods"] == ["forecast", "whoami"]
    assert told["tools"][0]["function"]["parameters"]["required"] == ["city", "day"]
    assert anp("call", url=place, method="whoami", params={})["result"] == did


def test_its_client_reads_what_our_agent_refuses(anp: Order, home: Callable[..., Home]) -> None:
    here = offered(home())
    here.a_stranger(anp)
    place = here.serve() + "/anp/ad.json"
    told = anp("call", url=place, method="forecast", params={"city": "Rome"})
    assert told["error"] == {"code": -32602, "data": {"code": "bad_input"}}


async def test_its_resolver_finds_our_document_and_its_check_takes_our_description(
    anp: Order, home: Callable[..., Home]
) -> None:
    here = offered(home())
    here.serve()
    document = anp("resolve", did=here.identity.did)["document"]
    assert document == orjson.loads(await here.identity.document())
    anp("know", document=document)
    described = orjson.loads(await here.fetch(here.url + "/anp/ad.json"))
    assert anp("statement", value=described)["holds"]
    assert not anp("statement", value={**described, "name": "another"})["holds"]


# --- origin proofs, both ways ---

META = {"profile": "anp.meta.negotiation.v1", "security_profile": "transport-protected", "operation_id": "op-1"}
BODY = {"intent": {"name": "forecast", "intentTags": ["effect.safe"]}}


async def test_its_check_takes_our_origin_proof_and_no_other_body(anp: Order, home: Callable[..., Home]) -> None:
    here = home()
    anp("know", document=orjson.loads(await here.identity.document()))
    target = Target("agent", "did:wba:hotel.example:agents:e1_x")
    meta = {**META, "sender_did": here.identity.did, "target": {"kind": target.kind, "did": target.did}}
    signed = {"method": "anp.negotiate", "meta": meta, "body": BODY}
    auth = await prove(here.identity, signed, target, nonce="n-1", clock=SystemClock())
    given = {"proof": auth["origin_proof"], "method": "anp.negotiate", "meta": meta}
    assert anp("proved", body=BODY, **given)["holds"]
    assert not anp("proved", body={"intent": {}}, **given)["holds"]
    assert not anp("proved", body=BODY, **{**given, "method": "anp.other"})["holds"]


async def negotiated(here: Home, meta: dict[str, Any], auth: dict[str, Any], body: dict[str, Any]) -> Any:
    message = {
        "jsonrpc": "2.0",
        "id": "1",
        "method": "anp.negotiate",
        "params": {"meta": meta, "auth": {"scheme": "anp-rfc9421-origin-proof-v1", "origin_proof": auth}, "body": body},
    }
    async with httpx.AsyncClient(verify=here.authority.context(), trust_env=False) as client:
        return (await client.post(here.url + "/anp", json=message)).json()


async def test_we_take_its_origin_proof_once_and_nothing_else(anp: Order, home: Callable[..., Home]) -> None:
    here = offered(home())
    did = here.a_stranger(anp)
    here.serve()
    meta = {**META, "sender_did": did, "target": {"kind": "agent", "did": here.identity.did}}
    proof = anp("prove", method="anp.negotiate", meta=meta, body=BODY, nonce="theirs-1")["proof"]
    for changed in (
        {"body": {"intent": {"name": "whoami"}}},
        {"meta": {**meta, "operation_id": "op-2"}},
        {"auth": {**proof, "contentDigest": "sha-256=:" + "A" * 43 + "=:"}},
    ):
        given = {"meta": meta, "auth": proof, "body": BODY, **changed}
        assert (await negotiated(here, **given))["error"]["data"]["anp_code"] == "anp.unauthorized"
    assert (await negotiated(here, meta, proof, BODY))["result"]["status"] == "accepted"
    again = await negotiated(here, meta, proof, BODY)
    assert again["error"]["data"]["details"]["error"] == "invalid_nonce"


@pytest.mark.parametrize(("created", "error"), [(-3600, "invalid_timestamp"), (3600, "invalid_timestamp")])
async def test_we_refuse_its_proof_of_another_time(
    anp: Order, home: Callable[..., Home], created: int, error: str
) -> None:
    here = offered(home())
    did = here.a_stranger(anp)
    here.serve()
    meta = {**META, "sender_did": did, "target": {"kind": "agent", "did": here.identity.did}}
    made = int(SystemClock().time()) + created
    times = {"created": made, "expires": made + 60, "nonce": "theirs-1"}
    proof = anp("prove", method="anp.negotiate", meta=meta, body=BODY, **times)["proof"]
    answered = await negotiated(here, meta, proof, BODY)
    assert answered["error"]["data"]["details"]["error"] == error


# --- its server, our client ---


@pytest.fixture(scope="module")
def stranger(authority: Authority) -> Iterator[str]:
    """Where the package's server listens."""
    python = _python_with("anp-1.0.7", "anp, fastapi, uvicorn")
    process = subprocess.Popen(
        [python, str(PEERS / "anp_server.py"), str(authority.certificate), str(authority.key)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SSL_CERT_FILE": str(authority.authorities)},
    )
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    yield f"https://localhost:{port}/agent"
    process.communicate(timeout=30)


async def test_its_server_takes_our_proof_and_is_a_peer_without_a_model(
    home: Callable[..., Home], stranger: str
) -> None:
    here = home()
    here.serve()
    async with here as agent:
        for _ in range(2):
            outcome = await agent.ask(stranger, FORECAST, {"city": "Rome", "day": "Monday"})
            assert outcome.json == {"high": 4, "summary": "sunny in Rome on Monday"}
            assert (outcome.tier, outcome.peer_tier, outcome.usage.calls) == ("routine", "unknown", 0)
        guest = {"name": "Ada", "nights": 2}
        booked = await agent.ask("anp+" + stranger, BOOK, {"room": "12", "guest": guest})
        assert booked.json == {"room": "12", "guest": "Ada", "caller": here.identity.did}
        with pytest.raises(PeerFailed, match="nothing is known"):
            await agent.ask(stranger, BROKEN, {"city": "Rome"})
        record = agent.engine.reach.known(stranger)
        assert record is not None
        assert (record.dialect, record.negotiates) == ("anp", False)


async def test_its_server_refuses_a_caller_whose_document_is_not_to_be_had(
    home: Callable[..., Home], stranger: str, authority: Authority
) -> None:
    nobody = home()
    nobody.served.end()  # its document is served nowhere
    async with nobody as agent:
        with pytest.raises(NotPossible):
            await agent.ask(stranger, FORECAST, {"city": "Rome", "day": "Monday"})


async def test_known_divergence_the_server_of_the_package_takes_its_own_name_from_the_request(
    home: Callable[..., Home], stranger: str
) -> None:
    """What was signed for another host is taken, where whoever carries it says that host's name."""
    async with (here := home()):
        here.serve()
        origin = stranger.removesuffix("/agent")
        call = {"jsonrpc": "2.0", "id": "1", "method": "forecast", "params": {"city": "Rome", "day": "x"}}
        wire = WireRequest(path="/agent/rpc", headers={"content-type": "application/json"}, body=orjson.dumps(call))
        signed = await here.agent._transport._proved("https://bank.example", wire)  # type: ignore[attr-defined]
        async with httpx.AsyncClient(verify=here.authority.context(), trust_env=False) as client:
            headers = {**signed.headers, "host": "bank.example"}
            reply = await client.post(origin + "/agent/rpc", content=signed.body, headers=headers)
    assert reply.status_code == 200
    assert reply.json()["result"]["high"] == 4


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"body": b'{"jsonrpc":"2.0","id":"1","method":"book","params":{}}'}, True),
        ({"path": "/agent/other"}, True),
        ({}, False),
    ],
    ids=["body", "target", "as it was"],
)
async def test_its_server_refuses_our_request_with_a_change(
    home: Callable[..., Home], stranger: str, change: dict[str, Any], refused: bool
) -> None:
    """Real sockets: the signed bytes are sent by hand."""
    here = home()
    here.serve()
    origin, _, _ = stranger.partition("/agent")
    call = {"jsonrpc": "2.0", "id": "1", "method": "forecast", "params": {"city": "Rome", "day": "x"}}
    wire = WireRequest(path="/agent/rpc", headers={"content-type": "application/json"}, body=orjson.dumps(call))
    signed = await here.agent._transport._proved(origin, wire)  # type: ignore[attr-defined]
    async with httpx.AsyncClient(verify=here.authority.context(), trust_env=False) as client:
        sent = {"body": signed.body, "path": signed.path, **change}
        reply = await client.post(origin + sent["path"], content=sent["body"], headers=dict(signed.headers))
        assert (reply.status_code == 401) is refused
        if not refused:
            again = await client.post(origin + sent["path"], content=sent["body"], headers=dict(signed.headers))
            assert again.status_code == 401
            assert 'error="invalid_nonce"' in again.headers["www-authenticate"]
    await here.agent.aclose()
