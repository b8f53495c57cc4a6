"""The sender's edge: what a peer speaks is found out and remembered, and nothing is sent twice that could have counted."""

import itertools

import orjson
import pytest

from negotiator.agora_replies import error_of
from negotiator.clock import Deadline, SystemClock
from negotiator.conversations import Conversations
from negotiator.dialects.agora import DEMO, PACKAGE_020, PAPER, STANDARD_2024, STANDARD_2025
from negotiator.errors import (
    NotPossible,
    OutcomeUnknown,
    Overloaded,
    PeerFailed,
    PeerHungUp,
    PeerMisspoke,
    PeerRejected,
    PeerUnreachable,
    UsageError,
)
from negotiator.messages import Reply, Request
from negotiator.reach import Reach
from negotiator.serving import AgoraDoor, Listed
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply, WireRequest
from protocol_docs import MemoryTextStore, ProtocolDocument, StoreFull, as_data_uri, spell

pytestmark = pytest.mark.anyio

DOCUMENT = ProtocolDocument.from_text("A city in, a temperature out.\n")
PEER = "memory://peer"
UNDER = Request(body='{"city": "Rome"}', hashes=DOCUMENT.aliases, sources=(as_data_uri(DOCUMENT),))
WORDS = Request(body="How warm is it in Rome?")


class HandClock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Stranger:
    """A peer of one dialect, strict as the real ones are; counts what took effect."""

    def __init__(self, dialect, *, listing=None) -> None:
        self.dialect, self.listing = dialect, listing
        self.heard: list[WireRequest] = []
        self.effects = 0

    async def __call__(self, wire):
        self.heard.append(wire)
        if wire.method == "GET":
            body = (self.listing or {}).get(wire.path)
            return WireReply(status=404) if body is None else WireReply(body=orjson.dumps(body))
        if wire.method == "DELETE":
            return WireReply(body=b'{"status": "success"}')
        envelope = orjson.loads(wire.body)
        refused = self.refusal_of(envelope, wire.path)
        if refused is not None:
            return refused
        self.effects += 1
        reply = Reply(status="success", body=f"done: {envelope['body']}", conversation="c-1", conversation_expires=5.0)
        return self.dialect.encode_reply(
            reply if envelope.get("multiround") else Reply(status="success", body=reply.body), None
        )

    def refusal_of(self, envelope, path):
        spelt = envelope.get("protocolHash")
        follow_up = path.startswith("/conversations/")
        if self.dialect is PACKAGE_020:
            for key in ("protocolHash", "protocolSources"):
                if key not in envelope and not follow_up:
                    return WireReply(body=orjson.dumps({"status": "error", "message": f"'{key}'"}))
            if spelt is not None and spelt not in (spell(DOCUMENT, "sha1-base64"), "negotiation"):
                return WireReply(body=b'{"status": "error", "message": "Failed to download protocol"}')
        elif spelt is not None and spelt != spell(DOCUMENT, "sha1-hex"):
            return self.dialect.encode_reply(Reply(status="rejected"), None)
        return None

    @property
    def posts(self):
        return [wire for wire in self.heard if wire.method == "POST"]


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def deadline(clock):
    return Deadline.after(30, SystemClock())


@pytest.fixture
def store():
    return MemoryTextStore()


@pytest.fixture
def transport():
    return MemoryTransport()


@pytest.fixture
def reach(transport, store, clock):
    return Reach(transport, store, clock)


def ours(answer=None):
    async def echo(request, context):
        return Reply(status="success", body=f"ours: {request.body}", tier="routine")

    numbers = itertools.count()
    conversations = Conversations(MemoryTextStore(), SystemClock(), lambda: f"c-{next(numbers)}")
    listing = {DOCUMENT.hash: Listed(DOCUMENT)}
    return AgoraDoor(answer or echo, listing=lambda: listing, conversations=conversations, clock=SystemClock())


# --- discovery ---


async def test_one_of_ours_is_known_by_its_engine_and_its_listing(reach, transport, deadline, clock):
    transport.serve(PEER, ours())
    record = await reach.discover(PEER, deadline)
    assert (record.dialect, record.ours, record.seen) == ("agora-2025", True, clock.now)
    assert record.listing == {DOCUMENT.hash: (as_data_uri(DOCUMENT),)}


