"""The best in hindsight: what nobody who has to choose a tier for each task and server can stay below. Pure.

For each place, a kind of task at a server, all its traffic is known beforehand, all askers share what one of them
learned, and the cheapest of three choices is taken: words for all of it; a document from the first exchange on, never
a routine; a document and a routine, with the shadowed exchanges that a verdict takes. Each part is priced at the least
that any contender of the same run paid for it there, so that the sum is a lower bound for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one contender paid at one place."""

    words: tuple[float, ...] = ()
    """USD of each exchange in natural language on either side, in the order of the traffic."""
    structured: tuple[float, ...] = ()
    """USD of each exchange that a model had a part in, under a document."""
    learned: float | None = None
    """USD of agreements and synthesis; None where there came no routine of it."""


@dataclass(frozen=True, slots=True)
class Best:
    """The choice for one place."""

    tier: str
    usd: float
    calls: int
    touched: int
    """Exchanges in which a model has a part."""


def best_in_hindsight(
    words: Mapping[Place, Sequence[tuple[float, int]]],
    others: Iterable[Mapping[Place, Seen]],
    *,
    shadows: int,
    calls_structured: int,
) -> dict[Place, Best]:
    """The best choice for each place of `words`: (USD, calls) of each exchange, had all been in natural language.

    `shadows` is how many shadowed exchanges a verdict takes, `calls_structured` the fewest model calls of one.
    """
    seen = list(others)
    found: dict[Place, Best] = {}
    for place, exchanges in words.items():
        here = [each[place] for each in seen if place in each]
        options = [Best("natural_language", sum(u for u, _ in exchanges), sum(c for _, c in exchanges), len(exchanges))]
        under = [usd for each in here for usd in each.structured]
        learned = [each.learned for each in here if each.learned is not None]
        exact = any(each.learned is not None and not each.structured for each in here)
        number = len(exchanges)
        if exact:
            options.append(Best("routine", min(learned), 0, 0))
        elif learned and under:
            shown = min(shadows, number)
            cost = min(learned) + shown * min(under)
            options.append(Best("routine", cost, shown * calls_structured, shown))
        if under:
            options.append(Best("structured", number * min(under), number * calls_structured, number))
        found[place] = min(options, key=lambda best: best.usd)
    return found
