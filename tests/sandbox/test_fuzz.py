"""Programs made by grammar against both walls and against each alone, with canaries all around.

`FUZZ_PROGRAMS` programs a wall, from seed `FUZZ_SEED` on; which and how they ended is printed:

    FUZZ_PROGRAMS=200000 python -m pytest tests/sandbox/test_fuzz.py -q -s

The limits and the deadline are on in each. The canaries of the host are a file, an environment variable, a listening
socket, a global of this module, an attribute of the tool's function, and its clock. Where the language stands alone,
the worker is full of canaries too, and an audit hook in it reports every use of the interpreter's insides on the way:
that nothing was used is more than that nothing was brought home.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import sandbox
from sandbox.locked import Locked
from sandbox.processes import BOOTSTRAP
from tests.sandbox.grammar import Writer

CANARY = "canary-71d3"
PROGRAMS = int(os.environ.get("FUZZ_PROGRAMS", "250"))
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
REPORT_EVERY = 5_000
LIMITS = sandbox.Limits(wall_s=0.3, memory_bytes=48 * 1024 * 1024, output_bytes=1 << 18, tool_calls=8)

WATCHED = """
import os, socket
watch = socket.create_connection(("127.0.0.1", {port}))
from sandbox.inside import attributes, facades, guards, locks, program, worker
def limits_only(memory_bytes, parent):
    locks._limit(locks._address_space() + memory_bytes)
    return dict.fromkeys(("namespaces", "user", "no_new_privileges", "landlock", "seccomp"), False)
locks.lock = limits_only
CANARY = program.CANARY = guards.CANARY = os.environ["SANDBOX_CANARY"] = {canary!r}
def shape():
    tables = [guards.BUILTINS, *attributes.INSTANCE.values(), *attributes.ON_CLASS.values()]
    tables += [facade.members for facade in facades.FACADES.values()]
    return [(name, id(value)) for table in tables for name, value in table.items()]
before = shape()
running = []
FINE = frozenset({{"array.__new__", "builtins.id", "object.__getattr__:__self__"}})
def hook(event, args):
    if running and event not in FINE:
        code = args[0] if event == "exec" else None
        if code is None or code is not running[0]:
            running.clear()
            watch.sendall(("touched " + event + " " + repr(args)[:200] + "\\n").encode(errors="replace"))
plain_call = worker.call
def watched_call(code, *args, **kwargs):
    running[:] = [code]
    try:
        return plain_call(code, *args, **kwargs)
    finally:
        running.clear()
        if shape() != before:
            watch.sendall(b"touched a table\\n")
worker.call = watched_call
plain_line_of = program.line_of
def line_of(error):
    held = running[:]
    running.clear()
    try:
        return plain_line_of(error)
    finally:
        running[:] = held
program.line_of = line_of
import sys
sys.addaudithook(hook)
from sandbox.inside.worker import serve
"""
LANGUAGE_ALONE = BOOTSTRAP.replace("from sandbox.inside.worker import serve\n", WATCHED)
SYSTEM_ALONE = BOOTSTRAP.replace("inside.worker import serve", "inside.unguarded import serve_anything as serve")


class Shore:
    """Everything that no program may touch, and whether one has."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary"
        self.file.write_text(CANARY)
        self._written = self.file.stat().st_mtime_ns
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.setblocking(False)
        self.port: int = self.server.getsockname()[1]
        self.watches: list[socket.socket] = []
        self.watched = False
        self.looked: list[Any] = []

    def tool(self) -> Callable[..., Any]:
        """What the programs may call; its attribute they may not read."""

        def look(*args: Any, **kwargs: Any) -> Any:
            self.looked.append((args, kwargs))
            return {"seen": [1, 2]}

        look.canary = CANARY  # type: ignore[attr-defined]
        return look

    def touched(self) -> list[str]:
        """What was touched since it was asked last."""
        found = []
        while True:
            try:
                connection, _ = self.server.accept()
            except BlockingIOError:
                break
            if not self.watched:
                found.append("the socket")
            connection.setblocking(False)
            self.watches.append(connection)
        for watch in list(self.watches):
            try:
                said = watch.recv(1000)
            except BlockingIOError:
                continue
            if said:
                found.append(said.decode(errors="replace"))
            else:
                self.watches.remove(watch)
                watch.close()
        stat = self.file.stat()
        if stat.st_mtime_ns != self._written or stat.st_size != len(CANARY):
            found.append("the file")
        return found

    def close(self) -> None:
        """Stop listening."""
        for watch in [*self.watches, self.server]:
            watch.close()


