"""Exchanges that are kept, and the rule behind what was copied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.comparison import differing
from negotiator.errors import BadInput
from negotiator.evidence import (
    MAX_EXCHANGE_BYTES,
    Copying,
    Exchange,
    Place,
    copying_of,
    inverse,
    keep,
    kept,
    reads,
)
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import Conversion, FieldMapping, Mapping
from negotiator.mapping.form import Part
from protocol_docs import MemoryTextStore
from tests.negotiator.engine_world import TEXT, obj

PLACE: Place = ("sha256:" + "0" * 64, "sender", "d")
ROWS = FieldMapping(
    to="/hits", source="/results", required=True, each=Mapping((FieldMapping(to="/town", source="/city"),))
)
RULE = Copying(mapping=Mapping((FieldMapping(to="/a", source="/b", table=(("x", "y"),)), ROWS)), whole=True)


def exchange(number: int, **changed: object) -> Exchange:
    parts = {"given": {"n": number}, "passed": {}, "returned": [number], "made": None, "into": RULE, **changed}
    return Exchange(**parts)  # type: ignore[arg-type]


def test_the_last_exchanges_are_kept_each_input_once_and_come_back_as_they_were() -> None:
    store = MemoryTextStore()
    for number in (1, 2, 3, 2, 4):
        keep(store, PLACE, exchange(number), 3)
    assert kept(store, PLACE) == [exchange(3), exchange(2), exchange(4)]
    assert kept(store, ("another", "sender", "d")) == []


def test_nothing_is_kept_where_nothing_is_to_be_or_where_it_is_too_large() -> None:
    store = MemoryTextStore()
    keep(store, PLACE, exchange(1), 0)
    keep(store, PLACE, exchange(1, returned="x" * MAX_EXCHANGE_BYTES), 8)
    keep(store, PLACE, exchange(2**70), 8)
    assert kept(store, PLACE) == []
    assert list(store.keys()) == []


def test_strangers_cannot_grow_the_store_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("negotiator.evidence.MAX_PLACES", 3)
    store = MemoryTextStore()
    for number in range(9):
        keep(store, (f"sha256:{number}", "receiver", "d"), exchange(number), 8)
    assert len(list(store.keys())) == 3
    keep(store, ("sha256:0", "receiver", "d"), exchange(7), 8)
    assert len(kept(store, ("sha256:0", "receiver", "d"))) == 2


@pytest.mark.parametrize("row", ["", "nonsense", "3", "[3]", '[{"given": 1}]', '{"given": 1}', "null"])
def test_a_row_that_is_something_else_is_no_exchange_and_no_error(row: str) -> None:
    store = MemoryTextStore()
    keep(store, PLACE, exchange(1), 8)
    (key,) = store.keys()
    store.put(key, row)
    assert kept(store, PLACE) == []
    keep(store, PLACE, exchange(2), 8)


def test_a_store_that_is_full_loses_the_exchange_and_nothing_else() -> None:
    keep(MemoryTextStore(max_bytes=10), PLACE, exchange(1), 8)


def test_the_rule_of_a_request_refuses_what_it_does_not_read_and_that_of_a_reply_leaves_it_out() -> None:
    schema = obj(b=TEXT, c=TEXT, rows={"type": "array", "items": obj(e=TEXT, f=TEXT)})
    rows = FieldMapping(to="/rows", source="/rows", each=Mapping((FieldMapping(to="/x", source="/e"),)))
    found = Mapping((FieldMapping(to="/a", source="/b"), rows))
    request = copying_of(found, schema, whole=True, request=True).mapping.compile()
    reply = copying_of(found, schema, whole=True, request=False).mapping.compile()
    assert request({"b": "1", "rows": [{"e": "2"}]}) == {"a": "1", "rows": [{"x": "2"}]}
    for unread in ({"b": "1", "c": "3"}, {"b": "1", "rows": [{"e": "2", "f": "3"}]}):
        with pytest.raises(BadInput):
            request(unread)
        assert reply(unread)["a"] == "1"


def test_a_rule_reads_the_places_of_its_fields_and_of_their_items() -> None:
    assert reads(RULE.mapping.fields) == {"/b", "/results", "/results/-/city"}


values = st.fixed_dictionaries({"b": st.just("x"), "results": st.lists(st.fixed_dictionaries({"city": st.text()}))})


@given(value=values)
def test_a_rule_turned_round_brings_back_what_it_was_given(value: JsonObject) -> None:
    back = inverse(RULE.mapping)
    assert back is not None
    made = RULE.mapping.compile()(value)
    assert back.compile()(made) == value
    assert RULE.mapping.compile()(back.compile()(made)) == made


@pytest.mark.parametrize(
    "field",
    [
        FieldMapping(to="/a", source="/b", table=(("x", "z"), ("y", "z"))),
        FieldMapping(to="/a", source="/b", convert=Conversion("unit", "celsius", "fahrenheit")),
    ],
)
def test_what_loses_something_is_not_turned_round(field: FieldMapping) -> None:
    assert inverse(Mapping((field,))) is None


def test_a_join_reads_and_blames_all_of_its_parts_and_is_not_turned_round() -> None:
    joined = FieldMapping(to="/when", join=(Part(source="/day"), Part(text=" "), Part(source="/hour")))
    assert reads((joined,)) == {"/day", "/hour"}
    assert differing((joined,), {"when": "Monday 9"}, {"when": "Monday 10"}) == {"/day", "/hour"}
    assert inverse(Mapping((joined,))) is None
    closed = copying_of(Mapping((joined,)), obj(day=TEXT, hour=TEXT, note=TEXT), whole=True, request=True).mapping
    assert closed.refused == ("/note",)
