"""One check in place of two says the same as both: for types made up, and values made up."""

import math
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ConfigDict, Field

from negotiator.errors import BadInput
from negotiator.plain_types import says_flat
from negotiator.schemas import Schema

_LEAVES = [str, int, float, bool, None, str | None, int | None, float | None]
TYPES = st.recursive(
    st.sampled_from(_LEAVES),
    lambda inner: st.one_of(
        inner.map(lambda each: list[each]),  # type: ignore[valid-type]
        st.tuples(st.dictionaries(st.sampled_from("abc"), st.tuples(inner, st.booleans())), st.booleans()).map(
            lambda said: typed_dict(*said)
        ),
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1.0, 5.0, "5", "true", "", "\ud800", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=6,
)
ODD = st.sampled_from([float("nan"), float("inf"), (1, 2), b"x", {1: 2}, type("Text", (str,), {})("a")])


def typed_dict(fields: dict[str, tuple[Any, bool]], forbids: bool) -> Any:
    made = TypedDict("Made", {name: kind if needed else NotRequired[kind] for name, (kind, needed) in fields.items()})  # type: ignore[misc]
    if forbids:
        made.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return made


def told(work: Callable[[], Any]) -> str:
    """What came of it; 1, 1.0 and True are three things."""
    try:
        return repr(work())
    except BadInput as error:
        return repr((error, error.violations))


@settings(max_examples=500, deadline=None)
@given(kind=TYPES, value=VALUES)
def test_what_is_loaded_by_one_check_is_what_is_loaded_by_both(kind: Any, value: Any) -> None:
    schema = Schema.of(kind)

    def by_both() -> Any:
        schema.check(value)
        return schema.typed(value)

    assert told(lambda: schema.load(value)) == told(by_both)


@settings(max_examples=500, deadline=None)
@given(kind=TYPES, value=VALUES | ODD | st.dictionaries(st.sampled_from("ab"), ODD))
def test_what_is_dumped_and_checked_at_once_is_what_is_dumped_and_then_checked(kind: Any, value: Any) -> None:
    schema = Schema.of(kind, mode="serialization")

    def one_by_one() -> Any:
        made = schema.dump(value)
        schema.check(made)
        return made

    assert told(lambda: schema.dump_checked(value)) == told(one_by_one)


class Plain(TypedDict):
    name: str
    sizes: list[float | None]
    inner: NotRequired[bool]


class Forbids(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    name: str


class Told(TypedDict):
    name: Annotated[str, Field(json_schema_extra={"maxLength": 3})]


class Bounded(TypedDict):
    name: Annotated[str, Field(max_length=3)]


@pytest.mark.parametrize("kind", [str, int, Plain, Forbids, list[bool], float | None])
def test_types_of_plain_json_are_checked_once(kind: Any) -> None:
    assert Schema.of(kind).maker is not None


@pytest.mark.parametrize("kind", [Told, Bounded, list[Told], Any, dict[str, int], tuple[int, ...], {"type": "string"}])
def test_whatever_says_more_than_its_types_is_checked_twice(kind: Any) -> None:
    assert Schema.of(kind).maker is None


def test_what_only_the_json_schema_says_is_held_to() -> None:
    with pytest.raises(BadInput):
        Schema.of(Told).load({"name": "four"})
    with pytest.raises(BadInput):
        Schema.of(Told, mode="serialization").dump_checked({"name": "four"})


ONE = {"properties": {"at": {"type": "string"}, "n": {"type": "number"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "flat"),
    [
        (ONE, True),
        ({"additionalProperties": False}, True),
        ({**ONE, "$schema": "http://json-schema.org/draft-07/schema#", "required": ["at"]}, True),
        ({"properties": ONE["properties"]}, False),
        ({**ONE, "additionalProperties": {"type": "string"}}, False),
        ({**ONE, "patternProperties": {"^x": {}}}, False),
        ({**ONE, "$defs": {"a": {}}, "$ref": "#/$defs/a"}, False),
        ({**ONE, "$defs": {"a": {}}, "properties": {"at": {"type": "string", "$ref": "#/$defs/a"}}}, False),
        ({**ONE, "properties": {"at": {"type": ["string", "null"]}}}, False),
        ({**ONE, "properties": {"at": {"type": "array"}}}, False),
        ({**ONE, "properties": {"at": {"enum": ["a"]}}}, False),
        ({**ONE, "properties": {"at": True}}, False),
        (True, False),
    ],
)
def test_a_schema_is_flat_where_nothing_but_scalars_can_fit(schema: Any, flat: bool) -> None:
    assert says_flat(schema) is flat


@given(st.dictionaries(st.sampled_from(["at", "n", "more"]), st.from_type(object) | st.floats() | st.none()))
def test_what_fits_a_flat_schema_holds_scalars_that_are_finite(value: Any) -> None:
    if Schema.of({"type": "object", **ONE}).is_valid(value):
        assert all(isinstance(each, str | int) or math.isfinite(each) for each in value.values())
