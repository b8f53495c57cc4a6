"""Two schemas become a mapping where their words leave one reading, and nothing where they do not."""

import string
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from negotiator.errors import BadInput
from negotiator.mapping import Inference, Thresholds, infer, infer_pair
from negotiator.mapping.assignment import FORBIDDEN
from negotiator.mapping.problem import pair_up
from negotiator.schemas import Schema


def obj(required: "list[str] | None" = None, **properties: Any) -> dict[str, Any]:
    made = {name: {"type": "string"} | part for name, part in properties.items()}
    return {"type": "object", "properties": made, "required": sorted(made) if required is None else required}


def pairs(found: Inference) -> dict[str, str]:
    return {match.target: match.source for match in found.matches}


CLIENT_REQUEST = obj(
    departure_town={"description": "Town that the coach departs from"},
    arrival_town={"description": "Town that the coach arrives at"},
    day_of_travel={"description": "Day on which the journey begins", "format": "date"},
    seats={"description": "How many people travel", "type": "integer"},
)
SERVER_REQUEST = obj(
    to_city={"description": "Destination city of the bus"},
    date={"description": "Date of departure", "format": "date"},
    passengers={"description": "Number of passengers", "type": "integer"},
    from_city={"description": "City that the bus leaves from"},
)
SERVER_REPLY = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": obj(
                to_city={"description": "Destination city of the bus"},
                from_city={"description": "City that the bus leaves from"},
                fare={"description": "Price of one ticket", "type": "number"},
                leaves_at={"description": "Departure time of the bus", "format": "time"},
            ),
        }
    },
    "required": ["results"],
}
CLIENT_REPLY = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": obj(
                departure_town={"description": "Town that the coach departs from"},
                arrival_town={"description": "Town that the coach arrives at"},
                ticket_cost={"description": "What a ticket costs", "type": "number"},
                start_time={"description": "Time when the coach departs", "format": "time"},
            ),
        }
    },
    "required": ["results"],
}


def test_different_words_for_the_same_are_paired_in_both_directions() -> None:
    found = infer_pair((CLIENT_REQUEST, SERVER_REQUEST), (SERVER_REPLY, CLIENT_REPLY))
    assert found.complete
    assert found.request.mapping is not None
    assert found.reply.mapping is not None
    request = {"departure_town": "Rome", "arrival_town": "Bari", "day_of_travel": "2026-11-24", "seats": 2}
    assert found.request.mapping.compile()(request) == {
        "from_city": "Rome",
        "to_city": "Bari",
        "date": "2026-11-24",
        "passengers": 2,
    }
    row = {"to_city": "Bari", "from_city": "Rome", "fare": 9.5, "leaves_at": "08:15:00Z"}
    assert found.reply.mapping.compile()({"results": [row]}) == {
        "results": [{"departure_town": "Rome", "arrival_town": "Bari", "ticket_cost": 9.5, "start_time": "08:15:00Z"}]
    }


def test_a_pair_above_the_margin_says_how_sure_it_is() -> None:
    found = infer(CLIENT_REQUEST, SERVER_REQUEST)
    assert not found.exact
    assert all(match.margin >= Thresholds().margin for match in found.matches)
    assert infer(CLIENT_REQUEST, SERVER_REQUEST, thresholds=Thresholds(margin=50)).mapping is None


def test_the_order_of_fields_changes_nothing() -> None:
    def turned(schema: dict[str, Any]) -> dict[str, Any]:
        return schema | {"properties": dict(reversed(schema["properties"].items()))}

    straight = infer(CLIENT_REQUEST, SERVER_REQUEST)
    crooked = infer(turned(CLIENT_REQUEST), turned(SERVER_REQUEST))
    assert pairs(crooked) == pairs(straight)
    assert infer(turned(CLIENT_REQUEST), SERVER_REQUEST).mapping == straight.mapping


def test_a_required_field_without_a_counterpart_blocks() -> None:
    server = obj(**SERVER_REQUEST["properties"], loyalty_card={"description": "Number of the loyalty card"})
    found = infer(CLIENT_REQUEST, server)
    assert found.mapping is None
    assert "/loyalty_card" in found.unmatched_required
    assert found.rest == ("/loyalty_card",)
    assert len(found.partial.fields) == 5
    optional = server | {"required": sorted(SERVER_REQUEST["properties"])}
    found = infer(CLIENT_REQUEST, optional)
    assert found.unmatched_optional == ("/loyalty_card",)
    assert found.mapping is not None


