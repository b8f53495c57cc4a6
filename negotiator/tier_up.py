"""When the next tier is worth its price: ski rental over three tiers, with or without a prediction. Pure.

An exchange in natural language costs c, one under an agreed document c' <= c, one by a routine nothing. A document is
bought once for A, a routine once for B. After each exchange the three sums that hindsight would compare are brought
up to date, the next exchange included, and the tier that is cheapest by them is the tier to be in:

    natural_language   the c of all exchanges
    structured         A + the c' of all exchanges
    routine            A + B

`docs/cost.md` states and proves what this guarantees. The rule is the lower-envelope algorithm of Irani, Shukla and
Gupta (ACM TECS 2, 2003), which for two tiers is the classic ski rental (Karlin, Manasse, Rudolph, Sleator, 1988);
the prediction enters as in Purohit, Svitkina and Kumar, "Improving Online Algorithms via ML Predictions" (NeurIPS
2018), theorem 2.2, carried over to three tiers.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from negotiator.messages import Tier

Heat: TypeAlias = Literal["hot", "cold", "unknown"]
"""What a prediction says: the routine will have been worth its price, it will not, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What is bought once, in USD. Shadow runs are not in it: see `docs/cost.md`."""

    agreement: float = 0.0
    """A: a document, failed attempts aside."""
    routine: float = 0.0
    """B: the synthesis of a routine for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """What all exchanges so far cost, or would have cost, in a tier; USD. The next exchange is included."""

    words: float = 0.0
    """In natural language."""
    structured: float = 0.0
    """Under a document, the exchanges before there was one included."""


def cheapest_tier(paid: Paid, prices: Prices, moved: float = 1.0) -> Tier:
    """The tier that hindsight would have chosen for what was paid; the lower tier where two are equal.

    `moved` multiplies the prices of what is bought, which moves the points of buying: see `moved_by`.
    """
    tiers: tuple[tuple[Tier, float], ...] = (
        ("natural_language", paid.words),
        ("structured", moved * prices.agreement + paid.structured),
        ("routine", moved * (prices.agreement + prices.routine)),
    )
    return min(tiers, key=lambda each: each[1])[0]


def moved_by(heat: Heat, trust: float) -> float:
    """By what a prediction moves the points of buying.

    `trust` is lambda of the paper, above 0 and at most 1: 1 leaves the points where they are, whatever is predicted;
    near 0 a hot task is bought for at once and a cold one hardly ever. Raises ValueError for a `trust` out of range.
    """
    if not 0 < trust <= 1:
        raise ValueError("trust is above 0 and at most 1")
    match heat:
        case "hot":
            return trust
        case "cold":
            return 1 / trust
        case "unknown":
            return 1.0
