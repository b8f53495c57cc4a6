"""An agent as an MCP server: what it offers, and what it makes of clients that behave badly."""

import asyncio
import json
from functools import partial

import pytest

from negotiator import Agent, ToolFailed
from negotiator.mcp import Caller
from negotiator.serving import DoorLimits
from negotiator.testing import World
from negotiator.transports import asgi_app
from negotiator.wire import WireRequest
from protocol_docs import catalog

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
PD = "io.github.metaparley/protocol-documents"
SPEAKS = META | {"io.modelcontextprotocol/clientCapabilities": {"extensions": {PD: {}}}}
BOTH = "application/json, text/event-stream"


@pytest.fixture
def agent():
    return offering(Agent(state="memory"))


def offering(agent):
    agent.transfers = []

    @agent.tool(effect="safe")
    def double(number: int) -> int:
        """Double a number."""
        return 2 * number

    @agent.tool(public=True)
    def transfer(amount: int) -> dict[str, int]:
        """Transfer an amount."""
        agent.transfers.append(amount)
        return {"amount": amount}

    @agent.tool(effect="safe", output={"type": "integer"})
    def lie() -> str:
        """Say it is an integer."""
        return "no"

    @agent.tool(effect="safe")
    def fail() -> str:
        """Fail."""
        raise ToolFailed("secret", for_peer="it is broken")

    return agent


class Client:
    """A client of the modern revision, or of the handshake ones, over any handler."""

    def __init__(self, agent, version="2026-07-28", meta=META):
        self.handler = agent.handler() if isinstance(agent, Agent) else agent
        self.version, self.meta = version, meta

    async def send(self, message, path="/mcp", method="POST", **headers):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        said = {"content-type": "application/json", "accept": BOTH, "mcp-protocol-version": self.version}
        if isinstance(message, dict) and self.version == "2026-07-28":
            said["mcp-method"] = str(message.get("method"))
            named = message.get("params", {}).get("name", message.get("params", {}).get("uri"))
            said |= {} if named is None else {"mcp-name": str(named)}
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        said = {name: value for name, value in said.items() if value is not None}
        return await self.handler(WireRequest(method=method, path=path, headers=said, body=body))

    def message(self, method, **params):
        meta = {"_meta": self.meta | params.pop("meta", {})} if self.version == "2026-07-28" else {}
        return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**meta, **params}}

    async def ask(self, method, **params):
        wire = await self.send(self.message(method, **params))
        return wire.status, json.loads(wire.body)

    async def result(self, method, **params):
        status, told = await self.ask(method, **params)
        assert status == 200, told
        assert "error" not in told, told
        return told["result"]

    async def error(self, method, **params):
        status, told = await self.ask(method, **params)
        assert told["id"] == 1
        return status, told["error"]["code"]

    async def call(self, name, meta=None, **arguments):
        return await self.result("tools/call", name=name, arguments=arguments, meta=meta or {})

    async def value(self, name, meta=None, **arguments):
        made = await self.call(name, meta, **arguments)
        assert made["isError"] is False, made
        return made["structuredContent"]

    async def failure(self, name, meta=None, **arguments):
        made = await self.call(name, meta, **arguments)
        assert made["isError"] is True, made
        return made["_meta"]["io.github.metaparley/code"]


# --- what is offered ---


async def test_a_modern_client_discovers_lists_and_calls(agent):
    client = Client(agent)
    found = await client.result("server/discover")
    assert found["supportedVersions"][0] == "2026-07-28"
    assert set(found["capabilities"]) == {"tools", "resources", "extensions"}
    assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "agent"
    listed = await client.result("tools/list")
    assert (listed["ttlMs"] > 0, listed["cacheScope"], listed["resultType"]) == (True, "public", "complete")
    assert await client.value("double", number=21) == 42


@pytest.mark.parametrize("version", ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])
async def test_a_client_of_each_handshake_revision_is_answered_in_it(agent, version):
    client = Client(agent, version)
    begun = await client.result("initialize", protocolVersion=version, capabilities={}, clientInfo={})
    assert begun["protocolVersion"] == version
    noted = await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
    assert (noted.status, noted.body) == (202, b"")
    assert await client.result("ping") == {}
    made = await client.call("double", number=21)
    assert made["content"] == [{"type": "text", "text": "42"}]
    assert made.get("structuredContent") == ({"result": 42} if version >= "2025-06-18" else None)
    assert "resultType" not in made


