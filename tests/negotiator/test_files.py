"""Files travel by reference: by hash and address, checked, and never through a model."""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from negotiator import Agent, FileMissing, FileRef, NotPossible, Task, UsageError
from negotiator.clock import Deadline
from negotiator.files import AT_ONCE, MAX_FILE_BYTES, OF_ONE_HOST, PART_BYTES, Files
from negotiator.models.scripted import ScriptedModel
from negotiator.schemas import Schema
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest
from protocol_docs.errors import SourceUnreachable

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 8
NAME = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Sized(BaseModel):
    size: int


class Document(BaseModel):
    file: FileRef


SIZE = Task("How many bytes a document has", input=Document, output=Sized, effect="safe")


async def get(world: World, path: str, method: str = "GET") -> WireReply:
    wire = WireRequest(method=method, path=path)
    return await world.memory.send("mem://owner", wire, deadline=Deadline.after(5, world.clock))


@pytest.fixture(params=["memory", "disk"])
async def owner(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Agent:
    if request.param == "disk":
        pytest.importorskip("diskcache")
    return world.agent("owner", state="memory" if request.param == "memory" else tmp_path / "state")


async def test_what_is_sent_is_a_reference_and_what_arrives_is_the_file(world: World, owner: Agent) -> None:
    server = world.agent("server")

    async def fetch(url: str, most: int) -> bytes:
        reply = await get(world, url.removeprefix("http://owner"))
        assert len(reply.body) <= most
        return reply.body

    server.files = Files(fetch)

    @server.tool(effect="safe", description=SIZE.description)
    async def size(file: FileRef) -> Sized:
        return Sized(size=len(await server.files.get(file)))

    reference = owner.files.put(DATA, media_type="application/pdf", name="a.pdf", base_url="http://owner/")
    assert (reference.hash, reference.url, reference.size) == (NAME, f"http://owner/files/{NAME}", len(DATA))
    outcome = await owner.ask("mem://server", SIZE, {"file": reference})
    assert outcome.output == Sized(size=len(DATA))
    bodies = [each.request.body for each in world.carried]
    assert any(NAME.encode() in body for body in bodies)
    assert not any(DATA[:64] in body for body in bodies)


async def test_a_file_is_had_by_its_hash_as_what_no_browser_runs(world: World, owner: Agent) -> None:
    reference = owner.files.put(b"<script>alert(1)</script>", media_type="text/html")
    reply = await get(world, f"/files/{reference.hash}")
    assert (reply.status, reply.body) == (200, b"<script>alert(1)</script>")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"].startswith("attachment")
    assert owner.files.drop(reference)
    assert not owner.files.drop(reference)
    assert (await get(world, f"/files/{reference.hash}")).status == 404


@pytest.mark.parametrize(
    "path", ["/files", "/files/", "/files/x", "/files/../secret", "/files/sha256:..%2Fsecret", f"/files/{NAME}"]
)
async def test_what_is_no_file_of_its_own_is_not_found(world: World, owner: Agent, path: str) -> None:
    assert (await get(world, path)).status == 404


async def test_nothing_can_be_put_there_over_the_wire(world: World, owner: Agent) -> None:
    owner.files.put(DATA)
    for method in ("POST", "PUT", "DELETE"):
        assert (await get(world, f"/files/{NAME}", method)).status in (404, 405)
    assert owner.files.read(NAME) == DATA


async def test_whoever_takes_a_file_has_no_more_of_it_held_than_a_part(owner: Agent) -> None:
    data = DATA * 400
    reference = owner.files.put(data)
    reply = await owner.handler()(WireRequest(method="GET", path=f"/files/{reference.hash}"))
    assert (reply.status, reply.body, reply.headers["content-length"]) == (200, b"", str(len(data)))
    assert reply.chunks is not None
    taken = [part async for part in reply.chunks]
    assert max(map(len, taken)) <= PART_BYTES < len(data)
    assert b"".join(taken) == data
    head = await owner.handler()(WireRequest(method="HEAD", path=f"/files/{reference.hash}"))
    assert (head.body, head.chunks, head.headers["content-length"]) == (b"", None, str(len(data)))


async def test_a_file_that_was_changed_on_disk_is_handed_to_nobody(tmp_path: Path) -> None:
    async def fetch(_url: str, _most: int) -> bytes:
        raise AssertionError

    files = Files(fetch, folder=tmp_path / "files")
    files.put(DATA)
    assert files.size(NAME) == files.size(NAME) == len(DATA)
    (tmp_path / "files" / NAME.removeprefix("sha256:")).write_bytes(DATA[:-1] + b"!!")
    assert files.size(NAME) is None


async def test_another_file_at_the_address_is_refused() -> None:
    async def fetch(_url: str, _most: int) -> bytes:
        return DATA + b"!"

    with pytest.raises(FileMissing, match="another file"):
        await Files(fetch).get({"hash": NAME, "url": "https://peer.example/a"})
    assert await Files(fetch).get({"url": "https://peer.example/a"}) == DATA + b"!"


async def test_few_files_are_fetched_at_a_time_and_fewer_from_one_place_and_all_come_in_the_end() -> None:
    under_way, most, per_host, go = 0, 0, Counter[str](), asyncio.Event()
    most_of_host = 0

    async def slow(url: str, _most: int) -> bytes:
        nonlocal under_way, most, most_of_host
        host = url.split("/")[2]
        under_way += 1
        per_host[host] += 1
        most, most_of_host = max(most, under_way), max(most_of_host, per_host[host])
        await go.wait()
        under_way -= 1
        per_host[host] -= 1
        if "missing" in url:
            raise SourceUnreachable("nobody is there")
        return url.encode()

    files = Files(slow)
    urls = [f"https://a.example/{number}" for number in range(30)] + [f"https://b{each}.example/" for each in range(20)]
    taking = [asyncio.ensure_future(files.get({"url": url})) for url in urls]
    gone = asyncio.ensure_future(files.get({"url": "https://a.example/missing"}))
    for _ in range(5):
        await asyncio.sleep(0)
    # Those of the first place that wait hold none of the places of others.
    assert (under_way, per_host["a.example"]) == (AT_ONCE, OF_ONE_HOST)
    # Who waits no longer leaves its turn to the next.
    for each in (taking[0], taking[29]):
        each.cancel()
    go.set()
    assert await asyncio.gather(*taking[1:29]) == [url.encode() for url in urls[1:29]]
    with pytest.raises(FileMissing):
        await gone
    assert (await asyncio.gather(*taking[30:]))[-1] == urls[-1].encode()
    assert (most, most_of_host) == (AT_ONCE, OF_ONE_HOST)


async def test_what_cannot_be_had_is_said() -> None:
    async def fetch(_url: str, _most: int) -> bytes:
        raise SourceUnreachable("gone")

    with pytest.raises(FileMissing, match="cannot be fetched"):
        await Files(fetch).get({"url": "https://peer.example/a"})
    with pytest.raises(FileMissing, match="no address"):
        await Files(fetch).get({"hash": NAME})


async def test_addresses_that_a_document_may_not_come_from_no_file_comes_from_either() -> None:
    async with Agent(state="memory") as agent:
        with pytest.raises(FileMissing):
            await agent.files.get({"url": "http://127.0.0.1:9/a"})


async def test_files_outlive_the_process_and_what_was_changed_meanwhile_is_not_one_of_them(tmp_path: Path) -> None:
    async def fetch(_url: str, _most: int) -> bytes:
        raise AssertionError

    Files(fetch, folder=tmp_path / "files").put(DATA)
    later = Files(fetch, folder=tmp_path / "files")
    assert later.read(NAME) == DATA
    (tmp_path / "files" / NAME.removeprefix("sha256:")).write_bytes(b"something else")
    assert later.read(NAME) is None


async def test_what_is_too_large_is_refused_and_so_is_more_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fetch(_url: str, _most: int) -> bytes:
        raise AssertionError

    files = Files(fetch)
    with pytest.raises(UsageError, match=str(MAX_FILE_BYTES)):
        files.put(bytes(MAX_FILE_BYTES + 1))
    monkeypatch.setattr("negotiator.files.MAX_KEPT_BYTES", 10)
    files.put(b"12345")
    files.put(b"12345")
    files.put(b"67890")
    with pytest.raises(UsageError, match="together"):
        files.put(b"!")
    assert files.drop("sha256:" + hashlib.sha256(b"12345").hexdigest())
    files.put(b"!")


@pytest.mark.parametrize("value", [{}, {"hash": "sha256:12"}, {"url": "file:///etc/passwd"}, {"url": "javascript:x"}])
def test_what_refers_to_nothing_is_no_reference(value: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FileRef.model_validate(value)


@pytest.mark.parametrize(
    "schema",
    [
        Annotated[bytes, "raw"],
        {"type": "object", "properties": {"data": {"type": "string", "contentEncoding": "base64"}}},
        {"type": "object", "properties": {"data": {"type": "string", "format": "byte"}}},
    ],
)
def test_bytes_in_a_message_are_nothing_for_a_model(schema: Any) -> None:
    assert Schema.of(schema).sensitive


def test_a_field_that_is_only_called_so_is_an_ordinary_one() -> None:
    named = {"properties": {"format": {"type": "string"}, "contentEncoding": {"type": "string"}}, "type": "object"}
    assert not Schema.of(named).sensitive
    assert not Schema.of(Document).sensitive


async def test_a_task_that_holds_bytes_reaches_no_model(world: World) -> None:
    asked: list[object] = []
    model = ScriptedModel({"read_reply": lambda *given: asked.append(given)})
    world.agent("server", respond=lambda text: text)
    raw = Task(
        "Store this",
        input={"type": "object", "properties": {"d": {"type": "string", "format": "binary"}}},
        output=Sized,
    )
    with pytest.raises(NotPossible):
        await world.agent("caller", model).ask("mem://server", raw, {"d": "AAAA"})
    assert not asked
    assert not any(b"AAAA" in each.request.body for each in world.carried), orjson.dumps([])
