"""A2A tasks, kept in a text store: bounded in number and bytes, and forgotten some time after their last change.

A task that is under way is one process's; the others see the row that was written when it began.
"""

import hashlib
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from negotiator.clock import Clock
from negotiator.dialects.a2a.objects import TERMINAL, Misformed, TaskView, read_task, text_part, write_task
from negotiator.dialects.a2a.objects import Message as A2AMessage
from negotiator.dialects.json_body import write
from negotiator.errors import Overloaded
from negotiator.jsonvalue import JsonObject
from negotiator.room import Room
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

_TASK: Final = "a2a/task/"
_MESSAGE: Final = "a2a/message/"
_OF: Final = "a2a/of/"
"""Which tasks a principal has in a context, so that a list need not read them all."""
_SWEEP_EVERY: Final = 64
"""New tasks between two looks at every row, which is what a sweep costs."""
_SWEEP_SECONDS: Final = 1.0
"""Between two of them at the least, however many new tasks come."""
_CLAIM_SECONDS: Final = 5.0
"""From the claim of a message to the row of its task, at the most."""
_BESIDE: Final = 400
"""Bytes of the rows that name a task, and of that of one message."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_UNDER_WAY: Final = ("submitted", "working")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """What tasks may take together."""

    seconds: float = 3600.0
    """Life after the last change."""
    at_most: int = 1024
    """Tasks in the store, half of them of one principal; `negotiator.room` divides them. What other processes keep is
    counted at every 64th new one."""
    total_bytes: int = 16_777_216
    """UTF-8 bytes of their rows, divided alike."""
    row_bytes: int = 1_048_576
    """Of one of them; what is larger is not kept."""
    patience: float = 300.0
    """Seconds after which a task that waits for its peer makes room for others as one that has ended does."""


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
        self._swept = -_SWEEP_SECONDS
        self._room = Room(self._limits.at_most, self._limits.total_bytes)
        self._resting: dict[str, deque[TaskView]] = {}
        """By principal, the oldest first: what may be forgotten for others."""

    def stamped(self, view: TaskView) -> TaskView:
        """The same, changed now."""
        now = datetime.fromtimestamp(self._clock.time(), UTC)
        return replace(view, timestamp=now.isoformat(timespec="milliseconds").replace("+00:00", "Z"))

    def put(self, view: TaskView, principal: str, *, seconds: float | None = None) -> Kept:
        """Keep a task as it is now; `seconds` is how long it may yet be under way.

        Where there is no room for it, it is kept by nobody: what came of it is in the reply.
        """
        kept, text, size = self._written(view, principal, seconds)
        try:
            self._keep(kept, text, size)
        except Overloaded:
            self._forget(view, principal)
        return kept

    def begin(self, view: TaskView, principal: str, *, seconds: float) -> Kept:
        """Keep a new task, or one that goes on. Raises `Overloaded` where there is no room for it."""
        if self._until_sweep <= 0 and self._may_sweep():
            self.sweep()
        self._until_sweep -= 1
        kept, text, size = self._written(view, principal, seconds)
        self._keep(kept, text, size)
        with suppress(StoreUnusable):
            self._store.put(_place(principal, view.context) + view.id, "1")
        return kept

    def _written(self, view: TaskView, principal: str, seconds: float | None) -> tuple[Kept, str, int]:
        """A task as it is now, its row, and the bytes that it takes with those that name it."""
        now = self._clock.time()
        kept = Kept(view=view, principal=principal, updated=now, ends=None if seconds is None else now + seconds)
        row = {"task": write_task(view, "1.0"), "principal": principal, "updated": now, "ends": kept.ends}
        text = write(row)
        return kept, text.decode(), _size(view, len(text))

    def _keep(self, kept: Kept, text: str, size: int) -> None:
        view, principal = kept.view, kept.principal
        if size > self._limits.row_bytes or not self._has_room(view.id, principal, size):
            raise Overloaded("too many tasks are kept")
        with suppress(StoreUnusable):
            self._store.put(_TASK + view.id, text)
            self._room.set(view.id, principal, size)
            if kept.over:
                self._rests(kept)

    def _has_room(self, task: str, principal: str, size: int) -> bool:
        """Whether there is room for a row, once the oldest that rest have made what they can."""
        while (giving := self._room.short(task, principal, size)) is not None:
            resting = self._resting.get(giving)
            if resting:
                self._forget(resting.popleft(), giving)
            elif self._may_sweep():
                self.sweep()
            else:
                return False
        return True

    def _rests(self, kept: Kept) -> None:
        self._resting.setdefault(kept.principal, deque()).append(_named(kept.view))

    def _forget(self, view: TaskView, principal: str) -> None:
        self._room.drop(view.id)
        with suppress(StoreUnusable):
            self._store.delete(_TASK + view.id)
            self._store.delete(_place(principal, view.context) + view.id)

    def _may_sweep(self) -> bool:
        return self._clock.monotonic() - self._swept >= _SWEEP_SECONDS

    def get(self, task: str, principal: str) -> Kept | None:
        """The task of this id; None where there is none, where its time is over, or to another principal."""
        kept = _read(self._store.get(_TASK + task)) if _ID.fullmatch(task) else None
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

    def unclaim_message(self, principal: str, message: str) -> None:
        """A message began nothing after all."""
        self._store.delete(_message(principal, message))

    def begun_by(self, principal: str, message: str) -> tuple[str, str] | None:
        """The task that a message began or went on with, and the digest of what was said."""
        row = _object(self._store.get(_message(principal, message)))
        if row is None or not _fresh(row, self._clock.time() - self._limits.seconds):
            return None
        return str(row.get("task")), str(row.get("digest"))

    def sweep(self) -> None:
        """Forget what is over its time, and see what is there, whoever put it."""
        now = self._clock.time()
        self._until_sweep, self._swept = _SWEEP_EVERY, self._clock.monotonic()
        self._room.clear()
        self._resting.clear()
        resting: list[Kept] = []
        there: set[str] = set()
        for key in self._store.keys(_TASK):
            text = self._store.get(key) or ""
            kept = _read(text)
            if kept is None or kept.updated <= now - self._limits.seconds:
                self._store.delete(key)
                continue
            there.add(kept.view.id)
            self._room.set(kept.view.id, kept.principal, _size(kept.view, len(text.encode())))
            kept = self._ended(kept)
            if kept.over or (kept.view.state not in _UNDER_WAY and kept.updated <= now - self._limits.patience):
                resting.append(kept)
        for kept in sorted(resting, key=lambda each: each.updated):
            self._rests(kept)
        for key in self._store.keys(_MESSAGE):
            row = _object(self._store.get(key)) or {}
            # A message is claimed before its task is kept.
            if row.get("task") not in there and not _fresh(row, now - _CLAIM_SECONDS):
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


def _read(text: str | None) -> Kept | None:
    """A task's row; None for what is none of ours."""
    row = _object(text) or {}
    match row:
        case {"task": dict(shown), "principal": str(principal), "updated": float(updated)}:
            ends = row.get("ends")
            try:
                view = read_task(shown, "1.0", with_history=True)
            except Misformed:
                return None
            view = replace(view, timestamp=_timestamp(shown))
            return Kept(view=view, principal=principal, updated=updated, ends=ends if isinstance(ends, float) else None)
    return None


def _object(text: str | None) -> JsonObject | None:
    try:
        row: Any = None if text is None else orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _size(view: TaskView, row: int) -> int:
    """The bytes of a task's row with the rows beside it, one for each message that it took."""
    return row + _BESIDE * (1 + len(view.history))


def _named(view: TaskView) -> TaskView:
    """What it is forgotten by, without what was said in it."""
    return TaskView(id=view.id, context=view.context, state=view.state)


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
