"""The agents of `agora-trace` at work: real agents over a transport in memory, one query after another.

Each exchange, nested ones included, is noted with what its model calls cost; what a query may cost, by when it must
have ended and who is already waiting for it is passed on to every server that is asked on the way.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from benchmarks.baselines.caches import ExactCache, SemanticCache
from benchmarks.baselines.policies import Contender
from benchmarks.scenarios.agora_trace_traffic import Query, Traffic
from benchmarks.scenarios.agora_trace_world import (
    KINDS,
    OFFERS,
    SERVER_MODELS,
    SERVERS,
    Offer,
    Values,
    effects,
    expected,
    nested_input,
    result,
    written,
)
from negotiator import Agent, NegotiatorError, Task
from negotiator.clock import Deadline
from negotiator.describe import sentence_of
from negotiator.errors import ToolFailed
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models.base import Completion, Message, Model
from negotiator.models.priority import is_background
from negotiator.negotiate import agree_and_make
from negotiator.testing import VirtualClock, World

T = TypeVar("T")

PAPER_PRICES: Final = {"gpt-4o": (5.0, 15.0), "llama-3-405b": (5.0, 10.0), "gemini-1.5-pro": (3.5, 10.5)}
"""USD for a million tokens of prompt and of completion: table 1 of arXiv 2410.11905."""
SECONDS_BETWEEN: Final = 60.0
"""Between two queries, on the town's clock."""
MOST_HOPS: Final = 4
QUERY_SECONDS: Final = 600.0
QUERY_USD: Final = 1.0


@dataclass(slots=True)
class Exchange:
    """One request of one agent to another, and what its model calls cost on either side."""

    server: str
    kind: str
    usd: float = 0.0
    calls: int = 0
    learned_usd: float = 0.0
    """Off the request's path."""
    learned_calls: int = 0
    tier: str = "failed"
    """The lower of both sides' tiers."""


@dataclass(slots=True)
class Trail:
    """What is passed on from a query to the questions that servers ask because of it."""

    deadline: Deadline
    usd: float
    """What model calls on the way may cost."""
    chain: tuple[tuple[str, str], ...] = ()
    """Who is waiting: (server, kind), the first asked first."""
    exchanges: list[Exchange] = field(default_factory=list)
    """All of the query, in the order they began."""

    @property
    def spent(self) -> float:
        """USD so far."""
        return sum(each.usd for each in self.exchanges)

    def onward(self, server: str, kind: str) -> "Trail":
        """The trail of a question that is asked on the way.

        Raises `ToolFailed` where it comes round in a circle, went through too many hands or has no money left, and
        `DeadlinePassed`.
        """
        self.deadline.require()
        if (server, kind) in self.chain:
            raise ToolFailed(for_peer="the question has come round in a circle")
        if len(self.chain) >= MOST_HOPS:
            raise ToolFailed(for_peer="the question has gone through too many hands")
        if self.spent >= self.usd:
            raise ToolFailed(for_peer="the budget of the query is spent")
        return replace(self, chain=(*self.chain, (server, kind)))


_TRAIL: ContextVar[Trail] = ContextVar("trail")
_EXCHANGE: ContextVar[Exchange] = ContextVar("exchange")


