"""What inference finds: pairs, how sure they are, and the mapping that they make."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from negotiator.mapping.carry import Needs
from negotiator.mapping.form import Mapping
from negotiator.mapping.problem import Problem

Basis: TypeAlias = Literal["exact", "words", "model", "template"]


@dataclass(frozen=True, slots=True)
class Match:
    """One field of the target and the field of the source that it is read from."""

    target: str
    """JSON Pointer; items of arrays are reached by `/-`, such as `/results/-/city`."""
    source: str
    """JSON Pointer of the field, of the first one where several are joined."""
    score: float
    """Log-odds that the two mean the same, against meaning nothing to each other."""
    margin: float
    """Log-odds by which the best other reading of the two schemas is less likely."""
    basis: Basis
    needs: Needs = "none"
    """`conversion`: they mean the same, but no mapping carries the value; code must."""
    reason: str = ""
    """Why it needs a conversion."""
    joined_with: tuple[str, ...] = ()
    """JSON Pointers of the further fields that are joined with `source`, in order."""


@dataclass(frozen=True, slots=True)
class Inference:
    """What is known of how one schema maps to another."""

    matches: tuple[Match, ...]
    """The pairs above the margin."""
    doubtful: tuple[Match, ...]
    """The likeliest pairs that are below it; not used."""
    unmatched_required: tuple[str, ...]
    """JSON Pointers of required target fields without a pair above the margin."""
    unmatched_optional: tuple[str, ...]
    unmatched_source: tuple[str, ...]
    """JSON Pointers of source fields that no used pair reads."""
    blocking: tuple[str, ...]
    """Why there is no mapping, a sentence each; empty where there is one."""
    mapping: Mapping | None
    """The whole mapping; None where anything blocks it."""
    partial: Mapping
    """What is sure, even where something blocks the whole: code can be laid over its result."""
    rest: tuple[str, ...]
    """JSON Pointers of the target fields that `partial` leaves to code: required ones, and those that are known
    to need a conversion."""
    exact: bool
    """Names, types and values are the same throughout: this is the only mapping there can be."""
    problem: Problem = field(repr=False, compare=False)
    """What was solved; `negotiator.mapping.merge` solves it again with what a model says."""


@dataclass(frozen=True, slots=True)
class PairInference:
    """Both directions of one task, inferred together."""

    request: Inference
    reply: Inference
    problem: Problem = field(repr=False, compare=False)

    @property
    def complete(self) -> bool:
        """Whether both directions have a mapping."""
        return self.request.mapping is not None and self.reply.mapping is not None
