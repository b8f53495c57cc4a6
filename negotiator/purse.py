"""What callers together may cost in a day, requests that are under way included.

A budget that is only compared with what is spent already is passed by everything that begins at the same moment, and
strangers can begin much at once, under as many names as they like. So whoever begins sets something aside first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from negotiator.ledger import Account, Ledger
from negotiator.plan import CostPolicy

FIRST_SHARE: Final = 0.01
"""The part of the day's budget that a request sets aside at least."""


@dataclass(slots=True)
class Purse:
    """The budget for callers, all identities together. For one event loop at a time.

    Each request sets aside as much as the dearest so far has cost, and at least a hundredth of the budget; it begins
    only where that is left. The sum therefore passes the budget only by what a request costs more than any before it
    and more than that hundredth.
    """

    ledger: Ledger
    policy: CostPolicy
    today: Callable[[], int]
    """The day, in Unix days."""
    _under_way: dict[int, Account] = field(default_factory=dict)
    _dearest: tuple[float, float] = (0.0, 0.0)
    """USD and seconds of the dearest request so far, each for itself."""

    @property
    def has_room(self) -> bool:
        """Whether one more request may call a model."""
        left, share = self._left(), self._share()
        return all(0 < left[at] >= share[at] for at in (0, 1))

    def begin(self, account: Account) -> None:
        """Set something aside for the request of `account`; nothing more where that was done."""
        self._under_way[id(account)] = account

    def end(self, account: Account) -> None:
        """Enter what the request has cost, and set nothing aside for it any more."""
        self._under_way.pop(id(account), None)
        if account.usage.calls:
            usd, seconds = self._dearest
            self._dearest = (max(usd, account.usage.usd or 0.0), max(seconds, account.usage.seconds))
            self.enter(account)

    def for_learning(self) -> Account:
        """An account for learning on behalf of callers, bounded by what is left. Give it to `enter` in the end."""
        usd = min(self.policy.max_negotiation_usd, self._left()[0] - self._share()[0])
        return Account(max_usd=usd, max_tokens=self.policy.max_negotiation_tokens)

    def enter(self, account: Account) -> None:
        """Enter what learning has cost."""
        if account.usage.calls:
            self.ledger.strangers(self.today(), account)

    def _left(self) -> tuple[float, float]:
        spent, share, policy = self.ledger.strangers(self.today()), self._share(), self.policy
        usd = policy.max_strangers_usd_per_day - (spent.usd or 0.0)
        seconds = policy.max_strangers_seconds_per_day - spent.seconds
        for account in self._under_way.values():
            usd -= max(account.usage.usd or 0.0, share[0])
            seconds -= max(account.usage.seconds, share[1])
        return usd, seconds

    def _share(self) -> tuple[float, float]:
        policy = self.policy
        budgets = (policy.max_strangers_usd_per_day, policy.max_strangers_seconds_per_day)
        usd, seconds = (
            # What is dearer than a whole day's budget must not shut the door for good.
            min(max(dearest, FIRST_SHARE * budget), budget)
            for dearest, budget in zip(self._dearest, budgets, strict=True)
        )
        return usd, seconds
