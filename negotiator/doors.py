"""One agent, several dialects at once: which door a path leads to.

Behind all doors stand one planner, one document store, one routine cache and one count of what is under way.
"""

from collections.abc import Mapping

from negotiator.late import Late
from negotiator.wire import Door, WireReply, WireRequest


class Doors:
    """`SeveralDoors`, told apart by path."""

    def __init__(self, otherwise: Door, below: Mapping[str, Late[Door]]) -> None:
        """Lead to `otherwise` what belongs to no door of `below`.

        Args:
            otherwise: The door of all other paths.
            below: Doors by their path, such as `/mcp`: that path itself and what is below it is theirs. They see the
                whole path, as it came. Each is made for the first request that comes to it.
        """
        self._otherwise = otherwise
        self._below = dict(below)

    def at(self, path: str) -> Door:
        """The door that a path, with or without a query, belongs to."""
        if path == "/":
            return self._otherwise
        whole = path.partition("?")[0]
        for place, door in self._below.items():
            if whole == place or whole.startswith(place + "/"):
                return door()
        return self._otherwise

    async def __call__(self, wire: WireRequest) -> WireReply:
        """Answer one request at the door that its path leads to."""
        return await self.at(wire.path)(wire)
