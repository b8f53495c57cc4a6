"""A text store on disk, shared by the processes of a machine, built on diskcache and holding nothing but text.

diskcache as it comes runs code that somebody wrote into a row: it unpickles values, and its JSON disk unpickles
before it reads JSON (CVE-2025-69872); and it opens whatever file a row names. The `Disk` class here knows one
kind of row, text in the row itself, and reads any other as absent. It never evicts and keeps no side files.
"""

import contextlib
import functools
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from protocol_docs.errors import DiskExtraMissing, StoreFull, StoreUnusable
from protocol_docs.private_place import claim_directory, claim_files
from protocol_docs.text_store import check_key, room_for

DEFAULT_MAX_BYTES = 512 * 1024 * 1024
"""Bytes of keys and texts together, in UTF-8; the files take somewhat more."""

DEFAULT_MAX_TEXT_BYTES = 32 * 1024 * 1024
"""Bytes of one text, in UTF-8. A longer row was not written here: it is not read into memory, and reads as absent."""

_LOCK_SECONDS = 10.0
_RAW = 1  # diskcache's mode of a value that stands in the row as it is
_BESIDE = 4096  # bytes of a row beside its text
_NEVER = 2**62  # no text is this long, so none becomes a side file


class DiskTextStore:
    """Implements `TextStore` in a directory of its own.

    Several processes and threads may use one directory at a time. Close it, or use it as a context manager: each
    thread's connection is closed by the thread itself, or when the thread or the store is no more.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        max_bytes: int = DEFAULT_MAX_BYTES,
        *,
        max_text_bytes: int = DEFAULT_MAX_TEXT_BYTES,
        first: Sequence[str] = (),
    ) -> None:
        """Open, and make where there is none, the store in `directory` (mode 0700).

        `first`: how keys begin that may use all of the room; others leave them a part (`room_for`).

        Raises:
            DiskExtraMissing: where diskcache is not installed.
            StoreUnusable: where the directory is a symbolic link, belongs to another user, can be reached or
                replaced by others, or holds something that is no store.
        """
        self._directory = Path(directory).absolute()
        self._max_bytes = max_bytes
        self._max_text_bytes = max_text_bytes
        self._first = tuple(first)
        try:
            import diskcache  # noqa: PLC0415 - an extra, and 0.2 s
        except ImportError:
            raise DiskExtraMissing from None
        self._timeout: type[Exception] = diskcache.Timeout
        if os.path.expandvars(self._directory) != str(self._directory):
            raise StoreUnusable(f"{self._directory}: diskcache would expand the variable in this path; choose another")
        claim_directory(self._directory)
        claim_files(self._directory)
        with self._errors(), _not_a_store(self._directory):
            self._cache: Any = _text_cache()(
                str(self._directory),
                timeout=_LOCK_SECONDS,
                disk=_text_disk(),
                eviction_policy="none",
                cull_limit=0,
                statistics=0,
                disk_min_file_size=_NEVER,
                # A file that is cut short by others would end the process that has it mapped.
                sqlite_mmap_size=0,
                longest=max_text_bytes + _BESIDE,
            )
            claim_files(self._directory)
            known = {*diskcache.DEFAULT_SETTINGS, "count", "hits", "misses", "size"}
            if not known.issuperset(key for (key,) in self._cache._sql("SELECT key FROM Settings")):  # noqa: SLF001
                self._cache.close()
                raise ValueError("a setting that diskcache does not have")

    def get(self, key: str) -> str | None:
        """See `TextStore.get`. Raises `StoreUnusable` where the database itself cannot be read."""
        check_key(key)
        with self._errors():
            return self._read(key)

    def put(self, key: str, text: str) -> None:
        """See `TextStore.put`. Raises `StoreUnusable` where the database cannot be written in 10 seconds."""
        check_key(key)
        with self._errors(), self._cache.transact():
            self._require_room(key, text)
            self._cache.set(key, text)

    def add(self, key: str, text: str) -> bool:
        """See `TextStore.add`. Raises as `put` does."""
        check_key(key)
        with self._errors(), self._cache.transact():
            # A row that reads as absent is overwritten, or its key could never be used again.
            if self._read(key) is not None:
                return False
            self._require_room(key, text)
            self._cache.set(key, text)
            return True

    def delete(self, key: str) -> bool:
        """See `TextStore.delete`. Raises as `put` does."""
        check_key(key)
        with self._errors(), self._cache.transact():
            there = self._read(key) is not None
            self._cache.delete(key)
            return there

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See `TextStore.keys`."""
        # One statement sees one state of the store; diskcache's own iteration reads page after page.
        rows = "SELECT key FROM Cache WHERE raw = 1 AND mode = 1 AND filename IS NULL AND typeof(value) = 'text'"
        with self._errors():
            found = self._cache._sql(  # noqa: SLF001
                f"{rows} AND typeof(key) = 'text' AND key >= ? AND key < ? AND length(key) <= 512 ORDER BY key",
                (prefix, prefix + "\x7f"),
            ).fetchall()
        return iter([key for (key,) in found])

    def close(self) -> None:
        """Close this thread's connection; the store opens another when it is used again."""
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, key: str) -> str | None:
        try:
            text: str | None = self._cache.get(key)
        except (sqlite3.OperationalError, sqlite3.DataError) as error:
            if "decode" not in str(error) and "too big" not in str(error):
                raise
            return None
        return text

    def _require_room(self, key: str, text: str) -> None:
        if _size(key, text) > self._max_text_bytes:
            raise StoreFull(f"{key} has more than the {self._max_text_bytes} bytes that one text may have")
        ((old,),) = self._cache._sql(  # noqa: SLF001
            "SELECT coalesce(sum(size), 0) FROM Cache WHERE key = ? AND raw = 1", (key,)
        ).fetchall()
        used = self._cache.reset("size")
        if not isinstance(used, int):
            raise StoreUnusable(f"{self._directory} does not know its own size")
        if used - old + _size(key, text) > room_for(key, self._max_bytes, self._first):
            raise StoreFull(f"{key} would take {self._directory} over its {self._max_bytes} bytes")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # A full disk undoes the transaction by itself, and undoing it once more is the error that arrives here.
            texts = f"{error} {error.__context__}"
            raise (StoreFull if "full" in texts else StoreUnusable)(f"{self._directory}: {texts}") from error
        except OSError as error:
            raise StoreUnusable(f"{self._directory}: {error.strerror}") from error
        except self._timeout as error:
            raise StoreUnusable(f"{self._directory} is locked, or cannot be written") from error


