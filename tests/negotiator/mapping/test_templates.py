"""One field here and several there: joined where the parts are known, cut only where it is known where to cut."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import BadInput
from negotiator.mapping import Inference, Mapping, infer, infer_pair
from negotiator.mapping.conversions import conversion


def obj(required: "list[str] | None" = None, **properties: Any) -> dict[str, Any]:
    made = {name: {"type": "string"} | part for name, part in properties.items()}
    return {"type": "object", "properties": made, "required": sorted(made) if required is None else required}


def made_of(found: Inference, value: Any) -> Any:
    assert found.mapping is not None, found.blocking
    assert Mapping.from_json(found.mapping.to_json()) == found.mapping
    return found.mapping.compile()(value)


NAME_PARTS, FULL_NAME = obj(first_name={}, last_name={}), obj(full_name={})
MOMENT = obj(departure={"format": "date-time"})
DATE_AND_TIME = obj(departure_date={"format": "date"}, departure_time={})


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        (NAME_PARTS, FULL_NAME, {"first_name": "Ada", "last_name": "Lovelace"}, {"full_name": "Ada Lovelace"}),
        (
            obj(givenName={}, familyName={}),
            obj(name={"description": "Full name of the guest"}),
            {"givenName": "Ada", "familyName": "Lovelace"},
            {"name": "Ada Lovelace"},
        ),
        (obj(姓={}, 名={}), obj(姓名={}), {"姓": "王", "名": "小明"}, {"姓名": "王小明"}),
        (
            DATE_AND_TIME,
            MOMENT,
            {"departure_date": "2026-11-24", "departure_time": "19:30"},
            {"departure": "2026-11-24T19:30:00"},
        ),
        (
            obj(date={"description": "As DD/MM/YYYY"}, time={"format": "time"}),
            obj(starts_at={"format": "date-time"}),
            {"date": "24/11/2026", "time": "19:30:00Z"},
            {"starts_at": "2026-11-24T19:30:00Z"},
        ),
        (
            obj(date={}, time={}),
            obj(datetime={"description": "Date and time, as YYYY-MM-DD HH:MM"}),
            {"date": "2026-11-24", "time": "7:30 pm"},
            {"datetime": "2026-11-24 19:30"},
        ),
        (
            obj(street={}, city={}, zip={}),
            obj(address={}),
            {"street": "1 Main St", "city": "Rome", "zip": "00100"},
            {"address": "1 Main St, Rome, 00100"},
        ),
        (
            obj(lat={"type": "number"}, lng={"type": "number"}),
            obj(coordinates={}),
            {"lat": 41.9, "lng": -12.5},
            {"coordinates": "41.9,-12.5"},
        ),
    ],
)
def test_parts_become_a_whole(source: Any, target: Any, value: Any, expected: Any) -> None:
    found = infer(source, target)
    assert made_of(found, value) == expected
    assert [match.basis for match in found.matches] == ["template"]
    assert {found.matches[0].source, *found.matches[0].joined_with} == {f"/{name}" for name in value}


def test_a_whole_becomes_its_parts_where_it_is_known_where_to_cut() -> None:
    moment = infer(MOMENT, DATE_AND_TIME, direction="reply")
    assert made_of(moment, {"departure": "2026-11-24T19:30:00"}) == {
        "departure_date": "2026-11-24",
        "departure_time": "19:30",
    }
    place = infer(obj(position={}), obj(lat={"type": "number"}, lon={"type": "number"}), direction="reply")
    assert made_of(place, {"position": "41.9, -12.5"}) == {"lat": 41.9, "lon": -12.5}
    assert infer(FULL_NAME, NAME_PARTS, direction="reply").mapping is None
    assert infer(obj(address={}), obj(street={}, city={}), direction="reply").mapping is None


def test_an_offset_from_utc_is_neither_invented_nor_dropped() -> None:
    there = infer(MOMENT, DATE_AND_TIME, direction="reply").mapping
    assert there is not None
    with pytest.raises(BadInput):
        there.compile()({"departure": "2026-11-24T19:30:00+02:00"})
    both_say_it = obj(departure_date={"format": "date"}, departure_time={"format": "time"})
    kept = made_of(infer(MOMENT, both_say_it, direction="reply"), {"departure": "2026-11-24T19:30:00+02:00"})
    assert kept == {"departure_date": "2026-11-24", "departure_time": "19:30:00+02:00"}


def test_half_of_the_parts_is_refused_and_none_of_them_is_nothing() -> None:
    optional = infer(obj([], first_name={}, last_name={}), obj([], full_name={}))
    assert made_of(optional, {}) == {}
    assert optional.mapping is not None
    with pytest.raises(BadInput) as refused:
        optional.mapping.compile()({"first_name": "Ada"})
    assert refused.value.violations == (("/last_name", "is required"),)
    assert infer(obj(["first_name"], first_name={}, last_name={}), FULL_NAME).mapping is None


def test_parts_of_different_things_are_not_mixed() -> None:
    source = obj(passenger_first_name={}, passenger_last_name={}, contact_first_name={}, contact_last_name={})
    value = {
        "passenger_first_name": "A",
        "passenger_last_name": "B",
        "contact_first_name": "C",
        "contact_last_name": "D",
    }
    found = made_of(infer(source, obj(passenger_name={}, contact_name={})), value)
    assert found == {"passenger_name": "A B", "contact_name": "C D"}
    assert infer(obj(departure_date={"format": "date"}, arrival_time={}), MOMENT).mapping is None


def test_a_part_that_has_its_own_place_is_no_part() -> None:
    found = infer(obj(street={}, city={}), obj(address={}, city={}))
    assert made_of(found, {"street": "1 Main St", "city": "Rome"}) == {"address": "1 Main St", "city": "Rome"}


def test_templates_hold_inside_lists_and_objects_and_beside_other_fields_in_both_directions() -> None:
    ours = obj(first_name={}, last_name={}, town={})
    theirs = obj(guest=obj(full_name={}), city={})
    rows = [{"type": "object", "properties": {"rows": {"type": "array", "items": s}}} for s in (MOMENT, DATE_AND_TIME)]
    found = infer_pair((ours, theirs), (rows[0], rows[1]))
    assert made_of(found.request, {"first_name": "A", "last_name": "B", "town": "Rome"}) == {
        "guest": {"full_name": "A B"},
        "city": "Rome",
    }
    assert made_of(found.reply, {"rows": [{"departure": "2026-01-02T03:04:00"}]}) == {
        "rows": [{"departure_date": "2026-01-02", "departure_time": "03:04"}]
    }


def test_a_template_needs_its_margin_as_a_pair_does() -> None:
    margin = infer(NAME_PARTS, FULL_NAME).matches[0].margin
    from negotiator.mapping import Thresholds

    above = infer(NAME_PARTS, FULL_NAME, thresholds=Thresholds(margin=margin + 0.1))
    assert above.mapping is None
    assert above.matches == ()


@given(st.datetimes())
def test_what_is_joined_is_cut_into_what_it_was_joined_of(moment: Any) -> None:
    value = {
        "departure_date": moment.date().isoformat().rjust(10, "0"),
        "departure_time": f"{moment.hour:02d}:{moment.minute:02d}",
    }
    there, back = infer(DATE_AND_TIME, MOMENT), infer(MOMENT, DATE_AND_TIME, direction="reply")
    assert made_of(back, made_of(there, value)) == value


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_counted_seconds_and_moments_convert_into_each_other(seconds: int) -> None:
    there, back = conversion("epoch", "seconds", "date-time"), conversion("epoch", "date-time", "seconds")
    assert there is not None
    assert back is not None
    assert back(there(seconds)) == seconds


@pytest.mark.parametrize(
    ("name", "source", "target", "value", "expected"),
    [
        ("epoch", "seconds", "date-time", 0, "1970-01-01T00:00:00Z"),
        ("epoch", "milliseconds", "date-time", 1_764_012_600_250, "2025-11-24T19:30:00.250Z"),
        ("epoch", "date-time", "seconds", "2025-11-24T21:30:00+02:00", 1_764_012_600),
        ("time", "clock", "h:MM a", "00:05", "12:05 AM"),
        ("time", "clock", "HH:MM", "12:05 AM", "00:05"),
        ("time", "clock", "time", "7:30pm", "19:30:00"),
        ("piece", ", ", "1/2", "Rome, Italy", "Italy"),
        ("decimal", "comma", "point", "1.234,50", "1234.50"),
    ],
)
def test_spellings_of_times_and_numbers(name: str, source: str, target: str, value: Any, expected: Any) -> None:
    convert = conversion(name, source, target)
    assert convert is not None
    assert convert(value) == expected


@pytest.mark.parametrize(
    ("name", "source", "target", "value"),
    [
        ("epoch", "date-time", "seconds", "2025-11-24T19:30:00"),
        ("time", "clock", "HH:MM", "19:30:15"),
        ("time", "clock", "HH:MM", "25:00"),
        ("time", "clock", "HH:MM", "13:00 pm"),
        ("piece", ", ", "1/2", "Rome, Lazio, Italy"),
        ("decimal", "comma", "point", "1,234.50"),
    ],
)
def test_what_can_be_read_in_two_ways_or_none_is_refused(name: str, source: str, target: str, value: Any) -> None:
    convert = conversion(name, source, target)
    assert convert is not None
    with pytest.raises(BadInput):
        convert(value)


NULLABLE = {"type": ["object", "null"], "properties": {"town": {"type": "string"}}, "required": ["town"]}
NULLABLE_THERE = {"anyOf": [obj(city={}), {"type": "null"}]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"name": "Ada", "home": {"town": "Rome"}}, {"name": "Ada", "house": {"city": "Rome"}}),
        ({"name": "Ada", "home": None}, {"name": "Ada", "house": None}),
    ],
)
def test_an_object_that_may_be_null_is_looked_into_and_null_stays_null(value: Any, expected: Any) -> None:
    source, target = obj(name={}, home=NULLABLE), obj(name={}, house={})
    target["properties"]["house"] = NULLABLE_THERE
    for direction in ("request", "reply"):
        assert made_of(infer(source, target, direction=direction), value) == expected


def test_what_may_be_null_does_not_become_what_may_not() -> None:
    source, target = obj(name={}, home=NULLABLE), obj(name={}, house=obj(city={}))
    assert infer(source, target).mapping is None


def test_a_flat_field_fills_an_object_that_may_be_null() -> None:
    target = obj(name={}, home=NULLABLE)
    there = infer(obj(["name"], name={}, city={}), target)
    assert made_of(there, {"name": "Ada", "city": "Rome"}) == {"name": "Ada", "home": {"town": "Rome"}}
    assert made_of(there, {"name": "Ada"}) == {"name": "Ada", "home": None}


def test_a_schema_with_objects_that_may_be_null_maps_to_itself_exactly() -> None:
    schema = obj(["name"], name={}, home=NULLABLE)
    found = infer(schema, schema)
    assert found.exact
    for value in ({"name": "Ada"}, {"name": "Ada", "home": None}, {"name": "Ada", "home": {"town": "Rome"}}):
        assert made_of(found, value) == value
    always = obj(name={}, home=NULLABLE)
    assert not infer(schema, always).exact


def test_the_one_value_that_a_field_can_have_and_what_a_receiver_takes_unsaid_are_filled_in() -> None:
    target = obj(town={}, version={"const": "v2"}, units={"enum": ["metric", "imperial"], "default": "metric"})
    assert made_of(infer(obj(city={}), target), {"city": "Rome"}) == {
        "town": "Rome",
        "version": "v2",
        "units": "metric",
    }
    assert infer(obj(city={}), target, direction="reply").mapping is None


def test_what_might_be_meant_is_not_overwritten_by_a_default() -> None:
    target = obj(town={}, guests={"type": "integer", "default": 1})
    assert infer(obj(city={}, people={"type": "integer"}), target).partial.to_json() != {}
    found = infer(obj(city={}, people={"type": "integer"}), target)
    assert not any(field.to == "/guests" and field.source is None for field in found.partial.fields)
