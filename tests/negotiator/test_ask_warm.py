"""The sender's short road: what comes of it is what would have come of the ladder, and what leaves is the same to the byte."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict

from negotiator import Agent, Task, ask_warm, ready_to_ask
from negotiator.asking import Asking
from negotiator.clock import Deadline
from negotiator.errors import BadInput, PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.events import listening
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import Conversion, FieldMapping, Mapping
from negotiator.outcome import Outcome
from negotiator.routines import Direction, Routine, Verdict
from negotiator.schemas import Schema
from negotiator.speaking import PeerRecord
from negotiator.testing import VirtualClock
from negotiator.testing.world import numbered
from negotiator.wire import WireReply, WireRequest
from protocol_docs import draft_document
from tests.negotiator.engine_world import TEXT, obj, oracle

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
FLAT_DOCUMENT = draft_document(
    name="Forecast",
    description="The weather in a city.",
    request_schema=FLAT_REQUEST,
    reply_schema=FLAT_REPLY,
    effect="safe",
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
    "crossed": Mapping(
        tuple(
            FieldMapping(to=to, source=source)
            for to, source in (("/high", "/summary"), ("/summary", "/high"), ("/rows", "/rows"))
        )
    ),
}
"""Senders whose fields are all texts, numbers and booleans, and what reads the reply to them."""


def task(kind: str, effect: Any) -> Task:
    if kind in FLAT:
        asked: Any = Flat if kind == "checked" else FLAT_REQUEST
        return Task("The weather somewhere", input=asked, output=FLAT_REPLY, effect=effect)
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
        self.document = FLAT_DOCUMENT if kind in FLAT else DOCUMENT
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
ODD = st.sampled_from([(1, 2), {1: 2}, b"x", float("nan"), 2**64, "\ud800", {"a": float("inf")}, object, [[[[]]]]])
DEEP = st.sampled_from([60, 62, 63, 64, 65, 99, 101]).map(lambda n: orjson.loads(b"[" * n + b"]" * n))
VALUES = (
    st.just(VALUE)
    | st.fixed_dictionaries(
        {"place": st.sampled_from(["Rome", "", '"', "Ōsaka"]) | JSON},
        optional={
            "when": st.sampled_from(["2026-11-24", "tomorrow", None]),
            "remarks": JSON | ODD | DEEP,
            "size": st.integers() | st.floats(),
            "unused": JSON | ODD | DEEP,
            "more": JSON,
        },
    )
    | st.sampled_from([None, [], "Rome", {}, 5])
)
FLAT_VALUE = {"place": "Rome", "when": "today", "remarks": "", "size": 1, "far": True}
FLAT_ODD = st.sampled_from([Spoken.ROME, 2**64, float("nan"), "\ud800", True, None, 5, [], {"a": 1}, (1,)])
FLAT_VALUES = st.sampled_from(list(FLAT_VALUE)).flatmap(
    lambda name: (FLAT_ODD | JSON).map(lambda odd: FLAT_VALUE | {name: odd})
) | st.sampled_from([VALUE, OrderedDict(FLAT_VALUE), dict(reversed(FLAT_VALUE.items())), {**FLAT_VALUE, "more": 1}])
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "summary": st.just("sunny") | JSON,
        "high": st.just("21") | JSON,
        "rows": st.sampled_from([[], [{"at": "noon"}], [{}], None, 5, 1.5, "5"]),
    },
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "status": st.sampled_from(["failure", "error", "rejected", "Success", None, 7]),
    "body": BODIES
    | st.sampled_from([{"error": {"code": "no_such_city"}}, {"error": 5}, '{"summary":"sunny"}', "sunny", None])
    | JSON,
    "tier": st.sampled_from(["structured", "natural_language", "unknown", "high", None, 3]),
    "error": st.sampled_from(["Unsupported protocol", "no", "\n", 7]),
    "code": st.sampled_from(
        ["overloaded", "internal_error", "deadline_passed", "malformed", "outcome_unknown", "bad_input", "?"]
    ),
    "conversationId": st.sampled_from(["c", 5]),
}
GOOD = orjson.loads(good().body)
ENVELOPES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: FIELDS[name].map(lambda said: {**GOOD, name: said})
) | st.fixed_dictionaries({}, optional=FIELDS)
BYTES = st.tuples(ENVELOPES, st.sampled_from([None, (",", ":")])).map(
    lambda made: json.dumps(made[0], separators=made[1]).encode()
) | st.sampled_from(
    [
        b'{"status":"success","body":{"summary":"x"},"status":"failure","body":{},"tier":"routine"}',
        b'{"status":"success","body":{"summary":"x"}, "x":"y","tier":"routine"}',
        b'{"status":"success","body":%b{}%b,"tier":"routine"}' % (b'{"rows":' * 70, b"}" * 70),
        b'{"status":"success","body":,"tier":"routine"}',
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"status":"success","body":{"summary":"x"},"x":%s}' % (b"[" * 70 + b"]" * 70),
    ]
)
REPLIES = st.builds(
    lambda status, headers, body: WireReply(status=status, headers=headers, body=body),
    st.just(200) | st.sampled_from([201, 204, 301, 400, 404, 409, 429, 500, 502, 503, 504]),
    st.just(OURS) | st.sampled_from([{"content-type": "application/json"}, {**OURS, "retry-after": "7"}]),
    BYTES,
)
SAYS = st.lists(
    st.just(good())
    | REPLIES
    | REPLIES
    | st.sampled_from(
        [
            PeerUnreachable("away"),
            PeerHungUp("gone"),
            PeerMisspoke("odd"),
            OSError("odd"),
            RuntimeError("x"),
            "too late",
        ]
    ),
    max_size=3,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "idempotency_key": st.sampled_from(["key", "", "two words", 'a"b', "\\", "é", "k" * 255, "k" * 256]),
        "seconds": st.sampled_from([0, -1, 0.5, 5, 60.2]),
    },
)
KINDS: list[Callable[[], Sender]] = [
    Sender,
    lambda: Sender(effect="transactional"),
    lambda: Sender("typed"),
    lambda: Sender("same"),
    lambda: Sender("same"),
    lambda: Sender("flat"),
    lambda: Sender("flat"),
    lambda: Sender("checked"),
    lambda: Sender("strict"),
    lambda: Sender("crossed"),
    lambda: Sender(model=oracle()),
]


@settings(max_examples=400, deadline=None)
@given(
    made=st.sampled_from([*KINDS, Sender, Sender]),
    value=st.just(VALUE) | VALUES | FLAT_VALUES,
    says=SAYS,
    options=st.just({}) | OPTIONS,
)
def test_both_roads_send_the_same_come_to_the_same_and_leave_the_same(
    made: Callable[[], Sender], value: Any, says: list[Any], options: dict[str, Any]
) -> None:
    roads_agree(made, value, says, options)


@pytest.mark.parametrize(
    ("kind", "value", "body"),
    [
        ("same", {**VALUE, "remarks": float("nan"), "size": 1}, {"summary": "sunny"}),
        ("flat", FLAT_VALUE, ALL_SAID),
        ("flat", FLAT_VALUE | {"size": "1"}, ALL_SAID),
        ("flat", FLAT_VALUE | {"size": float("inf")}, ALL_SAID),
        ("flat", FLAT_VALUE | {"place": Spoken.ROME}, ALL_SAID),
        ("flat", FLAT_VALUE | {"more": 1}, ALL_SAID),
        ("flat", FLAT_VALUE, ALL_SAID | {"rows": None}),
        ("flat", FLAT_VALUE, {"error": "no such city"}),
        ("checked", FLAT_VALUE, ALL_SAID),
        ("strict", FLAT_VALUE, {"summary": "sunny"}),
        ("crossed", FLAT_VALUE, ALL_SAID),
    ],
)
def test_what_is_skipped_of_plain_fields_changes_nothing(kind: str, value: JsonObject, body: JsonObject) -> None:
    roads_agree(lambda: Sender(kind), value, [good(body=body)], {})


def roads_agree(made: Callable[[], Sender], value: Any, says: list[Any], options: dict[str, Any]) -> None:
    """Ask twice by the one road, and twice by the other."""

    async def of(sender: Sender, *, short: bool) -> tuple[Any, ...]:
        await sender.ask()
        assert sender.agent.engine.ready_to_ask
        if not short:
            sender.agent.engine.ready_to_ask.clear()
        sender.transport.script[:] = says
        came = await sender.came(value, **options)
        await sender.agent.settle()
        then = await sender.came(VALUE)
        await sender.agent.settle()
        return came, then, sender.transport.sent, sender.state()

    async def both() -> None:
        one, other = await of(made(), short=True), await of(made(), short=False)
        for short, long in zip(one, other, strict=True):
            assert short == long

    asyncio.run(both())


@pytest.mark.parametrize(
    ("one", "other", "mapping", "alike"),
    [
        (REQUEST, REQUEST, same(REQUEST), True),
        (REQUEST, dict(reversed(REQUEST.items())), same(REQUEST), True),
        (REQUEST, INPUT, same(REQUEST), False),
        (REQUEST, {**REQUEST, "title": "Other"}, Mapping((FieldMapping(to="", const={}), *same(REQUEST).fields)), True),
        ({**REQUEST, "$schema": DRAFT_7}, {**REQUEST, "$schema": DRAFT_7}, same(REQUEST), False),
        ({"const": 1}, {"const": True}, same(REQUEST), False),
        ({"const": 1}, {"const": 1.0}, same(REQUEST), False),
        (REQUEST, REQUEST, INTO, False),
        (REQUEST, REQUEST, None, False),
        (
            REQUEST,
            REQUEST,
            Mapping((FieldMapping(to="/a", source="/a", convert=Conversion("to_empty_object")),)),
            False,
        ),
        (REQUEST, REQUEST, Mapping((FieldMapping(to="/a", source="/a", table=((1, True),)),)), False),
        (REQUEST, REQUEST, Mapping((FieldMapping(to="/a", const=1),)), False),
    ],
)
def test_one_check_stands_for_two_only_where_schemas_say_the_same_and_nothing_is_made_anew(
    one: Any, other: Any, mapping: Any, alike: bool
) -> None:
    assert ready_to_ask._same(Schema.of(one), Schema.of(other), mapping) is alike


# --- what goes by the short road, and what does not ---

pytestmark = pytest.mark.anyio


@pytest.fixture
def ladders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the requests that the ladder took."""
    taken: list[str] = []
    real = Asking.__init__

    def counted(self: Asking, *args: Any) -> None:
        real(self, *args)
        taken.append(self.key)

    monkeypatch.setattr(Asking, "__init__", counted)
    return taken


