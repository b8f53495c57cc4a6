"""Who asks whom for what in `agora-trace`: traffic of the published shape, drawn anew from a seed.

Arrivals follow appendix D.2 of arXiv 2410.11905: each user has a budget of queries from a Pareto distribution of
shape 0.5, split over three kinds of task by one of shape 1, at least one each. The paper has 85 users to 15 servers
and 1,000 queries; other numbers of agents keep that ratio.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from benchmarks.scenarios.agora_trace_world import KINDS, MODELS, MOVIES, OFFERS, USER_KINDS, Values

Shape: TypeAlias = Literal["uniform", "zipf", "pareto"]

USERS_OF_100: Final = 85
KINDS_A_USER: Final = 3
ZIPF: Final = 1.05
DIRECTORIES: Final = (34, 24, 27)
"""How many of 85 users keep to each of the three directories, as published."""
_TOWNS: Final = ("Northgate", "Old Harbour", "Millbrook", "Castle Hill", "Riverside", "Eastfield", "Saltmarsh", "Lime")
_STREETS: Final = ("High", "Mill", "Quay")
_FIRST: Final = ("Ada", "Bo", "Cleo", "Dan")
_LAST: Final = ("Marsh", "Stone", "Weir")


@dataclass(frozen=True, slots=True)
class Query:
    """One request of a user's."""

    at: int
    user: int
    server: str
    kind: str
    values: Values


@dataclass(frozen=True, slots=True)
class Traffic:
    """Everything that is asked, in order."""

    seed: int
    shape: Shape
    users: int
    models: tuple[str, ...]
    """The model of each user."""
    directories: tuple[int, ...]
    """The directory of each user, 0 to 2."""
    queries: tuple[Query, ...]


def draw(*, agents: int, queries: int, shape: Shape, seed: int) -> Traffic:
    """Traffic for `agents` agents, 15 of each 100 servers as far as this town has them."""
    lots = random.Random(f"agora-trace/{seed}/{agents}/{shape}")
    users = max(1, agents * USERS_OF_100 // 100)
    asked: list[tuple[int, str, str]] = []
    for user, budget in enumerate(_budgets(lots, users, queries, shape)):
        kinds = lots.sample(USER_KINDS, KINDS_A_USER)
        parts = _split(lots, budget, len(kinds))
        for kind, part in zip(kinds, parts, strict=False):
            server = lots.choice([offer.server for offer in OFFERS if offer.kind == kind])
            asked += [(user, server, kind)] * part
    lots.shuffle(asked)
    directories = [at for at, share in enumerate(DIRECTORIES) for _ in range(share)]
    return Traffic(
        seed=seed,
        shape=shape,
        users=users,
        models=tuple(lots.choice(MODELS) for _ in range(users)),
        directories=tuple(lots.choice(directories) for _ in range(users)),
        queries=tuple(
            Query(at, user, server, kind, _values(lots, kind)) for at, (user, server, kind) in enumerate(asked)
        ),
    )


def _budgets(lots: random.Random, users: int, queries: int, shape: Shape) -> list[int]:
    match shape:
        case "uniform":
            weights = [1.0] * users
        case "zipf":
            weights = [1 / (rank + 1) ** ZIPF for rank in range(users)]
        case "pareto":
            weights = [lots.paretovariate(0.5) for _ in range(users)]
    lots.shuffle(weights)
    return _shared_out(weights, queries)


def _split(lots: random.Random, budget: int, kinds: int) -> list[int]:
    return _shared_out([lots.paretovariate(1.0) for _ in range(min(kinds, budget))], budget)


def _shared_out(weights: list[float], total: int) -> list[int]:
    """Whole numbers, at least 1 each as far as `total` goes, that sum to it and follow the weights."""
    if total <= len(weights):
        heaviest = sorted(range(len(weights)), key=lambda at: -weights[at])[:total]
        return [int(at in heaviest) for at in range(len(weights))]
    left = total - len(weights)
    whole = sum(weights)
    exact = [weight / whole * left for weight in weights]
    parts = [int(each) for each in exact]
    for at in sorted(range(len(weights)), key=lambda at: parts[at] - exact[at])[: left - sum(parts)]:
        parts[at] += 1
    return [1 + part for part in parts]


def _values(lots: random.Random, kind: str) -> Values:
    return {name: _value(lots, kind, name) for name in KINDS[kind].takes}


def _value(lots: random.Random, kind: str, name: str) -> str | int:
    made: dict[str, Callable[[], str | int]] = {
        "date": lambda: f"2026-{lots.randint(11, 12)}-{lots.randint(1, 28):02}",
        "start_date": lambda: f"2026-{lots.randint(11, 12)}-{lots.randint(1, 28):02}",
        "end_date": lambda: f"2027-01-{lots.randint(1, 28):02}",
        "type": lambda: lots.choice(("racing", "carving", "backcountry")),
        "full_name": lambda: f"{lots.choice(_FIRST)} {lots.choice(_LAST)}",
        "people": lambda: lots.randint(1, 10),
        "hour": lambda: lots.choice((18, 20)) if kind == "buy_tickets" else lots.randint(16, 23),
        "tickets": lambda: lots.randint(1, 6),
        "movie": lambda: lots.choice(MOVIES),
        "time": lambda: f"{lots.randint(0, 23):02}:{lots.randint(0, 59):02}",
        "location": lambda: lots.choice(_TOWNS),
    }
    address = f"{lots.randint(1, 99)} {lots.choice(_STREETS)} Street, {lots.choice(_TOWNS)}"
    return made[name]() if name in made else address