def test_what_a_request_means_is_never_left_out_in_silence() -> None:
    client = obj(sorted(CLIENT_REQUEST["properties"]), **CLIENT_REQUEST["properties"], wheelchair={"type": "boolean"})
    found = infer(client, SERVER_REQUEST)
    assert found.mapping is not None
    assert found.mapping.refused == ("/wheelchair",)
    assert found.unmatched_source == ("/wheelchair",)
    always = obj(**client["properties"])
    assert infer(always, SERVER_REQUEST).mapping is None
    reply = infer(always, SERVER_REQUEST, direction="reply")
    assert reply.mapping is not None
    assert reply.mapping.refused == ()


def test_two_equally_good_sources_are_left_open() -> None:
    source = obj(x_name={"description": "Name"}, y_name={"description": "Name"})
    found = infer(source, obj(name={"description": "Name"}), direction="reply")
    assert found.mapping is None
    assert found.matches == ()
    assert [match.target for match in found.doubtful] == ["/name"]


def test_opposites_are_not_confused() -> None:
    source = obj(start={"description": "Start time"}, end={"description": "End time"})
    target = obj(finish_time={"description": "When it finishes"}, begin_time={"description": "When it begins"})
    assert pairs(infer(source, target)) == {"/finish_time": "/end", "/begin_time": "/start"}


def test_a_namesake_that_means_another_thing_is_not_believed() -> None:
    source = obj(
        name={"description": "Headline of the concert"},
        event_name={"description": "Venue where the concert is held"},
    )
    target = obj(
        event_name={"description": "Title of the concert"},
        venue={"description": "Venue of the concert"},
    )
    assert pairs(infer(source, target)) in ({}, {"/event_name": "/name", "/venue": "/event_name"})


@pytest.mark.parametrize(
    ("here", "there", "needs"),
    [
        ({"type": "number", "description": "Degrees Celsius"}, {"type": "number", "description": "Fahrenheit"}, "none"),
        ({"type": "number", "description": "Celsius"}, {"type": "integer", "description": "Fahrenheit"}, "conversion"),
        ({"description": "Degrees Celsius"}, {"description": "Degrees Fahrenheit"}, "conversion"),
        ({"type": "number", "description": "In °C"}, {"type": "number"}, "conversion"),
        ({"type": "number"}, {"type": "number", "description": "In Kelvin"}, "conversion"),
    ],
)
def test_a_unit_is_never_taken_for_another(here: Any, there: Any, needs: str) -> None:
    found = infer(obj(temperature=here), obj(temperature=there))
    assert [match.needs for match in found.matches] == [needs]
    if needs == "conversion":
        assert found.mapping is None
        assert found.rest == ("/temperature",)
        assert found.matches[0].reason
    else:
        assert found.mapping is not None
        assert found.mapping.compile()({"temperature": 20}) == {"temperature": 68.0}


UNITS = ["celsius", "fahrenheit", "kelvin", "miles", "km", "kg", "pounds lbs", "USD", "EUR", "hours", "minutes"]


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.booleans(), st.sampled_from(["string", "number", "integer"]))
def test_a_swapped_unit_is_never_a_plain_copy(here: str, there: str, in_name: bool, kind: str) -> None:
    assume(here != there)

    def quantity(unit: str) -> dict[str, Any]:
        part = {"type": kind, "description": "The reading" if in_name else f"The reading in {unit}"}
        return obj(**{f"reading_{unit.replace(' ', '_')}" if in_name else "reading": part})

    found = infer(quantity(here), quantity(there))
    fields = [] if found.mapping is None else [field for field in found.mapping.fields if field.source is not None]
    assert all(field.convert is not None and field.convert.name == "unit" for field in fields)


