"""The default executor: warm worker processes behind the operating system's locks (Linux)."""

import atexit
import inspect
import os
import sys
import threading
import time
import weakref
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, Unpack

from sandbox.errors import (
    LimitExceeded,
    SandboxBusy,
    SandboxError,
    SandboxUnavailable,
    ToolError,
    WorkerDied,
)
from sandbox.exchange import Exchange, Reply, Returned, check_request, failure
from sandbox.executor import Call, Level, Options
from sandbox.inside import frames
from sandbox.limits import DEFAULT_LIMITS, Limits

if sys.platform != "linux":
    raise SandboxUnavailable(f"the executor locked needs Linux and this is {sys.platform}")

from sandbox.beside import Beside
from sandbox.pool import Pool
from sandbox.processes import BOOTSTRAP, START_SECONDS, Flood, Gone, Late, Worker
from sandbox.storms import Key, Storms

PATIENCE_SECONDS = 10.0
"""How long a call waits for a free worker, in seconds."""
CHECK_SECONDS = 5.0
"""How long compiling may take, in seconds."""
BRISK_SECONDS = 0.0005
"""A program that answered so fast the last time is waited for on the spot, for a millisecond at most, before its call is
given to the event loop: that would cost more than the whole call."""
KEPT_PROGRAMS = 256
"""As many as a worker keeps compiled; one that is forgotten on either side is sent again."""
TRIES = 3
"""Workers that one call may find dead before it gives up."""


