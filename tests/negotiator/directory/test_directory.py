"""A directory gives what it has, checked by its hash, and takes from those it trusts."""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.directory import DirectoryClient, DirectoryDoor, SyncCaps, sync
from negotiator.directory import client as client_module
from negotiator.errors import Overloaded, PeerFailed, PeerMisspoke, PeerUnreachable, UsageError
from negotiator.testing import World
from negotiator.transports import MemoryTransport
from negotiator.transports.asgi import asgi_app
from negotiator.wire import WireReply, WireRequest
from protocol_docs import (
    DocumentStore,
    MemoryTextStore,
    ProtocolDocument,
    draft_document,
    render_document,
    spell,
)
from tests.negotiator.engine_world import CITY_DAY, EXACT, EXACT_VALUE, FORECAST, offer_forecast

pytestmark = pytest.mark.anyio

HERE = "mem://directory"


def text(name: str) -> ProtocolDocument:
    return render_document(name=name, description=f"All about {name}.", body="Anything.", annex=None)


HOTEL, TRAIN = text("hotels"), text("trains")


@pytest.fixture
def store() -> DocumentStore:
    made = DocumentStore(MemoryTextStore())
    made.put(HOTEL)
    made.put(TRAIN)
    return made


@pytest.fixture
def transport() -> MemoryTransport:
    return MemoryTransport()


def client(
    transport: MemoryTransport, store: DocumentStore, token: str | None = None, **options: Any
) -> DirectoryClient:
    transport.serve(HERE, DirectoryDoor(store, **options))
    return DirectoryClient(transport, HERE, token=token)


def soon() -> Deadline:
    return Deadline.after(30, SystemClock())


def trusting(*tokens: str) -> dict[str, Any]:
    def given() -> Iterator[str]:
        yield from tokens

    return {"tokens": given}


async def answered(store: DocumentStore, path: str, method: str = "GET", **headers: str) -> WireReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await DirectoryDoor(store)(WireRequest(method=method, path=path, headers=named))


async def test_what_it_has_is_listed_searched_and_given(transport: MemoryTransport, store: DocumentStore) -> None:
    directory = client(transport, store)
    page = await directory.page(None, soon())
    assert [entry.hash for entry in page.documents] == sorted([HOTEL.hash, TRAIN.hash])
    assert page.next is None
    (entry,) = await directory.search("something about trains", soon(), limit=1)
    assert (entry.hash, entry.name, entry.bytes) == (TRAIN.hash, "trains", len(TRAIN.data))
    assert await directory.get(TRAIN.hash, soon()) == TRAIN


async def test_a_listing_comes_in_pages(store: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("negotiator.directory.client.PAGE", "negotiator.directory.door.PAGE"):
        monkeypatch.setattr(module, 1)
    first = orjson.loads((await answered(store, "/documents")).body)
    second = orjson.loads((await answered(store, f"/documents?after={first['next']}")).body)
    assert [page["documents"][0]["hash"] for page in (first, second)] == sorted([HOTEL.hash, TRAIN.hash])
    assert "next" not in second


@pytest.mark.parametrize("spelling", ["sha1-hex", "cid", "oci"])
async def test_a_text_is_given_by_any_spelling_and_may_be_kept_for_ever(store: DocumentStore, spelling: Any) -> None:
    reply = await answered(store, f"/documents/{spell(HOTEL, spelling)}")
    assert (reply.status, reply.body) == (200, HOTEL.data)
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["content-security-policy"] == "sandbox"
    again = await answered(store, f"/documents/{HOTEL.hash}", if_none_match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")


async def test_a_listing_is_asked_whether_it_changed(store: DocumentStore) -> None:
    reply = await answered(store, "/documents")
    assert (await answered(store, "/documents", if_none_match=reply.headers["etag"])).status == 304
    store.put(text("ferries"))
    assert (await answered(store, "/documents", if_none_match=reply.headers["etag"])).status == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/documents/sha256:" + "0" * 64, "GET", 404),
        ("/documents/nothing", "GET", 404),
        ("/documents?after=nothing", "GET", 400),
        ("/search?q=hotels&limit=many", "GET", 400),
        ("/", "GET", 404),
        ("/documents", "POST", 405),
        ("/search", "DELETE", 405),
        (f"/documents/{HOTEL.hash}", "DELETE", 405),
        (f"/documents/{HOTEL.hash}", "PUT", 401),
        ("/search?" + "&".join(f"q{number}=1" for number in range(100)), "GET", 400),
    ],
)
async def test_what_it_does_not_do_it_says(store: DocumentStore, path: str, method: str, status: int) -> None:
    assert (await answered(store, path, method)).status == status


async def test_what_was_revoked_is_gone_from_all_it_gives(transport: MemoryTransport, store: DocumentStore) -> None:
    directory = client(transport, store)
    await directory.page(None, soon())
    store.revoke(HOTEL.hash)
    assert (await answered(store, f"/documents/{HOTEL.hash}")).status == 410
    page = await directory.page(None, soon())
    assert [entry.hash for entry in page.documents] == [TRAIN.hash]
    assert page.revoked == (HOTEL.hash,)
    assert await directory.search("hotels", soon()) == ()


