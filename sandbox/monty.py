"""The executor for machines without the system's locks: pydantic-monty (an extra, on Linux, macOS and Windows).

Monty is an interpreter of a part of Python, written in Rust, that runs in a process of its own and reaches the host
only by asking: files, clock, randomness and names that it does not know are questions, and here the answer is no.
Before it stands the language of handlers, compiled in another process (`sandbox.vetting`), so that two walls that do
not depend on each other remain; the system's locks do not.

What its defaults leave open is closed here: no sleep, no output, limits on every call, a deadline that the pool holds
by killing the process, suspensions counted, results and arguments walked as plain JSON, errors cut. Monty turns what
it cannot send into text (a function becomes its `repr`), so the program itself is made to write its result as JSON
once, where types are still known.
"""

import asyncio
import contextlib
import functools
import json
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Unpack

from sandbox.desk import Desk, InLoop, Invoke, call_now
from sandbox.errors import TEXT_LIMIT, HandlerFailed, LimitExceeded, SandboxBusy, SandboxUnavailable
from sandbox.exchange import digest_of, encode_host_value
from sandbox.executor import Call, Level, Options
from sandbox.inside import plain
from sandbox.inside.program import EndOfCall
from sandbox.limits import DEFAULT_LIMITS, MAX_WALL_S, Limits
from sandbox.monty_talk import Talk
from sandbox.vetting import Import, vet

GRACE_SECONDS = 0.2
"""How long Monty may take to stop by itself before its process is killed, in seconds."""
PATIENCE_SECONDS = 10.0
"""How long a call waits for a free worker, in seconds."""
KEPT_VETTED = 256
SUSPENSIONS_BESIDE_TOOLS = 1000
"""Questions that a call may ask beside its tool calls: unknown names, files, the clock."""


