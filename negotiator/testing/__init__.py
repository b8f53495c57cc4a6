"""For tests of what is built on this package, and of the package itself: a clock that stands still until it is told
to move, and agents in one process whose every message is seen and can be made to fail.
"""

from negotiator.testing.clock import VirtualClock
from negotiator.testing.world import Carried, World, numbered

__all__ = ["Carried", "VirtualClock", "World", "numbered"]
