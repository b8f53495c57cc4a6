"""Regular expressions whose time is bounded: CPython's own engine where it is sure to be fast, else `machine`.

Before each use the most steps that CPython's engine may take are reckoned (`effort`). Up to `MAX_STEPS`, some tenths
of a second, it runs. Beyond, `machine` does, which finds the same and whose time grows with the text's length only.
What neither can do is refused, and the error names it.
"""

import functools
import re
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.inside.effort import steady, steps
from sandbox.inside.machine import Machine, NotForMachine, Scan, Spans

MAX_PATTERN = 1000
MAX_TEXT = 1_000_000
MAX_STEPS = 10_000_000

_FLAGS = re.ASCII | re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE


class Pattern:
    """A compiled pattern. The language reads the names without an underscore."""

    __slots__ = ("_compiled", "_fast", "_machine", "_parsed", "flags", "groupindex", "groups", "pattern")

    def __init__(self, pattern: str, flags: int) -> None:
        self._parsed = parser.parse(pattern, flags)
        self._compiled = re.compile(pattern, flags)
        self._machine: Machine | None = None
        self._fast: dict[int, bool] = {}
        self.pattern = pattern
        self.flags = self._compiled.flags
        self.groups = self._compiled.groups
        # Compiled patterns are shared between calls, so nothing of one may change.
        self.groupindex = self._compiled.groupindex

    def __repr__(self) -> str:
        return repr(self._compiled)

    def _is_fast(self, length: int, *, anchored: bool = False) -> bool:
        size = 2 * length.bit_length() + anchored
        fast = self._fast.get(size)
        if fast is None:
            most = 1 << length.bit_length()
            failing = None if anchored else steady(self._parsed)
            each = steps(self._parsed, self.flags, most) if failing is None else failing
            fast = self._fast[size] = (1 if anchored else most + 1) * each <= MAX_STEPS
        return fast

    def _scan(self, text: str, start: int, end: int) -> Scan:
        try:
            if self._machine is None:
                self._machine = Machine(self._parsed, self.flags, self.groups)
            return self._machine.scan(text, start, end)
        except NotForMachine as reason:
            raise re.error(
                f"this pattern may take too long for this text here, because it has {reason}; write it more simply",
                self.pattern,
            ) from None

    def search(self, string: Any, pos: Any = 0, endpos: Any = MAX_TEXT) -> Any:
        """As `re.Pattern.search`."""
        if self._is_fast(len(_text(string))):
            return self._compiled.search(string, pos, endpos)
        start, end = _bounds(string, pos, endpos)
        return self._found(self._scan(string, start, end).search(), string, start, end)

    def match(self, string: Any, pos: Any = 0, endpos: Any = MAX_TEXT) -> Any:
        """As `re.Pattern.match`."""
        if self._is_fast(len(_text(string)), anchored=True):
            return self._compiled.match(string, pos, endpos)
        start, end = _bounds(string, pos, endpos)
        return self._found(self._scan(string, start, end).match(), string, start, end)

    def fullmatch(self, string: Any, pos: Any = 0, endpos: Any = MAX_TEXT) -> Any:
        """As `re.Pattern.fullmatch`."""
        if self._is_fast(len(_text(string)), anchored=True):
            return self._compiled.fullmatch(string, pos, endpos)
        start, end = _bounds(string, pos, endpos)
        return self._found(self._scan(string, start, end).match(whole=True), string, start, end)

    def finditer(self, string: Any, pos: Any = 0, endpos: Any = MAX_TEXT) -> Iterator[Any]:
        """As `re.Pattern.finditer`."""
        if self._is_fast(len(_text(string))):
            return self._compiled.finditer(string, pos, endpos)
        return self._all(string, pos, endpos)

    def _all(self, string: str, pos: int = 0, endpos: int = MAX_TEXT) -> "Iterator[Match]":
        start, end = _bounds(string, pos, endpos)
        return (Match(self, string, spans, start, end) for spans in self._scan(string, start, end).all())

    def _found(self, spans: Spans | None, text: str, start: int, end: int) -> "Match | None":
        return None if spans is None else Match(self, text, spans, start, end)

    def findall(self, string: Any, pos: Any = 0, endpos: Any = MAX_TEXT) -> list[Any]:
        """As `re.Pattern.findall`."""
        if self._is_fast(len(_text(string))):
            return self._compiled.findall(string, pos, endpos)
        if self.groups > 1:
            return [found.groups("") for found in self._all(string, pos, endpos)]
        return [found.group(self.groups) or "" for found in self._all(string, pos, endpos)]

    def split(self, string: Any, maxsplit: Any = 0) -> list[Any]:
        """As `re.Pattern.split`."""
        if self._is_fast(len(_text(string))):
            return self._compiled.split(string, maxsplit)
        parts: list[Any] = []
        end = 0
        for count, found in enumerate(self._all(string)):
            if 0 < maxsplit <= count:
                break
            parts += [string[end : found.start()], *found.groups()]
            end = found.end()
        return [*parts, string[end:]] if maxsplit >= 0 else [string]

    def sub(self, repl: Any, string: Any, count: Any = 0) -> str:
        """As `re.Pattern.sub`."""
        return self.subn(repl, string, count)[0]

    def subn(self, repl: Any, string: Any, count: Any = 0) -> tuple[str, int]:
        """As `re.Pattern.subn`."""
        if self._is_fast(len(_text(string))):
            return self._compiled.subn(repl, string, count)
        replaced: Any = repl if callable(repl) else self._template(repl)
        parts: list[str] = []
        made = end = 0
        for found in self._all(string):
            if 0 < count <= made:
                break
            parts += [string[end : found.start()], _text(replaced(found))]
            end = found.end()
            made += 1
        return "".join(parts) + string[end:], made

    def _template(self, template: Any) -> Callable[[Any], str]:
        pieces = _pieces(_text(template), self._compiled)
        return lambda found: "".join(piece if isinstance(piece, str) else found.group(piece) or "" for piece in pieces)


