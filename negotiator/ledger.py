"""What was spent: calls, tokens, model seconds and money, by side, tier, task and peer."""

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, Protocol

import orjson

from negotiator.bounded import keep
from negotiator.errors import BudgetSpent
from negotiator.heat import Evidence
from negotiator.models.base import Completion, Usage
from negotiator.plan import CostPolicy, Spending
from protocol_docs.changes import changed
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore


class SharedBudget(Protocol):
    """What several accounts spend from at once."""

    def require(self, account: "Account") -> None:
        """Set one model call aside. Raises `BudgetSpent`."""
        ...

    def called(self, account: "Account", usage: Usage) -> None:
        """The call that was set aside has cost `usage`."""
        ...


@dataclass(slots=True)
class Account:
    """Collects the usage of one piece of work: a request, a negotiation, a synthesis."""

    max_usd: float | None = None
    """What the model calls may cost before the next one is refused; None: no bound but the deadline."""
    max_tokens: int | None = None
    asks_no_model: bool = False
    """Whether every model call is refused: what rules can do is done."""
    usage: Usage = Usage()  # noqa: RUF009 - it cannot change
    models: set[str] = field(default_factory=set)
    by_purpose: dict[str, Usage] = field(default_factory=dict)
    shared: SharedBudget | None = None
    """A budget that this work shares with other work under way."""

    def record(self, purpose: str, completion: Completion) -> None:
        """Enter one model call."""
        self.usage = self.usage + completion.usage
        self.models.add(completion.model)
        self.by_purpose[purpose] = self.by_purpose.get(purpose, Usage()) + completion.usage
        if self.shared is not None:
            self.shared.called(self, completion.usage)

    def before_call(self) -> None:
        """Raises `BudgetSpent` where the model call that is about to be made may not be."""
        self.require_room()
        if self.shared is not None:
            self.shared.require(self)

    def require_room(self) -> None:
        """Raises `BudgetSpent` where no further model call may be made."""
        if self.asks_no_model:
            raise BudgetSpent("a model would have to be asked")
        if self.max_usd is not None and (self.usage.usd or 0.0) > self.max_usd:
            raise BudgetSpent("the budget of money is spent")
        if self.max_tokens is not None and self.usage.tokens > self.max_tokens:
            raise BudgetSpent("the budget of tokens is spent")


ASKED = "asked"
SERVED = "served"
CALLERS = "callers"
"""The peer of a receiver's tool: whoever asks."""


class Place(NamedTuple):
    """Where exchanges of one kind are counted: a task, at one peer."""

    task: str
    """The task's digest."""
    family: str
    """What tasks have in common that tell of each other: `asked`, of a sender; `served`, of a receiver's tools."""
    peer: str
    """Its base address."""

    @property
    def key(self) -> str:
        """The ledger's key for what interpreted exchanges cost here."""
        return f"{'sender' if self.family == ASKED else 'receiver'}/{self.task}/{_short(self.peer)}"

    def under(self, protocol_hash: str) -> str:
        """The key for exchanges of the task under a document, whoever the peer is."""
        return f"under/{protocol_hash}/{self.task}"


MAX_PLACES = 4096
"""Places whose arrivals are counted in memory until they are next written."""
MAX_TALLIES = 2 * MAX_PLACES


