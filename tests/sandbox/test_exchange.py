"""What passes between host and worker: exact plain JSON, checked once on each side, and tools' arguments."""

import enum
import functools
import json
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import NotPlain
from sandbox.exchange import decode_strangers_value, encode_host_value, misuse
from sandbox.inside import frames, plain

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
)
NOT_FINITE = st.sampled_from([float("nan"), float("inf"), float("-inf")])


def wrap(value: Any, path: list[bool]) -> Any:
    for as_list in path:
        value = [None, value] if as_list else {"a": "null", "b": value}
    return value


@given(VALUES)
def test_a_value_is_the_same_on_the_other_side_whichever_way_it_goes(value: Any) -> None:
    for text in (encode_host_value(value, "it"), plain.encode(value, 1 << 20)):
        for read in (plain.decode, decode_strangers_value, json.loads):
            got = read(text)
            assert got == value
            assert json.dumps(got, sort_keys=True) == json.dumps(value, sort_keys=True)


def test_long_and_short_values_are_written_alike() -> None:
    row = {"a": "é\n\u2028\x00", "b": [1, -2.5, 1e300, True, None, 2**64 - 1]}
    rows = [row] * 2000
    text = plain.encode(rows, 1 << 22)
    assert json.loads(text) == json.loads(b"[%s]" % b",".join([plain.encode(row, 1 << 20)] * 2000))
    assert plain.decode(text) == rows


@given(NOT_FINITE, st.lists(st.booleans(), max_size=8))
def test_no_number_that_is_not_finite_passes_at_any_depth(number: float, path: list[bool]) -> None:
    with pytest.raises(NotPlain):
        encode_host_value(wrap(number, path), "it")
    with pytest.raises(plain.NotPlainValue):
        plain.encode(wrap(number, path), 1 << 20)


class Colour(enum.Enum):
    RED = frozenset({1})


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [{1: 2}, {1}, b"x", object(), 2**64, -(2**63) - 1, "\ud800", 1j, Word("x"), {Word("x"): 1}, Colour.RED]
)
@pytest.mark.parametrize("path", [[], [True], [False, True]])
def test_the_host_sends_nothing_but_json(value: Any, path: list[bool]) -> None:
    with pytest.raises(NotPlain):
        encode_host_value(wrap(value, path), "it")


@pytest.mark.parametrize(
    "value",
    [{1: 2}, {1}, b"x", object(), 2**64, "\ud800", Word("x"), uuid.UUID(int=1), Colour.RED, wrap(1, [True] * 70)],
)
def test_a_worker_sends_nothing_but_json(value: Any) -> None:
    for padding in (0, 1 << 15):
        with pytest.raises(plain.NotPlainValue):
            plain.encode([value, "x" * padding], 1 << 20)


@pytest.mark.parametrize("value", [defaultdict(list, a=[1]), Counter("aab"), OrderedDict(a=1), (1, (2,))])
def test_the_dicts_of_collections_and_tuples_become_plain(value: Any) -> None:
    assert plain.decode(plain.encode(value, 1000)) == json.loads(json.dumps(value))


@given(VALUES)
def test_the_limit_is_of_bytes_and_exact(value: Any) -> None:
    text = plain.encode(value, 1 << 20)
    assert plain.encode(value, len(text)) == text
    with pytest.raises(plain.TooMuch):
        plain.encode(value, len(text) - 1)


@given(st.binary(max_size=100), st.none() | st.text(st.characters(exclude_categories=["Cs"])), st.binary(max_size=100))
def test_a_request_is_read_as_it_was_written(header: bytes, source: str | None, data: bytes) -> None:
    second = frames.NO_SOURCE if source is None else frames.part(source.encode())
    assert frames.read_request(frames.part(header) + second + data) == (header, source, data)


def takes(number: int, *, twice: bool = False) -> None: ...


def of_any(*args: int, **kwargs: int) -> None: ...


def closure(*, default: bool) -> Callable[..., Any]:
    """One code, with and without a default."""

    def tool(value: int) -> tuple[bool, int]:
        return default, value

    tool.__defaults__ = (1,) if default else None
    return tool


@functools.wraps(takes)
def wrapped(*args: Any, **kwargs: Any) -> None: ...


class Method:
    def tool(self, number: int) -> None: ...


@pytest.mark.parametrize(
    ("tool", "args", "kwargs", "fits"),
    [
        (takes, [1], {}, True),
        (takes, [1], {"twice": True}, True),
        (takes, [], {}, False),
        (takes, [1, 2], {}, False),
        (takes, [1], {"thrice": 1}, False),
        (of_any, [1, 2, 3], {"a": 1}, True),
        (closure(default=False), [], {}, False),
        (closure(default=True), [], {}, True),
        (closure(default=False), [1], {}, True),
        (wrapped, [], {}, False),
        (wrapped, [1], {}, True),
        (Method().tool, [1], {}, True),
        (Method().tool, [1, 2], {}, False),
        (functools.partial(takes, 1), [], {}, True),
        (lambda: None, [], {"a": 1}, False),
        (max, [1, 2], {}, True),
    ],
)
def test_arguments_that_do_not_fit_are_told_before_a_tool_is_called(
    tool: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], *, fits: bool
) -> None:
    assert (misuse(tool, "tool", args, kwargs) is None) is fits
