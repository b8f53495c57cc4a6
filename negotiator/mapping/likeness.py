"""How likely two fields are to mean the same, from what their schemas say about them.

The evidence is named and weighed; the weights are log-odds, fitted on the training split of SGD-X
(`python -m benchmarks run sgdx-mapping --fit`), so that a sum of them can be read as one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from negotiator.mapping import examples, meanings, words
from negotiator.mapping.examples import Profile
from negotiator.mapping.fields import Field
from negotiator.mapping.nearness import Nearness
from negotiator.mapping.words import Vector

_BOOLEAN_WORDS: Final = frozenset(
    {"true", "false", "yes", "no", "0", "1", "y", "n", "on", "off", "是", "否", "真", "假"}
)
_QUANTITIES: Final = frozenset(
    f"#{concept}"
    for concept in (
        "address",
        "city",
        "country",
        "date",
        "duration",
        "email",
        "humidity",
        "name",
        "phone",
        "price",
        "rating",
        "temperature",
        "time",
        "url",
    )
)
_OUTRIGHT: Final = 0.8
"""Of a concept's weight in a vector: only words that are the concept itself reach it."""
_UNSAID: Final = 0.5
"""Of the likeness of names, what descriptions that are not there are taken to be alike."""
_EITHER_WORDS: Final = frozenset({"dontcare", "any", "either", "unknown", "none", "null", "na"})
_NAME_STOPS: Final = frozenset({"of", "for", "the", "a", "to", "in", "is", "has", "are"})
_HEAD_ENDS: Final = frozenset(
    [
        "of",
        "for",
        "in",
        "on",
        "at",
        "by",
        "with",
        "from",
        "to",
        "that",
        "which",
        "where",
        "when",
        "who",
        "whose",
        "the",
        "is",
        "are",
        "will",
        "or",
        "and",
        "if",
        ",",
        "whether",
    ]
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A field's name and description, read as words."""

    name: Vector
    head: Vector
    text: Vector
    both: Vector
    poles: Mapping[str, float]
    is_boolean: bool
    values: frozenset[str] | None
    quantities: frozenset[str]
    """Which of the things that exclude each other its words name outright: a date, a price, an address."""
    kind: str
    """What sort of value it holds: type, format, list of values. Numbers are one kind, and so are booleans."""
    phrases: tuple[str, str, str]
    """Name, description, and both together, as they are embedded."""
    seen: Profile
    """The values of it that were seen."""
    iris: frozenset[str]
    """What JSON-LD says that it is."""

    @property
    def is_described(self) -> bool:
        """Whether it has more than a name."""
        return bool(self.phrases[1])


def read(field: Field, seen: Profile | None = None) -> Reading:
    """Read a field's words once; pairs of readings are then cheap to compare."""
    name, text = words.words(field.name), words.words(field.description)
    parents = [(word, 0.3) for part in field.path[:-1] for word in words.words(part)]
    in_name = [(word, 0.3 if word in _NAME_STOPS else 1.0) for word in name]
    in_text = [(word, 1.0) for word in text]
    return Reading(
        name=words.vector(in_name + parents),
        head=words.vector([*_name_head(name), *_text_head(text)]),
        text=words.vector(in_text),
        both=words.vector([*in_name, *in_text, *parents]),
        poles=words.poles([*name, *text]),
        is_boolean=_reads_as_boolean(field),
        values=None if field.enum is None else frozenset(normal(value) for value in field.enum),
        quantities=_QUANTITIES
        & {word for word, weight in words.vector([*in_name, *in_text]).items() if weight > _OUTRIGHT},
        kind=_kind(field),
        phrases=_phrases(field),
        seen=seen or Profile(),
        iris=field.iris,
    )


def _phrases(field: Field) -> tuple[str, str, str]:
    name, text = words.spoken(field.name), " ".join(field.description.split())
    return name, text, f"{name}: {text}" if name and text else name or text


def _reads_as_boolean(field: Field) -> bool:
    """Whether it says yes or no, or that neither matters."""
    if field.enum is None:
        return is_boolean(field)
    values = {normal(value) for value in field.enum} - _EITHER_WORDS
    return len(values) == 2 and values <= _BOOLEAN_WORDS  # noqa: PLR2004


def _kind(field: Field) -> str:
    if _reads_as_boolean(field):
        return "boolean"
    if field.enum is not None:
        return " ".join(sorted(normal(value) for value in field.enum))
    if field.types and field.types <= {"number", "integer"}:
        return "number"
    return f"{'/'.join(sorted(field.types))} {field.format or ''}"


def is_boolean(field: Field) -> bool:
    """Whether it says yes or no, as JSON or in words."""
    if field.types == {"boolean"}:
        return True
    return field.enum is not None and len(field.enum) == 2 and all(normal(v) in _BOOLEAN_WORDS for v in field.enum)  # noqa: PLR2004


def normal(value: object) -> str:
    """A value of an enum as its words, for comparison."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(words.words(str(value))) or str(value)


def _name_head(name: Sequence[str]) -> list[tuple[str, float]]:
    """What a name is a name of: the word before `of` or `for`, else the last."""
    for at, word in enumerate(name):
        if word in ("of", "for", "to", "in") and at:
            return [(name[at - 1], 1.0)]
    return [(name[-1], 1.0)] if name else []


def _text_head(text: Sequence[str]) -> list[tuple[str, float]]:
    """The last words of the first phrase of a description: `expected start time` of `Expected start time of it`."""
    phrase: list[str] = []
    for word in text:
        if word in _HEAD_ENDS:
            if phrase:
                break
            continue
        phrase.append(word)
    return [(word, 0.8 if at else 1.0) for at, word in enumerate(reversed(phrase[-3:]))]


FEATURES: Final = (
    "name",
    "text",
    "cross",
    "both",
    "head",
    "same_end",
    "opposite_end",
    "one_end",
    "same_values",
    "boolean",
    "values_one_side",
    "both_free",
    "same_kind",
    "other_quantity",
)
_LEXICAL: Final = 5
"""The first features say how much the words have in common."""


EMBEDDED: Final = ("near_name", "near_text", "near_both")
"""What is added to `FEATURES` by embeddings, in standard deviations of strangers."""
SEEN: Final = ("shared_values", "same_form", "same_bounds")
"""What is added by values that were seen."""


def evidence(
    one: Reading,
    other: Reading,
    rarity: Mapping[str, float],
    kinds: Mapping[str, float],
    nearness: Nearness | None = None,
) -> tuple[float, ...]:
    """The evidence that two fields are one, in the order of `FEATURES` and, with a nearness, of `EMBEDDED`."""
    near: tuple[float, ...] = ()
    if nearness is not None:
        near = tuple(nearness.between(*pair) for pair in zip(one.phrases, other.phrases, strict=True))
    same_end = opposite_end = one_end = 0.0
    for axis in one.poles.keys() | other.poles.keys():
        here, there = one.poles.get(axis, 0.0), other.poles.get(axis, 0.0)
        if here * there > 0:
            same_end += min(abs(here), abs(there))
        elif here * there < 0:
            opposite_end += min(abs(here), abs(there))
        else:
            one_end += abs(here - there)
    values = one.values is not None and other.values is not None
    names = words.cosine(one.name, other.name, rarity)
    if one.is_described and other.is_described:
        texts = words.cosine(one.text, other.text, rarity)
        across = (words.cosine(one.name, other.text, rarity) + words.cosine(one.text, other.name, rarity)) / 2
    else:
        texts = across = _UNSAID * names
    return (
        names,
        texts,
        across,
        words.cosine(one.both, other.both, rarity),
        words.cosine(one.head, other.head, rarity),
        same_end,
        opposite_end,
        one_end,
        1.0 if values and one.values == other.values and not one.is_boolean else 0.0,
        1.0 if one.is_boolean and other.is_boolean else 0.0,
        1.0 if (one.values is None) != (other.values is None) else 0.0,
        1.0 if one.values is None and other.values is None else 0.0,
        kinds.get(one.kind, 0.0) if one.kind == other.kind else 0.0,
        1.0 if one.quantities and other.quantities and not one.quantities & other.quantities else 0.0,
        *near,
    )


WEIGHTS: Final = (2.36, 1.67, 2.51, 1.93, 2.09, 0.41, -2.64, -0.14, 0.97, 0.34, -1.47, 1.18, 1.44, -2.00)
"""In the order of `FEATURES`."""
BIAS: Final = -2.54
"""The log-odds of two fields that show no evidence at all."""


NEAR_WEIGHTS: Final = (
    1.25,
    0.86,
    1.43,
    1.13,
    1.56,
    0.30,
    -2.98,
    -0.14,
    0.94,
    0.05,
    -1.27,
    0.75,
    1.44,
    -1.88,
    0.20,
    0.05,
    0.82,
)
"""In the order of `FEATURES` and `EMBEDDED`."""
NEAR_BIAS: Final = -7.41
SEEN_WEIGHTS: Final = (0.85, 1.0, 0.5)
"""In the order of `SEEN`."""
_SAME_MEANING: Final = 5.0
"""Log-odds of two fields that JSON-LD names alike. JSON-LD is said on purpose, so this outweighs all words."""
_OTHER_MEANING: Final = -12.0
_SAME_CLASS: Final = 2.5


def log_odds(found: Sequence[float]) -> float:
    """The evidence as one number: above 0, the two more likely mean the same than that neither has a partner."""
    weights, bias = (WEIGHTS, BIAS) if len(found) == len(WEIGHTS) else (NEAR_WEIGHTS, NEAR_BIAS)
    return bias + math.fsum(weight * value for weight, value in zip(weights, found, strict=True))


def in_words(found: Sequence[float]) -> float:
    """The part of the evidence that is in names and descriptions, in log-odds; 0 where nothing is alike."""
    weights = WEIGHTS if len(found) == len(WEIGHTS) else NEAR_WEIGHTS
    spoken = [*range(_LEXICAL), *range(len(WEIGHTS), len(found))]
    return math.fsum(weights[at] * max(0.0, found[at]) for at in spoken)


def beyond_words(one: Reading, other: Reading) -> float:
    """Log-odds from what was seen and from JSON-LD; 0 where neither says anything."""
    seen = examples.likeness(one.seen, other.seen)
    odds = math.fsum(weight * value for weight, value in zip(SEEN_WEIGHTS, seen, strict=True))
    match meanings.compared(one.iris, other.iris):
        case "same":
            odds += _SAME_MEANING
        case "class":
            odds += _SAME_CLASS
        case "other":
            odds += _OTHER_MEANING
    return odds
