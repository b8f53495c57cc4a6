"""A client that is the same for every server, in a process of its own: HTTP/1.1 with keep-alive, written on sockets.

Three ways of asking. *Sequential*: one connection, the next request when the reply is there. *Closed*: the same over
several connections at once. *Open*: requests begin when they are due, at a rate that does not wait for replies, and
each is counted from when it was due, not from when there was a connection for it.

The parent says what to do in a line of JSON (`Order`), and the process answers with a line (`Result`); it ends with its
standard input. A server that closes its connections is connected to anew, within the time of the request.
"""

import asyncio
import base64
import importlib
import importlib.util
import json
import random
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, cast

ROOT = Path(__file__).parent.parent
_TICK = 0.001
"""Seconds between two looks at what is due."""
_GIVE_UP = 30.0
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


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of an order."""

    seconds: float
    """From the first request to the last reply."""
    microseconds: dict[int, list[float]] = field(default_factory=dict)
    """By status, each request's time; status 0 is no reply."""
    unsent: int = 0
    """Requests that were due and found no connection, in the open way."""
    body: bytes = b""
    """Of the first reply."""

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


class Load:
    """The process; a context manager."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def give(self, order: Order) -> None:
        """Begin with an order; `take` has its result."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        row = asdict(order) | {"request": base64.b64encode(order.request).decode()}
        self._process.stdin.write(json.dumps(row) + "\n")
        self._process.stdin.flush()

    def take(self) -> Result:
        """The result of the order that was given. Raises `RuntimeError` where the process has ended."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process that makes the load has ended")
        row = json.loads(line)
        times = {int(status): each for status, each in row.pop("microseconds").items()}
        return Result(**row | {"microseconds": times, "body": base64.b64decode(row["body"])})

    def __call__(self, order: Order) -> Result:
        """Do what an order says, and wait for its end."""
        self.give(order)
        return self.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class _Replies:
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


def sequential(order: Order) -> Result:
    """One request after the other, on a blocking socket."""
    done = Result(seconds=0.0)
    line = _Line(order)
    begun = time.perf_counter()
    until, now = begun + order.seconds, begun
    while now < until and not (order.at_most and done.count >= order.at_most):
        # A server may close a connection between two requests without a word; once is not held against it.
        found = line.ask() or (line.ask() if line.was_used else None)
        ended = time.perf_counter()
        status, body, _ = found or (0, b"", False)
        done.microseconds.setdefault(status, []).append((ended - now) * 1e6)
        done.body = done.body or body
        now = time.perf_counter()
    line.close()
    done.seconds = now - begun
    return done


class _Line:
    """One connection at a time."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._socket: socket.socket | None = None
        self.was_used = False
        """Whether the last request went over a connection that had carried another."""

    def ask(self) -> tuple[int, bytes, bool] | None:
        """The reply; None where the connection ended before it."""
        self.was_used = self._socket is not None
        connection = self._socket or socket.create_connection(("127.0.0.1", self._order.port), _GIVE_UP)
        if not self.was_used:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        replies, found = _Replies(), None
        try:
            connection.sendall(self._order.request)
            while found is None and (data := connection.recv(65536)):
                found = replies.feed(data)
        except OSError:
            found = None
        if found is None or not found[2]:
            self.close()
        return found

    def close(self) -> None:
        """Let go of it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _Connection(asyncio.Protocol):
    """One connection of many; tells its crowd of each reply."""

    transport: asyncio.Transport

    def __init__(self, crowd: "_Crowd") -> None:
        self._crowd = crowd
        self._replies = _Replies()
        self.since: float | None = None
        """When the request that is under way was due; None where none is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, since: float) -> None:
        """Send the request."""
        self.since = since
        self.transport.write(self._crowd.order.request)

    def data_received(self, data: bytes) -> None:
        found = self._replies.feed(data)
        if found is None or self.since is None:
            return
        status, body, keeps = found
        since, self.since = self.since, None
        self._crowd.answered(self, since, status, body, keeps=keeps)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        since, self.since = self.since, None
        if since is not None:
            self._crowd.answered(self, since, 0, b"", keeps=False)


class _Crowd:
    """Several connections at one order."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.done = Result(seconds=0.0)
        self._loop = asyncio.get_running_loop()
        self._free: deque[_Connection] = deque()
        self._made = 0
        self._under_way = 0
        self._until = 0.0
        self._over = asyncio.Event()
        self._due: deque[float] = deque()
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self) -> Result:
        """Do it."""
        order = self.order
        for _ in range(order.connections):
            await self._connect()
        begun = time.perf_counter()
        self._until = begun + order.seconds
        if order.way == "closed":
            for _ in range(order.connections):
                self._ask(self._free.popleft(), time.perf_counter())
        else:
            await self._at_its_rate(begun)
        if self._under_way:
            async with asyncio.timeout(order.seconds + _GIVE_UP):
                await self._over.wait()
        self.done.seconds = time.perf_counter() - begun
        for task in self._opening:
            task.cancel()
        for connection in self._free:
            connection.transport.abort()
        return self.done

    async def _connect(self) -> None:
        _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.order.port)
        self._free.append(connection)

    def _ask(self, connection: _Connection, since: float) -> None:
        self._under_way += 1
        connection.ask(since)

    async def _at_its_rate(self, begun: float) -> None:
        lots = random.Random(self.order.seed)
        due = begun
        while due < self._until:
            now = time.perf_counter()
            while due <= now and due < self._until:
                if self._free:
                    self._ask(self._free.popleft(), due)
                elif self.order.waits:
                    self._due.append(due)
                else:
                    self.done.unsent += 1
                due += lots.expovariate(self.order.rate)
            # What has come meanwhile is read in between.
            await asyncio.sleep(max(0.0, min(due - time.perf_counter(), _TICK)))

    def answered(self, connection: _Connection, since: float, status: int, body: bytes, *, keeps: bool) -> None:
        """Note a reply, and go on."""
        now = time.perf_counter()
        self.done.microseconds.setdefault(status, []).append((now - since) * 1e6)
        self.done.body = self.done.body or body
        self._under_way -= 1
        enough = self.order.at_most and self.done.count >= self.order.at_most
        if not keeps:
            connection.transport.abort()
            if now < self._until and not enough:
                self._again()
        elif self.order.way == "closed" and now < self._until and not enough:
            self._ask(connection, now)
        elif self._due:
            self._ask(connection, self._due.popleft())
        else:
            self._free.append(connection)
        if not self._under_way and not self._opening and (now >= self._until or enough):
            self._over.set()

    def _again(self) -> None:
        async def anew() -> None:
            since = time.perf_counter()
            await self._connect()
            if self.order.way == "closed":
                self._ask(self._free.pop(), since)

        task = asyncio.create_task(anew())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)


async def at_once(order: Order) -> Result:
    """Over several connections, closed or open."""
    return await _Crowd(order).run()


def _result_row(result: Result) -> dict[str, Any]:
    return asdict(result) | {"body": base64.b64encode(result.body).decode()}


def main() -> None:
    """Obey until standard input ends."""
    new_loop = importlib.import_module("uvloop").new_event_loop if importlib.util.find_spec("uvloop") else None
    for line in sys.stdin:
        row = json.loads(line)
        order = Order(**row | {"request": base64.b64decode(row["request"])})
        if order.way == "sequential":
            result = sequential(order)
        else:
            with asyncio.Runner(loop_factory=new_loop) as runner:
                result = runner.run(at_once(order))
        sys.stdout.write(json.dumps(_result_row(result)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