class Tally:
    """How many requests at one place routines have answered, no model asked, since the ledger last looked."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


_WARM = {ASKED: "sender/routine", SERVED: "receiver/routine"}


class Ledger:
    """Running sums, kept in the text store so that they outlive the process.

    A routine exchange calls no model and is counted in memory only; the store is written when money moved. Where it
    cannot be written or read, the sums of this process hold: a full disk fails no request.
    """

    def __init__(self, store: TextStore, policy: CostPolicy) -> None:
        self._store = store
        self._policy = policy
        self._unwritten: dict[str, dict[str, float]] = {}
        self.total = Usage()
        """All model calls of this process."""
        self._arrivals: dict[Place, int] = {}
        self._exchanges: dict[str, int] = {}
        self._tallies: dict[Place, Tally] = {}
        """What is counted by those who answer or ask, for `_gather` to enter: each warm request comes there."""

    @property
    def exchanges(self) -> dict[str, int]:
        """Exchanges of this process by `<side>/<tier>`."""
        self._gather()
        return self._exchanges

    def exchange(self, side: str, tier: str, key: str, account: Account) -> None:
        """Enter one exchange. `key` names what is counted together; interpreted exchanges add to what was spent."""
        name = f"{side}/{tier}"
        self._exchanges[name] = self._exchanges.get(name, 0) + 1
        if not account.usage.calls:
            return
        self.total = self.total + account.usage
        if tier != "routine":
            row = self._read(key)
            row["spent"] = row.get("spent", 0.0) + self._policy.cost(account.usage)
            row["exchanges"] = row.get("exchanges", 0) + 1
            self._write(key, row)

    def arrived(self, place: Place, now: float, *, interpreted: bool) -> None:
        """Count one exchange of a task with a peer, at Unix second `now`.

        Kept in memory until an interpreted one comes, and then written with those before it.
        """
        keep(self._arrivals, place, self._arrivals.get(place, 0) + 1, MAX_PLACES)
        if not interpreted:
            return
        self._gather()
        for each in [each for each in self._arrivals if each.task == place.task]:
            number = self._arrivals.pop(each)
            row = self._read(f"heat/{each.key}")
            first = not row
            row = {"exchanges": row.get("exchanges", 0) + number, "first": row.get("first", now), "last": now}
            self._write(f"heat/{each.key}", row)
            for key in (f"heat/task/{each.task}", f"heat/family/{_short(each.family)}"):
                total = self._read(key)
                total["exchanges"] = total.get("exchanges", 0) + number
                total["pairs"] = total.get("pairs", 0) + first
                self._write(key, total)

    def tally(self, place: Place) -> Tally:
        """Where to count what `exchange` and `arrived` would enter of a request that a routine answers with no model.

        It is counted there as long as nothing has changed (`protocol_docs.changes`); then this is to be asked again.
        """
        found = self._tallies.get(place)
        if found is None:
            if len(self._tallies) >= MAX_TALLIES:
                self._gather()
                self._tallies.clear()
                changed()
            found = self._tallies[place] = Tally()
        return found

    def _gather(self) -> None:
        """Enter what was counted."""
        for place, tally in self._tallies.items():
            number = tally.number
            if number:
                tally.number -= number
                name = _WARM[place.family]
                self._exchanges[name] = self._exchanges.get(name, 0) + number
                keep(self._arrivals, place, self._arrivals.get(place, 0) + number, MAX_PLACES)

    def evidence(self, place: Place) -> Evidence:
        """What is known of the traffic of a task at a peer and elsewhere."""
        here = self._read(f"heat/{place.key}")
        task = self._read(f"heat/task/{place.task}")
        family = self._read(f"heat/family/{_short(place.family)}")
        return Evidence(
            here=int(here.get("exchanges", 0)),
            seconds=here.get("last", 0.0) - here.get("first", 0.0),
            elsewhere=int(task.get("exchanges", 0) - here.get("exchanges", 0)),
            peers=int(task.get("pairs", 0)) - bool(here),
            family=int(family.get("exchanges", 0) - task.get("exchanges", 0)),
            family_pairs=int(family.get("pairs", 0) - task.get("pairs", 0)),
        )

    def agreement(self, key: str, account: Account) -> None:
        """Enter what an agreement with its synthesis cost; interpreted spending starts anew."""
        self.total = self.total + account.usage
        self._bought("agreements", account)
        self._write(key, {"spent": 0.0, "exchanges": 0})

    def routine(self, account: Account) -> None:
        """Enter what a routine for a document that was there cost."""
        self.total = self.total + account.usage
        self._bought("routines", account)

    def _bought(self, what: str, account: Account) -> None:
        overall = self._read(what)
        overall["spent"] = overall.get("spent", 0.0) + self._policy.cost(account.usage)
        overall["count"] = overall.get("count", 0) + 1
        self._write(what, overall)

    def spending(self, key: str, *, bought: str = "agreements") -> Spending:
        """What the cost policy decides on. `bought` names what comes next: `agreements` or `routines`."""
        row = self._read(key)
        overall = self._read(bought)
        count = overall.get("count", 0)
        return Spending(
            spent=row.get("spent", 0.0),
            exchanges=int(row.get("exchanges", 0)),
            agreement=overall.get("spent", 0.0) / count if count else None,
        )

    def asked(self, day: int, peer: str, account: Account) -> None:
        """Enter what asking a peer, or learning for it, cost on `day` (Unix days)."""
        if account.usage.calls:
            for key in (f"day/{day}", f"day/{day}/{_short(peer)}"):
                row = self._read(key)
                self._write(key, {"usd": row.get("usd", 0.0) + (account.usage.usd or 0.0)})

    def room(self, day: int, peer: str) -> float | None:
        """USD that may still be spent on asking a peer on `day`; None where nothing bounds it."""
        policy = self._policy
        left = [
            most - self._read(key).get("usd", 0.0)
            for key, most in (
                (f"day/{day}", policy.max_usd_per_day),
                (f"day/{day}/{_short(peer)}", policy.max_peer_usd_per_day),
            )
            if most is not None
        ]
        return min(left) if left else None

    def strangers(self, day: int, account: Account | None = None) -> Usage:
        """Model usage made for callers on `day` (Unix days), all identities together; adds `account` if given."""
        key = f"strangers/{day}"
        row = self._read(key)
        usage = Usage(
            calls=int(row.get("calls", 0)),
            prompt_tokens=int(row.get("prompt_tokens", 0)),
            completion_tokens=int(row.get("completion_tokens", 0)),
            seconds=row.get("seconds", 0.0),
            usd=row.get("usd", 0.0),
        )
        if account is not None and account.usage.calls:
            # A call without a known price must not make the known part of the sum unknown.
            usage = usage + replace(account.usage, usd=account.usage.usd or 0.0)
            self._write(key, asdict(usage))
        return usage

    def _read(self, key: str) -> dict[str, float]:
        if key in self._unwritten:
            return dict(self._unwritten[key])
        try:
            row = orjson.loads(self._store.get(f"ledger/{key}") or "{}")
        except (orjson.JSONDecodeError, StoreUnusable):
            return {}
        if not isinstance(row, dict):
            return {}
        return {name: value for name, value in row.items() if type(value) in (int, float)}

    def _write(self, key: str, row: dict[str, float]) -> None:
        self._unwritten[key] = row
        with suppress(StoreUnusable):
            self._store.put(f"ledger/{key}", orjson.dumps(row).decode())
            del self._unwritten[key]


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
