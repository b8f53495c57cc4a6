"""What peers ask of a task by its id: to see it, to list it, to follow it, to cancel it."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from negotiator.a2a.running import Running
from negotiator.a2a.tasks import Kept, Tasks
from negotiator.dialects.a2a import objects
from negotiator.dialects.a2a.calls import Call, Event
from negotiator.dialects.a2a.faults import Fault
from negotiator.dialects.a2a.objects import TaskView
from negotiator.dialects.a2a.routes import read_count
from negotiator.jsonvalue import JsonObject
from negotiator.wire import ANONYMOUS

CAPABILITY: Final = re.compile(r"[A-Za-z0-9_-]{16,128}")
"""A context's id that nobody guesses, so that knowing it shows whose it is among callers without a name."""
_PAGE: Final = 50
_LARGEST_PAGE: Final = 100


class TaskCalls:
    """The tasks of one agent, as their peers see them. Belongs to one event loop."""

    def __init__(self, tasks: Tasks, running: Mapping[str, Running], may_have_effects: Callable[[], bool]) -> None:
        """Show `tasks`.

        Args:
            tasks: Where tasks are kept.
            running: Those that are under way in this process, by their ids.
            may_have_effects: Whether a request may do what must not be cut in two.
        """
        self._tasks = tasks
        self._running = running
        self._may_have_effects = may_have_effects

    def _task(self, call: Call, principal: str) -> Kept:
        kept = self._tasks.get(objects.identifier(call.params, "id") or "", principal)
        if kept is None:
            raise Fault("TASK_NOT_FOUND")
        return kept

    def get(self, call: Call, principal: str) -> JsonObject:
        """A task as it is. Raises `Fault`."""
        kept = self._task(call, principal)
        length = read_count(call.params, "historyLength")
        return objects.write_task(kept.view, call.form, history_length=length)

    def list(self, call: Call, principal: str) -> JsonObject:
        """A page of the caller's tasks, the last changed first. Raises `Fault`."""
        params = call.params
        context, status = objects.identifier(params, "contextId"), params.get("status")
        state = objects.read_state(status, "1.0") if status else None
        size = read_count(params, "pageSize")
        if size is not None and not 1 <= size <= _LARGEST_PAGE:
            raise Fault("INVALID_PARAMS", f"pageSize is not within 1 and {_LARGEST_PAGE}")
        if state == "unknown":
            raise Fault("INVALID_PARAMS", "status is no state of a task")
        # Callers without a name are one principal, and must not see each other's tasks.
        hidden = principal == ANONYMOUS and not (context and CAPABILITY.fullmatch(context))
        after = params.get("statusTimestampAfter")
        found = [
            kept
            for kept in ([] if hidden else self._tasks.of(principal, context))
            if state in (None, kept.view.state) and (not isinstance(after, str) or (kept.view.timestamp or "") >= after)
        ]
        first = _after(found, objects.identifier(params, "pageToken"))
        shown = found[first : first + (size or _PAGE)]
        left = len(found) > first + len(shown)
        length = read_count(params, "historyLength")
        with_artifacts = params.get("includeArtifacts") is True or params.get("includeArtifacts") == "true"
        return {
            "tasks": [
                objects.write_task(kept.view, "1.0", history_length=length, with_artifacts=with_artifacts)
                for kept in shown
            ],
            "nextPageToken": shown[-1].view.id if left else "",
            "pageSize": size or _PAGE,
            "totalSize": len(found),
        }

    async def cancel(self, call: Call, principal: str) -> JsonObject:
        """End a task where that can be done. Raises `Fault`."""
        kept = self._task(call, principal)
        running = self._running.get(kept.view.id)
        if kept.over:
            raise Fault("TASK_NOT_CANCELABLE", f"the task is {kept.view.state}")
        if running is not None:
            if self._may_have_effects():
                raise Fault("TASK_NOT_CANCELABLE", "the task may have begun what must not be cut in two")
            view = await running.cancel()
        elif kept.view.state == "input-required":
            view = self._tasks.stamped(replace(kept.view, state="canceled", message=None))
            self._tasks.put(view, principal)
        else:
            raise Fault("TASK_NOT_CANCELABLE", "the task is under way elsewhere")
        if view.state != "canceled":
            raise Fault("TASK_NOT_CANCELABLE", f"the task is {view.state}")
        return objects.write_task(view, call.form)

    def follow(self, call: Call, principal: str) -> AsyncGenerator[Event, None]:
        """A task as it is, and what becomes of it. Raises `Fault`."""
        kept = self._task(call, principal)
        running = self._running.get(kept.view.id)
        if running is not None:
            return running.follow()
        if kept.view.state == "input-required":
            return resting(kept.view)
        why = f"the task is {kept.view.state}" if kept.over else "the task is under way elsewhere; get it instead"
        raise Fault("UNSUPPORTED_OPERATION", why)


async def resting(view: TaskView) -> AsyncGenerator[Event, None]:
    """A task that rests, and its state, which is the last that can be said of it."""
    yield Event(task=view)
    yield Event(status=view)


def _after(found: Sequence[Kept], token: str | None) -> int:
    if token is None:
        return 0
    at = next((number for number, kept in enumerate(found, 1) if kept.view.id == token), None)
    if at is None:
        raise Fault("INVALID_PARAMS", "the page's token is not known, or not any more")
    return at
