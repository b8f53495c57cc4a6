"""Closed lists of values in two spellings: which value of one stands for which of the other.

A table is made only where every value of the source has one counterpart that nothing else comes near, and no two
have the same one. What is left over at the target is left over.
"""

from collections.abc import Sequence
from typing import Final

from negotiator.jsonvalue import JsonValue
from negotiator.mapping import words

_ENOUGH: Final = 0.75
"""How alike a value and its counterpart have to be, from 0 to 1."""
_APART: Final = 0.2
"""By how much less alike everything else has to be."""
_CONCEPTS_ALIKE: Final = 0.85
_PREFIX: Final = 0.85
_SPELT_ALIKE: Final = 0.9
_LONG: Final = 5
"""Letters of a word from which one may differ."""
_LONGER: Final = 9
"""The same for two."""
_NEGATIONS: Final = ("un", "in", "im", "dis", "non", "not", "no", "de", "off")


def table_between(source: Sequence[JsonValue], target: Sequence[JsonValue]) -> tuple[tuple[JsonValue, JsonValue], ...]:
    """The rows that translate each value of `source`; empty where any is not sure."""
    here, there = _told_apart(source), _told_apart(target)
    if len(source) > len(target) or not all((*here, *there)):
        return ()
    alike = [[_alike(one, other) for other in there] for one in here]
    rows = []
    taken: set[int] = set()
    for at, line in enumerate(alike):
        best = max(range(len(line)), key=line.__getitem__)
        others = [*(each for place, each in enumerate(line) if place != best)]
        others += [alike[row][best] for row in range(len(alike)) if row != at]
        if line[best] < _ENOUGH or best in taken or max(others, default=0.0) > line[best] - _APART:
            return ()
        taken.add(best)
        rows.append((source[at], target[best]))
    return tuple(rows)


def _told_apart(values: Sequence[JsonValue]) -> list[tuple[str, ...]]:
    """Each value's words, without those that all of them have: `class` of `economy class`, `first class`."""
    said = [words.words(str(value)) for value in values]
    common = frozenset.intersection(*map(frozenset, said)) if len(said) > 1 else frozenset()
    return [tuple(word for word in each if word not in common) or each for each in said]


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    if sorted(map(words.stem, one)) == sorted(map(words.stem, other)):
        return 1.0
    here, there = words.poles(one), words.poles(other)
    if any(here[axis] * there.get(axis, 0.0) < 0 for axis in here):
        return 0.0
    joint, its = "".join(one), "".join(other)
    if joint == its:
        return 1.0
    shorter, longer = sorted((joint, its), key=len)
    if any(longer == negation + shorter for negation in _NEGATIONS):
        return 0.0
    if _spelt_alike(joint, its):
        return _SPELT_ALIKE
    initials = "".join(word[0] for word in (one if len(one) > len(other) else other))
    if longer.startswith(shorter) or (len(shorter) > 1 and shorter == initials):
        return _PREFIX
    mine, theirs = (words.vector((word, 1.0) for word in each) for each in (one, other))
    near = words.cosine(mine, theirs, {})
    return near if near >= _CONCEPTS_ALIKE else min(near, _ENOUGH - 0.01)


def _spelt_alike(one: str, other: str) -> bool:
    short = min(len(one), len(other))
    allowed = 0 if short < _LONG else 1 if short < _LONGER else 2
    if not allowed or abs(len(one) - len(other)) > allowed:
        return False
    return _distance(one, other) <= allowed


def _distance(one: str, other: str) -> int:
    """Letters to put in, take out or change (Levenshtein, 1966)."""
    line = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        diagonal, line[0] = line[0], row
        for column, its in enumerate(other, 1):
            diagonal, line[column] = (
                line[column],
                min(line[column] + 1, line[column - 1] + 1, diagonal + (letter != its)),
            )
    return line[-1]
