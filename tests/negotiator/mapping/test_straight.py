"""The straight way through a mapping makes what its steps make, and leaves every other value to them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator.errors import BadInput
from negotiator.mapping import Mapping, compiling
from negotiator.mapping.form import FieldMapping

NAMES = ["a", "b", "c", "__class__", 'x"]', "\n", "value"]
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
fields = st.fixed_dictionaries(dict.fromkeys(NAMES[:3], scalars), optional=dict.fromkeys(NAMES[3:], scalars))
items = st.lists(fields | scalars, max_size=3)
values = st.dictionaries(st.sampled_from(NAMES), scalars | items | fields, max_size=7) | scalars | items


@st.composite
def mappings(draw: st.DrawFn, depth: int = 2) -> Mapping:
    targets = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    made = []
    for target in targets:
        listed = depth > 0 and draw(st.booleans())
        made.append(
            FieldMapping(
                to="/" + target,
                source="/" + draw(st.sampled_from(NAMES)),
                each=draw(mappings(depth - 1)) if listed else None,
                required=draw(st.booleans()),
                null_is_absent=draw(st.booleans()),
            )
        )
    # As inference writes them: an empty object first.
    begin = [FieldMapping(to="", const={})] if draw(st.booleans()) else []
    return Mapping(fields=(*begin, *made))


def outcome(run: Any, value: Any) -> Any:
    try:
        return repr(run(value))
    except BadInput as error:
        return str(error), error.violations


@given(mappings(), values)
def test_the_straight_way_and_the_steps_make_the_same_of_any_value(mapping: Mapping, value: Any) -> None:
    straight = mapping.compile()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "straightened", lambda _fields, steps: steps)
        steps = mapping.compile()
    assert outcome(straight, value) == outcome(steps, value)


def test_names_are_values_and_never_part_of_a_program() -> None:
    name = '"]; raise SystemExit; x["'
    run = Mapping(fields=(FieldMapping(to="/" + name, source="/" + name),)).compile()
    assert run({name: 1}) == {name: 1}


def test_what_is_made_shares_no_list_with_what_it_was_made_of() -> None:
    inner = Mapping(fields=(FieldMapping(to="/y", source="/x"),))
    run = Mapping(
        fields=(FieldMapping(to="/list", source="/items", each=inner), FieldMapping(to="/as_it_is", source="/plain"))
    ).compile()
    given_ = {"items": [{"x": 1}], "plain": [[1]]}
    made = run(given_)
    given_["plain"][0].append(2)
    given_["items"][0]["x"] = 2
    assert made == {"list": [{"y": 1}], "as_it_is": [[1]]}
