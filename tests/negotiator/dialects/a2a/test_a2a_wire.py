"""Messages, tasks, calls and cards of both versions: what is written is read, and nothing that comes breaks the reader."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.dialects.a2a import extension, http_0_3
from negotiator.dialects.a2a.calls import Call, read_call, write_fault
from negotiator.dialects.a2a.card import Offer, Skill, read_card, write_card
from negotiator.dialects.a2a.faults import FAULTS, Fault
from negotiator.dialects.a2a.objects import (
    STATES,
    Artifact,
    Message,
    Misformed,
    Part,
    TaskView,
    read_message,
    read_task,
    write_message,
    write_task,
)
from negotiator.errors import PeerMisspoke
from negotiator.wire import WireRequest

VERSIONS = st.sampled_from(["1.0", "0.3"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
IDS = st.text(min_size=1, max_size=20)
PARTS = st.lists(
    st.text(max_size=10).map(lambda text: Part(kind="text", value=text))
    | JSON.map(lambda value: Part(kind="data", value=value))
    | st.just(Part(kind="file", value={"url": "https://files.example/a", "media_type": "image/png", "name": "a"})),
    min_size=1,
    max_size=4,
).map(tuple)
METADATA = st.dictionaries(st.text(min_size=1, max_size=5), JSON, max_size=2)
MESSAGES = st.builds(
    Message,
    id=IDS,
    speaker=st.sampled_from(["user", "agent"]),
    parts=PARTS,
    context=st.none() | IDS,
    task=st.none() | IDS,
    metadata=METADATA,
    extensions=st.just(()) | st.just((extension.URI,)),
)
TASKS = st.builds(
    TaskView,
    id=IDS,
    context=IDS,
    state=st.sampled_from(STATES),
    message=st.none() | MESSAGES,
    artifacts=st.lists(st.builds(Artifact, id=IDS, parts=PARTS, metadata=METADATA), max_size=2).map(tuple),
    history=st.lists(MESSAGES, max_size=3).map(tuple),
    metadata=METADATA,
)
HEADERS = {"content-type": "application/json"}


@given(MESSAGES, VERSIONS)
def test_a_message_is_read_as_it_was_written(message, version) -> None:
    assert read_message(json.loads(json.dumps(write_message(message, version))), version) == message


@given(TASKS, VERSIONS)
def test_a_task_is_read_as_it_was_written(task, version) -> None:
    assert read_task(json.loads(json.dumps(write_task(task, version))), version, with_history=True) == task


@given(MESSAGES)
def test_a_message_over_http_of_0_3_is_read_as_it_was_written(message) -> None:
    for turned, name in ((http_0_3.write, "message"), (http_0_3.answer, "msg")):
        told = json.loads(json.dumps(turned({"message": write_message(message, "1.0")})))
        assert "parts" not in told[name]
        assert read_message(http_0_3.read(told)["message"], "1.0") == message


@given(TASKS, st.sampled_from(["task", "statusUpdate", None]))
def test_a_task_over_http_of_0_3_is_read_as_it_was_written(task, name) -> None:
    written = write_task(task, "1.0")
    told = json.loads(json.dumps(http_0_3.answer(written if name is None else {name: written})))
    assert "CANCELED" not in json.dumps(told)
    found = http_0_3.read(told)
    assert read_task(found if name is None else found[name], "1.0", with_history=True) == task


@given(JSON)
def test_nothing_breaks_what_tells_one_form_as_the_other(given_json) -> None:
    for found in ({"message": given_json}, {"task": given_json}, {"tasks": given_json}, {"status": given_json}):
        for turned in (http_0_3.read, http_0_3.write, http_0_3.answer):
            assert isinstance(turned(found), dict)
    inside = {"message": {"content": [given_json], "parts": given_json}}
    assert isinstance(http_0_3.read(inside), dict)


@given(TASKS)
def test_no_more_history_is_shown_than_was_asked_for(task) -> None:
    assert "history" not in write_task(task, "1.0", history_length=0)
    assert len(write_task(task, "0.3", history_length=2).get("history", [])) == min(2, len(task.history))


@given(JSON, VERSIONS)
def test_what_is_no_message_is_refused_and_named(given_json, version) -> None:
    for read in (read_message, read_task):
        with pytest.raises(Misformed):
            read(given_json, version)


@given(
    st.sampled_from(
        [
            "",
            "/",
            "/message:send",
            "/message:stream",
            "/tasks",
            "/tasks/x",
            "/tasks/x:cancel",
            "/nothing",
            "/v1",
            "/v1/message:send",
        ]
    ),
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.sampled_from(["", "0.3", "1.0", "1.0.3", "1.1", "9.9", "one", "1.0, 0.3"]),
    st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_no_bytes_break_the_reader_of_calls(path, method, version, body) -> None:
    headers = {**HEADERS, "a2a-version": version}
    call = read_call(WireRequest(method=method, path="/a2a" + path, headers=headers, body=body), path)
    if call.fault is not None:
        reply = write_fault(call, call.fault)
        assert reply.status == (200 if call.rpc else call.fault.spelling.http)
        assert json.loads(reply.body)["error"]["code"] in (call.fault.spelling.code, call.fault.spelling.http)


def call_of(body, version="1.0", **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_call(WireRequest(path="/a2a", headers={**HEADERS, "a2a-version": version, **headers}, body=data), "")


@pytest.mark.parametrize(
    ("body", "version", "reason"),
    [
        (b"{", "1.0", "PARSE_ERROR"),
        (b"\xff", "1.0", "PARSE_ERROR"),
        ([{"jsonrpc": "2.0", "id": 1, "method": "GetTask"}], "1.0", "INVALID_REQUEST"),
        ({"jsonrpc": "1.0", "id": 1, "method": "GetTask"}, "1.0", "INVALID_REQUEST"),
        ({"jsonrpc": "2.0", "id": 1}, "1.0", "INVALID_REQUEST"),
        ({"jsonrpc": "2.0", "id": True, "method": "GetTask"}, "1.0", "INVALID_REQUEST"),
        ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": []}, "1.0", "INVALID_PARAMS"),
        ({"jsonrpc": "2.0", "id": 1, "method": "tasks/send"}, "0.3", "METHOD_NOT_FOUND"),
        ({"jsonrpc": "2.0", "id": 1, "method": "Nothing"}, "1.0", "METHOD_NOT_FOUND"),
        ({"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, "", "VERSION_NOT_SUPPORTED"),
        ({"jsonrpc": "2.0", "id": 1, "method": "message/send"}, "1.0", "VERSION_NOT_SUPPORTED"),
        ({"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, "9.9", "VERSION_NOT_SUPPORTED"),
        ({"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, "1.1", "VERSION_NOT_SUPPORTED"),
        (b'{"a":' + b"[" * 90 + b"]" * 90 + b"}", "1.0", "INVALID_REQUEST"),
    ],
)
def test_each_wrong_call_has_its_word(body, version, reason) -> None:
    fault = call_of(body, version).fault
    assert fault is not None
    assert fault.reason == reason


def test_a_call_keeps_its_id_where_it_is_refused() -> None:
    assert call_of({"jsonrpc": "2.0", "id": "a", "method": "Nothing"}).id == "a"


def test_a_page_in_a_browser_cannot_post_what_it_need_not_ask_for() -> None:
    fault = call_of({"jsonrpc": "2.0", "id": 1, "method": "GetTask"}, **{"content-type": "text/plain"}).fault
    assert fault is not None


@pytest.mark.parametrize(("method", "operation"), [("SendMessage", "send"), ("ListTasks", "list")])
def test_a_patch_number_changes_no_version(method, operation) -> None:
    assert call_of({"jsonrpc": "2.0", "id": 1, "method": method}, "1.0.7").operation == operation


def test_the_version_may_stand_in_the_address() -> None:
    wire = WireRequest(method="GET", path="/a2a/tasks?A2A-Version=1.0&pageSize=3")
    call = read_call(wire, "/tasks")
    assert (call.fault, call.operation, call.params["pageSize"]) == (None, "list", 3)


def test_every_fault_is_said_over_both_bindings() -> None:
    for reason, spelling in FAULTS.items():
        over_rpc = json.loads(write_fault(Call(rpc=True, id=1), Fault(reason)).body)["error"]
        over_rest = json.loads(write_fault(Call(rpc=False), Fault(reason)).body)["error"]
        assert over_rpc["code"] == spelling.code
        assert over_rest["status"] == spelling.status
        assert over_rpc["data"][0]["reason"] == over_rest["details"][0]["reason"] == reason


SKILL = Skill(
    id="get_forecast",
    description="Tell the weather.",
    effect="safe",
    input_schema={"type": "object", "properties": {"city": {"type": "string", "maxLength": 80}}},
    output_schema={"type": "object"},
)


def test_a_card_of_ours_is_read_as_it_was_written() -> None:
    offer = Offer(
        name="weather",
        description="Tells the weather.",
        version="1",
        skills=(SKILL, Skill(id="book", description="Book.")),
        documents={"sha256:" + "a" * 64: ()},
        negotiates_by=("sha256:" + "b" * 64,),
    )
    card = read_card(write_card(offer, "https://agent.example/mount", "/a2a"))
    assert card.skills == offer.skills
    assert [(each.url, each.binding, each.version) for each in card.interfaces] == [
        ("https://agent.example/mount/a2a", "JSONRPC", "1.0"),
        ("https://agent.example/mount/a2a", "HTTP+JSON", "1.0"),
        ("https://agent.example/mount/a2a", "JSONRPC", "0.3"),
        ("https://agent.example/mount/a2a", "HTTP+JSON", "0.3"),
    ]
    assert card.documents == {name: (f"https://agent.example/mount/documents/{name}",) for name in offer.documents}
    assert (card.extended, card.negotiates_by, card.requires) == (True, offer.negotiates_by, ())


def test_a_card_of_0_3_and_one_whose_numbers_protobuf_wrote_are_read() -> None:
    skill = {"id": "s", "name": "s", "inputSchema": {"maxProperties": 2.0}, "outputSchema": {}}
    old = {"name": "old", "url": "https://a.example/", "protocolVersion": "0.3.0", "skills": [skill, {"id": 7}, "x"]}
    card = read_card(json.dumps(old).encode())
    assert [(each.binding, each.version) for each in card.interfaces] == [("JSONRPC", "0.3")]
    assert [(each.id, each.input_schema) for each in card.skills] == [("s", {"maxProperties": 2})]
    assert "2.0" not in json.dumps(card.skills[0].input_schema)


def test_a_card_says_what_it_requires() -> None:
    required = {"uri": "https://other.example/v1", "required": True}
    card = {"name": "x", "url": "https://a.example/", "capabilities": {"extensions": [required]}}
    assert read_card(json.dumps(card).encode()).requires == ("https://other.example/v1",)


@given(st.dictionaries(st.sampled_from(["name", "url", "skills", "capabilities", "supportedInterfaces"]), JSON))
def test_no_card_breaks_its_reader(given_card) -> None:
    try:
        read_card(json.dumps(given_card).encode())
    except PeerMisspoke:
        assert not isinstance(given_card.get("name"), str) or not {"url", "supportedInterfaces"} & given_card.keys()


def test_extensions_are_asked_for_by_header_and_by_message() -> None:
    headers = {
        "a2a-extensions": "https://a.example/v1, https://b.example/v1",
        "x-a2a-extensions": "https://b.example/v1",
    }
    asked = extension.requested(headers, ("https://c.example/v1",))
    assert asked == ("https://a.example/v1", "https://b.example/v1", "https://c.example/v1")
