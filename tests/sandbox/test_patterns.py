"""Regular expressions: what CPython's engine finds, in time that no pattern can blow up."""

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sandbox.inside import effort, patterns
from sandbox.inside.machine import Machine, NotForMachine

LETTERS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\s", r"\d", "A", "-", "(?:)", "é"])
ZERO = st.sampled_from(["^", "$", r"\b", r"\B", r"\A", r"\Z", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)"])
COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "*?", "+?", "??", "{1,2}?"])


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map(lambda text: f"(?:{text})"),
        inner.map(lambda text: f"({text})"),
        st.tuples(inner, COUNTS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        st.tuples(LETTERS, COUNTS).map("".join),
    )


PATTERNS = st.recursive(LETTERS | ZERO, _more, max_leaves=7)
TEXTS = st.text(alphabet="aabbA- é1\n", max_size=14)
FLAGS = st.sampled_from([0, re.IGNORECASE, re.MULTILINE, re.DOTALL, re.ASCII, re.IGNORECASE | re.MULTILINE])


class Slow(patterns.Pattern):
    """A pattern that always goes to the machine."""

    __slots__ = ()

    def _is_fast(self, length: int, *, anchored: bool = False) -> bool:
        del length, anchored
        return False


def seen(found: Any) -> Any:
    """All that a match says."""
    return found and (found.span(), found.groups(), found.groupdict(), found.group())


@given(PATTERNS, FLAGS, TEXTS)
def test_the_machine_finds_what_cpython_finds(pattern: str, flags: int, text: str) -> None:
    theirs = re.compile(pattern, flags)
    ours = Slow(pattern, flags)
    try:
        found = [list(map(seen, ours.finditer(text))), seen(ours.match(text)), seen(ours.fullmatch(text))]
        parts = [ours.split(text), ours.sub("<\\g<0>>", text), ours.findall(text), ours.subn("x", text, 1)]
    except re.error as error:
        assume("a repeat of something that may be empty" not in str(error))
        raise
    assert found == [list(map(seen, theirs.finditer(text))), seen(theirs.match(text)), seen(theirs.fullmatch(text))]
    assert parts == [theirs.split(text), theirs.sub("<\\g<0>>", text), theirs.findall(text), theirs.subn("x", text, 1)]


@given(PATTERNS, TEXTS)
def test_the_reckoned_effort_is_an_upper_bound(pattern: str, text: str) -> None:
    parsed = re._parser.parse(pattern, 0)  # type: ignore[attr-defined]
    flags = re.compile(pattern).flags
    try:
        machine = Machine(parsed, flags, re.compile(pattern).groups)
    except NotForMachine:
        assume(False)
    bound = effort.steps(parsed, flags, len(text))
    for start in range(len(text) + 1):
        # A part of the machine is less than what is counted as a step: it opens and closes groups too.
        assert backtracked(machine, text, start) <= bound * 4


def backtracked(machine: Machine, text: str, start: int) -> int:
    """Parts that are looked at from `start` when nothing is remembered, as in CPython's engine."""
    waiting = [(machine._entry, start)]
    count = 0
    while waiting and count < 100_000:
        part, place = waiting.pop()
        while True:
            op, argument, following = machine._parts[part]
            count += 1
            if op == 0:
                if place == len(text) or not argument[text[place]]:
                    break
                place += 1
            elif op == 1:
                waiting.append((following, place))
                following = argument
            elif op == 3 and argument(text, place, len(text)) is None:
                break
            elif op == 4:
                return count
            elif op == 5:
                break
            part = following
    return count