@contextmanager
def _put(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@dataclass(slots=True)
class Tokens:
    """What one model of the price list was given and said."""

    prompt: int = 0
    completion: int = 0
    calls: int = 0


class Metered:
    """A model with a price, which notes each call with the exchange that it was made for."""

    def __init__(self, model: Model, priced_as: str, meter: dict[str, Tokens]) -> None:
        self._model, self._priced_as, self._meter = model, priced_as, meter

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return f"{self._model.name} at the price of {self._priced_as}"

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        purpose: str,
        schema: JsonObject | None = None,
        max_tokens: int = 1024,
        deadline: Deadline,
    ) -> Completion:
        """See `Model.complete`."""
        completion = await self._model.complete(
            messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
        )
        usage = completion.usage
        prompt, answer = PAPER_PRICES[self._priced_as]
        usd = (usage.prompt_tokens * prompt + usage.completion_tokens * answer) / 1e6
        tokens = self._meter.setdefault(self._priced_as, Tokens())
        tokens.prompt += usage.prompt_tokens
        tokens.completion += usage.completion_tokens
        tokens.calls += 1
        exchange = _EXCHANGE.get()
        if is_background():
            exchange.learned_usd += usd
            exchange.learned_calls += 1
        else:
            exchange.usd += usd
            exchange.calls += 1
        return replace(completion, usage=replace(usage, usd=usd))

    async def aclose(self) -> None:
        """The model is the town's."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one query came to."""

    query: Query
    came_to: str
    """`right`, `silently_wrong` or `refused`."""
    why: str
    exchanges: tuple[Exchange, ...]
    cached: bool = False

    @property
    def touched(self) -> bool:
        """Whether anybody had to ask a model before the answer was there."""
        return any(each.calls for each in self.exchanges)

    def to_json(self) -> JsonObject:
        """One line of the transcript."""
        return {
            "at": self.query.at,
            "user": self.query.user,
            "server": self.query.server,
            "kind": self.query.kind,
            "input": self.query.values,
            "came_to": self.came_to,
            "why": self.why,
            "cached": self.cached,
            "exchanges": [
                {
                    "server": each.server,
                    "kind": each.kind,
                    "tier": each.tier,
                    "calls": each.calls,
                    "usd": round(each.usd, 8),
                    "learned_calls": each.learned_calls,
                    "learned_usd": round(each.learned_usd, 8),
                }
                for each in self.exchanges
            ],
        }


