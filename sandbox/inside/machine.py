"""Regular expressions in time that grows with the text's length and no faster.

The machine tries alternatives in the order that CPython's engine does, and remembers at which places of the text each
joint of the pattern has failed: it is never tried there again. So a search takes at most as many steps as the pattern
has parts times the text has characters, and finds what CPython's engine finds. What needs more memory than that is
refused by name: references back, atomic groups, groups inside of looks ahead, and repeats of what may be empty.
"""

import re._constants as codes  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

from sandbox.inside.effort import CHARACTERS, REPEATS, single, steps

MAX_PARTS = 4000
"""Parts of a pattern with its counted repeats written out."""
MAX_MARKS = 8_000_000
"""Joints of the pattern times characters of the text: the bytes that a search remembers its failures in."""
MAX_LOOKS = 4_000_000
"""Steps that all looks ahead and behind in one text may take together."""

_CHARACTER, _SPLIT, _SAVE, _CHECK, _END, _NEVER = range(6)
_GENERATIONS = 255

Spans = list[int]
"""Start and end of the match and of each group, -1 where it has none; then the last group that was closed, or -1."""


class NotForMachine(Exception):
    """The pattern has what this machine has not; the message names it."""


class _Letters(dict[str, bool]):
    """Whether a character fits one place of a pattern, as CPython has it."""

    def __init__(self, match: Any) -> None:
        self._match = match

    def __missing__(self, letter: str) -> bool:
        fits = self[letter] = self._match(letter) is not None
        return fits


class Machine:
    """One pattern, made ready."""

    def __init__(self, parsed: Any, flags: int, groups: int) -> None:
        self._parts: list[tuple[int, Any, int]] = []
        self._groups = groups
        self._looks: list[Any] = []
        self._letters: dict[tuple[str, int], _Letters] = {}
        self._entry = self._sequence(parsed, flags, self._add(_END, None, -1))
        self._joints = self._find_joints()

    def _add(self, op: int, argument: Any, following: int) -> int:
        if len(self._parts) >= MAX_PARTS:
            raise NotForMachine(f"repeats that are written out in more than {MAX_PARTS} parts")
        self._parts.append((op, argument, following))
        return len(self._parts) - 1

    def _sequence(self, items: Any, flags: int, following: int) -> int:
        for item in reversed(list(items)):
            following = self._item(item, flags, following)
        return following

    def _item(self, item: tuple[Any, Any], flags: int, following: int) -> int:  # noqa: C901 - one branch a kind of item
        op, argument = item
        if op in CHARACTERS:
            key = (repr(item), flags)
            if key not in self._letters:
                self._letters[key] = _Letters(single(item, flags).match)
            return self._add(_CHARACTER, self._letters[key], following)
        if op is codes.AT:
            return self._add(_CHECK, single(item, flags).match, following)
        if op in (codes.ASSERT, codes.ASSERT_NOT):
            if _has_groups(argument[1]):
                raise NotForMachine("a group inside of a look ahead or behind")
            self._looks.append((argument[1], flags))
            return self._add(_CHECK, single(item, flags).match, following)
        if op is codes.BRANCH:
            starts = [self._sequence(branch, flags, following) for branch in argument[1]]
            first = starts.pop()
            while starts:
                first = self._add(_SPLIT, starts.pop(), first)
            return first
        if op is codes.SUBPATTERN:
            return self._group(argument, flags, following)
        if op is codes.MAX_REPEAT or op is codes.MIN_REPEAT:
            return self._repeat(argument, flags, following, greedy=op is codes.MAX_REPEAT)
        if op is codes.FAILURE:
            return self._add(_NEVER, None, -1)
        raise NotForMachine(
            "a reference back to a group"
            if op in (codes.GROUPREF, codes.GROUPREF_EXISTS)
            else "an atomic group or a possessive repeat"
        )

    def _group(self, argument: Any, flags: int, following: int) -> int:
        number, added, removed, body = argument
        inner = (flags | added) & ~removed
        if number is None:
            return self._sequence(body, inner, following)
        close = self._add(_SAVE, 2 * number + 1, following)
        return self._add(_SAVE, 2 * number, self._sequence(body, inner, close))

    def _repeat(self, argument: Any, flags: int, following: int, *, greedy: bool) -> int:
        low, high, body = argument
        if high != 1 and body.getwidth()[0] == 0:
            raise NotForMachine("a repeat of something that may be empty")
        if high is codes.MAXREPEAT:
            loop = self._add(_SPLIT, -1, -1)
            again = self._sequence(body, flags, loop)
            self._parts[loop] = (_SPLIT, again, following) if greedy else (_SPLIT, following, again)
            # The last round that must be is the loop's own first.
            entry, low = (again, low - 1) if low else (loop, 0)
        else:
            entry = following
            for _ in range(high - low):
                again = self._sequence(body, flags, entry)
                entry = self._add(_SPLIT, again, following) if greedy else self._add(_SPLIT, following, again)
        for _ in range(low):
            entry = self._sequence(body, flags, entry)
        return entry

    def _find_joints(self) -> list[int]:
        """For each part the number of its joint, or -1 where only one part leads to it."""
        arrivals = [0] * len(self._parts)
        arrivals[self._entry] += 1
        for op, argument, following in self._parts:
            if op == _SPLIT:
                arrivals[argument] += 1
            if following >= 0:
                arrivals[following] += 1
        numbers = iter(range(len(arrivals)))
        return [next(numbers) if count > 1 else -1 for count in arrivals]

    def scan(self, text: str, start: int, end: int) -> "Scan":
        """A text to search in, from `start` to `end`.

        Raises:
            NotForMachine: The text is too long for this pattern.
        """
        width = end + 1
        joints = max(self._joints) + 1
        if joints * width > MAX_MARKS:
            raise NotForMachine(f"a pattern of {joints} joints in a text of {end} characters")
        if self._looks and width * sum(steps(body, flags, width) for body, flags in self._looks) > MAX_LOOKS:
            raise NotForMachine("so long a look ahead or behind in so long a text")
        return Scan(self._parts, self._joints, self._entry, 2 * (self._groups + 1), text, start, end, joints)


