"""Regular expressions without exponential backtracking.

CPython's own engine runs them. A pattern in which an unbounded repeat holds another repeat or an
alternation, or that refers back to a group, is refused: what is left takes polynomial time at worst, and the
host's deadline ends that.
"""

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from typing import Any

MAX_PATTERN = 1000
MAX_TEXT = 1_000_000

_REPEATS = frozenset({codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT})
_SMALL = 10
_FLAGS = re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE


def compile_pattern(pattern: Any, flags: Any = 0) -> "re.Pattern[str]":
    """`re.compile` for the patterns that are safe to run.

    Raises:
        re.error: The pattern is malformed, longer than 1000 characters, or may backtrack without bound.
    """
    if type(pattern) is re.Pattern:
        return pattern
    if type(pattern) is not str:
        raise TypeError("a pattern is text")
    if len(pattern) > MAX_PATTERN:
        raise re.error(f"a pattern has at most {MAX_PATTERN} characters here")
    wanted = int(flags) & int(_FLAGS)
    _check(parser.parse(pattern, wanted), inside_repeat=False)
    return re.compile(pattern, wanted)


def _check(parsed: Any, *, inside_repeat: bool) -> None:  # noqa: C901 - one branch a kind of node
    for op, argument in parsed:
        if op in _REPEATS:
            low, high, body = argument
            if inside_repeat and high > _SMALL:
                raise re.error("a repeat inside a repeat is not available here: it may take exponential time")
            if low > MAX_PATTERN or (high is not codes.MAXREPEAT and high > MAX_PATTERN):
                raise re.error(f"a repeat counts to at most {MAX_PATTERN} here")
            _check(body, inside_repeat=inside_repeat or high > 1)
        elif op is codes.BRANCH:
            if inside_repeat and len(argument[1]) > 1 and any(_may_be_long(branch) for branch in argument[1]):
                raise re.error("an alternation of repeats inside a repeat is not available here")
            for branch in argument[1]:
                _check(branch, inside_repeat=inside_repeat)
        elif op is codes.SUBPATTERN:
            _check(argument[3], inside_repeat=inside_repeat)
        elif op is codes.ATOMIC_GROUP:
            _check(argument, inside_repeat=inside_repeat)
        elif op in (codes.ASSERT, codes.ASSERT_NOT):
            _check(argument[1], inside_repeat=inside_repeat)
        elif op in (codes.GROUPREF, codes.GROUPREF_EXISTS):
            raise re.error("references back to a group are not available here")


def _may_be_long(branch: Any) -> bool:
    return any(op in _REPEATS for op, _ in branch)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("regular expressions search in text")
    if len(value) > MAX_TEXT:
        raise ValueError(f"regular expressions search in at most {MAX_TEXT} characters here")
    return value


def _search(name: str) -> Any:
    def search(pattern: Any, string: Any, flags: Any = 0) -> Any:
        return getattr(compile_pattern(pattern, flags), name)(_text(string))

    return search


def _split(pattern: Any, string: Any, maxsplit: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).split(_text(string), maxsplit)


def _sub(pattern: Any, repl: Any, string: Any, count: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).sub(repl, _text(string), count)


def _subn(pattern: Any, repl: Any, string: Any, count: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).subn(repl, _text(string), count)


MEMBERS: dict[str, Any] = {
    "compile": compile_pattern,
    "error": re.error,
    "escape": re.escape,
    "split": _split,
    "sub": _sub,
    "subn": _subn,
    **{name: _search(name) for name in ("search", "match", "fullmatch", "findall", "finditer")},
    **{
        name: int(getattr(re, name))
        for name in ("A", "ASCII", "I", "IGNORECASE", "M", "MULTILINE", "S", "DOTALL", "X", "VERBOSE", "U", "UNICODE")
    },
}
