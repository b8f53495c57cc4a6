"""How much callers may have kept of what outlives their requests: one of them, and all together. Pure.

Nobody has more than half of the rows and bytes, and all callers who proved nothing are one. Where all of it is taken, it
is whoever has the most that makes room, so that many names get no more than few.
"""

from typing import Final

_SHARE: Final = 2
"""One holder has at most the whole by this."""


class Room:
    """Who has what, as far as this process has seen; what others have changed since is seen when it is counted anew."""

    def __init__(self, at_most: int, total_bytes: int) -> None:
        """Room for `at_most` rows of `total_bytes` bytes together."""
        self._at_most = at_most
        self._total_bytes = total_bytes
        self._rows: dict[str, tuple[str, int]] = {}
        self._held: dict[str, tuple[int, int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """The rows that are there."""
        return len(self._rows)

    def clear(self) -> None:
        """Begin to count anew."""
        self._rows.clear()
        self._held.clear()
        self._bytes = 0

    def set(self, name: str, principal: str, size: int) -> None:
        """A row is there, of `size` bytes from now on."""
        self.drop(name)
        rows, held = self._held.get(principal, (0, 0))
        self._rows[name] = principal, size
        self._held[principal] = rows + 1, held + size
        self._bytes += size

    def drop(self, name: str) -> None:
        """A row is there no more."""
        principal, size = self._rows.pop(name, ("", 0))
        rows, held = self._held.get(principal, (0, 0))
        self._bytes -= size
        if rows > 1:
            self._held[principal] = rows - 1, held - size
        else:
            self._held.pop(principal, None)

    def short(self, name: str, principal: str, size: int) -> str | None:
        """Who would have to give something up, were a row set; None where there is room for it."""
        before = self._rows.get(name)
        more, grown = (1, size) if before is None else (0, size - before[1])
        rows, held = self._held.get(principal, (0, 0))
        # Sizes may be odd: half of them, and never less than one row.
        most = max(1, self._at_most // _SHARE)
        if rows + more > most or held + grown > self._total_bytes // _SHARE:
            return principal
        if len(self._rows) + more > self._at_most or self._bytes + grown > self._total_bytes:
            return max(self._held, key=lambda each: self._held[each][::-1], default=principal)
        return None