@pytest.mark.parametrize(
    ("listing", "dialect"),
    [
        ({"/wellknown": {}}, "agora-2025"),
        ({"/.wellknown": {}}, "agora-2024"),
        ({"/wellknown": {"status": "success", "protocols": {}}}, "agora-demo"),
        ({}, "agora-0.2.0"),
        ({"/wellknown": []}, "agora-0.2.0"),
    ],
)
async def test_a_stranger_is_known_by_where_and_how_it_lists(reach, transport, deadline, listing, dialect):
    transport.serve(PEER, Stranger(STANDARD_2025, listing=listing))
    record = await reach.discover(PEER, deadline)
    assert (record.dialect, record.ours) == (dialect, False)


async def test_a_peer_is_asked_once_until_what_is_known_expires(reach, transport, store, clock, deadline):
    peer = Stranger(PACKAGE_020)
    transport.serve(PEER, peer)
    await reach.discover(PEER, deadline)
    await reach.discover(PEER + "/", deadline)
    assert len(peer.heard) == 2
    another_process = Reach(transport, store, clock)
    assert (await another_process.discover(PEER, deadline)).dialect == "agora-0.2.0"
    assert len(peer.heard) == 2
    clock.now += 3601
    await reach.discover(PEER, deadline)
    assert len(peer.heard) == 4


async def test_what_is_forgotten_is_asked_again(reach, transport, deadline):
    peer = Stranger(PACKAGE_020)
    transport.serve(PEER, peer)
    await reach.discover(PEER, deadline)
    reach.forget(PEER)
    assert reach.known(PEER) is None
    await reach.discover(PEER, deadline)
    assert len(peer.heard) == 4


async def test_what_the_store_holds_is_not_trusted_to_be_a_record(transport, store, clock, deadline):
    transport.serve(PEER, ours())
    await Reach(transport, store, clock).discover(PEER, deadline)
    (key,) = store.keys("peer/")
    for text in ("", "{}", '{"dialect": "klingon", "listing": {}, "ours": true, "seen": 1, "expires": 9e9}'):
        store.put(key, text)
        assert Reach(transport, store, clock).known(PEER) is None


async def test_a_full_store_does_not_fail_an_exchange(transport, clock, deadline):
    class Full(MemoryTextStore):
        def put(self, key, text):
            raise StoreFull

    transport.serve(PEER, ours())
    assert (await Reach(transport, Full(), clock).exchange(PEER, WORDS, deadline)).status == "success"


async def test_a_peer_that_hangs_up_when_asked_what_it_lists_was_not_sent_the_request(reach, transport, deadline):
    transport.serve(PEER, ours())
    transport.fail(PEER, "hang_up_after")
    with pytest.raises(PeerUnreachable):
        await reach.exchange(PEER, WORDS, deadline)


# --- exchanges, with every kind of peer ---


@pytest.mark.parametrize("dialect", [PAPER, STANDARD_2024, STANDARD_2025, PACKAGE_020], ids=lambda d: d.name)
@pytest.mark.parametrize("request_", [WORDS, UNDER], ids=["words", "document"])
async def test_a_stranger_without_a_listing_is_understood_and_acts_once(reach, transport, deadline, dialect, request_):
    peer = Stranger(dialect)
    transport.serve(PEER, peer)
    reply = await reach.exchange(PEER, request_, deadline)
    assert (reply.status, reply.body) == ("success", f"done: {request_.body}")
    assert peer.effects == 1


async def test_a_wrong_guess_is_corrected_once_and_remembered(reach, transport, deadline):
    peer = Stranger(STANDARD_2025)
    transport.serve(PEER, peer)
    await reach.exchange(PEER, UNDER, deadline)
    assert [orjson.loads(wire.body)["protocolHash"] for wire in peer.posts] == [
        spell(DOCUMENT, "sha1-base64"),
        spell(DOCUMENT, "sha1-hex"),
    ]
    assert reach.known(PEER).dialect == "agora-2025"
    await reach.exchange(PEER, UNDER, deadline)
    assert len(peer.posts) == 3


async def test_a_package_that_was_taken_for_the_standard_is_found_out(reach, transport, deadline):
    peer = Stranger(PACKAGE_020, listing={"/wellknown": {}})
    transport.serve(PEER, peer)
    for request in (WORDS, UNDER):
        assert (await reach.exchange(PEER, request, deadline)).status == "success"
    assert peer.effects == 2
    assert len(peer.posts) == 3
    assert reach.known(PEER).dialect == "agora-0.2.0"


