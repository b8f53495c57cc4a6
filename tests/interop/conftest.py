"""Foreign peers, each in an environment of its own under `.peers/`, and real HTTP between us and them."""

import asyncio
import fcntl
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from benchmarks.environments import NotHere, python_of
from negotiator import Agent
from negotiator.transports import asgi_app
from negotiator.wire import WireHandler

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"


def _python_with(name: str, module: str, *, low: int = 10, high: int = 13) -> str:
    """The Python of an environment with what `peers/<name>.txt` pins, which is made on first use."""
    try:
        return python_of(PEERS / f"{name}.txt", module, low=low, high=high)
    except NotHere as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def agora_python() -> str:
    """The Python of an environment with agora-protocol 0.2.0, which is made on first use.

    `NEGOTIATOR_AGORA_PYTHON` names one that is there already. Skips where no Python of 3.10 to 3.12 is.
    """
    return os.environ.get("NEGOTIATOR_AGORA_PYTHON") or _python_with("agora-0.2.0", "agora", high=12)


@pytest.fixture(scope="session", params=["1.3.0", "0.3.26"])
def a2a_peer(request: pytest.FixtureRequest) -> Iterator["A2APeer"]:
    """a2a-sdk, the last version of each line: its client at a test's orders, and its server of foreign agents."""
    peer = A2APeer(request.param)
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def a2a_1_3() -> Iterator["A2APeer"]:
    """The same, of 1.3.0 alone."""
    peer = A2APeer("1.3.0")
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def a2a_0_3() -> Iterator["A2APeer"]:
    """The same, of 0.3.26 alone."""
    peer = A2APeer("0.3.26")
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def python_with() -> Callable[..., str]:
    """The Python of an environment with what `peers/<name>.txt` pins: `python_with(name, module)`."""
    return _python_with


@pytest.fixture(scope="session")
def a2a_checks() -> Path:
    """The folder of the commands a2a-lint and a2a-proof."""
    return Path(_python_with("a2a-checks", "a2a_lint, a2a_proof", low=11)).parent


def _environment() -> dict[str, str]:
    # The package's client takes proxies from the environment, for loopback too.
    return {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}


class _Peer:
    """A script of `peers/` that runs for the session, and talks in lines of JSON. It ends with its standard input."""

    def __init__(self, python: str, script: str | Path, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [python, str(PEERS / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            text=True,
        )

    def hear(self, seconds: float = 120) -> Any:
        """The next line. A peer that takes longer is killed, and its test fails."""
        late = threading.Timer(seconds, self._process.kill)
        late.start()
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        assert line, f"the peer ended, or said nothing in {seconds} seconds"
        return json.loads(line)

    def tell(self, **order: object) -> Any:
        """Give an order, and hear what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self.hear()

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def start_peer() -> Iterator[Callable[..., _Peer]]:
    """Start a script of `peers/` in the environment of some Python; it ends with the session."""
    running: list[_Peer] = []

    def start(python: str, script: str, *arguments: object) -> _Peer:
        running.append(_Peer(python, script, *arguments))
        return running[-1]

    yield start
    for peer in running:
        peer.end()


class AgoraReceiver:
    """The package's receiver in a process of its own, with a scripted partner for its model."""

    def __init__(self, python: str, *arguments: object) -> None:
        self._peer = _Peer(python, "agora_receiver.py", *arguments)
        self.port: int = 0
        self.langchain: str = ""
        """The base address of its neighbour, whose model is spoken to by LangChain and calls tools."""

    def start(self) -> "AgoraReceiver":
        """Return when it listens."""
        told = self._peer.hear()
        self.port, self.langchain = told["port"], f"http://127.0.0.1:{told['langchain']}"
        return self

    @property
    def url(self) -> str:
        """Its base address."""
        return f"http://127.0.0.1:{self.port}"

    def calls(self) -> dict[str, int]:
        """Turns of its model so far, by the package's categories."""
        told: dict[str, int] = self._peer.tell()
        return told

    def end(self) -> None:
        """End the process."""
        self._peer.end()


@pytest.fixture(scope="session")
def a2a_js() -> Path:
    """The folder of @a2a-js/sdk 1.3.0 and express, with the scripts for them. Skips where Node and npm are not."""
    folder = ROOT / ".peers" / "a2a-js-1.3.0"
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("@a2a-js/sdk needs Node and npm, and they are not here")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "a2a-js.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        packages = ("@a2a-js/sdk", "express")
        if not all((folder / "node_modules" / name / "package.json").exists() for name in packages):
            command = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder)]
            command += ["@a2a-js/sdk@1.3.0", "express@5.1.0"]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
        for script in ("a2a_js.mjs", "a2a_js_server.mjs"):
            shutil.copy(PEERS / script, folder)
        return folder


