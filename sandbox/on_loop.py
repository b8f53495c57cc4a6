"""What the locked executor waits for on an event loop: a worker to be free, and a worker's answer."""

import asyncio

from sandbox.errors import SandboxBusy, SandboxError, WorkerDied
from sandbox.pool import Pool
from sandbox.processes import Flood, Gone, Late, Worker


async def wait_for_worker(pool: Pool, tenant: str, memory_bytes: int, patience_s: float) -> Worker:
    """Wait in line for a worker. Cancelled, it takes none.

    Raises:
        SandboxBusy: None was free for `patience_s` seconds.
        SandboxError: The pool cannot give one.
    """
    place = _Place(pool)
    ticket = pool.wait(tenant, memory_bytes, place.deliver)
    try:
        async with asyncio.timeout(patience_s):
            arrived = await place.future
    except BaseException as error:
        pool.withdraw(ticket)
        place.leave()
        if isinstance(error, TimeoutError):
            raise SandboxBusy(f"no worker was free for {patience_s:g} s") from None
        raise
    if isinstance(arrived, Worker):
        return arrived
    raise arrived


class _Place:
    """Somebody of this loop in the pool's line."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Worker | SandboxError] = self._loop.create_future()

    def deliver(self, what: Worker | SandboxError) -> None:
        """From any thread."""
        try:
            self._loop.call_soon_threadsafe(self._settle, what)
        except RuntimeError:  # the loop was closed
            self._give_back(what)

    def leave(self) -> None:
        """Nobody waits here any more. What is on its way finds the future done, and goes back by itself."""
        if self.future.done() and not self.future.cancelled():
            self._give_back(self.future.result())
        self.future.cancel()

    def _settle(self, what: Worker | SandboxError) -> None:
        if self.future.done():
            self._give_back(what)
        else:
            self.future.set_result(what)

    def _give_back(self, what: Worker | SandboxError) -> None:
        if isinstance(what, Worker):
            self._pool.release(what)


async def talk(worker: Worker, data: bytes, seconds: float, limit: int, *, brisk: bool) -> tuple[int, bytes]:
    """As `Worker.talk`; the event loop is held up by a millisecond at most, and only where the worker is `brisk`."""
    try:
        rest = worker.write_some(data)
    except WorkerDied as died:
        raise Gone from died
    if brisk and not rest and (answer := worker.answer_soon(seconds, limit)) is not None:
        return answer
    return await _Talk(worker, rest, limit).result(seconds)


class _Talk:
    """The rest of a message out, and one frame back."""

    __slots__ = ("_answer", "_limit", "_loop", "_rest", "_worker")

    def __init__(self, worker: Worker, rest: "bytes | memoryview[int]", limit: int) -> None:
        self._worker = worker
        self._rest = rest
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()

    async def result(self, seconds: float) -> tuple[int, bytes]:
        """Write and wait."""
        worker, loop = self._worker, self._loop
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
