"""Names and descriptions as words: split, stemmed, and placed in a space of concepts."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Final, TypeAlias

from negotiator.mapping.lexicon import ABBREVIATIONS, CONCEPTS, OPPOSITES, STOPWORDS, UNIT_WORDS

Vector: TypeAlias = dict[str, float]

MAX_TEXT_CHARS: Final = 400
"""Of a name or description, what is read; peers may write more."""
_STOPWORD_WEIGHT: Final = 0.1
_CONCEPT_WEIGHT: Final = 0.85
"""Of a concept, beside the word itself."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[a-z]+|[0-9]+|[\u3400-\u9fff]+|[°℃℉][cf]?|[%$€£]")
_COMPOUNDS: Final = (
    (re.compile(r"\bdrop[\s_-]?(?:ped[\s_-]?)?off\b"), "dropoff"),
    (re.compile(r"\bpick(?:ed|ing)?[\s_-]?up\b"), "pickup"),
    (re.compile(r"\bcheck(?:ing)?[\s_-]?in\b"), "checkin"),
    (re.compile(r"\bcheck(?:ing)?[\s_-]?out\b"), "checkout"),
    (re.compile(r"\bwi[\s_-]?fi\b"), "wifi"),
    (re.compile(r"\btake[\s_-]?off\b"), "takeoff"),
    (re.compile(r"\bnon[\s_-]?stop\b"), "nonstop"),
    (re.compile(r"\be[\s_-]mail\b"), "email"),
    (re.compile(r"\b(?:zip|post(?:al)?)[\s_-]?code\b"), "postcode"),
    (re.compile(r"\bmiles per hour\b"), "mph"),
    (re.compile(r"\bmet(?:er|re)s per second\b|\bm/s\b"), "mps"),
    (re.compile(r"\bkilomet(?:er|re)s per hour\b|\bkm/h\b"), "kmh"),
    (re.compile(r"\borigin[\s_-]+(?:to[\s_-]+)?destination\b"), "outbound"),
    (re.compile(r"\bdestination[\s_-]+(?:to[\s_-]+)?origin\b"), "inbound"),
    (re.compile(r"\b(?:ride|travel|journey|driving|commute)[\s_-]time\b"), "travel duration"),
    (re.compile(r"\bhow many\b"), "count many"),
    (re.compile(r"\bhow much\b"), "price much"),
    (re.compile(r"\bhow long\b"), "duration long"),
)
_SUFFIXES: Final = (
    ("ically", ""),
    ("ations", ""),
    ("ation", ""),
    ("ments", ""),
    ("ment", ""),
    ("ities", ""),
    ("ity", ""),
    ("ingly", ""),
    ("ings", ""),
    ("ing", ""),
    ("tures", "t"),
    ("ture", "t"),
    ("ions", ""),
    ("ion", ""),
    ("ables", ""),
    ("able", ""),
    ("ables", ""),
    ("ally", ""),
    ("als", ""),
    ("al", ""),
    ("ers", ""),
    ("er", ""),
    ("ies", "y"),
    ("ied", "y"),
    ("es", ""),
    ("ed", ""),
    ("ly", ""),
    ("s", ""),
    ("e", ""),
)
_SHORTEST_STEM: Final = 3


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A light stem: endings that change the grammar and seldom the thing are cut.

    Both sides are stemmed alike, so that a stem need not be a word.
    """
    if not word.isascii() or len(word) <= _SHORTEST_STEM:
        return word
    for ending, instead in _SUFFIXES:
        if word.endswith(ending) and len(word) - len(ending) + len(instead) >= _SHORTEST_STEM:
            word = word[: len(word) - len(ending)] + instead
            break
    if len(word) > _SHORTEST_STEM and word[-1] == word[-2] and word[-1] not in "aeosl":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") else word


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """The words of a name or description, lower case, in order, abbreviations written out.

    Chinese runs are cut into all their one- and two-character parts that the lexicon knows, else into pairs.
    """
    plain = _CAMEL.sub(" ", text[:MAX_TEXT_CHARS]).replace("_", " ").lower()
    for pattern, instead in _COMPOUNDS:
        plain = pattern.sub(instead, plain)
    found: list[str] = []
    for word in _WORD.findall(plain):
        if word[0] >= "\u3400" and word[0] <= "\u9fff":
            found.extend(_chinese_words(word))
        else:
            found.append(ABBREVIATIONS.get(word, word))
    return tuple(found)


def spoken(name: str) -> str:
    """A name as one would say it: its words in order, abbreviations written out, Chinese as it stands."""
    plain = _CAMEL.sub(" ", name[:MAX_TEXT_CHARS]).replace("_", " ").replace("-", " ").lower()
    return " ".join(ABBREVIATIONS.get(word, word) for word in plain.split())


def _chinese_words(run: str) -> Iterable[str]:
    known = [part for size in (4, 3, 2, 1) for part in _parts(run, size) if part in known_chinese()]
    return known or (_parts(run, 2) if len(run) > 1 else [run])


def _parts(run: str, size: int) -> list[str]:
    return [run[at : at + size] for at in range(len(run) - size + 1)]


def _lines(text: str) -> Iterable[tuple[str, list[tuple[str, float]]]]:
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        entries = []
        for entry in rest.split():
            word, _, weight = entry.partition("~")
            entries.append((word, float(weight) if weight[:1].isdigit() else 1.0))
        yield name, entries


@cache
def concepts_by_stem() -> dict[str, Vector]:
    """The concepts that the lexicon has for each stem, with how near they are."""
    found: dict[str, Vector] = {}
    for concept, entries in _lines(CONCEPTS):
        for word, weight in entries:
            place = found.setdefault(stem(word), {})
            key = f"#{concept}"
            place[key] = max(place.get(key, 0.0), weight * _CONCEPT_WEIGHT)
    return found


@cache
def axes_by_stem() -> dict[str, dict[str, float]]:
    """Where the lexicon has each stem on axes of opposites."""
    found: dict[str, dict[str, float]] = {}
    seen: set[str] = set()
    for axis, entries in _lines(OPPOSITES):
        sign = -1.0 if axis in seen else 1.0
        seen.add(axis)
        for word, weight in entries:
            place = found.setdefault(stem(word), {})
            place[axis] = place.get(axis, 0.0) + sign * weight
    return found


@cache
def _units() -> dict[str, str]:
    return {word: unit for unit, entries in _lines(UNIT_WORDS) for word, _ in entries}


@cache
def _stops() -> frozenset[str]:
    return frozenset(stem(word) for word in STOPWORDS)


@cache
def known_chinese() -> frozenset[str]:
    """The words of Chinese that the lexicon knows."""
    return frozenset(
        word for word in (*concepts_by_stem(), *axes_by_stem(), *_units()) if "\u3400" <= word[0] <= "\u9fff"
    )


_TEMPERATURES: Final = frozenset({"temperature", "temperatures", "degree", "degrees", "deg"})


def vector(weighted_words: Iterable[tuple[str, float]]) -> Vector:
    """Words with weights as a vector: one dimension per stem, one per concept."""
    made: Vector = {}
    stops, concepts = _stops(), concepts_by_stem()
    for word, weight in weighted_words:
        base = stem(word)
        scaled = weight * _STOPWORD_WEIGHT if base in stops else weight
        made[base] = max(made.get(base, 0.0), scaled)
        for concept, nearness in concepts.get(base, {}).items():
            made[concept] = max(made.get(concept, 0.0), weight * nearness)
    return made


def poles(found: Iterable[str]) -> dict[str, float]:
    """Where words stand on each axis of opposites, from -1 to 1; both ends together cancel out."""
    totals: dict[str, float] = {}
    axes = axes_by_stem()
    for word in found:
        for axis, weight in axes.get(stem(word), {}).items():
            totals[axis] = totals.get(axis, 0.0) + weight
    return {axis: max(-1.0, min(1.0, total)) for axis, total in totals.items()}


def units(found: Iterable[str]) -> frozenset[str]:
    """The units that words state. `c` and `f` alone are units only beside a temperature."""
    together = tuple(found)
    names = _units()
    stated = {names[word] for word in together if word in names}
    if not _TEMPERATURES.isdisjoint(together):
        stated |= {unit for letter, unit in (("c", "celsius"), ("f", "fahrenheit")) if letter in together}
    return frozenset(stated)


def cosine(one: Mapping[str, float], other: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    """Cosine of two vectors whose dimensions are weighed by rarity; 0 where either is empty."""
    product = sum(weight * other[key] * rarity.get(key, 1.0) ** 2 for key, weight in one.items() if key in other)
    if not product:
        return 0.0
    return product / math.sqrt(_square(one, rarity) * _square(other, rarity))


def _square(one: Mapping[str, float], rarity: Mapping[str, float]) -> float:
    return sum((weight * rarity.get(key, 1.0)) ** 2 for key, weight in one.items())


def rarity(vectors: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """How telling each dimension is among these fields: what every field shares tells nothing."""
    count = 0
    seen: dict[str, float] = {}
    for one in vectors:
        count += 1
        for key, weight in one.items():
            seen[key] = seen.get(key, 0.0) + min(1.0, weight)
    return {key: 0.15 + math.log((count + 1) / (shared + 0.5)) / math.log(count + 2) for key, shared in seen.items()}