async def test_an_unknown_revision_in_a_handshake_is_answered_with_the_newest(agent):
    begun = await Client(agent, "2025-11-25").result("initialize", protocolVersion="1999-01-01")
    assert begun["protocolVersion"] == "2025-11-25"


async def test_tools_say_what_they_take_give_and_do(agent):
    tools = {tool["name"]: tool for tool in (await Client(agent).result("tools/list"))["tools"]}
    assert tools["double"]["inputSchema"]["properties"]["number"]["type"] == "integer"
    assert tools["double"]["outputSchema"] == {"type": "integer"}
    assert tools["double"]["annotations"]["readOnlyHint"]
    assert tools["transfer"]["annotations"]["destructiveHint"]


async def test_however_many_peers_are_known_the_list_of_tools_stays_the_same(agent):
    client = Client(agent)
    before = await client.result("tools/list")
    agent.know("http://127.0.0.1:9/a", "http://127.0.0.1:9/b")
    assert await client.result("tools/list") == before


async def test_a_tool_of_ones_own_takes_the_place_of_ours(agent):
    @agent.tool(effect="safe")
    def find_task(query: str) -> str:
        """Mine."""
        return query

    client = Client(agent)
    names = [tool["name"] for tool in (await client.result("tools/list"))["tools"]]
    assert names.count("find_task") == 1
    assert await client.value("find_task", query="x") == "x"


# --- calls go the way of every request ---


async def test_a_repeated_key_gets_the_reply_that_was_kept(agent):
    client = Client(agent)
    key = {"io.github.metaparley/idempotencyKey": "k"}
    assert await client.value("transfer", key, amount=5) == {"amount": 5}
    assert await client.value("transfer", key, amount=5) == {"amount": 5}
    assert agent.transfers == [5]
    assert await client.failure("transfer", key, amount=6) == "bad_input"


async def test_two_requests_of_one_id_are_two_requests(agent):
    client = Client(agent)
    both = await asyncio.gather(client.value("transfer", amount=1), client.value("transfer", amount=2))
    assert sorted(agent.transfers) == [1, 2]
    assert both == [{"amount": 1}, {"amount": 2}]


@pytest.mark.parametrize(("name", "arguments"), [("double", {}), ("double", {"number": "x"}), ("find_task", {})])
async def test_arguments_that_do_not_fit_are_a_result_that_says_where(agent, name, arguments):
    client = Client(agent)
    assert await client.failure(name, **arguments) == "bad_input"


async def test_a_tool_that_fails_or_lies_is_a_typed_failure_without_its_secrets(agent):
    client = Client(agent)
    assert await client.failure("fail") == "failed"
    told = json.dumps(await client.call("fail"))
    assert "it is broken" in told
    assert "secret" not in told
    assert await client.failure("lie") == "failed"
    assert await client.value("double", number=1) == 2


async def test_a_call_that_takes_too_long_ends_by_its_deadline():
    agent = Agent(state="memory", request_seconds=0.05)
    never = asyncio.Event()

    @agent.tool(public=True)
    async def wait() -> str:
        """Wait."""
        await never.wait()
        return ""

    assert await Client(agent).failure("wait") == "deadline_passed"


# --- find_task and run_task ---


async def test_own_tasks_are_found_and_run(agent):
    client = Client(agent)
    found = (await client.value("find_task", query="double a number", limit=1))["tasks"]
    assert [task["task"] for task in found] == ["double"]
    assert found[0]["input_schema"]["properties"]["number"]["type"] == "integer"
    ran = await client.value("run_task", task="double", input={"number": 4})
    assert ran == {"output": 8, "tier": "routine"}
    assert await client.failure("run_task", task="nothing", input={}) == "bad_input"


async def peers_agent(*, relay):
    world = World()
    other = offering(world.agent("other", publish="all"))
    front = world.agent("front", relay=relay)
    front.know("mem://other")
    return other, front


