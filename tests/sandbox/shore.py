"""What no program may touch, in the host and in the worker, and workers with one of the two walls taken down."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.locked import Locked
from sandbox.processes import BOOTSTRAP

CANARY = "canary-71d3"

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
    return [[*map(id, table), *map(id, table.values())] for table in tables]
before = shape()
running = []
FINE = frozenset({{"array.__new__", "builtins.id", "sys.unraisablehook"}})
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
_LANGUAGE_ALONE = BOOTSTRAP.replace("from sandbox.inside.worker import serve\n", WATCHED)
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


def language_alone(shore: Shore) -> Locked:
    """Workers without the system's locks, full of canaries and with a hook that reports to the shore."""
    shore.watched = True
    watched = _LANGUAGE_ALONE.replace("{port}", str(shore.port)).replace("{canary!r}", repr(CANARY))
    return Locked(workers=1, _bootstrap=watched)
