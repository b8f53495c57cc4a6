"""The best in hindsight: what nobody who has to choose a tier for each task and server can stay below. Pure.

For each place, a kind of task at a server, all its traffic is known beforehand, all askers share what one of them
learned, and the cheapest of these choices is taken: words for all of it; a document from the first exchange on, never
a routine; a document and a routine, with the shadowed exchanges that a verdict takes; the document in the asker's words
or in the server's. Each part is priced at the least that any contender of the same run paid for it there under a
document of that kind, so that the sum is a lower bound for all of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Place: TypeAlias = tuple[str, str]
"""Server, kind of task."""
Paid: TypeAlias = tuple[float, int]
"""USD and model calls of one exchange, both sides together."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one contender paid at one place under a document."""

    askers: bool = False
    """Whether the documents are in the askers' words, as far as servers agree to that."""
    structured: tuple[Paid, ...] = ()
    """Each exchange that a model had a part in."""
    learned: Paid | None = None
    """Agreements and synthesis together; None where there came no routine of it."""


@dataclass(frozen=True, slots=True)
class Best:
    """The choice for one place."""

    tier: str
    usd: float
    calls: int
    touched: int
    """How many exchanges, from the first on, a model has a part in."""


def best_in_hindsight(
    words: Mapping[Place, Sequence[Paid]], others: Iterable[Mapping[Place, Seen]], *, shadows: int
) -> dict[Place, Best]:
    """The best choice for each place of `words`: what each exchange costs in natural language, in order.

    `shadows` is how many shadowed exchanges a verdict takes.
    """
    seen = list(others)
    return {
        place: _best(exchanges, [each[place] for each in seen if place in each], shadows)
        for place, exchanges in words.items()
    }


def _best(words: Sequence[Paid], seen: Sequence[Seen], shadows: int) -> Best:
    number = len(words)
    options = [Best("natural_language", sum(usd for usd, _ in words), sum(calls for _, calls in words), number)]
    for askers in (False, True):
        options += _under_documents(number, [each for each in seen if each.askers is askers], shadows)
    return min(options, key=lambda best: best.usd)


def _under_documents(number: int, seen: Sequence[Seen], shadows: int) -> list[Best]:
    options: list[Best] = []
    under = [paid for each in seen for paid in each.structured]
    learned = [each.learned for each in seen if each.learned is not None]
    if under:
        usd, calls = min(under)[0], min(calls for _, calls in under)
        options.append(Best("structured", number * usd, number * calls, number))
    if learned:
        price, asked = min(learned)[0], min(calls for _, calls in learned)
        # Where the schemas leave no choice, a routine serves from the first exchange on.
        exact = any(each.learned is not None and not each.structured for each in seen)
        shown = 0 if exact or not under else min(shadows, number)
        shown_usd = shown * min(under)[0] if shown else 0.0
        shown_calls = shown * min(calls for _, calls in under) if shown else 0
        options.append(Best("routine", price + shown_usd, asked + shown_calls, shown))
    return options
