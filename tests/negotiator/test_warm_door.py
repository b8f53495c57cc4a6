"""The short way past the doors: what it answers is what the doors would have answered, to the byte."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import core_schema

from negotiator import Agent, answer
from negotiator.errors import ToolFailed
from negotiator.events import listening
from negotiator.identity import Authority, TrustPolicy
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import FieldMapping, Mapping
from negotiator.oauth.granted import granting
from negotiator.routines import Direction, Routine, Verdict
from negotiator.testing import VirtualClock
from negotiator.testing.world import numbered
from negotiator.transports import asgi_app
from negotiator.warm_door import IDLE_HEADERS, READ_HEADERS, WarmDoor
from negotiator.wire import WireReply, WireRequest
from protocol_docs import draft_document
from sandbox import POLICY_VERSION
from tests.negotiator.engine_world import CITY_DAY, TEXT, obj

REQUEST = {**obj(town=TEXT, on={"type": "string", "format": "date"}), "required": ["town"]}
REPLY = {**obj(warmth=TEXT, sky=TEXT), "required": ["sky"]}
DOCUMENT = draft_document(
    name="Town forecast",
    description="The weather in a town.",
    request_schema=REQUEST,
    reply_schema=REPLY,
    effect="safe",
)
SHA256, SHA1 = DOCUMENT.aliases[0], next(each for each in DOCUMENT.aliases if each.startswith("sha1:"))
HEX = SHA1.removeprefix("sha1:")
BODY = {"town": "Rome", "on": "2026-11-24"}
HEADERS = {"content-type": "application/json", "host": "agent.example", "user-agent": "somebody"}


SOURCE = """
def arguments(body):
    return {"city": body["town"], "day": body.get("on") or ""}
