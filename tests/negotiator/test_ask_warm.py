"""The sender's short road: what comes of it is what would have come of the ladder, and what leaves is the same to the byte."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from negotiator import ready_to_ask
from negotiator.errors import PeerHungUp, PeerMisspoke, PeerUnreachable
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import Conversion, FieldMapping, Mapping
from negotiator.schemas import Schema
from negotiator.wire import WireReply
from tests.negotiator.engine_world import oracle
from tests.negotiator.warm_senders import (
    ALL_SAID,
    DRAFT_7,
    INPUT,
    INTO,
    OURS,
    REQUEST,
    VALUE,
    Sender,
    Spoken,
    good,
    same,
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


@pytest.mark.parametrize("levels", [60, 61, 62, 63, 64, 65, 90])
@pytest.mark.parametrize("kind", ["flat", "open", "plain"])
def test_no_road_takes_what_nests_too_deep(kind: str, levels: int) -> None:
    deep = orjson.loads(b"[" * levels + b"]" * levels)
    roads_agree(lambda: Sender(kind), FLAT_VALUE, [good(more=deep), good(more=deep)], {})
    for says in (good(body=ALL_SAID | {"rows": deep}), good(body=ALL_SAID | {"rows": deep}, tier="structured")):
        roads_agree(lambda: Sender(kind), FLAT_VALUE, [says], {})


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
