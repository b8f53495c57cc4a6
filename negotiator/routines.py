"""Routines: what was compiled for one document, one role and one task or toolset, with its verdict.

A routine turns values in two directions. A sender's `into` makes the request body of the task's input and its
`back` makes the output of the reply body; a receiver's `into` makes a tool's arguments of the request body and
its `back` makes the reply body of the tool's result. Each direction is a mapping, run in the host, and where a
mapping cannot do it, a function in the routine's source, run by an executor; what the function returns is laid
over what the mapping made. A receiver under a document without schemas has one function, `handle`, which sees
the tools.
"""

import hashlib
from collections import abc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import orjson
from pydantic import TypeAdapter, ValidationError

from negotiator.bounded import keep
from negotiator.comparison import same_fields
from negotiator.errors import NegotiatorError, PeerMisspoke
from negotiator.journal import digest_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import Mapping
from negotiator.messages import PeerClass
from protocol_docs.errors import StoreUnusable
from sandbox import POLICY_VERSION, RoutineRefused
from sandbox.cache import RoutineCache, RoutineKey

HANDLER_ABI = 1
"""The contract between a routine's source and the host; part of a routine's key."""

Role: TypeAlias = Literal["sender", "receiver"]
State: TypeAlias = Literal["candidate", "serving", "demoted"]

ENTRY_INTO: abc.Mapping[Role, str] = {"sender": "encode", "receiver": "arguments"}
ENTRY_BACK: abc.Mapping[Role, str] = {"sender": "decode", "receiver": "reply"}
ENTRY_WHOLE = "handle"

MAX_READY = 4096
"""Routines that are kept ready in one process."""

RunSource: TypeAlias = Callable[..., Awaitable[JsonValue]]
"""`sandbox.Executor.arun`: source, data, and keywords tools, limits, entry, tenant."""


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
            row = _ROW.validate_json(orjson.dumps(value), strict=True)
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


_ROW: TypeAdapter[_Row] = TypeAdapter(_Row)


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


_PEER_OF: abc.Mapping[Role, PeerClass] = {"sender": "known", "receiver": "stranger"}


def tenant_of(protocol_hash: str, peer: PeerClass) -> str:
    """Whom a worker process serves: one document and one class of peers, and nobody else in its life."""
    return f"{protocol_hash} {peer}"


Compiled: TypeAlias = Callable[[JsonValue], JsonValue]


class Runnable:
    """A routine made ready to run in this process."""

    def __init__(self, routine: Routine, run_source: RunSource, peer: PeerClass | None = None) -> None:
        """`run_source` runs the routine's source, if it has any; mappings are compiled here.

        `peer` is whose values it will work on; where None, a sender's those of the peer that it asks, which our user
        named, and a receiver's those of strangers.
        """
        self.routine = routine
        self.peer = peer or _PEER_OF[routine.role]
        self._run = run_source
        self._others: dict[PeerClass, Runnable] = {}
        self._into = _compiled(routine.into.mapping)
        self._back = _compiled(routine.back.mapping)
        self._guard_into = _compiled(routine.into.guard)
        self._guard_back = _compiled(routine.back.guard)

    def on_behalf_of(self, peer: PeerClass) -> "Runnable":
        """The same routine for another class of peers: its source runs in other processes."""
        if peer == self.peer:
            return self
        if peer not in self._others:
            self._others[peer] = Runnable(self.routine, self._run, peer)
        return self._others[peer]

    async def into(self, value: JsonValue) -> JsonValue:
        """Task input to request body, or request body to tool arguments.

        Raises `BadInput`, `SandboxError`, and `PeerMisspoke` where the parts of the routine contradict each other.
        """
        if self.routine.into.entry is None:
            return self._into(value)
        return await self._mixed(self.routine.into, self._into, self._guard_into, value)

    async def back(self, value: JsonValue) -> JsonValue:
        """Reply body to output, or tool result to reply body. Raises as `into` does."""
        if self.routine.back.entry is None:
            return self._back(value)
        return await self._mixed(self.routine.back, self._back, self._guard_back, value)

    async def handle(self, request: JsonValue, tools: abc.Mapping[str, Callable[..., Any]]) -> JsonValue:
        """The whole of a receiver's half, calling `tools`."""
        return await self._run(
            self.routine.source,
            request,
            tools=tools,
            entry=ENTRY_WHOLE,
            tenant=tenant_of(self.routine.protocol_hash, self.peer),
        )

    async def _mixed(self, direction: Direction, mapped: Compiled, guard: Compiled, value: JsonValue) -> JsonValue:
        tenant = tenant_of(self.routine.protocol_hash, self.peer)
        written = await self._run(self.routine.source, value, entry=direction.entry, tenant=tenant)
        made = lay_over(mapped(value), written)
        if direction.guard is not None and not same_fields(direction.guard.fields, made, guard(value)):
            raise PeerMisspoke("the function disagrees with what is copied")
        return made


