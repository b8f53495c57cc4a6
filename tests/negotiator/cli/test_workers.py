"""`negotiator serve --workers N`: real processes at one port, replaced where they end, drained at the end."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from negotiator.cli import exits

pytest.importorskip("uvicorn")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sockets are not handed on to processes there")

AGENT = """
import os
import socket

from negotiator import Agent

agent = Agent(model="none", publish="none", name="counter", state=os.environ["STATE"])


def reached(port):
    with socket.create_connection(("127.0.0.1", port)) as gate:
        gate.sendall(str(os.getpid()).encode())
        gate.recv(1)
    return os.getpid()


def who(asked):
    if asked.get("die"):
        os._exit(7)
    return {"pid": reached(asked["port"]) if "port" in asked else os.getpid()}


agent.register("Whoever answers says which process it is.\\n", who, effect="safe")
"""


class Served:
    """A server of several workers, in a process group of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "negotiator.cli", "serve", "counter:agent", "--port", "0", "--json", *options]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"STATE": str(folder / "state")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        self.said: dict[str, Any] = json.loads(line) if line else {}

    def ask(self, **body: object) -> int:
        """The process that answers; a connection for each."""
        from protocol_docs import ProtocolDocument

        document = ProtocolDocument.from_text("Whoever answers says which process it is.\n")
        wire = {"protocolDigest": document.hash, "protocolHash": document.hash, "protocolSources": [], "body": body}
        head = {"content-type": "application/json"}
        request = urllib.request.Request(self.said["address"], json.dumps(wire).encode(), head)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as reply:
            said = json.loads(reply.read())
        assert said["status"] == "success", said
        return int(said["body"]["pid"])

    def until(self, holds: Callable[[set[int]], bool], *, enough: int = 3000) -> set[int]:
        """Ask until `holds` of the processes that answered."""
        seen: set[int] = set()
        for _ in range(enough):
            try:
                seen.add(self.ask())
            except OSError:
                continue
            if holds(seen):
                return seen
        pytest.fail(f"only {seen} answered")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    pytest.importorskip("diskcache")
    (tmp_path / "counter.py").write_text(AGENT, encoding="utf-8")
    started: list[Served] = []

    def serve(*options: str) -> Served:
        started.append(Served(tmp_path, *options))
        return started[-1]

    yield serve
    for served in started:
        served.process.kill()
        served.process.communicate()


def gone(pid: int) -> bool:
    """Whether a process has ended, or does within a minute: its pipes close a little before that."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(process, "rb") as ended:
        return bool(select.select([ended], [], [], 60)[0])


def ends_what_it_accepted(served: Served, number: int, both: set[int]) -> str:
    """Each worker answers what it has accepted, and no process stays; what was said on standard error."""
    answered: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(60)
        port = gate.getsockname()[1]
        asking = [threading.Thread(target=lambda: answered.append(served.ask(port=port))) for _ in range(4)]
        for each in asking:
            each.start()
        begun = [gate.accept()[0] for _ in asking]
        served.process.send_signal(number)
        for each in begun:
            each.sendall(b"x")
            each.close()
        for each in asking:
            each.join(60)
    _, err = served.process.communicate(timeout=60)
    assert (len(answered), set(answered) <= both) == (4, True)
    assert served.process.returncode == exits.OK
    assert all(gone(pid) for pid in both)
    with pytest.raises(OSError):
        served.ask()
    return str(err)


def test_two_processes_answer_one_that_dies_is_replaced_and_all_end_what_they_accepted(
    start: Callable[..., Served],
) -> None:
    served = start("--workers", "2")
    assert served.said["workers"] == 2
    assert "notes" not in served.said
    both = served.until(lambda seen: len(seen) == 2)
    assert served.process.pid not in both
    victim = min(both)
    os.kill(victim, signal.SIGKILL)
    # Whoever asks meanwhile is answered by the other; a third process takes the place of the first.
    later = served.until(lambda seen: bool(seen - both))
    assert len(later - both) == 1
    with pytest.raises(OSError):
        served.ask(die=True)
    last = served.until(lambda seen: len(seen) == 2 and len(seen - both - later) == 1)
    err = ends_what_it_accepted(served, signal.SIGTERM, last)
    assert "a worker was ended by SIGKILL; another takes its place" in err
    assert "a worker ended with exit code 7; another takes its place" in err
    assert "Traceback" not in err


def test_a_server_that_is_interrupted_ends_as_one_that_is_terminated(start: Callable[..., Served]) -> None:
    served = start("--workers", "2")
    ends_what_it_accepted(served, signal.SIGINT, served.until(lambda seen: len(seen) == 2))


def test_workers_end_with_a_parent_that_was_killed(start: Callable[..., Served]) -> None:
    served = start("--workers", "2")
    both = served.until(lambda seen: len(seen) == 2)
    served.process.kill()
    # Its pipes are theirs too: they close when the last worker has gone.
    served.process.communicate(timeout=60)
    assert all(gone(pid) for pid in both)


def test_what_is_wrong_with_the_agent_is_said_once(start: Callable[..., Served], tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text("agent = 3\n", encoding="utf-8")
    served = start("--workers", "3")
    _, err = served.process.communicate(timeout=60)
    assert (served.process.returncode, served.said) == (exits.USAGE, {})
    assert err.count("has a int named agent") == 1


@pytest.mark.parametrize("number", ["0", "-1", "two"])
def test_a_number_of_workers_is_at_least_one(number: str, negotiator: Any) -> None:
    ran = negotiator("serve", "counter:agent", "--workers", number)
    assert ran.code == exits.USAGE