class Locked:
    """Runs each handler in a warm worker process that serves one tenant at a time.

    Args:
        workers: The most worker processes in use or kept warm for a tenant.
        spares: Workers kept ready beside them, so that a killed one is replaced at once.
        patience_s: How long a call waits for a free worker, in seconds, before `SandboxBusy`.
    """

    name = "locked"

    def __init__(
        self, *, workers: int = 8, spares: int = 1, patience_s: float = PATIENCE_SECONDS, _bootstrap: str = BOOTSTRAP
    ) -> None:
        self._arguments = (workers, spares, DEFAULT_LIMITS.memory_bytes, _bootstrap)
        self._patience_s = patience_s
        self._pool_of_process = (os.getpid(), Pool(*self._arguments))
        self._storms = Storms()
        self._beside = Beside()
        self._abandoned: list[Pool] = []
        _open_executors.add(self)

    @property
    def _pool(self) -> Pool:
        process, pool = self._pool_of_process
        if process != os.getpid():
            # After a fork the workers are the parent's. They are kept from being collected, not used and not ended.
            self._abandoned.append(pool)
            pool = Pool(*self._arguments)
            self._pool_of_process = (os.getpid(), pool)
        return pool

    @property
    def locks(self) -> dict[str, bool]:
        """Which locks a worker holds here, by name. Starts one if none was started yet."""
        if self._pool.held is None:
            pool = self._pool
            pool.release(pool.take("", DEFAULT_LIMITS.memory_bytes) or _wait(pool, "", DEFAULT_LIMITS, START_SECONDS))
        return dict(self._pool.held or {})

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers that serve or are ready."""
        return self._pool.processes()

    @property
    def level(self) -> Level:
        """The level reached on this machine."""
        held = self.locks
        if held["seccomp"]:
            return Level.FULL if held["landlock"] else Level.NO_LANDLOCK
        return Level.NO_SECCOMP if held["landlock"] else Level.PROCESS_ONLY

    def close(self) -> None:
        """See `Executor.close`."""
        process, pool = self._pool_of_process
        if process == os.getpid():
            pool.close()

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.run`."""
        call = Call(source, data, **options)
        tenant, limits = call.tenant, call.held_to
        exchange = Exchange(source, data, call.tools or {}, limits, call.entry)
        pool, program = self._pool, (tenant, exchange.digest)
        self._storms.check(program)
        for _ in range(TRIES):
            worker = pool.take(tenant, limits.memory_bytes) or _wait(pool, tenant, limits, self._patience_s)
            with _Lent(worker, pool, self._storms, program, limits) as lent:
                outgoing, left = lent.begin(exchange), limits.wall_s
                near = lent.brisk and pool.alone
                if not near:
                    worker.roam(self._beside)
                while True:
                    began = time.monotonic()
                    if near:
                        kind, payload = worker.talk_beside(outgoing, left, exchange.frame_limit, self._beside)
                    else:
                        kind, payload = worker.talk(outgoing, left, exchange.frame_limit)
                    left -= lent.spent(began)
                    meant = exchange.receive(kind, payload)
                    if isinstance(meant, Returned):
                        return meant.value
                    if isinstance(meant, Reply):
                        outgoing = meant.frame
                        continue
                    try:
                        result = meant.tool(*meant.args, **meant.kwargs)
                    except ToolError as error:
                        outgoing = exchange.tool_failed(error)
                        continue
                    if inspect.isawaitable(result):
                        if isinstance(result, Coroutine):
                            result.close()
                        raise TypeError("an async tool needs arun")
                    outgoing = exchange.tool_result(result)
        raise WorkerDied(_ALL_DEAD)

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.arun`."""
        from sandbox.on_loop import talk, wait_for_worker  # noqa: PLC0415 - asyncio, for those who use it

        call = Call(source, data, **options)
        tenant, limits = call.tenant, call.held_to
        exchange = Exchange(source, data, call.tools or {}, limits, call.entry)
        pool, program = self._pool, (tenant, exchange.digest)
        self._storms.check(program)
        for _ in range(TRIES):
            worker = pool.take(tenant, limits.memory_bytes)
            if worker is None:
                worker = await wait_for_worker(pool, tenant, limits.memory_bytes, self._patience_s)
            with _Lent(worker, pool, self._storms, program, limits) as lent:
                outgoing, left = lent.begin(exchange), limits.wall_s
                worker.roam(self._beside)
                while True:
                    began = time.monotonic()
                    kind, payload = await talk(worker, outgoing, left, exchange.frame_limit, brisk=lent.brisk)
                    left -= lent.spent(began)
                    meant = exchange.receive(kind, payload)
                    if isinstance(meant, Returned):
                        return meant.value
                    if isinstance(meant, Reply):
                        outgoing = meant.frame
                        continue
                    try:
                        result = meant.tool(*meant.args, **meant.kwargs)
                        if inspect.isawaitable(result):
                            result = await result
                    except ToolError as error:
                        outgoing = exchange.tool_failed(error)
                        continue
                    outgoing = exchange.tool_result(result)
        raise WorkerDied(_ALL_DEAD)

    def check(self, source: str, *, entry: str = "handle") -> None:
        """See `sandbox.check`."""
        request = check_request(source, entry)
        pool, limits = self._pool, Limits(wall_s=CHECK_SECONDS)
        for _ in range(TRIES):
            worker = pool.take("", limits.memory_bytes) or _wait(pool, "", limits, self._patience_s)
            with _Lent(worker, pool, self._storms, ("", ""), limits) as lent:
                began = time.monotonic()
                kind, payload = worker.talk(request, limits.wall_s, 1 << 16)
                lent.spent(began)
                if kind != frames.FINE:
                    raise failure(kind, payload, limits)
                return
        raise WorkerDied(_ALL_DEAD)


_ALL_DEAD = f"{TRIES} workers in a row were dead before they could be called"


class _Lent:
    """A worker for as long as one call lasts."""

    __slots__ = ("_limits", "_longest", "_pool", "_program", "_spoken_to", "_storms", "_worker", "brisk")

    def __init__(self, worker: Worker, pool: Pool, storms: Storms, program: Key, limits: Limits) -> None:
        self._worker = worker
        self._pool = pool
        self._storms = storms
        self._program = program
        self._limits = limits
        self._spoken_to = False
        self._longest = 0.0
        self.brisk = worker.known.get(program[1], 1.0) < BRISK_SECONDS
        """Whether this program answered within a moment the last time."""

    def begin(self, exchange: Exchange) -> bytes:
        """The first message; with the source, where this worker has not seen it."""
        worker = self._worker
        worker.calls += 1
        if exchange.digest in worker.known:
            return exchange.request(with_source=False)
        worker.known[exchange.digest] = 1.0
        if len(worker.known) > KEPT_PROGRAMS:
            del worker.known[next(iter(worker.known))]
        return exchange.request(with_source=True)

    def spent(self, began: float) -> float:
        """The worker has answered: seconds since `began`."""
        spent = time.monotonic() - began
        self._worker.busy_seconds += spent
        self._spoken_to = True
        self._longest = max(self._longest, spent)
        return spent

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        # A worker goes back only where its side of the call is known to be over. Any other end, the caller's
        # cancellation and a tool's own error among them, leaves a handler running in it.
        if error is None or (isinstance(error, SandboxError) and error.repairable):
            self._storms.lived(self._program)
            if self._program[1] in self._worker.known:
                self._worker.known[self._program[1]] = self._longest
            self._pool.release(self._worker)
            return False
        self._pool.retire(self._worker)
        if isinstance(error, (Gone, WorkerDied)):
            if self._pool.closed:
                raise SandboxUnavailable("this executor was closed") from None
            if isinstance(error, Gone) and not self._spoken_to:
                return True
            self._storms.died(self._program)
        if isinstance(error, Gone):
            raise error.__cause__ or WorkerDied("the worker died") from None
        if isinstance(error, Late):
            raise LimitExceeded("wall_s", f"longer than {self._limits.wall_s:g} s") from None
        if isinstance(error, Flood):
            raise LimitExceeded("output_bytes", f"more than {self._limits.output_bytes} bytes of output") from None
        return False


def _wait(pool: Pool, tenant: str, limits: Limits, patience_s: float) -> Worker:
    arrived: list[Worker | SandboxError] = []
    ready = threading.Event()

    def deliver(what: Worker | SandboxError) -> None:
        arrived.append(what)
        ready.set()

    ticket = pool.wait(tenant, limits.memory_bytes, deliver)
    try:
        in_time = ready.wait(patience_s)
    except BaseException:
        if not pool.withdraw(ticket) and isinstance(arrived[0], Worker):
            pool.release(arrived[0])
        raise
    if not in_time and pool.withdraw(ticket):
        raise SandboxBusy(f"no worker was free for {patience_s:g} s")
    # What was being delivered has arrived: withdrawing waits for that.
    if isinstance(arrived[0], Worker):
        return arrived[0]
    raise arrived[0]


_open_executors: "weakref.WeakSet[Locked]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for executor in list(_open_executors):
        executor.close()
