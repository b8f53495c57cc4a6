"""Conversations of several rounds, kept in a text store.

So they go on when the next round reaches another worker, over another connection, or after a restart. A
conversation is one row that says what it is, and one row a turn; a turn's row is added, never rewritten, so two
rounds at once lose nothing. Time and ids are handed in.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Final, Literal, TypeAlias

import orjson
from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.clock import Clock
from negotiator.dialects.base import ConversationExpired, ConversationFull, Malformed, UnknownConversation
from negotiator.dialects.json_body import as_text, write
from negotiator.errors import Overloaded
from negotiator.jsonvalue import JsonValue
from negotiator.messages import Request
from negotiator.room import Room
from protocol_docs.text_store import TextStore

Role: TypeAlias = Literal["user", "assistant"]
"""Who spoke, in the words of a model's messages: `user` is the peer, `assistant` is this agent."""
Turn: TypeAlias = tuple[Role, str]
"""One text of a conversation."""

_PREFIX: Final = "conversation/"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SWEEP_EVERY: Final = 64
"""Openings between two looks at every row, which is what a sweep costs."""
_SWEEP_SECONDS: Final = 1.0
"""Between two of them at the least, where there is no room."""
_BESIDE: Final = 512
"""Bytes of the row that says what a conversation is, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    kind: Literal["exchange", "negotiation"]
    hashes: tuple[str, ...]
    expires: float
    principal: str
    taken: int = 0
    """UTF-8 bytes of its texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationLimits:
    """What a conversation, and all of them together, may take."""

    seconds: float = 300.0
    """Life after the last turn. 0.2.0 gives 300."""
    turns: int = 32
    """Exchanges; a request and its reply are one."""
    total_bytes: int = 262_144
    """UTF-8 bytes of all texts of one conversation."""
    at_most: int = 4096
    """Conversations in the store, half of them of one principal; `negotiator.room` divides them. What other processes
    keep is counted at every 64th opening."""
    kept_bytes: int = 16_777_216
    """UTF-8 bytes of all of them together, divided alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation as it stands."""

    id: str
    kind: Literal["exchange", "negotiation"]
    hashes: tuple[str, ...]
    """The document it was opened under, canonical; empty for none."""
    expires: float
    """Unix seconds."""
    history: tuple[Turn, ...] = ()


