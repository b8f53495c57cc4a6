"""An agent as its peers see it over A2A."""

import asyncio
import json

import pytest

from negotiator import Agent, ToolFailed
from negotiator.dialects.a2a.extension import CODE, DOCUMENT, SKILL, SOURCES, TIER, URI
from negotiator.dialects.a2a.objects import TaskView
from negotiator.wire import WireRequest
from protocol_docs import as_data_uri, catalog, draft_document

pytestmark = pytest.mark.anyio

LARGE = 9_007_199_254_740_993
ACTIVE = {"a2a-extensions": URI}


def data(number, **metadata):
    return {"data": {"number": number}}, {"metadata": metadata} if metadata else {}


def state(task):
    return task["status"]["state"]


async def test_the_card_names_the_address_that_it_was_asked_for_at(client) -> None:
    for path in ("/.well-known/agent-card.json", "/.well-known/agent.json"):
        reply = await client.send(WireRequest(method="GET", path=path))
        card = json.loads(reply.body)
        assert card["url"] == "http://agent/a2a"
        assert [skill["id"] for skill in card["skills"]] == ["double"]
    assert (await client.send(WireRequest(method="POST", path="/.well-known/agent-card.json"))).status == 405
    assert (await client.send(WireRequest(method="GET", path="/a2a"))).status == 405


@pytest.mark.parametrize(("publish", "skills", "schemas"), [("all", 1, 1), ("agreed", 1, 0), ("none", 0, 0)])
async def test_the_card_shows_what_the_agent_publishes(publish, skills, schemas) -> None:
    async with Agent(publish=publish, state="memory") as agent:

        @agent.tool(effect="safe")
        def double(number: int) -> int:
            """Double a number."""
            return 2 * number

        reply = await agent.handler()(WireRequest(method="GET", path="/.well-known/agent-card.json"))
        card = json.loads(reply.body)
        params = card["capabilities"]["extensions"][0]["params"]
        assert (len(card["skills"]), len(params["skills"]), len(params["documents"])) == (skills, schemas, schemas)


@pytest.mark.parametrize("number", [3, 3.0, str(LARGE), str(-LARGE)])
async def test_a_data_part_is_the_input_of_the_skill_that_its_metadata_name(client, number) -> None:
    part, more = data(number, **{SKILL: "double"})
    message = (await client.say(part, **more))["message"]
    assert message["role"] == "ROLE_AGENT"
    assert int(message["parts"][0]["data"]["twice"]) == 2 * int(number)
    assert [(each, type(each)) for each in client.called] == [(int(number), int)]


async def test_without_a_skill_a_data_part_goes_to_the_one_tool_that_takes_it(client) -> None:
    assert "message" in await client.say(data(3)[0])

    @client.agent.tool(effect="safe")
    def halve(number: int) -> float:
        """Halve a number."""
        return number / 2

    # Now a model has to say which.
    assert state((await client.say(data(4)[0]))["task"]) == "TASK_STATE_COMPLETED"
    assert client.called == [3, 4]


async def test_words_are_a_task_that_can_be_had_again(client) -> None:
    task = (await client.say({"text": "Double 21"}))["task"]
    assert state(task) == "TASK_STATE_COMPLETED"
    assert "42" in task["artifacts"][0]["parts"][0]["text"]
    got = await client.call("GetTask", id=task["id"])
    assert got == task
    assert "history" not in await client.call("GetTask", id=task["id"], historyLength=0)


async def test_what_is_missing_is_asked_for_in_the_same_task_and_remembered(client) -> None:
    first = (await client.say({"text": "Please double"}))["task"]
    assert state(first) == "TASK_STATE_INPUT_REQUIRED"
    assert "which number" in first["status"]["message"]["parts"][0]["text"]
    second = (await client.say({"text": "21"}, taskId=first["id"]))["task"]
    assert (second["id"], second["contextId"]) == (first["id"], first["contextId"])
    assert (state(second), len(second["history"])) == ("TASK_STATE_COMPLETED", 3)


