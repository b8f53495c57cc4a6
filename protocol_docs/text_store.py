"""The one storage port of the house: text under text keys.

Documents, routines, journals and peers are all kept through it, so that an installation needs one
store and a third party writes one class. Values are text and nothing else: what cannot hold an
object cannot be made to run one.
"""

import re
from collections.abc import Iterator
from typing import Protocol, runtime_checkable


@runtime_checkable
class TextStore(Protocol):
    """Text under text keys. Methods are synchronous and take microseconds, not milliseconds.

    Keys are 1 to 512 printable ASCII characters. A store never evicts on its own; it raises
    `protocol_docs.StoreFull` instead.
    """

    def get(self, key: str) -> str | None:
        """Return the text under `key`, or None. A row that is not text reads as None."""
        ...

    def put(self, key: str, text: str) -> None:
        """Set the text under `key`. Raises `StoreFull` when the store's bound would be passed."""
        ...

    def add(self, key: str, text: str) -> bool:
        """Set the text only where there is none, atomically across processes; True if it was set."""
        ...

    def delete(self, key: str) -> bool:
        """Remove `key`; True if it was there."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Iterate over the keys that start with `prefix`, in ascending order, as they were at the call."""
        ...


_KEY = re.compile(r"[ -~]{1,512}")


def check_key(key: str) -> None:
    """Raise ValueError for what is no key: for implementations to call first."""
    if not _KEY.fullmatch(key):
        raise ValueError(f"a key is 1 to 512 printable ASCII characters, not {key[:80]!r}")


def room_for(key: str, max_bytes: int, first: tuple[str, ...]) -> int:
    """Bytes that a store of `max_bytes` may hold when `key` is written.

    All, where the key begins with one of `first`; an eighth less for any other, so that whoever fills the rest cannot
    keep from being written what must be.
    """
    return max_bytes if not first or key.startswith(first) else max_bytes - max_bytes // 8