HOSTILE = {
    "nested repeats": (r"(a+)+$", "a" * 5000 + "b"),
    "nested lazy repeats": (r"(a+?)+?$", "a" * 5000 + "b"),
    "repeats three deep": (r"((a+)+)+$", "a" * 2000 + "b"),
    "overlapping alternatives": (r"(a|a)*c", "a" * 5000 + "b"),
    "overlapping longer alternatives": (r"(a|ab|aba|b)*c", "ab" * 2000),
    "an alternative of repeats": (r"(a+|b+|ab)*c", "ab" * 2000),
    "twenty repeats in a row": ("a*" * 20 + "b", "a" * 3000),
    "repeats with a separator that may be missing": (r"(\w+,?)+;", "word" * 1000),
    "an address that never ends": (r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+[.]{1}", "a" * 3000),
    "dots and stars": (r".*.*.*=.*", "x" * 2000),
    "a long alternation": ("(?:" + "|".join(["a" * n for n in range(1, 40)]) + ")*b", "a" * 1000),
    "counted repeats of repeats": (r"(a{1,9}){1,9}b", "a" * 3000),
    "spaces before the end": (r"\s+$", " " * 50_000 + "x"),
    "a quoted text that never ends": (r'"(?:[^"\\]|\\.)*"', '"' + "\\a" * 20_000),
    "repeats forty deep": ("(?:" * 40 + "a+" + ")+" * 40 + "b", "a" * 300),
    "repeats forty deep with alternatives": ("(?:x|" * 40 + "a+" + ")+" * 40 + "b", "a" * 300),
    "case folded": (r"(?i)(a|A)*b", "aA" * 3000),
}


@pytest.mark.parametrize(("pattern", "text"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_pattern_that_would_backtrack_for_ever_ends(pattern: str, text: str) -> None:
    # That this test ends is what it tests: each of these takes CPython's engine hours or longer.
    assert patterns.compile_pattern(pattern).search(text) is None


@pytest.mark.parametrize(
    ("pattern", "text", "named"),
    [
        (r"(a*)*\1b", "a" * 40, "a reference back to a group"),
        (r"(a*)*b", "a" * 400, "a repeat of something that may be empty"),
        (r"(?:a++)*?b", "a" * 4000, "an atomic group or a possessive repeat"),
        (r"(?:(?=(a+))a)*b", "a" * 4000, "a group inside of a look ahead or behind"),
        (r"(?=.*x)(?:a|a)*b", "a" * 4000, "so long a look ahead or behind in so long a text"),
        (r"(?:a{1000}){1000}", "a" * 4000, "repeats that are written out in more than"),
        (r"(?:a|aa)+" * 10 + "b", "a" * 999_999, "joints in a text of 999999 characters"),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(pattern: str, text: str, named: str) -> None:
    with pytest.raises(re.error, match=named):
        patterns.compile_pattern(pattern).search(text)


def test_a_reference_back_works_in_a_short_text() -> None:
    assert patterns.compile_pattern(r"(['\"])(.*?)\1").search("say 'hi' now").group(2) == "hi"


@pytest.mark.parametrize("make", [patterns.Pattern, Slow])
def test_a_match_of_either_engine_reads_the_same(make: type[patterns.Pattern]) -> None:
    pattern = make(r"(?P<key>\w+)=(?P<value>\w+)?|(?P<rest>;)", 0)
    found = pattern.search("  size=;")
    assert (found.group("key"), found.group(1, 2), found["value"], found[0]) == ("size", ("size", None), None, "size=")
    assert (found.start(), found.end("key"), found.span("value"), found.pos, found.endpos) == (2, 6, (-1, -1), 0, 8)
    assert (found.groups("-"), found.groupdict()["rest"], found.lastgroup) == (("size", "-", "-"), None, "key")
    assert found.expand(r"\1:\g<value>.") == "size:."
    assert repr(found) == "<re.Match object; span=(2, 7), match='size='>"
    assert pattern.sub(lambda m: m.group().upper(), "a=b;c", count=1) == "A=B;c"
    assert pattern.split("a=b;c", maxsplit=1) == ["", "a", "b", None, ";c"]
    assert pattern.match("x a=b", 2).group("value") == "b"
    assert pattern.search("a=b", 0, 2).group() == "a="
    assert pattern.groupindex == {"key": 1, "value": 2, "rest": 3}
    with pytest.raises(IndexError):
        found.group("other")
