"""Schemas: every way of saying a type becomes one check, one digest, and a way to JSON and back."""

import enum
import json
import subprocess
import sys
import typing
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import orjson
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter

from negotiator.errors import BadInput, UsageError
from negotiator.function_schemas import of_function
from negotiator.schemas import MAX_VIOLATIONS, Schema


class Place(BaseModel):
    city: str
    when: date
    guests: int = 1


@dataclass
class Point:
    x: float
    y: float


class Old(typing.TypedDict):
    name: str
    size: typing.NotRequired[int]


class New(typing_extensions.TypedDict):
    old: Old
    points: list[Point]


def test_a_pydantic_model_loads_typed_and_dumps_plain() -> None:
    schema = Schema.of(Place)
    loaded = schema.load({"city": "Rome", "when": "2026-11-24"})
    assert loaded == Place(city="Rome", when=date(2026, 11, 24))
    assert schema.dump(loaded) == {"city": "Rome", "when": "2026-11-24", "guests": 1}


def test_plain_json_for_a_type_is_dumped_like_the_type() -> None:
    assert Schema.of(Place).dump({"city": "Rome", "when": "2026-11-24"})["when"] == "2026-11-24"
    with pytest.raises(BadInput):
        Schema.of(Place).dump({"city": "Rome"})


def test_dataclasses_and_both_typeddicts_are_schemas() -> None:
    assert Schema.of(Point).load({"x": 1, "y": 2}) == Point(1, 2)
    assert Schema.of(Old).load({"name": "a"}) == {"name": "a"}
    assert not Schema.of(Old).is_valid({"size": 1})
    schema = Schema.of(list[Old])
    assert schema.load([{"name": "a", "size": 2}]) == [{"name": "a", "size": 2}]
    assert Schema.of(Old | None).is_valid(None)
    assert Schema.of(typing.Optional[Old]).is_valid({"name": "a"})  # noqa: UP045


@pytest.mark.parametrize(
    ("source", "good", "bad"),
    [
        (str, "a", 1),
        (list[int], [1], ["a"]),
        (date, "2026-11-24", "24 Nov 2026"),
        (dict[str, float], {"a": 1.5}, {"a": "b"}),
        (typing.Literal["a", "b"], "a", "c"),
        (None, {"anything": [1]}, [1]),
        ({"type": "string", "format": "date"}, "2026-11-24", "2026-13-24"),
    ],
)
def test_ordinary_annotations_are_schemas(source: Any, good: Any, bad: Any) -> None:
    schema = Schema.of(source)
    schema.check(good)
    assert not schema.is_valid(bad)
    with pytest.raises(BadInput):
        schema.load(bad)


def test_violations_point_at_what_is_wrong_and_do_not_quote_it() -> None:
    schema = Schema.of({"type": "object", "properties": {"a/b": {"type": "integer"}}, "required": ["c"]})
    with pytest.raises(BadInput) as caught:
        schema.check({"a/b": "secret word"})
    pointers = {pointer for pointer, _ in caught.value.violations}
    assert pointers == {"", "/a~1b"}
    assert "secret" not in str(caught.value.violations)


def test_violations_are_capped() -> None:
    with pytest.raises(BadInput) as caught:
        Schema.of(list[int]).check(["x"] * 1000)
    assert len(caught.value.violations) == MAX_VIOLATIONS


def test_the_types_own_validators_are_asked_too() -> None:
    class Even(BaseModel):
        n: Annotated[int, Field(multiple_of=2)]

    with pytest.raises(BadInput) as caught:
        Schema.of(Even).load({"n": 3})
    assert caught.value.violations[0][0] == "/n"


@pytest.mark.parametrize(
    "source",
    [
        {"type": "nonsense"},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "#/$defs/missing"},
        {"enum": [float("nan")]},
        {"enum": ["x" * 300_000]},
        {"type": object},
        lambda: None,
    ],
)
def test_what_is_no_self_contained_json_schema_is_refused(source: Any) -> None:
    with pytest.raises(UsageError):
        Schema.of(source)


def test_a_bottomless_schema_is_refused() -> None:
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"properties": {"a": deep}}
    with pytest.raises(UsageError):
        Schema.of(deep)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}, object()])
def test_what_json_cannot_say_is_not_dumped(value: Any) -> None:
    with pytest.raises(BadInput):
        Schema.of({}).dump(value)
    if isinstance(value, float):
        with pytest.raises(BadInput):
            Schema.of(float).dump(value)


def test_the_digest_ignores_order_and_titles_but_not_descriptions_or_properties_called_title() -> None:
    def digest(**changes: Any) -> str:
        schema = {"type": "object", "properties": {"title": {"type": "string"}, "b": {}}, "required": ["b", "title"]}
        return Schema.of({**schema, **changes}).digest

    plain = digest()
    assert digest(title="A name", **{"$comment": "x"}) == plain
    assert digest(required=["title", "b"]) == plain
    assert digest(properties={"b": {"title": "B"}, "title": {"type": "string"}}) == plain
    assert digest(properties={"b": {}}) != plain
    assert digest(description="degrees Celsius") != plain


def test_the_digest_is_the_same_in_another_process() -> None:
    code = "from negotiator.schemas import Schema; print(Schema.of({'type':'object','required':['b','a']}).digest)"
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert seen == {Schema.of({"type": "object", "required": ["a", "b"]}).digest}


def test_a_schema_does_not_change() -> None:
    source = {"type": "object"}
    schema = Schema.of(source)
    source["type"] = "array"
    assert schema.is_valid({})
    with pytest.raises(AttributeError):
        schema.digest = "x"  # type: ignore[misc]
    assert schema == Schema.of({"type": "object"})
    assert len({schema, Schema.of(None)}) == 1
    assert Schema.of(schema) is schema


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_plain_json_comes_through_a_plain_schema_unchanged(value: Any) -> None:
    schema = Schema.of({})
    assert schema.load(schema.dump(value)) == value