# --- adding ---


async def test_nobody_may_add_unless_somebody_was_given_a_token(
    transport: MemoryTransport, store: DocumentStore
) -> None:
    new = text("ferries")
    for token, options in [(None, {}), ("guess", {}), (None, trusting("word")), ("guess", trusting("word", ""))]:
        with pytest.raises(PeerFailed, match="401"):
            await client(transport, store, token, **options).push(new, soon())
    assert store.get(new.hash) is None
    await client(transport, store, "word", **trusting("other", "word")).push(new, soon())
    assert store.get(new.hash) == new


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/documents/{HOTEL.hash}", TRAIN.data, 422),
        ("/documents/nothing", TRAIN.data, 400),
        (f"/documents/{HOTEL.hash}", b"\xff\xfe", 400),
        (f"/documents/{HOTEL.hash}", b"x" * 300_000, 413),
    ],
)
async def test_what_is_added_has_the_hash_that_it_is_added_under(
    store: DocumentStore, path: str, body: bytes, status: int
) -> None:
    headers = {"authorization": "Bearer word"}
    door = DirectoryDoor(store, **trusting("word"))
    reply = await door(WireRequest(method="PUT", path=path, headers=headers, body=body))
    assert reply.status == status
    assert len(store) == 2


async def test_a_full_directory_takes_no_more_and_keeps_what_it_has(
    transport: MemoryTransport, store: DocumentStore
) -> None:
    directory = client(transport, store, "word", max_documents=2, **trusting("word"))
    with pytest.raises(PeerFailed, match="507"):
        await directory.push(text("ferries"), soon())
    await directory.push(HOTEL, soon())
    assert len(store) == 2


async def test_what_the_owner_revoked_cannot_be_added_again(transport: MemoryTransport, store: DocumentStore) -> None:
    store.revoke(HOTEL.hash)
    with pytest.raises(PeerFailed, match="410"):
        await client(transport, store, "word", **trusting("word")).push(HOTEL, soon())


# --- bringing one to another ---


async def test_what_is_not_here_is_brought_and_once_only(transport: MemoryTransport, store: DocumentStore) -> None:
    directory, mine = client(transport, store), DocumentStore(MemoryTextStore())
    mine.put(HOTEL)
    came = await sync(directory, mine, soon())
    assert (came.added, came.known, came.refused, came.capped) == (1, 1, 0, False)
    assert set(mine.hashes()) == {HOTEL.hash, TRAIN.hash}
    assert (await sync(directory, mine, soon())).added == 0


async def test_what_was_revoked_here_is_not_brought_and_what_was_revoked_there_is_said(
    transport: MemoryTransport, store: DocumentStore
) -> None:
    directory, mine = client(transport, store), DocumentStore(MemoryTextStore())
    mine.put(HOTEL)
    mine.revoke(TRAIN.hash)
    store.revoke(HOTEL.hash)
    came = await sync(directory, mine, soon())
    assert (came.added, came.refused, came.revoked_there) == (0, 1, (HOTEL.hash,))
    assert mine.get(HOTEL.hash) == HOTEL


@pytest.mark.parametrize("caps", [SyncCaps(documents=1), SyncCaps(bytes=1)])
async def test_it_stops_at_its_caps(transport: MemoryTransport, store: DocumentStore, caps: SyncCaps) -> None:
    mine = DocumentStore(MemoryTextStore())
    came = await sync(client(transport, store), mine, soon(), caps)
    assert (came.added, came.capped, len(mine)) == (1, True, 1)


class Liar:
    """Lists what it has not, and never comes to an end."""

    def __init__(self) -> None:
        self.pages = 0

    async def __call__(self, wire: WireRequest) -> WireReply:
        if wire.path.startswith("/documents/"):
            return WireReply(body=b"another text than the one that was listed")
        self.pages += 1
        entry = {"hash": HOTEL.hash, "name": "hotels"}
        return WireReply(body=orjson.dumps({"documents": [entry], "next": "sha256:" + "f" * 64}))


async def test_a_directory_that_lies_gives_nothing_and_ends(transport: MemoryTransport) -> None:
    liar, mine = Liar(), DocumentStore(MemoryTextStore())
    transport.serve(HERE, liar)
    directory = DirectoryClient(transport, HERE)
    came = await sync(directory, mine, soon())
    assert (came.added, len(mine)) == (0, 0)
    assert came.refused == liar.pages == 2
    with pytest.raises(PeerMisspoke):
        await directory.get(HOTEL.hash, soon())


@pytest.mark.parametrize("body", [b"", b"[]", b'{"documents": [{"hash": "x"}]}', b'{"documents": [{"name": 1}]}'])
async def test_a_directory_that_misspeaks_is_said_to(transport: MemoryTransport, body: bytes) -> None:
    async def answer(_wire: WireRequest) -> WireReply:
        return WireReply(body=body)

    transport.serve(HERE, answer)
    directory = DirectoryClient(transport, HERE)
    for asked in (directory.page(None, soon()), directory.search("x", soon())):
        with pytest.raises(PeerMisspoke):
            await asked
    with pytest.raises(PeerUnreachable):
        await DirectoryClient(transport, "mem://nowhere").page(None, soon())


