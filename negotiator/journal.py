"""What a request has done, so that nothing is done twice.

Each tool call of a request is entered. A transactional call's intent is in the store before the call is made;
its result follows. A fallback to another tier runs against the same journal: calls that match an entry, in
order, get the entry's result; after the first transactional call, one that matches none ends the request. No tier
may call a transactional tool twice.
"""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import orjson

from negotiator.errors import BadInput, EffectsAlreadyMade, OutcomeUnknown, ToolFailed
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.messages import Effect
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore


def canonical(value: JsonValue) -> bytes:
    """JSON with sorted keys and no spaces: equal values, equal bytes.

    Raises `BadInput` for what no JSON text of ours can hold: integers over 64 bits, half a surrogate pair.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise BadInput("not plain JSON: an integer over 64 bits, or text that is not Unicode") from error


def digest_of(value: JsonValue) -> str:
    """SHA-256 in hex of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value)).hexdigest()


def result_text(tool: str, result: JsonValue) -> bytes:
    """What a tool returned, as `canonical` writes it. Raises `ToolFailed` where it is no JSON."""
    try:
        return canonical(result)
    except BadInput as error:
        raise ToolFailed(f"the tool {tool} returned what is no JSON") from error


@dataclass(slots=True)
class Entry:
    """One tool call."""

    tool: str
    arguments: bytes
    """Canonical JSON."""
    effect: Effect
    state: Literal["intent", "done"] = "intent"
    result: bytes = b"null"
    """Canonical JSON."""
    matched: bool = True
    """Whether the tier now running has made this call."""


class Journal:
    """The tool calls of one request. Not shared between tasks."""

    __slots__ = ("_entries", "_left", "_name_it", "_replaying", "_store", "_stored")

    def __init__(self, name_it: Callable[[], str], store: TextStore) -> None:
        """`name_it` names the request in `store`, where the intents of transactional calls are kept.

        It is asked where there is something to keep, and must say the same each time.
        """
        self._name_it = name_it
        self._store = store
        self._entries: list[Entry] = []
        self._replaying = False
        self._stored = False
        self._left = False

    @property
    def _key(self) -> str:
        return f"journal/{self._name_it()}"

    @property
    def effects_made(self) -> bool:
        """Whether a transactional call was begun, here or by an earlier process."""
        return self._left or any(entry.effect == "transactional" for entry in self._entries)

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
        *,
        fresh: bool = False,
    ) -> JsonValue:
        """Run a tool, or return what it returned when this request ran it before; plain JSON, and the caller's own.

        `fresh` says that what `run` returns is that already.

        Raises:
            EffectsAlreadyMade: an earlier tier made a transactional call and this call is not among its entries,
                or this request has called this transactional tool before.
            OutcomeUnknown: the call it matches was begun and never came back.
            ToolFailed: the tool raised it, or its result is no JSON.
            protocol_docs.StoreUnusable: the intent could not be kept; nothing was called.
        """
        wanted = canonical(arguments)
        for entry in self._entries:
            if not entry.matched and entry.tool == tool and entry.arguments == wanted:
                if entry.state == "intent":
                    raise OutcomeUnknown
                entry.matched = True
                return orjson.loads(entry.result)
        if self._replaying and self.effects_made:
            raise EffectsAlreadyMade
        if effect == "transactional" and any(entry.tool == tool for entry in self._entries):
            raise EffectsAlreadyMade
        entry = Entry(tool, wanted, effect)
        if effect == "transactional":
            self._write([*self._entries, entry])
            self._entries.append(entry)
        result = await run()
        entry.result = result_text(tool, result)
        entry.state = "done"
        if effect == "safe":
            # Entered only now: a safe call that failed left nothing behind, and another tier may make it again.
            self._entries.append(entry)
        else:
            # The intent is kept already; that it was done is a convenience, and no reason to lose the result.
            with suppress(StoreUnusable):
                self._write(self._entries)
        return result if fresh else orjson.loads(entry.result)

    def enter(self, tool: str, arguments: JsonObject, result: JsonValue) -> None:
        """Enter a safe call that was made and came back."""
        self._entries.append(Entry(tool, canonical(arguments), "safe", "done", canonical(result)))

    def close(self) -> None:
        """The request has its reply: what was kept for a crash is dropped."""
        if self._stored:
            self._store.delete(self._key)
            self._stored = False

    def left_by_crash(self) -> bool:
        """Whether an earlier process began a transactional call under this key and never finished the request."""
        if not self._stored and self._store.get(self._key) is not None:
            # From now on it is dropped when this request has its reply, and not before.
            self._left = self._stored = True
        return self._left

    def _write(self, entries: list[Entry]) -> None:
        rows = [
            [entry.tool, entry.arguments.decode(), entry.effect, entry.state, orjson.Fragment(entry.result)]
            for entry in entries
        ]
        self._store.put(self._key, orjson.dumps(rows).decode())
        self._stored = True