@pytest.mark.parametrize("context", [None, "a-context-that-nobody-guesses", "short"])
async def test_a_context_is_kept_and_its_past_told_where_nobody_guesses_it(client, context) -> None:
    more = {} if context is None else {"contextId": context}
    first = (await client.say({"text": "Double 21"}, **more))["task"]
    assert context in (None, first["contextId"])
    heard = []
    client.agent.engine.tools.clear()

    @client.agent.tool(effect="safe", name="double")
    def listen(number: int) -> int:
        """Double a number."""
        heard.append(number)
        return number

    # The number is in what was said before alone.
    second = (await client.say({"text": "The same again"}, contextId=first["contextId"]))["task"]
    known = state(second) == "TASK_STATE_COMPLETED"
    assert known is (context != "short")
    assert bool(heard) is known


async def test_a_context_and_a_task_that_do_not_belong_together_are_refused(client) -> None:
    task = (await client.say({"text": "Please double"}))["task"]
    assert (await client.say({"text": "3"}, taskId=task["id"], contextId="another"))["code"] == -32602
    assert (await client.say({"text": "3"}, taskId="another"))["code"] == -32001
    done = (await client.say({"text": "3"}, taskId=task["id"], contextId=task["contextId"]))["task"]
    assert state(done) == "TASK_STATE_COMPLETED"
    assert (await client.say({"text": "4"}, taskId=task["id"]))["code"] == -32004


async def test_a_message_that_comes_again_is_the_same_task_and_runs_once(client) -> None:
    said = {"messageId": "a-message-of-one-peer", "role": "ROLE_USER", "parts": [{"text": "Double 4"}]}
    client.gate.clear()
    running = [asyncio.create_task(client.call("SendMessage", message=said)) for _ in range(2)]
    await client.began.wait()
    client.gate.set()
    first, second = [(await each)["task"] for each in running]
    assert first == second == (await client.call("SendMessage", message=said))["task"]
    assert client.called == [4]
    other = {**said, "parts": [{"text": "Double 5"}]}
    assert (await client.call("SendMessage", message=other))["code"] == -32602


async def test_a_follow_up_that_comes_again_is_the_same_task(client) -> None:
    task = (await client.say({"text": "Please double"}))["task"]
    again = {"messageId": "a-follow-up-of-one-peer", "taskId": task["id"]}
    first, second = [(await client.say({"text": "4"}, **again))["task"] for _ in range(2)]
    assert first == second
    assert (await client.say({"text": "5"}, **again))["code"] == -32602
    assert client.called == [4]


async def test_what_there_is_no_room_for_may_come_again(client) -> None:
    door = client.handler.at("/a2a")
    said = {"messageId": "a-message-of-one-peer"}
    door._messages._under_way.now += 128
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage"}
    message = {**said, "role": "ROLE_USER", "parts": [{"text": "Double 4"}]}
    full = await client.post({**body, "params": {"message": message}})
    assert (full.status, full.headers["retry-after"]) == (503, "1")
    door._messages._under_way.now -= 128
    assert state((await client.say({"text": "Double 4"}, **said))["task"]) == "TASK_STATE_COMPLETED"


async def test_a_message_of_somebody_else_s_is_not_shown_to_who_guesses_its_id(client) -> None:
    said = {"messageId": "order-2026-11-24-000001", "role": "ROLE_USER", "parts": [{"text": "Double 4"}]}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}).encode()

    async def sent(peer, method="POST"):
        headers = {"content-type": "application/json", "a2a-version": "1.0"}
        wire = WireRequest(method=method, path="/a2a", headers=headers, body=body, peer=peer)
        return json.loads((await client.handler(wire)).body)

    first = await sent("192.0.2.1")
    assert await sent("192.0.2.1") == first
    guessed = await sent("192.0.2.66")
    assert "result" not in guessed
    assert first["result"]["task"]["id"] not in json.dumps(guessed)
    assert client.called == [4]


