"""The default executor: warm worker processes behind the operating system's locks (Linux)."""

import asyncio
import atexit
import contextlib
import inspect
import os
import sys
import threading
import time
import weakref
from collections.abc import Coroutine, Generator
from typing import Any, Unpack

from sandbox.errors import (
    LimitExceeded,
    SandboxBusy,
    SandboxError,
    SandboxUnavailable,
    ToolError,
    WorkerDied,
)
from sandbox.exchange import Exchange, Misspoke, Reply, Returned, ToolCall, check_request, failure
from sandbox.executor import Call, Level, Options
from sandbox.inside import frames
from sandbox.limits import DEFAULT_LIMITS, Limits

if sys.platform != "linux":
    raise SandboxUnavailable(f"the executor locked needs Linux and this is {sys.platform}")

from sandbox.pool import Pool, Ticket
from sandbox.processes import BOOTSTRAP, START_SECONDS, Flood, Late, Worker

PATIENCE_SECONDS = 10.0
"""How long a call waits for a free worker, in seconds."""
CHECK_SECONDS = 5.0
"""How long compiling may take, in seconds."""


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
            self._pool.release(self._acquire("", DEFAULT_LIMITS.memory_bytes, START_SECONDS))
        return dict(self._pool.held or {})

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
        limits = call.held_to
        exchange = Exchange(source, data, call.tools or {}, limits, call.entry)
        worker = self._acquire(call.tenant, limits.memory_bytes)
        with self._lent(worker):
            left = limits.wall_s
            outgoing = self._first(exchange, worker)
            while True:
                began = time.monotonic()
                with _translated(limits):
                    kind, payload = worker.talk(outgoing, left, exchange.frame_limit)
                left -= self._spent(worker, began)
                match exchange.receive(kind, payload):
                    case Returned(value):
                        return value
                    case Reply(frame):
                        outgoing = frame
                    case ToolCall(tool, args, kwargs):
                        try:
                            result = tool(*args, **kwargs)
                        except ToolError as error:
                            outgoing = exchange.tool_failed(error)
                            continue
                        if inspect.isawaitable(result):
                            if isinstance(result, Coroutine):
                                result.close()
                            raise TypeError("an async tool needs arun")
                        outgoing = exchange.tool_result(result)

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.arun`."""
        call = Call(source, data, **options)
        limits = call.held_to
        exchange = Exchange(source, data, call.tools or {}, limits, call.entry)
        worker = await self._aacquire(call.tenant, limits.memory_bytes)
        with self._lent(worker):
            loop = asyncio.get_running_loop()
            left = limits.wall_s
            outgoing = self._first(exchange, worker)
            while True:
                began = time.monotonic()
                with _translated(limits):
                    kind, payload = await _Talk(worker, outgoing, exchange.frame_limit, loop).result(left)
                left -= self._spent(worker, began)
                match exchange.receive(kind, payload):
                    case Returned(value):
                        return value
                    case Reply(frame):
                        outgoing = frame
                    case ToolCall(tool, args, kwargs):
                        try:
                            result = tool(*args, **kwargs)
                            if inspect.isawaitable(result):
                                result = await result
                        except ToolError as error:
                            outgoing = exchange.tool_failed(error)
                            continue
                        outgoing = exchange.tool_result(result)

    def check(self, source: str, *, entry: str = "handle") -> None:
        """See `sandbox.check`."""
        request = check_request(source, entry)
        worker = self._acquire("", DEFAULT_LIMITS.memory_bytes)
        with self._lent(worker):
            began = time.monotonic()
            with _translated(Limits(wall_s=CHECK_SECONDS)):
                kind, payload = worker.talk(request, CHECK_SECONDS, frames.HEAD.size + (1 << 16))
            self._spent(worker, began)
            if kind != frames.FINE:
                raise failure(kind, payload, DEFAULT_LIMITS)

    def _first(self, exchange: Exchange, worker: Worker) -> bytes:
        worker.calls += 1
        with_source = exchange.digest not in worker.known
        worker.known.add(exchange.digest)
        return exchange.request(with_source=with_source)

    def _spent(self, worker: Worker, began: float) -> float:
        spent = time.monotonic() - began
        worker.busy_seconds += spent
        return spent

    @contextlib.contextmanager
    def _lent(self, worker: Worker) -> Generator[None]:
        # A worker goes back only where its side of the call is known to be over. Any other end, the caller's
        # cancellation and a tool's own error among them, leaves a handler running in it.
        try:
            yield
        except SandboxError as error:
            if error.repairable and not isinstance(error, Misspoke):
                self._pool.release(worker)
            else:
                self._pool.retire(worker)
            raise
        except BaseException:
            self._pool.retire(worker)
            raise
        else:
            self._pool.release(worker)

    def _acquire(self, tenant: str, memory_bytes: int, patience_s: float | None = None) -> Worker:
        patience_s = self._patience_s if patience_s is None else patience_s
        arrived: list[Worker | SandboxError] = []
        ready = threading.Event()

        def deliver(what: Worker | SandboxError) -> None:
            arrived.append(what)
            ready.set()

        taken = self._pool.acquire(tenant, memory_bytes, deliver)
        if isinstance(taken, Worker):
            return taken
        if not ready.wait(patience_s) and self._pool.withdraw(taken):
            raise SandboxBusy(f"no worker was free for {patience_s:g} s")
        ready.wait()
        return _worker(arrived[0])

    async def _aacquire(self, tenant: str, memory_bytes: int) -> Worker:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Worker | SandboxError] = loop.create_future()
        pool = self._pool

        def settle(what: Worker | SandboxError) -> None:
            if not future.done():
                future.set_result(what)
            elif isinstance(what, Worker):
                pool.release(what)

        def deliver(what: Worker | SandboxError) -> None:
            try:
                loop.call_soon_threadsafe(settle, what)
            except RuntimeError:
                if isinstance(what, Worker):
                    pool.release(what)

        taken = pool.acquire(tenant, memory_bytes, deliver)
        if isinstance(taken, Worker):
            return taken
        try:
            async with asyncio.timeout(self._patience_s):
                return _worker(await future)
        except TimeoutError:
            self._give_up(pool, taken, future)
            raise SandboxBusy(f"no worker was free for {self._patience_s:g} s") from None
        except asyncio.CancelledError:
            self._give_up(pool, taken, future)
            raise

    def _give_up(self, pool: Pool, ticket: Ticket, future: "asyncio.Future[Worker | SandboxError]") -> None:
        # A worker that is on its way finds the future done and goes back by itself.
        pool.withdraw(ticket)
        if future.done() and not future.cancelled() and isinstance(arrived := future.result(), Worker):
            pool.release(arrived)
        else:
            future.cancel()


def _worker(arrived: Worker | SandboxError) -> Worker:
    if isinstance(arrived, Worker):
        return arrived
    raise arrived


@contextlib.contextmanager
def _translated(limits: Limits) -> Generator[None]:
    try:
        yield
    except Late:
        raise LimitExceeded("wall_s", f"longer than {limits.wall_s:g} s") from None
    except Flood:
        raise LimitExceeded("output_bytes", f"more than {limits.output_bytes} bytes of output") from None


class _Talk:
    """One message out and one frame back, on an event loop."""

    def __init__(self, worker: Worker, data: bytes, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        self._worker = worker
        self._rest = memoryview(data)
        self._limit = limit
        self._loop = loop
        self._answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()

    async def result(self, seconds: float) -> tuple[int, bytes]:
        """As `Worker.talk`."""
        worker, loop = self._worker, self._loop
        self._rest = worker.write_some(self._rest)
        loop.add_reader(worker.back, self._readable)
        if self._rest:
            loop.add_writer(worker.to, self._writable)
        timer = loop.call_later(max(seconds, 0.0), self._fail, Late())
        try:
            return await self._answer
        finally:
            timer.cancel()
            loop.remove_reader(worker.back)
            if self._rest:
                loop.remove_writer(worker.to)

    def _readable(self) -> None:
        try:
            frame = self._worker.read_frame(self._limit)
        except (WorkerDied, Flood) as error:
            self._fail(error)
            return
        if frame is not None and not self._answer.done():
            self._answer.set_result(frame)

    def _writable(self) -> None:
        try:
            self._rest = self._worker.write_some(self._rest)
        except WorkerDied as error:
            self._fail(error)
        if not self._rest:
            self._loop.remove_writer(self._worker.to)

    def _fail(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


_open_executors: "weakref.WeakSet[Locked]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for executor in list(_open_executors):
        executor.close()
