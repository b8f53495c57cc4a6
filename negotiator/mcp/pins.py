"""Which definition of a server's tool was seen at first, or approved since."""

from hashlib import sha256
from typing import Final

import orjson

from protocol_docs.text_store import TextStore

_PLACE: Final = "mcp-tools/"


class Pins:
    """The approved definitions, by server: the hash of a tool's document by its name."""

    def __init__(self, store: TextStore) -> None:
        """Keep them in `store`."""
        self._store = store

    def of(self, base_url: str) -> dict[str, str]:
        """Those of one server."""
        text = self._store.get(_key(base_url))
        try:
            found = {} if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            found = {}
        return found if isinstance(found, dict) else {}

    def put(self, base_url: str, pins: dict[str, str]) -> None:
        """From now on these are one server's."""
        self._store.put(_key(base_url), orjson.dumps(pins).decode())


def _key(base_url: str) -> str:
    return _PLACE + sha256(base_url.encode()).hexdigest()
