"""Worker processes handed out to one tenant each, retired and replaced (Linux).

One thread starts and buries all workers. It lives as long as the process, because the kernel ties a child's
parent-death signal to the thread that started it. Callers wait with a callback, so that the pool serves
threads and event loops alike.
"""

import queue
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.errors import SandboxError, SandboxUnavailable
from sandbox.processes import BOOTSTRAP, START_SECONDS, Worker, start_worker

Deliver = Callable[[Worker | SandboxError], None]


@dataclass(eq=False)
class Ticket:
    """Somebody waits for a worker."""

    tenant: str
    memory_bytes: int
    deliver: Deliver


class Pool:
    """Hands out workers; see the module's docstring."""

    def __init__(self, workers: int, spares: int, spare_memory: int, bootstrap: str = BOOTSTRAP) -> None:
        # Reentrant: a delivery that comes too late gives its worker back.
        self._lock = threading.RLock()
        self._most = workers
        self._spares_wanted = spares
        self._spare_memory = spare_memory
        self._bootstrap = bootstrap
        self._idle: deque[Worker] = deque()
        self._spares: deque[Worker] = deque()
        self._starting = 0
        self._busy: set[Worker] = set()
        self._waiting: deque[Ticket] = deque()
        self._orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.held: dict[str, bool] | None = None
        """What the last worker that was started reported of its locks."""

    def acquire(self, tenant: str, memory_bytes: int, deliver: Deliver) -> Worker | Ticket:
        """A worker at once, or a ticket: `deliver` is then called from another thread with the worker or an error."""
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("this executor was closed")
            worker = self._take(tenant, memory_bytes)
            if worker is not None:
                return worker
            ticket = Ticket(tenant, memory_bytes, deliver)
            self._waiting.append(ticket)
            self._order_for_waiting()
            return ticket

    def withdraw(self, ticket: Ticket) -> bool:
        """Stop waiting; False where a worker is being delivered to this ticket already."""
        with self._lock:
            try:
                self._waiting.remove(ticket)
            except ValueError:
                return False
            return True

    def release(self, worker: Worker) -> None:
        """Give a worker back after a call that ended well."""
        with self._lock:
            self._busy.discard(worker)
            if self._closed or worker.worn or worker.process.poll() is not None:
                self._bury(worker)
            else:
                self._idle.append(worker)
            self._serve_waiting()

    def retire(self, worker: Worker) -> None:
        """Give a worker back that must serve nobody any more."""
        # The signal goes out now; only the burial waits for the thread.
        worker.dead = True
        worker.process.kill()
        with self._lock:
            self._busy.discard(worker)
            self._bury(worker)
            self._serve_waiting()

    def close(self) -> None:
        """End every worker that is not in use; those in use end with their call."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            waiting, self._waiting = list(self._waiting), deque()
            workers = [*self._idle, *self._spares]
            self._idle.clear()
            self._spares.clear()
            thread = self._thread
        for ticket in waiting:
            ticket.deliver(SandboxUnavailable("this executor was closed"))
        for worker in workers:
            worker.bury()
        if thread is not None:
            self._orders.put(None)
            thread.join(START_SECONDS)

    # What follows runs with the lock held.

    def _take(self, tenant: str, memory_bytes: int) -> Worker | None:
        for worker in reversed(list(self._idle)):
            if worker.tenant == tenant and worker.memory_bytes == memory_bytes:
                self._idle.remove(worker)
                if worker.process.poll() is None:
                    self._busy.add(worker)
                    return worker
                self._bury(worker)
        if len(self._busy) >= self._most:
            return None
        for worker in self._spares:
            if worker.memory_bytes == memory_bytes:
                self._spares.remove(worker)
                worker.tenant = tenant
                self._busy.add(worker)
                self._make_room()
                self._order_spares()
                return worker
        return None

    def _make_room(self) -> None:
        while self._idle and len(self._busy) + len(self._idle) > self._most:
            self._bury(self._idle.popleft())

    def _serve_waiting(self) -> None:
        for ticket in list(self._waiting):
            worker = self._take(ticket.tenant, ticket.memory_bytes)
            if worker is not None:
                self._waiting.remove(ticket)
                ticket.deliver(worker)
        self._order_for_waiting()

    def _order_for_waiting(self) -> None:
        room = self._most - len(self._busy) - self._starting
        for ticket in list(self._waiting)[self._starting :][: max(room, 0)]:
            self._order(ticket.memory_bytes)

    def _order_spares(self) -> None:
        for _ in range(self._spares_wanted - len(self._spares) - self._starting):
            self._order(self._spare_memory)

    def _order(self, memory_bytes: int) -> None:
        if self._closed:
            return
        self._starting += 1
        self._orders.put(memory_bytes)
        self._run_thread()

    def _bury(self, worker: Worker) -> None:
        if self._closed:
            worker.bury()
            return
        self._orders.put(worker)
        self._run_thread()

    def _run_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sandbox-workers", daemon=True)
            self._thread.start()

    # What follows runs in the pool's own thread.

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            if isinstance(order, Worker):
                order.bury()
                continue
            try:
                arrived: Worker | SandboxError = start_worker(order, self._bootstrap)
            except SandboxError as error:
                arrived = error
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
                arrived = SandboxUnavailable(f"a worker process cannot be started: {type(error).__name__}")
            self._arrive(arrived)

    def _arrive(self, arrived: Worker | SandboxError) -> None:
        with self._lock:
            self._starting -= 1
            if isinstance(arrived, Worker):
                self.held = arrived.held
                if self._closed:
                    self._bury(arrived)
                    return
                self._spares.append(arrived)
                self._serve_waiting()
                while len(self._spares) > self._spares_wanted:
                    self._bury(self._spares.popleft())
            else:
                waiting, self._waiting = list(self._waiting), deque()
                for ticket in waiting:
                    ticket.deliver(arrived)
