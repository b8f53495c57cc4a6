"""What callers together may cost in a day, requests that are under way included.

A budget that is only compared with what is spent already is passed by everything that begins at the same moment, and
strangers can begin much at once, under as many names as they like. So whoever begins sets something aside first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from negotiator.errors import BudgetSpent
from negotiator.ledger import Account, Ledger
from negotiator.models.base import Usage
from negotiator.plan import CostPolicy

FIRST_SHARE: Final = 0.01
"""The part of the day's budget that a request sets aside at least."""
_ROUNDING: Final = 1e-9
Amounts: TypeAlias = tuple[float, float]
"""USD and seconds."""


@dataclass(slots=True)
class Purse:
    """The budget for callers, all identities together. For one event loop at a time.

    Each request sets aside as much as the dearest so far has cost, and at least a hundredth of the budget; it begins
    only where that is left. Each model call, for a request or for learning, sets aside as much as the dearest call so
    far and is made only where that is left. The sum therefore passes the budget only by what calls that are made at
    one moment cost more than any before them.
    """

    ledger: Ledger
    policy: CostPolicy
    today: Callable[[], int]
    """The day, in Unix days."""
    _under_way: dict[int, Account] = field(default_factory=dict)
    _calling: set[int] = field(default_factory=set)
    _dearest: Amounts = (0.0, 0.0)
    """Of the dearest request so far, each for itself."""
    _dearest_call: Amounts = (0.0, 0.0)

    @property
    def has_room(self) -> bool:
        """Whether one more request may call a model."""
        share = self._share()
        left = self._left(share)
        return all(0 < left[at] >= share[at] for at in (0, 1))

    def begin(self, account: Account) -> None:
        """Set something aside for the work of `account`; nothing more where that was done."""
        account.shared = self
        self._under_way[id(account)] = account

    def end(self, account: Account, *, learning: bool = False) -> None:
        """Enter what the work has cost, and set nothing aside for it any more."""
        self._calling.discard(id(account))
        self._under_way.pop(id(account), None)
        if account.usage.calls:
            if not learning:
                self._dearest = _dearer(self._dearest, account.usage)
            self.ledger.strangers(self.today(), account)

    def for_learning(self) -> Account:
        """An account for learning on behalf of callers, bounded by what is left. Give it to `end` in the end."""
        share = self._share()
        usd = min(self.policy.max_negotiation_usd, self._left(share)[0] - share[0])
        account = Account(max_usd=usd, max_tokens=self.policy.max_negotiation_tokens)
        self.begin(account)
        return account

    def require(self, account: Account) -> None:
        """Set one model call aside. Raises `BudgetSpent`."""
        self._calling.add(id(account))
        call = self._dearest_call
        left = self._left((0.0, 0.0))
        for at in (0, 1):
            if left[at] < len(self._calling) * call[at] - _ROUNDING:
                self._calling.discard(id(account))
                raise BudgetSpent("the budget for callers is spent")

    def called(self, account: Account, usage: Usage) -> None:
        """The call that was set aside has cost `usage`."""
        self._calling.discard(id(account))
        self._dearest_call = _dearer(self._dearest_call, usage)

    def _left(self, share: Amounts) -> Amounts:
        """What is left when each piece of work under way takes `share` at least."""
        spent, policy = self.ledger.strangers(self.today()), self.policy
        usd = policy.max_strangers_usd_per_day - (spent.usd or 0.0)
        seconds = policy.max_strangers_seconds_per_day - spent.seconds
        for account in self._under_way.values():
            usd -= max(account.usage.usd or 0.0, share[0])
            seconds -= max(account.usage.seconds, share[1])
        return usd, seconds

    def _share(self) -> Amounts:
        policy = self.policy
        budgets = (policy.max_strangers_usd_per_day, policy.max_strangers_seconds_per_day)
        usd, seconds = (
            # What is dearer than a whole day's budget must not shut the door for good.
            min(max(dearest, FIRST_SHARE * budget), budget)
            for dearest, budget in zip(self._dearest, budgets, strict=True)
        )
        return usd, seconds


def _dearer(known: Amounts, usage: Usage) -> Amounts:
    return max(known[0], usage.usd or 0.0), max(known[1], usage.seconds)
