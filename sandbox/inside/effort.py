"""How long CPython's regular expression engine may take, reckoned from the pattern and the text's length.

The engine backtracks: where several parts of a pattern can share out the same text in several ways, it may try all of
them. `steps` bounds their number from above. It looks at each repeat's characters and at those that may follow: where
the two have nothing in common, the repeat ends in one place only, and nothing is multiplied.
"""

import functools
import math
import re
import re._compiler as compiler  # type: ignore[import-not-found]
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from typing import Any, NamedTuple

REPEATS = frozenset({codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT})
CHARACTERS = frozenset({codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN})
_LOOKS = frozenset({codes.ASSERT, codes.ASSERT_NOT})

# A set of characters is a number: one bit for each ASCII character, one for each kind of the others, and one for the
# end of the pattern, where nothing need follow.
_FIRST_BEYOND = 128
_ASCII = (1 << _FIRST_BEYOND) - 1
_DIGITS, _WORDS, _SPACES, _OTHERS = (1 << n for n in range(128, 132))
_BEYOND = _DIGITS | _WORDS | _SPACES | _OTHERS
ANYTHING = _ASCII | _BEYOND
END = 1 << 132
_KINDS = {
    codes.CATEGORY_DIGIT: _DIGITS,
    codes.CATEGORY_WORD: _DIGITS | _WORDS,
    codes.CATEGORY_SPACE: _SPACES,
    codes.CATEGORY_NOT_DIGIT: _WORDS | _SPACES | _OTHERS,
    codes.CATEGORY_NOT_WORD: _SPACES | _OTHERS,
    codes.CATEGORY_NOT_SPACE: _DIGITS | _WORDS | _OTHERS,
}
_TOO_MANY, _DIGITS_OF_TOO_MANY = 1e30, 30


def single(item: tuple[Any, Any], flags: int) -> "re.Pattern[str]":
    """CPython's own reading of one item of a parsed pattern."""
    state = parser.State()
    state.flags = flags
    compiled: re.Pattern[str] = compiler.compile(parser.SubPattern(state, [item]), flags)
    return compiled


def characters(item: tuple[Any, Any], flags: int) -> int:
    """The characters that an item of one character may stand for, and perhaps a few more."""
    return _characters(repr(item), flags, _Unhashed(item))


class _Unhashed:
    """Carries an item past the cache, whose key is the item's text."""

    def __init__(self, item: tuple[Any, Any]) -> None:
        self.item = item

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=1024)
def _characters(_text: str, flags: int, carried: _Unhashed) -> int:
    matches = single(carried.item, flags).match
    ascii_part = sum(1 << code for code in range(_FIRST_BEYOND) if matches(chr(code)))
    return ascii_part | _beyond(carried.item, flags)


def _beyond(item: tuple[Any, Any], flags: int) -> int:
    op, argument = item
    if flags & re.IGNORECASE:
        return _BEYOND
    if op is codes.LITERAL:
        return 0 if argument < _FIRST_BEYOND else _BEYOND
    if op is not codes.IN:
        return _BEYOND
    kinds = 0
    for what, value in argument:
        if what is codes.CATEGORY:
            # Under re.ASCII a class is of ASCII characters, and its opposite of all others.
            narrow = _KINDS[value] if not flags & re.ASCII else 0 if "NOT" not in str(value) else _BEYOND
            kinds |= narrow
        elif what is not codes.NEGATE and (value if what is codes.LITERAL else value[1]) >= _FIRST_BEYOND:
            return _BEYOND
    return _BEYOND & ~kinds if argument[0][0] is codes.NEGATE else kinds


class Effort(NamedTuple):
    """What a part of a pattern costs from one place of the text."""

    ways: float
    """In how many ways it may match and let the next part try."""
    steps: float
    first: int
    """The characters that it may begin with, those of what follows among them where it may be empty."""
    empty: bool
    lead: float
    """Steps before its first character."""


def steady(items: Any) -> float | None:
    """The most steps of an attempt that fails, where those of one that succeeds are no more than what it matched.

    None where that is not so. It is where everything has one width, except a repeat of single characters at the end:
    `[0-9]+` or `, *`, in which a search passes over each character once.
    """
    most = 0.0
    items = list(items)
    for place, (op, argument) in enumerate(items):
        if op in CHARACTERS or op is codes.AT:
            most += 1
        elif op is codes.SUBPATTERN and (place == len(items) - 1 or _is_fixed(argument[3])):
            inside = steady(argument[3])
            if inside is None:
                return None
            most += inside
        elif op in REPEATS and _is_character(argument[2]) and (place == len(items) - 1 or argument[0] == argument[1]):
            most += argument[0] + 1
        else:
            return None
    return most


