"""What every test starts from: a state directory of its own, no way off loopback, seeds that repeat."""

import errno
import importlib.util
import ipaddress
import os
import socket
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from protocol_docs import DiskExtraMissing

# An inference library reads these when it is imported: threads that spin while they wait make a busy
# two-core machine tens of times slower.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
os.environ["GOMP_SPINCOUNT"] = "0"

# What a test sees does not hang on whose machine it is, and no test can spend its owner's money.
for _name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
    del os.environ[_name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,::1,localhost"

# The same examples every run; `--hypothesis-profile=explore` searches further and prints how to repeat a failure.
# A failure is made small but not explained: that takes minutes for examples as large as schemas.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)
settings.register_profile("explore", max_examples=1000, deadline=None, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--data",
        metavar="DIR",
        default=None,
        help="the folder of the data sets that do not ship (default: the environment variable NEGOTIATOR_DATA)",
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are no words are called by their length: processes that share the tests must agree on the names."""
    if isinstance(val, bytes) and not (val.isascii() and val.decode("ascii").isprintable() and len(val) <= 40):
        return f"{argname}-{len(val)}-bytes"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Without the extra `disk`, a test that wants a state directory is skipped in the words that install it."""
    try:
        return (yield)
    except DiskExtraMissing as error:
        if importlib.util.find_spec("diskcache") is not None:
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """The folder of data sets that do not ship; skips where there is none."""
    named = request.config.getoption("--data") or os.environ.get("NEGOTIATOR_DATA")
    if not named:
        pytest.skip("no data sets: give --data DIR or set NEGOTIATOR_DATA (python -m benchmarks fetch NAME gets one)")
    folder = Path(named).expanduser().resolve()
    if not folder.is_dir():
        pytest.skip(f"no data sets: {named!r} is not a folder")
    return folder


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing a test does is seen by another, or by the person who runs it. Weights stay in the cache."""
    state = tmp_path_factory.mktemp("state", numbered=True)
    monkeypatch.setenv("NEGOTIATOR_STATE", str(state / "negotiator"))
    monkeypatch.setenv("XDG_STATE_HOME", str(state / "xdg"))


def _is_literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def _stays_here(family: int, address: Any) -> bool:
    """Whether an address is on this machine: not IP, or loopback, or a name for it."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True
    host = address[0]
    if host in ("", "localhost"):
        return True
    if not _is_literal(host):
        return False
    ip = ipaddress.ip_address(host.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    # The unspecified address reaches this machine and no other.
    return ip.is_loopback or ip.is_unspecified


class _Walls:
    """Stand-ins for the ways out of a process; each notes what it refused."""

    def __init__(self) -> None:
        self.attempts: list[str] = []
        self._connect = socket.socket.connect
        self._connect_ex = socket.socket.connect_ex
        self._sendto = socket.socket.sendto
        self._getaddrinfo = socket.getaddrinfo

    def _refuse(self, what: str) -> OSError:
        self.attempts.append(what)
        return OSError(errno.ENETUNREACH, f"tests do not leave loopback: {what}")

    def raise_(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the stand-ins in place, until the test ends."""

        def connect(sock: socket.socket, address: Any) -> None:
            if not _stays_here(sock.family, address):
                raise self._refuse(f"connect to {address!r}")
            self._connect(sock, address)

        def connect_ex(sock: socket.socket, address: Any) -> int:
            if not _stays_here(sock.family, address):
                return self._refuse(f"connect to {address!r}").errno or errno.ENETUNREACH
            return self._connect_ex(sock, address)

        def sendto(sock: socket.socket, data: Any, *rest: Any) -> int:
            if not _stays_here(sock.family, rest[-1]):
                raise self._refuse(f"send to {rest[-1]!r}")
            return self._sendto(sock, data, *rest)

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
            if name in (None, "", "localhost") or _is_literal(name):
                return self._getaddrinfo(host, *args, **kwargs)
            self.attempts.append(f"look-up of {name!r}")
            raise socket.gaierror(socket.EAI_NONAME, f"tests do not leave loopback: look-up of {name!r}")

        monkeypatch.setattr(socket.socket, "connect", connect)
        monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)
        monkeypatch.setattr(socket.socket, "sendto", sendto)
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(autouse=True)
def attempts_to_leave(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Addresses off loopback that this test's process asked for; none is reached.

    The code under test sees an unreachable network, and the test fails at its end. A test that means to try
    empties the list when it has looked at it.
    """
    walls = _Walls()
    walls.raise_(monkeypatch)
    yield walls.attempts
    if walls.attempts:
        pytest.fail("the test tried to leave loopback: " + "; ".join(walls.attempts), pytrace=False)
