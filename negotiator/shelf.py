"""Where routines are kept: the cache on disk, and those made ready in this process before it."""

from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import orjson

from negotiator.bounded import keep
from negotiator.journal import digest_of
from negotiator.routines import Role, Routine
from negotiator.running import Runnable, RunSource
from protocol_docs.changes import Watched
from protocol_docs.errors import StoreUnusable
from sandbox import POLICY_VERSION, RoutineRefused
from sandbox.cache import Generation, RoutineCache, RoutineKey

HANDLER_ABI = 1
"""The contract between a routine's source and the host; part of a routine's key."""
MAX_READY = 4096
"""Routines that are kept ready in one process."""


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
        self._ready: dict[tuple[str, Role, str], Runnable] = Watched()
        self._read: dict[tuple[str, Role, str], _Read] = {}

    @property
    def generation(self) -> Generation:
        """What tells of what other processes do with the routines that they share with this one."""
        return self._cache.generation

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
