"""Whether a directory, and the way to it, is out of other users' reach."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from protocol_docs.errors import StoreUnusable


def claim_directory(directory: Path) -> None:
    """Make a directory for this user alone (mode 0700), or make sure that it is that.

    Nobody else may be able to put another in its place either: of the directories above it, followed through
    symbolic links, each belongs to this user or to the system, and nobody else may rename what is in it.

    Raises:
        StoreUnusable: It is a symbolic link or no directory, another user's, or others can reach or replace it; the
            message says which, and what to do.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
    except OSError as error:
        raise StoreUnusable(f"{directory} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise StoreUnusable(f"{directory} is a symbolic link or a file; a store needs a directory of its own")
    if not hasattr(os, "geteuid"):
        return
    if found.st_uid != os.geteuid():
        raise StoreUnusable(f"{directory} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StoreUnusable(f"{directory} can be reached by other users; run: chmod 700 {directory}")
    try:
        _require_safe_way(directory)
    except OSError as error:
        raise StoreUnusable(f"{directory}: {error.strerror}") from error


def claim_files(directory: Path) -> None:
    """Make sure that what is in a directory are files of this user's, and close them to others.

    Raises:
        StoreUnusable: Something in it is a symbolic link, no regular file, or another user's.
    """
    try:
        paths = sorted(directory.iterdir())
    except OSError as error:
        raise StoreUnusable(f"{directory}: {error.strerror}") from error
    for path in paths:
        try:
            found = path.lstat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StoreUnusable(f"{path}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnusable(f"{path} is a symbolic link or no file; remove it")
        if hasattr(os, "geteuid"):
            if found.st_uid != os.geteuid():
                raise StoreUnusable(f"{path} belongs to another user")
            if stat.S_IMODE(found.st_mode) & 0o077:
                with contextlib.suppress(OSError):  # gone meanwhile, as the files beside a database may be
                    path.chmod(0o600)


def _require_safe_way(directory: Path) -> None:
    # Whoever has the root directory has everything: in a user namespace that need not be number 0.
    trusted = {os.geteuid(), 0, Path(directory.anchor).stat().st_uid}
    for above in _way(directory):
        found = above.lstat()
        if found.st_uid not in trusted:
            raise StoreUnusable(f"{above}, on the way to {directory}, belongs to another user")
        if stat.S_ISLNK(found.st_mode) or found.st_mode & stat.S_ISVTX:
            continue
        if found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _own_group(found.st_gid)):
            raise StoreUnusable(f"others may replace what is in {above}; run: chmod go-w {above}")


def _way(directory: Path) -> Iterator[Path]:
    """The directories above, and those that symbolic links among them lead to."""
    seen: set[Path] = set()
    to_see = [directory]
    while to_see:
        for above in to_see.pop().parents:
            if above in seen:
                continue
            seen.add(above)
            yield above
            if above.is_symlink():
                to_see.append(above.parent / above.readlink() / "_")


def _own_group(group: int) -> bool:
    """Whether a group is the user's own, as many systems give one to each user: nobody else is in it."""
    import grp  # noqa: PLC0415 - not on Windows
    import pwd  # noqa: PLC0415

    try:
        user, members = pwd.getpwuid(os.geteuid()), grp.getgrgid(group).gr_mem
    except KeyError:
        return False
    return user.pw_gid == group and set(members) <= {user.pw_name}