@pytest.fixture
def shore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shore]:
    monkeypatch.setenv("SANDBOX_CANARY", CANARY)
    made = Shore(tmp_path)
    yield made
    made.close()


def test_no_program_gets_past_both_walls(shore: Shore) -> None:
    with_both = Locked(workers=1, spares=2)
    ended = fuzz(with_both, shore, FIRST, "both walls", tells_no_time=True)
    assert ended["returned"] > PROGRAMS // 3, "a grammar that is always refused tries nothing"


def test_no_program_gets_past_the_language(shore: Shore) -> None:
    shore.watched = True
    watched = LANGUAGE_ALONE.replace("{port}", str(shore.port)).replace("{canary!r}", repr(CANARY))
    # Other seeds than those that both walls were tried with.
    ended = fuzz(
        Locked(workers=1, _bootstrap=watched), shore, FIRST + PROGRAMS, "the language alone", tells_no_time=True
    )
    assert ended["returned"] > PROGRAMS // 3
    assert ended["WorkerDied"] == 0


def test_no_program_gets_past_the_system(shore: Shore) -> None:
    # A clock is read without a system call: no process can be kept from it by the system.
    executor = Locked(workers=1, spares=2, _bootstrap=SYSTEM_ALONE)
    ended = fuzz(executor, shore, FIRST + 2 * PROGRAMS, "the system alone", tells_no_time=False)
    assert ended["returned"] > PROGRAMS // 3
    assert ended["PolicyViolation"] == 0


def fuzz(executor: Locked, shore: Shore, first: int, wall: str, *, tells_no_time: bool) -> Counter[str]:
    """Run the programs; how many ended in which way."""
    ended: Counter[str] = Counter()
    look = shore.tool()
    began = time.monotonic()
    try:
        for seed in range(first, first + PROGRAMS):
            outcome = attempt(executor, Writer(seed).program(), shore, look)
            brought = repr((outcome, shore.looked))
            shore.looked.clear()
            assert CANARY not in brought, seed
            assert not tells_no_time or time_now() not in brought, seed
            assert not (touched := shore.touched()), (seed, touched)
            assert isinstance(outcome, sandbox.SandboxError) or is_plain(outcome), seed
            assert not isinstance(outcome, sandbox.SandboxUnavailable), seed
            ended[type(outcome).__name__ if isinstance(outcome, sandbox.SandboxError) else "returned"] += 1
            if (seed - first + 1) % REPORT_EVERY == 0 or seed == first + PROGRAMS - 1:
                spent = time.monotonic() - began
                print(f"\n{wall}: seeds {first} to {seed}, {spent:.0f} s: {dict(ended)}", flush=True)  # noqa: T201
    finally:
        executor.close()
    return ended


def time_now() -> str:
    """The day, as any way of reading the clock would say it in seconds."""
    return str(int(time.time()))[:6]


def attempt(executor: Locked, source: str, shore: Shore, look: Callable[..., Any]) -> Any:
    data = {"file": str(shore.file), "k": [1], "port": shore.port}
    try:
        return executor.run(source, data, tools={"look": look}, limits=LIMITS)
    except sandbox.SandboxError as error:
        return error


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    if type(value) is list:
        return all(map(is_plain, value))
    return type(value) in {str, int, float, bool, type(None)}
