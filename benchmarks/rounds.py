"""Interleaved rounds: what is compared is measured in turn, and a figure is the median of its rounds.

What else the machine does meanwhile then falls on all cases alike, and a quotient of two cases is that of one round and
another's of the next. Many short rounds are better than few long ones. A machine that is at times half as fast makes
the quotient of one round half of what it is, or twice that, as often the one as the other: the median of many is the
one of those rounds in which both cases met the same machine. Nothing here measures: the probes are handed in.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, TypeAlias

Sample: TypeAlias = Mapping[str, float]
"""One figure for each measure: `p50_us`, `rps` and so on."""
Seen: TypeAlias = Mapping[str, float | list[float]]
"""What one look at one case gave. A list has times, of which those of all rounds together make a figure: a short look
at a slow case has too few for its 99th of a hundred.
"""
Probe: TypeAlias = Callable[[], Seen]
Better: TypeAlias = Literal["lower", "higher"]


class Measured:
    """The figures of all rounds, by case and measure."""

    def __init__(
        self, rounds: Mapping[str, Sequence[Sample]], times: Mapping[str, Mapping[str, Sequence[float]]] | None = None
    ) -> None:
        """`times`: those of all rounds, by case and measure."""
        self._rounds = rounds
        self._times = times or {}

    def has(self, measure: str, *cases: str) -> bool:
        """Whether this was measured of each of these, once a round."""
        return all(self._rounds.get(case) and measure in self._rounds[case][0] for case in cases)

    def p99(self, case: str, measure: str) -> float | None:
        """The 99th of a hundred of the times of all rounds; None where none were measured."""
        times = self._times.get(case, {}).get(measure)
        return percentile(times, 0.99) if times else None

    def values(self, case: str, measure: str) -> list[float]:
        """One figure a round."""
        return [sample[measure] for sample in self._rounds[case]]

    def median(self, case: str, measure: str) -> float:
        """The median of the rounds."""
        return statistics.median(self.values(case, measure))

    def ratio(self, case: str, measure: str, other: str) -> float:
        """The median, over the rounds, of the quotient of two cases in one round."""
        return statistics.median(self.quotients(case, measure, other))

    def quotients(self, case: str, measure: str, other: str) -> list[float]:
        """The quotient of two cases, one a round."""
        pairs = zip(self.values(case, measure), self.values(other, measure), strict=True)
        return [one / another for one, another in pairs]

    def to_json(self) -> dict[str, Any]:
        """Every figure with its median and its rounds; of times, the 99th of a hundred of `of` that there were."""
        told: dict[str, Any] = {
            case: {
                measure: {
                    "median": round(self.median(case, measure), 3),
                    "rounds": [round(value, 3) for value in self.values(case, measure)],
                }
                for measure in samples[0]
            }
            for case, samples in self._rounds.items()
            if samples
        }
        for case, measures in self._times.items():
            told[case] |= {name: {"p99": percentile(each, 0.99), "of": len(each)} for name, each in measures.items()}
        return told


def interleaved(probes: Mapping[str, Probe], rounds: int, at: Callable[[str], None] = lambda _: None) -> Measured:
    """Ask every probe once a round, each round beginning with another one. `at` is told what is going on."""
    names = list(probes)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    times: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for number in range(rounds):
        start = number % len(names) if names else 0
        for name in names[start:] + names[:start]:
            at(f"round {number + 1} of {rounds}: {name}")
            seen = probes[name]()
            found[name].append({measure: each for measure, each in seen.items() if not isinstance(each, list)})
            for measure, each in seen.items():
                if isinstance(each, list):
                    times[name].setdefault(measure, []).extend(each)
    return Measured(found, times)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie: the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float) -> float:
    """To four digits: more of them say nothing."""
    return float(f"{value:.4g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far apart the rounds of a figure were: what of it is the machine's mood."""

    lowest: float
    lower_quartile: float
    upper_quartile: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """That of one figure a round."""
        low, lower, upper, high = (rounded(percentile(values, share)) for share in (0.0, 0.25, 0.75, 1.0))
        return cls(lowest=low, lower_quartile=lower, upper_quartile=upper, highest=high)

    def __str__(self) -> str:
        return f"{self.lower_quartile:g} to {self.upper_quartile:g} ({self.lowest:g} to {self.highest:g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure that something was promised of, or that is told beside those."""

    name: str
    value: float | None
    """None where it could not be measured here."""
    better: Better
    wanted: float | None = None
    """The bound that was promised; None where nothing was."""
    means: str = ""
    rounds: Spread | None = None
    """None where the figure is not of rounds."""

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where there is none, or no value."""
        if self.value is None or self.wanted is None:
            return None
        return self.value <= self.wanted if self.better == "lower" else self.value >= self.wanted

    def to_json(self) -> dict[str, Any]:
        """For the report."""
        return {
            "value": self.value,
            "better": self.better,
            "wanted": self.wanted,
            "met": self.met,
            "means": self.means,
            "rounds": None if self.rounds is None else asdict(self.rounds),
        }


@dataclass(slots=True, kw_only=True)
class Lines:
    """The lines of a report, in order. A line whose cases were left out has no value."""

    measured: Measured
    lines: list[Line] = field(default_factory=list)

    def ratio(
        self, name: str, case: str, measure: str, other: str, better: Better, wanted: float | None, means: str
    ) -> None:
        """The quotient of two cases."""
        there = self.measured.has(measure, case, other)
        self._of_rounds(name, self.measured.quotients(case, measure, other) if there else [], better, wanted, means)

    def median(self, name: str, case: str, measure: str, better: Better, wanted: float | None, means: str) -> None:
        """One case's own figure."""
        there = self.measured.has(measure, case)
        self._of_rounds(name, self.measured.values(case, measure) if there else [], better, wanted, means)

    def _of_rounds(self, name: str, values: list[float], better: Better, wanted: float | None, means: str) -> None:
        value, spread = (statistics.median(values), Spread.of(values)) if values else (None, None)
        self.add(name, value, better, wanted, means, spread)

    def add(
        self,
        name: str,
        value: float | None,
        better: Better,
        wanted: float | None,
        means: str,
        spread: Spread | None = None,
    ) -> None:
        """Any figure."""
        value = None if value is None else rounded(value)
        self.lines.append(Line(name=name, value=value, better=better, wanted=wanted, means=means, rounds=spread))

    def ratios(self) -> dict[str, float | None]:
        """Name -> value."""
        return {line.name: line.value for line in self.lines}

    def table(self) -> list[str]:
        """For people, in Markdown."""
        rows = ["| | figure | wanted | met | half of the rounds (all) | |", "|---" * 6 + "|"]
        for line in self.lines:
            sign = "<=" if line.better == "lower" else ">="
            wanted = f"{line.better} is better" if line.wanted is None else f"{sign} {line.wanted:g}"
            met = {None: "", True: "yes", False: "**no**"}[line.met]
            value = "not measured" if line.value is None else f"{line.value:g}"
            rows.append(f"| `{line.name}` | {value} | {wanted} | {met} | {line.rounds or ''} | {line.means} |")
        return rows