class Conversations:
    """The open conversations of one agent."""

    def __init__(
        self,
        store: TextStore,
        clock: Clock,
        new_id: Callable[[], str],
        limits: ConversationLimits | None = None,
    ) -> None:
        """Keep conversations in `store`.

        `new_id` must return ids that cannot be guessed, of 1 to 128 letters, digits, `_` and `-`: whoever has
        one may go on.
        """
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._limits = limits or ConversationLimits()
        self._room = Room(self._limits.at_most, self._limits.kept_bytes)
        self._until_sweep = 0
        self._swept = -_SWEEP_SECONDS

    def open(self, request: Request, *, principal: str, name: str | None = None) -> Conversation:
        """Open a conversation under the document and kind of its first request.

        `name` is its id where the dialect's peers may choose it; it must be one that nobody guesses.

        Raises `Overloaded`, and `UnknownConversation` for a name that is taken.
        """
        if name is not None and self._row(name) is not None:
            raise UnknownConversation
        if self._until_sweep <= 0:
            self.sweep()
        name = name or self._new_id()
        if not self._has_room(name, principal, _BESIDE):
            raise Overloaded("too many conversations are open")
        self._until_sweep -= 1
        conversation = Conversation(
            id=name,
            kind="negotiation" if request.kind == "negotiation" else "exchange",
            hashes=request.hashes,
            expires=self._clock.time() + self._limits.seconds,
        )
        self._write(conversation, principal, 0)
        return conversation

    def get(self, conversation: str, *, principal: str) -> Conversation:
        """The conversation of this id with its history.

        Raises `UnknownConversation` (also to another principal than its own) and `ConversationExpired`.
        """
        row = self._row(conversation)
        if row is None or row.principal != principal:
            raise UnknownConversation
        if row.expires <= self._clock.time():
            raise ConversationExpired
        return Conversation(
            id=conversation,
            kind=row.kind,
            hashes=row.hashes,
            expires=row.expires,
            history=self._history(conversation),
        )

    def resume(self, request: Request, *, principal: str) -> Conversation:
        """The conversation that `request` continues, if it may.

        A follow-up may repeat the document and kind it was opened with (0.2.0 does) or leave them out (the
        Working Standard wants that, 7.2); it may not change them.

        Raises `UnknownConversation`, `ConversationExpired`, `ConversationFull`, and `Malformed` for a change.
        """
        found = self.get(request.conversation or "", principal=principal)
        if request.hashes and not set(request.hashes) & set(found.hashes):
            raise Malformed("a conversation cannot change its document")
        if request.kind == "negotiation" and found.kind != "negotiation":
            raise Malformed("a conversation cannot change its kind")
        self._require_room(found, request.body)
        return found

    def record(self, conversation: Conversation, request_body: JsonValue, reply_body: JsonValue) -> Conversation:
        """Add a turn and prolong the conversation's life.

        Does nothing to one that was closed meanwhile. A turn that passes the bound of bytes is kept, each text
        cut to the bound, and the next follow-up finds the conversation full. Where the turn finds no room among all
        that is kept, the conversation has expired.
        """
        row = self._row(conversation.id)
        if row is None:
            return conversation
        longest = self._limits.total_bytes
        turn: tuple[Turn, Turn] = (
            ("user", as_text(request_body)[:longest]),
            ("assistant", as_text(reply_body)[:longest]),
        )
        taken = row.taken + sum(len(text.encode()) for _, text in turn)
        if not self._has_room(conversation.id, row.principal, _BESIDE + taken):
            self.close(conversation.id, principal=row.principal)
            ended = replace(conversation, expires=self._clock.time(), history=())
            self._write(ended, row.principal, 0)
            return ended
        text = write([text for _, text in turn]).decode()
        for number in range(len(conversation.history) // 2, 2 * self._limits.turns):
            if self._store.add(_turn_key(conversation.id, number), text):
                break
        grown = Conversation(
            id=conversation.id,
            kind=conversation.kind,
            hashes=conversation.hashes,
            expires=self._clock.time() + self._limits.seconds,
            history=(*conversation.history, *turn),
        )
        self._write(grown, row.principal, taken)
        return grown

    def close(self, conversation: str, *, principal: str) -> bool:
        """Forget a conversation; True if it was there. One that is gone already is no error."""
        row = self._row(conversation)
        if row is None or row.principal != principal:
            return False
        self._store.delete(_PREFIX + conversation)
        for number in range(2 * self._limits.turns):
            if not self._store.delete(_turn_key(conversation, number)):
                break
        self._room.drop(conversation)
        return True

    def sweep(self, *, expired: bool = False) -> int:
        """Forget what expired more than one life ago, and return how many are left.

        Until then an expired conversation answers that it expired, rather than that it never was; unless `expired` are
        to be forgotten too.
        """
        self._until_sweep, self._swept = _SWEEP_EVERY, self._clock.monotonic()
        self._room.clear()
        left, now = 0, self._clock.time()
        grace = 0.0 if expired else self._limits.seconds
        named = groupby(self._store.keys(_PREFIX), key=lambda key: key.removeprefix(_PREFIX).partition("/")[0])
        for name, keys in named:
            row = self._row(name)
            if row is None or row.expires + grace <= now:
                for key in keys:
                    self._store.delete(key)
            else:
                self._room.set(name, row.principal, _BESIDE + row.taken)
                left += row.expires > now
        return left

    def _has_room(self, name: str, principal: str, size: int) -> bool:
        """Whether there is room for a conversation of that size, once those that expired have made theirs."""
        if self._room.short(name, principal, size) is None:
            return True
        if self._clock.monotonic() - self._swept < _SWEEP_SECONDS:
            return False
        self.sweep(expired=True)
        return self._room.short(name, principal, size) is None

    def _require_room(self, conversation: Conversation, body: JsonValue) -> None:
        taken = sum(len(text.encode()) for _, text in conversation.history) + len(as_text(body).encode())
        if len(conversation.history) >= 2 * self._limits.turns or taken > self._limits.total_bytes:
            raise ConversationFull

    def _row(self, conversation: str) -> _Row | None:
        # What is no id of ours, such as a path that a stranger made up, is no conversation.
        text = self._store.get(_PREFIX + conversation) if _ID.fullmatch(conversation) else None
        if text is None:
            return None
        try:
            row = adapter(_Row).validate_json(text)
        except ValidationError:
            # The store checks what it can; a row that is none of ours is as good as gone.
            return None
        return row

    def _write(self, conversation: Conversation, principal: str, taken: int) -> None:
        row = _Row(
            kind=conversation.kind,
            hashes=conversation.hashes,
            expires=conversation.expires,
            principal=principal,
            taken=taken,
        )
        self._store.put(_PREFIX + conversation.id, adapter(_Row).dump_json(row).decode())
        self._room.set(conversation.id, principal, _BESIDE + taken)

    def _history(self, conversation: str) -> tuple[Turn, ...]:
        history: list[Turn] = []
        for number in range(2 * self._limits.turns):
            text = self._store.get(_turn_key(conversation, number))
            if text is None:
                break
            asked, answered = orjson.loads(text)
            history += [("user", asked), ("assistant", answered)]
        return tuple(history)


def _turn_key(conversation: str, number: int) -> str:
    return f"{_PREFIX}{conversation}/{number:04d}"
