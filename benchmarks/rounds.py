"""Interleaved rounds: what is compared is measured in turn, and a figure is the median of its rounds.

What else the machine does meanwhile then falls on all cases alike, and a quotient of two cases is that of one round and
another's of the next. Nothing here measures: the probes are handed in.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Sample: TypeAlias = Mapping[str, float]
"""What one look at one case gave, by measure: `p50_us`, `p99_us`, `rps` and so on."""
Probe: TypeAlias = Callable[[], Sample]
Better: TypeAlias = Literal["lower", "higher"]


class Measured:
    """The figures of all rounds, by case and measure."""

    def __init__(self, rounds: Mapping[str, Sequence[Sample]]) -> None:
        self._rounds = rounds

    def has(self, measure: str, *cases: str) -> bool:
        """Whether this was measured of each of these."""
        return all(self._rounds.get(case) and measure in self._rounds[case][0] for case in cases)

    def values(self, case: str, measure: str) -> list[float]:
        """One figure a round."""
        return [sample[measure] for sample in self._rounds[case]]

    def median(self, case: str, measure: str) -> float:
        """The median of the rounds."""
        return statistics.median(self.values(case, measure))

    def ratio(self, case: str, measure: str, other: str) -> float:
        """The median, over the rounds, of the quotient of two cases in one round."""
        pairs = zip(self.values(case, measure), self.values(other, measure), strict=True)
        return statistics.median(one / another for one, another in pairs)

    def to_json(self) -> dict[str, Any]:
        """Every figure with its median and its rounds."""
        return {
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


def interleaved(probes: Mapping[str, Probe], rounds: int, at: Callable[[str], None] = lambda _: None) -> Measured:
    """Ask every probe once a round, each round beginning with another one. `at` is told what is going on."""
    names = list(probes)
    found: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names) if names else 0
        for name in names[start:] + names[:start]:
            at(f"round {number + 1} of {rounds}: {name}")
            found[name].append(probes[name]())
    return Measured(found)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie: the nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


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
        value = self.measured.ratio(case, measure, other) if there else None
        self.add(name, value, better, wanted, means)

    def median(self, name: str, case: str, measure: str, better: Better, wanted: float | None, means: str) -> None:
        """One case's own figure."""
        value = self.measured.median(case, measure) if self.measured.has(measure, case) else None
        self.add(name, value, better, wanted, means)

    def add(self, name: str, value: float | None, better: Better, wanted: float | None, means: str) -> None:
        """Any figure."""
        value = None if value is None else float(f"{value:.4g}")
        self.lines.append(Line(name=name, value=value, better=better, wanted=wanted, means=means))

    def ratios(self) -> dict[str, float | None]:
        """Name -> value."""
        return {line.name: line.value for line in self.lines}

    def table(self) -> list[str]:
        """For people, in Markdown."""
        rows = ["| | figure | wanted | met | |", "|---|---|---|---|---|"]
        for line in self.lines:
            sign = "<=" if line.better == "lower" else ">="
            wanted = f"{line.better} is better" if line.wanted is None else f"{sign} {line.wanted:g}"
            met = {None: "", True: "yes", False: "**no**"}[line.met]
            value = "not measured" if line.value is None else f"{line.value:g}"
            rows.append(f"| `{line.name}` | {value} | {wanted} | {met} | {line.means} |")
        return rows
