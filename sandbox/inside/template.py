"""A warm process that serves nobody and is forked into workers (Linux).

It has imported and tried everything that a worker needs, so that a worker of its own costs a fork and the locks. What
reaches it over its one socket is the next worker's two pipes, never anything of a call: what it hands down is the same
for all. Each worker applies every lock for itself.

Workers are forked with CLONE_PARENT: they are children of the host, as this process is, and not of this process. So the
host waits for them and their parent-death signal is about the host, whatever becomes of the template.

Source: the manual pages clone(2), prctl(2), unix(7).
"""

import ctypes
import errno
import gc
import os
import platform
import signal
import socket
import stat

from sandbox.inside import frames, locks

_CLONE_PARENT, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x00008000, 0x00200000, 0x01000000
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
_PR_GET_TID_ADDRESS = 40
_PIPES = 2


def is_wanted() -> bool:
    """True where the host has given this process a socket, as it gives templates, and not the pipe of a worker."""
    return stat.S_ISSOCK(os.fstat(0).st_mode)


def fork_workers() -> None:
    """Fork a worker for each two pipes that arrive. Returns in the workers, their pipes at 0 and 1, and never here."""
    gc.collect()
    # What is there now is shared with the workers, and no collection shall touch and so copy it.
    gc.freeze()
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    thread_id = ctypes.c_void_p()
    libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(thread_id), 0, 0, 0)
    # Whose child it is, the first message says; should the host be gone before that, this is killed or reads the end.
    locks.end_with(os.getppid())
    locks.tighten()
    os.environ.clear()
    host = socket.socket(fileno=0)
    while True:
        message, pipes, _, _ = socket.recv_fds(host, frames.PARENT.size, _PIPES)
        if len(message) != frames.PARENT.size or len(pipes) != _PIPES:
            os._exit(0)
        parent: int = frames.PARENT.unpack(message)[0]
        locks.end_with(parent)
        worker = _fork(libc, thread_id)
        if worker == 0:
            locks.end_with(parent)
            host.detach()
            for place, pipe in enumerate(pipes):
                os.dup2(pipe, place, inheritable=False)
            os.closerange(min(pipes), max(pipes) + 1)
            return
        for pipe in pipes:
            os.close(pipe)
        host.send(frames.FORKED.pack(max(worker, 0), ctypes.get_errno() if worker < 0 else 0))


def _fork(libc: ctypes.PyDLL, thread_id: ctypes.c_void_p) -> int:
    """As `os.fork`, with CLONE_PARENT; below 0 where it was refused. Only for a process with one thread."""
    number = _SYS_CLONE.get(platform.machine())
    if number is None:
        ctypes.set_errno(errno.ENOSYS)
        return -1
    flags = _CLONE_PARENT | signal.SIGCHLD
    if thread_id.value:
        # The C library keeps the thread's number there, and reads it in place of asking.
        flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
    python = ctypes.pythonapi
    arguments = [ctypes.c_long(number), ctypes.c_ulong(flags), *[ctypes.c_void_p()] * 2, thread_id, thread_id]
    clone, before, in_child, in_parent = (
        libc.syscall,
        python.PyOS_BeforeFork,
        python.PyOS_AfterFork_Child,
        python.PyOS_AfterFork_Parent,
    )
    for function in (before, in_child, in_parent):
        function.restype = None
    before()
    worker = int(clone(*arguments))
    (in_child if worker == 0 else in_parent)()
    return worker
