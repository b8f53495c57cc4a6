"""The secrets of the routine cache: a file of one's own, never inside the cache's directory."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

_BYTES = 32
_KEPT = 3


def load_secrets(path: Path) -> list[bytes]:
    """The secrets in the file, newest first; the file is made, readable for its owner only, where there is none.

    Args:
        path: The file; its directory is made where it is missing. Two processes that make it at once agree.

    Raises:
        PermissionError: It is a symbolic link, not a regular file, somebody else's, or open to others.
        ValueError: It holds something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    _place(path, [secrets.token_bytes(_BYTES)], replace=False)
    return _read(path)


def rotate_secrets(path: Path) -> list[bytes]:
    """Put a new secret first and keep the two before it, so that rows they signed are still read."""
    kept = [secrets.token_bytes(_BYTES), *load_secrets(path)][:_KEPT]
    _place(path, kept, replace=True)
    return _read(path)


def _read(path: Path) -> list[bytes]:
    try:
        # Not blocking: a pipe in its place must not hold us.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise PermissionError(f"{path} cannot be used as a file of secrets: {error.strerror}") from None
    with os.fdopen(descriptor, "r", encoding="ascii") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise PermissionError(f"{path} is not a regular file")
        if os.name == "posix" and (status.st_uid != os.geteuid() or status.st_mode & 0o077):
            raise PermissionError(f"{path} must belong to this user and be closed to others (chmod 600)")
        lines = file.read(4096).split()
    try:
        found = [bytes.fromhex(line) for line in lines]
    except ValueError:
        found = []
    if not found or any(len(secret) < _BYTES for secret in found):
        raise ValueError(f"{path} holds no secrets; delete it to have it made anew")
    return found


def _place(path: Path, content: list[bytes], *, replace: bool) -> None:
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("".join(secret.hex() + "\n" for secret in content))
            file.flush()
            os.fsync(file.fileno())
        if replace:
            new.replace(path)
        else:
            # A link, unlike a rename, does not replace what another process put there first.
            with contextlib.suppress(FileExistsError):
                os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
