"""Senders that have asked once and go by the short road from then on, and a transport that says what it is told to."""

import asyncio
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict

from negotiator import Agent, Task
from negotiator.clock import Deadline
from negotiator.errors import PeerHungUp
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import FieldMapping, Mapping
from negotiator.outcome import Outcome
from negotiator.routines import Direction, Routine, Verdict
from negotiator.schemas import Schema
from negotiator.speaking import PeerRecord
from negotiator.testing import VirtualClock
from negotiator.testing.world import numbered
from negotiator.wire import WireReply, WireRequest
from protocol_docs import draft_document
from tests.negotiator.engine_world import TEXT, obj

PEER = "https://peer.example"
REQUEST = {**obj(city=TEXT, day={"type": "string", "format": "date"}, notes={}, size={}), "required": ["city"]}
REPLY = {**obj(high=TEXT, summary=TEXT, rows={"type": "array", "items": obj(at=TEXT)}), "required": []}
DOCUMENT = draft_document(
    name="Forecast", description="The weather in a city.", request_schema=REQUEST, reply_schema=REPLY, effect="safe"
)


def capital(name: str) -> str:
    if not name[:1].isupper():
        raise ValueError("a name begins with a capital")
    return name.upper()


class Flat(BaseModel):
    """What `FLAT_REQUEST` says, and what a schema cannot."""

    model_config = ConfigDict(extra="forbid")
    city: Annotated[str, AfterValidator(capital)]
    day: str = ""
    notes: str = ""
    size: float = 0
    far: bool = False


class Spoken(StrEnum):
    """A text that is more than a text."""

    ROME = "Rome"


FLAT_REQUEST = Schema.of(Flat).json_schema
FLAT_REPLY = {**obj(high=TEXT, summary=TEXT, rows={"type": "number"}), "required": ["summary"]}
OPEN_REPLY = {**FLAT_REPLY, "properties": {**FLAT_REPLY["properties"], "rows": {}}}
FLAT_DOCUMENT, OPEN_DOCUMENT = (
    draft_document(
        name="Forecast",
        description="The weather in a city.",
        request_schema=FLAT_REQUEST,
        reply_schema=reply,
        effect="safe",
    )
    for reply in (FLAT_REPLY, OPEN_REPLY)
)
INPUT = {**obj(place=TEXT, when={"type": "string"}, remarks={}, size={}, unused={}), "required": ["place"]}
OUTPUT = {**obj(warmest=TEXT, outlook=TEXT, rows={"type": "array"}), "required": ["outlook"]}
INTO = Mapping(
    (
        FieldMapping(to="/city", source="/place", required=True),
        FieldMapping(to="/day", source="/when"),
        FieldMapping(to="/notes", source="/remarks"),
        FieldMapping(to="/size", source="/size"),
    )
)
BACK = Mapping(
    (
        FieldMapping(to="/outlook", source="/summary", required=True),
        FieldMapping(to="/warmest", source="/high"),
        FieldMapping(to="/rows", source="/rows"),
    )
)
VALUE = {"place": "Rome", "when": "2026-11-24"}
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
OURS = {"content-type": "application/json", "agora-engine": "metaparley"}


class Where(BaseModel):
    place: str
    when: str | None = None
    remarks: Any = None
    size: Any = None
    unused: Any = None


class Weather(BaseModel):
    outlook: str
    warmest: str = ""
    rows: list[Any] = []


def same(schema: JsonObject) -> Mapping:
    """What moves nothing."""
    required = schema["required"]
    return Mapping(
        tuple(
            FieldMapping(to="/" + each, source="/" + each, required=each in required, null_is_absent=each == "size")
            for each in schema["properties"]
        )
    )


ALL_SAID = {"high": "21", "summary": "sunny", "rows": 1}
"""A reply with every field."""
FLAT = {
    "flat": same(FLAT_REPLY),
    "checked": same(FLAT_REPLY),
    "strict": same({**FLAT_REPLY, "required": list(FLAT_REPLY["properties"])}),
    "open": same(OPEN_REPLY),
    "crossed": Mapping(
        tuple(
            FieldMapping(to=to, source=source)
            for to, source in (("/high", "/summary"), ("/summary", "/high"), ("/rows", "/rows"))
        )
    ),
}
"""Senders whose fields are all texts, numbers and booleans, and what reads the reply to them; anything in an open one."""


