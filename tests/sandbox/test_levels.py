"""On machines that refuse a lock the level drops, the rest holds, and handlers run, or are refused with the reason."""

import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import RestrictedPython

import sandbox

ROOT = Path(__file__).parents[2]
SITE = Path(RestrictedPython.__file__).parents[1]

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers of system calls are written out here"
)

# System calls, with the first argument that is meant where not all are.
UNSHARE, LANDLOCK, PRLIMIT = (272, None), (444, None), (302, None)
SECCOMP, SECCOMP_BY_PRCTL, NO_NEW_PRIVILEGES = (317, None), (157, 22), (157, 38)
CLONE_AS_SIBLING, PIDFD_OPEN = (56, 0x01208011), (434, None)
SETTERS_OF_USER = tuple((number, None) for number in (105, 106, 116, 117, 119))

# Installs an outer filter that answers EPERM, as a container runtime may, and reports from inside it.
PROGRAM = """
import ctypes, json, os, struct, sys
sys.path[:0] = {paths!r}
def op(code, value, yes=0, no=0):
    return struct.pack("=HBBI", code, yes, no, value)
fail, allow = op(0x06, 0x00050001), op(0x06, 0x7FFF0000)
lines = [op(0x20, 0)]
for number, first in {refused!r}:
    if first is None:
        lines += [op(0x15, number, 0, 1), fail]
    else:
        lines += [op(0x15, number, 0, 4), op(0x20, 16), op(0x15, first, 0, 1), fail, op(0x20, 0)]
code = b"".join([*lines, allow])
class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
buffer = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None, use_errno=True)
if os.geteuid() != 0:  # only root installs a filter without it
    assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Filter(len(code) // 8, ctypes.addressof(buffer))), 0, 0) == 0

import sandbox
from sandbox import choice
SOURCE = "def handle(data):\\n    return data + 1"
def tried(executor):
    try:
        return [executor.name, executor.run(SOURCE, 1)]
    except sandbox.SandboxUnavailable as error:
        return str(error)
report = sandbox.self_test()
said = {{
    "level": report.level, "locks": report.locks, "problem": report.problem,
    "broken": [probe.name for probe in report.probes if not probe.held],
}}
try:
    said["locked"] = tried(sandbox.open_executor("locked"))
except sandbox.SandboxUnavailable as error:
    said["locked"] = str(error)
said["forks"] = sandbox.open_executor("locked")._pool._starts._template is not None
said["chosen"] = tried(sandbox.AtLeast())
choice._made.pop("monty", None)
sys.modules["pydantic_monty"] = None
said["without monty"] = tried(sandbox.AtLeast())
print(json.dumps(said))
"""


class Who(NamedTuple):
    """The user that the host runs as."""

    root: bool
    command: tuple[str, ...]


def _public_interpreters() -> list[str]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [path for path in (f"/usr/bin/{name}", f"/usr/local/bin/{name}") if os.access(path, os.X_OK)]


