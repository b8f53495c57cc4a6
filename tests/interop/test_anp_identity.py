"""anp 1.0.7 in an environment of its own: its verifier takes our signatures and ours its, and both refuse the same."""

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from negotiator.clock import SystemClock
from negotiator.identity import Identity, MemorySigner, TrustPolicy, read_document
from negotiator.identity.did import parse_did
from negotiator.identity.jcs import canonicalize
from negotiator.identity.messages import Message, content_digest, signature_fields, signing_input
from negotiator.identity.structured_fields import Member, write_member
from negotiator.wire import WireRequest
from tests.interop.conftest import _Peer, _python_with
from tests.negotiator.identity.gate_world import HERE, GateWorld, error_of

pytestmark = [pytest.mark.interop, pytest.mark.anyio]

BODY = b'{"a": 1}'
Order = Callable[..., Any]


@pytest.fixture(scope="module")
def anp() -> Iterator[Order]:
    """Have the package do something; see `peers/anp_orders.py`."""
    peer = _Peer(_python_with("anp-1.0.7", "anp, fastapi, uvicorn"), "anp_orders.py")
    try:
        yield lambda order, **options: peer.tell(order=order, **options)
    finally:
        peer.end()


def a_world(**options: Any) -> GateWorld:
    """Its clock is the machine's, which is all that the package reads."""
    return GateWorld(clock=SystemClock(), **options)  # type: ignore[arg-type]


def text(body: bytes) -> str:
    return base64.b64encode(body).decode()


async def _verified(anp: Order, world: GateWorld, wire: WireRequest, url: str = HERE, **changed: Any) -> Any:
    """What the package says of a request of ours."""
    anp("know", document=orjson.loads(await world.caller.document()))
    given = {"method": wire.method, "url": url, "headers": dict(wire.headers), "body": text(wire.body)} | changed
    return anp("verify", **given)


# --- ours, checked by the package ---


async def test_the_package_takes_our_document(anp: Order) -> None:
    signer = MemorySigner()
    identity = Identity.in_memory(HERE, signer=signer)
    assert anp("know", document=orjson.loads(await identity.document()))["holds"]
    signer.rotate()
    assert anp("know", document=orjson.loads(await identity.document()))["holds"]


async def test_the_package_takes_our_signature_and_we_its_token(anp: Order) -> None:
    world = a_world()
    found = await _verified(anp, world, await world.a_signed_request(WireRequest(body=BODY)))
    assert found["did"] == world.caller.did
    client = world.client()
    headers = {name.lower(): value for name, value in found["headers"].items() if name != "Authorization"}
    client._learn(HERE, replace(await world.give(WireRequest()), headers=headers))
    await world.ask(client)
    shown = world.sent[1].headers["authorization"]
    assert anp("verify", method="GET", url=HERE, headers={"Authorization": shown}, body="")["did"] == world.caller.did


async def test_the_package_takes_a_rotated_key_of_ours(anp: Order) -> None:
    world = a_world()
    world.signer.rotate()
    found = await _verified(anp, world, await world.a_signed_request(WireRequest(body=BODY)))
    assert found["did"] == world.caller.did


@pytest.mark.parametrize(
    "changed",
    [{"body": text(b"{}")}, {"method": "PUT"}, {"url": HERE + "/other"}, {"url": "https://other.example/agents"}],
    ids=["body", "method", "path", "host"],
)
async def test_the_package_refuses_our_request_with_a_change(anp: Order, changed: dict[str, str]) -> None:
    world = a_world()
    wire = await world.a_signed_request(WireRequest(body=BODY))
    assert (await _verified(anp, world, wire, **changed))["status"] == 401


async def test_the_package_refuses_our_request_twice(anp: Order) -> None:
    world = a_world()
    world._numbers = iter(range(int(time.time()), 2**40))  # type: ignore[assignment]
    wire = await world.a_signed_request(WireRequest(body=BODY))
    assert "did" in await _verified(anp, world, wire)
    assert 'error="invalid_nonce"' in (await _verified(anp, world, wire))["headers"]["WWW-Authenticate"]


COVERED = ("@method", "@target-uri", "@authority", "content-digest")


async def _by_hand(
    world: GateWorld, *, since: int = 0, components: tuple[str, ...] = COVERED, key: MemorySigner | None = None
) -> WireRequest:
    """A request that was signed `since` seconds from now, over some components, perhaps by another's key."""
    digest = {"content-digest": content_digest(BODY)}
    message = Message(method="POST", target=HERE, headers=digest, body=BODY)
    made = int(time.time()) + since
    terms = {"created": made, "expires": made + 60, "nonce": f"by-hand-{time.time_ns()}", "keyid": world.caller.key_id}
    line = write_member(Member(components, terms))
    base = signing_input(message, components, line)
    signature = await (key or world.signer).sign("key-1", base)
    return WireRequest(headers={**digest, **signature_fields(line, signature)}, body=BODY)


async def test_the_package_takes_a_request_that_was_signed_by_hand(anp: Order) -> None:
    world = a_world()
    assert (await _verified(anp, world, await _by_hand(world)))["did"] == world.caller.did


@pytest.mark.parametrize("since", [-3600, 3600])
async def test_the_package_and_we_refuse_a_request_of_another_time(anp: Order, since: int) -> None:
    world = a_world()
    wire = await _by_hand(world, since=since)
    assert 'error="invalid_timestamp"' in (await _verified(anp, world, wire))["headers"]["WWW-Authenticate"]
    assert error_of(await world.give(wire)) == "invalid_timestamp"


