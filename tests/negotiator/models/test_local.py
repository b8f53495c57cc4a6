"""The local model's server process: one a machine, found, left, and replaced when it dies.

A stand-in for the inference library, of a few lines, makes this the test of our processes, locks and files.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from negotiator.clock import Deadline, SystemClock
from negotiator.errors import DeadlinePassed, ModelUnavailable, UsageError
from negotiator.models import Message, local_server
from negotiator.models.fetching import WeightsMissing
from negotiator.models.file_locks import held
from negotiator.models.local import LocalModel
from negotiator.models.priority import Turnstile, in_background

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file locks of POSIX systems")

HELLO = (Message("user", "Hello."),)

STAND_IN = """
import json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

class CommonParams(SimpleNamespace):
    def __init__(self):
        super().__init__(model=SimpleNamespace(), cpuparams=SimpleNamespace(), cpuparams_batch=SimpleNamespace())

class Server:
    def __init__(self, params):
        if b"broken" in open(params.model.path, "rb").read():
            raise RuntimeError("the file is broken")
        key = params.api_keys[0]
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if asked["messages"][0]["content"] == "Die.":
                    os._exit(3)
                told = {"pid": os.getpid(), "port": params.port, "slots": params.n_parallel, "context": params.n_ctx,
                        "threads": params.cpuparams.n_threads, "hosts": params.hostnames,
                        "wait": os.environ["OMP_WAIT_POLICY"], "spin": os.environ["GOMP_SPINCOUNT"],
                        "modules": "negotiator" in __import__("sys").modules}
                body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": json.dumps(told)},
                        "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
                status = 200 if self.headers["authorization"] == "Bearer " + key else 401
                data = json.dumps(body if status == 200 else {"error": {"message": "no"}}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.listening_address = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
"""


class Machine:
    """A cache of its own, the stand-in in place of the library, and a file that passes for weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gguf = folder / "Tiny.gguf"
        self.gguf.write_bytes(b"GGUF tiny")

    @property
    def served(self) -> Path:
        (found,) = (self.folder / "cache" / "negotiator" / "served").iterdir()
        return found

    def model(self, **more: Any) -> LocalModel:
        return LocalModel(self.gguf, **more)

    def wait_until_gone(self) -> None:
        with held(self.served / "alive.lock"):
            pass


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "xllamacpp.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "library"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NEGOTIATOR_GGUF", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    it = Machine(tmp_path)
    yield it
    for state in tmp_path.glob("cache/negotiator/served/*/server.json"):
        os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
        with held(state.with_name("alive.lock")):
            pass


async def ask(model: LocalModel, text: str = "Hello.", seconds: float = 60) -> Any:
    deadline = Deadline.after(seconds, SystemClock())
    completion = await model.complete((Message("user", text),), purpose="greet", deadline=deadline)
    return json.loads(completion.text)


@pytest.mark.anyio
async def test_the_first_call_starts_a_server_and_the_next_ones_find_it(machine: Machine) -> None:
    one, other = machine.model(), machine.model()
    told = await ask(one)
    assert told["pid"] != os.getpid()
    assert told == await ask(one) == await ask(other)
    assert told["wait"] == "PASSIVE"
    assert told["spin"] == "0"
    assert told["hosts"] == ["127.0.0.1"]
    assert told["context"] == told["slots"] * 8192
    assert told["modules"] is False
    await one.aclose()
    assert await ask(one) == told, "letting go is not shutting down"
    await one.aclose()
    await other.aclose()


@pytest.mark.anyio
async def test_its_key_is_readable_by_its_owner_alone_and_asked_for(machine: Machine) -> None:
    model = machine.model()
    await ask(model)
    state = machine.served / "server.json"
    assert state.stat().st_mode & 0o077 == 0
    assert machine.served.stat().st_mode & 0o077 == 0
    read = json.loads(state.read_text())
    assert len(read["api_key"]) > 30
    state.write_text(json.dumps({**read, "api_key": "guessed"}))
    with pytest.raises(ModelUnavailable, match="API key"):
        await ask(model)
    state.write_text(json.dumps(read))
    await model.aclose()


CALLER = """
import asyncio, sys
from negotiator.clock import Deadline, SystemClock
from negotiator.models import Message, local_server
from negotiator.models.local import LocalModel

async def main():
    model = LocalModel(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    deadline = Deadline.after(60, SystemClock())
    print((await model.complete([Message("user", "Hello.")], purpose="x", deadline=deadline)).text)
    await model.aclose()

asyncio.run(main())
"""


def test_processes_that_start_at_once_share_one_server(machine: Machine) -> None:
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", CALLER, str(machine.gguf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], *sys.path])},
        )
        for _ in range(3)
    ]
    for caller in callers:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "ready\n"
    told = [json.loads(caller.communicate("go\n", timeout=120)[0])["pid"] for caller in callers]
    assert len(set(told)) == 1


@pytest.mark.anyio
async def test_a_killed_server_is_replaced_by_the_next_call(machine: Machine) -> None:
    model = machine.model()
    first = (await ask(model))["pid"]
    os.kill(first, signal.SIGKILL)
    machine.wait_until_gone()
    assert (machine.served / "server.json").exists(), "it left its state behind"
    assert (await ask(model))["pid"] != first
    await model.aclose()


