"""Apply the locks, then try to break them: how strong is the wall on this machine?

The probes run in a worker whose language is all of Python, so that what holds is the operating system's
wall alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError, SandboxUnavailable
from sandbox.executor import Executor, Level
from sandbox.limits import Limits

_LIBC = "    import ctypes\n    libc = ctypes.CDLL(None, use_errno=True)\n"

# Each returns something true only where it got out.
_PROBES = {
    "file": "def handle(path):\n    return open(path).read()",
    "raw_file": f"def handle(path):\n{_LIBC}    return max(libc.open(path.encode(), 0), -1) + 1",
    "write": "def handle(path):\n    with open(path + '.new', 'w') as file:\n        return file.write('x')",
    "socket": f"def handle(path):\n{_LIBC}    return libc.socket(2, 1, 0) + 1",
    "fork": "def handle(path):\n    import os\n    child = os.fork()\n    return os._exit(0) if child == 0 else child",
    "executable_memory": "def handle(path):\n    import mmap\n    return bool(mmap.mmap(-1, 4096, prot=mmap.PROT_EXEC))",
    "environment": "def handle(path):\n    import os\n    return dict(os.environ)",
    "signal_parent": "def handle(path):\n    import os\n    os.kill(os.getppid(), 0)\n    return 1",
}
_LIMIT_PROBES = {
    "memory": "def handle(path):\n    return len(b'x' * (1 << 33))",
    "loop": "def handle(path):\n    while True:\n        pass",
    "flood": "def handle(path):\n    return 'x' * (1 << 22)",
    "raw_flood": "def handle(path):\n    import os\n    while True:\n        os.write(1, b'\\x7f' * 65536)",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt to get out."""

    name: str
    held: bool
    detail: str
    """What ended the attempt, or what it got."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the self-test found."""

    executor: str
    level: Level | None
    """None where the executor cannot serve here."""
    locks: dict[str, bool]
    """Which locks a worker holds: `namespaces`, `user`, `limits`, `no_new_privileges`, `landlock`, `seccomp`."""
    probes: tuple[Probe, ...]
    problem: str = ""
    """Why the executor cannot serve, in one line."""

    @property
    def ok(self) -> bool:
        """True where the executor serves and every probe was held."""
        return self.level is not None and all(probe.held for probe in self.probes)


def self_test(name: str = "locked") -> Report:
    """Try the wall of an executor without the language before it. Takes a few seconds.

    Args:
        name: `locked` or `monty`.

    Returns:
        The level, the locks and each probe; never raises for what this machine lacks.
    """
    try:
        executor, locks = _without_language(name)
    except SandboxUnavailable as error:
        return Report(name, None, {}, (), str(error))
    try:
        return Report(name, executor.level, locks(), tuple(_tried(executor)))
    except SandboxUnavailable as error:
        return Report(name, None, {}, (), str(error))
    finally:
        executor.close()


def _without_language(name: str) -> tuple[Executor, Callable[[], dict[str, bool]]]:
    if name == "monty":
        from sandbox.monty import Monty  # noqa: PLC0415 - an extra

        return Monty(workers=1, _vet=lambda _source, _entry: ()), dict
    from sandbox.locked import Locked  # noqa: PLC0415 - not importable everywhere
    from sandbox.processes import BOOTSTRAP  # noqa: PLC0415

    bootstrap = BOOTSTRAP.replace("inside.worker import serve", "inside.unguarded import serve_anything as serve")
    executor = Locked(workers=1, _bootstrap=bootstrap)
    return executor, lambda: executor.locks


def _tried(executor: Executor) -> Iterator[Probe]:
    import tempfile  # noqa: PLC0415 - only the self-test needs it, and everybody imports this package

    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        canary = Path(directory, "canary")
        canary.write_text("canary")
        canary.chmod(0o644)
        for name, source in _PROBES.items():
            try:
                got = executor.run(source, str(canary))
            except SandboxError as error:
                yield Probe(name, held=True, detail=str(error))
            else:
                yield Probe(name, held=not got, detail="nothing there" if not got else "got out")
    limits = Limits(wall_s=0.2)
    for name, source in _LIMIT_PROBES.items():
        try:
            executor.run(source, "", limits=limits)
        except SandboxError as error:
            yield Probe(name, held=True, detail=str(error))
        else:
            yield Probe(name, held=False, detail="no limit held")