async def test_the_package_and_we_refuse_another_key(anp: Order) -> None:
    world = a_world()
    wire = await _by_hand(world, key=MemorySigner())
    assert (await _verified(anp, world, wire))["status"] == 401
    assert error_of(await world.give(wire)) == "invalid_signature"


@pytest.mark.parametrize("open_to", ["@target-uri", "content-digest"])
async def test_known_divergence_the_package_takes_a_signature_that_leaves_something_open(
    anp: Order, open_to: str
) -> None:
    """ANP-02 3.1.1 has a minimum that a signature covers. The package checks what is covered, and not that it is enough:
    with the target open, what was signed for one server is taken by another.
    """
    world = a_world()
    components = tuple(each for each in ("@method", "@target-uri", "content-digest") if each != open_to)
    wire = await _by_hand(world, components=components)
    elsewhere = {"url": "https://other.example/agents"} if open_to == "@target-uri" else {}
    assert (await _verified(anp, world, wire, **elsewhere))["did"] == world.caller.did
    assert error_of(await world.give(wire)) == "invalid_request"


async def test_known_divergence_the_package_takes_a_signature_of_the_next_minute(anp: Order) -> None:
    """Its clocks may differ by 60 seconds, ours by 30."""
    world = a_world()
    wire = await _by_hand(world, since=45)
    assert (await _verified(anp, world, wire))["did"] == world.caller.did
    assert error_of(await world.give(wire)) == "invalid_timestamp"


# --- the package's, checked by us ---


class _Theirs:
    """The package's identity, as one whose document is served."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.did: str = document["id"]
        self._data = orjson.dumps(document)

    async def document(self) -> bytes:
        return self._data


def _known(anp: Order, world: GateWorld) -> _Theirs:
    theirs = _Theirs(anp("new", host="caller.example", path=["agents"])["document"])
    world.documents[parse_did(theirs.did).url()] = theirs  # type: ignore[assignment]
    return theirs


def _request(headers: dict[str, str], body: bytes = BODY, **changed: Any) -> WireRequest:
    return WireRequest(headers={name.lower(): value for name, value in headers.items()}, body=body, **changed)


async def test_we_take_the_packages_document_and_signature_and_it_our_token(anp: Order) -> None:
    world = a_world()
    theirs = _known(anp, world)
    assert read_document(await theirs.document(), theirs.did).authentication == {f"{theirs.did}#key-1"}
    reply = await world.give(_request(anp("sign", method="POST", url=HERE, body=text(BODY))["headers"]))
    assert reply.headers["x-principal"] == theirs.did
    shown = anp("take_token", url=HERE, headers={"Authentication-Info": reply.headers["authentication-info"]})
    assert shown["headers"]["Authorization"].startswith("Bearer ")
    assert (await world.give(_request(shown["headers"]))).headers["x-principal"] == theirs.did


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"body": b"{}"}, "invalid_content_digest"),
        ({"method": "PUT"}, "invalid_signature"),
        ({"path": "/other"}, "invalid_signature"),
    ],
)
async def test_we_refuse_the_packages_request_with_a_change(anp: Order, changed: dict[str, Any], error: str) -> None:
    world = a_world()
    _known(anp, world)
    wire = _request(anp("sign", method="POST", url=HERE, body=text(BODY))["headers"], **changed)
    assert error_of(await world.give(wire)) == error


async def test_we_refuse_the_packages_request_twice_and_for_another(anp: Order) -> None:
    world = a_world()
    _known(anp, world)
    wire = _request(anp("sign", method="POST", url=HERE, body=text(BODY))["headers"])
    assert (await world.give(wire)).status == 200
    assert error_of(await world.give(wire)) == "invalid_nonce"
    other = anp("sign", method="POST", url="https://other.example/agents", body=text(BODY))["headers"]
    assert error_of(await world.give(_request(other))) == "invalid_signature"


async def test_the_package_answers_our_challenge(anp: Order) -> None:
    world = a_world(trust=TrustPolicy(callers="authenticated"))
    theirs = _known(anp, world)
    refused = await world.give(WireRequest(body=BODY))
    challenge = {name: refused.headers[name.lower()] for name in ("WWW-Authenticate", "Accept-Signature")}
    again = anp("answer_challenge", method="POST", url=HERE, body=text(BODY), challenge=challenge)["headers"]
    assert "theirs-1" in again["Signature-Input"]
    assert (await world.give(_request(again))).headers["x-principal"] == theirs.did


async def test_the_packages_earlier_header_is_read_where_that_is_switched_on(anp: Order) -> None:
    for legacy in (True, False):
        world = a_world(trust=TrustPolicy(legacy_header=legacy))
        theirs = _known(anp, world)
        signed = anp("sign", method="POST", url=HERE, body=text(BODY), mode="legacy_didwba")["headers"]
        reply = await world.give(_request(signed))
        if legacy:
            assert reply.headers["x-principal"] == theirs.did
        else:
            assert error_of(reply) == "invalid_request"


@pytest.mark.parametrize(
    "value", [{"b": 1.5, "a": [1e21, "ä", "\u2028"]}, {"\U0001f600": 1, "\ufb33": -0.0}, [None, True]]
)
def test_both_write_a_value_to_be_signed_in_the_same_way(anp: Order, value: Any) -> None:
    assert canonicalize(value).decode() == anp("canonical", value=value)["text"]