def _is_character(body: Any) -> bool:
    return len(body) == 1 and body[0][0] in CHARACTERS


def _is_fixed(body: Any) -> bool:
    low, high = body.getwidth()
    return bool(low == high)


def steps(parsed: Any, flags: int, length: int) -> float:
    """The most steps that one attempt at one place of a text of `length` characters takes; at most about 1e30."""
    return min(_sequence(parsed, flags, length, END).steps, _TOO_MANY)


def _sequence(items: Any, flags: int, n: int, follow: int) -> Effort:
    rest = Effort(1, 1, follow, True, 0)
    for item in reversed(list(items)):
        part = _item(item, flags, n, rest)
        first = part.first | rest.first if part.empty else part.first
        lead = part.lead + rest.lead if part.empty else part.lead
        rest = Effort(
            min(part.ways * rest.ways, _TOO_MANY),
            min(part.steps + part.ways * rest.steps, _TOO_MANY),
            first,
            part.empty and rest.empty,
            lead,
        )
    return rest


def _item(item: tuple[Any, Any], flags: int, n: int, rest: Effort) -> Effort:
    """The effort of one item; `first` is its own only."""
    op, argument = item
    if op in CHARACTERS:
        return Effort(1, 1, characters(item, flags), False, 0)
    if op is codes.AT:
        return Effort(1, 1, 0, True, 1)
    if op is codes.BRANCH:
        return _branch(argument[1], flags, n, rest)
    if op is codes.SUBPATTERN:
        _, added, removed, body = argument
        return _sequence(body, (flags | added) & ~removed, n, rest.first)
    if op in REPEATS:
        return _repeat(argument, flags, n, rest)
    if op is codes.ATOMIC_GROUP:
        return _sequence(argument, flags, n, ANYTHING | END)._replace(ways=1)
    if op in _LOOKS:
        inside = _sequence(argument[1], flags, n, ANYTHING | END)
        return Effort(1, inside.steps + 1, ANYTHING | END, True, inside.steps + 1)
    # What is left refers back to a group, whose text may be long, or fails at once.
    return Effort(1, n + 1, ANYTHING | END, True, n + 1)


def _branch(branches: Any, flags: int, n: int, rest: Effort) -> Effort:
    parts = [_sequence(branch, flags, n, rest.first) for branch in branches]
    seen, apart = 0, True
    for part in parts:
        apart = apart and not part.first & seen
        seen |= part.first
    ways = [part.ways for part in parts]
    return Effort(
        max(ways) if apart else sum(ways),
        sum(part.steps for part in parts) + len(parts),
        seen,
        any(part.empty for part in parts),
        sum(part.lead + 1 for part in parts),
    )


def _begin(items: Any, flags: int) -> tuple[int, bool]:
    """The characters that a part may begin with, and whether it may be empty."""
    begin = 0
    for op, argument in items:
        if op in CHARACTERS:
            inner, empty = characters((op, argument), flags), False
        elif op is codes.SUBPATTERN:
            inner, empty = _begin(argument[3], (flags | argument[1]) & ~argument[2])
        elif op is codes.BRANCH:
            parts = [_begin(branch, flags) for branch in argument[1]]
            inner, empty = functools.reduce(int.__or__, (part[0] for part in parts)), any(part[1] for part in parts)
        elif op in REPEATS:
            inner, empty = _begin(argument[2], flags)
            empty = empty or argument[0] == 0
        else:
            inner, empty = (0 if op is codes.AT else ANYTHING), True
        begin |= inner
        if not empty:
            return begin, False
    return begin, True


def _repeat(argument: Any, flags: int, n: int, rest: Effort) -> Effort:
    low, high, body = argument
    once = high == 1
    # Before another round may come what follows, and the body again.
    begin = 0 if once else _begin(body, flags)[0]
    inside = _sequence(body, flags, n, rest.first | begin)
    rounds = float(min(high, n + 1) if high is not codes.MAXREPEAT else n + 1)
    rounds = max(rounds, low, 1)
    if inside.empty and not once:
        return Effort(_TOO_MANY, _TOO_MANY, inside.first, True, _TOO_MANY)
    if inside.ways > 1 and not once:
        ways = inside.ways**rounds * rounds if rounds * math.log10(inside.ways) < _DIGITS_OF_TOO_MANY else _TOO_MANY
    elif low == high:
        ways = 1.0
    elif inside.first & rest.first:
        ways = (rounds - low) + inside.ways
    else:
        ways = inside.ways
    paths = ways if inside.ways > 1 else 1
    each = inside.steps + rest.lead + 2
    return Effort(ways, min(paths * rounds * each, _TOO_MANY), inside.first, low == 0 or inside.empty, inside.lead + 1)