class Monty:
    """Runs each call in a fresh session of a Monty worker process that serves one tenant.

    Args:
        workers: The most calls at a time.
        tenants: The most tenants whose workers are kept warm.
        patience_s: How long a call waits for its turn, in seconds, before `SandboxBusy`.

    Raises:
        SandboxUnavailable: The extra is not installed, or no worker can be started.
    """

    name = "monty"
    level = Level.MONTY

    def __init__(
        self,
        *,
        workers: int = 8,
        tenants: int = 8,
        patience_s: float = PATIENCE_SECONDS,
        _vet: Callable[[str, str], Sequence[Import]] = vet,
    ) -> None:
        try:
            import pydantic_monty  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise SandboxUnavailable(
                f'the executor monty is not installed ({error}); install it with: pip install "metaparley[monty]"'
            ) from None
        self._monty: Any = pydantic_monty
        self._vet = _vet
        self._workers = workers
        self._most_tenants = tenants
        self._patience_s = patience_s
        self._slots = threading.BoundedSemaphore(workers)
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()
        self._vetted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._running: set[_Running] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._closed = False
        # One that cannot be started is known at once, so that another may be chosen.
        self._tenants[""] = _Tenant(self._start())

    def close(self) -> None:
        """See `Executor.close`."""
        with self._lock:
            self._closed = True
            running, tenants = list(self._running), list(self._tenants.values())
            self._tenants.clear()
        for call in running:
            call.end()
        for tenant in tenants:
            tenant.pool.__exit__(None, None, None)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    def check(self, source: str, *, entry: str = "handle") -> None:
        """See `Executor.check`. What this Monty does not know of the language is a violation too."""
        digest = digest_of(source)
        Call(source, None, entry=entry).require_names()
        with self._lock:
            if (digest, entry) in self._vetted:
                self._vetted.move_to_end((digest, entry))
                return
        imports = self._vet(source, entry)
        with self._lent("") as running:
            self._require_known(running, source, entry, imports)
        with self._lock:
            self._vetted[digest, entry] = None
            if len(self._vetted) > KEPT_VETTED:
                self._vetted.popitem(last=False)

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.run`."""
        return self._run(Call(source, data, **options), call_now, _Running())

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        """See `sandbox.arun`; the call waits in a thread, its tools run in the loop's."""
        invoke, running = InLoop(asyncio.get_running_loop()), _Running()
        work = self._in_thread(functools.partial(self._run, Call(source, data, **options), invoke, running))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            running.end()
            invoke.cancel()
            raise

    def _in_thread(self, work: Callable[[], Any]) -> "Future[Any]":
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("this executor was closed")
            if self._threads is None:
                # Twice as many as may run: the others wait for a slot, as long as a call may.
                self._threads = ThreadPoolExecutor(2 * self._workers, thread_name_prefix="sandbox-monty")
            return self._threads.submit(work)

    def _run(self, call: Call, invoke: Invoke, running: "_Running") -> Any:
        limits = call.held_to
        call.require_names()
        data = json.loads(encode_host_value(call.data, "the data"))
        self.check(call.source, entry=call.entry)
        desk = Desk(call, invoke)
        with self._lent(call.tenant, running):
            try:
                talk = Talk(self._monty, call, lambda: running.ended)
                with self._session(running, limits) as session:
                    text = plain.encode(talk.run(session, data, desk), limits.output_bytes)
            except EndOfCall:
                text = b"null"
            except plain.NotPlainValue as error:
                raise HandlerFailed(f"the result is not plain JSON: {error}") from None
            except plain.TooMuch:
                raise LimitExceeded("output_bytes", f"more than {limits.output_bytes} bytes of output") from None
            finally:
                desk.over = True
        desk.raise_error()
        return json.loads(text)

    def _require_known(self, running: "_Running", source: str, entry: str, imports: Sequence[Import]) -> None:
        talk = Talk(self._monty, Call(source, None, entry=entry), lambda: running.ended)
        with self._session(running, DEFAULT_LIMITS, seconds=0.0) as session:
            talk.compile_only(session)
        with self._session(running, DEFAULT_LIMITS) as session:
            talk.try_imports(session, imports)

    @contextlib.contextmanager
    def _session(self, running: "_Running", limits: Limits, seconds: float | None = None) -> Generator[Any]:
        checkout = running.pool.checkout(
            script_name="handler.py",
            limits={
                "max_feed_duration_secs": limits.wall_s if seconds is None else seconds,
                "max_memory": limits.memory_bytes,
                "max_suspensions": limits.tool_calls + SUSPENSIONS_BESIDE_TOOLS,
            },
            assert_message_annotations=False,
            os_policy={"datetime": "call_host", "sleep": "zero", "random_start": "call_host"},
        )
        try:
            session = checkout.__enter__()
        except (TimeoutError, RuntimeError, OSError) as error:
            raise SandboxUnavailable(f"no Monty worker can be had: {error}") from None
        try:
            running.begin(session.worker_pid)
            yield session
        finally:
            running.done()
            with contextlib.suppress(self._monty.MontyError, RuntimeError):
                checkout.__exit__(None, None, None)

    @contextlib.contextmanager
    def _lent(self, tenant: str, running: "_Running | None" = None) -> Generator["_Running"]:
        running = running or _Running()
        if not self._slots.acquire(timeout=self._patience_s):
            raise SandboxBusy(f"no worker was free for {self._patience_s:g} s")
        try:
            running.tenant = self._enter(tenant, running)
            try:
                yield running
            finally:
                self._leave(running)
        finally:
            self._slots.release()

    def _enter(self, name: str, running: "_Running") -> "_Tenant":
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("this executor was closed")
            if os.getpid() != self._process:
                raise SandboxUnavailable("Monty does not work in a process forked from the one that started it")
            tenant = self._tenants.get(name)
            if tenant is None:
                tenant = self._tenants[name] = _Tenant(self._start())
            self._tenants.move_to_end(name)
            tenant.calls += 1
            self._running.add(running)
            idle = [key for key, each in self._tenants.items() if each.calls == 0]
            unused = [self._tenants.pop(key) for key in idle[: max(0, len(self._tenants) - self._most_tenants)]]
        for each in unused:
            each.pool.__exit__(None, None, None)
        return tenant

    def _leave(self, running: "_Running") -> None:
        with self._lock:
            self._running.discard(running)
            if running.tenant is not None:
                running.tenant.calls -= 1

    def _start(self) -> Any:
        pool = self._monty.Monty(
            min_processes=1,
            max_processes=self._workers,
            checkout_timeout=self._patience_s,
            request_timeout=MAX_WALL_S + GRACE_SECONDS,
            feed_duration_limit_grace=GRACE_SECONDS,
        )
        try:
            pool.__enter__()
        except (RuntimeError, OSError, self._monty.MontyError) as error:
            raise SandboxUnavailable(f"Monty cannot be started: {error}"[:TEXT_LIMIT]) from None
        return pool


class _Tenant:
    """One tenant's worker processes."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.calls = 0


class _Running:
    """One call under way, which another thread may end by killing its worker."""

    def __init__(self) -> None:
        self.tenant: _Tenant | None = None
        self.ended = False
        self._lock = threading.Lock()
        self._pid: int | None = None

    @property
    def pool(self) -> Any:
        """The pool of the call's tenant."""
        if self.tenant is None:
            raise SandboxUnavailable("this executor was closed")
        return self.tenant.pool

    def begin(self, pid: int | None) -> None:
        """A worker is held from now on. Raises `SandboxUnavailable` where the call was ended already."""
        with self._lock:
            if self.ended:
                raise SandboxUnavailable("this call was ended")
            self._pid = pid

    def done(self) -> None:
        """The worker is about to be given back."""
        with self._lock:
            self._pid = None

    def end(self) -> None:
        """Kill the worker, if one is held; the call gets none any more."""
        with self._lock:
            self.ended = True
            if self._pid is not None:
                with contextlib.suppress(OSError):
                    os.kill(self._pid, getattr(signal, "SIGKILL", signal.SIGTERM))
