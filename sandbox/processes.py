"""One worker process: started, talked to over its two pipes, buried (Linux)."""

import json
import os
import select
import subprocess
import time
from typing import Protocol

from sandbox.beside import Beside
from sandbox.errors import SandboxUnavailable, WorkerDied
from sandbox.inside import frames

START_SECONDS = 20.0
"""How long a worker may take to be ready."""
_CHUNK = 1 << 16
"""What a pipe holds. Much more would have the allocator map and unmap memory for each read."""
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


class Gone(Exception):
    """The worker had ended before it could be spoken to; it has seen nothing of the call."""


class Process(Protocol):
    """What the host needs of a child process; a `subprocess.Popen` is one."""

    pid: int

    def kill(self) -> None:
        """End it; does nothing where it has ended."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status, below 0 the signal that ended it. Raises `subprocess.TimeoutExpired`; `timeout` in seconds."""
        ...


class Worker:
    """A worker process and our ends of its two pipes. Used by one caller at a time."""

    def __init__(self, process: Process, to: int, back: int, memory_bytes: int) -> None:
        """`to` is the descriptor that we write to, `back` the one that we read from; both become this object's."""
        self.process = process
        self.to = to
        self.back = back
        self.memory_bytes = memory_bytes
        self.held: dict[str, bool] = {}
        """Which locks it reported."""
        self.tenant: str | None = None
        self.known: dict[str, float] = {}
        """By the digest of each source that it was sent: seconds that it kept its last caller waiting at a time."""
        self.calls = 0
        self.busy_seconds = 0.0
        self.dead = False
        self._processor: int | None = None
        """Where it is held to, by the caller before."""
        self._buffer = bytearray()
        self._readable = select.poll()
        self._readable.register(back, select.POLLIN)

    @property
    def worn(self) -> bool:
        """True where it should serve no further call."""
        return self.dead or self.calls >= RETIRE_AFTER_CALLS or self.busy_seconds >= RETIRE_AFTER_SECONDS

    def write_some(self, data: "bytes | memoryview[int]") -> "bytes | memoryview[int]":
        """Write what the pipe takes; return the rest. Raises `WorkerDied`."""
        try:
            sent = os.write(self.to, data)
        except BlockingIOError:
            return data
        except OSError:
            raise self.died() from None
        return b"" if sent == len(data) else memoryview(data)[sent:]

    def read_frame(self, limit: int) -> tuple[int, bytes] | None:
        """The next frame if it is whole; else read what there is, once.

        Raises:
            WorkerDied: The pipe is closed.
            Flood: The frame is longer than `limit`, or something follows it.
        """
        try:
            part = os.read(self.back, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            raise self.died() from None
        if not part:
            raise self.died()
        have: bytes | bytearray = part
        if self._buffer:
            self._buffer += part
            have = self._buffer
        if len(have) >= frames.HEAD.size:
            length, kind = frames.HEAD.unpack_from(have)
            end = frames.HEAD.size + length
            # A worker speaks only when spoken to; two frames at once are a stranger's.
            if length > limit or len(have) > end:
                raise Flood
            if len(have) == end:
                payload = bytes(have[frames.HEAD.size :])
                if self._buffer:
                    self._buffer = bytearray()
                return kind, payload
        if not self._buffer:
            self._buffer += part
        return None

    def talk(self, data: bytes, seconds: float, limit: int) -> tuple[int, bytes]:
        """Write `data` and read one frame, blocking this thread for at most `seconds`.

        Raises:
            Gone: The process had ended before.
            Late: The time has run out.
            WorkerDied: The process ended.
            Flood: It sent more than `limit` bytes.
        """
        deadline = time.monotonic() + seconds
        try:
            rest = self.write_some(data)
        except WorkerDied as died:
            raise Gone from died
        if rest:
            return self._talk_at_length(rest, deadline, limit)
        left = seconds
        while left > 0 and self._readable.poll(left * 1000 + 1):
            if (answer := self.read_frame(limit)) is not None:
                return answer
            left = deadline - time.monotonic()
        raise Late

    def talk_beside(self, data: bytes, seconds: float, limit: int, beside: Beside) -> tuple[int, bytes]:
        """As `talk`, with the worker on this thread's processor: for one that answers at once."""
        held = beside.hold(self.process.pid, self._processor)
        if held is None:
            return self.talk(data, seconds, limit)
        self._processor, before = held
        try:
            return self.talk(data, seconds, limit)
        finally:
            beside.release(before)

    def roam(self, beside: Beside) -> None:
        """Let it run wherever this process may: it may have much to do."""
        if self._processor is not None:
            self._processor = None
            beside.free(self.process.pid)

    def answer_soon(self, seconds: float, limit: int) -> tuple[int, bytes] | None:
        """The next frame if it comes within a millisecond, and within `seconds`; raises as `talk` does."""
        return self.read_frame(limit) if self._readable.poll(min(seconds, 0.001) * 1000) else None

    def _talk_at_length(self, rest: "bytes | memoryview[int]", deadline: float, limit: int) -> tuple[int, bytes]:
        poll = select.poll()
        poll.register(self.back, select.POLLIN)
        poll.register(self.to, select.POLLOUT)
        while (left := deadline - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000 + 1):
                if descriptor == self.back:
                    if (answer := self.read_frame(limit)) is not None:
                        return answer
                elif not (rest := self.write_some(rest)):
                    poll.unregister(self.to)
        raise Late

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

    def greet(self) -> None:
        """Have the process lock itself, and note which locks it got.

        Raises:
            SandboxUnavailable: It cannot be locked here; the message says why.
            Gone, Late, Flood, WorkerDied: It did not come up.
        """
        os.set_blocking(self.to, False)
        os.set_blocking(self.back, False)
        config = json.dumps({"memory_bytes": self.memory_bytes, "parent": os.getpid()}).encode()
        kind, payload = self.talk(frames.frame(frames.CONFIG, config), START_SECONDS, 4096)
        if kind != frames.READY:
            raise SandboxUnavailable(f"a worker cannot be locked here: {payload.decode(errors='replace')[:200]}")
        self.held = json.loads(payload)

    def bury(self) -> int:
        """Kill the process and close the pipes; the process's end, once, as `subprocess` counts it."""
        self.dead = True
        self.process.kill()
        code = self.process.wait()
        os.close(self.to)
        os.close(self.back)
        return code
