"""Peers that keep strictly to what is published, opposite an `Agent`: the standards of 2025 and 2024, the package.

Their messages are written out here as those texts have them, with nothing of ours in them.
"""

import hashlib
import http.server
import json
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote

import pytest

from negotiator import Agent, NotPossible, Task, ToolFailed
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import World
from negotiator.wire import WireReply, WireRequest

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
SCHEMA: JsonObject = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
REPLY: JsonObject = {"type": "object", "properties": {"temperature": {"type": "integer"}}, "required": ["temperature"]}
TEXT = """name: City temperature
description: The temperature of a city.
multiround: false
---
Send a JSON object {"city": string}. The answer is a JSON object {"temperature": integer}, in degrees Celsius.
"""
"""A document as the Working Standard has it: YAML, one line of three dashes, the specification."""
SHA1 = hashlib.sha1(TEXT.encode(), usedforsecurity=False).hexdigest()


class Peer:
    """Somebody else's client: sends what it is told, and holds each reply to the standard that it speaks."""

    def __init__(self, agent: Agent, clock: Callable[[], float], standard: str) -> None:
        self._handler = agent.handler()
        self._clock = clock
        self.standard = standard

    async def send(self, method: str, path: str, envelope: JsonObject | None = None) -> tuple[int, JsonObject]:
        body = b"" if envelope is None else json.dumps(envelope).encode()
        headers = {} if envelope is None else dict(JSON)
        wire = await self._handler(WireRequest(method=method, path=path, headers=headers, body=body))
        assert wire.headers["content-type"] == "application/json"
        told: JsonObject = json.loads(wire.body)
        return wire.status, told

    async def post(self, envelope: JsonObject, path: str = "/") -> JsonObject:
        """A request that the agent understands: HTTP 200, and an envelope of the standard."""
        status, told = await self.send("POST", path, envelope)
        assert status == 200, told
        self._hold(told)
        return told

    def _hold(self, told: JsonObject) -> None:
        statuses = {"success", "failure"} if self.standard == "2025" else {"success", "failure", "rejected"}
        assert told["status"] in statuses
        if self.standard == "2025":
            assert ("body" in told) == (told["status"] == "success")
            assert ("error" in told) == (told["status"] == "failure")
            assert isinstance(told.get("error", ""), str)
            assert isinstance(told.get("body", ""), str | dict)
        elif told["status"] == "success":
            assert isinstance(told["body"], str)
        if "conversationId" in told:
            assert isinstance(told["conversationId"], str)
            assert isinstance(told["conversationExpires"], int)
            assert told["conversationExpires"] > self._clock()


_FENCED = re.compile(r"<<<begin data (\w+)\n(.*?)\n<<<end data \1", re.DOTALL)


def read_city(messages: Sequence[Message], _schema: JsonObject) -> JsonObject:
    said = _FENCED.findall(messages[1].content)[-1][1]
    return {"answer": {"city": (re.findall(r'"city": ?"(\w+)"', said) or re.findall(r"\bin (\w+)", said))[-1]}}


def write_degrees(messages: Sequence[Message], _schema: JsonObject | None) -> str:
    found = re.search(r'\{"temperature":-?\d+\}', messages[1].content)
    assert found is not None
    return found[0]


def reader() -> ScriptedModel:
    return ScriptedModel(
        {
            "choose_tool": {"tool": "temperature"},
            "read_request": read_city,
            "write_reply": write_degrees,
            "write_receiver": "```python\ndef handle(request):\n    return temperature(city=request['city'])\n```",
        }
    )


def offer(agent: Agent) -> list[str]:
    asked: list[str] = []

    @agent.tool(effect="safe", inline=True, input=SCHEMA, output=REPLY)
    def temperature(city: str) -> JsonObject:
        """The temperature of a city."""
        asked.append(city)
        if city == "Nowhere":
            raise ToolFailed("a secret", for_peer="there is no such city")
        return {"temperature": 10 + len(city)}

    return asked


@pytest.fixture
def meet(world: World) -> Callable[..., tuple[Peer, list[str]]]:
    def make(standard: str = "2025", **options: Any) -> tuple[Peer, list[str]]:
        agent = world.agent("server", options.pop("model", None) or reader(), **options)
        asked = offer(agent)
        return Peer(agent, world.clock.time, standard), asked

    return make