async def test_the_second_request_and_those_after_it_take_no_ladder(ladders: list[str]) -> None:
    sender = Sender()
    for _ in range(3):
        outcome = await sender.ask()
    assert ladders == ["id-1"]
    assert [(step.what, step.detail) for step in outcome.trace] == [
        ("plan", "routine: a verified routine is ready"),
        ("send", "the peer answered: success"),
    ]


def _drop(sender: Sender) -> None:
    sender.agent.engine.agreements.drop(sender.task.digest, PEER)


def _agree_anew(sender: Sender) -> None:
    sender.agent.engine.agreements.agree(sender.task.digest, PEER, DOCUMENT.hash, 60)


def _distrust(sender: Sender) -> None:
    sender.agent.engine.agreements.demote(sender.task.digest, PEER, 60)


def _revoke(sender: Sender) -> None:
    sender.agent.engine.documents.revoke(DOCUMENT.hash)


def _demote(sender: Sender) -> None:
    sender.agent.engine.routines.demote(sender.routine, "a test")


def _replace(sender: Sender) -> None:
    sender.agent.engine.routines.put(replace(sender.routine, verdict=Verdict(passed=True, basis="exact", canary=1)))


def _forget(sender: Sender) -> None:
    sender.agent.engine.reach.forget(PEER)


