"""Server-sent events, as far as dialects use them: one JSON message an event. Source: HTML standard 9.2."""

from typing import Final

from negotiator.errors import PeerMisspoke

MEDIA_TYPE: Final = "text/event-stream"
MAX_ID: Final = 1024
"""Characters of an event's id."""
KEEP_ALIVE: Final = b": still at work\n\n"
"""A comment, which readers skip, so that nothing between takes the silence for an end."""


def event(data: bytes) -> bytes:
    """One event that carries `data`, which holds no line break."""
    return b"event: message\ndata: " + data + b"\n\n"


class EventReader:
    """The data of events, from bytes as they come, and from where the stream can be gone on with."""

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` bytes of one event."""
        self.last_id: str | None = None
        """The id of the last event that had one; None where the stream cannot be gone on with."""
        self.retry: float | None = None
        """Seconds that the server wants to be left alone before that; None where it did not say."""
        self._limit = limit
        self._rest: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        """The data of the events that `part` ends. Raises `PeerMisspoke` for one over the limit."""
        self._rest.append(part)
        self._held += len(part)
        lines: list[bytes] = []
        # A line that comes byte by byte is put together once.
        if b"\n" in part:
            lines = b"".join(self._rest).replace(b"\r\n", b"\n").split(b"\n")
            # A line feed may follow a carriage return that ends this part.
            rest = lines.pop()
            self._rest, self._held = [rest], len(rest)
        if self._held + self._size > self._limit:
            raise PeerMisspoke("an event of more bytes than one may have")
        ended: list[bytes] = []
        for line in lines:
            self._line(line.rstrip(b"\r"), ended)
        return ended

    def _line(self, line: bytes, ended: list[bytes]) -> None:
        if not line:
            if self._data:
                ended.append(b"\n".join(self._data))
            self._data, self._size = [], 0
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"id" and len(value) <= MAX_ID and value.isascii() and value.decode().isprintable():
            # An empty one takes it back.
            self.last_id = value.decode() or None
        elif name == b"retry" and value.isdigit() and len(value) < 10:  # noqa: PLR2004 - milliseconds
            self.retry = int(value) / 1000
        elif name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > self._limit:
                raise PeerMisspoke("an event of more bytes than one may have")
