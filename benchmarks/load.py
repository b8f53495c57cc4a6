"""A client that is the same for every server, in a process of its own: HTTP/1.1 with keep-alive, written on sockets.

Three ways of asking. *Sequential*: one connection, the next request when the reply is there. *Closed*: the same over
several connections at once. *Open*: requests begin when they are due, at a rate that does not wait for replies, and
each is counted from when it was due, not from when there was a connection for it.

The parent says what to do in a line of JSON (`Order`), and the process answers with a line (`Result`); it ends with its
standard input. A server that closes its connections is connected to anew, within the time of the request.
"""

import json
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Self

from benchmarks.crowd import Crowd
from benchmarks.orders import GIVE_UP, Order, Replies, Result

ROOT = Path(__file__).parent.parent


def line_from(pipe: IO[str], seconds: float) -> str:
    """The next line of a process that answers each line with one; empty where it has ended. Raises `TimeoutError`."""
    if not select.select([pipe], [], [], seconds)[0]:
        raise TimeoutError(f"a process of the benchmark has said nothing for {seconds:.0f} s")
    return pipe.readline()


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
        self._process.stdin.write(json.dumps(order.to_json()) + "\n")
        self._process.stdin.flush()
        self._given = order

    def take(self) -> Result:
        """The result of the order that was given. Raises `RuntimeError` where the process has ended, `TimeoutError`."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        # Each of its ways gives up twice at most: a connection, and a reply.
        line = line_from(self._process.stdout, self._given.seconds + 3 * GIVE_UP)
        if not line:
            raise RuntimeError("the process that makes the load has ended")
        return Result.from_json(json.loads(line))

    def __call__(self, order: Order) -> Result:
        """Do what an order says, and wait for its end."""
        self.give(order)
        return self.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def sequential(order: Order) -> Result:
    """One request after the other, on a blocking socket."""
    done = Result(seconds=0.0)
    line = _Line(order)
    begun = now = time.perf_counter()
    counted = begun + order.lead_in
    while now < counted:
        line.ask()
        begun = now = time.perf_counter()
    until = begun + order.seconds
    while (now < until or done.ended < order.at_least) and not (order.at_most and done.count >= order.at_most):
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
        connection = self._socket or socket.create_connection(("127.0.0.1", self._order.port), GIVE_UP)
        if not self.was_used:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        replies, found = Replies(), None
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


def at_once(order: Order) -> Result:
    """Over several connections, closed or open."""
    return Crowd(order).run()


def main() -> None:
    """Obey until standard input ends."""
    for line in sys.stdin:
        order = Order.from_json(json.loads(line))
        result = sequential(order) if order.way == "sequential" else at_once(order)
        sys.stdout.write(json.dumps(result.to_json()) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
