"""How hot a task will be: how many exchanges are to be expected of it at one peer. Pure.

Three kinds of evidence, the nearest first: the rate at which this task has come for this peer so far; how often it
came at other peers; how often this agent's other tasks came, or a receiver's other tools were asked for. What is predicted is only ever used to move a point of
buying within bounds (`negotiator.tier_up.moved_by`), so that a wrong prediction costs a known factor at most.
"""

from dataclasses import dataclass
from typing import Final

from negotiator.tier_up import Heat

LEAST_HERE: Final = 2
"""Exchanges from which a rate can be told."""
LEAST_PEERS: Final = 1
"""Other peers, or pairs of the family, below which an average says nothing."""
LEAST_SECONDS: Final = 60.0
"""Arrivals closer together than this are one burst, from which no rate is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of a task's traffic."""

    here: int = 0
    """Exchanges of this task with this peer so far."""
    seconds: float = 0.0
    """Between the first and the latest of them."""
    elsewhere: int = 0
    """Exchanges of this task with other peers."""
    peers: int = 0
    """How many other peers those were."""
    family: int = 0
    """Exchanges of this agent's other tasks, at all peers."""
    family_pairs: int = 0
    """How many pairs of such a task and a peer those were."""


def expected_exchanges(evidence: Evidence, horizon: float) -> float | None:
    """Exchanges to be expected here within `horizon` seconds, those so far included; None where nothing is known."""
    if evidence.here >= LEAST_HERE and evidence.seconds >= LEAST_SECONDS:
        return evidence.here + (evidence.here - 1) / evidence.seconds * horizon
    for total, among in ((evidence.elsewhere, evidence.peers), (evidence.family, evidence.family_pairs)):
        if among >= LEAST_PEERS:
            return max(total / among, float(evidence.here))
    return None


def heat_of(expected: float | None, break_even: float) -> Heat:
    """Whether so many exchanges are worth what pays from `break_even` exchanges on."""
    if expected is None:
        return "unknown"
    return "hot" if expected >= break_even else "cold"
