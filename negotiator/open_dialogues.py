"""Negotiations that are open with this agent: how each stands, in the text store, bounded in number."""

import hashlib
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.engine import Engine
from negotiator.errors import Overloaded
from negotiator.journal import digest_of
from negotiator.jsonvalue import JsonObject
from negotiator.negotiation import Call, Dialogue, Opening, Selected, State, to_json

DIALOGUE_SECONDS: Final = 600.0
"""How long a silent negotiation is remembered."""
MAX_OPEN: Final = 1024
"""Negotiations that are remembered at a time."""
_PREFIX: Final = "dialogue/"


class OpenDialogue:
    """What is remembered of one negotiation with one opener: how it stands, and the last reply.

    A message that comes again unchanged gets that reply again.
    """

    def __init__(self, engine: Engine, principal: str, call: Call) -> None:
        """What is remembered where `call` comes from `principal`."""
        self._engine = engine
        self._message = digest_of(to_json(call))
        opener = hashlib.sha256(principal.encode()).hexdigest()[:16]
        self._of_opener = f"{_PREFIX}{opener}/"
        self._key = f"{self._of_opener}{call.id}"
        row = _read(engine.text.get(self._key))
        if row is not None and row.expires <= engine.clock.time():
            row = None
        self.reply: JsonObject | None = None
        """The reply to this message, where it was given already."""
        self.dialogue: Dialogue | None = None
        """The negotiation as it stands, where there is one and the message has no reply yet."""
        most = engine.cost_policy.max_rounds + 2
        if row is not None and row.message == self._message:
            self.reply = self._whole(row)
        if self.reply is not None:
            return
        if isinstance(call, Opening):
            self.dialogue = Dialogue(id=call.id, role="responder", max_rounds=most)
        elif row is not None:
            self.dialogue = Dialogue(
                id=call.id,
                role="responder",
                state=row.state,
                rounds=row.rounds,
                max_rounds=most,
                selected=row.selected,
            )

    def keep(self, dialogue: Dialogue, reply: JsonObject) -> None:
        """Remember how it stands. Raises `Overloaded` where as many negotiations are open as may be."""
        now, text = self._engine.clock.time(), self._engine.text
        chosen = reply.get("selected")
        with_text = isinstance(chosen, dict) and chosen.get("document") is not None
        row = _Row(
            state=dialogue.state,
            rounds=dialogue.rounds,
            selected=None if dialogue.selected is None else dialogue.selected.model_copy(update={"document": None}),
            message=self._message,
            # Its text is kept once, among the documents.
            reply={**reply, "selected": {**chosen, "document": None}} if isinstance(chosen, dict) else reply,
            with_text=with_text,
            expires=now + DIALOGUE_SECONDS,
        )
        if text.get(self._key) is None and self._full():
            for key in text.keys(_PREFIX):
                old = _read(text.get(key))
                if old is None or old.expires <= now:
                    text.delete(key)
            if self._full():
                raise Overloaded("too many negotiations are open")
        text.put(self._key, adapter(_Row).dump_json(row).decode())

    def forget(self) -> None:
        """It is over."""
        self._engine.text.delete(self._key)

    def _full(self) -> bool:
        """Whether no more may be open: half of them are one opener's at the most, and strangers are one."""
        text = self._engine.text
        of_opener = sum(1 for _ in text.keys(self._of_opener))
        return of_opener >= MAX_OPEN // 2 or sum(1 for _ in text.keys(_PREFIX)) >= MAX_OPEN

    def _whole(self, row: "_Row") -> JsonObject | None:
        """The reply as it was given; None where its text is not at hand any more, and it is answered anew."""
        if not row.with_text or row.selected is None:
            return row.reply
        document, chosen = self._engine.documents.get(row.selected.protocol_hash), row.reply.get("selected")
        if document is None or not isinstance(chosen, dict):
            return None
        return {**row.reply, "selected": {**chosen, "document": document.text}}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    state: State
    rounds: int
    selected: Selected | None
    message: str
    reply: JsonObject
    with_text: bool = False
    """Whether the reply held the text of the document that it selects."""
    expires: float


def _read(text: str | None) -> _Row | None:
    try:
        return None if text is None else adapter(_Row).validate_json(text)
    except ValidationError:
        return None