def _compiled(mapping: Mapping | None) -> Compiled:
    if mapping is None:
        return lambda _value: {}
    return mapping.compile()


def lay_over(below: JsonValue, above: JsonValue) -> JsonValue:
    """`above` laid over `below`: objects key by key, lists of one length item by item, else `above`.

    Raises `PeerMisspoke` where two lists of objects differ in length, since then one of them is wrong.
    """
    if isinstance(below, dict) and isinstance(above, dict):
        merged = dict(below)
        for key, item in above.items():
            merged[key] = lay_over(below[key], item) if key in below else item
        return merged
    if isinstance(below, list) and isinstance(above, list) and below:
        if len(below) != len(above):
            raise PeerMisspoke("the two halves of a routine disagree on the number of items")
        return [lay_over(low, high) for low, high in zip(below, above, strict=True)]
    return above


class _Read(NamedTuple):
    """What is known of the row behind a routine that is ready."""

    as_of: bytes | None
    """The cache's generation when it was read; None where it is to be read again."""
    text: str | None
    """None where the cache had no room: then the routine stands in this process alone."""


class RoutineShelf:
    """Where routines are kept: the cache on disk, and those made ready in this process before it.

    Processes that share the cache see at their next need what another has made, changed, demoted or dropped: a look
    at the cache's generation, which reads no row, says whether what is ready still stands.
    """

    def __init__(self, cache: RoutineCache, run_source: RunSource, *, again_after: float = 3600.0) -> None:
        """What failed or was demoted is not made anew for `again_after` seconds."""
        self._cache = cache
        self._run = run_source
        self._again_after = again_after
        self._ready: dict[tuple[str, Role, str], Runnable] = {}
        self._read: dict[tuple[str, Role, str], _Read] = {}

    def get(self, protocol_hash: str, role: Role, key_digest: str) -> Runnable | None:
        """The routine for this document, role and task (or toolset), in whatever state; None where there is none."""
        place = (protocol_hash, role, key_digest)
        found, read = self._ready.get(place), self._read.get(place)
        as_of = None if read is None else read.as_of
        if found is not None and as_of is not None and as_of == self._cache.generation.now():
            return found
        return self.fresh(*place)

    def fresh(self, protocol_hash: str, role: Role, key_digest: str) -> Runnable | None:
        """The same, as it stands in the cache now, where another process may have changed it."""
        place = (protocol_hash, role, key_digest)
        ready, read = self._ready.get(place), self._read.get(place)
        # Before the row is read: a change that comes between makes the next look read again.
        as_of = self._cache.generation.now()
        if ready is not None and read is not None and read.text is None:
            return self._made_ready(place, ready, as_of, None)
        try:
            text = self._cache.get(_key(*place))
            if ready is not None and read is not None and text == read.text:
                return self._made_ready(place, ready, as_of, text)
            routine = None if text is None else Routine.from_json(orjson.loads(text))
        except (ValueError, StoreUnusable):
            routine, text = None, None
        if routine is None or (routine.protocol_hash, routine.role, routine.key_digest) != place:
            self._ready.pop(place, None)
            return None
        return self._made_ready(place, Runnable(_under_current_policy(routine), self._run), as_of, text)

    def _made_ready(
        self, place: tuple[str, Role, str], runnable: Runnable, as_of: bytes | None, text: str | None
    ) -> Runnable:
        keep(self._read, place, _Read(as_of, text), MAX_READY)
        keep(self._ready, place, runnable, MAX_READY)
        return runnable

    def serving(self, protocol_hash: str, role: Role, key_digest: str) -> Runnable | None:
        """The same, only where it may answer."""
        found = self.get(protocol_hash, role, key_digest)
        return found if found is not None and found.routine.serving else None

    def wanted(self, protocol_hash: str, role: Role, key_digest: str) -> bool:
        """Whether a routine is to be made here: there is none that serves or may yet, and none failed lately."""
        found = self.get(protocol_hash, role, key_digest)
        if found is not None and found.routine.state != "demoted":
            return False
        return self._cache.refusal(_key(protocol_hash, role, key_digest)) is None

    def put(self, routine: Routine) -> Runnable:
        """Keep a routine, in place of the one that stood there; in memory alone where the cache has no room."""
        place = (routine.protocol_hash, routine.role, routine.key_digest)
        text = orjson.dumps(routine.to_json()).decode()
        try:
            self._cache.put(_key(*place), text)
        except (RoutineRefused, StoreUnusable):
            # Better none for others than one that no longer stands.
            with suppress(StoreUnusable):
                self._cache.delete(_key(*place))
            return self._made_ready(place, Runnable(routine, self._run), None, None)
        return self._made_ready(place, Runnable(routine, self._run), None, text)

    def demote(self, routine: Routine, why: str) -> None:
        """Take a routine out of service; none is made in its place for a while."""
        verdict = replace(routine.verdict, passed=False, detail=why[:300])
        self.put(replace(routine, state="demoted", verdict=verdict))
        self.refuse(routine.protocol_hash, routine.role, routine.key_digest, why)

    def refuse(self, protocol_hash: str, role: Role, key_digest: str, why: str) -> None:
        """Note that no routine could be made here, so that a model is not asked for it with every request."""
        with suppress(RoutineRefused, StoreUnusable):
            self._cache.refuse(_key(protocol_hash, role, key_digest), why, seconds=self._again_after)

    def drop(self, routine: Routine) -> None:
        """Forget a routine."""
        place = (routine.protocol_hash, routine.role, routine.key_digest)
        self._cache.delete(_key(*place))
        self._ready.pop(place, None)

    def routines(self) -> list[Routine]:
        """All that are kept, in the order of their hashes."""
        found: list[Routine] = []
        for text in self._cache.values():
            try:
                found.append(Routine.from_json(orjson.loads(text)))
            except ValueError:
                continue
        return sorted(found, key=lambda routine: (routine.protocol_hash, routine.role, routine.key_digest))


def _under_current_policy(routine: Routine) -> Routine:
    """Code that was verified under another sandbox policy is a candidate again: shown anew, not paid for anew."""
    if routine.kind == "mapping" or routine.state == "demoted" or routine.verdict.sandbox_policy == POLICY_VERSION:
        return routine
    verdict = replace(routine.verdict, passed=False, shadows=0, misses=0, sandbox_policy=POLICY_VERSION)
    return replace(routine, state="candidate", verdict=verdict)


def _key(protocol_hash: str, role: Role, key_digest: str) -> RoutineKey:
    nothing = digest_of(None)
    return RoutineKey(
        protocol_hash=protocol_hash,
        role=role,
        task_schema_digest=key_digest if role == "sender" else nothing,
        toolset_schema_digest=key_digest if role == "receiver" else nothing,
        handler_abi=HANDLER_ABI,
    )
