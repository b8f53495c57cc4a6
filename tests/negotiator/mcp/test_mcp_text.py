"""Tools of MCP that give text and have no schema of it: routines where the text is the whole answer, and not where it may be a part of it."""

import json

import pytest

from negotiator import Agent, NotPossible, PeerFailed, Task
from negotiator.fitting import text_field
from negotiator.transports import MemoryTransport
from negotiator.wire import WireReply
from protocol_docs import ErrorMeaning, draft_document

pytestmark = pytest.mark.anyio

URL = "mem://stranger/mcp"
TEXT = {"type": "string"}


def obj(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def task(output, **more):
    return Task("Echo a message", name="echo", input=obj(message=TEXT), output=output, effect="safe", **more)


def stranger(text="hello", *, fails=False, calls=None):
    tool = {"name": "echo", "description": "Echo a message", "inputSchema": obj(message=TEXT)}

    async def served(wire):
        said = json.loads(wire.body)
        match said["method"]:
            case "server/discover":
                made = {"supportedVersions": ["2026-07-28"]}
            case "tools/list":
                made = {"tools": [tool | {"annotations": {"readOnlyHint": True}}]}
            case _:
                if calls is not None:
                    calls.append(said["params"]["arguments"])
                made = {"content": [{"type": "text", "text": text}], "isError": fails}
        body = json.dumps({"jsonrpc": "2.0", "id": said["id"], "result": made}).encode()
        return WireReply(headers={"content-type": "application/json"}, body=body)

    return served


def asking(served):
    return Agent(state="memory", transport=MemoryTransport({URL: served}))


@pytest.mark.parametrize(
    "text", ["hello", "", "42", '"quoted"', '{"error": {"code": "x"}}', '{"content": "no"}', "a\nb"]
)
@pytest.mark.parametrize(
    ("output", "made"),
    [(TEXT, lambda text: text), (TEXT | {"description": "what came back"}, lambda text: text)]
    + [(obj(**{name: TEXT}), lambda text, name=name: {name: text}) for name in ("content", "text", "answer")],
)
async def test_a_text_that_is_the_whole_answer_is_it_as_it_stands_and_needs_no_model(text, output, made):
    calls = []
    async with asking(stranger(text, calls=calls)) as agent:
        for _ in range(2):
            outcome = await agent.ask(URL, task(output), {"message": "hi"})
            assert (outcome.json, outcome.tier, outcome.usage.calls) == (made(text), "routine", 0)
    assert calls == [{"message": "hi"}] * 2


@pytest.mark.parametrize(
    "output",
    [
        obj(city=TEXT),
        obj(content=TEXT, city=TEXT),
        obj(content={"type": "integer"}),
        obj(content=TEXT | {"enum": ["a", "b"]}),
        TEXT | {"format": "date"},
        {"type": "object", "properties": {"content": TEXT}},
        {"type": "integer"},
    ],
)
async def test_what_may_be_a_part_of_the_text_is_for_a_model(output):
    calls = []
    async with asking(stranger(calls=calls)) as agent:
        with pytest.raises(NotPossible):
            await agent.ask(URL, task(output), {"message": "hi"})
    assert calls == []


async def test_a_tool_that_fails_is_an_error_and_no_text():
    async with asking(stranger("it is broken", fails=True)) as agent:
        with pytest.raises(PeerFailed, match="it is broken"):
            await agent.ask(URL, task(TEXT), {"message": "hi"})


def test_a_document_with_errors_of_its_own_may_say_one_in_the_text():
    drafted = {"name": "echo", "description": "Echo a message", "request_schema": obj(message=TEXT), "effect": "safe"}
    errors = [ErrorMeaning(code="silent", meaning="Nothing is said.")]
    assert text_field(task(TEXT), draft_document(**drafted, reply_schema=None)) == ""
    assert text_field(task(TEXT), draft_document(**drafted, reply_schema=None, errors=errors)) is None
    assert text_field(task(TEXT), draft_document(**drafted, reply_schema=TEXT)) is None