Meet = Callable[..., tuple[Peer, list[str]]]


def data_uri(text: str) -> str:
    return "data:text/plain;charset=utf-8," + quote(text)


def carried_by(uri: str) -> str:
    """What a data URI holds, as the standard library reads it."""
    request = urllib.request.Request(uri)  # noqa: S310 - nothing is opened but a data URI
    return urllib.request.DataHandler().data_open(request).read().decode()


# --- the Working Standard of 2025 ---


async def test_2025_words_need_nothing_but_a_body(meet: Meet) -> None:
    peer, asked = meet()
    told = await peer.post({"body": "How warm is it in Rome?"})
    assert "14" in told["body"]
    told = await peer.post({"protocolHash": None, "body": "How warm is it in Paris?", "colour": "unknown fields"})
    assert "15" in told["body"]
    assert asked == ["Rome", "Paris"]
    assert "conversationId" not in told


@pytest.mark.parametrize("body", ['{"city": "Rome"}', {"city": "Rome"}])
@pytest.mark.parametrize(
    "source", [TEXT, data_uri(TEXT), "data:text/plain," + quote(TEXT), "data:,x"], ids=["text", "uri", "bare", "wrong"]
)
async def test_2025_a_document_by_40_digits_is_taken_from_its_source(
    meet: Meet, source: str, body: str | JsonObject
) -> None:
    peer, asked = meet()
    told = await peer.post({"protocolHash": SHA1, "protocolSources": ["data:,not%20it", source], "body": body})
    if source == "data:,x":
        assert (told["status"], told["error"], asked) == ("failure", "Unsupported protocol", [])
        return
    value = told["body"]
    assert (json.loads(value) if isinstance(value, str) else value) == {"temperature": 14}
    told = await peer.post({"protocolHash": SHA1, "body": body})
    assert told["status"] == "success", "from now on its hash will do"


