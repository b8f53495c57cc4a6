"""Whatever strangers have kept, what must be written before something is done can be written."""

import hashlib
from contextlib import suppress

import orjson
import pytest

from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.messages import Request
from negotiator.serving import ExchangeContext
from negotiator.state import open_state
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest
from protocol_docs import ProtocolDocument, as_data_uri, draft_document
from protocol_docs.errors import StoreFull
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_rows_that_a_request_cannot_do_without_have_room_of_their_own(where, tmp_path):
    if where == "disk":
        pytest.importorskip("diskcache")
    state = open_state("memory" if where == "memory" else tmp_path / "state")
    state.text._max_bytes = 80_000
    number = 0
    with suppress(StoreFull):
        while True:
            state.text.put(f"conversation/{number}", "x" * 1_000)
            number += 1
    with pytest.raises(StoreFull):
        state.text.put("document/one", "x" * 1_000)
    for first in ("journal/a", "replies/a", "replies-taken/a", "ledger/a", "identity/revoked", "revoked/a"):
        state.text.put(first, "x" * 1_000)


async def test_strangers_who_fill_the_store_do_not_keep_others_from_what_is_done_once(world: World):
    agent = world.agent("shop")
    done: list[int] = []

    @agent.tool(public=True)
    def pay(amount: int) -> int:
        done.append(amount)
        return amount

    @agent.tool(effect="safe")
    def echo(text: str) -> str:
        return text

    agent.engine.text._max_bytes = 2_000_000

    async def say(path: str, body: object, **headers: str) -> WireReply:
        wire = WireRequest(path=path, headers={"content-type": "application/json", **headers}, body=orjson.dumps(body))
        return await world.memory.send("mem://shop", wire, deadline=Deadline.after(30, world.clock))

    for size in (200_000, 10_000, 1_000, 100):
        for number in range(16):
            # A task in words that comes to nothing is kept all the same, with what was said.
            name = hashlib.sha256(f"{size} {number}".encode()).hexdigest()
            said = {"messageId": name, "role": "ROLE_USER", "parts": [{"text": "x" * size}]}
            asked = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
            await say("/a2a", asked, **{"a2a-version": "1.0"})
    for size in (100, 10, 1):
        with suppress(StoreFull):
            for number in range(100):
                agent.engine.text.put(f"conversation/{size}-{number}", "x" * size)
    assert sum(1 for _ in agent.engine.text.keys("a2a/task/")) > 8
    call = {"name": "pay", "arguments": {"amount": 5}}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    for _ in range(2):
        reply = await say("/mcp", asked, accept="application/json", **{"idempotency-key": "one"})
        assert orjson.loads(reply.body)["result"]["content"] == [{"type": "text", "text": "5"}]
    assert done == [5]


async def test_documents_of_callers_are_kept_up_to_a_bound_and_served_beyond_it(world: World, monkeypatch):
    shop = world.agent("shop")

    @shop.tool(effect="safe", input=obj(text=TEXT), output=obj(text=TEXT))
    def echo(text: str) -> object:
        """Say it again."""
        return {"text": text}

    def sent(number: int) -> ProtocolDocument:
        return draft_document(
            name=f"echo {number}",
            description="Say it again. " + "x" * 3_000,
            request_schema=obj(text=TEXT),
            reply_schema=obj(text=TEXT),
            effect="safe",
        )

    monkeypatch.setattr("negotiator.engine.STRANGE_BYTES", 20_000)
    deadline = Deadline.after(60, world.clock)
    for number in range(12):
        document = sent(number)
        request = Request(body={"text": "a"}, hashes=document.aliases, sources=(as_data_uri(document),))
        reply = await answer(shop.engine, request, ExchangeContext(dialect="x", deadline=deadline))
        assert (reply.status, reply.body) == ("success", {"text": "a"})
    kept = [each for each in shop.engine.documents.hashes() if each in {sent(number).hash for number in range(12)}]
    assert 1 < len(kept) < 7
    # Those that were kept before are counted after a restart too.
    shop.engine._strange.clear()
    shop.engine.keep_strange(sent(100))
    assert sent(100).hash not in shop.engine.documents.hashes()
    assert shop.engine.documents.get(sent(100).hash) is not None
