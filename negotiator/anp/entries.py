"""What was selected, as it is kept: in memory, and in the store for the next process."""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import orjson
from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.bounded import keep
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

MAX_ENTRIES: Final = 1024
"""Results that are held in memory."""
_PLACE: Final = "anp-selected/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How something is called."""

    method: str
    url: str
    human_authorization: bool = False
    """Whether a person has to agree to each call."""
    parameter: str | None = None
    """The one parameter, of a method that takes words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A result that was cached, with all that it rests on (ANP-06 10.1)."""

    key: str
    """Over the target, the caller, our capabilities and requirements, and the intent."""
    expires: float
    """Unix seconds."""
    capabilities: str
    identity: str
    """Of the target: its DID document and services."""
    negotiation: str = ""
    digest: str = ""
    interface: str = ""
    profile: str = ""
    security_profile: str = ""
    listing: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ways: dict[str, Way] = field(default_factory=dict)
    """By the hash of the document; words under the empty text."""
    refused: str | None = None
    """Why nothing was selected."""


class Entries:
    """The results, by their keys."""

    def __init__(self, store: TextStore) -> None:
        """Keep them in `store`."""
        self._store = store
        self._held: dict[str, Entry] = {}

    def held(self, key: str) -> Entry | None:
        """The entry, if it is in memory."""
        return self._held.get(key)

    def find(self, key: str) -> Entry | None:
        """The entry, wherever it is kept."""
        if key in self._held:
            return self._held[key]
        text = self._store.get(_row(key))
        if text is None:
            return None
        try:
            entry = adapter(Entry).validate_json(text)
        except ValidationError:
            return None
        keep(self._held, key, entry, MAX_ENTRIES)
        return entry if entry.key == key else None

    def put(self, entry: Entry) -> None:
        """Keep an entry."""
        keep(self._held, entry.key, entry, MAX_ENTRIES)
        try:
            self._store.put(_row(entry.key), orjson.dumps(adapter(Entry).dump_python(entry, mode="json")).decode())
        except StoreUnusable:
            return  # it is remembered in memory at least

    def drop(self, protocol_hash: str) -> None:
        """Forget the entries in which that document was selected; with an empty text those of words."""
        for key, entry in list(self._held.items()):
            if protocol_hash in entry.ways:
                del self._held[key]
                self._store.delete(_row(key))


def _row(key: str) -> str:
    return _PLACE + sha256(key.encode()).hexdigest()