"""


class Served:
    """An agent whose routine stands ready, and what its tool was called with."""

    def __init__(self, by: str = "mapping", **options: Any) -> None:
        self.calls: list[JsonObject] = []
        self.agent = Agent(
            model="none", state="memory", clock=VirtualClock(), new_id=numbered("id"), publish="all", **options
        )
        self.waits = asyncio.Event()

        @self.agent.tool(effect="safe", input={**CITY_DAY, "required": ["city"]}, output={"type": "object"})
        async def forecast(city: str, day: str = "") -> JsonObject:
            self.calls.append({"city": city, "day": day})
            if city == "Atlantis":
                raise ToolFailed("", for_peer="there is no such town")
            if city == "Babel":
                raise ValueError("secret")
            if city == "Nowhere":
                return {"high": 1, "summary": 2}
            if city == "Limbo":
                await self.waits.wait()
            return {"high": "21", "summary": f"sunny in {city} on {day}"}

        async def natively(body: Any) -> JsonObject:
            made = await forecast(body["town"], body.get("on", ""))
            return {"sky": made["summary"], "warmth": made["high"]}

        if by == "native":
            self.agent.register(DOCUMENT, natively, effect="safe")
        code = by == "code"
        self.agent.engine.documents.put(DOCUMENT)
        self.routine = Routine(
            protocol_hash=DOCUMENT.hash,
            role="receiver",
            kind="code" if code else "mapping",
            source=SOURCE if code else "",
            key_digest=self.agent.engine.toolset,
            into=Direction(entry="arguments")
            if code
            else Direction(
                mapping=Mapping(
                    (
                        FieldMapping(to="/city", source="/town", required=True),
                        FieldMapping(to="/day", source="/on"),
                    )
                )
            ),
            back=Direction(
                mapping=Mapping(
                    (
                        FieldMapping(to="/sky", source="/summary", required=True),
                        FieldMapping(to="/warmth", source="/high"),
                    )
                )
            ),
            tool="forecast",
            state="serving",
            verdict=Verdict(passed=True, basis="exact", sandbox_policy=POLICY_VERSION if code else ""),
        )
        self.ready()
        door = self.agent.handler()
        assert isinstance(door, WarmDoor)
        self.door = door

    def ready(self) -> None:
        """Have the mapping serve, whatever has become of it."""
        engine = self.agent.engine
        found = engine.routines.get(DOCUMENT.hash, "receiver", engine.toolset)
        if found is None or found.routine != self.routine:
            engine.routines.put(self.routine)


def said(reply: WireReply) -> tuple[int, dict[str, str], bytes]:
    return reply.status, dict(reply.headers), reply.body


def wire(envelope: Any = None, **more: Any) -> WireRequest:
    envelope = {"protocolHash": HEX, "protocolDigest": SHA256, "body": BODY} if envelope is None else envelope
    return WireRequest(**{"headers": HEADERS, "body": orjson.dumps(envelope), "peer": "192.0.2.1", **more})


async def warm(served: Served, request: WireRequest) -> bytes | WireReply | None:
    begun = served.door.begun(request.headers, request.body, request.principal, request.peer, request.local)
    return None if begun is None else await begun


# --- the same answer, whatever comes ---

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"by": "native"},
    {"by": "code", "executor": "trusted"},
    {"trust": TrustPolicy(callers="authenticated")},
    {"authority": Authority().asking("forecast", "weather")},
    {"authority": Authority(())},
)
TEXTS = st.sampled_from(["Rome", "Atlantis", "Babel", "Nowhere", "Ōsaka", "", '"', "\ud7ff\u2028", "x" * 300])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**63) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = (
    st.fixed_dictionaries({"town": TEXTS}, optional={"on": st.sampled_from(["2026-11-24", "tomorrow", None, 3])})
    | st.fixed_dictionaries({"town": JSON})
    | st.sampled_from([BODY, {**BODY, "more": 1}, orjson.dumps(BODY).decode(), "Rome?", {}, [], None])
    | JSON
)
SPELLINGS = st.sampled_from([HEX, HEX.upper(), SHA1, SHA256, "0" * 40, "negotiation", "", None, 5, "sha256:zz"])
ODD: dict[str, st.SearchStrategy[Any]] = {
    "protocolSources": st.sampled_from([None, [], "", [None], ["data:,x"], 7, [7], "http://192.0.2.9/d"]),
    "multiround": st.sampled_from([None, False, True, "yes"]),
    "idempotencyKey": st.sampled_from([None, "key", "two words", 8]),
    "conversationId": st.just("c"),
}
ENVELOPES = st.fixed_dictionaries(
    {"body": BODIES},
    optional={
        "protocolHash": st.just(HEX) | SPELLINGS,
        "protocolDigest": st.just(SHA256) | SPELLINGS,
        "queryId": st.none(),
        **ODD,
    },
)
NAMED = {"protocolHash": st.just(HEX), "protocolDigest": st.just(SHA256)}
USUAL = st.fixed_dictionaries({**NAMED, "body": BODIES})
ONE_ODD = st.sampled_from(sorted(ODD)).flatmap(
    lambda name: st.fixed_dictionaries({**NAMED, "body": st.just(BODY), name: ODD[name]})
)
DATA = (
    st.just(wire().body)
    | (ONE_ODD | USUAL | ENVELOPES).map(orjson.dumps)
    | st.binary(max_size=20)
    | st.sampled_from(
        [b"", b"null", b"[]", b'{"body":NaN}', b'{"body":{},"body":""}', b"[" * 70, b'{"body":' + b"[" * 70]
    )
    | st.integers(60, 70).map(
        lambda deep: b'{"protocolHash":"%s","body":{"town":%s%s}}' % (HEX.encode(), b"[" * deep, b"]" * deep)
    )
)
VALUES = {
    "accept": ["application/json", "text/event-stream", "*/*"],
    "content-type": ["application/json; charset=utf-8", "APPLICATION/JSON", " application/json ", "text/plain", ""],
    "content-encoding": ["identity", "gzip"],
    "content-length": ["0"],
    "prefer": ["wait=5", "wait=0", "respond-async, wait=1", "wait=x", "handling=strict"],
    "idempotency-key": ["key", '"key"', "two words", '"', "other"],
    "authorization": ["Bearer x", "DIDWba x", "Basic eDp5"],
    "signature": ["sig1=:AAAA:"],
    "traceparent": ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "none"],
    "x-whatever": ["1"],
    "cookie": ["a=b"],
}
MORE = st.lists(
    st.sampled_from([(name, value) for name, values in VALUES.items() for value in values])
    | st.sampled_from([(name, "a") for name in sorted(IDLE_HEADERS)]),
    max_size=3,
)
PRINCIPALS = st.sampled_from(["anonymous", "did:wba:other.example", "host:desk"])


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[tuple[Served, Served]]]:
    """Of each kind two agents alike: one for the short way, one for the doors and the ladder alone."""
    made = [(Served(**kind), Served(**kind)) for kind in KINDS]
    slow = [other.agent.engine for _, other in made]
    straight = answer._warm

    async def warm_but_there(engine: Any, *given: Any) -> Any:
        return None if any(engine is each for each in slow) else await straight(engine, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(answer, "_warm", warm_but_there)
        yield made


def alike(one: Served, other: Served) -> None:
    assert one.calls == other.calls
    for each in (one, other):
        each.calls.clear()
        assert each.door._under_way.now == 0
        each.ready()
    assert one.agent.engine.ledger.exchanges == other.agent.engine.ledger.exchanges


@settings(max_examples=600, deadline=None)
@given(
    kind=st.sampled_from([0, 0, 1, *range(len(KINDS))]),
    data=DATA,
    more=MORE,
    way=st.sampled_from([*[("POST", "/")] * 9, ("POST", "/?a=b"), ("POST", "/conversations/c"), ("GET", "/")]),
    principal=PRINCIPALS,
)
def test_the_short_way_says_to_the_byte_what_the_doors_say(
    pairs: list[tuple[Served, Served]],
    kind: int,
    data: bytes,
    more: list[tuple[str, str]],
    way: tuple[str, str],
    principal: str,
) -> None:
    one, other = pairs[kind]
    request = WireRequest(
        method=way[0], path=way[1], headers={**HEADERS, **dict(more)}, body=data, peer="192.0.2.1", principal=principal
    )

    async def both() -> tuple[WireReply, WireReply]:
        return await one.door(request), await other.door._gate(request)

    short, long = asyncio.run(both())
    assert said(short) == said(long)
    alike(one, other)


TWICE = st.sampled_from(["application/json", "text/plain"]).map(lambda value: [("content-type", value)] * 2)
RAW = TWICE | st.lists(
    st.tuples(
        st.sampled_from([*VALUES, "Content-Type", "HOST", "host", "via"]),
        st.sampled_from(sorted({value for values in VALUES.values() for value in values} | {"9", "99999999", "1é"})),
    ),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(
    data=DATA,
    raw=RAW,
    typed=st.booleans(),
    cut=st.integers(0, 40),
    root=st.sampled_from(["", "/mounted", "/"]),
    query=st.sampled_from([b"", b"", b"a=1"]),
    method=st.sampled_from(["POST", "post", "POST", "PUT", "HEAD"]),
)
def test_so_it_does_behind_a_server(
    pairs: list[tuple[Served, Served]],
    data: bytes,
    raw: list[tuple[str, str]],
    typed: bool,
    cut: int,
    root: str,
    query: bytes,
    method: str,
) -> None:
    one, other = pairs[0]
    headers = [(name.encode(), value.encode("latin-1")) for name, value in raw]
    if typed or len(raw) < 2:
        headers.append((b"content-type", b"application/json"))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": root.rstrip("/") + "/",
        "root_path": root,
        "query_string": query,
        "headers": headers,
        "client": ("192.0.2.1", 5),
    }

    async def ask(app: Any) -> list[Any]:
        events = [
            {"type": "http.request", "body": data[:cut], "more_body": True},
            {"type": "http.request", "body": data[cut:]},
        ]
        if cut == 0:
            events = events[1:]
        sent: list[Any] = []

        async def receive() -> Any:
            return events.pop(0)

        async def send(event: Any) -> None:
            sent.append(event)

        await app(dict(scope), receive, send)
        return sent

    async def both() -> tuple[list[Any], list[Any]]:
        return await ask(asgi_app(one.door)), await ask(asgi_app(other.door._gate))

    short, long = asyncio.run(both())
    assert short == long
    alike(one, other)


# --- what goes the short way, and what does not ---


@pytest.mark.anyio
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"protocolSources": ["data:,x"]},
        {"idempotencyKey": "key"},
        {"multiround": False},
        {"protocolDigest": None},
        {"protocolHash": SHA256},
    ],
)
async def test_a_warm_request_goes_the_short_way(more: JsonObject) -> None:
    served = Served()
    request = wire({"protocolHash": HEX, "protocolDigest": SHA256, "body": BODY, **more})
    made = await warm(served, request)
    assert isinstance(made, bytes)
    assert orjson.loads(made)["body"] == {"sky": "sunny in Rome on 2026-11-24", "warmth": "21"}


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS[:3], ids=str)
async def test_none_of_the_three_kinds_of_routine_takes_the_ladder(
    kind: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Served(**kind)
    monkeypatch.setattr(answer, "Answering", None)
    made = await warm(served, wire())
    assert isinstance(made, bytes)
    assert orjson.loads(made)["body"] == {"sky": "sunny in Rome on 2026-11-24", "warmth": "21"}
    assert len(served.calls) == 1


@pytest.mark.anyio
async def test_code_that_cannot_read_a_body_leaves_it_to_the_ladder_with_no_call_made() -> None:
    served, other = (Served(by="code", executor="trusted") for _ in range(2))
    for each in (served, other):
        each.routine = replace(each.routine, source="def arguments(body):\n    return {'city': 3}\n")
        each.ready()
    made = await warm(served, wire())
    assert isinstance(made, WireReply)
    assert said(made) == said(await other.door._gate(wire()))
    assert served.calls == other.calls == []
    assert [each.state for each in served.agent.routines()] == [each.state for each in other.agent.routines()]


@pytest.mark.anyio
async def test_a_function_that_is_no_longer_safe_or_another_is_not_what_stood_ready() -> None:
    served = Served(by="native")
    assert isinstance(await warm(served, wire()), bytes)
    for effect in ("safe", "transactional"):
        said_now = f"now {effect}"
        served.agent.register(DOCUMENT, lambda _body, said_now=said_now: {"sky": said_now}, effect=effect, public=True)
        assert said_now.encode() in (await served.door(wire())).body
    assert len(served.calls) == 1


class Odd(str):
    """A person's own type, whose reading fails as it likes."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, handler: Any) -> Any:
        def read(value: str) -> str:
            raise KeyError(value)

        return core_schema.no_info_after_validator_function(read, handler(str))


