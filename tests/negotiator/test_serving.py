"""The receiver's edge: every request gets an answer in its own dialect, whatever is sent and whatever fails."""

import asyncio
import itertools
import logging

import orjson
import pytest

from negotiator.clock import SystemClock
from negotiator.conversations import ConversationLimits, Conversations
from negotiator.errors import BadInput, NegotiatorError, OutcomeUnknown, Overloaded, ToolFailed
from negotiator.messages import Reply
from negotiator.serving import AgoraDoor, DoorLimits, Listed
from negotiator.transports import asgi_app
from negotiator.wire import WireReply, WireRequest
from protocol_docs import DocumentNotFound, MemoryTextStore, ProtocolDocument, as_data_uri, spell

pytestmark = pytest.mark.anyio

DOCUMENT = ProtocolDocument.from_text("A city in, a temperature out.\n")
OTHER = ProtocolDocument.from_text("Another.\n")
HEX, BASE64 = spell(DOCUMENT, "sha1-hex"), spell(DOCUMENT, "sha1-base64")
JSON = {"content-type": "application/json"}


class Agent:
    """Answers with the number of texts said so far and the body; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = []
        self.error: Exception | None = None

    async def __call__(self, request, context):
        self.asked.append((request, context))
        if self.error is not None:
            raise self.error
        return Reply(status="success", body=f"{len(context.history)}: {request.body}", tier="routine")


@pytest.fixture
def agent():
    return Agent()


def door_of(answer, *, store=None, conversation_limits=None, listing=None, **limits):
    numbers = itertools.count()
    conversations = Conversations(
        store or MemoryTextStore(), SystemClock(), lambda: f"c-{next(numbers)}", conversation_limits
    )
    listed = {DOCUMENT.hash: Listed(DOCUMENT)} if listing is None else listing
    return AgoraDoor(
        answer,
        listing=listed if callable(listed) else lambda: listed,
        conversations=conversations,
        clock=SystemClock(),
        limits=DoorLimits(**limits),
    )


@pytest.fixture
def door(agent):
    return door_of(agent)


async def send(door, envelope=None, path="/", method="POST", headers=JSON, body=None) -> WireReply:
    data = body if body is not None else b"" if envelope is None else orjson.dumps(envelope)
    return await door(WireRequest(method=method, path=path, headers=headers, body=data))


async def said(door, envelope=None, path="/", method="POST", **more):
    return orjson.loads((await send(door, envelope, path, method, **more)).body)


# --- exchanges ---


async def test_a_standard_request_gets_a_standard_reply(door, agent):
    reply = await send(door, {"protocolHash": None, "body": "hello"})
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert orjson.loads(reply.body) == {"status": "success", "body": "0: hello", "tier": "routine"}
    assert agent.asked[0][1].dialect == "agora-2025"


async def test_the_base_address_may_come_with_a_slash_or_without(door):
    for path in ("", "/", "/?"):
        assert (await said(door, {"body": "x"}, path))["status"] == "success"


async def test_each_reply_says_whose_engine_it_is(door):
    for reply in (await send(door, {"body": "x"}), await send(door, method="GET", path="/nowhere")):
        assert reply.headers["agora-engine"] == "metaparley"


async def test_the_agent_learns_where_the_request_came_from(door, agent):
    await door(WireRequest(headers=JSON, body=b'{"body": "x"}', peer="192.0.2.7"))
    _, context = agent.asked[0]
    assert (context.peer, context.principal) == ("192.0.2.7", "anonymous")


# --- deadlines ---


@pytest.mark.parametrize(
    ("prefer", "most"), [(None, 60), ("wait=5", 5), ("respond-async, wait=7", 7), ("wait=900", 60), ("wait=x", 60)]
)
async def test_a_peer_may_ask_for_less_time_and_never_for_more(door, agent, prefer, most):
    await send(door, {"body": "x"}, headers=JSON if prefer is None else {**JSON, "prefer": prefer})
    assert most - 1 < agent.asked[0][1].deadline.remaining() <= most


async def test_an_agent_that_does_not_end_is_ended_at_the_deadline():
    async def forever(request, context):
        await asyncio.Event().wait()

    reply = await send(door_of(forever, seconds=0.02), {"body": "x"})
    assert (reply.status, orjson.loads(reply.body)["code"]) == (200, "deadline_passed")


async def test_no_time_at_all_is_answered_too(door, agent):
    assert (await said(door, {"body": "x"}, headers={**JSON, "prefer": "wait=0"}))["code"] == "deadline_passed"
    assert agent.asked == []


# --- conversations ---


async def test_rounds_go_on_and_end(door, agent):
    opened = await said(door, {"body": "one", "multiround": True})
    address = f"/conversations/{opened['conversationId']}"
    assert opened["conversationExpires"] == pytest.approx(SystemClock().time() + 300, abs=5)
    again = await said(door, {"body": "two"}, address)
    assert (again["body"], again["conversationId"]) == ("2: two", opened["conversationId"])
    assert agent.asked[1][1].history == (("user", "one"), ("assistant", "0: one"))
    assert (await send(door, path=address, method="DELETE")).status == 200
    gone = await send(door, {"body": "three"}, address)
    assert (gone.status, orjson.loads(gone.body)["status"]) == (404, "failure")


async def test_the_package_s_rounds_repeat_everything_and_come_over_any_worker(agent):
    store = MemoryTextStore()
    doors = [door_of(agent, store=store), door_of(agent, store=store)]
    envelope = {"protocolHash": BASE64, "protocolSources": [as_data_uri(DOCUMENT)], "body": "one", "multiround": True}
    opened = await said(doors[0], envelope)
    assert set(opened) == {"status", "body", "conversationId", "conversationExpires"}
    address = f"/conversations/{opened['conversationId']}"
    again = await said(doors[1], envelope | {"body": "two"}, address)
    assert again["body"] == "2: two"
    assert agent.asked[1][0].hashes == (DOCUMENT.aliases[1],)
    for door in doors:
        assert (await send(door, path=address, method="DELETE")).status == 200


async def test_a_follow_up_in_the_standard_is_under_the_document_it_was_opened_with(door, agent):
    opened = await said(door, {"protocolHash": HEX, "body": "one", "multiround": True})
    await said(door, {"body": "two"}, f"/conversations/{opened['conversationId']}")
    assert agent.asked[1][0].hashes == (DOCUMENT.aliases[1],)


async def test_a_follow_up_under_another_document_is_malformed(door, agent):
    opened = await said(door, {"protocolHash": HEX, "body": "one", "multiround": True})
    changed = {"protocolHash": spell(OTHER, "sha1-hex"), "body": "two"}
    reply = await send(door, changed, f"/conversations/{opened['conversationId']}")
    assert (reply.status, orjson.loads(reply.body)["code"]) == (400, "malformed")
    assert len(agent.asked) == 1


async def test_a_negotiation_in_words_has_rounds_that_the_agent_recognises(door, agent):
    envelope = {"protocolHash": "negotiation", "protocolSources": None, "body": "I propose ...", "multiround": True}
    opened = await said(door, envelope)
    await said(door, envelope | {"body": "Done?"}, f"/conversations/{opened['conversationId']}")
    assert [(request.kind, len(context.history)) for request, context in agent.asked] == [
        ("negotiation", 0),
        ("negotiation", 2),
    ]


async def test_the_demo_s_negotiation_goes_on_inside_its_body(door, agent):
    def wrapped(inner):
        return {
            "protocolHash": "negotiation",
            "body": orjson.dumps(inner).decode(),
            "protocolSources": [None],
            "queryId": None,
        }

    opened = orjson.loads((await said(door, wrapped({"body": "one"})))["body"])
    assert opened["body"] == "0: one"
    again = orjson.loads(
        (await said(door, wrapped({"body": "two", "conversationId": opened["conversationId"]})))["body"]
    )
    assert again == {"body": "2: two", "conversationId": opened["conversationId"]}


async def test_an_expired_conversation_is_said_with_200_in_the_standard(agent):
    door = door_of(agent, conversation_limits=ConversationLimits(seconds=-1))
    opened = await said(door, {"body": "one", "multiround": True})
    # A second door has not swept yet, and still knows that there was one.
    reply = await send(door, {"body": "two"}, f"/conversations/{opened['conversationId']}")
    assert (reply.status, orjson.loads(reply.body)["error"]) == (200, "Conversation expired")


async def test_a_failed_round_is_not_remembered(door, agent):
    opened = await said(door, {"body": "one", "multiround": True})
    address = f"/conversations/{opened['conversationId']}"
    agent.error = OutcomeUnknown()
    assert (await said(door, {"body": "two"}, address))["code"] == "outcome_unknown"
    agent.error = None
    assert (await said(door, {"body": "three"}, address))["body"] == "2: three"


async def test_the_package_s_sender_gets_its_conversation_even_with_an_error(door, agent):
    agent.error = ValueError("secret")
    envelope = {"protocolHash": None, "protocolSources": [], "body": "x", "multiround": True}
    reply = await send(door, envelope)
    assert reply.status == 200
    answer = orjson.loads(reply.body)
    assert answer["conversationId"]
    assert (answer["status"], answer["body"]) == ("error", "")


@pytest.mark.parametrize("name", ["never", "..", "a/b", "%2e%2e%2f", "x" * 3000, ""])
async def test_an_unknown_conversation_is_404_and_the_agent_is_not_asked(door, agent, name):
    reply = await send(door, {"body": "x"}, f"/conversations/{name}")
    assert (reply.status, orjson.loads(reply.body)["code"]) == (404, "unknown_conversation")
    assert agent.asked == []


async def test_closing_what_is_not_there_succeeds(door):
    reply = await send(door, path="/conversations/never", method="DELETE")
    assert (reply.status, orjson.loads(reply.body)) == (200, {"status": "success"})


# --- errors ---


@pytest.mark.parametrize(
    ("error", "http", "code"),
    [
        (ValueError("secret"), 500, "internal_error"),
        (TimeoutError("secret"), 500, "internal_error"),
        (ExceptionGroup("secret", [ValueError("secret")]), 500, "internal_error"),
        (NegotiatorError("secret"), 500, "internal_error"),
        (BadInput("secret", (("/secret", "secret"),)), 200, "bad_input"),
        (OutcomeUnknown("secret"), 200, "outcome_unknown"),
        (ToolFailed("secret"), 200, "tool_failed"),
        (DocumentNotFound("secret"), 200, "document_not_found"),
    ],
)
@pytest.mark.parametrize(
    "envelope", [{"body": "x"}, {"protocolHash": None, "protocolSources": [], "body": "x", "multiround": True}]
)
async def test_an_error_of_the_agent_is_answered_without_what_it_says(door, agent, error, http, code, envelope, caplog):
    agent.error = error
    with caplog.at_level(logging.INFO):
        reply = await send(door, envelope)
    assert b"secret" not in reply.body
    assert "secret" not in caplog.text
    if "multiround" in envelope:
        assert (reply.status, orjson.loads(reply.body)["status"]) == (200, "error")
    else:
        assert (reply.status, orjson.loads(reply.body)["code"]) == (http, code)
    agent.error = None
    assert (await said(door, envelope))["status"] == "success"


async def test_a_tool_s_words_for_the_peer_reach_it(door, agent):
    agent.error = ToolFailed("secret", for_peer="there is no such city")
    assert (await said(door, {"body": "x"}))["error"] == "there is no such city"


async def test_a_document_that_is_not_used_is_rejected_in_each_dialect_s_words(door, agent):
    async def reject(request, context):
        return Reply(status="rejected")

    rejecting = door_of(reject)
    assert (await said(rejecting, {"protocolHash": HEX, "body": "x"}))["error"] == "Unsupported protocol"
    package = await said(rejecting, {"protocolHash": BASE64, "protocolSources": [], "body": "x"})
    assert (package["status"], package["message"]) == ("error", "Protocol rejected")
    demo = {"protocolHash": BASE64, "protocolSources": [], "body": "x", "queryId": "1"}
    assert await said(rejecting, demo) == {"status": "error", "message": "Protocol not suitable."}


async def test_a_reply_that_no_json_can_hold_is_an_internal_error(caplog):
    async def broken(request, context):
        return Reply(status="success", body={"n": float("inf")})

    for envelope in ({"body": "x"}, {"body": "x", "multiround": True}):
        assert (await send(door_of(broken), envelope)).status == 500


async def test_cancelling_is_not_answered():
    async def forever(request, context):
        await asyncio.Event().wait()

    door = door_of(forever)
    task = asyncio.create_task(send(door, {"body": "x"}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert door._under_way.now == 0


async def test_too_much_work_is_said_at_once_with_when_to_come_back():
    release = asyncio.Event()

    async def slow(request, context):
        await release.wait()
        return Reply(status="success", body="done")

    door = door_of(slow, under_way=2)
    tasks = [asyncio.create_task(send(door, {"body": "x"})) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await send(door, {"body": "x"})
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert (await send(door, method="GET", path="/wellknown")).status == 200
    release.set()
    assert [reply.status for reply in await asyncio.gather(*tasks)] == [200, 200]
    assert (await send(door, {"body": "x"})).status == 200


async def test_one_flood_under_one_document_leaves_room_for_others():
    release = asyncio.Event()

    async def slow(request, context):
        await release.wait()
        return Reply(status="success", body="done")

    door = door_of(slow, under_way=20)

    async def asks(principal, spelling):
        wire = {"body": "x", "protocolHash": spelling, "protocolSources": []}
        return await door(WireRequest(headers=JSON, body=orjson.dumps(wire), principal=principal))

    flood = [asyncio.create_task(asks("a", HEX)) for _ in range(20)]
    await asyncio.sleep(0)
    others = [asyncio.create_task(asks(*who)) for who in (("a", spell(OTHER, "sha1-hex")), ("b", HEX))]
    await asyncio.sleep(0)
    release.set()
    assert sorted(reply.status for reply in await asyncio.gather(*flood)) == [200] * 16 + [503] * 4
    assert [reply.status for reply in await asyncio.gather(*others)] == [200, 200]


async def test_an_agent_that_is_overloaded_says_when_to_come_back(door, agent):
    agent.error = Overloaded(retry_after=9)
    reply = await send(door, {"body": "x"})
    assert (reply.status, reply.headers["retry-after"]) == (503, "9")


# --- what is no exchange ---


async def test_the_listing_is_at_both_addresses_in_the_standard_s_form(door):
    for path in ("/wellknown", "/.wellknown", "/wellknown?x=1"):
        assert await said(door, method="GET", path=path) == {HEX: [as_data_uri(DOCUMENT)]}
    assert (await send(door, method="HEAD", path="/wellknown")).status == 200


@pytest.mark.parametrize("spelling", ["sha1-hex", "sha1-base64", "oci", "cid"])
async def test_a_listed_document_is_had_byte_for_byte_by_any_spelling(door, spelling):
    reply = await send(door, method="GET", path=f"/documents/{spell(DOCUMENT, spelling)}")
    assert (reply.status, reply.body) == (200, DOCUMENT.data)
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_document_that_is_not_listed_is_not_given(door):
    for path in (OTHER.hash, "", "..", "x" * 500, "sha256:" + "0" * 64):
        assert (await send(door, method="GET", path=f"/documents/{path}")).status == 404


async def test_an_agent_that_cannot_list_answers_500_and_goes_on(agent, caplog):
    def broken():
        raise ValueError("secret")

    door = door_of(agent, listing=broken)
    for path in ("/wellknown", f"/documents/{DOCUMENT.hash}"):
        reply = await send(door, method="GET", path=path)
        assert reply.status == 500
        assert b"secret" not in reply.body
    assert (await send(door, {"body": "x"})).status == 200


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/", "POST"),
        ("HEAD", "/", "POST"),
        ("OPTIONS", "/", "POST"),
        ("DELETE", "/", "POST"),
        ("PUT", "/conversations/c", "POST, DELETE"),
        ("POST", "/wellknown", "GET, HEAD"),
        ("DELETE", f"/documents/{DOCUMENT.hash}", "GET, HEAD"),
    ],
)
async def test_another_method_is_told_which_ones_there_are(door, method, path, allow):
    reply = await send(door, method=method, path=path)
    assert (reply.status, reply.headers["allow"]) == (405, allow)


@pytest.mark.parametrize(
    "path", ["/nowhere", "//", "/conversations", "/wellknown/", "/.well-known/agora", "/../", "/documents"]
)
async def test_another_address_is_not_found(door, agent, path):
    reply = await send(door, {"body": "x"}, path)
    assert (reply.status, orjson.loads(reply.body)["status"]) == (404, "failure")
    assert agent.asked == []


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'{"body": 5}', b"\xff", b'{"body": ' + b"[" * 9999])
async def test_what_is_no_request_is_malformed_and_the_next_one_is_answered(door, agent, body):
    reply = await send(door, body=body)
    assert (reply.status, orjson.loads(reply.body)["status"]) == (400, "failure")
    assert agent.asked == []
    assert (await send(door, {"body": "x"})).status == 200


async def test_a_body_over_the_limit_is_refused_by_the_door_and_unread_by_its_application(agent):
    door = door_of(agent, body_bytes=100)
    assert (await send(door, {"body": "x" * 100})).status == 413
    received = []

    async def receive():
        received.append(1)
        return {"type": "http.request", "body": b"x" * 101}

    sent = []

    async def collect(event):
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"101")]}
    await asgi_app(door)(scope, receive, collect)
    assert received == []
    assert sent[0]["status"] == 413
    assert orjson.loads(sent[1]["body"])["code"] == "too_large"
    assert agent.asked == []
