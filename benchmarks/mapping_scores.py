"""Mapping inference over many cases and many margins at once: verdicts, shares, and how sure the shares are."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from benchmarks.mapping_cases import Case, FieldVerdict, Verdict, judge_fields, judge_pair, worse
from negotiator.mapping import PairInference, Thresholds, words
from negotiator.mapping.inference import solve
from negotiator.mapping.problem import Problem, pair_up
from negotiator.mapping.stating import state_problem
from protocol_docs.search_index import Embedder

MARGINS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
BOOTSTRAPS = 1000
WRONG = 0.01
"""The share of wrong answers that a margin may let through."""
FIRM_WRONG = 0.005
"""The same for pairs that no model's answer undoes."""


@dataclass
class Scored:
    """One case, at every margin."""

    case: Case
    problem: Problem
    verdicts: dict[float, tuple[Verdict, Verdict]]
    fields: list[FieldVerdict]

    @property
    def pair(self) -> dict[float, Verdict]:
        """The verdict on request and reply together."""
        return {margin: worse(*both) for margin, both in self.verdicts.items()}


def score(
    case: Case, *, complete_bonus: float, embedder: Embedder | None, margins: Sequence[float] = MARGINS
) -> Scored:
    """Infer once, and build at every margin."""
    thresholds = Thresholds(margin=Thresholds().margin, complete_bonus=complete_bonus)
    schemas = {"request": case.request, "reply": case.reply}
    problem = state_problem(schemas, thresholds, case.examples, embedder)  # type: ignore[arg-type]
    return scored(case, problem, margins)


def scored(case: Case, problem: Problem, margins: Sequence[float] = MARGINS) -> Scored:
    """The verdicts on a problem at every margin, and on its fields at none."""
    pairing = pair_up(problem)

    def at(margin: float) -> PairInference:
        asked = replace(problem, thresholds=replace(problem.thresholds, margin=margin))
        solved = solve(asked, pairing)
        return PairInference(solved["request"], solved["reply"], asked)

    verdicts = {margin: judge_pair(case, at(margin)) for margin in margins}
    return Scored(case, problem, verdicts, judge_fields(case, at(-1e9)))


@dataclass
class Share:
    """A count out of a number, with its 95 % interval over services."""

    count: int
    of: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.count / self.of if self.of else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "share": round(self.share, 4),
            "count": self.count,
            "of": self.of,
            "interval": [round(self.low, 4), round(self.high, 4)],
        }


@dataclass
class Tally:
    """Counts by service, of which shares are taken with their intervals: cases of one service resemble each other."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, service: str, *names: str) -> None:
        self.counts.setdefault(service, Counter()).update(names)

    def plain(self, count: str, of: Iterable[str]) -> float:
        """The share alone."""
        names = tuple(of)
        whole = sum(each[name] for each in self.counts.values() for name in names)
        return sum(each[count] for each in self.counts.values()) / whole if whole else 0.0

    def share(self, count: str, of: Iterable[str], seed: int = 0) -> Share:
        """The share of `count` in all of `of`; the interval from resampled services."""
        names = tuple(of)
        pairs = [(each[count], sum(each[name] for name in names)) for each in self.counts.values()]
        total = sum(one for one, _ in pairs), sum(other for _, other in pairs)
        chance = random.Random(seed)
        shares = []
        for _ in range(BOOTSTRAPS if pairs else 0):
            sample = chance.choices(pairs, k=len(pairs))
            whole = sum(other for _, other in sample)
            shares.append(sum(one for one, _ in sample) / whole if whole else 0.0)
        shares.sort()
        low, high = (shares[int(len(shares) * 0.025)], shares[int(len(shares) * 0.975)]) if shares else (0.0, 0.0)
        return Share(*total, low, high)


def mapping_tally(found: Iterable[Scored], margin: float) -> Tally:
    """Whole mappings: `right`, `wrong`, `incomplete`, `refused`, `impossible`, and `possible`."""
    tally = Tally()
    for one in found:
        verdict = one.pair[margin]
        tally.add(one.case.service, verdict, *(["possible"] if verdict != "impossible" else []))
    return tally


def field_tally(found: Iterable[Scored], margin: float) -> Tally:
    """Fields: `right` and `wrong` of those used, `left` of those with a counterpart, `alone` of those without."""
    tally = Tally()
    for one in found:
        for verdict in one.fields:
            used = verdict.margin is not None and verdict.margin >= margin
            name = ("right" if verdict.right else "wrong") if used else "left" if verdict.has_counterpart else "alone"
            also = ["wrong_of_counterpart"] if name == "wrong" and verdict.has_counterpart else []
            tally.add(one.case.service, name, *also)
    return tally


def wrong_shares(found: Sequence[Scored], margin: float) -> tuple[float, float]:
    """The wrong among all whole mappings, and among all fields that are used."""
    whole, fields = mapping_tally(found, margin), field_tally(found, margin)
    every = ("right", "wrong", "incomplete", "refused", "impossible")
    return whole.plain("wrong", every), fields.plain("wrong", ("right", "wrong"))


def least_margin(found: dict[str, Sequence[Scored]], most_wrong: float = WRONG) -> float:
    """The smallest of `MARGINS` at which no condition has more wrong, neither whole mappings nor fields."""
    for margin in MARGINS:
        if all(max(wrong_shares(scored, margin)) <= most_wrong for scored in found.values()):
            return margin
    return MARGINS[-1]


def firm_margin(found: dict[str, Sequence[Scored]]) -> float:
    """The smallest of `MARGINS` from which at most `FIRM_WRONG` of the pairs are wrong, in every condition."""
    for margin in MARGINS:
        tallies = [field_tally(scored, margin) for scored in found.values()]
        if all(tally.plain("wrong", ("right", "wrong")) <= FIRM_WRONG for tally in tallies):
            return margin
    return MARGINS[-1]


@contextmanager
def lexicon_without(group: str, occurring: dict[str, set[str]]) -> Iterator[None]:
    """The lexicon without the words that occur in no group of services but this one.

    Who wrote the lexicon may have had such words in view. Without them a service is as strange as one that nobody saw,
    or stranger: a general vocabulary would hold some of them.
    """

    def kept(table: dict[str, Any]) -> dict[str, Any]:
        return {stem: entry for stem, entry in table.items() if occurring.get(stem) != {group}}

    with _lexicon(kept(words.concepts_by_stem()), kept(words.axes_by_stem())):
        yield


@contextmanager
def lexicon_empty() -> Iterator[None]:
    """No lexicon: stems alone."""
    with _lexicon({}, {}):
        yield


@contextmanager
def _lexicon(concepts: dict[str, Any], axes: dict[str, Any]) -> Iterator[None]:
    # Where words of Chinese end is told by the whole lexicon, which must be read before it is taken away.
    words.known_chinese()
    with patch.multiple(words, concepts_by_stem=lambda: concepts, axes_by_stem=lambda: axes):
        yield


def occurrences(schemas: Iterable[list[dict[str, Any]]], group_of: Callable[[str], str]) -> dict[str, set[str]]:
    """For each stem, the groups of services whose slots' names and descriptions hold it."""
    found: dict[str, set[str]] = {}
    for services in schemas:
        for service in services:
            for slot in service["slots"]:
                for word in (*words.words(slot["name"]), *words.words(slot["description"])):
                    found.setdefault(words.stem(word), set()).add(group_of(service["service_name"]))
    return found
