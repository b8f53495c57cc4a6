"""What a tool gives on the short way: where its reply proves it plain, it is told as the ladder tells it, and where not."""

import asyncio
import math
from dataclasses import replace
from typing import Any, NotRequired, TypedDict

import orjson
import pytest

from negotiator import Agent, answer
from negotiator.context import Context, current_context
from negotiator.mapping import Conversion, FieldMapping, Mapping
from negotiator.routines import Direction, Routine, Verdict
from negotiator.task import Tool
from negotiator.testing import VirtualClock
from negotiator.testing.world import numbered
from negotiator.warm_door import WarmDoor
from negotiator.wire import WireReply, WireRequest
from protocol_docs import ProtocolDocument, draft_document
from sandbox import POLICY_VERSION
from tests.negotiator.engine_world import TEXT, obj

pytestmark = pytest.mark.anyio
REPLY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "degrees": {"type": "number"},
        "sky": {"type": "string", "maxLength": 40},
        "spots": {"type": "integer"},
        "dry": {"type": "boolean"},
    },
    "required": ["degrees"],
    "additionalProperties": False,
}


class Whole(TypedDict):
    celsius: float
    summary: str
    spots: int
    dry: bool


class Part(TypedDict):
    celsius: float
    summary: NotRequired[str]
    spots: NotRequired[int | None]


class Text(str):
    """A text that is more than a text."""

    __slots__ = ()


NAMES = {"celsius": "degrees", "summary": "sky", "spots": "spots", "dry": "dry"}


def moved(*names: str) -> tuple[FieldMapping, ...]:
    """What puts fields of a result where the reply has them."""
    return tuple(FieldMapping(to=f"/{NAMES[name]}", source=f"/{name}") for name in names)


class Served:
    """An agent whose tool gives what it is told to."""

    def __init__(self, output: Any, back: tuple[FieldMapping, ...], reply: dict[str, Any], source: str = "") -> None:
        self.gives: Any = None
        self.looks = False
        self.seen: list[Context | None] = []
        self.calls = 0
        document = draft_document(
            name="Forecast",
            description="The weather.",
            request_schema=obj(town=TEXT),
            reply_schema=reply,
            effect="safe",
        )
        self.document: ProtocolDocument = document
        self.agent = Agent(
            model="none",
            state="memory",
            clock=VirtualClock(),
            new_id=numbered("id"),
            publish="all",
            executor="trusted",
        )

        @self.agent.tool(effect="safe", output=output)
        async def forecast(city: str) -> Any:
            self.calls += 1
            if self.looks:
                self.seen = [current_context(), current_context(), await asyncio.to_thread(current_context)]
            if isinstance(self.gives, Exception):
                raise self.gives
            return self.gives

        self.agent.engine.documents.put(document)
        self.routine = Routine(
            protocol_hash=document.hash,
            role="receiver",
            kind="code" if source else "mapping",
            source=source,
            key_digest=self.agent.engine.toolset,
            into=Direction(entry="arguments")
            if source
            else Direction(mapping=Mapping((FieldMapping(to="/city", source="/town"),))),
            back=Direction(mapping=Mapping(back)),
            tool="forecast",
            state="serving",
            verdict=Verdict(passed=True, basis="exact", sandbox_policy=POLICY_VERSION if source else ""),
        )
        self.ready()
        door = self.agent.handler()
        assert isinstance(door, WarmDoor)
        self.door = door

    @property
    def serves(self) -> bool:
        """Whether the mapping still does."""
        engine = self.agent.engine
        found = engine.routines.get(self.document.hash, "receiver", engine.toolset)
        return found is not None and found.routine == self.routine

    def ready(self) -> None:
        """Have the mapping serve, whatever has become of it."""
        if not self.serves:
            self.agent.engine.routines.put(self.routine)

    def request(self) -> WireRequest:
        named = {"protocolDigest": self.document.hash, "protocolHash": self.document.aliases[1].removeprefix("sha1:")}
        body = orjson.dumps({**named, "body": {"town": "Rome"}})
        return WireRequest(headers={"content-type": "application/json"}, body=body, peer="192.0.2.1")

    async def handed(self) -> Any:
        """What a caller in this process gets for the message itself."""
        asked = {"town": "Rome"}
        begun = self.door.handed(
            "anonymous", "192.0.2.1", asked, self.document.aliases[:2], "key", orjson.dumps(asked), 200, 60.0
        )
        assert begun is not None
        return await begun


