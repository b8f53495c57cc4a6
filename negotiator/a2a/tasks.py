"""A2A tasks, kept in a text store: bounded in number, and forgotten some time after their last change.

A task that is under way is one process's; the others see the row that was written when it began.
"""

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from negotiator.clock import Clock
from negotiator.dialects.a2a.objects import TERMINAL, Misformed, TaskView, read_task, text_part, write_task
from negotiator.dialects.a2a.objects import Message as A2AMessage
from negotiator.dialects.json_body import write
from negotiator.jsonvalue import JsonObject
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

_TASK: Final = "a2a/task/"
_MESSAGE: Final = "a2a/message/"
_OF: Final = "a2a/of/"
"""Which tasks a principal has in a context, so that a list need not read them all."""
_SWEEP_EVERY: Final = 64
"""New tasks between two looks at every row, which is what a sweep costs."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_UNDER_WAY: Final = ("submitted", "working")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """What tasks may take together."""

    seconds: float = 3600.0
    """Life after the last change."""
    at_most: int = 1024
    """Tasks in the store, about: they are counted at every 64th new one, and the oldest that rest are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A task with what is not shown of it."""

    view: TaskView
    principal: str
    updated: float
    """Unix seconds."""
    ends: float | None = None
    """Unix seconds by which it has ended where it is under way."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.view.state in TERMINAL


class Tasks:
    """The tasks of one agent."""

    def __init__(self, store: TextStore, clock: Clock, limits: TaskLimits | None = None) -> None:
        """Keep tasks in `store`."""
        self._store = store
        self._clock = clock
        self._limits = limits or TaskLimits()
        self._until_sweep = 0

    def stamped(self, view: TaskView) -> TaskView:
        """The same, changed now."""
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        return replace(view, timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    def put(self, view: TaskView, principal: str, *, seconds: float | None = None) -> Kept:
        """Keep a task as it is now; `seconds` is how long it may yet be under way.

        Where the store has no room it is kept by nobody: what came of it is in the reply.
        """
        now = self._clock.time()
        kept = Kept(view=view, principal=principal, updated=now, ends=None if seconds is None else now + seconds)
        row = {"task": write_task(view, "1.0"), "principal": principal, "updated": now, "ends": kept.ends}
        with suppress(StoreUnusable):
            self._store.put(_TASK + view.id, write(row).decode())
        return kept

    def begin(self, view: TaskView, principal: str, *, seconds: float) -> Kept:
        """Keep a new task."""
        with suppress(StoreUnusable):
            self._store.put(_place(principal, view.context) + view.id, "1")
        kept = self.put(view, principal, seconds=seconds)
        if self._until_sweep <= 0:
            self.sweep()
            self._until_sweep = _SWEEP_EVERY
        self._until_sweep -= 1
        return kept

    def get(self, task: str, principal: str) -> Kept | None:
        """The task of this id; None where there is none, where its time is over, or to another principal."""
        kept = self._read(task)
        if kept is None or kept.principal != principal or kept.updated + self._limits.seconds <= self._clock.time():
            return None
        return self._ended(kept)

    def of(self, principal: str, context: str | None = None) -> list[Kept]:
        """The tasks of a principal, in one context or in all, the last changed first."""
        names = [key.rpartition("/")[2] for key in self._store.keys(_place(principal, context))]
        found = [kept for name in names if (kept := self.get(name, principal)) is not None]
        return sorted(found, key=lambda kept: (kept.updated, kept.view.id), reverse=True)

    def claim_message(self, principal: str, message: str, digest: str, task: str) -> tuple[str, str] | None:
        """Name the task that a message begins; where one has begun already, its id and the digest of what was said.

        Where the store has no room, a repetition is not noticed here.
        """
        key = _message(principal, message)
        row = write({"task": task, "digest": digest, "updated": self._clock.time()}).decode()
        with suppress(StoreUnusable):
            while not self._store.add(key, row):
                standing = self.begun_by(principal, message)
                if standing is not None:
                    return standing
                self._store.delete(key)
        return None

    def begun_by(self, principal: str, message: str) -> tuple[str, str] | None:
        """The task that a message began or went on with, and the digest of what was said."""
        row = self._row(_message(principal, message))
        if row is None or not _fresh(row, self._clock.time() - self._limits.seconds):
            return None
        return str(row.get("task")), str(row.get("digest"))

    def sweep(self) -> None:
        """Forget what is over its time, and the oldest of what is over the bound and not under way."""
        oldest = self._clock.time() - self._limits.seconds
        left: list[Kept] = []
        for key in self._store.keys(_TASK):
            kept = self._read(key.removeprefix(_TASK))
            if kept is None or kept.updated <= oldest:
                self._store.delete(key)
            else:
                left.append(self._ended(kept))
        resting = sorted((each for each in left if each.view.state not in _UNDER_WAY), key=lambda each: each.updated)
        dropped = {kept.view.id for kept in resting[: max(0, len(left) - self._limits.at_most)]}
        for name in dropped:
            self._store.delete(_TASK + name)
        there = {kept.view.id for kept in left} - dropped
        for key in self._store.keys(_MESSAGE):
            if (self._row(key) or {}).get("task") not in there:
                self._store.delete(key)
        for key in self._store.keys(_OF):
            if key.rpartition("/")[2] not in there:
                self._store.delete(key)

    def _ended(self, kept: Kept) -> Kept:
        """A task whose process ended before it did: nobody knows what it came to."""
        if kept.ends is None or kept.view.state not in _UNDER_WAY or kept.ends > self._clock.time():
            return kept
        said = A2AMessage(
            id=f"{kept.view.id}-lost",
            speaker="agent",
            parts=(text_part("it was not finished; whether it took effect is not known"),),
            context=kept.view.context,
            task=kept.view.id,
        )
        return replace(kept, view=replace(kept.view, state="failed", message=said))

    def _read(self, task: str) -> Kept | None:
        row = (self._row(_TASK + task) if _ID.fullmatch(task) else None) or {}
        match row:
            case {"task": dict(shown), "principal": str(principal), "updated": float(updated)}:
                ends = row.get("ends")
                try:
                    view = read_task(shown, "1.0", with_history=True)
                except Misformed:
                    return None
                view = replace(view, timestamp=_timestamp(shown))
                return Kept(
                    view=view, principal=principal, updated=updated, ends=ends if isinstance(ends, float) else None
                )
        return None

    def _row(self, key: str) -> JsonObject | None:
        text = self._store.get(key)
        try:
            row: Any = None if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return row if isinstance(row, dict) else None


def _message(principal: str, message: str) -> str:
    return _MESSAGE + hashlib.sha256(f"{principal}\0{message}".encode()).hexdigest()


def _place(principal: str, context: str | None) -> str:
    """Where the names of tasks stand: of one context, or of all."""
    below = "" if context is None else hashlib.sha256(context.encode()).hexdigest() + "/"
    return f"{_OF}{hashlib.sha256(principal.encode()).hexdigest()}/{below}"


def _fresh(row: JsonObject, oldest: float) -> bool:
    updated = row.get("updated")
    return isinstance(updated, float) and updated > oldest


def _timestamp(shown: JsonObject) -> str | None:
    status = shown.get("status")
    given = status.get("timestamp") if isinstance(status, dict) else None
    return given if isinstance(given, str) else None
