"""Callers prove who they are at the gate: by signature, by the token that one was given for, or not at all."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.clock import Deadline
from negotiator.identity import Identity, MemorySigner, Pins, TrustPolicy, read_document
from negotiator.identity.ed25519 import to_base64url
from negotiator.identity.jcs import canonicalize
from negotiator.identity.tokens import AccessTokens, Holder
from negotiator.wire import ANONYMOUS, WireReply, WireRequest
from protocol_docs import MemoryTextStore
from tests.negotiator.identity.gate_world import HERE, GateWorld, error_of

pytestmark = pytest.mark.anyio


# --- who asks ---


async def test_a_signed_request_comes_in_under_the_callers_did() -> None:
    world = GateWorld()
    reply = await world.ask(world.client())
    assert reply.headers["x-principal"] == world.caller.did


async def test_whoever_proves_nothing_is_anonymous() -> None:
    world = GateWorld()
    assert (await world.give(WireRequest())).headers["x-principal"] == ANONYMOUS


async def test_the_first_proof_is_a_signature_and_the_next_the_token_it_was_given_for() -> None:
    world = GateWorld()
    client = world.client()
    replies = [await world.ask(client) for _ in range(3)]
    assert {reply.headers["x-principal"] for reply in replies} == {world.caller.did}
    assert ["signature" in wire.headers for wire in world.sent] == [True, False, False]
    assert [wire.headers.get("authorization", "")[:7] for wire in world.sent] == ["", "Bearer ", "Bearer "]
    assert ["authentication-info" in reply.headers for reply in replies] == [True, False, False]


async def test_when_a_token_is_nearly_over_a_signature_is_made_again() -> None:
    world = GateWorld()
    client = world.client()
    await world.ask(client)
    world.clock.advance(3590)
    await world.ask(client)
    assert "signature" in world.sent[-1].headers


async def test_a_token_that_is_not_taken_is_replaced_by_a_signature_at_once() -> None:
    world = GateWorld()
    client = world.client()
    await world.ask(client)
    world.secrets[:] = [b"t" * 32]
    assert (await world.ask(client)).headers["x-principal"] == world.caller.did
    assert len(world.sent) == 3
    assert len(world.echo.seen) == 2


async def test_a_token_is_not_kept_where_others_can_read_it() -> None:
    world = GateWorld()
    client = world.client()
    base = "http://weather.example/agents"

    async def answer(_wire: WireRequest) -> WireReply:
        return WireReply(headers={"authentication-info": 'access_token="t", token_type="Bearer", expires_in=3600'})

    world.memory.serve(base, answer)
    for _ in range(2):
        await client.send(base, WireRequest(), deadline=Deadline.after(60, world.clock))
    assert all("authorization" not in wire.headers for wire in world.sent)


async def test_a_token_is_shown_to_nobody_but_who_gave_it() -> None:
    world = GateWorld()
    client = world.client()
    await world.ask(client)
    world.memory.serve("https://other.example", world.echo)
    await client.send("https://other.example", WireRequest(), deadline=Deadline.after(60, world.clock))
    assert "authorization" not in world.sent[-1].headers


async def test_what_its_sender_proves_in_another_way_is_left_alone() -> None:
    world = GateWorld()
    await world.ask(world.client(), WireRequest(headers={"authorization": "Basic x"}))
    assert "signature" not in world.sent[0].headers


async def test_a_principal_that_the_host_named_needs_no_proof() -> None:
    world = GateWorld(trust=TrustPolicy(callers="authenticated"))
    reply = await world.give(WireRequest(principal="host:alice", headers={"authorization": "Bearer of-the-host"}))
    assert reply.headers["x-principal"] == "host:alice"


# --- what is refused, in ANP-02's words ---


async def _refused(world: GateWorld, wire: WireRequest) -> str:
    reply = await world.give(wire)
    assert world.echo.seen == []
    assert reply.status == 401
    assert "content-digest" in reply.headers["accept-signature"]
    return error_of(reply)


async def test_a_repeated_request_is_refused() -> None:
    world = GateWorld()
    wire = await world.a_signed_request()
    assert (await world.give(wire)).status == 200
    world.echo.seen.clear()
    assert await _refused(world, wire) == "invalid_nonce"


async def test_a_repeated_request_is_refused_by_another_worker_of_the_store() -> None:
    world = GateWorld()
    wire = await world.a_signed_request()
    assert (await world.give(wire)).status == 200
    reply = await world.give(wire, world.a_gate())
    assert (reply.status, error_of(reply)) == (401, "invalid_nonce")


async def test_a_signature_that_does_not_hold_uses_no_nonce_up() -> None:
    world = GateWorld()
    wire = await world.a_signed_request()
    await _refused(world, replace(wire, method="DELETE"))
    assert (await world.give(wire)).status == 200


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"body": b"[]"}, "invalid_content_digest"),
        ({"method": "PUT"}, "invalid_signature"),
        ({"path": "/other"}, "invalid_signature"),
        ({"path": "/?a=1"}, "invalid_signature"),
    ],
)
async def test_a_changed_request_is_refused(changed: dict[str, Any], error: str) -> None:
    world = GateWorld()
    assert await _refused(world, replace(await world.a_signed_request(), **changed)) == error


async def test_a_request_to_somebody_else_cannot_be_made_here() -> None:
    world = GateWorld()
    client = world.client()
    seen: list[WireRequest] = []

    async def thief(wire: WireRequest) -> WireReply:
        seen.append(wire)
        return WireReply()

    world.memory.serve("https://thief.example", thief)
    await client.send("https://thief.example", WireRequest(body=b"{}"), deadline=Deadline.after(60, world.clock))
    wire = replace(seen[0], headers={**seen[0].headers, "host": "thief.example"})
    assert await _refused(world, wire) == "invalid_signature"


@pytest.mark.parametrize("seconds", [300, 10_000, -31, -10_000])
async def test_out_of_its_time_a_request_is_refused(seconds: float) -> None:
    world = GateWorld()
    world.clock.advance(20_000)
    wire = await world.a_signed_request()
    world.clock = _moved(world, seconds)
    assert await _refused(world, wire) == "invalid_timestamp"


def _moved(world: GateWorld, seconds: float) -> Any:
    clock = type(world.clock)()
    other = GateWorld(clock=clock)
    clock.advance(20_000 + seconds)
    other.documents = world.documents
    world.gate = other.gate
    return clock


async def test_a_did_that_nobody_serves_is_refused() -> None:
    world = GateWorld()
    wire = await world.a_signed_request()
    world.documents.clear()
    assert await _refused(world, wire) == "invalid_did"


async def test_another_key_than_the_dids_is_refused() -> None:
    world = GateWorld()
    stranger = Identity(world.caller.did, world.caller.url, _Claims(world.signer, MemorySigner()))
    await world.ask(world.client(stranger))
    reply = await world.give(world.sent[-1])
    assert world.echo.seen == []
    assert error_of(reply) == "invalid_signature"


class _Claims(MemorySigner):
    """Says one's keys, and signs with another's."""

    def __init__(self, said: MemorySigner, held: MemorySigner) -> None:
        self._said, self._held = said, held

    def all_keys(self) -> Any:
        return self._said.all_keys()

    async def sign(self, name: str, data: bytes) -> bytes:
        return await self._held.sign(name, data)


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x", "Bearer x.y", "bearer " + "x" * 5000])
async def test_what_is_no_token_is_refused(header: str) -> None:
    world = GateWorld()
    wire = WireRequest(headers={"authorization": header + " " * (header == "Bearer")})
    assert await _refused(world, wire) == "invalid_access_token"


async def test_a_token_for_another_agent_is_refused() -> None:
    world = GateWorld()
    tokens = AccessTokens(lambda: world.secrets, "did:web:other.example", world.clock)
    token = tokens.issue(Holder(world.caller.did, world.caller.key_id))
    assert await _refused(world, WireRequest(headers={"authorization": f"Bearer {token}"})) == "invalid_access_token"


async def test_a_token_whose_time_is_over_is_refused() -> None:
    world = GateWorld()
    client = world.client()
    await world.ask(client)
    await world.ask(client)
    wire = world.sent[-1]
    world.clock.advance(3600)
    world.echo.seen.clear()
    assert await _refused(world, wire) == "invalid_access_token"


@given(st.integers(0, 400), st.sampled_from("aA0_-."))
async def test_a_changed_token_is_refused(at: int, character: str) -> None:
    world = GateWorld()
    token = AccessTokens(lambda: world.secrets, world.audience, world.clock).issue(Holder("did:web:a.example", "k"))
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        assert (
            await _refused(world, WireRequest(headers={"authorization": f"Bearer {changed}"})) == "invalid_access_token"
        )


async def test_a_refusal_names_the_realm_and_gives_a_nonce_to_repeat_with() -> None:
    world = GateWorld(trust=TrustPolicy(callers="authenticated"))
    reply = await world.give(WireRequest())
    said = reply.headers["www-authenticate"]
    assert 'realm="weather.example"' in said
    assert 'nonce="theirs-1"' in said


# --- whom the trust policy hears ---


async def test_an_agent_that_hears_only_the_proven_refuses_the_anonymous() -> None:
    world = GateWorld(trust=TrustPolicy(callers="authenticated"))
    assert await _refused(world, WireRequest()) == "invalid_request"
    assert (await world.ask(world.client())).status == 200


@pytest.mark.parametrize(
    ("listed", "status"), [(("did:wba:caller.example:*",), 200), (("did:wba:other.example:*",), 403)]
)
async def test_an_agent_that_hears_a_list_refuses_others_though_proven(listed: tuple[str, ...], status: int) -> None:
    world = GateWorld(trust=TrustPolicy(callers="listed", listed=listed))
    assert (await world.ask(world.client())).status == status
    assert len(world.echo.seen) == (status == 200)


async def test_a_list_lets_no_anonymous_caller_in() -> None:
    world = GateWorld(trust=TrustPolicy(callers="listed", listed=("*",)))
    assert await _refused(world, WireRequest()) == "invalid_request"


# --- keys that change ---


async def test_a_rotated_key_is_taken_at_the_next_request() -> None:
    world = GateWorld()
    assert (await world.ask(world.client())).status == 200
    world.clock.advance(16)
    world.signer.rotate()
    assert (await world.ask(world.client())).headers["x-principal"] == world.caller.did
    assert len(world.fetched) == 2


async def test_the_key_before_a_rotation_proves_nothing_once_the_document_is_read_again() -> None:
    world = GateWorld()
    before = await world.a_signed_request()
    world.signer.rotate()
    assert await _refused(world, before) == "invalid_verification_method"


async def test_what_we_revoke_is_refused_at_the_next_request_by_signature_and_by_token() -> None:
    world = GateWorld()
    client = world.client()
    await world.ask(client)
    world.revocations.revoke(world.caller.did)
    world.echo.seen.clear()
    by_token = await world.ask(client)
    by_signature = await world.ask(world.client())
    assert (by_token.status, by_signature.status) == (403, 403)
    assert world.echo.seen == []
    world.revocations.restore(world.caller.did)
    assert (await world.ask(client)).status == 200


async def test_one_key_of_a_did_can_be_revoked_alone() -> None:
    world = GateWorld()
    world.revocations.revoke(world.caller.key_id)
    assert (await world.ask(world.client())).status == 403
    world.signer.rotate()
    assert (await world.ask(world.client())).status == 200


async def test_a_revocation_holds_for_other_workers_of_the_store() -> None:
    world = GateWorld()
    elsewhere = GateWorld(store=world.store)
    elsewhere.documents = {elsewhere.caller.parsed.url(): elsewhere.caller}
    await elsewhere.ask(elsewhere.client())
    world.revocations.revoke(elsewhere.caller.did)
    assert (await elsewhere.ask(elsewhere.client())).status == 403


async def test_a_domains_did_with_other_keys_than_at_first_is_refused_until_somebody_approves() -> None:
    world = GateWorld()
    first = Identity.in_memory("https://caller.example", method="web", clock=world.clock)
    world.documents[first.parsed.url()] = first
    assert (await world.ask(world.client(first))).status == 200
    other = Identity.in_memory("https://caller.example", method="web", clock=world.clock)
    world.documents[first.parsed.url()] = other
    world.clock.advance(301)
    refused = await world.ask(world.client(other))
    assert (refused.status, error_of(refused)) == (401, "invalid_did")
    assert Pins(world.store).changed() == [first.did]
    assert Pins(world.store).approve(first.did)
    assert (await world.ask(world.client(other))).status == 200
    assert not Pins(world.store).approve(first.did)


# --- fetching is bounded ---


async def test_a_did_whose_keys_cannot_be_remembered_is_not_taken() -> None:
    world = GateWorld(store=MemoryTextStore(64))
    unbound = Identity.in_memory("https://other.example", clock=world.clock, method="web")
    world.documents[unbound.parsed.url()] = unbound
    reply = await world.ask(world.client(unbound))
    assert reply.status == 503
    assert world.echo.seen == []


async def test_a_document_is_fetched_once_for_many_requests() -> None:
    world = GateWorld()
    for _ in range(5):
        await world.ask(world.client())
    assert len(world.fetched) == 1


async def test_a_caller_cannot_have_us_fetch_as_often_as_it_likes() -> None:
    world = GateWorld()
    wire = await world.a_signed_request()
    world.documents.clear()
    for _ in range(5):
        await _refused(world, wire)
    assert len(world.fetched) == 1


async def test_a_key_that_is_not_there_has_a_document_fetched_once_more_and_no_more() -> None:
    world = GateWorld()
    await world.ask(world.client())
    world.clock.advance(16)
    world.echo.seen.clear()
    wire = await world.a_signed_request()
    named = wire.headers["signature-input"].replace("#key-1", "#key-9")
    for _ in range(5):
        wire = replace(wire, headers={**wire.headers, "signature-input": named})
        assert await _refused(world, wire) == "invalid_verification_method"
    assert len(world.fetched) == 2


# --- the agent's own document ---


async def test_the_agents_document_is_served_to_everybody_where_its_did_says() -> None:
    world = GateWorld(trust=TrustPolicy(callers="listed"))
    path = world.identity.parsed.url().removeprefix(HERE)
    reply = await world.give(WireRequest(method="GET", path=path))
    assert reply.status == 200
    assert read_document(reply.body, world.identity.did).did == world.identity.did


# --- the header of before ---


async def _legacy(world: GateWorld, *, host: str = "weather.example", **changed: str) -> WireRequest:
    moment = datetime.fromtimestamp(world.clock.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"nonce": "n", "timestamp": moment, "aud": host, "did": world.caller.did}
    digest = hashlib.sha256(canonicalize(dict(said))).digest()
    signature = to_base64url(await world.caller.sign(digest, key_id=world.caller.key_id))
    parts = {
        "v": "1.1",
        "did": world.caller.did,
        "nonce": "n",
        "timestamp": moment,
        "verification_method": "key-1",
        "signature": signature,
    } | changed
    header = "DIDWba " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
    return WireRequest(body=b"{}", headers={"authorization": header})


async def test_the_header_of_before_is_not_read_unless_that_is_switched_on() -> None:
    world = GateWorld()
    assert await _refused(world, await _legacy(world)) == "invalid_request"


async def test_switched_on_it_proves_who_asks_and_once() -> None:
    world = GateWorld(trust=TrustPolicy(legacy_header=True))
    wire = await _legacy(world)
    assert (await world.give(wire)).headers["x-principal"] == world.caller.did
    world.echo.seen.clear()
    assert await _refused(world, wire) == "invalid_nonce"


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"host": "other.example"}, "invalid_signature"),
        ({"nonce": "m"}, "invalid_signature"),
        ({"signature": "AAAA"}, "invalid_signature"),
        ({"verification_method": "key-2"}, "invalid_verification_method"),
        ({"timestamp": "2020-01-01T00:00:00Z"}, "invalid_timestamp"),
        ({"timestamp": "yesterday"}, "invalid_request"),
        ({"did": "did:key:z6Mk"}, "invalid_did"),
    ],
)
async def test_switched_on_a_changed_header_is_refused(changed: dict[str, str], error: str) -> None:
    world = GateWorld(trust=TrustPolicy(legacy_header=True))
    assert await _refused(world, await _legacy(world, **changed)) == error


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80))
async def test_any_header_is_a_proof_or_is_refused(text: str) -> None:
    world = GateWorld(trust=TrustPolicy(legacy_header=True))
    await _refused(world, WireRequest(headers={"authorization": "DIDWba " + text}))
