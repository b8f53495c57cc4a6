"""DIDs and their documents."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import UsageError
from negotiator.identity.did import did_for, parse_did, read_document
from negotiator.identity.ed25519 import PrivateKey, from_base64url, to_base58
from negotiator.identity.errors import IdentityUnusable, MalformedDid
from negotiator.identity.identity import Identity
from negotiator.identity.signer import MemorySigner
from negotiator.testing import VirtualClock

pytestmark = pytest.mark.anyio
URL = "https://weather.example/agents/today"
KEY = PrivateKey.generate().public


def an_identity(url: str = URL, **options: Any) -> Identity:
    return Identity.in_memory(url, clock=VirtualClock(), **options)


# --- names ---


@pytest.mark.parametrize(
    ("did", "url"),
    [
        ("did:wba:example.com", "https://example.com/.well-known/did.json"),
        ("did:web:example.com", "https://example.com/.well-known/did.json"),
        ("did:web:example.com:user:alice", "https://example.com/user/alice/did.json"),
        ("did:wba:example.com%3A8800:user:alice", "https://example.com:8800/user/alice/did.json"),
        ("did:web:Example.COM:%C3%A4", "https://example.com/%C3%A4/did.json"),
    ],
)
def test_a_did_says_where_its_document_is(did: str, url: str) -> None:
    assert parse_did(did).url() == url


def test_plain_http_is_for_names_of_the_machine_itself_alone_and_when_allowed() -> None:
    local, other = parse_did("did:web:localhost%3A8000"), parse_did("did:web:localhost.example.com")
    assert local.url() == "https://localhost:8000/.well-known/did.json"
    assert local.url(loopback=True) == "http://localhost:8000/.well-known/did.json"
    assert other.url(loopback=True).startswith("https://")


@pytest.mark.parametrize(
    "did",
    [
        "did:key:z6Mk",
        "did:wba",
        "did:wba:",
        "did:wba:127.0.0.1",
        "did:web:127.1",
        "did:web:0x7f.1",
        "did:web:%5B::1%5D",
        "did:web:example.com%3A0",
        "did:web:example.com%3A99999999",
        "did:web:user%40example.com",
        "did:web:example.com%2Fpath",
        "did:web:example.com:..",
        "did:web:example.com:%2E%2E",
        "did:web:example.com:a%2Fb",
        "did:web:example.com:a%00",
        "did:web:example.com:%ff",
        "did:web:example.com#key-1",
        "did:web:exa mple.com",
        "did:web:" + "a" * 600,
    ],
)
def test_what_leads_elsewhere_is_no_did(did: str) -> None:
    with pytest.raises(MalformedDid):
        parse_did(did)


@given(st.text(max_size=60))
def test_any_text_is_a_did_or_is_refused(text: str) -> None:
    try:
        parsed = parse_did("did:web:" + text)
    except MalformedDid:
        return
    assert parse_did(str(parsed)) == parsed
    assert parsed.url().startswith(f"https://{parsed.host}/")


@pytest.mark.parametrize("url", ["https://192.0.2.1/", "http://[::1]:80/", "mem://x", "https://u:p@example.com", "x"])
def test_an_agent_without_a_name_gets_no_did(url: str) -> None:
    with pytest.raises(UsageError):
        did_for(url, KEY)


# --- documents ---


@pytest.mark.parametrize("method", ["wba", "web"])
async def test_a_document_of_ours_is_read_as_it_was_meant(method: Any) -> None:
    identity = an_identity(method=method)
    read = read_document(await identity.document(), identity.did)
    assert read.did == identity.did
    assert read.authentication == {identity.key_id}
    assert read.keys[identity.key_id].verify(await identity.sign(b"x", key_id=identity.key_id), b"x")


async def test_the_document_of_a_bound_did_lies_below_the_agent() -> None:
    identity = an_identity()
    thumbprint = identity.parsed.bound_to
    assert identity.parsed.url() == f"{URL}/e1_{thumbprint}/did.json"


async def test_after_a_rotation_the_document_has_the_new_key_and_the_bound_one_proves_it() -> None:
    signer = MemorySigner()
    identity = an_identity(signer=signer)
    first = identity.key_id
    await identity.document()
    signer.rotate()
    read = read_document(await identity.document(), identity.did)
    assert identity.key_id != first
    assert read.authentication == {identity.key_id}
    assert first in read.assertion


async def test_a_revoked_key_is_not_in_the_document() -> None:
    signer = MemorySigner()
    identity = an_identity(signer=signer, method="web")
    first = identity.key_id
    signer.rotate()
    signer.revoke("key-1")
    read = read_document(await identity.document(), identity.did)
    assert first not in read.keys


def test_a_bound_did_without_its_key_is_not_ours() -> None:
    did = did_for(URL, KEY)
    with pytest.raises(IdentityUnusable, match="bound"):
        Identity(did, URL, MemorySigner())


@pytest.mark.parametrize(
    "place", ["authentication", "verificationMethod", "service", "assertionMethod", "proof", "@context"]
)
async def test_a_bound_document_in_which_anything_was_changed_is_refused(place: str) -> None:
    identity = an_identity()
    document = json.loads(await identity.document())
    document[place] = {**document[place], "created": "2020-01-01T00:00:00Z"} if place == "proof" else []
    with pytest.raises(MalformedDid, match="not proved"):
        read_document(json.dumps(document).encode(), identity.did)


async def test_a_bound_document_proved_by_another_of_its_keys_is_refused() -> None:
    signer = MemorySigner()
    identity = an_identity(signer=signer)
    signer.rotate()
    document = json.loads(await identity.document())
    del document["proof"]
    forged = await identity.state(document)
    assert forged["proof"]["verificationMethod"].endswith("#key-2")  # type: ignore[index,call-overload]
    with pytest.raises(MalformedDid, match="not proved"):
        read_document(json.dumps(forged).encode(), identity.did)


async def test_a_proof_in_base58_is_read_as_well() -> None:
    identity = an_identity()
    document = json.loads(await identity.document())
    document["proof"]["proofValue"] = "z" + to_base58(from_base64url(document["proof"]["proofValue"]))
    assert read_document(json.dumps(document).encode(), identity.did).authentication


async def test_a_document_of_another_did_is_refused() -> None:
    identity = an_identity(method="web")
    with pytest.raises(MalformedDid, match="not of this DID"):
        read_document(await identity.document(), "did:web:weather.example")


async def test_a_key_of_another_did_in_a_document_proves_nothing() -> None:
    identity = an_identity(method="web")
    document = json.loads(await identity.document())
    entry = {**document["verificationMethod"][0], "id": "did:web:other.example#key-1"}
    document["verificationMethod"].append(entry)
    document["authentication"].append(entry["id"])
    assert read_document(json.dumps(document).encode(), identity.did).authentication == {identity.key_id}


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"\xff", b'{"id": "did:web:a.example", "id": "did:web:b.example"}', b"[" * 5000]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedDid):
        read_document(data, "did:web:b.example")


@given(
    st.dictionaries(
        st.sampled_from(["verificationMethod", "authentication", "assertionMethod", "proof"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["id", "type", "publicKeyMultibase", "publicKeyJwk", "x", "verificationMethod"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
    )
)
def test_any_json_is_a_document_or_is_refused(members: Any) -> None:
    data = json.dumps({"id": "did:web:a.example", **members}).encode()
    try:
        read = read_document(data, "did:web:a.example")
    except MalformedDid:
        return
    assert read.authentication <= set(read.keys)
