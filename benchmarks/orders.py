"""What the process that makes the load is told, and what it answers."""

import base64
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, Self

GIVE_UP: Final = 30.0
"""Seconds after which a reply is no longer waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to ask, and how."""

    port: int
    request: bytes
    """The whole request, head and body."""
    way: Literal["sequential", "closed", "open"] = "sequential"
    seconds: float = 1.0
    connections: int = 1
    """At once; in the open way at most."""
    rate: float = 0.0
    """Requests a second, in the open way: exponential gaps, drawn by `seed`."""
    seed: int = 0
    waits: bool = False
    """Whether a request that is due waits for a connection, in the open way; else it is not sent, and counted."""
    at_most: int = 0
    """Requests after which it ends before its time; 0 for no end but that."""
    at_least: int = 0
    """Requests that are counted before it ends, though its time be over. Neither this nor the next in the open way."""
    lead_in: float = 0.0
    """Seconds before `seconds`, and one reply at least, that are not counted: who was not asked for a while is slow in
    its first replies.
    """
    pid: int = 0
    """The process whose processor time is told in the closed way; 0 for none."""

    def to_json(self) -> dict[str, Any]:
        """A row that `from_json` reads."""
        return asdict(self) | {"request": base64.b64encode(self.request).decode()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """What `to_json` has told."""
        return cls(**row | {"request": base64.b64decode(row["request"])})


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of an order."""

    seconds: float
    """From the first request to the last reply."""
    microseconds: dict[int, list[float]] = field(default_factory=dict)
    """By status, each request's time; status 0 is no reply."""
    unsent: int = 0
    """Requests that were due and found no connection, in the open way."""
    processor: float | None = None
    """Seconds of processor time that the order's `pid` has used meanwhile; None where the system does not say."""
    body: bytes = b""
    """Of the first reply."""

    @property
    def ended(self) -> int:
        """Requests that have ended, with a reply or without."""
        return sum(len(each) for each in self.microseconds.values())

    @property
    def count(self) -> int:
        """Replies of any status."""
        return sum(len(each) for status, each in self.microseconds.items() if status)

    def good(self) -> list[float]:
        """Microseconds of the replies with status 200. Raises `RuntimeError` where there was anything else."""
        others = {status: len(each) for status, each in self.microseconds.items() if status != 200 and each}
        if others or not self.microseconds.get(200):
            raise RuntimeError(f"replies that were not 200: {others}; the first: {self.body[:300]!r}")
        return self.microseconds[200]

    def to_json(self) -> dict[str, Any]:
        """A row that `from_json` reads."""
        return asdict(self) | {"body": base64.b64encode(self.body).decode()}

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Self:
        """What `to_json` has told."""
        times = {int(status): each for status, each in row["microseconds"].items()}
        return cls(**row | {"microseconds": times, "body": base64.b64decode(row["body"])})


class Replies:
    """Takes replies out of the bytes of one connection."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> tuple[int, bytes, bool] | None:
        """(status, body, whether the server keeps the connection) where a reply is whole."""
        self._bytes = self._bytes + data if self._bytes else data
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._bytes[:end].lower()
        at = head.find(b"content-length:")
        if at < 0:
            raise ValueError("a reply without content-length")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._bytes) < end + 4 + length:
            return None
        body, self._bytes = self._bytes[end + 4 : end + 4 + length], b""
        return int(head[9:12]), body, b"connection: close" not in head and not head.startswith(b"http/1.0")
