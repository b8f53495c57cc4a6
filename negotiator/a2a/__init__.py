"""A2A as one agent speaks it: the door to its peers, and the tasks behind it."""

from negotiator.a2a.door import A2ADoor
from negotiator.a2a.offer import door_of, offer_of
from negotiator.a2a.tasks import Kept, TaskLimits, Tasks

__all__ = ["A2ADoor", "Kept", "TaskLimits", "Tasks", "door_of", "offer_of"]