def _expire(sender: Sender) -> None:
    sender.transport.clock.advance(3601)


@pytest.mark.parametrize("change", [_drop, _agree_anew, _distrust, _revoke, _demote, _replace, _forget, _expire])
async def test_what_stood_ready_is_not_gone_by_once_it_no_longer_stands(
    change: Callable[[Sender], None], ladders: list[str]
) -> None:
    sender = Sender()
    await sender.ask()
    change(sender)
    sender.transport.script.append(WireReply(status=404))  # whatever it would ask first
    await sender.came(VALUE)
    assert len(ladders) == 2


async def test_who_listens_hears_of_every_step(ladders: list[str]) -> None:
    sender = Sender()
    await sender.ask()
    heard = [event async for event in sender.agent.stream(PEER, sender.task, VALUE)]
    assert len(heard) > 1
    with listening(lambda _event: None):
        await sender.ask()
    assert len(ladders) == 3


async def test_a_reply_that_is_no_plain_success_is_taken_up_and_nothing_is_sent_again(ladders: list[str]) -> None:
    sender = Sender()
    await sender.ask()
    sender.transport.script.append(good(body={"high": 21}))
    with pytest.raises(PeerMisspoke):
        await sender.ask()
    assert len(sender.transport.sent) == 2
    assert len(ladders) == 2