async def test_it_is_served_by_our_application(store: DocumentStore) -> None:
    app = asgi_app(DirectoryDoor(store))
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "GET", "path": f"/documents/{HOTEL.hash}", "headers": [], "query_string": b""}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert sent[1]["body"] == HOTEL.data
    large = {**scope, "method": "PUT", "headers": [(b"content-length", b"999999999")]}
    sent.clear()
    await app(large, receive, send)
    assert sent[0]["status"] == 413
    assert client_module.PAGE > 0


# --- which pages reach it, and by which names ---

EVERYTHING = [
    ("GET", "/documents"),
    ("GET", f"/documents/{HOTEL.hash}"),
    ("GET", "/search?q=hotel"),
    ("PUT", "/documents/x"),
]


async def status(door: DirectoryDoor, method: str, path: str, local: str | None = None, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await door(WireRequest(method=method, path=path, headers=named, local=local))).status


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_a_page_that_nobody_named_reaches_nothing_of_it(store: DocumentStore, method: str, path: str) -> None:
    door = DirectoryDoor(store, allowed_origins=["https://app.example"], **trusting("word"))
    for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
        assert await status(door, method, path, origin=origin, authorization="Bearer word") == 403
    for origin in ("https://app.example", "http://localhost:3000"):
        assert await status(door, method, path, origin=origin) != 403


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_a_name_that_was_made_to_lead_to_this_machine_reaches_nothing_of_it(
    store: DocumentStore, method: str, path: str
) -> None:
    door, named = DirectoryDoor(store), DirectoryDoor(store, allowed_hosts=["directory.example"])
    assert await status(door, method, path, "127.0.0.1", host="evil.example:8100") == 403
    assert await status(door, method, path, "127.0.0.1", host="localhost:8100") != 403
    assert await status(door, method, path, "192.0.2.7", host="anything.example") != 403
    assert await status(named, method, path, "192.0.2.7", host="anything.example") == 403
    assert await status(named, method, path, "127.0.0.1", host="directory.example") != 403


async def test_whoever_is_refused_is_told_why_and_what_to_name(store: DocumentStore) -> None:
    refused = await answered(store, "/documents", origin="https://evil.example")
    assert orjson.loads(refused.body)["error"] == "not_allowed"
    assert "allowed_origins" in orjson.loads(refused.body)["reason"]
    with pytest.raises(UsageError, match="no origin"):
        DirectoryDoor(store, allowed_origins=["app.example"])


@pytest.mark.parametrize(("headers", "seconds"), [({"retry-after": "7"}, 7.0), ({}, 1.0)])
async def test_a_directory_with_too_much_to_do_is_to_be_asked_again(
    transport: MemoryTransport, headers: dict[str, str], seconds: float
) -> None:
    async def busy(_wire: WireRequest) -> WireReply:
        return WireReply(status=503, headers=headers)

    transport.serve(HERE, busy)
    with pytest.raises(Overloaded, match="try again later") as caught:
        await DirectoryClient(transport, HERE).page(None, soon())
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("body", [b"", b"[]", b'{"reason": 5}', b'{"reason": "a name\\nthat is not ours"}'])
async def test_the_reason_of_a_refusal_is_said_where_there_is_one(transport: MemoryTransport, body: bytes) -> None:
    async def refuses(_wire: WireRequest) -> WireReply:
        return WireReply(status=403, body=body)

    transport.serve(HERE, refuses)
    with pytest.raises(PeerFailed, match="status 403") as caught:
        await DirectoryClient(transport, HERE).page(None, soon())
    assert str(caught.value).endswith("403: a name that is not ours" if b"name" in body else "403")


# --- used by agents ---


async def test_a_document_of_a_directory_is_proposed_to_a_peer_that_lists_nothing() -> None:
    shared = draft_document(
        name="Forecast, as the region agreed on",
        description="Weather forecast for a city and a day",
        request_schema=CITY_DAY,
        reply_schema=FORECAST,
        effect="safe",
    )
    kept = DocumentStore(MemoryTextStore())
    kept.put(shared)
    async with World() as world:
        world.memory.serve(HERE, DirectoryDoor(kept))
        server = world.agent("server")
        server.engine.documents.put(shared)
        offer_forecast(server)
        caller = world.agent("caller", directories=[HERE])
        outcome = await caller.ask("mem://server", EXACT, EXACT_VALUE)
        assert (outcome.tier, outcome.protocol_hash) == ("routine", shared.hash)


@pytest.mark.parametrize("fault", ["unreachable", "hang_up_before"])
async def test_a_directory_that_is_away_fails_nothing(fault: Any) -> None:
    async with World() as world:
        world.memory.serve(HERE, DirectoryDoor(DocumentStore(MemoryTextStore())))
        world.memory.fail(HERE, *[fault] * 8)
        offer_forecast(world.agent("server"))
        caller = world.agent("caller", directories=[HERE])
        async with asyncio.timeout(30):
            assert (await caller.ask("mem://server", EXACT, EXACT_VALUE)).tier == "routine"