@pytest.mark.parametrize(
    ("here", "there", "value", "expected"),
    [
        ({"type": "boolean"}, {"enum": ["No", "Yes"]}, True, "Yes"),
        ({"enum": ["True", "False"]}, {"type": "boolean"}, "False", False),
        ({"enum": ["first_class", "economy"]}, {"enum": ["Economy", "First Class", "Sleeper"]}, "economy", "Economy"),
        ({"type": "string"}, {"type": "integer"}, "12", 12),
        ({"type": "integer"}, {"type": "string"}, 12, "12"),
        ({"type": "integer"}, {"type": "number"}, 12, 12),
        ({"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "string"}}, [1], ["1"]),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}, None, None),
        ({"description": "As DD/MM/YYYY"}, {"format": "date"}, "24/11/2026", "2026-11-24"),
        ({"description": "when, as HH:MM"}, {"description": "the hour"}, "10:30", "10:30"),
        ({"description": "when (hh:mm:ss)"}, {"description": "the hour"}, "10:30:00", "10:30:00"),
    ],
)
def test_values_are_carried_between_types_that_say_the_same(here: Any, there: Any, value: Any, expected: Any) -> None:
    here, there = ({"type": "string"} | part if "enum" not in part else part for part in (here, there))
    source = {"type": "object", "properties": {"travel_class": here}, "required": ["travel_class"]}
    target = {"type": "object", "properties": {"travel_class": there}, "required": ["travel_class"]}
    found = infer(source, target)
    assert found.mapping is not None, found.blocking
    result = found.mapping.compile()({"travel_class": value})
    assert result == {"travel_class": expected}
    assert type(result["travel_class"]) is type(expected)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ({"type": "string"}, {"type": "string", "format": "date"}),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}),
        ({"type": "string", "enum": ["a", "b", "c"]}, {"type": "string", "enum": ["a", "b"]}),
        ({"type": "number"}, {"type": "string"}),
        ({"type": ["string", "null"]}, {"type": "string"}),
        ({"type": "object", "additionalProperties": {"type": "string"}}, {"type": "object"}),
        ({}, {"type": "string"}),
    ],
)
def test_what_no_mapping_can_carry_is_left_to_code(here: Any, there: Any) -> None:
    source = {"type": "object", "properties": {"delivery": here}, "required": ["delivery"]}
    target = {"type": "object", "properties": {"delivery": there}, "required": ["delivery"]}
    found = infer(source, target)
    assert found.mapping is None
    assert found.rest == ("/delivery",)


def test_a_target_that_is_required_is_not_read_from_what_may_be_absent_unless_it_has_a_default() -> None:
    target = obj(city={})
    assert infer(obj([], city={}), target).mapping is None
    found = infer(obj([], city={"default": "Rome"}), target)
    assert found.mapping is not None
    assert found.mapping.compile()({}) == {"city": "Rome"}


def test_flat_and_nested_objects_meet() -> None:
    source = obj(guest_name={"description": "Name of the guest"}, city={"description": "City of the hotel"})
    inner = obj(city={"description": "City of the hotel"})
    target = {
        "type": "object",
        "properties": {"hotel": {"$ref": "#/$defs/Hotel"}, "name": {"type": "string", "description": "Guest's name"}},
        "required": ["hotel", "name"],
        "$defs": {"Hotel": inner},
    }
    found = infer(source, target)
    assert found.mapping is not None, found.blocking
    assert found.mapping.compile()({"guest_name": "Ada", "city": "Rome"}) == {"hotel": {"city": "Rome"}, "name": "Ada"}


def test_an_optional_object_is_made_whole_or_not_at_all() -> None:
    hotel = {"type": "object", "properties": {"hotel": obj(city={}, price={"type": "number"})}}
    assert infer(obj(city={}), hotel, direction="reply").unmatched_optional == ("/hotel/city", "/hotel/price")
    assert infer(obj(city={}), hotel).mapping is None
    whole = infer(obj([], city={}, price={"type": "number"}), hotel, direction="reply")
    assert whole.mapping is not None
    assert whole.mapping.compile()({"city": "Rome", "price": 9}) == {"hotel": {"city": "Rome", "price": 9}}
    assert whole.mapping.compile()({}) == {}
    with pytest.raises(BadInput):
        whole.mapping.compile()({"city": "Rome"})


def test_recursive_schemas_come_to_an_end() -> None:
    tree: dict[str, Any] = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "city": {"type": "string"}}}
        },
    }
    lists: dict[str, Any] = {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {"type": "object", "properties": {"all": {"type": "array", "items": {"$ref": "#/$defs/Node"}}}}
        },
    }
    loop: dict[str, Any] = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    for schema in (tree, lists, loop):
        infer(schema, schema)


def test_very_many_fields_are_not_paired() -> None:
    def wide(prefix: str) -> dict[str, Any]:
        return obj(**{f"{prefix}{number}": {} for number in range(140)})

    assert infer(wide("a"), wide("b")).mapping is None
    assert infer(wide("a"), wide("a")).exact


