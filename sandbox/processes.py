"""One worker process: started, talked to over its two pipes, buried (Linux)."""

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.errors import SandboxUnavailable, WorkerDied
from sandbox.inside import frames

START_SECONDS = 20.0
"""How long a worker may take to be ready."""
RETIRE_AFTER_CALLS = 50_000
RETIRE_AFTER_SECONDS = 60.0
"""A worker's whole working time; the operating system ends it at four times as much processor time."""

# The package is given a bare stand-in, so that the worker imports `sandbox.inside` and nothing of the host's side.
BOOTSTRAP = (
    "import sys, types\n"
    "sys.path += {paths!r}\n"
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