@contextlib.contextmanager
def _not_a_store(directory: Path) -> Iterator[None]:
    # diskcache makes attributes of the settings in the database; ones that it never wrote end in any of these.
    try:
        yield
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreUnusable(f"{directory} holds something that is no store of ours") from error


@functools.cache
def _text_disk() -> type:
    import diskcache  # noqa: PLC0415 - an extra, and 0.2 s

    class TextDisk(diskcache.Disk):  # type: ignore[misc]
        """Rows of text under keys of text, and nothing else in either direction."""

        def put(self, key: object) -> tuple[str, bool]:
            if type(key) is not str:
                raise TypeError("a key is text")
            return key, True

        def get(self, key: object, raw: object) -> str:
            return key if raw == 1 and type(key) is str else ""

        def store(self, value: object, read: object, key: object = None) -> tuple[int, int, None, str]:
            if type(value) is not str or type(key) is not str or read:
                raise TypeError("a value is text")
            return _size(key, value), _RAW, None, value

        def fetch(self, mode: object, filename: object, value: object, read: object) -> str | None:
            if mode == _RAW and filename is None and type(value) is str and not read:
                return value
            return None

        def remove(self, file_path: object) -> None:
            """Remove no file: a row of ours names none, and what another row names is not ours."""

    return TextDisk


@functools.cache
def _text_cache() -> type:
    import diskcache  # noqa: PLC0415 - an extra, and 0.2 s

    class TextCache(diskcache.Cache):  # type: ignore[misc]
        """A cache that reads nothing into memory that is too long, and leaves no connection behind on failure."""

        def __init__(self, directory: str, *, longest: int, **settings: object) -> None:
            self._longest = longest
            try:
                super().__init__(directory, **settings)
            except BaseException:
                self.close()
                raise

        @property
        def _con(self) -> sqlite3.Connection:
            local = self._local
            if getattr(local, "pid", None) != os.getpid() or getattr(local, "con", None) is None:
                self.close()
                local.pid, local.con = os.getpid(), self._connected()
                local.held = _Held(local.con)
                for name, value in _settings(local.con):
                    self.reset(name, value, update=False)
            connection: sqlite3.Connection = local.con
            return connection

        def _connected(self) -> sqlite3.Connection:
            # Used by one thread alone, but closed by whichever finds that the store is no more.
            path = Path(self.directory) / diskcache.core.DBNAME
            connection = sqlite3.connect(path, timeout=self.timeout, isolation_level=None, check_same_thread=False)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, self._longest)
            return connection

    return TextCache


class _Held:
    """Closes a thread's connection when the thread or the store is no more."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        # Not `__del__`: of an object and a connection that are garbage together, either may be looked at first.
        weakref.finalize(self, connection.close).atexit = False


def _settings(connection: sqlite3.Connection) -> list[tuple[str, object]]:
    """What a connection of its own has to be told each time; nothing in a store that is new."""
    with contextlib.suppress(sqlite3.OperationalError):
        return connection.execute("SELECT key, value FROM Settings WHERE key GLOB 'sqlite_*'").fetchall()
    return []


def _size(key: str, text: str) -> int:
    return len(key) + len(text.encode())