@pytest.fixture(params=["as we are", "as nobody"])
def who(request: pytest.FixtureRequest) -> Who:
    """Root and an ordinary user where we are root; else the ordinary user that we are."""
    if request.param == "as we are":
        return Who(os.geteuid() == 0, (sys.executable,))
    if os.geteuid() != 0:
        pytest.skip("we are an ordinary user already")
    setpriv = shutil.which("setpriv")
    public = next(iter(_public_interpreters()), None)
    if setpriv is None or public is None:
        pytest.skip("no setpriv, or no interpreter of this version that an ordinary user may start")
    return Who(root=False, command=(setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", public))


def report_under(who: Who, *refused: tuple[int, int | None]) -> Any:
    program = PROGRAM.format(refused=refused, paths=[str(ROOT), str(SITE)])
    # Another interpreter looks for the binary beside itself.
    beside = Path(sys.executable).with_name("monty")
    environment = dict(os.environ) | ({"MONTY_BIN": str(beside)} if beside.exists() else {})
    ran = subprocess.run(
        [*who.command, "-c", program],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def runs_in_locked(said: Any) -> None:
    assert said["locked"] == said["chosen"] == said["without monty"] == ["locked", 2]


def is_refused_below_the_floor(said: Any, why: str) -> None:
    """Code of strangers runs in Monty where there is one, else not; and one line says why."""
    if importlib.util.find_spec("pydantic_monty") is not None:
        assert said["chosen"] == ["monty", 2]
    else:
        assert why in said["chosen"]
    assert why in said["without monty"]
    assert 'pip install "metaparley[monty]"' in said["without monty"]
    assert "mapping and native routines still serve" in said["without monty"]


def test_with_nothing_refused_the_level_is_what_it_is_here(who: Who) -> None:
    said = report_under(who)
    assert said["level"] == sandbox.open_executor("locked").level
    assert said["forks"]
    assert said["locked"] == ["locked", 2]
    assert said["locks"]["user"]
    if said["level"] == "full":
        runs_in_locked(said)
        assert said["broken"] == []


def test_without_user_namespaces_the_level_stays(who: Who) -> None:
    said = report_under(who, UNSHARE)
    assert (said["level"], said["locks"]["namespaces"], said["broken"]) == ("full", False, [])
    runs_in_locked(said)


def test_without_landlock_seccomp_still_holds_every_probe_and_code_still_runs(who: Who) -> None:
    said = report_under(who, LANDLOCK)
    assert (said["level"], said["locks"]["landlock"], said["broken"]) == ("no_landlock", False, [])
    runs_in_locked(said)


def test_without_seccomp_files_and_limits_still_hold_and_strangers_code_does_not_run_there(who: Who) -> None:
    said = report_under(who, SECCOMP, SECCOMP_BY_PRCTL)
    assert (said["level"], said["locks"]["seccomp"]) == ("no_seccomp", False)
    held = {"file", "raw_file", "write", "fork", "memory", "loop", "flood", "raw_flood", "environment"}
    assert not held & set(said["broken"])
    assert said["locked"] == ["locked", 2]
    is_refused_below_the_floor(said, "locked reaches the level no_seccomp here")


def test_with_everything_refused_a_process_under_limits_remains(who: Who) -> None:
    said = report_under(who, SECCOMP, SECCOMP_BY_PRCTL, LANDLOCK, UNSHARE)
    assert said["level"] == "process_only"
    assert not {"fork", "memory", "loop", "flood", "raw_flood", "environment"} & set(said["broken"])
    assert said["locked"] == ["locked", 2]
    is_refused_below_the_floor(said, "locked reaches the level process_only here")


def test_without_no_new_privileges_the_locks_that_need_it_are_said_to_be_missing(who: Who) -> None:
    said = report_under(who, NO_NEW_PRIVILEGES)
    assert said["locks"]["no_new_privileges"] is False
    assert said["locked"] == ["locked", 2]
    if who.root:
        # The worker has given up root, and with it the right to lock itself without that flag.
        assert said["level"] == "process_only"
        is_refused_below_the_floor(said, "locked reaches the level process_only here")
    else:
        # It was set before the filter that refuses it, and is inherited.
        assert said["level"] == "full"
        runs_in_locked(said)


def test_a_worker_that_may_not_change_its_user_is_locked_all_the_same(who: Who) -> None:
    said = report_under(who, *SETTERS_OF_USER)
    assert said["locks"]["user"] is (not who.root)
    assert (said["level"], said["broken"]) == ("full", [])
    runs_in_locked(said)


@pytest.mark.parametrize("refused", [CLONE_AS_SIBLING, PIDFD_OPEN], ids=["clone", "pidfd"])
def test_where_workers_cannot_be_forked_from_a_template_each_is_started_and_locked(
    who: Who, refused: tuple[int, int | None]
) -> None:
    said = report_under(who, refused)
    assert (said["level"], said["broken"], said["forks"]) == ("full", [], False)
    runs_in_locked(said)


def test_without_resource_limits_there_is_no_locked_executor(who: Who) -> None:
    said = report_under(who, PRLIMIT)
    assert said["level"] is None
    assert "a worker cannot be locked here" in said["problem"]
    assert "a worker cannot be locked here" in said["locked"]
    is_refused_below_the_floor(said, "a worker cannot be locked here")