@pytest.fixture(scope="session")
def a2a_js_server(a2a_js: Path) -> Iterator[str]:
    """The address of a server written with @a2a-js/sdk; its agents are below it."""
    peer = _Peer("node", a2a_js / "a2a_js_server.mjs")
    yield f"http://127.0.0.1:{peer.hear()['port']}"
    peer.end()


class A2APeer:
    """a2a-sdk in a process of its own; see `peers/a2a_1_3.py` and `peers/a2a_0_3.py`."""

    def __init__(self, version: str) -> None:
        script = "a2a_1_3.py" if version == "1.3.0" else "a2a_0_3.py"
        self.version = version
        self._peer = _Peer(_python_with(f"a2a-{version}", "a2a, uvicorn"), script)
        self.url = f"http://127.0.0.1:{self._peer.hear()['port']}"
        """Its server's address; the agents are below it."""

    def tell(self, do: str, **order: object) -> Any:
        """Give an order, and hear what came of it."""
        return self._peer.tell(do=do, **order)

    def end(self) -> None:
        """End the process."""
        self._peer.end()


@pytest.fixture(scope="session")
def agora_peer(agora_python: str) -> Iterator[AgoraReceiver]:
    """The package's receiver, one for the session: what tests have it learn must not be the same."""
    peer = AgoraReceiver(agora_python)
    try:
        yield peer.start()
    finally:
        peer.end()


@pytest.fixture(scope="session")
def agora_receiver(agora_peer: AgoraReceiver) -> str:
    """The base address of the package's receiver."""
    return agora_peer.url


@pytest.fixture
def start_agora_receiver(agora_python: str) -> Iterator[Callable[..., AgoraReceiver]]:
    """Start one more: `start(port, folder)`, both optional. It ends with the test at the latest."""
    running: list[AgoraReceiver] = []

    def start(*arguments: object) -> AgoraReceiver:
        running.append(AgoraReceiver(agora_python, *arguments))
        return running[-1].start()

    yield start
    for peer in running:
        peer.end()


@pytest.fixture(scope="session")
def agora_orders(agora_python: str) -> Iterator[Callable[..., Any]]:
    """Have the package's sender or parser do something; see `peers/agora_orders.py`."""
    peer = _Peer(agora_python, "agora_orders.py")
    try:
        yield peer.tell
    finally:
        peer.end()


class Served:
    """An ASGI application behind a real HTTP server, in an event loop of its own thread."""

    def __init__(self, app: Callable[..., Any], *agents: Agent) -> None:
        """`agents` are closed in that loop when it ends."""
        self._agents = agents
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        """Its base address."""

    def settle(self) -> None:
        """Return when the agents learn no more."""
        for agent in self._agents:
            asyncio.run_coroutine_threadsafe(agent.settle(), self._loop).result(60)

    def end(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join(10)
        self._listener.close()

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve([self._listener])
        for agent in self._agents:
            await agent.aclose()


def _serving() -> Iterator[Callable[..., Served]]:
    running: list[Served] = []

    def start(app: Callable[..., Any], *agents: Agent) -> Served:
        running.append(Served(app, *agents))
        return running[-1]

    yield start
    for served in reversed(running):
        served.end()


@pytest.fixture
def serve_app() -> Iterator[Callable[..., Served]]:
    """Serve an ASGI application, and the agents behind it, over HTTP until the test ends."""
    yield from _serving()


@pytest.fixture(scope="session")
def serve_on() -> Iterator[Callable[..., Served]]:
    """The same until the session ends."""
    yield from _serving()


@pytest.fixture
def serve(serve_app: Callable[..., Served]) -> Callable[[WireHandler], str]:
    """Serve any `WireHandler` over HTTP until the test ends; gives its base address."""
    return lambda handler: serve_app(asgi_app(handler)).url
