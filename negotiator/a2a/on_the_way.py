"""What is told of a task under way: how far it is as its status, parts of its answer as pieces of its artifact."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from negotiator.a2a.running import Running
from negotiator.dialects.a2a import calls, extension
from negotiator.dialects.a2a.objects import Artifact, Message, TaskView, text_part
from negotiator.events import Event, Partial, Progress

MAX_TOLD: Final = 1_024
"""Events of one task that are told; of those after them, nobody hears."""
MAX_SHOWN: Final = 65_536
"""Characters of an answer under way; the whole is told at its end, whatever its length."""
MAX_MESSAGE: Final = 300
"""Characters of what is said of a task's state."""


class OnTheWay:
    """A listener for the work on one task. Belongs to the event loop that the task runs in."""

    def __init__(
        self,
        running: Running,
        *,
        artifact: str,
        new_id: Callable[[], str],
        stamped: Callable[[TaskView], TaskView],
        active: bool,
    ) -> None:
        """Tell who follows `running`.

        Args:
            running: The task.
            artifact: The id of the artifact that its answer will be.
            new_id: Where identifiers of messages come from.
            stamped: A view with the time at which it is so.
            active: Whether the peer has asked for our extension.
        """
        self._running = running
        self._artifact = artifact
        self._new_id = new_id
        self._stamped = stamped
        self._active = active
        self._told = 0
        self._said = ""
        self._loop, self._home = asyncio.get_running_loop(), threading.get_ident()

    def __call__(self, what: Event) -> None:
        """Tell it, from whatever thread it comes."""
        if threading.get_ident() == self._home:
            self._tell(what)
        else:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._tell, what)

    def _tell(self, what: Event) -> None:
        if self._running.over or self._told >= MAX_TOLD:
            return
        view = self._running.view
        match what:
            case Progress():
                view = self._stamped(replace(view, message=self._message(view, what)))
                self._running.tell(view, calls.Event(status=view))
            case Partial() if what.text and len(self._said) + len(what.text) <= MAX_SHOWN:
                goes_on, self._said = bool(self._said), self._said + what.text
                view = replace(view, artifacts=(Artifact(id=self._artifact, parts=(text_part(self._said),)),))
                piece = Artifact(id=self._artifact, parts=(text_part(what.text),))
                self._running.tell(view, calls.Event(artifact=(view, piece), append=goes_on, last=False))
            case _:
                return
        self._told += 1

    def _message(self, view: TaskView, what: Progress) -> Message:
        known = self._active and what.fraction is not None
        return Message(
            id=self._new_id(),
            speaker="agent",
            parts=(text_part(what.message[:MAX_MESSAGE]),),
            context=view.context,
            task=view.id,
            metadata={extension.PROGRESS: min(max(what.fraction or 0.0, 0.0), 1.0)} if known else {},
            extensions=(extension.URI,) if known else (),
        )