async def test_a_peers_tasks_are_found_and_run_for_callers_who_may():
    other, front = await peers_agent(relay=True)
    client = Client(front)
    found = (await client.value("find_task", query="transfer an amount", limit=1))["tasks"]
    assert (found[0]["name"], found[0]["where"], found[0]["effect"]) == ("transfer", "mem://other", "transactional")
    ran = await client.value("run_task", task=found[0]["task"], input={"amount": 7})
    assert (ran["output"], ran["tier"], ran["peer_tier"]) == ({"amount": 7}, "routine", "routine")
    assert other.transfers == [7]


async def test_strangers_have_no_peer_asked_for_them_unless_that_was_said():
    other, front = await peers_agent(relay=False)
    client = Client(front)
    assert (await client.value("find_task", query="transfer"))["tasks"] == []
    document = next(iter(other.documents()), catalog.direct_json())
    assert await client.failure("run_task", task=f"{document.hash}@mem://other", input={"amount": 7}) == "bad_input"
    assert other.transfers == []


async def test_an_address_that_is_not_known_is_never_asked():
    _, front = await peers_agent(relay=True)
    named = f"{catalog.direct_json().hash}@mem://elsewhere"
    assert await Client(front).failure("run_task", task=named, input={}) == "bad_input"


# --- documents ---


async def test_documents_are_resources_by_hash(agent):
    client = Client(agent)
    listed = (await client.result("resources/list"))["resources"]
    wanted = catalog.negotiation_dialogue()
    entry = next(each for each in listed if each["uri"] == "pd://sha256/" + wanted.hash.removeprefix("sha256:"))
    assert entry["size"] == len(wanted.data)
    read = await client.result("resources/read", uri=entry["uri"])
    assert read["contents"][0]["text"].encode() == wanted.data
    assert (await client.result("resources/templates/list"))["resourceTemplates"][0]["uriTemplate"]


@pytest.mark.parametrize("uri", ["pd://sha256/" + "0" * 64, "pd://sha256/x", "file:///etc/passwd", "", "pd://sha256/"])
async def test_what_is_no_resource_here_is_not_found(agent, uri):
    assert await Client(agent).error("resources/read", uri=uri) == (400, -32602)
    assert await Client(agent, "2025-11-25").error("resources/read", uri=uri) == (200, -32002)


OPENING = {
    "type": "opening",
    "id": "n-1",
    "intent": {"name": "double", "description": "Double a number.", "effect": "safe"},
}


async def agreed(opening, agreement, get):
    """Go through the dialogue by three ways of saying something; gives the hash that was agreed on."""
    answer = (await opening(OPENING))["message"]
    selected = answer["selected"]
    said = {
        "type": "agreement",
        "id": "n-1",
        "protocol_hash": selected["protocol_hash"],
        "digest": answer["digest"],
    }
    assert (await agreement(said))["message"]["type"] == "agreed"
    read = await get(selected["protocol_hash"])
    assert read["text"] == selected["document"]
    return selected["protocol_hash"]


async def test_a_document_agreed_on_by_the_extension_serves_agora_too(agent):
    client = Client(agent, meta=SPEAKS)
    name = await agreed(
        lambda message: client.result("pd/propose", message=message),
        lambda message: client.result("pd/accept", message=message),
        lambda hash_: client.result("pd/get", hash=hash_),
    )
    assert (await client.result("pd/use", hash=name, body={"number": 4}))["body"] == 8
    assert name in (await client.result("server/discover"))["capabilities"]["extensions"][PD]["documents"]
    envelope = {"protocolHash": name, "protocolSources": [], "body": {"number": 5}}
    request = WireRequest(headers={"content-type": "application/json"}, body=json.dumps(envelope).encode())
    assert json.loads((await client.handler(request)).body)["body"] == "10"


async def test_the_same_by_plain_tools_for_clients_without_extensions(agent):
    client = Client(agent, "2025-11-25")
    name = await agreed(
        lambda message: client.value("propose_document", message=message),
        lambda message: client.value("accept_document", message=message),
        lambda hash_: client.value("get_document", hash=hash_),
    )
    assert await client.value("use_document", hash=name, body={"number": 4}) == {"body": 8}


