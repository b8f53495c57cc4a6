"""Worker processes: started, handed out to one tenant each, retired, replaced (Linux).

One thread starts and buries all workers. It lives as long as the process, because the kernel ties a child's
parent-death signal to the thread that started it. Callers wait with a callback, so that the pool serves
threads and event loops alike.
"""

import contextlib
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError, SandboxUnavailable, WorkerDied
from sandbox.inside import frames

START_SECONDS = 20.0
"""How long a worker may take to be ready."""
RETIRE_AFTER_CALLS = 50_000
RETIRE_AFTER_SECONDS = 60.0
"""A worker's whole working time; the operating system ends it at four times as much processor time."""

# The package is given a bare stand-in, so that the worker imports `sandbox.inside` and nothing of the host's side.
BOOTSTRAP = (
    "import sys, types\n"
    "sys.path[:0] = {paths!r}\n"
    "package = types.ModuleType('sandbox')\n"
    "package.__path__ = [{package!r}]\n"
    "sys.modules['sandbox'] = package\n"
    "from sandbox.inside.worker import serve\n"
    "serve()\n"
)


class Late(Exception):
    """The worker did not answer in time."""


class Flood(Exception):
    """The worker sent more than it may."""


@dataclass(eq=False)
class Worker:
    """A worker process and our ends of its two pipes."""

    process: "subprocess.Popen[bytes]"
    to: int
    """The descriptor that we write to."""
    back: int
    """The descriptor that we read from."""
    memory_bytes: int
    held: dict[str, bool] = field(default_factory=dict)
    """Which locks it reported."""
    tenant: str | None = None
    known: set[str] = field(default_factory=set)
    """Digests of the sources that it has compiled."""
    calls: int = 0
    busy_seconds: float = 0.0
    buffer: bytes = b""
    dead: bool = False

    @property
    def worn(self) -> bool:
        """True where it should serve no further call."""
        return self.dead or self.calls >= RETIRE_AFTER_CALLS or self.busy_seconds >= RETIRE_AFTER_SECONDS

    def write_some(self, data: "memoryview[int]") -> "memoryview[int]":
        """Write what the pipe takes; return the rest. Raises `WorkerDied`."""
        try:
            return data[os.write(self.to, data) :]
        except BlockingIOError:
            return data
        except OSError:
            raise self.died() from None

    def read_frame(self, limit: int) -> tuple[int, bytes] | None:
        """The next frame if it is whole; else read what there is, once.

        Raises:
            WorkerDied: The pipe is closed.
            Flood: The frame is longer than `limit`.
        """
        try:
            part = os.read(self.back, 1 << 18)
        except BlockingIOError:
            part = None
        except OSError:
            raise self.died() from None
        if part is not None:
            if not part:
                raise self.died()
            self.buffer += part
        if len(self.buffer) < frames.HEAD.size:
            return None
        length, kind = frames.HEAD.unpack_from(self.buffer)
        if length > limit:
            raise Flood
        end = frames.HEAD.size + length
        if len(self.buffer) < end:
            return None
        if len(self.buffer) > end:
            # A worker speaks only when spoken to; two frames at once are a stranger's.
            raise Flood
        payload, self.buffer = self.buffer[frames.HEAD.size : end], b""
        return kind, payload

    def talk(self, data: bytes, seconds: float, limit: int) -> tuple[int, bytes]:
        """Write `data` and read one frame, blocking this thread for at most `seconds`.

        Raises:
            Late: The time has run out.
            WorkerDied: The process ended.
            Flood: It sent more than `limit` bytes.
        """
        deadline = time.monotonic() + seconds
        rest = self.write_some(memoryview(data))
        poll = select.poll()
        poll.register(self.back, select.POLLIN)
        if rest:
            poll.register(self.to, select.POLLOUT)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not (ready := poll.poll(left * 1000 + 1)):
                raise Late
            for descriptor, _ in ready:
                if descriptor == self.back:
                    if (answer := self.read_frame(limit)) is not None:
                        return answer
                elif not (rest := self.write_some(rest)):
                    poll.unregister(self.to)

    def died(self) -> WorkerDied:
        """The error for a worker whose pipe is closed, with the signal that ended it."""
        self.dead = True
        try:
            code = self.process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            code = 0
        cause = {
            -31: "it made a system call that is not allowed",
            -11: "the interpreter crashed",
            -9: "it was killed",
            -24: "its processor time ran out",
        }.get(code, "it ended")
        return WorkerDied(f"the worker died: {cause}")

    def bury(self) -> None:
        """Kill the process and close the pipes; returns when it is gone."""
        self.dead = True
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def start_worker(memory_bytes: int, bootstrap: str = BOOTSTRAP) -> Worker:
    """Start a worker and wait until it is locked.

    Raises:
        SandboxUnavailable: It cannot be started or locked here; the message says why.
    """
    if not sys.executable:
        raise SandboxUnavailable("no Python interpreter to start workers with (sys.executable is empty)")
    import RestrictedPython  # noqa: PLC0415 - its place is needed, and only here

    package = Path(__file__).parent
    code = bootstrap.format(paths=[str(Path(RestrictedPython.__file__).parent.parent)], package=str(package))
    # A fixed seed: sets of text iterate in the same order in every worker, so a routine gives one answer.
    environment = {"PYTHONHASHSEED": "0", "TZ": "UTC0", "LC_ALL": "C.UTF-8"}
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = libraries
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-s", "-S", "-P", "-W", "ignore", "-X", "utf8", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            bufsize=0,
        )
    except OSError as error:
        raise SandboxUnavailable(f"a worker process cannot be started: {error}") from None
    if process.stdin is None or process.stdout is None:
        raise SandboxUnavailable("a worker process has no pipes")
    worker = Worker(process, process.stdin.fileno(), process.stdout.fileno(), memory_bytes)
    try:
        _greet(worker)
    except (Late, Flood, WorkerDied):
        worker.bury()
        raise SandboxUnavailable("a worker process did not come up") from None
    except BaseException:
        worker.bury()
        raise
    return worker


def _greet(worker: Worker) -> None:
    os.set_blocking(worker.to, False)
    os.set_blocking(worker.back, False)
    config = json.dumps({"memory_bytes": worker.memory_bytes, "parent": os.getpid()}).encode()
    kind, payload = worker.talk(frames.frame(frames.CONFIG, config), START_SECONDS, 4096)
    if kind != frames.READY:
        raise SandboxUnavailable(f"a worker cannot be locked here: {payload.decode(errors='replace')[:200]}")
    worker.held = json.loads(payload)


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

    def prime(self) -> None:
        """Start the spares, if they are not there yet."""
        with self._lock:
            self._order_spares()

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