async def test_what_finds_no_room_among_those_that_are_kept_is_refused_and_may_come_again(client) -> None:
    tasks = client.handler.at("/a2a")._messages._tasks
    held = [f"held-{number}" for number in range(512)]
    for name in held:
        tasks.begin(TaskView(id=name, context="c", state="working"), "anonymous", seconds=1_000)
    said = {"messageId": "a-message-of-one-peer", "role": "ROLE_USER", "parts": [{"text": "Double 4"}]}
    asked = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
    full = await client.post(asked)
    assert (full.status, full.headers["retry-after"], client.called) == (503, "1", [])
    tasks.put(TaskView(id="held-0", context="c", state="completed"), "anonymous")
    assert state((await client.call("SendMessage", message=said))["task"]) == "TASK_STATE_COMPLETED"
    # What needs no task is answered all the same.
    assert "message" in await client.say(data(3)[0])


async def test_callers_without_a_name_who_count_their_messages_get_no_replies_of_each_other(client) -> None:
    tasks = [(await client.say({"text": text}, messageId="1"))["task"] for text in ("Double 4", "Double 4", "Double 5")]
    assert len({task["id"] for task in tasks}) == 3
    assert client.called == [4, 4, 5]


async def test_a_context_that_is_full_takes_no_more(client) -> None:
    context = "a-context-that-nobody-guesses"
    states = [state((await client.say({"text": "Double 4"}, contextId=context))["task"]) for _ in range(33)]
    assert states == ["TASK_STATE_COMPLETED"] * 32 + ["TASK_STATE_FAILED"]


async def test_a_store_that_fails_is_a_task_that_failed(client, monkeypatch) -> None:
    def fail(*_args, **_more):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(client.agent.engine.text, "keys", fail)
    monkeypatch.setattr("negotiator.conversations.Conversations.resume", fail)
    reply = await client.say({"text": "Double 4"}, contextId="a-context-that-nobody-guesses")
    assert "disk" not in json.dumps(reply)
    monkeypatch.undo()
    assert "task" in await client.say({"text": "Double 4"})


async def test_two_calls_with_one_json_rpc_id_are_answered_each(client) -> None:
    answers = await asyncio.gather(client.say(data(1)[0]), client.say(data(2)[0]))
    assert [answer["message"]["parts"][0]["data"]["twice"] for answer in answers] == [2, 4]


async def test_a_transactional_message_that_comes_again_has_one_effect(client) -> None:
    booked = []

    @client.agent.tool(public=True)
    def book(room: str) -> str:
        """Book a room."""
        booked.append(room)
        return f"number {len(booked)}"

    said = {
        "messageId": "a-message-of-one-peer",
        "role": "ROLE_USER",
        "parts": [{"data": {"room": "7"}}],
        "metadata": {SKILL: "book"},
    }
    first, second = [(await client.call("SendMessage", message=said))["message"] for _ in range(2)]
    assert first["parts"][0]["data"] == second["parts"][0]["data"] == "number 1"
    assert booked == ["7"]


# --- documents ---