@pytest.mark.anyio
async def test_what_a_persons_own_type_raises_is_for_the_doors_to_tell() -> None:
    served = Served()
    del served.agent.engine.tools["forecast"]

    @served.agent.tool(effect="safe")
    async def forecast(city: Odd, day: str = "") -> JsonObject:
        return {"high": city, "summary": day}

    served.routine = replace(served.routine, key_digest=served.agent.engine.toolset)
    served.ready()
    assert await warm(served, wire()) is None
    assert (await served.door(wire())).status == 500


@pytest.mark.anyio
@pytest.mark.parametrize(
    "odd",
    [{"protocolSources": 7}, {"protocolSources": [7]}, {"multiround": "yes"}, {"idempotencyKey": 8}, {"queryId": None}],
)
async def test_what_the_dialect_refuses_or_reads_otherwise_is_left_to_it(odd: JsonObject) -> None:
    served = Served()
    request = wire({"protocolHash": HEX, "protocolDigest": SHA256, "body": BODY, **odd})
    assert await warm(served, request) is None
    assert said(await served.door(request)) == said(await served.door._gate(request))


@pytest.mark.anyio
async def test_a_warm_request_goes_the_short_way_from_a_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served()
    handled: list[WireRequest] = []
    gate = served.door._gate
    monkeypatch.setattr(type(gate), "__call__", lambda _gate, request: handled.append(request))
    sent: list[Any] = []
    body = wire().body

    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    async def send(event: Any) -> None:
        sent.append(event)

    names = [(name.encode(), b"application/json") for name in ("content-type", "accept", *sorted(IDLE_HEADERS))]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": names, "client": ("192.0.2.1", 5)}
    await asgi_app(served.door)(scope, receive, send)
    assert handled == []
    assert sent[0]["status"] == 200


