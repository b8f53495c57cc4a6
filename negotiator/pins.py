"""Which definition of a peer's function was seen at first, or approved since.

What was seen at first is what is used. A definition that changes is refused until somebody has looked at it and
approved it: what a peer says of its functions steers what is sent to them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import orjson

from negotiator.dialects.peer_tool import PeerTool
from negotiator.errors import DefinitionChanged
from protocol_docs.text_store import TextStore


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a peer offers, by whether it may be used."""

    usable: dict[str, PeerTool] = field(default_factory=dict)
    """By the hash of their documents."""
    changed: dict[str, str] = field(default_factory=dict)
    """The names of those whose definition is another than the one that was approved, by the approved hash."""


class Pins:
    """The approved definitions, by peer: the hash of a function's document by its name."""

    def __init__(self, store: TextStore, place: str, *, pinned: bool = True) -> None:
        """Keep them in `store` below `place`; unless `pinned`, whatever is offered may be used."""
        self._store = store
        self._place = place
        self._pinned = pinned

    def sift(self, base_url: str, offered: Iterable[PeerTool | None]) -> Sifted:
        """Keep what may be used: what is as it was seen at first, and what was never seen."""
        pins, found = self._of(base_url), Sifted()
        seen = dict(pins)
        for tool in offered:
            if tool is None:
                continue
            approved = seen.setdefault(tool.name, tool.document.hash)
            if approved == tool.document.hash or not self._pinned:
                found.usable[tool.document.hash] = tool
            else:
                found.changed[approved] = tool.name
        if seen != pins:
            self._put(base_url, seen)
        return found

    def approve(self, base_url: str, tool: str | None = None) -> tuple[str, ...]:
        """Take the definitions as they are from now on, of one function or of all; the hashes that stood till then."""
        pins = self._of(base_url)
        kept = {} if tool is None else {name: each for name, each in pins.items() if name != tool}
        self._put(base_url, kept)
        return tuple(each for name, each in pins.items() if name not in kept)

    def _of(self, base_url: str) -> dict[str, str]:
        text = self._store.get(self._key(base_url))
        try:
            found = {} if text is None else orjson.loads(text)
        except orjson.JSONDecodeError:
            found = {}
        return found if isinstance(found, dict) else {}

    def _put(self, base_url: str, pins: dict[str, str]) -> None:
        self._store.put(self._key(base_url), orjson.dumps(pins).decode())

    def _key(self, base_url: str) -> str:
        return self._place + sha256(base_url.encode()).hexdigest()


def changed_definition(base_url: str, tool: str) -> DefinitionChanged:
    """The error for a function whose definition changed."""
    return DefinitionChanged(
        f"{base_url} says something else of its tool {tool!r} than what was approved: look at it, and "
        f"approve it with Agent.approve({base_url!r}, {tool!r})"
    )
