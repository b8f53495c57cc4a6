"""The operating system's wall around a worker process (Linux).

Applied once, after every import and before the first stranger's byte, from the outermost lock to the
innermost: namespaces, another user where we are root, resource limits, no new privileges, Landlock with
every right handled and none granted, and a seccomp filter that kills on any system call but the few that a
warm interpreter needs (opening a file fails instead). A lock that the kernel refuses is reported and does not stop the others.

Sources: the manual pages seccomp(2), landlock(7), prctl(2), getrlimit(2), unshare(2).
"""

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import struct
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_NOBODY = 65534
_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
_CLONE_NEWUSER, _CLONE_NEWPID, _CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CPU_SECONDS = 240
"""Processor time of a worker's whole life; the host retires a worker well before."""

# Numbers from the kernel's tables, by machine: audit architecture, then the calls a warm interpreter makes.
_MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "mmap": 9, "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigreturn": 15,
            "rt_sigprocmask": 14, "sched_yield": 24, "mremap": 25, "madvise": 28, "exit": 60, "futex": 202,
            "restart_syscall": 219, "clock_gettime": 228, "exit_group": 231, "getrandom": 318, "open": 2, "openat": 257,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "read": 63, "write": 64, "mmap": 222, "mprotect": 226, "munmap": 215, "brk": 214, "rt_sigreturn": 139,
            "rt_sigprocmask": 135, "sched_yield": 124, "mremap": 216, "madvise": 233, "exit": 93, "futex": 98,
            "restart_syscall": 128, "clock_gettime": 113, "exit_group": 94, "getrandom": 278, "openat": 56,
        },
    ),
}  # fmt: skip
_KILL_PROCESS, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_ARGUMENT_0, _AT_ARGUMENT_2 = 0, 4, 16, 32
_X32_BIT = 0x40000000

_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 444, 446
# Rights known to each version of the Landlock interface: files, network, scopes.
_LANDLOCK_TCP, _LANDLOCK_SCOPES = 4, 6
_LANDLOCK_FILES = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def lock(memory_bytes: int, *, parent: int) -> dict[str, bool]:
    """Apply every lock that this machine grants.

    Args:
        memory_bytes: Address space that may be added to what the process has now.
        parent: The process that started this one; if it is already gone, this process ends.

    Returns:
        Whether each of `namespaces`, `user`, `limits`, `no_new_privileges`, `landlock` and `seccomp` holds.
        `user` is True where the process was not root to begin with.

    Raises:
        OSError: The resource limits, which every Unix grants, were refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    os.environ.clear()
    done = {"namespaces": _attempt(_namespaces, libc), "user": _attempt(_drop_user)}
    # A change of user clears both, so they come after it.
    end_with(parent)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _close_descriptors()
    size = _address_space()
    done["no_new_privileges"] = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    # Before the limits: making the ruleset takes a descriptor for a moment.
    done["landlock"] = _attempt(_landlock, libc)
    _limit(size + memory_bytes)
    done["limits"] = True
    done["seccomp"] = _attempt(_seccomp, libc)
    return done


def end_with(parent: int) -> None:
    """Have the kernel kill this process with the thread that started it; at once where `parent` is gone already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() not in (parent, 0):
        os._exit(0)


def tighten() -> None:
    """What can be locked before a fork without a worker being any different: no new privileges, no reading of memory."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _attempt(apply: Any, *args: Any) -> bool:
    try:
        apply(*args)
    except OSError:
        return False
    return True


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _namespaces(libc: Any) -> None:
    spaces = _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWIPC | _CLONE_NEWPID | _CLONE_NEWNET
    if os.geteuid() != 0:
        spaces |= _CLONE_NEWUSER
    _checked(libc.unshare(spaces))


def _drop_user() -> None:
    if os.geteuid() == 0 or os.getuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _close_descriptors() -> None:
    os.closerange(2, 4096)


def _address_space() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - the path class would import more into the worker
        return int(file.read().split()[0]) * mmap.PAGESIZE


def _limit(address_space: int) -> None:
    for kind, value in (
        (resource.RLIMIT_AS, address_space),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 2),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lower, lower))


def _landlock(libc: Any) -> None:
    version = _checked(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1)))
    files = (1 << _LANDLOCK_FILES.get(version, 16)) - 1
    network = 0b11 if version >= _LANDLOCK_TCP else 0
    scopes = 0b11 if version >= _LANDLOCK_SCOPES else 0
    # Older kernels refuse a longer structure only if what they do not know is not zero.
    rules = struct.pack("=QQQ", files, network, scopes)
    ruleset = _checked(libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint(0)))
    try:
        _checked(libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)))
    finally:
        os.close(ruleset)


def _seccomp(libc: Any) -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise OSError(0, "no table of system calls for this machine")
    code = b"".join(_filter(*machine))
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    _checked(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0))


def _filter(architecture: int, calls: dict[str, int]) -> list[bytes]:
    def op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    kill, allow = op(_RETURN, _KILL_PROCESS), op(_RETURN, _ALLOW)
    lines = [
        op(_LOAD, _AT_ARCHITECTURE),
        op(_JUMP_EQUAL, architecture, 1, 0),
        kill,
        op(_LOAD, _AT_NUMBER),
        op(_JUMP_AT_LEAST, _X32_BIT, 0, 1),
        kill,
    ]
    for name, number in calls.items():
        match name:
            case "read" | "write":
                # Descriptor 0 is the only one to read, 1 the only one to write.
                own = 0 if name == "read" else 1
                body = [op(_LOAD, _AT_ARGUMENT_0), op(_JUMP_EQUAL, own, 0, 1), allow, kill]
            case "mmap" | "mprotect":
                body = [op(_LOAD, _AT_ARGUMENT_2), op(_JUMP_ANY_BIT, mmap.PROT_EXEC, 1, 0), allow, kill]
            case "open" | "openat":
                # The parser looks for the file of a syntax error's line; it takes no for an answer.
                body = [op(_RETURN, _FAIL | errno.EACCES)]
            case _:
                body = [allow]
        lines += [op(_JUMP_EQUAL, number, 0, len(body)), *body]
    return [*lines, kill]
