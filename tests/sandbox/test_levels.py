"""On machines that refuse a lock the level drops, the rest holds, and handlers run."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import RestrictedPython

import sandbox

ROOT = Path(__file__).parents[2]
SITE = Path(RestrictedPython.__file__).parents[1]

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the numbers of system calls are written out here"
)

PRCTL, UNSHARE, SECCOMP, LANDLOCK = 157, 272, 317, 444
SET_SECCOMP = 22

# Installs an outer filter that answers EPERM, as a container runtime may, and reports from inside it.
PROGRAM = """
import ctypes, json, struct, sys
sys.path[:0] = {paths!r}
def op(code, value, yes=0, no=0):
    return struct.pack("=HBBI", code, yes, no, value)
fail, allow = op(0x06, 0x00050001), op(0x06, 0x7FFF0000)
lines = [op(0x20, 0)]
for number in {refused!r}:
    if number == {prctl}:
        lines += [op(0x15, number, 0, 4), op(0x20, 16), op(0x15, {set_seccomp}, 0, 1), fail, op(0x20, 0)]
    else:
        lines += [op(0x15, number, 0, 1), fail]
code = b"".join([*lines, allow])
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))
buffer = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(len(code) // 8, ctypes.addressof(buffer))), 0, 0) == 0
import sandbox
report = sandbox.self_test()
result = sandbox.run("def handle(data):\\n    return data + 1", 1)
print(json.dumps([report.level, report.locks, [p.name for p in report.probes if not p.held], result]))
"""


def report_under(*refused: int, command: tuple[str, ...] = (sys.executable,)) -> Any:
    program = PROGRAM.format(refused=refused, paths=[str(ROOT), str(SITE)], prctl=PRCTL, set_seccomp=SET_SECCOMP)
    ran = subprocess.run([*command, "-c", program], cwd="/", capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_with_nothing_refused_the_level_is_what_it_is_here() -> None:
    level, _, broken, result = report_under()
    assert level == sandbox.default_executor().level
    assert result == 2
    if level == "full":
        assert broken == []


def test_without_user_namespaces_the_level_stays() -> None:
    level, locks, broken, result = report_under(UNSHARE)
    assert (level, locks["namespaces"], broken, result) == ("full", False, [], 2)


def test_without_landlock_seccomp_still_holds_every_probe() -> None:
    level, locks, broken, result = report_under(LANDLOCK)
    assert (level, locks["landlock"], broken, result) == ("no_landlock", False, [], 2)


def test_without_seccomp_files_and_limits_still_hold() -> None:
    level, _, broken, result = report_under(PRCTL, SECCOMP)
    assert (level, result) == ("no_seccomp", 2)
    assert not {"file", "raw_file", "write", "fork", "memory", "loop", "flood", "environment"} & set(broken)


def test_with_everything_refused_a_process_under_limits_remains() -> None:
    level, _, broken, result = report_under(PRCTL, SECCOMP, LANDLOCK, UNSHARE)
    assert (level, result) == ("process_only", 2)
    assert not {"fork", "memory", "loop", "flood", "environment"} & set(broken)


def test_an_ordinary_user_reaches_the_same_level() -> None:
    if os.geteuid() != 0:
        pytest.skip("we are one")
    setpriv = shutil.which("setpriv")
    public = next((path for path in _public_interpreters() if path), None)
    if setpriv is None or public is None:
        pytest.skip("no setpriv, or no interpreter of this version that an ordinary user may start")
    command = (setpriv, "--reuid", "65534", "--regid", "65534", "--clear-groups", public)
    level, locks, broken, result = report_under(command=command)
    assert (level, locks["user"], broken, result) == ("full", True, [], 2)


def _public_interpreters() -> list[str]:
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [path for path in (f"/usr/bin/{name}", f"/usr/local/bin/{name}") if os.access(path, os.X_OK)]
