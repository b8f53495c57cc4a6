"""A routine made ready to run in this process."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from negotiator.comparison import same_fields
from negotiator.errors import PeerMisspoke
from negotiator.jsonvalue import JsonValue
from negotiator.mapping import Mapping as FieldMappings
from negotiator.messages import PeerClass
from negotiator.routines import ENTRY_WHOLE, Direction, Role, Routine

RunSource: TypeAlias = Callable[..., Awaitable[JsonValue]]
"""`sandbox.Executor.arun`: source, data, and keywords tools, limits, entry, tenant."""

_PEER_OF: Final[Mapping[Role, PeerClass]] = {"sender": "known", "receiver": "stranger"}


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
        self.map_into = _compiled(routine.into.mapping)
        """What the mapping makes of what `into` is given. Raises `BadInput`."""
        self.map_back = _compiled(routine.back.mapping)
        """The same of what `back` is given."""
        self._guard_into = _compiled(routine.into.guard)
        self._guard_back = _compiled(routine.back.guard)

    @cached_property
    def moves_into(self) -> bool:
        """Whether `map_into` only moves what it is given, so that it makes plain JSON of plain JSON."""
        return _moves(self.routine.into.mapping)

    @cached_property
    def moves_back(self) -> bool:
        """The same of `map_back`."""
        return _moves(self.routine.back.mapping)

    @cached_property
    def straight(self) -> bool:
        """Whether it answers every request, and by its mappings alone."""
        routine = self.routine
        return routine.firm and not routine.whole and routine.into.entry is None and routine.back.entry is None

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
            return self.map_into(value)
        return await self._mixed(self.routine.into, self.map_into, self._guard_into, value)

    async def back(self, value: JsonValue) -> JsonValue:
        """Reply body to output, or tool result to reply body. Raises as `into` does."""
        if self.routine.back.entry is None:
            return self.map_back(value)
        return await self._mixed(self.routine.back, self.map_back, self._guard_back, value)

    async def handle(self, request: JsonValue, tools: Mapping[str, Callable[..., Any]]) -> JsonValue:
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


def _compiled(mapping: FieldMappings | None) -> Compiled:
    if mapping is None:
        return lambda _value: {}
    return mapping.compile()


def _moves(mapping: FieldMappings | None) -> bool:
    return mapping is not None and all(
        (field.const == {} and not field.join)  # an object to put things into
        if field.source is None
        else not (field.table or field.has_default or field.convert) and (field.each is None or _moves(field.each))
        for field in mapping.fields
    )


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
