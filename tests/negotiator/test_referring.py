"""Files by reference in the wire languages that have a word of their own for them."""

import json
from dataclasses import replace

import pytest
from pydantic import BaseModel

from negotiator import Agent, Task
from negotiator.dialects.mcp.client import read_result
from negotiator.files import FileRef
from negotiator.models.scripted import ScriptedModel
from negotiator.referring import MAX_DEPTH, placed, references
from negotiator.schemas import Schema
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio

URL = "https://files.example/a.pdf"
REF = {"url": URL, "media_type": "application/pdf", "name": "a.pdf"}
CARD = "/.well-known/agent-card.json"


class Many(BaseModel):
    title: str
    first: FileRef
    second: FileRef | None = None
    rest: list[FileRef] = []


SCHEMA = Schema.of(Many).json_schema


def test_references_are_found_wherever_the_schema_has_them():
    one, two, three = ({"url": f"https://x.example/{number}"} for number in range(3))
    value = {"title": "t", "first": one, "second": two, "rest": [three, one], "other": {"url": "https://no.example"}}
    assert references(value, SCHEMA) == [one, two, three]
    assert references({"title": "t", "first": one, "second": None}, SCHEMA) == [one]
    assert references(one, Schema.of(FileRef).json_schema) == [one]
    assert references([one], {"type": "array"}) == []


def test_a_schema_that_refers_to_itself_ends():
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}, "b": {"$ref": "#/$defs/b"}}}
    assert references({"a": 1}, endless) == []
    assert references({"a": 1}, {"$ref": "#/$defs/b", "$defs": endless["$defs"]}) == []
    deep = {"x-file": True}
    for _ in range(MAX_DEPTH + 1):
        deep = {"anyOf": [deep]}
    assert references({"url": URL}, deep) == []


def test_files_are_placed_in_the_fields_for_them_that_are_missing_and_nowhere_else():
    files = [{"url": f"https://x.example/{number}"} for number in range(4)]
    assert placed({"title": "t"}, SCHEMA, files) == {
        "title": "t",
        "first": files[0],
        "second": files[1],
        "rest": files[2:],
    }
    given = {"title": "t", "first": files[3], "second": None, "rest": []}
    assert placed(given, SCHEMA, []) == given
    assert placed(given, SCHEMA, files[:1]) is None
    assert placed({}, {"type": "object"}, files) is None


# --- A2A ---


def reader():
    agent = Agent(state="memory", publish="all")
    agent.seen = []

    @agent.tool(effect="safe")
    def copy(document: FileRef) -> FileRef:
        """Copy a document."""
        agent.seen.append(document)
        return FileRef(url=URL + "?copy", media_type="application/pdf", name="copy.pdf")

    return agent


def file(version, url=URL):
    if version == "1.0":
        return {"url": url, "mediaType": "application/pdf", "filename": "a.pdf"}
    return {"kind": "file", "file": {"uri": url, "mimeType": "application/pdf", "name": "a.pdf"}}


async def sent(agent, *parts, version="1.0", **metadata):
    role = {"role": "ROLE_USER"} if version == "1.0" else {"kind": "message", "role": "user"}
    message = {"messageId": "m", "parts": list(parts), "metadata": metadata, **role}
    method = "SendMessage" if version == "1.0" else "message/send"
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"message": message}}
    headers = {"content-type": "application/json", **({"a2a-version": version} if version == "1.0" else {})}
    reply = await agent.handler()(WireRequest(path="/a2a", headers=headers, body=json.dumps(body).encode()))
    return json.loads(reply.body)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
@pytest.mark.parametrize("named", [{"skillId": "copy"}, {}])
async def test_a_file_by_its_address_is_a_skills_input_and_its_output_a_file_too(version, named):
    agent = reader()
    told = (await sent(agent, file(version), version=version, **named))["result"]
    assert agent.seen == [FileRef.model_validate(REF)]
    parts = told["message"]["parts"] if version == "1.0" else told["parts"]
    assert (
        parts[1]
        == {
            "1.0": {"url": URL + "?copy", "mediaType": "application/pdf", "filename": "copy.pdf"},
            "0.3": {"kind": "file", "file": {"uri": URL + "?copy", "mimeType": "application/pdf", "name": "copy.pdf"}},
        }[version]
    )
    assert parts[0]["data"]["url"] == URL + "?copy"


