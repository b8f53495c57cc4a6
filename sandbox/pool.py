"""Worker processes handed out to one tenant each, retired and replaced (Linux).

Threads of the pool's own start and bury all workers. They live as long as the process, because the kernel ties a
child's parent-death signal to the thread that started it. Callers wait with a callback, so that the pool serves
threads and event loops alike.

Whoever waits is served tenant by tenant in turn, and within a tenant in the order of arrival; a tenant that has
many calls waiting delays another's first by one call and not by all of its own.
"""

import queue
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from sandbox.errors import SandboxError, SandboxUnavailable
from sandbox.processes import BOOTSTRAP, START_SECONDS, Worker
from sandbox.starts import Starts

Deliver = Callable[[Worker | SandboxError], None]

STARTERS = 2
"""Workers that are started at the same time."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds without a new attempt after a worker could not be started; twice as many after each failure in a row."""


@dataclass(eq=False, slots=True)
class Ticket:
    """Somebody waits for a worker."""

    tenant: str
    memory_bytes: int
    deliver: Deliver


class Pool:
    """Hands out workers; see the module's docstring."""

    def __init__(
        self,
        workers: int,
        spares: int,
        spare_memory: int,
        bootstrap: str = BOOTSTRAP,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Reentrant: a delivery that comes too late gives its worker back.
        self._lock = threading.RLock()
        self._most = workers
        self._spares_wanted = spares
        self._spare_memory = spare_memory
        self._starts = Starts(bootstrap)
        self._clock = clock
        self._idle: list[Worker] = []
        """Least recently used first."""
        self._spares: list[Worker] = []
        self._starting: list[int] = []
        """The memory of each worker that was ordered and has not arrived."""
        self._busy: set[Worker] = set()
        self._waiting: OrderedDict[str, deque[Ticket]] = OrderedDict()
        """By tenant; the tenant that was served longest ago first."""
        self._failures = 0
        self._failed: str | None = None
        """Why the last attempt to start a worker failed."""
        self._pause_ends = 0.0
        self._orders: queue.SimpleQueue[int | Worker | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self.held: dict[str, bool] | None = None
        """What the last worker that was started reported of its locks."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def processes(self) -> tuple[int, ...]:
        """The process ids of all workers that serve or are ready."""
        with self._lock:
            return tuple(worker.process.pid for worker in (*self._busy, *self._idle, *self._spares))

    @property
    def alone(self) -> bool:
        """Whether no more than one worker is in use."""
        return len(self._busy) < 2  # noqa: PLR2004

    def take(self, tenant: str, memory_bytes: int) -> Worker | None:
        """A worker, where one is ready and nobody waits.

        Raises:
            SandboxUnavailable: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise SandboxUnavailable(_CLOSED)
            if self._waiting or len(self._busy) >= self._most:
                return None
            return self._take(tenant, memory_bytes)

    def wait(self, tenant: str, memory_bytes: int, deliver: Deliver) -> Ticket:
        """Wait in line: `deliver` is called with the worker or an error, from another thread or at once.

        Raises:
            SandboxUnavailable: The pool is closed.
        """
        with self._lock:
            if self._closed:
                raise SandboxUnavailable(_CLOSED)
            ticket = Ticket(tenant, memory_bytes, deliver)
            self._waiting.setdefault(tenant, deque()).append(ticket)
            self._serve()
            return ticket

    def withdraw(self, ticket: Ticket) -> bool:
        """Stop waiting; False where a worker is being delivered to this ticket already."""
        with self._lock:
            line = self._waiting.get(ticket.tenant, ())
            if ticket not in line:
                return False
            self._leave(ticket)
            self._serve()
            return True

    def release(self, worker: Worker) -> None:
        """Give a worker back after a call that ended well."""
        with self._lock:
            self._busy.discard(worker)
            if self._closed or worker.worn:
                self._bury(worker)
            else:
                self._idle.append(worker)
            if self._waiting:
                self._serve()
            if len(self._spares) < self._spares_wanted:
                self._order_spares()

    def retire(self, worker: Worker) -> None:
        """Give a worker back that must serve nobody any more."""
        # The signal goes out now; only the burial waits for the thread.
        worker.dead = True
        worker.process.kill()
        with self._lock:
            self._busy.discard(worker)
            self._bury(worker)
            self._serve()
            self._order_spares()

    def close(self) -> None:
        """End every worker, those in use too."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            waiting = list(self._in_turn())
            self._waiting.clear()
            workers = [*self._idle, *self._spares]
            self._idle.clear()
            self._spares.clear()
            for worker in self._busy:
                # Whoever uses it hears of it from its pipe, and gives it back to be buried.
                worker.process.kill()
            threads = list(self._threads)
        for ticket in waiting:
            ticket.deliver(SandboxUnavailable(_CLOSED))
        for worker in workers:
            worker.bury()
        for _ in threads:
            self._orders.put(None)
        for thread in threads:
            thread.join(START_SECONDS)
        self._starts.close()

    # What follows runs with the lock held.

    def _take(self, tenant: str, memory_bytes: int) -> Worker | None:
        for at in range(len(self._idle) - 1, -1, -1):
            worker = self._idle[at]
            if worker.tenant == tenant and worker.memory_bytes == memory_bytes:
                del self._idle[at]
                self._busy.add(worker)
                return worker
        for worker in self._spares:
            if worker.memory_bytes == memory_bytes:
                self._spares.remove(worker)
                worker.tenant = tenant
                self._busy.add(worker)
                # Another tenant's worker is never handed on: the one that was idle longest makes room.
                while self._idle and len(self._busy) + len(self._idle) > self._most:
                    self._bury(self._idle.pop(0))
                return worker
        return None

    def _serve(self) -> None:
        """Hand out what can be handed out. A place is held for each who has to wait for a worker to start."""
        places = self._most - len(self._busy)
        unserved: list[Ticket] = []
        for ticket in list(islice(self._in_turn(), places)):
            worker = self._take(ticket.tenant, ticket.memory_bytes)
            if worker is None:
                unserved.append(ticket)
                continue
            self._leave(ticket)
            if ticket.tenant in self._waiting:
                self._waiting.move_to_end(ticket.tenant)
            ticket.deliver(worker)
        if self._failed is not None and self._clock() < self._pause_ends:
            self._fail_waiting(self._failed)
            return
        coming = list(self._starting)
        for ticket in unserved:
            if ticket.memory_bytes in coming:
                coming.remove(ticket.memory_bytes)
            else:
                self._order(ticket.memory_bytes)

    def _fail_waiting(self, why: str) -> None:
        """End the waiting of all but those for whom a worker is starting, or their own tenant's is on its way back."""
        starting = list(self._starting)
        busy = {(worker.tenant, worker.memory_bytes) for worker in self._busy}
        for ticket in list(self._in_turn()):
            if ticket.memory_bytes in starting:
                starting.remove(ticket.memory_bytes)
            elif (ticket.tenant, ticket.memory_bytes) not in busy:
                self._leave(ticket)
                ticket.deliver(SandboxUnavailable(why))

    def _in_turn(self) -> Iterator[Ticket]:
        lines = list(self._waiting.values())
        for place in range(max(map(len, lines), default=0)):
            for line in lines:
                if place < len(line):
                    yield line[place]

    def _leave(self, ticket: Ticket) -> None:
        line = self._waiting[ticket.tenant]
        line.remove(ticket)
        if not line:
            del self._waiting[ticket.tenant]

    def _order_spares(self) -> None:
        ready = sum(worker.memory_bytes == self._spare_memory for worker in self._spares)
        for _ in range(self._spares_wanted - ready - self._starting.count(self._spare_memory)):
            self._order(self._spare_memory)

    def _order(self, memory_bytes: int) -> None:
        if self._closed or self._clock() < self._pause_ends:
            return
        if len(self._starting) >= self._most + self._spares_wanted:
            return  # what arrives is looked at again: who still waits then is ordered for
        # The next call is most likely like the last one.
        self._spare_memory = memory_bytes
        self._starting.append(memory_bytes)
        self._orders.put(memory_bytes)
        self._run_threads()

    def _bury(self, worker: Worker) -> None:
        if self._closed:
            worker.bury()
            return
        self._orders.put(worker)
        self._run_threads()

    def _run_threads(self) -> None:
        if not self._threads or (len(self._threads) < STARTERS and len(self._starting) > len(self._threads)):
            thread = threading.Thread(target=self._work, name="sandbox-workers", daemon=True)
            self._threads.append(thread)
            thread.start()

    # What follows runs in the pool's own threads.

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            self._fulfil(order)

    def _fulfil(self, order: int | Worker) -> None:
        if isinstance(order, Worker):
            self._starts.buried(order.bury())
            return
        try:
            arrived: Worker | str = self._starts.worker(order)
        except SandboxError as error:
            arrived = str(error)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            arrived = f"a worker process cannot be started: {type(error).__name__}"
        with self._lock:
            self._starting.remove(order)
            self._arrive(arrived)

    def _arrive(self, arrived: Worker | str) -> None:
        if isinstance(arrived, str):
            self._failures += 1
            pause = min(FIRST_PAUSE * 2 ** min(self._failures - 1, 10), LONGEST_PAUSE)
            self._failed, self._pause_ends = arrived, self._clock() + pause
            self._fail_waiting(arrived)
            return
        self._failures, self._failed, self._pause_ends = 0, None, 0.0
        self.held = arrived.held
        if self._closed:
            self._bury(arrived)
            return
        self._spares.append(arrived)
        self._serve()
        while len(self._spares) > self._spares_wanted:
            of_no_use = [worker for worker in self._spares if worker.memory_bytes != self._spare_memory]
            worker = (of_no_use or self._spares)[0]
            self._spares.remove(worker)
            self._bury(worker)


_CLOSED = "this executor was closed"