DOUBLE = draft_document(
    name="Double",
    description="Double a number.",
    request_schema={"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]},
    reply_schema={
        "type": "object",
        "properties": {"number": {"type": "integer"}, "twice": {"type": "integer"}},
        "required": ["twice"],
    },
    effect="safe",
)


async def test_a_message_is_answered_under_the_document_that_it_names(client) -> None:
    named = {DOCUMENT: DOUBLE.hash, SOURCES: [as_data_uri(DOUBLE)]}
    answer = await client.call(
        "SendMessage",
        headers=ACTIVE,
        message={"messageId": "d", "role": "ROLE_USER", "parts": [{"data": {"number": 5}}], "metadata": named},
    )
    message = answer["message"]
    assert message["parts"][0]["data"]["twice"] == 10
    assert message["metadata"] == {TIER: "routine", DOCUMENT: DOUBLE.hash}
    assert message["extensions"] == [URI]
    # Now that the document is at hand, its schema says which text is a number.
    part, more = data(str(LARGE), **{DOCUMENT: DOUBLE.hash})
    assert (await client.say(part, **more))["message"]["parts"][0]["data"]["twice"] == str(2 * LARGE)


async def test_a_document_that_is_not_to_be_had_is_rejected(client) -> None:
    part, more = data(5, **{DOCUMENT: "sha256:" + "0" * 64})
    task = (await client.say(part, extensions=[URI], **more))["task"]
    assert (state(task), task["metadata"][CODE]) == ("TASK_STATE_REJECTED", "document_not_found")
    part, more = data(5, **{DOCUMENT: "no hash"})
    assert (await client.say(part, **more))["code"] == -32602
    assert client.called == []


async def test_our_negotiation_is_spoken_under_its_document(client) -> None:
    opening = {"type": "nonsense"}
    named = {DOCUMENT: catalog.negotiation_dialogue().hash}
    answer = await client.say({"data": opening}, metadata=named)
    assert "error" in answer["message"]["parts"][0]["data"]


async def test_the_extension_is_echoed_where_it_is_asked_for_and_no_other(client) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage"}
    message = {"messageId": "e", "role": "ROLE_USER", "parts": [{"data": {"number": 1}}]}
    plain = await client.post({**body, "params": {"message": message}})
    assert "a2a-extensions" not in plain.headers
    assert "extensions" not in json.loads(plain.body)["result"]["message"]
    unknown = await client.post({**body, "params": {"message": message}}, **{"a2a-extensions": "https://x.example/v9"})
    assert "a2a-extensions" not in unknown.headers
    assert "metadata" not in json.loads(unknown.body)["result"]["message"]
    for given, headers in ((message, ACTIVE), ({**message, "extensions": [URI]}, {})):
        asked = await client.post({**body, "params": {"message": given}}, **headers)
        assert asked.headers["a2a-extensions"] == URI
        assert json.loads(asked.body)["result"]["message"]["extensions"] == [URI]


# --- streams ---


def streaming(text, message="s"):
    said = {"messageId": message, "role": "ROLE_USER", "parts": [{"text": text}]}
    return {"jsonrpc": "2.0", "id": 7, "method": "SendStreamingMessage", "params": {"message": said}}


async def stream_of(client, body, **more):
    sent = {"content-type": "application/json", "a2a-version": "1.0"}
    return await client.handler(WireRequest(path="/a2a", headers=sent, body=json.dumps(body).encode(), **more))


async def test_a_stream_tells_the_task_its_artifact_and_its_end(client, events) -> None:
    told = [event async for event in events(await stream_of(client, streaming("Double 21")))]
    assert [list(event) for event in told] == [["task"], ["artifactUpdate"], ["statusUpdate"]]
    assert state(told[0]["task"]) == "TASK_STATE_WORKING"
    assert state(told[2]["statusUpdate"]) == "TASK_STATE_COMPLETED"


async def test_a_stream_that_is_left_ends_for_its_client_alone(client, events) -> None:
    client.gate.clear()
    reply = await stream_of(client, streaming("Double 21"))
    first = await anext(events(reply))
    await reply.chunks.aclose()
    task = first["task"]["id"]
    followed = await stream_of(client, {"jsonrpc": "2.0", "id": 7, "method": "SubscribeToTask", "params": {"id": task}})
    client.gate.set()
    told = [event async for event in events(followed)]
    assert state(told[-1]["statusUpdate"]) == "TASK_STATE_COMPLETED"
    assert state(await client.call("GetTask", id=task)) == "TASK_STATE_COMPLETED"
    assert client.called == [21]
    assert (await client.say(data(1)[0]))["message"]


async def test_what_is_not_waited_for_is_followed_and_canceled(client, events) -> None:
    client.gate.clear()
    task = (await client.say(data(5)[0], configuration={"returnImmediately": True}))["task"]
    assert state(task) == "TASK_STATE_WORKING"
    await client.began.wait()
    assert state(await client.call("CancelTask", id=task["id"])) == "TASK_STATE_CANCELED"
    assert (await client.call("CancelTask", id=task["id"]))["code"] == -32002
    assert (await client.call("SubscribeToTask", id=task["id"]))["code"] == -32004


async def test_what_may_have_an_effect_is_not_cut_in_two(client) -> None:
    @client.agent.tool(public=True)
    def book(room: str) -> str:
        """Book a room."""
        return room

    client.gate.clear()
    part, more = data(5, **{SKILL: "double"})
    task = (await client.say(part, configuration={"returnImmediately": True}, **more))["task"]
    assert (await client.call("CancelTask", id=task["id"]))["code"] == -32002


async def test_a_task_whose_process_ended_is_over(client) -> None:
    client.gate.clear()
    task = (await client.say(data(5)[0], configuration={"returnImmediately": True}))["task"]
    other = client.agent.handler()  # as another worker process has it
    sent = {"content-type": "application/json", "a2a-version": "1.0"}

    async def got():
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": task["id"]}}).encode()
        return json.loads((await other(WireRequest(path="/a2a", headers=sent, body=body))).body)["result"]

    assert state(await got()) == "TASK_STATE_WORKING"
    client.clock.advance(61)
    assert state(await got()) == "TASK_STATE_FAILED"


# --- what is not offered, and what is wrong ---


@pytest.mark.parametrize(
    ("method", "version", "code"),
    [
        ("CreateTaskPushNotificationConfig", "1.0", -32003),
        ("ListTaskPushNotificationConfigs", "1.0", -32003),
        ("tasks/pushNotificationConfig/set", "0.3", -32003),
        ("GetExtendedAgentCard", "1.0", -32004),
        ("agent/getAuthenticatedExtendedCard", "0.3", -32007),
        ("GetTask", "1.0", -32001),
        ("tasks/resubscribe", "0.3", -32001),
    ],
)
async def test_what_is_not_offered_is_said_in_the_word_for_it(client, method, version, code) -> None:
    assert (await client.call(method, version="" if version == "0.3" else version, id="x"))["code"] == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (None, -32602),
        ({"role": "ROLE_USER", "parts": [{"text": "x"}]}, -32602),
        ({"messageId": "x" * 300, "role": "ROLE_USER", "parts": [{"text": "x"}]}, -32602),
        ({"messageId": "x", "role": "ROLE_USER", "parts": []}, -32602),
        ({"messageId": "x", "role": "ROLE_USER", "parts": [{"text": "x"}] * 65}, -32602),
        ({"messageId": "x", "role": "ROLE_USER", "parts": [{"text": "x", "data": {}}]}, -32602),
        ({"messageId": "x", "role": "system", "parts": [{"text": "x"}]}, -32602),
        ({"messageId": "x", "role": "ROLE_USER", "parts": [{"url": "https://files.example/a"}]}, -32005),
        ({"messageId": "x", "role": "ROLE_USER", "parts": [{"data": {}}], "metadata": {SKILL: "nothing"}}, -32602),
        ({"messageId": "x", "role": "ROLE_USER", "parts": [{"data": {}}], "metadata": {SKILL: "double"}}, -32602),
    ],
)
async def test_a_message_that_is_wrong_is_refused_and_the_next_is_served(client, message, code) -> None:
    assert (await client.call("SendMessage", message=message))["code"] == code
    assert "message" in await client.say(data(1)[0])