async def test_a_client_that_speaks_the_extension_reads_no_tools_for_it(agent):
    names = {tool["name"] for tool in (await Client(agent, meta=SPEAKS).result("tools/list"))["tools"]}
    assert {"find_task", "run_task"} <= names
    assert not any(name.endswith("_document") for name in names)


async def test_the_extension_is_for_clients_that_say_they_speak_it(agent):
    status, told = await Client(agent).ask("pd/get", hash="sha256:" + "0" * 64)
    assert (status, told["error"]["code"]) == (400, -32021)
    assert told["error"]["data"] == {"requiredCapabilities": {"extensions": {PD: {}}}}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("pd/propose", {"message": {"type": "agreement", "id": "n", "protocol_hash": "x", "digest": "x"}}),
        ("pd/propose", {"message": {}}),
        ("pd/accept", {"message": OPENING}),
        ("pd/get", {"hash": "x"}),
        ("pd/get", {}),
        ("pd/use", {"hash": "nonsense", "body": None}),
    ],
)
async def test_the_extensions_messages_are_held_to_their_form(agent, method, params):
    assert await Client(agent, meta=SPEAKS).error(method, **params) == (400, -32602)


async def test_a_document_that_is_not_at_hand_is_not_used(agent):
    client = Client(agent, meta=SPEAKS)
    status, told = await client.ask("pd/use", hash="sha256:" + "0" * 64, body={})
    assert (status, told["error"]["data"]["code"]) == (200, "document_not_found")


# --- clients that behave badly: each is refused, and the next request served ---


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"mcp_protocol_version": None}, 400, -32020),
        ({"mcp_protocol_version": "2025-06-18"}, 400, -32020),
        ({"mcp_method": "tools/call"}, 400, -32020),
        ({"mcp_method": None}, 400, -32020),
        ({"content_type": "text/plain"}, 415, -32000),
        ({"content_type": None}, 415, -32000),
        ({"accept": "text/html"}, 406, -32000),
        ({"accept": "application/json;q=0, text/event-stream;q=nonsense"}, 406, -32000),
    ],
)
async def test_a_request_whose_headers_are_wrong(agent, headers, status, code):
    client = Client(agent)
    wire = await client.send(client.message("tools/list"), **headers)
    assert (wire.status, json.loads(wire.body)["error"]["code"]) == (status, code)
    assert await client.value("double", number=1) == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, -32700),
        (b"", 400, -32700),
        (b"[]", 400, -32600),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', 400, -32600),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 400, -32600),
        (b" " * 1_048_577, 413, -32600),
    ],
)
@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_a_body_that_is_none(agent, body, status, code, version):
    client = Client(agent, version)
    wire = await client.send(body)
    assert (wire.status, json.loads(wire.body)["error"]["code"]) == (status, code)
    assert await client.result("tools/list")


def several(*messages):
    return json.dumps([{"jsonrpc": "2.0", **each} for each in messages]).encode()


async def test_a_batch_is_answered_in_the_revision_that_has_them(agent):
    client = Client(agent, "2025-03-26")
    call = {"id": "c", "method": "tools/call", "params": {"name": "double", "arguments": {"number": 4}}}
    mixed = several(
        {"id": 1, "method": "ping"}, call, {"method": "notifications/x"}, {"id": 3, "method": "prompts/list"}
    )
    for version in ("2025-03-26", None):
        wire = await client.send(mixed, mcp_protocol_version=version)
        told = {each["id"]: each for each in json.loads(wire.body)}
        assert (wire.status, told.keys()) == (200, {1, "c", 3})
        assert told["c"]["result"]["content"][0]["text"] == "8"
        assert told[3]["error"]["code"] == -32601
    asks_nothing = await client.send(several({"method": "notifications/x"}, {"id": 9, "result": {}}))
    assert (asks_nothing.status, asks_nothing.body) == (202, b"")
    events = await client.send(mixed, accept="text/event-stream")
    assert events.chunks is not None
    assert len([part async for part in events.chunks]) == 3