def test_nothing_is_mapped_of_what_is_too_large_to_be_seen_whole() -> None:
    schema = obj(**{f"field{number}": {} for number in range(300)})
    found = infer(schema, schema)
    assert found.mapping is None
    assert found.blocking
    long_name = obj(**{"a" * 600: {}})
    assert infer(long_name, long_name).mapping is None
    many = {"enum": [f"value {number}" for number in range(600)]}
    assert infer(obj(city={}), obj(city=many)).mapping is None


def test_chinese_fields_meet_english_ones() -> None:
    source = obj(
        出发城市={"description": "出发的城市"},
        到达城市={"description": "到达的城市"},
        日期={"description": "出发日期"},
    )
    target = obj(
        from_city={"description": "City of departure"},
        to_city={"description": "City of arrival"},
        date={"description": "Date of departure"},
    )
    found = infer(source, target)
    assert pairs(found) == {"/from_city": "/出发城市", "/to_city": "/到达城市", "/date": "/日期"}


NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=6)
PARTS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "integer"},
        {"type": ["number", "null"]},
        {"type": "boolean"},
        {"type": "string", "format": "date"},
        {"type": "string", "enum": ["red", "green"]},
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "object", "additionalProperties": {"type": "integer"}},
    ]
)


def objects(parts: "st.SearchStrategy[Any]") -> "st.SearchStrategy[dict[str, Any]]":
    return st.dictionaries(NAMES, parts, min_size=1, max_size=4).flatmap(
        lambda properties: st.sets(st.sampled_from(sorted(properties))).map(
            lambda required: {"type": "object", "properties": properties, "required": sorted(required)}
        )
    )


NESTED = objects(PARTS | objects(PARTS) | objects(PARTS).map(lambda inner: {"type": "array", "items": inner}))


def values_of(schema: dict[str, Any]) -> "st.SearchStrategy[Any]":
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.none() | st.text(max_size=3)
    kind = schema["type"]
    if kind == "object" and "properties" in schema:
        parts = {name: values_of(part) for name, part in schema["properties"].items()}
        required = {name: part for name, part in parts.items() if name in schema["required"]}
        optional = {name: part for name, part in parts.items() if name not in schema["required"]}
        return st.fixed_dictionaries(required, optional=optional)
    plain: dict[str, st.SearchStrategy[Any]] = {
        "string": st.dates().map(str) if "format" in schema else st.text(max_size=3),
        "integer": st.integers(-9, 9),
        "boolean": st.booleans(),
        "object": st.dictionaries(NAMES, st.integers(), max_size=2),
        "array": st.lists(values_of(schema.get("items", {"type": "string"})), max_size=3)
        if kind == "array"
        else st.none(),
    }
    return st.none() | st.floats(-9, 9) if isinstance(kind, list) else plain[kind]


