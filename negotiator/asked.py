"""What was asked as a stream and has no reply yet, kept so that it can be taken up again by its id."""

from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from negotiator.adapters import adapter
from negotiator.ask import ask
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import (
    DeadlinePassed,
    NegotiatorError,
    OutcomeUnknown,
    Overloaded,
    PeerHungUp,
    PeerUnreachable,
    UsageError,
)
from negotiator.events import Event, Listener, Sent
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.ledger import Account
from negotiator.messages import Effect
from negotiator.outcome import Outcome
from negotiator.task import Task
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore

KEEP_SECONDS: Final = 86_400.0
"""As long as a receiver of this package keeps its replies (`negotiator.replies`)."""
_PREFIX: Final = "asked/"
_MAY_STILL_COME: Final = (DeadlinePassed, OutcomeUnknown, Overloaded, PeerHungUp, PeerUnreachable)
"""How a request ends whose reply may be had later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it was asked; its payload is in it."""

    peer: str
    description: str
    input: JsonObject
    output: JsonObject
    effect: Effect
    name: str
    natural_language: bool
    value: JsonValue
    at: float
    """Unix seconds."""
    body: JsonValue = None
    protocol_hash: str | None = None
    sent: bool = False

    @property
    def again(self) -> Sent | None:
        """What has left already; None where nothing has."""
        return Sent(body=self.body, protocol_hash=self.protocol_hash) if self.sent else None

    def task(self, typed: Task | None) -> Task:
        """The task, in its schemas' terms or as `typed`. Raises `UsageError` where that is another task."""
        task = Task(
            self.description,
            input=self.input,
            output=self.output,
            effect=self.effect,
            name=self.name,
            natural_language=self.natural_language,
        )
        if typed is not None and typed.digest != task.digest:
            raise UsageError("what was asked under this id is another task")
        return typed or task


class AskedBefore:
    """The requests that are under way, in a text store. What no model may see is not kept either."""

    def __init__(self, store: TextStore, now: Any) -> None:
        """`now()` is the time, Unix seconds."""
        self._store = store
        self._now = now

    def keep(self, id: str, peer: str, task: Task, value: JsonValue, sent: Sent | None = None) -> None:  # noqa: A002
        """Keep a request, or what has left of it. A store without room keeps nothing, and the request goes on."""
        if task.sensitive:
            return
        row = Asked(
            peer=peer,
            description=task.description,
            input=task.input.json_schema,
            output=task.output.json_schema,
            effect=task.effect,
            name=task.name,
            natural_language=task.natural_language,
            value=value,
            at=self._now(),
            body=None if sent is None else sent.body,
            protocol_hash=None if sent is None else sent.protocol_hash,
            sent=sent is not None,
        )
        try:
            self._store.put(_PREFIX + id, adapter(Asked).dump_json(row).decode())
        except StoreUnusable:
            return

    def find(self, id: str) -> Asked | None:  # noqa: A002
        """What was asked under an id and is not too old for its reply to be had."""
        text = self._store.get(_PREFIX + id)
        try:
            row = None if text is None else adapter(Asked).validate_json(text)
        except ValidationError:
            row = None
        return None if row is None or self._now() - row.at > KEEP_SECONDS else row

    def forget(self, id: str) -> None:  # noqa: A002
        """It has its reply."""
        self._store.delete(_PREFIX + id)

    def purge(self) -> int:
        """Drop what is too old; how many."""
        old = [key for key in self._store.keys(_PREFIX) if self.find(key.removeprefix(_PREFIX)) is None]
        return sum(self._store.delete(key) for key in old)


async def ask_and_keep(
    engine: Engine,
    kept: AskedBefore,
    id: str,  # noqa: A002
    peer: str,
    task: Task,
    value: Any,
    *,
    deadline: Deadline,
    account: Account | None,
    listens: Listener,
    again: Sent | None = None,
) -> Outcome:
    """`negotiator.ask.ask`, with what is asked kept until it has come to something. Raises as that does."""
    payload = task.input.dump(value)
    kept.keep(id, peer, task, payload, again)

    def hears(event: Event) -> None:
        if isinstance(event, Sent):
            kept.keep(id, peer, task, payload, event)
        listens(event)

    try:
        outcome = await ask(
            engine,
            peer,
            task,
            value,
            deadline=deadline,
            idempotency_key=id,
            account=account,
            listens=hears,
            again=again,
        )
    except _MAY_STILL_COME:
        raise
    except NegotiatorError:
        kept.forget(id)
        raise
    kept.forget(id)
    return outcome