class Town:
    """One contender's agents, for the traffic of one seed."""

    def __init__(
        self,
        contender: Contender,
        traffic: Traffic,
        model: Model,
        cache: ExactCache | SemanticCache | None = None,
    ) -> None:
        self.contender, self.traffic, self._model, self._cache = contender, traffic, model, cache
        self.meter: dict[str, Tokens] = {}
        self._clock = VirtualClock()
        self._world = World(self._clock)
        self._tasks = {name: _task(name) for name in KINDS}
        self._made: list[tuple[str, str, str]] = []
        """Transactional calls of the query at hand: (server, kind, input)."""
        self._users: dict[int, Agent] = {}
        self._in_words: dict[str, int] = {}
        self.servers = {name: self._server(name) for name in SERVERS}

    async def run(self, note: Callable[[Done], None], tick: Callable[[], None]) -> None:
        """Ask everything in order; `tick` is called before each query."""
        async with self._world:
            for query in self.traffic.queries:
                tick()
                note(await self._query(query))
                await self._settle(self._user(query.user))
                self._clock.advance(SECONDS_BETWEEN)

    def learned(self) -> tuple[int, int]:
        """How many documents were agreed on, and how many routines serve, at all agents together."""
        agents = [*self._users.values(), *self.servers.values()]
        serving = [routine for agent in agents for routine in agent.routines() if routine.serving]
        agreed = {name for agent in self.servers.values() for name in agent.engine.agreements.served(_toolset(agent))}
        return len(agreed | {routine.protocol_hash for routine in serving}), len(serving)

    def _server(self, name: str) -> Agent:
        agent = self._world.agent(
            name,
            Metered(self._model, SERVER_MODELS.get(name, "gpt-4o"), self.meter),
            cost_policy=self.contender.receivers,
            request_seconds=QUERY_SECONDS,
            **self.contender.server_options,
        )
        for offer in OFFERS:
            if offer.server == name:
                self._offer(agent, offer)
        return agent

    def _offer(self, agent: Agent, offer: Offer) -> None:
        effect = KINDS[offer.kind].effect

        async def tool(**given: Any) -> JsonValue:
            values = offer.theirs(given)
            answers: list[Values] = []
            for nested in offer.asks:
                trail = _TRAIL.get().onward(nested.server, nested.kind)
                with _put(_TRAIL, trail):
                    answers.append(
                        await self._ask(agent, nested.server, nested.kind, nested_input(nested, values), trail)
                    )
            if effect == "transactional":
                self._made.append((offer.server, offer.kind, written(values)))
            return offer.here(result(offer, values, tuple(answers)))

        agent.tool(
            effect=effect,
            name=offer.tool,
            description=offer.description,
            input=offer.schema("takes"),
            output=offer.schema("gives"),
        )(tool)

    def _user(self, number: int) -> Agent:
        if number not in self._users:
            self._users[number] = self._world.agent(
                f"user{number}",
                Metered(self._model, self.traffic.models[number], self.meter),
                cost_policy=self.contender.senders,
                request_seconds=QUERY_SECONDS,
                publish="none",
            )
        return self._users[number]

    async def _query(self, query: Query) -> Done:
        self._made.clear()
        kind = KINDS[query.kind]
        trail = Trail(
            deadline=Deadline.after(QUERY_SECONDS, self._clock), usd=QUERY_USD, chain=((query.server, query.kind),)
        )
        text = sentence_of(kind.description, query.values, kind.schema("takes"), kind.schema("gives"))
        cached = self._cache.get(query.server, text) if self._cache is not None and kind.effect == "safe" else None
        if cached is not None:
            return Done(query, self._judge(query, cached), "", (), cached=True)
        user = self._user(query.user)
        try:
            with _put(_TRAIL, trail):
                output = await self._ask(user, query.server, query.kind, query.values, trail)
        except NegotiatorError as error:
            logging.getLogger("benchmarks").info("refused: %s: %s", type(error).__name__, error)
            return Done(query, "refused", f"{type(error).__name__}: {error}"[:200], tuple(trail.exchanges))
        if self._cache is not None and kind.effect == "safe":
            self._cache.put(query.server, text, output)
        came_to = self._judge(query, output)
        why = "" if came_to == "right" else f"{output} with {self._made}"[:400]
        return Done(query, came_to, why, tuple(trail.exchanges))

    def _judge(self, query: Query, output: JsonValue) -> str:
        right = written(said(query.kind, output)) == written(expected(query.server, query.kind, query.values))
        done = sorted(self._made) == sorted(effects(query.server, query.kind, query.values))
        return "right" if right and done else "silently_wrong"

    async def _ask(self, agent: Agent, server: str, kind: str, values: Values, trail: Trail) -> Values:
        """One exchange; `trail` says how long it may take."""
        exchange = Exchange(server, kind)
        trail.exchanges.append(exchange)
        url = f"mem://{server}"
        with _put(_EXCHANGE, exchange):
            outcome = await agent.ask(url, self._tasks[kind], values, seconds=trail.deadline.require())
            tiers = {outcome.tier, outcome.peer_tier}
            exchange.tier = next(tier for tier in ("natural_language", "structured", "routine") if tier in tiers)
            if exchange.tier == "natural_language":
                await self._ask_back(agent, server, kind)
        output: Values = outcome.json
        return output

    async def _ask_back(self, agent: Agent, server: str, kind: str) -> None:
        """Agora's servers ask whoever comes after so many exchanges in words to negotiate with them."""
        self._in_words[server] = self._in_words.get(server, 0) + 1
        if self._in_words[server] >= self.contender.asks_back_after:
            self._in_words[server] = 0
            engine, task = agent.engine, self._tasks[kind]
            engine.learner.start(f"asked back/{server}/{kind}", _negotiating(agent, f"mem://{server}", task))

    async def _settle(self, user: Agent) -> None:
        for _ in range(2):
            for agent in (user, *self.servers.values()):
                await agent.settle()


def _negotiating(agent: Agent, url: str, task: Task) -> Callable[[], Awaitable[None]]:
    return lambda: agree_and_make(agent.engine, url, task)


def said(kind: str, output: JsonValue) -> JsonValue:
    """An answer without the optional texts that are empty: no error and an empty one say the same."""
    if not isinstance(output, dict):
        return output
    return {name: value for name, value in output.items() if value or name not in KINDS[kind].optional}


def _task(name: str) -> Task:
    kind = KINDS[name]
    return Task(
        kind.description, input=kind.schema("takes"), output=kind.schema("gives"), effect=kind.effect, name=name
    )


def _toolset(agent: Agent) -> str:
    return agent.engine.toolset