@pytest.fixture
def web() -> Iterator[str]:
    """The document on a web server on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(TEXT.encode())))
            self.end_headers()
            self.wfile.write(TEXT.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/temperature.txt"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("allowed", [("loopback",), ()])
async def test_2025_a_document_is_fetched_where_its_address_is_allowed(web: str, allowed: tuple[str, ...]) -> None:
    async with World() as world:  # a real fetch keeps real time
        agent = world.agent("server", reader(), allow_sources=allowed)
        asked = offer(agent)
        peer = Peer(agent, world.clock.time, "2025")
        told = await peer.post({"protocolHash": SHA1, "protocolSources": [web], "body": {"city": "Rome"}})
        if allowed:
            assert told["body"] == {"temperature": 14}
        else:
            assert (told["error"], asked) == ("Unsupported protocol", [])


@pytest.mark.parametrize("envelope", [{"protocolHash": SHA1}, {"protocolHash": SHA1, "protocolSources": []}])
async def test_2025_a_hash_without_a_text_is_unsupported(meet: Meet, envelope: JsonObject) -> None:
    peer, asked = meet()
    told = await peer.post({**envelope, "body": "{}"})
    assert (told["status"], told["error"], asked) == ("failure", "Unsupported protocol", [])


async def test_2025_a_document_that_no_tool_serves_is_unsupported(meet: Meet) -> None:
    peer, _ = meet(model="none")
    told = await peer.post({"protocolHash": SHA1, "protocolSources": [TEXT], "body": "{}"})
    assert (told["status"], told["error"]) == ("failure", "Unsupported protocol")


async def test_2025_a_failing_tool_is_a_failure_with_a_word_and_the_next_request_is_served(meet: Meet) -> None:
    peer, _ = meet()
    for envelope in ({"body": "How warm is it in Nowhere?"}, _under({"city": "Nowhere"})):
        told = await peer.post(envelope)
        assert (told["status"], told["error"]) == ("failure", "there is no such city")
    assert (await peer.post(_under({"city": "Oslo"})))["body"] == {"temperature": 14}


def _under(body: JsonObject) -> JsonObject:
    return {"protocolHash": SHA1, "protocolSources": [TEXT], "body": body}


@pytest.mark.parametrize(
    ("method", "path", "envelope", "status"),
    [
        ("POST", "/", {"protocolHash": SHA1}, 400),
        ("POST", "/", {"protocolHash": "abc", "body": ""}, 400),
        ("POST", "/", {"protocolHash": 7, "body": ""}, 400),
        ("POST", "/elsewhere", {"body": ""}, 404),
        ("POST", "/conversations/none", {"body": ""}, 404),
    ],
)
async def test_2025_what_is_no_request_is_an_error_of_the_transport(
    meet: Meet, method: str, path: str, envelope: JsonObject, status: int
) -> None:
    peer, asked = meet()
    answered, told = await peer.send(method, path, envelope)
    assert (answered, told["status"], asked) == (status, "failure", [])


@pytest.mark.parametrize("opening", [{}, {"protocolHash": SHA1, "protocolSources": [TEXT]}], ids=["words", "document"])
async def test_2025_a_conversation_goes_on_by_its_address_until_it_is_deleted(
    meet: Meet, world: World, opening: JsonObject
) -> None:
    peer, asked = meet()
    bodies = ['{"city": "Rome"}', '{"city": "Paris"}'] if opening else ["How warm is it in Rome?", "And in Paris?"]
    told = await peer.post({**opening, "multiround": True, "body": bodies[0]})
    address = "/conversations/" + told["conversationId"]
    world.clock.advance(200)
    again = await peer.post({"body": bodies[1]}, address)
    assert again["conversationId"] == told["conversationId"]
    assert again["conversationExpires"] > told["conversationExpires"]
    assert asked == ["Rome", "Paris"]
    assert (await peer.send("DELETE", address))[0] == 200
    assert (await peer.send("POST", address, {"body": bodies[1]}))[0] == 404
    assert (await peer.send("DELETE", address))[0] == 200, "what is gone already is gone"
    assert asked == ["Rome", "Paris"]


async def test_2025_a_conversation_ends_when_it_said_it_would(meet: Meet, world: World) -> None:
    peer, asked = meet()
    told = await peer.post({"multiround": True, "body": "How warm is it in Rome?"})
    world.clock.advance(told["conversationExpires"] - world.clock.time() + 1)
    late = await peer.post({"body": "And in Paris?"}, "/conversations/" + told["conversationId"])
    assert (late["status"], asked) == ("failure", ["Rome"])


async def test_2025_a_follow_up_cannot_turn_to_another_document(meet: Meet) -> None:
    peer, asked = meet()
    told = await peer.post({**_under({"city": "Rome"}), "multiround": True})
    status, _ = await peer.send(
        "POST", "/conversations/" + told["conversationId"], {"protocolHash": "0" * 40, "body": "{}"}
    )
    assert (status, asked) == (400, ["Rome"])


async def test_2025_a_routine_takes_over_and_the_replies_stay_the_same(meet: Meet, world: World) -> None:
    model = reader()
    peer, asked = meet(model=model)
    told = []
    for _ in range(5):
        told.append(await peer.post(_under({"city": "Rome"})))
        await world.settle()
    called = len(model.calls)
    told.append(await peer.post(_under({"city": "Rome"})))
    assert len(model.calls) == called
    assert [each["body"] for each in told] == [{"temperature": 14}] * 6
    assert asked == ["Rome"] * 6


@pytest.mark.parametrize("path", ["/wellknown", "/.wellknown"])
async def test_what_is_listed_is_there_to_be_used(meet: Meet, path: str) -> None:
    model = ScriptedModel({})
    peer, asked = meet(model=model, publish="all")
    status, listing = await peer.send("GET", path)
    assert status == 200
    texts = {}
    for digits, sources in listing.items():
        assert re.fullmatch("[0-9a-f]{40}", digits)
        (source,) = sources
        texts[digits] = carried_by(source)
        assert hashlib.sha1(texts[digits].encode(), usedforsecurity=False).hexdigest() == digits
    (digits,) = [digits for digits, text in texts.items() if "The temperature of a city." in text]
    told = await peer.post({"protocolHash": digits, "body": {"city": "Rome"}})
    assert (told["body"], asked, model.calls) == ({"temperature": 14}, ["Rome"], [])


@pytest.mark.parametrize("publish", ["agreed", "none"])
async def test_a_tool_is_not_listed_before_it_was_agreed_on(meet: Meet, publish: str) -> None:
    peer, _ = meet(publish=publish)
    _, listing = await peer.send("GET", "/wellknown")
    assert "temperature" not in unquote(json.dumps(listing))


# --- the specification page of 2024 ---


async def test_2024_words_have_null_for_hash_and_sources(meet: Meet) -> None:
    peer, asked = meet("2024")
    told = await peer.post({"protocolHash": None, "protocolSources": None, "body": "How warm is it in Rome?"})
    assert "14" in told["body"]
    assert asked == ["Rome"]


async def test_2024_a_document_has_a_text_for_a_body_both_ways(meet: Meet) -> None:
    peer, _ = meet("2024")
    request = {"protocolHash": SHA1, "protocolSources": [data_uri(TEXT)], "body": '{"city": "Rome"}'}
    told = await peer.post(request)
    assert json.loads(told["body"]) == {"temperature": 14}


async def test_2024_a_hash_that_is_not_known_is_no_success(meet: Meet) -> None:
    peer, asked = meet("2024")
    told = await peer.post({"protocolHash": SHA1, "protocolSources": ["data:,x"], "body": "{}"})
    assert told["status"] in ("rejected", "failure")
    assert asked == []


async def test_2024_a_failing_tool_is_a_failure(meet: Meet) -> None:
    peer, _ = meet("2024")
    for hash_, sources in ((None, None), (SHA1, [data_uri(TEXT)])):
        body = '{"city": "Nowhere"}' if hash_ else "How warm is it in Nowhere?"
        told = await peer.post({"protocolHash": hash_, "protocolSources": sources, "body": body})
        assert told["status"] == "failure"
    told = await peer.post({"protocolHash": None, "protocolSources": None, "body": "How warm is it in Rome?"})
    assert told["status"] == "success"


# --- the published package's receiver, as its source has it ---


class Package:
    """Answers as agora-protocol 0.2.0 does; `words` are what its model says in a negotiation, turn by turn."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self.closed: list[str] = []
        self.turns = 0

    async def __call__(self, wire: WireRequest) -> WireReply:
        if wire.method == "GET":
            return WireReply(status=404, body=b"<!doctype html>")
        told: JsonObject = {"status": "success"}
        if wire.method == "DELETE":
            self.closed.append(wire.path)
            return WireReply(headers=JSON, body=json.dumps(told).encode())
        envelope = json.loads(wire.body)
        if envelope["protocolHash"] == "negotiation":
            told["body"] = self._words[self.turns]
            self.turns += 1
            told["conversationId"] = "a-uuid"
        else:
            assert isinstance(envelope["protocolSources"], list)
            city = json.loads(envelope["body"])["city"]
            told["body"] = json.dumps({"temperature": 10 + len(city)})
        return WireReply(headers=JSON, body=json.dumps(told).encode())