async def test_what_may_not_be_in_a_batch_is_refused_alone_and_too_many_are_together(agent):
    client = Client(agent, "2025-03-26")
    modern = {"id": 2, "method": "tools/list", "params": {"_meta": {"io.modelcontextprotocol/protocolVersion": "x"}}}
    wire = await client.send(several({"id": 1, "method": "initialize"}, modern, {"id": 3, "method": "ping"}))
    told = {each["id"]: each for each in json.loads(wire.body)}
    assert {name: each.get("error", {}).get("code") for name, each in told.items()} == {1: -32600, 2: -32602, 3: None}
    numbers = [{"id": number, "method": "ping"} for number in range(33)]
    for body in (several(*numbers), b"[", b"[]", b"[5]", b"[[]]"):
        refused = await client.send(body)
        answer = json.loads(refused.body)
        assert (answer[0] if isinstance(answer, list) else answer)["error"]["code"] in (-32600, -32700)
    assert await client.result("tools/list")


NOT_OFFERED = (
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "resources/subscribe",
    "resources/unsubscribe",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "tasks/list",
)


@pytest.mark.parametrize(("version", "status"), [("2026-07-28", 404), ("2025-11-25", 200), ("2025-03-26", 200)])
async def test_what_is_not_offered_is_not_said_to_be_and_is_no_method(agent, version, status):
    client = Client(agent, version)
    told = await client.result(*(("server/discover",) if version == "2026-07-28" else ("initialize",)))
    assert told["capabilities"].keys() <= {"tools", "resources", "extensions", "experimental"}
    # No list tells of its changes, and no resource changes.
    assert told["capabilities"]["tools"] == told["capabilities"]["resources"] == {}
    for method in NOT_OFFERED:
        assert await client.error(method) == (status, -32601), method
    assert not (await client.call("double", number=1))["isError"]


async def test_an_extension_that_nobody_knows_changes_nothing(agent):
    said = {
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"example.org/unheard-of": {"required": True}}}
    }
    client = Client(agent, meta=META | said)
    assert await client.value("double", number=4) == 8
    assert "example.org/unheard-of" not in (await client.result("server/discover"))["capabilities"]["extensions"]


@pytest.mark.parametrize("method", ["initialize", "ping", "x", "tasks/get", "subscriptions/listen"])
async def test_a_method_that_is_none_of_the_modern_revision(agent, method):
    assert await Client(agent).error(method) == (404, -32601)


@pytest.mark.parametrize("method", ["prompts/list", "x", "completion/complete", "resources/subscribe", "pd/get"])
async def test_a_method_that_is_none_of_the_handshake_revisions(agent, method):
    assert await Client(agent, "2025-11-25").error(method) == (200, -32601)


async def test_a_version_that_is_none(agent):
    client = Client(agent)
    message = client.message("tools/list", meta={"io.modelcontextprotocol/protocolVersion": "2030-01-01"})
    wire = await client.send(message, mcp_protocol_version="2030-01-01")
    told = json.loads(wire.body)["error"]
    assert (wire.status, told["code"], told["data"]["requested"]) == (400, -32022, "2030-01-01")
    assert (await Client(agent, "nonsense").error("tools/list"))[0] == 400


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", {"name": "nothing"}),
        ("tools/call", {"name": 5}),
        ("tools/call", {"name": "double", "arguments": [1]}),
        ("tools/list", {"cursor": "nonsense"}),
        ("tools/list", {"cursor": 5}),
        ("resources/list", {"cursor": "nonsense"}),
        ("resources/read", {}),
        ("tools/call", {"name": "transfer", "meta": {"io.github.metaparley/idempotencyKey": 5}}),
        ("tools/call", {"name": "transfer", "meta": {"io.github.metaparley/idempotencyKey": "x" * 256}}),
    ],
)
async def test_parameters_that_are_none(agent, method, params):
    assert await Client(agent).error(method, **params) == (400, -32602)
    assert agent.transfers == []


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("DELETE", 405), ("PUT", 405)])
async def test_there_are_no_sessions_to_get_or_delete(agent, method, status):
    wire = await Client(agent).send(b"", method=method)
    assert (wire.status, wire.headers["allow"]) == (status, "POST")


async def test_what_is_below_the_door_is_nothing(agent):
    assert (await Client(agent).send(b"{}", path="/mcp/x")).status == 404


