"""Routines: what was compiled for one document, one role and one task or toolset, with its verdict.

A routine turns values in two directions. A sender's `into` makes the request body of the task's input and its
`back` makes the output of the reply body; a receiver's `into` makes a tool's arguments of the request body and
its `back` makes the reply body of the tool's result. Each direction is a mapping, run in the host, and where a
mapping cannot do it, a function in the routine's source, run by an executor; what the function returns is laid
over what the mapping made. A receiver under a document without schemas has one function, `handle`, which sees
the tools.
"""

import hashlib
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.errors import NegotiatorError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import Mapping

Role: TypeAlias = Literal["sender", "receiver"]
State: TypeAlias = Literal["candidate", "serving", "demoted"]

ENTRY_INTO: ReadOnly[Role, str] = {"sender": "encode", "receiver": "arguments"}
ENTRY_BACK: ReadOnly[Role, str] = {"sender": "decode", "receiver": "reply"}
ENTRY_WHOLE = "handle"


Unverified: TypeAlias = tuple[Literal["into", "back"], str, str]
"""A direction, and the place and class of a value that it reads; see `protocol_docs.value_classes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a routine's right to serve rests on."""

    passed: bool
    basis: Literal["exact", "examples_and_shadow", "shadow_only", "none"]
    """`exact`: the schemas allow one mapping only, so that no exchange could show more."""
    examples: int = 0
    """Wire examples and private examples that it reproduced or fitted."""
    shadows: int = 0
    """Exchanges in a row on which it agreed with the structured tier."""
    misses: int = 0
    """Exchanges on which it did not."""
    firm: int = 0
    """Pairs of fields that stand on the margin of the rules alone: the structured tier takes them too, whatever its
    model says, so that the shadowed exchanges are no second opinion about them."""
    unverified: tuple[Unverified, ...] = ()
    """Classes of values that its schemas allow and on which no comparison has shown it to be right: a value of one of
    them goes to the next tier, and what comes of it is one more comparison."""
    canary: int = 0
    """Exchanges on which it must still agree before it serves all requests, and not a share of them alone."""
    sandbox_policy: str = ""
    """The sandbox policy's version that compiled its source; empty for a mapping."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """One direction of a routine."""

    mapping: Mapping | None = None
    entry: str | None = None
    """The function in the routine's source that makes the fields that the mapping cannot."""
    guard: Mapping | None = None
    """What the structured tier copied while the function was compared with it: the function's result must say the
    same in these fields, each time, or the routine has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """One routine. Text all through: it is kept as JSON and never pickled."""

    protocol_hash: str
    role: Role
    kind: Literal["mapping", "code"]
    key_digest: str
    """The task's digest for a sender, the toolset's for a receiver."""
    into: Direction = Direction()
    back: Direction = Direction()
    source: str = ""
    """Python, for kind `code`."""
    tool: str | None = None
    """The tool that a receiver's routine calls; None where `handle` calls tools itself."""
    whole: bool = False
    """Whether `handle` in the source does everything."""
    state: State = "candidate"
    verdict: Verdict = Verdict(passed=False, basis="none")
    made_by: str = "rules"
    """The model that wrote the source or settled the mapping, or `rules`."""

    @property
    def serving(self) -> bool:
        """Whether it may answer."""
        return self.state == "serving" and self.verdict.passed

    @property
    def firm(self) -> bool:
        """Whether it answers every request: it serves, is not on trial, and no class of values is left to others."""
        return self.serving and not self.verdict.canary and not self.verdict.unverified

    def takes(self, request: str, share: float) -> bool:
        """Whether it may answer the request of this name: while it is on trial, a `share` (0 to 1) of all are.

        The same request is in the share each time and everywhere, since its name alone decides.
        """
        if not self.serving or not self.verdict.canary:
            return self.serving
        return int.from_bytes(hashlib.sha256(request.encode()).digest()[:8], "big") < share * 2**64

    def to_json(self) -> JsonObject:
        """For the cache."""
        return {
            "v": 2,
            "protocol_hash": self.protocol_hash,
            "role": self.role,
            "kind": self.kind,
            "key_digest": self.key_digest,
            "into": _direction_json(self.into),
            "back": _direction_json(self.back),
            "source": self.source,
            "tool": self.tool,
            "whole": self.whole,
            "state": self.state,
            "verdict": {name: getattr(self.verdict, name) for name in Verdict.__slots__},
            "made_by": self.made_by,
        }

    @classmethod
    def from_json(cls, value: JsonValue) -> "Routine":
        """Read what `to_json` wrote. Raises ValueError where it is something else."""
        try:
            row = adapter(_Row).validate_json(orjson.dumps(value), strict=True)
            return cls(
                protocol_hash=row.protocol_hash,
                role=row.role,
                kind=row.kind,
                key_digest=row.key_digest,
                into=_direction(row.into),
                back=_direction(row.back),
                source=row.source,
                tool=row.tool,
                whole=row.whole,
                state=row.state,
                verdict=row.verdict,
                made_by=row.made_by,
            )
        except (ValidationError, NegotiatorError, TypeError) as error:
            raise ValueError("not a routine of this version") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _DirectionRow:
    mapping: dict[str, Any] | None
    entry: str | None
    guard: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    v: Literal[1, 2]
    """2 since mappings join and cut fields; what 1 could say is read as it is."""
    protocol_hash: str
    role: Role
    kind: Literal["mapping", "code"]
    key_digest: str
    into: _DirectionRow
    back: _DirectionRow
    source: str
    tool: str | None
    whole: bool
    state: State
    verdict: Verdict
    made_by: str


def _direction_json(direction: Direction) -> JsonObject:
    return {
        "mapping": None if direction.mapping is None else direction.mapping.to_json(),
        "entry": direction.entry,
        "guard": None if direction.guard is None else direction.guard.to_json(),
    }


def _direction(row: _DirectionRow) -> Direction:
    return Direction(
        mapping=None if row.mapping is None else Mapping.from_json(row.mapping),
        entry=row.entry,
        guard=None if row.guard is None else Mapping.from_json(row.guard),
    )