def _has_groups(items: Any) -> bool:
    for op, argument in items:
        if op is codes.SUBPATTERN and (argument[0] is not None or _has_groups(argument[3])):
            return True
        if op in REPEATS and _has_groups(argument[2]):
            return True
        if op is codes.BRANCH and any(map(_has_groups, argument[1])):
            return True
        if op in (codes.ASSERT, codes.ASSERT_NOT) and _has_groups(argument[1]):
            return True
    return False


class Scan:
    """One text and where in it each joint has failed."""

    def __init__(
        self,
        parts: list[tuple[int, Any, int]],
        joints: list[int],
        entry: int,
        slots: int,
        text: str,
        start: int,
        end: int,
        marked: int,
    ) -> None:
        self._parts, self._joints, self._entry, self._slots = parts, joints, entry, slots
        self._text, self._start, self._end = text, start, end
        self._marks = bytearray(marked * (end + 1))
        self._generation = 1

    def match(self, *, whole: bool = False) -> Spans | None:
        """The match at the start of the scan; with `whole`, one that reaches its end."""
        return self._at(self._start, whole=whole, moved=False)

    def search(self) -> Spans | None:
        """The first match."""
        return next(self.all(), None)

    def all(self) -> Iterator[Spans]:
        """Every match from left to right, none inside another; an empty one never where another match began."""
        start, moved = self._start, False
        while start <= self._end:
            found = self._at(start, whole=False, moved=moved)
            if found is None:
                start, moved = start + 1, False
                continue
            yield found
            # What was on the way to a match has not failed.
            self._forget()
            moved = found[0] == found[1]
            start = found[1]

    def _forget(self) -> None:
        if self._generation == _GENERATIONS:
            self._marks = bytearray(len(self._marks))
            self._generation = 0
        self._generation += 1

    def _at(self, start: int, *, whole: bool, moved: bool) -> Spans | None:  # noqa: C901, PLR0912 - the inner loop
        parts, joints, marks, generation = self._parts, self._joints, self._marks, self._generation
        text, end = self._text, self._end
        width = end + 1
        spans = [-1] * (self._slots + 1)
        spans[0] = start
        # A place to go on from, or (below zero) a slot and what it held before.
        waiting = [(self._entry, start)]
        while waiting:
            part, place = waiting.pop()
            if part < 0:
                spans[~part] = place
                continue
            while True:
                joint = joints[part]
                if joint >= 0:
                    if marks[joint * width + place] == generation:
                        break
                    marks[joint * width + place] = generation
                op, argument, following = parts[part]
                if op == _CHARACTER:
                    if place == end or not argument[text[place]]:
                        break
                    place += 1
                    part = following
                elif op == _SPLIT:
                    waiting.append((following, place))
                    part = argument
                elif op == _SAVE:
                    waiting.append((~argument, spans[argument]))
                    spans[argument] = place
                    if argument & 1:
                        waiting.append((~self._slots, spans[-1]))
                        spans[-1] = argument // 2
                    part = following
                elif op == _CHECK:
                    if argument(text, place, end) is None:
                        break
                    part = following
                elif op == _END:
                    if (whole and place != end) or (moved and place == start):
                        break
                    spans[1] = place
                    return spans
                else:
                    break
        return None
