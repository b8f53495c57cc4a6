"""A text store in this process's memory: for tests, for short lives, and where diskcache is not installed."""

from collections.abc import Iterator, Sequence
from threading import Lock

from protocol_docs.errors import StoreFull
from protocol_docs.text_store import check_key, room_for

DEFAULT_MAX_BYTES = 64 * 1024 * 1024
"""Bytes of keys and texts together, in UTF-8."""


class MemoryTextStore:
    """Implements `TextStore`. Safe to use from several threads; nothing outlives the process."""

    def __init__(self, max_bytes: int = DEFAULT_MAX_BYTES, *, first: Sequence[str] = ()) -> None:
        """`first`: how keys begin that may use all of the room; others leave them a part (`room_for`)."""
        self._max_bytes = max_bytes
        self._first = tuple(first)
        self._texts: dict[str, str] = {}
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: str) -> str | None:
        """See `TextStore.get`."""
        check_key(key)
        return self._texts.get(key)

    def put(self, key: str, text: str) -> None:
        """See `TextStore.put`."""
        check_key(key)
        with self._lock:
            self._set(key, text)

    def add(self, key: str, text: str) -> bool:
        """See `TextStore.add`."""
        check_key(key)
        with self._lock:
            if key in self._texts:
                return False
            self._set(key, text)
            return True

    def delete(self, key: str) -> bool:
        """See `TextStore.delete`."""
        check_key(key)
        with self._lock:
            text = self._texts.pop(key, None)
            self._bytes -= 0 if text is None else _size(key, text)
            return text is not None

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See `TextStore.keys`."""
        with self._lock:
            found = sorted(key for key in self._texts if key.startswith(prefix))
        return iter(found)

    def _set(self, key: str, text: str) -> None:
        old = self._texts.get(key)
        after = self._bytes + _size(key, text) - (0 if old is None else _size(key, old))
        if after > room_for(key, self._max_bytes, self._first):
            raise StoreFull(f"{key} would take the store over its {self._max_bytes} bytes")
        self._texts[key] = text
        self._bytes = after


def _size(key: str, text: str) -> int:
    return len(key) + len(text.encode())