ALL = moved("celsius", "summary", "spots", "dry")
WHOLE = FieldMapping(to="/spots", source="/celsius", convert=Conversion("number_to_integer"))
SOURCE = 'def arguments(body):\n    return {"city": body["town"]}\n'
KINDS: dict[str, tuple[Any, ...]] = {
    "code before the tool": (Whole, ALL, REPLY, SOURCE),
    "code, not all is read": (Whole, moved("celsius", "summary"), REPLY, SOURCE),
    "code, no type of Python's": ({"type": "object"}, ALL, REPLY, SOURCE),
    "all": (Whole, ALL, REPLY),
    "not all is read": (Whole, moved("celsius", "summary"), REPLY),
    "not all is there": (Part, moved("celsius", "summary", "spots"), REPLY),
    "a conversion": (Part, (*moved("celsius", "summary"), WHOLE), REPLY),
    "no type of Python's": ({"type": "object"}, ALL, REPLY),
    "not flat": (Whole, ALL, {**REPLY, "properties": {**REPLY["properties"], "degrees": {}}}),
    "open": (Whole, ALL, {**REPLY, "additionalProperties": True}),
}
USUAL: dict[str, Any] = {"celsius": 21.5, "summary": "clear", "spots": 3, "dry": True}
ODD: tuple[Any, ...] = (
    *(
        -0.0,
        0,
        True,
        False,
        None,
        "",
        "x" * 41,
        "\ud800",
        Text("clear"),
        "21",
        "9" * 30,
        "yes",
        [],
        {},
        ["clear"],
        b"clear",
    ),
    *(math.inf, -math.inf, math.nan, 2**53, 2**63, 2**64, 1e300, 20.0, -(2**70), 10**400, object()),
)
GIVEN = (
    USUAL,
    *ODD,
    *({**USUAL, name: value} for name in (*NAMES, "more") for value in ODD),
    *({kept: USUAL[kept] for kept in NAMES if kept != name} for name in NAMES),
    {"celsius": 21.5},
    {},
)


@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_a_tool_gives_is_told_as_the_ladder_tells_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = Served(*KINDS[kind]), Served(*KINDS[kind])
    straight = answer._warm

    async def warm_but_there(engine: Any, *asked: Any) -> Any:
        return None if engine is other.agent.engine else await straight(engine, *asked)

    monkeypatch.setattr(answer, "_warm", warm_but_there)
    for gives in GIVEN:
        for each in (one, other):
            each.gives = gives
            each.ready()
        short, long = await one.door(one.request()), await other.door._gate(other.request())
        assert (gives, short.status, short.headers, short.body) == (gives, long.status, long.headers, long.body)
        assert (gives, one.serves) == (gives, other.serves)
        one.ready()
        message = await one.handed()
        if isinstance(message, WireReply):
            assert (gives, message.status, message.body) == (gives, short.status, short.body)
        else:
            assert orjson.dumps(message) == orjson.dumps(orjson.loads(short.body)["body"])
        assert one.calls == 2 * other.calls


async def test_a_result_that_is_proved_by_its_reply_is_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Served(*KINDS["all"])
    one.gives = USUAL
    looked: list[Any] = []
    said = Tool.said

    def noted(tool: Tool, value: Any) -> Any:
        looked.append(value)
        return said(tool, value)

    monkeypatch.setattr(Tool, "said", noted)
    assert (await one.door(one.request())).status == 200
    assert (await one.handed()) == {"degrees": 21.5, "sky": "clear", "spots": 3, "dry": True}
    assert looked == []
    one.gives = {**USUAL, "summary": "\ud800"}
    assert b"tool_failed" in (await one.door(one.request())).body
    assert len(looked) == 1


async def test_what_a_tool_learns_of_its_request_is_one_thing_made_when_it_is_asked_for() -> None:
    one = Served(*KINDS["all"])
    one.looks, one.gives = True, USUAL
    assert (await one.door(one.request())).status == 200
    first, again, elsewhere = one.seen
    assert first is not None
    assert first is again is elsewhere
    assert (first.principal, first.deadline.remaining(), first.cancelled) == ("anonymous", 60.0, False)
    assert current_context() is None


async def test_each_request_has_the_seconds_that_it_asks_for_whatever_the_last_one_had() -> None:
    one = Served(*KINDS["all"])
    one.looks, one.gives = True, USUAL
    had = []
    for prefer in (None, "wait=5", "wait=5", None, "wait=2"):
        request = one.request()
        headers = request.headers if prefer is None else {**request.headers, "prefer": prefer}
        await one.door(replace(request, headers=headers))
        had += [context.deadline.remaining() for context in one.seen[:1] if context is not None]
    assert had == [60.0, 5.0, 5.0, 60.0, 2.0]


async def test_a_tool_that_failed_has_told_its_threads_so() -> None:
    one = Served(*KINDS["all"])
    one.looks, one.gives = True, ValueError("no weather")
    assert b"tool_failed" in (await one.door(one.request())).body
    assert [context is not None and context.cancelled for context in one.seen] == [True] * 3
