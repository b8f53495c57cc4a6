"""Who asks which service for what in `sgdx --traffic`: recorded calls, by clients in five vocabularies. Pure.

`recorded`: calls in the order and number in which the dialogues made them. `zipf`: a method in a vocabulary is asked for
as often as its rank says, exponent 1.05. `churn`: as recorded, and half-way a third of the services change to another
vocabulary. `long-tail`: clients that come for a few requests each, every time for another method.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

from benchmarks.scenarios.sgdx_data import Pair, load_pairs

Shape: TypeAlias = Literal["recorded", "zipf", "churn", "long-tail"]
SHAPES: Final[tuple[Shape, ...]] = get_args(Shape)
VARIANTS: Final = (1, 2, 3, 4, 5)
ZIPF: Final = 1.05
CHANGING: Final = 3
"""One in so many services changes its schema in `churn`."""
A_CLIENT: Final = 10
"""Requests of each client in `long-tail`."""
_LEAST_CALLS: Final = 2

Words: TypeAlias = int
"""Whose vocabulary: 0 is the original, 1 to 5 the variants."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of one client."""

    at: int
    client: int
    variant: Words
    """The client's vocabulary."""
    words: Words
    """The server's, at the time."""
    pair: Pair
    call: dict[str, Any]
    served: Mapping[str, str]
    """The original names -> the server's, at the time."""

    @property
    def kind(self) -> str:
        """What is learned once: the method, in these two vocabularies."""
        return f"{self.pair.method} v{self.variant} v{self.words}"


@dataclass(frozen=True, slots=True)
class Services:
    """The pairs of one split, in all vocabularies."""

    pairs: Mapping[tuple[str, str], Mapping[Words, Pair]]
    """(service, method) -> the client's vocabulary -> the pair; 1 to 5."""
    counts: Mapping[tuple[str, str], Sequence[int]]
    """How often each call of the pair was made."""


def load(directory: Path, seed: int) -> Services:
    """All pairs with recorded calls."""
    pairs: dict[tuple[str, str], dict[Words, Pair]] = {}
    for variant in VARIANTS:
        found = load_pairs(directory, variant=variant, pairs=1 << 30, requests=_LEAST_CALLS, seed=seed, every=True)
        for pair in found:
            pairs.setdefault((pair.service, pair.method), {})[variant] = pair
    made: dict[str, int] = {}
    for line in (directory / "calls.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        key = json.dumps([call["service"], call["method"], call["parameters"]], sort_keys=True)
        made[key] = made.get(key, 0) + int(call.get("count", 1))
    counts = {
        (service, method): [
            made[json.dumps([service, method, call["parameters"]], sort_keys=True)] for call in variants[1].calls
        ]
        for (service, method), variants in pairs.items()
    }
    return Services(pairs, counts)


def draw(services: Services, *, shape: Shape, number: int, seed: int) -> list[Request]:
    """`number` requests."""
    lots = random.Random(f"sgdx/{shape}/{number}/{seed}")
    names = sorted(services.pairs)
    changing = _changing(sorted({service for service, _ in names}), lots) if shape == "churn" else {}
    asked: list[tuple[int, Words, tuple[str, str], int]]
    match shape:
        case "recorded" | "churn":
            asked = [(variant, variant, *each) for each, variant in _as_recorded(services, number, lots)]
        case "zipf":
            asked = [(variant, variant, *each) for each, variant in _ranked(services, number, lots)]
        case "long-tail":
            asked = _tail(services, number, lots)
    made = []
    for at, (client, variant, name, call) in enumerate(asked):
        words = changing.get(name[0], 0) if 2 * at >= number else 0
        pair = services.pairs[name][variant]
        served = services.pairs[name][words].names if words else {original: original for original in pair.names}
        made.append(Request(at, client, variant, words, pair, pair.calls[call], served))
    return made


def _changing(names: list[str], lots: random.Random) -> dict[str, Words]:
    return {name: lots.choice(VARIANTS) for name in lots.sample(names, max(1, len(names) // CHANGING))}


_Asked: TypeAlias = tuple[tuple[tuple[str, str], int], Words]


def _as_recorded(services: Services, number: int, lots: random.Random) -> list[_Asked]:
    every = [
        (name, at)
        for name in sorted(services.pairs)
        for at, count in enumerate(services.counts[name])
        for _ in range(count)
    ]
    lots.shuffle(every)  # dialogues of one service stand together in the files
    return [(every[at % len(every)], lots.choice(VARIANTS)) for at in range(number)]


def _ranked(services: Services, number: int, lots: random.Random) -> list[_Asked]:
    places = [(name, variant) for name in sorted(services.pairs) for variant in VARIANTS]
    lots.shuffle(places)
    weights = list(accumulate(1 / (rank + 1) ** ZIPF for rank in range(len(places))))
    chosen = lots.choices(places, cum_weights=weights, k=number)
    return [((name, _call(services, name, lots)), variant) for name, variant in chosen]


def _tail(services: Services, number: int, lots: random.Random) -> list[tuple[int, Words, tuple[str, str], int]]:
    made = []
    names = sorted(services.pairs)
    for client in range(-(-number // A_CLIENT)):
        variant = lots.choice(VARIANTS)
        chosen = lots.sample(names, min(A_CLIENT, len(names)))
        made += [(client, variant, name, _call(services, name, lots)) for name in chosen]
    lots.shuffle(made)
    return made[:number]


def _call(services: Services, name: tuple[str, str], lots: random.Random) -> int:
    return lots.randrange(len(services.counts[name]))
