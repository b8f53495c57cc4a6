"""Who may do what: one table, and nothing is allowed that no line of it allows. Pure.

Whom an agent hears at all is the trust policy's business; what was agreed with whom says nothing of what is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal, Self, TypeAlias, TypeVar

from negotiator.errors import UsageError
from negotiator.messages import Effect, Tier
from negotiator.wire import ANONYMOUS

AUTHENTICATED: Final = "authenticated"
"""Whoever has proved who it is, and whomever the host vouches for."""
EFFECTS: Final[tuple[Effect, ...]] = ("safe", "transactional")
TIERS: Final[tuple[Tier, ...]] = ("natural_language", "structured", "routine")
_FREE: Final = frozenset({"none", "local", "scripted", "recorded"})

Words: TypeAlias = str | Sequence[str]
T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the table: who may use which tools, of which effects, in which tiers."""

    who: str
    """`anonymous`, `authenticated`, or a principal, or a pattern of them such as `did:wba:partner.example:*`."""
    tools: tuple[str, ...] = ("*",)
    """Names of tools, or patterns of them; of a function under a document of its own, the document's name."""
    effects: tuple[Effect, ...] = EFFECTS
    tiers: tuple[Tier, ...] = TIERS
    public_only: bool = False
    """Whether only tools that are public are meant: safe ones unless said otherwise, and those that say so."""
    paid_model: bool = False
    """Whether negotiations and routines for such a caller may be made on a model that costs money."""

    def meets(self, principal: str) -> bool:
        """Whether the line is about a principal."""
        if ANONYMOUS in (self.who, principal):
            return self.who == principal
        return self.who == AUTHENTICATED or fnmatchcase(principal, self.who)

    def __str__(self) -> str:
        tools = "every public tool" if self.public_only and self.tools == ("*",) else ", ".join(self.tools)
        tools = "every tool" if tools == "*" else tools
        paid = "; negotiation and synthesis on a paid model" if self.paid_model else ""
        return f"{self.who}: {tools} ({', '.join(self.effects)}; {', '.join(self.tiers)}){paid}"


DEFAULT_RULES: Final = (
    Rule(who=ANONYMOUS, effects=("safe",), public_only=True),
    # Words can be bent by whoever writes them, so they move nothing for whom nobody knows.
    Rule(who=ANONYMOUS, effects=("transactional",), tiers=("structured", "routine"), public_only=True),
    Rule(who=AUTHENTICATED, paid_model=True),
)


@dataclass(frozen=True, slots=True)
class Authority:
    """The table. A caller may do what any line allows.

    Example:
        ```python
        Agent(authority=Authority().allowing("anonymous", tools="book", effects="transactional"))
        ```
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES

    def allowing(
        self,
        who: str,
        *,
        tools: Words = "*",
        effects: Effect | Literal["any"] | Sequence[Effect] = "any",
        tiers: Tier | Literal["any"] | Sequence[Tier] = "any",
        paid_model: bool = False,
    ) -> Self:
        """The same with one line more. Raises `UsageError` for a word that is no effect or no tier."""
        made = Rule(
            who=who,
            tools=_words(tools),
            effects=_all_or(effects, EFFECTS),
            tiers=_all_or(tiers, TIERS),
            paid_model=paid_model,
        )
        return type(self)((*self.rules, made))

    def allows(self, principal: str, tool: str, effect: Effect, tier: Tier, *, public: bool) -> bool:
        """Whether a principal may have a tool run in a tier."""
        return any(
            effect in rule.effects
            and tier in rule.tiers
            and (public or not rule.public_only)
            and any(fnmatchcase(tool, name) for name in rule.tools)
            for rule in self.rules
            if rule.meets(principal)
        )

    def may_learn(self, principal: str, model: str) -> bool:
        """Whether negotiations and routines for a principal may be made on the model of that name."""
        return is_free(model) or any(rule.paid_model for rule in self.rules if rule.meets(principal))

    @property
    def widened(self) -> tuple[Rule, ...]:
        """The lines that are not those of every agent."""
        return tuple(rule for rule in self.rules if rule not in DEFAULT_RULES)


EVERYBODY: Final = Authority((Rule(who=ANONYMOUS, paid_model=True), Rule(who=AUTHENTICATED, paid_model=True)))
"""Everything for everybody: among agents of one owner, and in tests."""


def is_free(model: str) -> bool:
    """Whether a model of that name costs nobody money: none, one on this machine, or one that was written down."""
    return model.partition("/")[0] in _FREE


def _words(given: Words) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _all_or(given: Words, every: tuple[T, ...]) -> tuple[T, ...]:
    if given == "any":
        return every
    words = _words(given)
    if not words or not set(words) <= set(every):
        raise UsageError(f"not among {', '.join(map(str, every))}: {', '.join(words) or 'nothing'}")
    return tuple(word for word in every if word in words)