@pytest.mark.parametrize(
    ("words", "agreed"),
    [
        (["ACCEPT"], True),
        (["I accept."], True),
        (["**Accepted!**"], True),
        (["Yes, I accept this."], True),
        (["Which unit?", "ACCEPT"], True),
        (["Which unit?", "Which unit?Which unit?**ACCEPT**"], True),
        (["Which unit?", "Which unit?Which unit?"], False),
        (["REJECT", "REJECT"], False),
        (["Not without a country.", "No: I do not ACCEPT that."], False),
        (["Acceptable, were there a country.", "I can\u2019t."], False),
        (["", ""], False),
    ],
)
async def test_what_a_package_says_is_yes_or_no_without_a_model(world: World, words: list[str], agreed: bool) -> None:
    package = Package(words)
    world.memory.serve("mem://package", package)
    caller = world.agent("caller")
    task = Task("Tell the temperature of a city", input=SCHEMA, output=REPLY, effect="safe")
    if agreed:
        outcome = await caller.ask("mem://package", task, {"city": "Rome"})
        assert (outcome.output, outcome.tier) == ({"temperature": 14}, "routine")
    else:
        with pytest.raises(NotPossible):
            await caller.ask("mem://package", task, {"city": "Rome"})
        with pytest.raises(NotPossible, match="the peer says"):
            await caller.ask("mem://package", task, {"city": "Rome"})
    assert package.turns == len(words), "no agreement is remembered"
    assert package.closed == ["/conversations/a-uuid"]