def task(kind: str, effect: Any) -> Task:
    if kind in FLAT:
        asked: Any = Flat if kind == "checked" else FLAT_REQUEST
        output = OPEN_REPLY if kind == "open" else FLAT_REPLY
        return Task("The weather somewhere", input=asked, output=output, effect=effect)
    if kind == "same":
        return Task("The weather somewhere", input=REQUEST, output=REPLY, effect=effect)
    typed = kind == "typed"
    return Task(
        "The weather somewhere", input=Where if typed else INPUT, output=Weather if typed else OUTPUT, effect=effect
    )


class Carried:
    """A transport that says what it was told to say, one thing a request, and then good answers."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.script: list[Any] = []
        self.sent: list[WireRequest] = []
        self.silent = asyncio.Event()

    async def send(self, base_url: str, request: WireRequest, *, deadline: Deadline) -> WireReply:
        assert base_url == PEER
        self.sent.append(request)
        said = self.script.pop(0) if self.script else good()
        if said == "too late":
            self.clock.advance(1000)
            raise PeerHungUp("no reply by the deadline")
        if said == "silence":
            self.silent.set()
            await asyncio.Event().wait()
        if isinstance(said, Exception):
            raise said
        assert isinstance(said, WireReply)
        return said

    async def aclose(self) -> None:
        pass


def good(**more: Any) -> WireReply:
    answered = {"status": "success", "body": {"high": "21", "summary": "sunny"}, "tier": "routine"}
    return WireReply(headers=OURS, body=orjson.dumps({**answered, **more}))


class Sender:
    """An agent with a routine for what it asks, which has asked once."""

    def __init__(self, kind: str = "plain", effect: Any = "safe", model: Any = None) -> None:
        clock = VirtualClock()
        self.transport = Carried(clock)
        self.agent = Agent(
            model, state="memory", clock=clock, new_id=numbered("id"), transport=self.transport, request_seconds=30
        )
        self.task = task(kind, effect)
        self.own_words = {} if kind in ("plain", "typed") else {"place": "city", "when": "day", "remarks": "notes"}
        engine = self.agent.engine
        flat = OPEN_DOCUMENT if kind == "open" else FLAT_DOCUMENT
        self.document = flat if kind in FLAT else DOCUMENT
        engine.documents.put(self.document)
        into, back = (same(REQUEST), same(REPLY)) if kind == "same" else (INTO, BACK)
        if kind in FLAT:
            into, back = same(FLAT_REQUEST), FLAT[kind]
            self.transport.script.append(good(body=ALL_SAID))
        self.routine = Routine(
            protocol_hash=self.document.hash,
            role="sender",
            kind="mapping",
            key_digest=self.task.digest,
            into=Direction(mapping=into),
            back=Direction(mapping=back),
            state="serving",
            verdict=Verdict(passed=True, basis="exact"),
        )
        engine.routines.put(self.routine)
        engine.agreements.agree(self.task.digest, PEER, self.document.hash, 3600)
        now = clock.time()
        record = PeerRecord(dialect="agora-2025", ours=True, seen=now, expires=now + 3600)
        engine.reach._remember(PEER, record)

    async def ask(self, value: Any = VALUE, **options: Any) -> Outcome:
        if isinstance(value, dict):
            value = {self.own_words.get(name, name): item for name, item in value.items()}
        return await self.agent.ask(PEER, self.task, value, **options)

    async def came(self, value: Any, **options: Any) -> Any:
        """What came of a request, without what took time."""
        try:
            outcome = await self.ask(value, **options)
        except Exception as error:  # noqa: BLE001 - whatever it is, both say it
            return type(error), str(error), getattr(error, "code", None), getattr(error, "violations", None)
        steps = [(step.what, step.detail) for step in outcome.trace]
        return replace(outcome, seconds=0.0, trace=()), steps

    def state(self) -> Any:
        """What a request has left behind."""
        engine = self.agent.engine
        return (
            engine.ledger.exchanges,
            engine.ledger._arrivals,
            engine.ledger.total,
            engine.observed,
            [(each.state, each.verdict) for each in self.agent.routines()],
            engine.agreements.find(self.task.digest, PEER),
            engine.agreements.refused(self.task.digest, PEER),
            engine.peers.served(self.task.digest, PEER),
            engine.reach.known(PEER),
        )