async def test_a_list_of_many_tools_comes_in_pages():
    agent = Agent(state="memory")
    for number in range(450):
        agent.tool(effect="safe", name=f"t{number:03}")(lambda: "")
    client, names, cursor = Client(agent), [], {}
    while True:
        page = await client.result("tools/list", **cursor)
        names += [tool["name"] for tool in page["tools"]]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert len(names) == len(set(names)) == 450 + 6


# --- streams, and too much at once ---


class Held:
    """An agent whose tool says when it has begun, and ends when it is told to."""

    def __init__(self, **options):
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.agent = Agent(state="memory", **options)

        @self.agent.tool(public=True)
        async def slow() -> str:
            """Take a while."""
            self.begun.set()
            await self.go.wait()
            self.ended.set()
            return "done"


async def test_a_client_that_prefers_events_gets_one():
    held = Held()
    held.go.set()
    client = Client(held.agent)
    wire = await client.send(client.message("tools/call", name="slow"), accept="text/event-stream")
    assert wire.headers["content-type"] == "text/event-stream"
    stream = b"".join([part async for part in wire.chunks])
    data = next(line for line in stream.splitlines() if line.startswith(b"data: "))
    assert json.loads(data[6:])["result"]["structuredContent"] == "done"


async def test_a_client_that_leaves_its_stream_ends_no_effect():
    held = Held()
    client = Client(held.agent)
    message = client.message("tools/call", name="slow")
    app, sent, leaving = asgi_app(client.handler), [], asyncio.Event()
    headers = [
        (b"content-type", b"application/json"),
        (b"accept", b"text/event-stream"),
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", b"slow"),
    ]
    events = [{"type": "http.request", "body": json.dumps(message).encode()}]

    async def receive():
        if events:
            return events.pop()
        await leaving.wait()
        return {"type": "http.disconnect"}

    async def send(event):
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers, "client": None}
    serving = asyncio.create_task(app(scope, receive, send))
    await held.begun.wait()
    leaving.set()
    await asyncio.wait_for(serving, 5)
    assert not held.ended.is_set()
    held.go.set()
    await asyncio.wait_for(held.ended.wait(), 5)
    assert sent[-1]["type"] == "http.response.start"


async def test_too_much_at_once_is_said_at_any_door_with_the_time_to_wait(monkeypatch):
    monkeypatch.setattr("negotiator.receiver_face.DoorLimits", partial(DoorLimits, under_way=1))
    held = Held()
    client = Client(held.agent)
    first = asyncio.create_task(client.value("slow"))
    await held.begun.wait()
    wire = await client.send(client.message("tools/list"))
    told = json.loads(wire.body)
    assert (wire.status, told["error"]["data"]["code"], told["id"]) == (503, "overloaded", 1)
    assert int(wire.headers["retry-after"]) >= 1
    envelope = {"protocolHash": None, "protocolSources": [], "body": "hello"}
    request = WireRequest(headers={"content-type": "application/json"}, body=json.dumps(envelope).encode())
    assert (await client.handler(request)).status == 503
    held.go.set()
    assert await first == "done"
    assert await client.result("tools/list")


async def test_an_error_of_our_own_says_nothing_of_us(agent, monkeypatch):
    def broken(_self):
        raise RuntimeError("a path and a secret")

    monkeypatch.setattr(Agent, "_listing", broken)
    status, told = await Client(offering(Agent(state="memory"))).ask("resources/list")
    assert (status, told["error"]["code"]) == (500, -32603)
    assert "secret" not in json.dumps(told)


@pytest.mark.parametrize(
    ("principal", "asked"), [("host:alice", True), ("did:example:alice", False), ("anonymous", False)]
)
async def test_peers_are_asked_for_those_whom_our_own_side_vouches_for(principal, asked):
    _, front = await peers_agent(relay=False)
    message = Client(front).message("tools/call", name="find_task", arguments={"query": "transfer"})
    caller = Caller(principal=principal)
    handled = await front.mcp_server().handle(json.dumps(message).encode(), headers=None, caller=caller)
    assert bool(handled.message["result"]["structuredContent"]["tasks"]) == asked