def _pieces(template: str, compiled: "re.Pattern[str]") -> list[str | int]:
    parsed = parser.parse_template(template, compiled)
    if type(parsed) is tuple:  # Python 3.11: ([(place, group)], [text or None])
        at = dict(parsed[0])
        return [at.get(place, text) for place, text in enumerate(parsed[1])]
    return list(parsed)


class Match:
    """What `machine` found, with the names of `re.Match`."""

    __slots__ = ("_spans", "endpos", "pos", "re", "string")

    def __init__(self, pattern: Pattern, text: str, spans: Spans, pos: int, endpos: int) -> None:
        self.re, self.string, self.pos, self.endpos = pattern, text, pos, endpos
        self._spans = spans

    def __repr__(self) -> str:
        return f"<re.Match object; span={self.span()}, match={self.group()!r}>"

    def __getitem__(self, group: Any) -> str | None:
        start, end = self.span(group)
        return None if start < 0 else self.string[start:end]

    def group(self, *groups: Any) -> Any:
        """As `re.Match.group`."""
        if len(groups) > 1:
            return tuple(self[group] for group in groups)
        return self[groups[0] if groups else 0]

    def groups(self, default: Any = None) -> tuple[Any, ...]:
        """As `re.Match.groups`."""
        return tuple(self._or(group, default) for group in range(1, self.re.groups + 1))

    def groupdict(self, default: Any = None) -> dict[str, Any]:
        """As `re.Match.groupdict`."""
        return {name: self._or(group, default) for name, group in self.re.groupindex.items()}

    def _or(self, group: int, default: Any) -> Any:
        found = self[group]
        return default if found is None else found

    def span(self, group: Any = 0) -> tuple[int, int]:
        """As `re.Match.span`."""
        number = self.re.groupindex.get(group, -1) if type(group) is str else group
        if type(number) is not int or not 0 <= number <= self.re.groups:
            raise IndexError("no such group")
        return self._spans[2 * number], self._spans[2 * number + 1]

    def start(self, group: Any = 0) -> int:
        """As `re.Match.start`."""
        return self.span(group)[0]

    def end(self, group: Any = 0) -> int:
        """As `re.Match.end`."""
        return self.span(group)[1]

    def expand(self, template: Any) -> str:
        """As `re.Match.expand`."""
        return str(self.re._template(template)(self))  # noqa: SLF001 - of this file

    @property
    def lastindex(self) -> int | None:
        """As `re.Match.lastindex`."""
        return self._spans[-1] if self._spans[-1] > 0 else None

    @property
    def lastgroup(self) -> str | None:
        """As `re.Match.lastgroup`."""
        return next((name for name, group in self.re.groupindex.items() if group == self.lastindex), None)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("regular expressions search in text")
    if len(value) > MAX_TEXT:
        raise ValueError(f"regular expressions search in at most {MAX_TEXT} characters here")
    return value


def _bounds(text: str, pos: int, endpos: int) -> tuple[int, int]:
    end = max(0, min(endpos, len(text)))
    return min(max(0, pos), end), end


def compile_pattern(pattern: Any, flags: Any = 0) -> Pattern:
    """`re.compile`.

    Raises:
        re.error: The pattern is malformed or longer than 1000 characters.
    """
    if type(pattern) is Pattern:
        return pattern
    if type(pattern) is not str:
        raise TypeError("a pattern is text")
    if len(pattern) > MAX_PATTERN:
        raise re.error(f"a pattern has at most {MAX_PATTERN} characters here")
    if type(flags) is not int:
        raise TypeError("flags are numbers, such as re.IGNORECASE")
    return _compiled(pattern, flags & int(_FLAGS))


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str, flags: int) -> Pattern:
    return Pattern(pattern, flags)


def _function(name: str) -> Any:
    def function(pattern: Any, string: Any, flags: Any = 0) -> Any:
        return getattr(compile_pattern(pattern, flags), name)(string)

    function.__name__ = name
    return function


def _split(pattern: Any, string: Any, maxsplit: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).split(string, maxsplit)


def _sub(pattern: Any, repl: Any, string: Any, count: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).sub(repl, string, count)


def _subn(pattern: Any, repl: Any, string: Any, count: Any = 0, flags: Any = 0) -> Any:
    return compile_pattern(pattern, flags).subn(repl, string, count)


MEMBERS: dict[str, Any] = {
    "compile": compile_pattern,
    "error": re.error,
    "escape": re.escape,
    "split": _split,
    "sub": _sub,
    "subn": _subn,
    **{name: _function(name) for name in ("search", "match", "fullmatch", "findall", "finditer")},
    "NOFLAG": 0,
    **{
        name: int(getattr(re, name))
        for name in ("A", "ASCII", "I", "IGNORECASE", "M", "MULTILINE", "S", "DOTALL", "X", "VERBOSE", "U", "UNICODE")
    },
}