def test_nothing_that_is_read_of_a_request_is_among_the_headers_that_nobody_acts_on() -> None:
    assert not IDLE_HEADERS & READ_HEADERS
    acted_on = {
        "authorization",
        "signature",
        "signature-input",
        "content-digest",
        "traceparent",
        "tracestate",
        "cookie",
    }
    assert not (IDLE_HEADERS | READ_HEADERS) & acted_on


@pytest.mark.anyio
async def test_what_a_caller_in_this_process_hears_and_may_do_is_for_the_gate_to_part() -> None:
    served = Served()
    with listening(lambda _event: None):
        assert await warm(served, wire()) is None
    with granting(frozenset({"weather"})):
        assert await warm(served, wire()) is None
    assert served.calls == []


@pytest.mark.anyio
async def test_who_would_watch_goes_through_the_door_that_can_be_watched() -> None:
    served = Served()
    assert await warm(served, wire(headers={**HEADERS, "accept": "application/json, text/event-stream"})) is None
    assert served.calls == []


BOOKING = draft_document(
    name="Booking",
    description="Book a room.",
    request_schema=REQUEST,
    reply_schema=REPLY,
    effect="transactional",
)


def booking(served: Served) -> list[str]:
    """Have an agent book rooms besides, under a document of their own; the towns that it booked in."""
    booked: list[str] = []

    async def book(body: JsonObject) -> JsonObject:
        booked.append(body["town"])
        return {"warmth": str(len(booked)), "sky": body["town"]}

    served.agent.register(BOOKING, book, effect="transactional", public=True)
    return booked