@given(st.builds(Place, city=st.text(), when=st.dates(), guests=st.integers(-(2**40), 2**40)))
def test_a_value_comes_back_from_json_as_it_was(place: Place) -> None:
    schema = Schema.of(Place)
    assert schema.load(schema.dump(place)) == place


def forecast(city: str, day: date, *, days: int = 1, unit: typing.Literal["C", "F"] = "C") -> Place:
    """Weather for a place
    and a day.

    More words.

    Args:
        city: Where, as people
            write it.
        day (date): When.
        days: How many.
        unit: Of the temperature.

    Returns:
        Something: else.
    """
    return Place(city=city, when=day, guests=days)


def test_a_function_says_what_it_takes_and_gives() -> None:
    found = of_function(forecast)
    assert (found.name, found.description) == ("forecast", "Weather for a place and a day.")
    properties = found.input.json_schema["properties"]
    assert properties["city"]["description"] == "Where, as people write it."
    assert properties["day"]["description"] == "When."
    assert properties["day"]["format"] == "date"
    assert properties["days"]["default"] == 1
    assert set(properties) == {"city", "day", "days", "unit"}
    assert set(found.input.json_schema["required"]) == {"city", "day"}
    assert "guests" in found.output.json_schema["required"]


def test_arguments_are_bound_in_the_functions_own_types() -> None:
    found = of_function(forecast)
    arguments = found.bind({"city": "Rome", "day": "2026-11-24"})
    assert arguments == {"city": "Rome", "day": date(2026, 11, 24)}
    assert found.output.dump(forecast(**arguments)) == {"city": "Rome", "when": "2026-11-24", "guests": 1}
    for bad in ({"city": "Rome"}, {"city": "Rome", "day": "soon"}, {"city": "Rome", "day": "2026-11-24", "x": 1}):
        with pytest.raises(BadInput):
            found.bind(bad)


def test_parameters_may_have_the_names_that_models_use_themselves() -> None:
    async def tool(schema: str, copy: int, model_dump: Point, _hidden: Old, *, json=None):
        """:param schema: the plan
        :param json: words
           on two lines
        """

    found = of_function(tool)
    assert found.input.json_schema["properties"]["schema"]["description"] == "the plan"
    assert found.input.json_schema["properties"]["json"]["description"] == "words on two lines"
    bound = found.bind({"schema": "a", "copy": 1, "model_dump": {"x": 1, "y": 2}, "_hidden": {"name": "n"}})
    assert bound["model_dump"] == Point(1, 2)
    assert found.output.is_valid("anything")


def test_functions_that_cannot_be_called_by_name_are_refused() -> None:
    def variadic(*things: int) -> None: ...
    def keywords(**things: int) -> None: ...
    def positional(x: int, /) -> None: ...
    def unsayable(x: Exception) -> None: ...

    for function in (variadic, keywords, positional, unsayable):
        with pytest.raises(UsageError):
            of_function(function)


# --- what is written as it is ---


class Loud(typing_extensions.TypedDict):
    said: Annotated[str, PlainSerializer(str.upper)]


class Hidden(typing_extensions.TypedDict):
    shown: int
    kept: Annotated[int, Field(exclude=True)]


class Open(typing_extensions.TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    name: str


class Size(enum.StrEnum):
    LARGE = "large"


class Row(typing_extensions.TypedDict):
    name: str


class Mixed(typing_extensions.TypedDict):
    name: str
    ratio: float
    count: int | None
    rows: list[Row]
    loose: typing_extensions.NotRequired[Any]
    size: typing_extensions.NotRequired[Size]


VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Loud, st.fixed_dictionaries({"said": st.text(max_size=4)})),
    (Hidden, st.fixed_dictionaries({"shown": st.integers(), "kept": st.integers()})),
    (Open, st.fixed_dictionaries({"name": st.text(max_size=4)}, optional={"more": st.floats() | st.none()})),
    (
        Mixed,
        st.fixed_dictionaries(
            {
                "name": st.text(max_size=4) | st.just(Size.LARGE),
                "ratio": st.floats() | st.integers() | st.just("1.5"),
                "count": st.none() | st.integers() | st.booleans(),
                "rows": st.lists(st.fixed_dictionaries({"name": st.text(max_size=3)}), max_size=2),
            },
            optional={"loose": st.just(date(2026, 11, 24)) | st.none(), "size": st.just(Size.LARGE)},
        ),
    ),
    (list[list[float]], st.lists(st.lists(st.floats(), max_size=2), max_size=2)),
]


@pytest.mark.parametrize(("kind", "values"), VALUES)
def test_what_is_dumped_is_what_pydantic_writes_and_shares_nothing_with_what_was_given(
    kind: Any, values: st.SearchStrategy[Any]
) -> None:
    schema, adapter = Schema.of(kind, mode="serialization"), TypeAdapter(kind)

    @given(values)
    def holds(value: Any) -> None:
        written = adapter.dump_python(adapter.validate_python(value), mode="json", warnings="error")
        try:
            dumped = schema.dump(value)
        except BadInput:
            with pytest.raises((ValueError, TypeError)):
                require_json(written)
            return
        assert dumped == written
        assert repr(dumped) == repr(written)
        assert dumped is not value

    holds()


def require_json(value: Any) -> None:
    """Raises where a value is no JSON: numbers that are not finite, or over 64 bits."""
    json.dumps(value, allow_nan=False)
    orjson.dumps(value)