@pytest.mark.anyio
async def test_a_server_that_dies_of_a_call_is_started_again_only_once_for_it(machine: Machine) -> None:
    async def at_once(_: float) -> None:
        return

    model = machine.model(sleep=at_once)
    first = (await ask(model))["pid"]
    with pytest.raises(ModelUnavailable):
        await ask(model, "Die.")
    assert (await ask(model))["pid"] != first
    await model.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("left", ["", "{", "[]", '{"address": "http://127.0.0.1:1", "api_key": "x", "pid": 1}'])
async def test_what_a_crash_left_behind_is_not_believed(machine: Machine, left: str) -> None:
    model = machine.model()
    os.kill((await ask(model))["pid"], signal.SIGKILL)
    machine.wait_until_gone()
    (machine.served / "server.json").write_text(left)
    assert (await ask(model))["pid"]
    await model.aclose()


@pytest.mark.anyio
async def test_it_goes_when_nobody_has_called_for_a_while(machine: Machine) -> None:
    model = machine.model(idle_seconds=0.2)
    first = (await ask(model))["pid"]
    await asyncio.to_thread(machine.wait_until_gone)
    assert not (machine.served / "server.json").exists()
    assert (await ask(model))["pid"] != first
    await asyncio.to_thread(machine.wait_until_gone)
    await model.aclose()


def test_it_does_not_go_during_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    class CallEnded(Exception):
        pass

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 5000:
            raise CallEnded

    monkeypatch.setattr(local_server, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    lease, state = tmp_path / "lease.lock", tmp_path / "server.json"
    state.write_text("{}")
    with held(lease, shared=True), pytest.raises(CallEnded):
        local_server._stay(lease, state, 600)
    assert state.exists()
    now[0] = 0
    local_server._stay(lease, state, 600)
    assert 600 <= now[0] < 605
    assert not state.exists()


@pytest.mark.anyio
async def test_weights_that_do_not_load_are_reported_with_the_servers_last_words(machine: Machine) -> None:
    machine.gguf.write_bytes(b"GGUF broken")
    model = machine.model()
    with pytest.raises(ModelUnavailable, match=r"(?s)local/tiny could not be loaded: .*the file is broken"):
        await ask(model)
    await model.aclose()


@pytest.mark.anyio
async def test_a_deadline_ends_the_wait_for_a_server(machine: Machine) -> None:
    told = machine.folder / "pid"
    os.mkfifo(told)
    loads_forever = f"import os, signal\nopen({str(told)!r}, 'w').write(str(os.getpid()))\nsignal.pause()\n"
    (machine.folder / "library" / "xllamacpp.py").write_text(loads_forever)
    with pytest.raises(DeadlinePassed):
        await ask(machine.model(), seconds=1)
    os.kill(int(await asyncio.to_thread(told.read_text)), signal.SIGKILL)
    machine.wait_until_gone()


@pytest.mark.anyio
async def test_without_weights_a_call_says_how_to_get_them_and_fetches_nothing(machine: Machine) -> None:
    with pytest.raises(WeightsMissing, match=r"python -m negotiator\.models\.weights --yes"):
        await ask(LocalModel())
    with pytest.raises(UsageError, match="cannot be read"):
        await ask(LocalModel(machine.folder / "absent.gguf"))
    (machine.folder / "text.gguf").write_text("hello")
    with pytest.raises(UsageError, match="is not a GGUF file"):
        await ask(LocalModel(machine.folder / "text.gguf"))


def test_its_name_is_known_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEGOTIATOR_GGUF", raising=False)
    assert LocalModel().name == "local/qwen2.5-coder-1.5b-instruct"
    assert LocalModel("/models/Big-One.gguf").name == "local/big-one"
    monkeypatch.setenv("NEGOTIATOR_GGUF", "/models/other.gguf")
    assert LocalModel().name == "local/other"


@pytest.mark.anyio
async def test_requests_go_before_learning_and_learning_goes_one_by_one() -> None:
    turns = Turnstile()
    log: list[str] = []
    release = {name: asyncio.Event() for name in ("ask one", "ask two", "learn one", "learn two")}

    async def work(name: str) -> None:
        async with turns.turn():
            log.append(name)
            await release[name].wait()

    async def learn(name: str) -> None:
        with in_background():
            await asyncio.create_task(work(name))

    async def settle() -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(work("ask one"))]
    await settle()
    tasks += [asyncio.create_task(learn("learn one")), asyncio.create_task(learn("learn two"))]
    await settle()
    assert log == ["ask one"]
    tasks.append(asyncio.create_task(work("ask two")))
    await settle()
    assert log == ["ask one", "ask two"], "a request waits for nobody"
    release["ask one"].set()
    await settle()
    assert log == ["ask one", "ask two"]
    release["ask two"].set()
    await settle()
    assert len(log) == 3, "one piece of learning at a time"
    release[log[2]].set()
    await settle()
    assert sorted(log[2:]) == ["learn one", "learn two"]
    for event in release.values():
        event.set()
    await asyncio.gather(*tasks)


@pytest.mark.anyio
async def test_learning_that_is_cancelled_while_it_waits_holds_nobody_up() -> None:
    turns = Turnstile()
    done = asyncio.Event()

    async def learn() -> None:
        with in_background():
            async with turns.turn():
                done.set()

    async with turns.turn():
        waiting = asyncio.create_task(learn())
        await asyncio.sleep(0)
        waiting.cancel()
        next_one = asyncio.create_task(learn())
        await asyncio.sleep(0)
        assert not done.is_set()
    await next_one
    assert done.is_set()
    assert waiting.cancelled()
