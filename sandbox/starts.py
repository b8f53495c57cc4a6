"""How workers come to be: forked from a template, or else each started for itself (Linux)."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from sandbox.errors import SandboxUnavailable, WorkerDied
from sandbox.inside.frames import FORKED, PARENT
from sandbox.processes import START_SECONDS, Flood, Gone, Late, Process, Worker

_CRASHES = frozenset(
    -number for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT, signal.SIGFPE, signal.SIGTRAP)
)


class Child:
    """A child of this process that its template forked; as `subprocess.Popen`, as far as workers need it."""

    def __init__(self, pid: int) -> None:
        """Raises `OSError` where there is no such process, or no descriptor for it."""
        self.pid = pid
        self._code: int | None = None
        self._descriptor = os.pidfd_open(pid)
        self._closing = threading.Lock()
        self._waiting = threading.Lock()

    def kill(self) -> None:
        """See `Process.kill`."""
        with self._closing, contextlib.suppress(ProcessLookupError):
            if self._code is None:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """See `Process.wait`."""
        if not self._waiting.acquire(timeout=-1 if timeout is None else timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        try:
            if self._code is None:
                self._wait_until_over(timeout)
                with self._closing:
                    self._code = self._reap()
            return self._code
        finally:
            self._waiting.release()

    def _wait_until_over(self, timeout: float | None) -> None:
        over = select.poll()
        over.register(self._descriptor, select.POLLIN)
        if not over.poll(None if timeout is None else timeout * 1000):
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)

    def _reap(self) -> int:
        try:
            found = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED)
        except ChildProcessError:  # a host that ignores the ends of its children is not told of them
            found = None
        os.close(self._descriptor)
        if found is None:
            return 0
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


class Starts:
    """Starts workers. Used from any thread; what it starts lives no longer than the thread that it was started from."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._lock = threading.Lock()
        self._template: _Template | None = None
        self._forks = _has_descriptors_of_processes()

    def worker(self, memory_bytes: int) -> Worker:
        """A worker that is locked and ready.

        Raises:
            SandboxUnavailable: It cannot be started or locked here; the message says why.
        """
        for way in (self._fork, self._start):
            with contextlib.ExitStack() as on_failure:
                theirs_in, to = _pipe(on_failure)
                back, theirs_out = _pipe(on_failure)
                process = way(theirs_in, theirs_out)
                if process is None:
                    continue
                os.close(theirs_in)
                os.close(theirs_out)
                on_failure.pop_all()
            worker = Worker(process, to, back, memory_bytes)
            try:
                worker.greet()
            except (Gone, Late, Flood, WorkerDied):
                worker.bury()
                self.close()
            except BaseException:
                worker.bury()
                raise
            else:
                return worker
        raise SandboxUnavailable("a worker process did not come up")

    def buried(self, code: int) -> None:
        """A worker has ended so. After a crash the next ones are forked from a process whose memory lies elsewhere."""
        if code in _CRASHES:
            self.close()

    def close(self) -> None:
        """End the template; a worker that is asked for later gets another."""
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._template is not None:
            self._template.end()
            self._template = None

    def _fork(self, theirs_in: int, theirs_out: int) -> Process | None:
        with self._lock:
            # A second one, where the first has died since it was used.
            for _ in range(2):
                if not self._forks:
                    break
                if self._template is None:
                    self._template = _Template(self._bootstrap)
                try:
                    pid, refused = self._template.fork(theirs_in, theirs_out)
                except (EOFError, OSError):
                    # One that never forked anything was ended by trying to, as far as anybody knows.
                    self._forks = self._template.has_forked
                    self._drop()
                    continue
                if not refused:
                    return _adopted(pid)
                self._forks = False
                self._drop()
        return None

    def _start(self, theirs_in: int, theirs_out: int) -> Process:
        return _start(self._bootstrap, theirs_in, theirs_out)


class _Template:
    """A template and our end of its socket."""

    def __init__(self, bootstrap: str) -> None:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise SandboxUnavailable(f"a worker process cannot be started: {error}") from None
        with theirs:
            try:
                self._process = _start(bootstrap, theirs.fileno(), subprocess.DEVNULL)
            except BaseException:
                ours.close()
                raise
        ours.settimeout(START_SECONDS)
        self._socket = ours
        self.has_forked = False

    def fork(self, theirs_in: int, theirs_out: int) -> tuple[int, int]:
        """Process id of a new worker with these ends of pipes, and 0; or the number of the error that refused it.

        Raises:
            EOFError, OSError: The template is gone, or does not answer.
        """
        socket.send_fds(self._socket, [PARENT.pack(os.getpid())], [theirs_in, theirs_out])
        answer = self._socket.recv(FORKED.size)
        if len(answer) != FORKED.size:
            raise EOFError
        pid, refused = FORKED.unpack(answer)
        self.has_forked = not refused
        return pid, refused

    def end(self) -> None:
        """Kill it; returns when it is gone."""
        self._process.kill()
        self._process.wait()
        self._socket.close()


def _has_descriptors_of_processes() -> bool:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _adopted(pid: int) -> Child:
    try:
        return Child(pid)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        raise SandboxUnavailable(f"a worker process cannot be started: {error}") from None


def _pipe(on_failure: contextlib.ExitStack) -> tuple[int, int]:
    try:
        ends = os.pipe()
    except OSError as error:
        raise SandboxUnavailable(f"a worker process cannot be started: {error}") from None
    for end in ends:
        on_failure.callback(os.close, end)
    return ends


def _start(bootstrap: str, theirs_in: int, theirs_out: int) -> "subprocess.Popen[bytes]":
    """A process of this interpreter with nothing of ours but these two descriptors.

    Raises:
        SandboxUnavailable: There can be none.
    """
    if not sys.executable:
        raise SandboxUnavailable("no Python interpreter to start workers with (sys.executable is empty)")
    import orjson  # noqa: PLC0415 - their places are needed, and only here
    import RestrictedPython  # noqa: PLC0415

    package = Path(__file__).parent
    places = {str(Path(module.__file__).parents[1]) for module in (RestrictedPython, orjson) if module.__file__}
    code = bootstrap.format(paths=sorted(places), package=str(package))
    # A fixed seed: sets of text iterate in the same order in every worker, so a routine gives one answer.
    environment = {"PYTHONHASHSEED": "0", "TZ": "UTC0", "LC_ALL": "C.UTF-8"}
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        environment["LD_LIBRARY_PATH"] = libraries
    try:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-s", "-S", "-P", "-W", "ignore", "-X", "utf8", "-c", code],
            stdin=theirs_in,
            stdout=theirs_out,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            bufsize=0,
        )
    except OSError as error:
        raise SandboxUnavailable(f"a worker process cannot be started: {error}") from None
