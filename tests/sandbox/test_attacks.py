"""Hostile programs against the whole executor, and harmless ones beside them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import sandbox
from sandbox.locked import Locked
from tests.sandbox.shore import CANARY, SYSTEM_ALONE, Shore

SHORT = sandbox.Limits(wall_s=0.1, memory_bytes=48 * 1024 * 1024)


def attempt(executor: Locked, source: str, shore: Shore, look: Callable[..., Any]) -> Any:
    """The program's result, or the error that stopped it."""
    data = {"file": str(shore.file), "port": shore.port}
    try:
        return executor.run(source, data, tools={"look": look}, limits=SHORT)
    except sandbox.SandboxError as error:
        return error
    finally:
        assert data == {"file": str(shore.file), "port": shore.port}


def test_an_attack_gets_nothing(locked: Locked, shore: Shore, attack: str) -> None:
    looked: list[Any] = []
    answer = {"seen": True}

    def look(value: Any = None) -> dict[str, bool]:
        looked.append(value)
        return answer

    outcome = attempt(locked, attack, shore, look)
    assert answer == {"seen": True}
    if isinstance(outcome, sandbox.SandboxError):
        assert not isinstance(outcome, sandbox.SandboxUnavailable)
        assert len(str(outcome)) < 20_000
        assert CANARY not in str(outcome)
    else:
        assert outcome == "safe"
    assert len(looked) <= SHORT.tool_calls
    assert all(type(value) in {str, int, dict, type(None)} for value in looked)
    assert not shore.touched()


def test_a_harmless_program_gives_its_result(locked: Locked, benign: Any) -> None:
    assert locked.run(benign.source, benign.data) == benign.expected


@pytest.fixture(scope="module")
def system_alone() -> Iterator[Locked]:
    executor = Locked(workers=1, spares=2, _bootstrap=SYSTEM_ALONE)
    yield executor
    executor.close()


def test_the_language_alone_keeps_what_the_system_would(
    watched: tuple[Shore, Locked], attack_beyond_limits: str
) -> None:
    shore, executor = watched
    outcome = attempt(executor, attack_beyond_limits, shore, lambda value=None: {"seen": True})
    assert isinstance(outcome, sandbox.SandboxError) or outcome == "safe"
    assert not isinstance(outcome, sandbox.SandboxUnavailable)
    assert not shore.touched()


def test_the_system_alone_keeps_every_canary(system_alone: Locked, shore: Shore, attack_beyond_limits: str) -> None:
    outcome = attempt(system_alone, attack_beyond_limits, shore, lambda value=None: {"seen": True})
    assert not isinstance(outcome, sandbox.SandboxUnavailable)
    assert CANARY not in repr(outcome)
    assert not shore.touched()


OUTSIDE = {
    "a process's environment": "def handle(data):\n    return open('/proc/self/environ').read()",
    "the parent's memory": "def handle(data):\n    import os\n    return open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "a descriptor of the host": "def handle(data):\n    import os\n    return [os.read(n, 100) for n in range(3, 20)][0]",
    "a module from disk": "def handle(data):\n    import subprocess\n    return str(subprocess)",
    "a library from disk": "def handle(data):\n    import ctypes\n    return str(ctypes.CDLL('libresolv.so.2'))",
    "the frame of the loop": (
        "def handle(data):\n    import sys\n    f = sys._getframe()\n    while f.f_back:\n        f = f.f_back\n"
        "    return str([k for k in f.f_globals if 'CANARY' in k])"
    ),
    "more memory": (
        "def handle(data):\n    import resource\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n    return len(b'x' * (1 << 31))"
    ),
    "a thread": "def handle(data):\n    import _thread\n    return _thread.start_new_thread(print, ())",
    "a signal to the host": "def handle(data):\n    import os\n    os.kill(os.getppid(), 0)\n    return 'sent'",
    "a message of another kind": "def handle(data):\n    import os\n    os.write(1, b'\\0\\0\\0\\1ZZ')\n    return 1",
    "two messages at once": (
        "def handle(data):\n    import os\n    os.write(1, b'\\0\\0\\0\\1R1\\0\\0\\0\\1R2')\n    return 1"
    ),
    "a message that never ends": "def handle(data):\n    import os\n    os.write(1, b'\\0\\0')\n    return 1",
    "a result that is not JSON": "def handle(data):\n    import os\n    os.write(1, b'\\0\\0\\0\\3RNaN')\n    os._exit(0)",
    "a result nested too deep": (
        "def handle(data):\n    import os, struct\n    text = b'[' * 70 + b']' * 70\n"
        "    os.write(1, struct.pack('!IB', len(text), ord('R')) + text)\n    os._exit(0)"
    ),
    "a tool that was not given": (
        "def handle(data):\n    import os, struct\n    text = b'[\"hidden\",[],{}]'\n"
        "    os.write(1, struct.pack('!IB', len(text), ord('T')) + text)\n    while True:\n        pass"
    ),
}


@pytest.mark.parametrize("source", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_whoever_breaks_the_language_meets_the_system(system_alone: Locked, shore: Shore, source: str) -> None:
    outcome = attempt(system_alone, source, shore, lambda value=None: {"seen": True})
    assert isinstance(outcome, sandbox.SandboxError) or outcome == "[]"
    assert not isinstance(outcome, sandbox.SandboxUnavailable)
    assert CANARY not in repr(outcome)
    assert system_alone.run("def handle(data):\n    return data", 1) == 1