async def test_bodies_that_are_no_calls_are_refused_and_the_next_is_served(client) -> None:
    for body, code in ((b"{", -32700), ([], -32600), ([{"jsonrpc": "2.0", "id": 1, "method": "GetTask"}], -32600)):
        assert json.loads((await client.post(body)).body)["error"]["code"] == code
    large = await client.post(b" " * 1_048_577)
    assert (large.status, json.loads(large.body)["error"]["code"]) == (413, -32600)
    for version in ("2.0", "one"):
        wrong = await client.post({"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, version=version)
        assert json.loads(wrong.body)["error"]["code"] == -32009
    assert "message" in await client.say(data(1)[0])


async def test_http_json_says_what_went_wrong_by_its_status(client) -> None:
    sent = {"a2a-version": "1.0"}
    missing = await client.send(WireRequest(method="GET", path="/a2a/tasks/nowhere", headers=sent))
    assert (missing.status, json.loads(missing.body)["error"]["details"][0]["reason"]) == (404, "TASK_NOT_FOUND")
    unversioned = await client.send(WireRequest(method="GET", path="/a2a/tasks"))
    assert unversioned.status == 400
    served = await client.post(
        {"message": {"messageId": "r", "role": "ROLE_USER", "parts": [data(2)[0]]}}, path="/a2a/message:send"
    )
    assert json.loads(served.body)["message"]["parts"][0]["data"]["twice"] == 4


def over_0_3(path, *, version=None, method="GET", body=None):
    headers = {"content-type": "application/json", **({} if version is None else {"a2a-version": version})}
    data = b"" if body is None else json.dumps(body).encode()
    return WireRequest(method=method, path=f"/a2a/v1{path}", headers=headers, body=data)


def content(part, **more):
    return {"message": {"messageId": "r", "role": "ROLE_USER", "content": [part], **more}}


async def test_http_json_of_0_3_has_its_own_paths_and_objects(client) -> None:
    given = content({"data": {"data": {"number": str(LARGE)}}}, metadata={"skillId": "double"})
    served = await client.send(over_0_3("/message:send", method="POST", body=given))
    assert served.headers["content-type"] == "application/json"
    assert json.loads(served.body)["msg"]["content"] == [
        {"data": {"data": {"number": str(LARGE), "twice": str(2 * LARGE)}}}
    ]
    words = await client.send(over_0_3("/message:send", method="POST", body=content({"text": "Double 21"})))
    task = json.loads(words.body)["task"]
    assert "twice: 42" in task["artifacts"][0]["parts"][0]["text"]
    got = json.loads((await client.send(over_0_3(f"/tasks/{task['id']}"))).body)
    assert got["history"][0]["content"] == [{"text": "Double 21"}]
    asked = content({"text": "Double a number"}) | {"configuration": {"blocking": False}}
    asked["message"]["messageId"] = "another"
    streamed = await client.handler(over_0_3("/message:stream", method="POST", body=asked))
    told = [json.loads(chunk[6:]) async for chunk in streamed.chunks]
    assert told[-1]["statusUpdate"]["final"] is True
    asks = told[0]["task"]["id"]
    canceled = await client.send(over_0_3(f"/tasks/{asks}:cancel", method="POST"))
    assert json.loads(canceled.body)["status"]["state"] == "TASK_STATE_CANCELLED"


async def test_http_json_of_0_3_says_what_went_wrong(client) -> None:
    for path, method, status in (
        ("/tasks/nowhere", "GET", 404),
        ("/tasks/nowhere:subscribe", "GET", 404),
        ("/tasks/nowhere/pushNotificationConfigs", "POST", 400),
        ("/card", "GET", 400),
        ("/nothing", "GET", 404),
    ):
        wrong = await client.send(over_0_3(path, method=method))
        assert (wrong.status, "message" in json.loads(wrong.body)) == (status, True)
    other = await client.send(over_0_3("/tasks/x", version="7.0"))
    assert other.status == 400
    # Of 1.0, where the request says that it is.
    newer = await client.send(over_0_3("/tasks/x", version="1.0"))
    assert json.loads(newer.body).keys() == {"error"}


async def test_push_configuration_in_a_message_is_refused_rather_than_forgotten(client) -> None:
    asked = {"taskPushNotificationConfig": {"url": "https://hook.example/"}}
    assert (await client.say(data(1)[0], configuration=asked))["code"] == -32003
    assert client.called == []


async def test_a_peer_that_reads_text_alone_gets_text(client) -> None:
    answer = await client.say(data(4)[0], configuration={"acceptedOutputModes": ["text/plain"]})
    assert json.loads(answer["message"]["parts"][0]["text"])["twice"] == 8
    assert (await client.say(data(4)[0], configuration={"acceptedOutputModes": ["image/png"]}))["code"] == -32005


async def test_a_tool_that_fails_is_a_task_that_failed_and_tells_no_more_than_it_means_to(client) -> None:
    @client.agent.tool(effect="safe")
    def fail(what: str) -> str:
        """Fail."""
        raise ToolFailed("secret", for_peer="there is none") if what == "politely" else RuntimeError("secret")

    for what in ("politely", "badly"):
        task = (await client.say({"data": {"what": what}}, metadata={SKILL: "fail"}))["task"]
        assert state(task) == "TASK_STATE_FAILED"
        assert "secret" not in json.dumps(task)
        assert state(await client.call("GetTask", id=task["id"])) == "TASK_STATE_FAILED"


async def test_without_a_model_words_are_a_task_that_is_rejected() -> None:
    async with Agent(state="memory") as agent:
        sent = {"content-type": "application/json", "a2a-version": "1.0"}
        reply = await agent.handler()(
            WireRequest(
                path="/a2a", headers=sent, body=json.dumps(streaming("Hello") | {"method": "SendMessage"}).encode()
            )
        )
        assert state(json.loads(reply.body)["result"]["task"]) == "TASK_STATE_REJECTED"


# --- what is kept ---


async def test_callers_without_a_name_list_the_tasks_of_a_context_that_they_know(client) -> None:
    first = (await client.say({"text": "Double 1"}))["task"]
    await client.say({"text": "Double 2"})
    await client.say({"text": "Double 3"}, contextId="short")
    assert (await client.call("ListTasks"))["tasks"] == []
    assert (await client.call("ListTasks", contextId="short"))["tasks"] == []
    listed = await client.call("ListTasks", contextId=first["contextId"])
    assert [task["id"] for task in listed["tasks"]] == [first["id"]]
    assert "artifacts" not in listed["tasks"][0]
    assert (listed["nextPageToken"], listed["totalSize"], listed["pageSize"]) == ("", 1, 50)


async def test_a_caller_with_a_name_lists_its_own_tasks_alone(client) -> None:
    async def listed(principal, **params):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": params}).encode()
        sent = {"content-type": "application/json", "a2a-version": "1.0"}
        wire = WireRequest(path="/a2a", headers=sent, body=body, principal=principal)
        return json.loads((await client.handler(wire)).body)["result"]["tasks"]

    def said(number):
        message = {"messageId": f"m{number}", "role": "ROLE_USER", "parts": [{"text": f"Double {number}"}]}
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}).encode()

    for number, principal in enumerate(("host:alice", "host:bob", "host:alice")):
        sent = {"content-type": "application/json", "a2a-version": "1.0"}
        await client.handler(WireRequest(path="/a2a", headers=sent, body=said(number), principal=principal))
    assert [len(await listed(who)) for who in ("host:alice", "host:bob", "anonymous")] == [2, 1, 0]
    alices = (await listed("host:alice"))[0]
    assert await listed("host:bob", contextId=alices["contextId"]) == []
    assert (await client.call("GetTask", id=alices["id"]))["code"] == -32001