async def test_a_reply_that_fits_the_task_and_not_the_document_is_refused() -> None:
    sender = Sender()
    await sender.ask()
    sender.transport.script.append(good(body={"summary": "sunny", "rows": [{}]}))
    with pytest.raises(PeerMisspoke):
        await sender.ask()


async def test_what_no_text_of_ours_can_hold_is_refused_though_it_would_not_be_sent() -> None:
    sender = Sender()
    await sender.ask()
    with pytest.raises(BadInput):
        await sender.ask({**VALUE, "remarks": None, "unused": 2**64})
    assert len(sender.transport.sent) == 1


async def test_what_the_ladder_takes_up_is_what_was_asked_and_sent() -> None:
    sender = Sender()
    await sender.ask()
    engine = sender.agent.engine
    sender.transport.script.append(said := good(body={"high": "21"}))
    deadline = Deadline.after(5, engine.clock)
    under_way = await ask_warm.ask_warm(
        engine, PEER, sender.task, VALUE, deadline, "key", None, engine.clock.monotonic()
    )
    assert isinstance(under_way, ask_warm.UnderWay)
    assert under_way.payload == VALUE
    assert under_way.left == ({"city": "Rome", "day": "2026-11-24"}, said)


async def test_it_is_the_same_where_what_was_sent_is_what_was_asked() -> None:
    sender = Sender("flat")
    await sender.ask()
    engine, value = sender.agent.engine, {"city": "Rome", "day": "", "notes": "", "size": 1, "far": True}
    sender.transport.script.append(said := good(body={"high": "21"}))
    deadline = Deadline.after(5, engine.clock)
    under_way = await ask_warm.ask_warm(engine, PEER, sender.task, value, deadline, "key", None, 0.0)
    assert isinstance(under_way, ask_warm.UnderWay)
    assert (under_way.payload, under_way.left) == (value, (value, said))
    assert under_way.payload is not value
    assert under_way.payload is not under_way.left.body


@pytest.mark.parametrize("under_way", [False, True])
async def test_how_a_peer_served_is_remembered_though_somebody_noted_else_meanwhile(under_way: bool) -> None:
    sender = Sender()
    for _ in range(3):
        await sender.ask()
    peers, send = sender.agent.engine.peers, sender.transport.send

    def note() -> None:
        peers.note(sender.task.digest, PEER, "failed")

    async def sent(*given: Any, **more: Any) -> WireReply:
        note()
        return await send(*given, **more)

    if under_way:
        sender.transport.send = sent  # type: ignore[method-assign]
    else:
        note()
    await sender.ask()
    served = peers.served(sender.task.digest, PEER)
    assert served is not None
    assert served.tier == "routine"


async def test_what_the_caller_changes_meanwhile_is_not_what_was_sent() -> None:
    sender = Sender(model=oracle())
    await sender.ask()
    value: JsonObject = {**VALUE, "remarks": ["as it was"]}
    sender.transport.script.append("silence")
    asking = asyncio.ensure_future(sender.ask(value))
    await sender.transport.silent.wait()
    value["remarks"].append("and later")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert orjson.loads(sender.transport.sent[1].body)["body"]["notes"] == ["as it was"]


async def test_a_silent_peer_ends_a_request_by_its_deadline_and_a_transactional_one_in_doubt() -> None:
    ends = {"safe": "deadline_passed", "transactional": "outcome_unknown"}
    for effect, code in ends.items():
        sender = Sender(effect=effect)
        await sender.ask()
        sender.transport.script.append("silence")
        (_, _, said, _) = await sender.came(VALUE, seconds=0.01)
        assert said == code


async def test_what_stands_ready_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready_to_ask, "MAX_READY", 1)
    sender = Sender()
    await sender.ask()
    sender.task = task("plain", "transactional")
    engine = sender.agent.engine
    engine.routines.put(replace(sender.routine, key_digest=sender.task.digest))
    engine.agreements.agree(sender.task.digest, PEER, DOCUMENT.hash, 3600)
    await sender.ask()
    assert list(engine.ready_to_ask) == [(sender.task.digest, PEER)]
