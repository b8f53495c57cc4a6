"""Requests over several connections at once, one way or the other, from one thread that is woken for nothing else.

What makes the load must be quicker than what is measured, or it is the one that is measured: no event loop of tasks and
callbacks is between the kernel's word that a reply is there and the next request.
"""

import random
import select
import selectors
import socket
import time
from collections import deque
from typing import Final

from benchmarks.clocks import processor_seconds
from benchmarks.orders import GIVE_UP, Order, Replies, Result

_WRITABLE: Final = selectors.EVENT_WRITE


class _Connection:
    """One connection of many."""

    __slots__ = ("opening", "replies", "since", "socket")

    def __init__(self, port: int) -> None:
        """Begin to connect."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.opening = True
        """Whether it is not yet known to be open."""
        self.replies = Replies()
        self.since: float | None = None
        """When the request that is under way was due; None where none is."""
        self.socket.connect_ex(("127.0.0.1", port))

    def send(self, request: bytes) -> None:
        """Send a request. Raises `OSError`."""
        sent = self.socket.send(request)
        if sent < len(request):
            self.socket.setblocking(True)
            self.socket.sendall(request[sent:])
            self.socket.setblocking(False)


class Crowd:
    """Several connections at one order, closed or open."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._done = Result(seconds=0.0)
        self._ready = selectors.DefaultSelector()
        self._free: deque[_Connection] = deque()
        self._due: deque[float] = deque()
        self._under_way = 0
        self._until = 0.0
        self._asks = False
        """Whether the order has begun; before that, connections carry their first request."""
        self._counted = 0.0
        """When replies begin to be counted."""
        self._begun: float | None = None
        """When the first was, or that time itself; None before."""
        self._used: float | None = None
        """Processor time of the order's process at that time."""

    def run(self) -> Result:
        """Do it."""
        order = self._order
        for _ in range(order.connections):
            self._first()
        self._done, self._asks = Result(seconds=0.0), True
        begun = time.perf_counter()
        self._counted = begun + order.lead_in
        self._until = self._counted + order.seconds
        if not order.lead_in:
            self._count_from(begun)
        if order.way == "closed":
            for _ in range(order.connections):
                self._ask(self._free.popleft(), time.perf_counter())
            self._heard_until(self._until + GIVE_UP)
        else:
            self._at_its_rate(begun)
        self._done.seconds = time.perf_counter() - (self._begun or begun)
        if self._used is not None and (used := processor_seconds(order.pid)) is not None:
            self._done.processor = used - self._used
        for key in list(self._ready.get_map().values()):
            key.data.socket.close()
        self._ready.close()
        return self._done

    def _count_from(self, now: float) -> None:
        self._begun, self._used = now, processor_seconds(self._order.pid) if self._order.pid else None

    def _first(self) -> None:
        """Have one more connection, over which one request was answered: a server may be long in accepting it."""
        connection = _Connection(self._order.port)
        self._ready.register(connection.socket, _WRITABLE, connection)
        self._ask(connection, time.perf_counter())
        self._heard_until(time.perf_counter() + GIVE_UP)

    def _at_its_rate(self, begun: float) -> None:
        lots, rate = random.Random(self._order.seed), self._order.rate
        due = begun
        while due < self._until:
            now = time.perf_counter()
            while due <= now and due < self._until:
                if self._free:
                    self._ask(self._free.popleft(), due)
                elif self._order.waits:
                    self._due.append(due)
                else:
                    self._done.unsent += 1
                due += lots.expovariate(rate)
            # A selector waits for whole milliseconds, and many are due in one.
            select.select([self._ready], [], [], max(0.0, due - time.perf_counter()))
            self._hear(0.0)
        self._heard_until(self._until + GIVE_UP)

    def _heard_until(self, end: float) -> None:
        """Hear until nothing is under way; what is not answered by `end` has no reply."""
        while self._under_way:
            left = end - time.perf_counter()
            if left <= 0:
                self._done.microseconds.setdefault(0, []).extend([GIVE_UP * 1e6] * self._under_way)
                return
            self._hear(left)

    def _ask(self, connection: _Connection, since: float) -> None:
        self._under_way += 1
        connection.since = since
        if not connection.opening:
            self._send(connection)

    def _send(self, connection: _Connection) -> None:
        try:
            connection.send(self._order.request)
        except OSError:
            self._lost(connection)

    def _hear(self, seconds: float) -> None:
        """Take what has come, after at most `seconds`."""
        for key, mask in self._ready.select(seconds):
            connection: _Connection = key.data
            if mask & _WRITABLE:
                self._opened(connection)
                continue
            try:
                data = connection.socket.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._lost(connection)
            elif (found := connection.replies.feed(data)) and connection.since is not None:
                self._answered(connection, found)

    def _opened(self, connection: _Connection) -> None:
        connection.opening = False
        self._ready.modify(connection.socket, selectors.EVENT_READ, connection)
        if connection.since is not None:
            self._send(connection)

    def _lost(self, connection: _Connection) -> None:
        """The server has closed a connection, or refused one."""
        if connection.since is not None:
            self._answered(connection, (0, b"", False))
        else:
            # One that was free: another stands where it stood, so that who is due finds it open.
            self._free.remove(connection)
            self._free.append(self._another(connection))

    def _is_over(self, now: float) -> bool:
        order, done = self._order, self._done
        if order.at_most and done.count >= order.at_most:
            return True
        return now >= self._until and self._begun is not None and done.ended >= order.at_least

    def _another(self, instead: _Connection) -> _Connection:
        self._ready.unregister(instead.socket)
        instead.socket.close()
        connection = _Connection(self._order.port)
        self._ready.register(connection.socket, _WRITABLE, connection)
        return connection

    def _answered(self, connection: _Connection, found: tuple[int, bytes, bool]) -> None:
        """Note a reply, as `Replies` finds it, and go on."""
        status, body, keeps = found
        now, done, order = time.perf_counter(), self._done, self._order
        since, connection.since = connection.since or now, None
        if self._begun is not None:
            done.microseconds.setdefault(status, []).append((now - since) * 1e6)
        elif self._asks and now >= self._counted:
            # From one reply on: what is counted is then as many as there are times between two.
            self._count_from(now)
        done.body = done.body or body
        self._under_way -= 1
        over = self._asks and self._is_over(now)
        if not keeps:
            if over and not self._due:
                self._ready.unregister(connection.socket)
                connection.socket.close()
                return
            connection = self._another(connection)
        if order.way == "closed" and self._asks and not over:
            self._ask(connection, now)
        elif self._due:
            self._ask(connection, self._due.popleft())
        else:
            self._free.append(connection)