@pytest.mark.anyio
async def test_a_new_key_takes_the_short_way_even_where_something_must_not_be_done_twice() -> None:
    served = Served()
    booking(served)
    keyed = wire(headers={**HEADERS, "idempotency-key": "key"})
    assert isinstance(await warm(served, keyed), bytes)
    assert len(served.calls) == 1


@pytest.mark.anyio
async def test_a_key_that_was_used_for_what_must_not_be_done_twice_is_refused_for_anything_else() -> None:
    served = Served()
    booked = booking(served)
    headers = {**HEADERS, "idempotency-key": "key"}
    order = wire({"protocolDigest": BOOKING.hash, "body": {"town": "Rome"}}, headers=headers)
    first = await served.door(order)
    assert await warm(served, wire(headers=headers)) is None
    assert b"bad_input" in (await served.door(wire(headers=headers))).body
    # And what was done for it is done once, and told again.
    assert said(await served.door(order)) == said(first)
    assert (booked, served.calls) == (["Rome"], [])


@pytest.mark.anyio
async def test_a_key_of_a_safe_request_does_not_keep_anything_from_being_done_once() -> None:
    served = Served()
    booked = booking(served)
    headers = {**HEADERS, "idempotency-key": "key"}
    assert isinstance(await warm(served, wire(headers=headers)), bytes)
    order = wire({"protocolDigest": BOOKING.hash, "body": {"town": "Rome"}}, headers=headers)
    assert said(await served.door(order)) == said(await served.door(order))
    assert booked == ["Rome"]


@pytest.mark.anyio
async def test_who_takes_over_from_a_mapping_that_failed_claims_the_key_first(monkeypatch: pytest.MonkeyPatch) -> None:
    # A model that takes over may call what must not be called twice, for this request and the same again.
    served = Served()
    booking(served)
    claimed: list[Any] = []
    replies = served.agent.engine.replies
    claim = replies.claim

    async def counted(*given: Any) -> Any:
        claimed.append(given[1].idempotency_key)
        return await claim(*given)

    monkeypatch.setattr(replies, "claim", counted)
    asked = {"protocolHash": HEX, "body": {"town": "Nowhere"}}
    made = await warm(served, wire(asked, headers={**HEADERS, "idempotency-key": "key"}))
    assert isinstance(made, WireReply)
    assert (claimed, len(served.calls)) == (["key"], 1)


