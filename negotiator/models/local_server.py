"""The process that serves one GGUF file to a machine. Run as a script, by `negotiator.models.local`.

It imports nothing of this package, so that it starts fast and holds little beside the model. In its folder:

- `alive.lock`: held for as long as it lives; whoever can take it knows that no server runs.
- `server.json`: `{address, api_key, pid}`, written when the model is ready, readable by its owner alone.
- `lease.lock`: held, shared, by each client for the time of a call, and touched at both ends. The server
  takes it exclusively to go: after `--idle` seconds without a call, and never during one.
- `server.log`: what the inference library says.
"""

import argparse
import contextlib
import fcntl
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

LOCK_SECONDS = 5.0
"""How long a new server tries for `alive.lock`, which clients take for moments to see whether it is free."""


def main() -> None:
    """Leave the starter, load, serve, go when nobody has called for a while."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--context", type=int, required=True, help="tokens a slot")
    parser.add_argument("--slots", type=int, required=True, help="calls at once")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--idle", type=float, required=True, help="seconds without a call")
    chosen = parser.parse_args()

    told, telling = os.pipe()
    if os.fork():
        os.close(telling)
        # The starter learns only whether a server holds the lock now; loading takes seconds more.
        sys.exit(0 if os.read(told, 1) else 1)
    os.close(told)
    os.setsid()
    os.chdir(chosen.folder)
    _log_to(chosen.folder / "server.log")
    # Held until this process ends, in whatever way.
    alive = _locked(chosen.folder / "alive.lock", LOCK_SECONDS)
    if alive is None:
        return
    state = chosen.folder / "server.json"
    state.unlink(missing_ok=True)
    os.write(telling, b"1")
    os.close(telling)

    server, key = _serve(chosen)
    _write(state, {"address": server.listening_address, "api_key": key, "pid": os.getpid()})
    _stay(chosen.folder / "lease.lock", state, chosen.idle)
    del server


def _serve(chosen: argparse.Namespace) -> tuple[Any, str]:
    # OpenMP reads these when it is loaded: threads that spin starve a busy machine.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["GOMP_SPINCOUNT"] = "0"
    import xllamacpp  # noqa: PLC0415 - after the environment is set

    key = secrets.token_urlsafe(32)
    params = xllamacpp.CommonParams()
    params.model.path = str(chosen.weights)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_ctx = chosen.context * chosen.slots
    params.n_parallel = chosen.slots
    params.cpuparams.n_threads = chosen.threads
    params.cpuparams_batch.n_threads = chosen.threads
    params.fit_params = False
    params.warmup = False
    params.cache_ram_mib = 256
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    return xllamacpp.Server(params), key


def _stay(lease: Path, state: Path, idle: float) -> None:
    last = time.monotonic()
    seen = -1
    handle = os.open(lease, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while True:
        touched = lease.stat().st_mtime_ns
        if touched != seen:
            last, seen = time.monotonic(), touched
        elif time.monotonic() - last >= idle and _try_lock(handle):
            # Under the exclusive lock: a client that has its lease finds either this server or none.
            state.unlink(missing_ok=True)
            return
        time.sleep(min(1.0, max(idle / 4, 0.05)))


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)


def _locked(path: Path, seconds: float) -> int | None:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + seconds
    while not _try_lock(handle):
        if time.monotonic() >= until:
            return None
        time.sleep(0.02)
    return handle


def _try_lock(handle: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _write(path: Path, value: dict[str, Any]) -> None:
    written = path.with_suffix(".new")
    with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    written.replace(path)


if __name__ == "__main__":
    main()
