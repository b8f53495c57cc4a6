"""What was spent: calls, tokens, model seconds and money, by side, tier, task and peer."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

import orjson

from negotiator.errors import BudgetSpent
from negotiator.models.base import Completion, Usage
from negotiator.plan import CostPolicy, Spending
from protocol_docs.errors import StoreUnusable
from protocol_docs.text_store import TextStore


@dataclass(slots=True)
class Account:
    """Collects the usage of one piece of work: a request, a negotiation, a synthesis."""

    max_usd: float | None = None
    """What the model calls may cost before the next one is refused; None: no bound but the deadline."""
    max_tokens: int | None = None
    usage: Usage = field(default_factory=Usage)
    models: set[str] = field(default_factory=set)
    by_purpose: dict[str, Usage] = field(default_factory=dict)

    def record(self, purpose: str, completion: Completion) -> None:
        """Enter one model call."""
        self.usage = self.usage + completion.usage
        self.models.add(completion.model)
        self.by_purpose[purpose] = self.by_purpose.get(purpose, Usage()) + completion.usage

    def require_room(self) -> None:
        """Raises `BudgetSpent` where no further model call may be made."""
        if self.max_usd is not None and (self.usage.usd or 0.0) > self.max_usd:
            raise BudgetSpent("the budget of money is spent")
        if self.max_tokens is not None and self.usage.tokens > self.max_tokens:
            raise BudgetSpent("the budget of tokens is spent")


Recorder = Callable[[str, Completion], None]
"""What a model call reports to: `Account.record`."""


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
        self.exchanges: dict[str, int] = {}
        """Exchanges of this process by `<side>/<tier>`."""

    def exchange(self, side: str, tier: str, key: str, account: Account) -> None:
        """Enter one exchange. `key` names task and peer class; interpreted exchanges add to what was spent."""
        name = f"{side}/{tier}"
        self.exchanges[name] = self.exchanges.get(name, 0) + 1
        self.total = self.total + account.usage
        if account.usage.calls and tier != "routine":
            row = self._read(key)
            row["spent"] = row.get("spent", 0.0) + self._policy.cost(account.usage)
            row["exchanges"] = row.get("exchanges", 0) + 1
            self._write(key, row)

    def agreement(self, key: str, account: Account) -> None:
        """Enter what an agreement with its synthesis cost; interpreted spending starts anew."""
        self.total = self.total + account.usage
        cost = self._policy.cost(account.usage)
        overall = self._read("agreements")
        overall["spent"] = overall.get("spent", 0.0) + cost
        overall["count"] = overall.get("count", 0) + 1
        self._write("agreements", overall)
        self._write(key, {"spent": 0.0, "exchanges": 0})

    def spending(self, key: str) -> Spending:
        """What the cost policy decides on."""
        row = self._read(key)
        overall = self._read("agreements")
        count = overall.get("count", 0)
        return Spending(
            spent=row.get("spent", 0.0),
            exchanges=int(row.get("exchanges", 0)),
            agreement=overall.get("spent", 0.0) / count if count else None,
        )

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