async def test_a_list_comes_in_pages_the_last_changed_first(client) -> None:
    context = "a-context-that-nobody-guesses"
    made = []
    for number in range(3):
        client.clock.advance(1)
        made.append((await client.say({"text": f"Double {number}"}, contextId=context))["task"]["id"])
    page = await client.call("ListTasks", contextId=context, pageSize=2)
    rest = await client.call("ListTasks", contextId=context, pageSize=2, pageToken=page["nextPageToken"])
    assert [task["id"] for task in (*page["tasks"], *rest["tasks"])] == made[::-1]
    assert rest["nextPageToken"] == ""
    done = await client.call("ListTasks", contextId=context, status="TASK_STATE_FAILED", includeArtifacts=True)
    assert done["tasks"] == []
    assert (await client.call("ListTasks", contextId=context, pageSize=0))["code"] == -32602


async def test_a_task_is_forgotten_an_hour_after_its_last_change(client) -> None:
    task = (await client.say({"text": "Double 1"}))["task"]
    client.clock.advance(3599)
    assert (await client.call("GetTask", id=task["id"]))["id"] == task["id"]
    client.clock.advance(2)
    assert (await client.call("GetTask", id=task["id"]))["code"] == -32001


@pytest.mark.parametrize("task", ["../x", "a b", "x" * 500, "", None])
async def test_no_name_of_a_task_leads_elsewhere(client, task) -> None:
    assert (await client.call("GetTask", id=task))["code"] in (-32001, -32602)