@given(st.data())
def test_a_schema_maps_to_itself_exactly_and_changes_nothing(data: st.DataObject) -> None:
    schema = data.draw(NESTED)
    found = infer(schema, schema)
    assert found.exact
    assert found.mapping is not None
    value = data.draw(values_of(schema))
    result = found.mapping.compile()(value)
    Schema.of(schema).check(result)
    assert result == value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_is_mapped_fits_the_target(data: st.DataObject) -> None:
    source, target = data.draw(NESTED), data.draw(NESTED)
    for direction in ("request", "reply"):
        found = infer(source, target, direction=direction, thresholds=Thresholds(margin=-5))
        if found.mapping is None:
            continue
        value = data.draw(values_of(source))
        result = None
        with suppress(BadInput):  # values that a table or cast does not know are refused, not bent
            result = found.mapping.compile()(value)
        assert result is None or Schema.of(target).is_valid(result)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=3)
    | st.sampled_from(["string", "object", "array", "#", "#/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "properties",
                    "items",
                    "enum",
                    "const",
                    "required",
                    "$ref",
                    "anyOf",
                    "allOf",
                    "format",
                    "default",
                    "a",
                ]
            )
            | st.sampled_from(["description", "oneOf", "prefixItems", "$defs"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
).filter(lambda value: isinstance(value, dict))


@given(ODD, ODD)
def test_any_json_at_all_is_answered(source: Any, target: Any) -> None:
    for found in (infer(source, target), infer(target, source, direction="reply"), infer(source, source)):
        assert (found.mapping is None) == bool(found.blocking)


WORDS = ["city", "price", "date", "rating", "phone", "address", "genre", "humidity", "passengers", "duration"]
OTHER_WORDS = ["town", "cost", "day", "stars", "telephone", "street", "style", "moisture", "travelers", "length"]


@given(st.lists(st.sampled_from(range(len(WORDS))), min_size=2, max_size=7, unique=True), st.randoms())
def test_a_renamed_schema_maps_to_its_original(chosen: list[int], random: Any) -> None:
    source = obj(**{OTHER_WORDS[at]: {"description": f"The {WORDS[at]} of it"} for at in chosen})
    random.shuffle(chosen)
    target = obj(**{WORDS[at]: {"description": f"Its {OTHER_WORDS[at]}"} for at in chosen})
    found = infer(source, target)
    assert found.mapping is not None, found.blocking
    assert pairs(found) == {f"/{WORDS[at]}": f"/{OTHER_WORDS[at]}" for at in chosen}


def test_options_that_the_source_knows_nothing_of_are_left_out_of_a_request_and_only_there() -> None:
    plain = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
    options = {**plain, "properties": {**plain["properties"], "head": {"type": "integer"}}}
    rows = [{"type": "object", "properties": {"r": {"type": "array", "items": each}}} for each in (plain, options)]
    found = infer(plain, options)
    assert found.exact
    assert found.unmatched_optional == ("/head",)
    assert found.mapping.compile()({"path": "a", "head": 3}) == {"path": "a"}
    nested = infer(*rows)
    assert nested.exact
    assert nested.mapping.compile()({"r": [{"path": "a", "head": 3}]}) == {"r": [{"path": "a"}]}
    assert not infer(plain, {**options, "required": ["path", "head"]}).exact
    assert not infer_pair((plain, plain), (plain, options)).reply.exact
    assert not infer(options, plain).exact


HOTEL = obj(
    town={"description": "Town of the hotel"},
    phone={"description": "Telephone number"},
    stars={"description": "Rating from one to five"},
    premises={"description": "Where the house stands"},
    pool={"description": "Deep water for swimming"},
)
WANTED = obj(
    city={"description": "City of the hotel"},
    phone_number={"description": "Phone number of the hotel"},
    rating={"description": "Star rating"},
    street={"description": "Street and house number"},
)


@pytest.mark.parametrize("direction", ["request", "reply"])
def test_that_every_wanted_field_has_a_counterpart_speaks_for_each_of_them(direction: Any) -> None:
    def margins(bonus: float) -> dict[str, float]:
        found = infer(HOTEL, WANTED, direction=direction, thresholds=Thresholds(complete_bonus=bonus))
        return {match.target: match.margin for match in (*found.matches, *found.doubtful)}

    plain, raised = margins(0.0), margins(0.1)
    assert plain.keys() == raised.keys() == {"/city", "/phone_number", "/rating", "/street"}
    for target, margin in plain.items():
        assert raised[target] == pytest.approx(margin + 4 * 0.1)


def test_a_field_for_which_nothing_speaks_gets_no_counterpart_for_being_the_last_one() -> None:
    wanted = obj(**WANTED["properties"], zorg={"description": "Quux"})
    found = infer(HOTEL, wanted, direction="reply", thresholds=Thresholds(complete_bonus=5.0))
    assert "/zorg" in found.unmatched_required
    without = infer(HOTEL, wanted, direction="reply", thresholds=Thresholds(complete_bonus=0.0))
    assert {match.target: match.margin for match in found.matches} == {
        match.target: match.margin for match in without.matches
    }


def test_that_every_field_has_a_counterpart_does_not_speak_for_one_that_is_unlikely() -> None:
    source, target = obj(**HOTEL["properties"]), dict(WANTED["properties"])
    target["room_rate"] = {"description": "Price of the street parking"}
    problem = infer(source, obj(**target), direction="reply", thresholds=Thresholds(complete_bonus=5.0)).problem
    gains = [[*row] for row in problem.gains]
    column = next(at for at, slot in enumerate(problem.ours) if slot.label == "room_rate")

    def partner(odds: float) -> int | None:
        for at in range(len(problem.theirs)):
            gains[column][at] = odds if gains[column][at] > FORBIDDEN else FORBIDDEN
        every = frozenset((row, at) for row in range(len(problem.ours)) for at in range(len(problem.theirs)))
        asked = replace(problem, gains=tuple(map(tuple, gains)), spoken=every)
        return pair_up(asked).partner[column]

    assert partner(-0.5) is not None
    assert partner(-1.0) is None
