"""Where workers come from: a template that serves nobody, and what becomes of both."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import sandbox
from sandbox import starts
from sandbox.locked import Locked
from sandbox.processes import BOOTSTRAP
from sandbox.starts import Starts
from tests.sandbox.shore import SYSTEM_ALONE

ECHO = "def handle(data):\n    return data"
CRASH = "def handle(data):\n    import ctypes\n    return ctypes.string_at(1)"
ROOT = Path(__file__).parents[2]


def template_of(executor: Locked) -> int:
    template = executor._pool._starts._template
    assert template is not None, "this machine forks no workers"
    return template._process.pid


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def end(pid: int) -> None:
    descriptor = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(20_000), "the process is still there"
    os.close(descriptor)


def test_workers_are_children_of_the_host_and_not_of_the_template(executor: Locked) -> None:
    for tenant in "ab":
        executor.run(ECHO, 1, tenant=tenant)
    template = template_of(executor)
    assert template not in executor.processes
    assert {parent_of(pid) for pid in (template, *executor.processes)} == {os.getpid()}


def test_a_template_that_has_died_is_replaced_and_its_workers_live_on(executor: Locked) -> None:
    assert executor.run(ECHO, 1, tenant="a") == 1
    before, serving = template_of(executor), executor._pool._idle[0].process.pid
    end(before)
    for tenant in "bcd":
        assert executor.run(ECHO, 2, tenant=tenant) == 2
    assert template_of(executor) != before
    assert serving not in executor.processes or executor.run(ECHO, 3, tenant="a") == 3


def test_a_template_has_its_socket_and_nothing_of_the_host(executor: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX_CANARY", "secret")
    with socket.socket():
        executor.run(ECHO, 1)
        place = Path(f"/proc/{template_of(executor)}")
        try:
            held = {int(entry.name): entry.readlink() for entry in (place / "fd").iterdir()}
        except PermissionError:
            pytest.skip("an ordinary user cannot look into it: it has made itself unreadable")
        environment = (place / "environ").read_bytes()
    assert str(held.pop(0)).startswith("socket:")
    assert {str(path) for path in held.values()} <= {"/dev/null"}
    assert b"secret" not in environment
    status = (place / "status").read_text(encoding="utf-8")
    assert "NoNewPrivs:\t1" in status
    assert "Threads:\t1\n" in status


def test_a_worker_has_its_own_two_pipes_and_no_other_workers(executor: Locked) -> None:
    for tenant in "ab":
        executor.run(ECHO, 1, tenant=tenant)
    pipes = []
    for pid in executor.processes:
        try:
            held = {int(entry.name): str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
        except PermissionError:
            pytest.skip("an ordinary user cannot look into it")
        assert set(held) == {0, 1}
        pipes += held.values()
    assert len(set(pipes)) == len(pipes)
    assert all(pipe.startswith("pipe:") for pipe in pipes)


def test_after_a_crash_workers_come_from_a_template_whose_memory_lies_elsewhere() -> None:
    executor = Locked(workers=1, spares=0, _bootstrap=SYSTEM_ALONE)
    try:
        executor.run(ECHO, 1)
        before = template_of(executor)
        with pytest.raises(sandbox.WorkerDied, match="crashed"):
            executor.run(CRASH, None)
        with pytest.raises(sandbox.LimitExceeded):
            executor.run("def handle(data):\n    while True:\n        pass", None, limits=sandbox.Limits(wall_s=0.05))
        executor.run(ECHO, 2)
        after = template_of(executor)
        assert after != before
        with pytest.raises(sandbox.LimitExceeded):
            executor.run("def handle(data):\n    while 1:\n        pass", None, limits=sandbox.Limits(wall_s=0.05))
        executor.run(ECHO, 3)
        assert template_of(executor) == after
    finally:
        executor.close()


def test_closing_ends_the_template_too() -> None:
    executor = Locked(workers=1)
    executor.run(ECHO, 1)
    template = template_of(executor)
    executor.close()
    with pytest.raises(ChildProcessError):
        os.waitpid(template, os.WNOHANG)
    assert not Path(f"/proc/{template}").exists()


def test_many_threads_that_start_workers_share_one_template() -> None:
    began = Starts(BOOTSTRAP)
    templates: set[int] = set()
    ready = threading.Barrier(4)

    def start(_: int) -> None:
        worker = began.worker(64 << 20)
        assert began._template is not None
        templates.add(began._template._process.pid)
        ready.wait(60)
        assert worker.bury() == -signal.SIGKILL

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(start, range(4)))
    began.close()
    assert len(templates) == 1


def test_without_a_way_to_fork_each_worker_is_started_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts._Template, "fork", lambda *_: (0, 1))
    began = Starts(BOOTSTRAP)
    for _ in range(2):
        worker = began.worker(64 << 20)
        assert worker.held["limits"]
        assert began._template is None
        assert worker.bury() == -signal.SIGKILL


def test_a_machine_that_ends_templates_for_forking_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[starts._Template] = []

    class Fatal(starts._Template):
        def fork(self, theirs_in: int, theirs_out: int) -> tuple[int, int]:
            made.append(self)
            raise EOFError

    monkeypatch.setattr(starts, "_Template", Fatal)
    began = Starts(BOOTSTRAP)
    for _ in range(2):
        began.worker(64 << 20).bury()
    assert len(made) == 1


ALONE = """
import os
import sandbox
from sandbox.processes import BOOTSTRAP
from sandbox.starts import Starts

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def children():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
"""


def run_alone(program: str) -> str:
    """What a process prints that has no other children and descriptors than the program's own."""
    ran = subprocess.run([sys.executable, "-c", ALONE + program], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout


def test_where_no_process_comes_up_that_is_said_and_nothing_is_left() -> None:
    said = run_alone(
        "before = descriptors()\n"
        "began = Starts(BOOTSTRAP.replace('serve()', 'sys.exit(0)'))\n"
        "for _ in range(2):\n"
        "    try:\n        began.worker(64 << 20)\n"
        "    except sandbox.SandboxUnavailable as error:\n        print(error)\n"
        "began.close()\n"
        "print(descriptors() - before, children())\n"
    )
    assert said == "a worker process did not come up\n" * 2 + "0 None\n"


def test_starting_and_ending_workers_leaves_no_process_and_no_descriptor_behind() -> None:
    said = run_alone(
        "before = descriptors()\n"
        "began = Starts(BOOTSTRAP)\n"
        "for _ in range(10):\n    began.worker(64 << 20).bury()\n"
        "began.close()\n"
        "print(descriptors() - before, children())\n"
    )
    assert said == "0 None\n"
