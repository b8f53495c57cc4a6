"""What a request has done, so that nothing is done twice.

Each tool call of a request is entered. A transactional call's intent is in the store before the call is made;
its result follows. A fallback to another tier runs against the same journal: calls that match an entry, in
order, get the entry's result; after the first transactional call, one that matches none ends the request.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import orjson

from negotiator.errors import EffectsAlreadyMade, OutcomeUnknown
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect
from protocol_docs.text_store import TextStore


def canonical(value: JsonValue) -> bytes:
    """JSON with sorted keys and no spaces: equal values, equal bytes."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def digest_of(value: JsonValue) -> str:
    """SHA-256 in hex of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value)).hexdigest()


@dataclass(slots=True)
class Entry:
    """One tool call."""

    tool: str
    arguments: bytes
    """Canonical JSON."""
    effect: Effect
    state: Literal["intent", "done"] = "intent"
    result: JsonValue = None
    matched: bool = True
    """Whether the tier now running has made this call."""


class Journal:
    """The tool calls of one request. Not shared between tasks."""

    def __init__(self, key: str, store: TextStore) -> None:
        """`key` names the request in `store`, where the intents of transactional calls are kept."""
        self._key = f"journal/{key}"
        self._store = store
        self._entries: list[Entry] = []
        self._replaying = False
        self._stored = False

    @property
    def effects_made(self) -> bool:
        """Whether a transactional call was begun."""
        return any(entry.effect == "transactional" for entry in self._entries)

    def entries(self) -> tuple[Entry, ...]:
        """The calls so far, in order."""
        return tuple(self._entries)

    def fall_back(self) -> None:
        """Another tier takes over: its calls are answered from the entries where they match."""
        self._replaying = True
        for entry in self._entries:
            entry.matched = False

    async def call(
        self,
        tool: str,
        arguments: JsonObject,
        effect: Effect,
        run: Callable[[], Awaitable[JsonValue]],
    ) -> JsonValue:
        """Run a tool, or return what it returned when this request ran it before.

        Raises `EffectsAlreadyMade` where an earlier tier made a transactional call and this call is not among
        its entries, and `OutcomeUnknown` where the call it matches was begun and never came back.
        """
        wanted = canonical(arguments)
        for entry in self._entries:
            if not entry.matched and entry.tool == tool and entry.arguments == wanted:
                if entry.state == "intent":
                    raise OutcomeUnknown
                entry.matched = True
                return orjson.loads(orjson.dumps(entry.result))
        if self._replaying and self.effects_made:
            raise EffectsAlreadyMade
        entry = Entry(tool=tool, arguments=wanted, effect=effect)
        self._entries.append(entry)
        if effect == "transactional":
            self._write()
        entry.result = await run()
        entry.state = "done"
        if effect == "transactional":
            self._write()
        return orjson.loads(orjson.dumps(entry.result))

    def close(self) -> None:
        """The request has its reply: what was kept for a crash is dropped."""
        if self._stored:
            self._store.delete(self._key)
            self._stored = False

    def left_by_crash(self) -> bool:
        """Whether an earlier process began a transactional call under this key and never finished the request."""
        return not self._stored and self._store.get(self._key) is not None

    def _write(self) -> None:
        rows = [
            [entry.tool, entry.arguments.decode(), entry.effect, entry.state, entry.result] for entry in self._entries
        ]
        self._store.put(self._key, orjson.dumps(rows).decode())
        self._stored = True
