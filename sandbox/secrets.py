"""The secrets of the routine cache: a file of one's own, never inside the cache's directory.

A rotation puts a new secret first. What older secrets signed is read until it is written again, or until its secret
has left the file with the second rotation after; a rotation in distrust keeps none, and every row from before is a
miss. Processes that are running follow at their next look at the cache.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from sandbox.errors import SecretsUnusable

_BYTES: Final = 32
_KEPT: Final = 3


class SecretFile:
    """The secrets in a file, as they are now: to be given to a `RoutineCache`.

    Args:
        path: The file, made where it is missing.

    Raises:
        SecretsUnusable: As `load_secrets`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, ...] = ()
        self._secrets: tuple[bytes, ...] = ()
        load_secrets(path)
        self()

    def __call__(self) -> tuple[bytes, ...]:
        """The secrets, newest first; read again where the file has changed. Raises `SecretsUnusable`."""
        try:
            found = self._path.lstat()
        except OSError as error:
            raise SecretsUnusable(f"{self._path}: {error.strerror}") from None
        # The time of the last change of mode or owner is among them.
        seen = (found.st_ino, found.st_dev, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
        if seen != self._seen:
            self._secrets = tuple(_read(self._path))
            self._seen = seen
        return self._secrets


def load_secrets(path: Path) -> list[bytes]:
    """The secrets in the file, newest first; the file is made, readable for its owner only, where there is none.

    Args:
        path: The file; its directory is made where it is missing. Two processes that make it at once agree.

    Raises:
        SecretsUnusable: It is a symbolic link, not a regular file, somebody else's, open to others, in a directory
            that others may write to, or holds something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            return _read(path)
        _place(path, [secrets.token_bytes(_BYTES)], replace=False)
        return _read(path)
    except OSError as error:
        raise SecretsUnusable(f"{path} cannot be used as a file of secrets: {error.strerror}") from None


def rotate_secrets(path: Path, *, distrust: bool = False) -> list[bytes]:
    """Put a new secret first and keep the two before it, so that rows they signed are still read.

    Args:
        path: The file, made where it is missing.
        distrust: Keep none: for when a secret may have been seen by others.

    Raises:
        SecretsUnusable: As `load_secrets`; in distrust, whatever the file holds is replaced.
    """
    before = [] if distrust else load_secrets(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _place(path, [secrets.token_bytes(_BYTES), *before][:_KEPT], replace=True)
        return _read(path)
    except OSError as error:
        raise SecretsUnusable(f"{path} cannot be written: {error.strerror}") from None


def _read(path: Path) -> list[bytes]:
    try:
        # Not blocking: a pipe in its place must not hold us.
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SecretsUnusable(f"{path} cannot be used as a file of secrets: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise SecretsUnusable(f"{path} is not a regular file")
        if os.name == "posix":
            if status.st_uid != os.geteuid() or status.st_mode & 0o077:
                raise SecretsUnusable(f"{path} must belong to this user and be closed to others (chmod 600)")
            above = path.parent.stat()
            if above.st_mode & stat.S_IWOTH and not above.st_mode & stat.S_ISVTX:
                raise SecretsUnusable(f"others may replace what is in {path.parent} (chmod o-w)")
        lines = file.read(4096).split()
    try:
        found = [bytes.fromhex(line.decode("ascii")) for line in lines]
    except ValueError:
        found = []
    if not found or any(len(secret) < _BYTES for secret in found):
        raise SecretsUnusable(f"{path} holds no secrets; delete it to have it made anew")
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