async def test_one_of_ours_that_gained_no_listing_yet_is_recognised_by_its_reply(reach, transport, store, deadline):
    stranger = Stranger(PACKAGE_020)
    transport.serve(PEER, stranger)
    await reach.discover(PEER, deadline)
    transport.serve(PEER, ours())
    await reach.exchange(PEER, UNDER, deadline)
    assert (reach.known(PEER).dialect, reach.known(PEER).ours) == ("agora-2025", True)


async def test_between_ourselves_the_tier_and_the_exact_hash_are_told(reach, transport, deadline):
    heard = []

    async def answer(request, context):
        heard.append(request)
        return Reply(status="success", body="x", tier="structured")

    transport.serve(PEER, ours(answer))
    reply = await reach.exchange(PEER, Request(body="x", hashes=DOCUMENT.aliases, idempotency_key="k"), deadline)
    assert reply.tier == "structured"
    assert (heard[0].hashes, heard[0].idempotency_key) == (DOCUMENT.aliases, "k")


async def test_a_rejection_under_the_right_hash_is_the_peer_s_last_word(reach, transport, deadline):
    async def reject(request, context):
        return Reply(status="rejected", code="document_not_found")

    transport.serve(PEER, ours(reject))
    reply = await reach.exchange(PEER, UNDER, deadline)
    assert (reply.status, reply.code) == ("rejected", "document_not_found")
    for dialect in (PAPER, STANDARD_2025, PACKAGE_020):
        strict = Stranger(dialect, listing={"/wellknown": {}} if dialect is not PACKAGE_020 else None)
        strict.refusal_of = lambda envelope, path, dialect=dialect: dialect.encode_reply(Reply(status="rejected"), None)
        transport.serve(f"memory://{dialect.name}", strict)
        assert (await reach.exchange(f"memory://{dialect.name}", UNDER, deadline)).status == "rejected"
        assert len(strict.posts) == 1


@pytest.mark.parametrize(
    "said",
    [
        WireReply(status=500, body=b"<html>"),
        WireReply(status=404),
        WireReply(body=b'{"status": "error", "message": "boom"}'),
        WireReply(body=b'{"status": "failure", "error": "boom"}'),
        WireReply(body=b'{"status": "failure"}'),
        WireReply(status=503, headers={"retry-after": "3"}),
    ],
)
@pytest.mark.parametrize("listing", [None, {"/wellknown": {}}], ids=["as-package", "as-standard"])
async def test_a_failure_that_may_have_counted_is_never_sent_again(reach, transport, deadline, said, listing):
    peer = Stranger(STANDARD_2025, listing=listing)
    peer.refusal_of = lambda envelope, path: said
    transport.serve(PEER, peer)
    assert (await reach.exchange(PEER, UNDER, deadline)).status == "failure"
    assert len(peer.posts) == 1


async def test_what_both_dialects_find_malformed_was_sent_twice_and_no_more(reach, transport, deadline):
    peer = Stranger(STANDARD_2025)
    peer.refusal_of = lambda envelope, path: WireReply(status=400)
    transport.serve(PEER, peer)
    assert (await reach.exchange(PEER, WORDS, deadline)).code == "malformed"
    assert len(peer.posts) == 2


@pytest.mark.parametrize(
    "said", [WireReply(), WireReply(body=b"<html>hello"), WireReply(status=302), WireReply(body=b'{"status": 1}')]
)
async def test_a_reply_that_no_dialect_explains_is_misspoken(reach, transport, deadline, said):
    peer = Stranger(STANDARD_2025)
    peer.refusal_of = lambda envelope, path: said
    transport.serve(PEER, peer)
    with pytest.raises(PeerMisspoke):
        await reach.exchange(PEER, WORDS, deadline)
    assert len(peer.posts) == 1