@pytest.mark.parametrize(
    "parts",
    [
        [{"raw": "aGk=", "mediaType": "text/plain"}],
        [file("1.0", "file:///etc/passwd")],
        [file("1.0", "https://x.example/" + "a" * 2_048)],
        [file("1.0"), file("1.0")],
    ],
    ids=["inline", "no http", "too long", "no place"],
)
async def test_what_is_no_reference_or_has_no_place_is_refused(parts):
    agent = reader()
    assert (await sent(agent, *parts, skillId="copy"))["error"]["code"] == -32005
    assert agent.seen == []


async def test_in_words_a_file_is_told_by_its_reference():
    agent = Agent(state="memory", respond=lambda text: text)
    told = (await sent(agent, {"text": "Read this"}, file("1.0")))["result"]
    said = told["task"]["artifacts"][0]["parts"][0]["text"]
    assert said.startswith("Read this\n\n")
    assert json.loads(said.partition("\n\n")[2]) == REF


@pytest.mark.parametrize(("parts", "shown"), [([{"text": "here"}, file("1.0")], "here"), ([file("1.0")], URL)])
async def test_files_of_another_agents_answer_are_read_as_references(parts, shown):
    interface = {"url": "http://peer/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}

    async def peer(wire):
        if wire.path == CARD:
            shows = {"name": "peer", "skills": [], "supportedInterfaces": [interface]}
            return WireReply(body=json.dumps(shows).encode())
        message = {"messageId": "r", "role": "ROLE_AGENT", "parts": [*parts, {"raw": "aGk=", "mediaType": "a/b"}]}
        return WireReply(body=json.dumps({"jsonrpc": "2.0", "id": "1", "result": {"message": message}}).encode())

    def reads(messages, _schema):
        assert shown in messages[1].content
        assert URL in messages[1].content
        return {"answer": {"document": {"url": URL}}}

    output = {"type": "object", "properties": {"document": Schema.of(FileRef).json_schema}, "required": ["document"]}
    task = Task("Get a document", input={"type": "object"}, output=output, effect="safe")
    transport = MemoryTransport({"http://peer": peer})
    async with Agent(ScriptedModel({"read_reply": reads}), state="memory", transport=transport) as caller:
        assert (await caller.ask("http://peer" + CARD, task, {})).json == {"document": {"url": URL}}


# --- MCP ---


async def called(agent, version):
    headers = {"content-type": "application/json", "mcp-protocol-version": version}
    params = {"name": "copy", "arguments": {"document": {"url": URL}}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    reply = await agent.handler()(WireRequest(path="/mcp", headers=headers, body=json.dumps(body).encode()))
    return json.loads(reply.body)["result"]["content"]


async def test_a_file_that_a_result_refers_to_is_linked_where_the_revision_has_links():
    content = await called(reader(), "2025-11-25")
    assert content[1:] == [
        {"type": "resource_link", "uri": URL + "?copy", "name": "copy.pdf", "mimeType": "application/pdf"}
    ]
    assert json.loads(content[0]["text"])["url"] == URL + "?copy"
    assert len(await called(reader(), "2025-03-26")) == 1


async def test_between_agents_of_ours_a_file_comes_as_its_reference():
    handler = reader().handler()

    async def served(wire):
        return await handler(replace(wire, path="/mcp"))

    task = Task("Copy a document.", name="copy", input=Schema.of(reader().engine.tools["copy"].input), output=FileRef)
    async with Agent(state="memory", transport=MemoryTransport({"mem://server/mcp": served})) as caller:
        outcome = await caller.ask("mem://server/mcp", task, {"document": REF})
        assert (outcome.output.url, outcome.tier) == (URL + "?copy", "routine")


LINK = {"type": "resource_link", "uri": URL, "name": "a.pdf", "mimeType": "application/pdf"}


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ([LINK], REF),
        ([LINK, LINK], [REF, REF]),
        ([{"type": "text", "text": "here"}, LINK], "here"),
        ([LINK | {"uri": "file:///etc/passwd"}], ""),
        ([LINK | {"uri": 7}, {"type": "image", "data": "aGk=", "mimeType": "image/png"}, "x"], ""),
    ],
)
def test_links_of_another_servers_result_are_read_as_references(content, body):
    assert read_result({"content": content}).body == body
