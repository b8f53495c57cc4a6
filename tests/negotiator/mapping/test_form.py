"""A mapping is data: it compiles to a function that invents nothing, and comes back from JSON as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import BadInput, UsageError
from negotiator.mapping import Conversion, FieldMapping, Mapping

SCALARS = st.booleans() | st.integers(-1000, 1000) | st.text(max_size=4)
JSON = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
POINTERS = st.lists(st.text("ab/~é", min_size=1, max_size=2), min_size=1, max_size=1).map(
    lambda keys: "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
)


def leaf(inner: "st.SearchStrategy[Mapping] | None" = None) -> "st.SearchStrategy[FieldMapping]":
    source = {"to": POINTERS, "source": POINTERS, "required": st.booleans(), "null_is_absent": st.booleans()}
    plain = st.builds(FieldMapping, **source)
    const = st.builds(FieldMapping, to=POINTERS, const=JSON)
    default = st.builds(FieldMapping, has_default=st.just(True), default=JSON, **source)
    table = st.builds(
        FieldMapping,
        table=st.lists(st.tuples(SCALARS, SCALARS), max_size=3, unique_by=lambda row: (type(row[0]), row[0])).map(
            tuple
        ),
        **source,
    )
    convert = st.builds(
        FieldMapping,
        convert=st.sampled_from(
            [
                Conversion("unit", "celsius", "kelvin"),
                Conversion("date", "YYYY-MM-DD", "D MON YYYY"),
                Conversion("text_to_number"),
            ]
        ),
        **source,
    )
    each = st.builds(FieldMapping, each=inner, **source) if inner is not None else st.nothing()
    return plain | const | default | table | convert | each


def mapping(inner: "st.SearchStrategy[Mapping] | None" = None) -> "st.SearchStrategy[Mapping]":
    return st.builds(
        Mapping,
        st.lists(leaf(inner), max_size=4, unique_by=lambda field: field.to).map(tuple),
        st.lists(POINTERS, max_size=2).map(tuple),
        st.lists(st.tuples(POINTERS, POINTERS), max_size=1).map(tuple),
    )


MAPPINGS = mapping(mapping())


@given(MAPPINGS)
def test_a_mapping_comes_back_from_json_as_it_was(made: Mapping) -> None:
    assert Mapping.from_json(json.loads(json.dumps(made.to_json()))) == made


@given(MAPPINGS, JSON)
def test_a_mapping_writes_only_the_fields_that_it_names(made: Mapping, value: Any) -> None:
    before = json.dumps(value)
    try:
        result = made.compile()(value)
    except BadInput:
        return
    named = {field.to[1:].replace("~1", "/").replace("~0", "~") for field in made.fields}
    assert result.keys() <= named
    assert json.dumps(value) == before


def test_a_result_shares_nothing_with_what_it_was_made_from() -> None:
    apply = Mapping(
        (FieldMapping(to="/a", source="/x"), FieldMapping(to="/b", const={"c": []})),
    ).compile()
    value = {"x": [1]}
    first = apply(value)
    first["a"].append(2)
    first["b"]["c"].append(3)
    assert value == {"x": [1]}
    assert apply(value) == {"a": [1], "b": {"c": []}}


def test_absent_optional_fields_stay_absent_and_absent_required_ones_are_named() -> None:
    apply = Mapping(
        (FieldMapping(to="/a", source="/x/y"), FieldMapping(to="/b", source="/z", required=True)),
    ).compile()
    assert apply({"z": 1}) == {"b": 1}
    assert apply({"x": 5, "z": None}) == {"b": None}
    with pytest.raises(BadInput) as caught:
        apply({"x": {"y": 1}})
    assert caught.value.violations == (("/z", "is required"),)


def test_a_null_counts_as_absent_where_the_target_takes_none() -> None:
    apply = Mapping((FieldMapping(to="/a", source="/x", null_is_absent=True),)).compile()
    assert apply({"x": None}) == {}


def test_a_refused_field_is_never_dropped_in_silence() -> None:
    apply = Mapping((FieldMapping(to="/a", source="/x"),), refused=("/only_vegan",)).compile()
    assert apply({"x": 1, "only_vegan": None}) == {"a": 1}
    with pytest.raises(BadInput):
        apply({"x": 1, "only_vegan": False})


def test_nested_objects_are_read_and_written() -> None:
    apply = Mapping(
        (
            FieldMapping(to="/place", const={}),
            FieldMapping(to="/place/city", source="/city"),
            FieldMapping(to="/flat", source="/deep/er"),
        )
    ).compile()
    assert apply({"city": "Rome", "deep": {"er": 1}}) == {"place": {"city": "Rome"}, "flat": 1}
    assert apply({}) == {"place": {}}


def test_items_are_mapped_one_by_one_and_errors_say_where() -> None:
    row = Mapping((FieldMapping(to="/n", source="/m", table=((True, 1), (1, "one"))),))
    apply = Mapping((FieldMapping(to="/rows", source="/items", each=row),)).compile()
    assert apply({"items": [{"m": True}, {"m": 1}, {}]}) == {"rows": [{"n": 1}, {"n": "one"}, {}]}
    with pytest.raises(BadInput) as caught:
        apply({"items": [{"m": 2}]})
    assert caught.value.violations[0][0] == "/items/m"
    with pytest.raises(BadInput):
        apply({"items": "text"})


def test_an_object_that_would_lack_what_it_needs_is_refused() -> None:
    apply = Mapping(
        (FieldMapping(to="/p/a", source="/a"), FieldMapping(to="/p/b", source="/b")),
        together=(("/p", "/p/a"), ("/p", "/p/b")),
    ).compile()
    assert apply({}) == {}
    assert apply({"a": 1, "b": 2}) == {"p": {"a": 1, "b": 2}}
    with pytest.raises(BadInput):
        apply({"a": 1})


def test_a_default_is_what_an_absent_source_stands_for_and_is_translated_like_it() -> None:
    apply = Mapping(
        (FieldMapping(to="/a", source="/x", has_default=True, default="eco", table=(("eco", "Economy"),)),)
    ).compile()
    assert apply({}) == {"a": "Economy"}


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {},
        {"fields": {}},
        {"fields": [], "more": 1},
        {"fields": [{"to": "/a"}]},
        {"fields": [{"to": "/a", "from": "/b", "const": 1}]},
        {"fields": [{"to": "a", "from": "/b"}]},
        {"fields": [{"to": 1, "from": "/b"}]},
        {"fields": [{"to": "/a", "from": None}]},
        {"fields": [{"to": "/a", "from": "/b", "code": "import os"}]},
        {"fields": [{"to": "/a", "from": "/b", "convert": ["eval"]}]},
        {"fields": [{"to": "/a", "from": "/b", "convert": ["unit", "celsius", "mile"]}]},
        {"fields": [{"to": "/a", "from": "/b", "convert": ["unit"]}]},
        {"fields": [{"to": "/a", "from": "/b", "convert": ["date", "YYYY-MM", "YYYY-MM-DD"]}]},
        {"fields": [{"to": "/a", "from": "/b", "convert": ["date", "YYYY-MM-DD", "(a+)+"]}]},
        {"fields": [{"to": "/a", "from": "/b", "table": [[1]]}]},
        {"fields": [{"to": "/a", "from": "/b", "table": [[[], 1]]}]},
        {"fields": [{"to": "/a", "from": "/b", "table": [["x", 1], ["x", 2]]}]},
        {"fields": [{"to": "/a", "from": "/b", "required": "yes"}]},
        {"fields": [{"to": "/a", "from": "/b", "each": []}]},
        {"fields": [{"to": "/a", "from": "/b", "each": {"fields": []}, "table": [["x", 1]]}]},
        {"fields": [{"to": "/a", "from": "/b"}, {"to": "/a", "from": "/c"}]},
        {"fields": [{"to": "/a", "from": "/b"}, {"to": "/a/c", "from": "/c"}]},
        {"fields": [{"to": "/a/c", "from": "/c"}, {"to": "/a", "from": "/b"}]},
        {"fields": [], "refused": ["x"]},
        {"fields": [], "refused": [1]},
        {"fields": [], "together": [["/a"]]},
        {"fields": [], "together": [["/a", 1]]},
        {"fields": [{"to": f"/{n}", "from": "/b"} for n in range(513)]},
        {"fields": [{"to": "/" + "a" * 513, "from": "/b"}]},
    ],
)
def test_what_is_no_mapping_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError):
        Mapping.from_json(bad)


def test_bottomless_json_is_refused() -> None:
    nested: Any = {"fields": []}
    const: Any = {}
    for _ in range(5000):
        nested = {"fields": [{"to": "/a", "from": "/b", "each": nested}]}
        const = {"a": const}
    for bad in (nested, {"fields": [{"to": "/a", "const": const}]}):
        with pytest.raises(UsageError):
            Mapping.from_json(bad)