@pytest.mark.anyio
async def test_what_was_revoked_or_demoted_between_a_request_and_its_turn_does_not_answer_it() -> None:
    for change in ("revoke", "demote"):
        served = Served()
        engine = served.agent.engine
        assert isinstance(await warm(served, wire()), bytes)
        begun = served.door.begun(HEADERS, wire().body, "anonymous", "192.0.2.1", None)
        assert begun is not None
        if change == "revoke":
            engine.documents.revoke(DOCUMENT.hash, "a test")
        else:
            engine.routines.demote(served.routine, "a test")
        made = await begun
        assert isinstance(made, WireReply)
        assert said(made) == said(await served.door._gate(wire()))
        assert (len(served.calls), served.door._under_way.now) == (1, 0)


@pytest.mark.anyio
async def test_a_reply_that_was_kept_is_given_again_though_the_same_is_warm_by_now() -> None:
    served = Served()
    engine = served.agent.engine
    answered: list[JsonObject] = []

    async def before(body: JsonObject) -> JsonObject:
        answered.append(body)
        return {"sky": "as it was before", "warmth": "3"}

    served.agent.register(DOCUMENT, before, effect="transactional", public=True)
    keyed = wire(headers={**HEADERS, "idempotency-key": "key"})
    first = await served.door(keyed)
    del engine.natives[DOCUMENT.hash], engine.native_terms[DOCUMENT.hash]
    booking(served)
    assert isinstance(await warm(served, wire()), bytes)
    assert said(await served.door(keyed)) == said(first)
    assert len(answered) == 1


@pytest.mark.anyio
async def test_where_there_is_no_room_the_doors_say_so() -> None:
    served = Served()
    room = served.door._under_way
    while not room.full:
        try:
            room.enter("192.0.2.1", SHA256)
        except Exception:  # noqa: BLE001 - its share is full
            break
    made = await warm(served, wire())
    assert isinstance(made, WireReply)
    assert made.status == 503
    assert said(made) == said(await served.door._gate(wire()))
    assert served.calls == []


@pytest.mark.anyio
async def test_who_is_not_allowed_any_more_is_refused_from_the_next_request_on() -> None:
    served = Served()
    assert (await served.door(wire())).status == 200
    served.agent.engine.authority = Authority(())
    assert (await served.door(wire())).status == 403
    assert len(served.calls) == 1


@pytest.mark.anyio
async def test_each_use_of_a_tool_is_told_to_a_log_that_listens(caplog: pytest.LogCaptureFixture) -> None:
    served = Served()
    with caplog.at_level(logging.INFO, logger="negotiator.answering"):
        for _ in range(3):
            assert isinstance(await warm(served, wire()), bytes)
    assert sum("is used" in each.message for each in caplog.records) == 3


@pytest.mark.anyio
async def test_a_tool_that_does_not_end_is_ended_by_the_deadline_and_its_place_is_free() -> None:
    served = Served(request_seconds=0.01)
    request = wire({"protocolHash": HEX, "body": {"town": "Limbo"}})
    made = await warm(served, request)
    assert isinstance(made, WireReply)
    assert orjson.loads(made.body)["code"] == "deadline_passed"
    assert said(made) == said(await served.door._gate(request))
    assert served.door._under_way.now == 0


@pytest.mark.anyio
async def test_a_mapping_that_fails_after_its_call_calls_nothing_again() -> None:
    served = Served()
    made = await warm(served, wire({"protocolHash": HEX, "body": {"town": "Nowhere"}}))
    assert isinstance(made, WireReply)
    assert b"unavailable" in made.body
    assert len(served.calls) == 1
    assert [each.state for each in served.agent.routines()] == ["demoted"]
