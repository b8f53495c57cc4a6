"""Who may do what: one table, and nothing is allowed that no line of it allows. Pure.

Whom an agent hears at all is the trust policy's business; what was agreed with whom says nothing of what is allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Final, Literal, Self, TypeAlias, TypeVar

from negotiator.errors import UsageError
from negotiator.messages import Effect, Tier
from negotiator.wire import ANONYMOUS

BEARER: Final = "bearer "
"""Before a token in an `Authorization` field, in lower case."""
OAUTH: Final = "oauth:"
"""What the principal begins with that a token names, `oauth:<issuer>#<subject>`."""
AUTHENTICATED: Final = "authenticated"
"""Whoever has proved who it is, and whomever the host vouches for."""
EFFECTS: Final[tuple[Effect, ...]] = ("safe", "transactional")
TIERS: Final[tuple[Tier, ...]] = ("natural_language", "structured", "routine")
_ALL: Final = ("*",)
_FREE: Final = frozenset({"none", "local", "scripted", "recorded"})

Words: TypeAlias = str | Sequence[str]
T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the table: who may use which tools, of which effects, in which tiers."""

    who: str
    """`anonymous`, `authenticated`, or a principal, or a pattern of them such as `did:wba:partner.example:*` or
    `oauth:https://login.example#*`."""
    tools: tuple[str, ...] = _ALL
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
    scopes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What a token must be good for, by the names of tools or patterns of them; see `asking`."""

    def asking(self, tools: Words, scopes: Words) -> Self:
        """The same, with scopes that a caller's OAuth token must have for some tools, beside what the lines allow.

        Callers that proved otherwise who they are have none, and are not asked for any; whoever proves nothing is.
        """
        asked = _words(scopes)
        return replace(self, scopes=(*self.scopes, *((name, asked) for name in _words(tools))))

    def scopes_for(self, tool: str) -> tuple[str, ...]:
        """The scopes that a token must have for a tool."""
        asked = (scope for name, scopes in self.scopes if fnmatchcase(tool, name) for scope in scopes)
        return tuple(dict.fromkeys(asked))

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
        return replace(self, rules=(*self.rules, made))

    def allows(
        self,
        principal: str,
        tool: str,
        effect: Effect,
        tier: Tier,
        *,
        public: bool,
        granted: frozenset[str] = frozenset(),
    ) -> bool:
        """Whether a principal, whose token has the scopes `granted`, may have a tool run in a tier."""
        asked = self.scopes and (principal == ANONYMOUS or principal.startswith(OAUTH))
        if asked and not granted.issuperset(self.scopes_for(tool)):
            return False
        # A loop, since each request with a tool comes here.
        for rule in self.rules:
            if (
                effect in rule.effects
                and tier in rule.tiers
                and (public or not rule.public_only)
                and rule.meets(principal)
                and (rule.tools == _ALL or any(fnmatchcase(tool, name) for name in rule.tools))
            ):
                return True
        return False

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