@pytest.mark.parametrize("status", [502, 504])
async def test_a_gateway_that_lost_the_reply_is_a_peer_that_hung_up(reach, transport, deadline, status):
    peer = Stranger(STANDARD_2025)
    peer.refusal_of = lambda envelope, path: WireReply(status=status, body=b"<html>Bad gateway</html>")
    transport.serve(PEER, peer)
    with pytest.raises(PeerHungUp):
        await reach.exchange(PEER, WORDS, deadline)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("unreachable", PeerUnreachable), ("hang_up_before", PeerHungUp), ("hang_up_after", PeerHungUp)],
)
async def test_a_line_that_breaks_is_told_as_it_broke(reach, transport, deadline, fault, error):
    peer = Stranger(PACKAGE_020)
    transport.serve(PEER, peer)
    transport.fail(PEER, None, None, fault)
    with pytest.raises(error):
        await reach.exchange(PEER, WORDS, deadline)
    assert len(peer.posts) == (1 if fault == "hang_up_after" else 0)
    assert (await reach.exchange(PEER, WORDS, deadline)).status == "success"


async def test_the_time_that_is_left_is_told(reach, transport, deadline):
    peer = Stranger(PACKAGE_020)
    transport.serve(PEER, peer)
    await reach.exchange(PEER, WORDS, deadline)
    assert peer.posts[0].headers["prefer"] == "wait=30"


async def test_a_hash_that_the_dialect_cannot_spell_sends_nothing(reach, transport, deadline):
    peer = Stranger(PACKAGE_020)
    transport.serve(PEER, peer)
    with pytest.raises(UsageError):
        await reach.exchange(PEER, Request(body="x", hashes=DOCUMENT.aliases[:1]), deadline)
    assert peer.posts == []


# --- conversations ---


@pytest.mark.parametrize("kind", ["ours", "package"])
async def test_rounds_are_carried_and_closed(reach, transport, deadline, kind):
    peer = ours() if kind == "ours" else Stranger(PACKAGE_020)
    heard = []

    async def listening(wire):
        heard.append((wire.method, wire.path))
        return await peer(wire)

    transport.serve(PEER, listening)
    opened = await reach.exchange(PEER, Request(body="one", multiround=True), deadline)
    name = opened.conversation
    assert name is not None
    again = await reach.exchange(PEER, Request(body="two", multiround=True, conversation=name), deadline)
    assert again.status == "success"
    await reach.close(PEER, name, deadline)
    posted = [(method, path) for method, path in heard if method != "GET"]
    assert posted == [("POST", "/"), ("POST", f"/conversations/{name}"), ("DELETE", f"/conversations/{name}")]


async def test_a_negotiation_in_words_is_carried_to_a_package_and_impossible_with_a_standard_peer(
    reach, transport, deadline
):
    transport.serve(PEER, Stranger(PACKAGE_020))
    request = Request(kind="negotiation", body="I propose ...", multiround=True)
    assert (await reach.exchange(PEER, request, deadline)).conversation == "c-1"
    transport.serve("memory://standard", Stranger(STANDARD_2025, listing={"/wellknown": {}}))
    with pytest.raises(NotPossible):
        await reach.exchange("memory://standard", request, deadline)


async def test_a_round_is_not_sent_again_in_another_dialect(reach, transport, deadline):
    peer = Stranger(STANDARD_2025)
    transport.serve(PEER, peer)
    await reach.discover(PEER, deadline)
    reply = await reach.exchange(
        PEER, Request(body="two", hashes=DOCUMENT.aliases, conversation="c-1", multiround=True), deadline
    )
    assert reply.status == "rejected"
    assert len(peer.posts) == 1


async def test_closing_never_fails_for_the_peer_s_part(reach, transport, deadline):
    await reach.close("memory://nobody", "c-1", deadline)
    transport.serve(PEER, Stranger(DEMO, listing={"/wellknown": {"status": "success", "protocols": {}}}))
    await reach.discover(PEER, deadline)
    await reach.close(PEER, "c-1", deadline)


# --- errors of replies ---


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status="rejected"), PeerRejected),
        (Reply(status="failure", error="no such city"), PeerFailed),
        (Reply(status="failure", code="outcome_unknown"), OutcomeUnknown),
        (Reply(status="failure", code="overloaded", retry_after=4.0), Overloaded),
    ],
)
def test_a_reply_that_is_no_success_has_its_error(reply, error):
    assert type(error_of(reply)) is error


def test_an_overload_keeps_when_to_come_back_and_a_success_is_no_error():
    overloaded = error_of(Reply(status="failure", code="overloaded", retry_after=4.0))
    assert isinstance(overloaded, Overloaded)
    assert overloaded.retry_after == 4.0
    assert error_of(Reply(status="success")) is None
