"""Clients and services of `sgdx --traffic` at work: real agents over a transport in memory, one request after another."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from benchmarks.baselines.caches import ExactCache, SemanticCache
from benchmarks.baselines.policies import Contender
from benchmarks.scenarios.agora_trace_town import PAPER_PRICES, Exchange, Tokens
from benchmarks.scenarios.sgdx_data import MAX_ROWS, Pair
from benchmarks.scenarios.sgdx_traffic import VARIANTS, Request, Services, Words
from negotiator import Agent, NegotiatorError, Task
from negotiator.clock import Deadline
from negotiator.describe import sentence_of
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models.base import Completion, Message, Model
from negotiator.models.priority import is_background
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import VirtualClock, World

SECONDS_BETWEEN: Final = 60.0
REQUEST_SECONDS: Final = 600.0
PRICED_AS: Final = "gpt-4o"
"""Whose price in the Agora paper's table the tokens are counted at, whatever the model."""
_RENAMING: Final = """```python
def {name}(source: dict) -> dict:
    pairs = {pairs}
    made = {{}}
    for key in source:
        if key == "results":
            made[key] = [{{pairs[name]: row[name] for name in row}} for row in source[key]]
        elif key in pairs:
            made[pairs[key]] = source[key]
    return made
```"""
_ORDER: Final = ("natural_language", "structured", "routine")


@dataclass(slots=True)
class Gold:
    """The scripted model: what it is asked about the request at hand, it answers from the gold renaming.

    It stands in for a model that always understands; what goes wrong is a routine's doing.
    """

    services: Services
    request: Request | None = None

    def model(self) -> ScriptedModel:
        """A model for all agents."""
        return ScriptedModel(
            {
                "choose_tool": lambda *_: {"tool": self._now.pair.method},
                "read_request": lambda *_: {"answer": asked_of_server(self._now)},
                "read_reply": lambda *_: {"answer": self._now.pair.expected(self._now.call)},
                "pair_fields": self._pair,
                "choose_fields": self._pair,
                "write_fields": self._write,
            },
            name="scripted from the gold",
        )

    @property
    def _now(self) -> Request:
        if self.request is None:
            raise LookupError("no request is at hand")
        return self.request

    def _pair(self, _messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
        """Documents may be in anybody's words, so that both sides' vocabularies are told by the names they use."""
        options: dict[str, list[str]] = {name: part["enum"] for name, part in (schema or {})["properties"].items()}
        wanted = self._vocabulary({_last(one) for one in options})
        given = self._vocabulary({_last(one) for part in options.values() for one in part} - {"none"})
        meant = {theirs: given[name] for name, theirs in wanted.items()}
        return {one: _counterpart(meant.get(_last(one)), part) for one, part in options.items()}

    def _write(self, messages: Sequence[Message], _schema: JsonObject | None) -> str:
        """The function that the prompt asks for: it renames, in rows too."""
        text = messages[1].content
        named = re.search(r"^def (\w+)\(", text, re.MULTILINE)
        given, _, wanted = text.partition("\nSource fields:\n")[2].partition("\nTarget fields to return:\n")
        ours, theirs = (self._vocabulary(set(re.findall(r"\w+", part))) for part in (given, wanted))
        pairs = {name: theirs[original] for original, name in ours.items()}
        return _RENAMING.format(name=named[1] if named else "rename", pairs=json.dumps(pairs))

    def _vocabulary(self, names: set[str]) -> dict[str, str]:
        """The original names -> those of the vocabulary that has most of `names`."""
        every = self.services.pairs[self._now.pair.service, self._now.pair.method]
        spoken = [{name: name for name in self._now.pair.names}, *(dict(pair.names) for pair in every.values())]
        return max(spoken, key=lambda each: len(names & set(each.values())))


def _counterpart(wanted: str | None, options: Sequence[str]) -> str:
    return next((one for one in options if _last(one) == wanted), "none" if "none" in options else options[-1])


def _last(label: str) -> str:
    return label.rsplit(".", 1)[-1].split(" ", 1)[0]


def asked_of_server(request: Request) -> JsonObject:
    """What the tool has to be given, in the server's names."""
    return {request.served[name]: value for name, value in request.call["parameters"].items()}


class Priced:
    """A model with a price, which notes each call with the request that it was made for."""

    def __init__(self, model: Model, town: "SgdTown") -> None:
        self._model, self._town = model, town
        self.name = model.name

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
        usage, (prompt, answer) = completion.usage, PAPER_PRICES[PRICED_AS]
        usd = (usage.prompt_tokens * prompt + usage.completion_tokens * answer) / 1e6
        self._town.note(usage.prompt_tokens, usage.completion_tokens, usd, learning=is_background())
        return replace(completion, usage=replace(usage, usd=usd))

    async def aclose(self) -> None:
        """The model is the town's."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one request came to."""

    request: Request
    came_to: str
    """`right`, `silently_wrong` or `refused`."""
    why: str
    exchange: Exchange | None
    """None where a cache answered."""
    tiers: tuple[str, str] = ("", "")
    """The client's and the server's."""

    def to_json(self) -> JsonObject:
        """One line of the transcript, in the form of `agora-trace`'s."""
        each, asked = self.exchange, self.request
        return {
            "at": asked.at,
            "user": asked.client,
            "server": asked.pair.service,
            "kind": asked.kind,
            "input": asked.pair.ask(asked.call),
            "came_to": self.came_to,
            "why": self.why,
            "cached": each is None,
            "tiers": list(self.tiers),
            "exchanges": []
            if each is None
            else [
                {
                    "server": each.server,
                    "kind": each.kind,
                    "tier": each.tier,
                    "calls": each.calls,
                    "usd": round(each.usd, 8),
                    "learned_calls": each.learned_calls,
                    "learned_usd": round(each.learned_usd, 8),
                }
            ],
        }


@dataclass(slots=True)
class SgdTown:
    """One contender's agents, for one traffic."""

    contender: Contender
    services: Services
    gold: Gold
    model: Model
    cache: ExactCache | SemanticCache | None = None
    meter: dict[str, Tokens] = field(default_factory=dict)
    _world: World = field(init=False)
    _clock: VirtualClock = field(init=False)
    _servers: dict[str, tuple[Words, Agent]] = field(default_factory=dict)
    _clients: dict[int, Agent] = field(default_factory=dict)
    _tasks: dict[str, Task] = field(default_factory=dict)
    _called: list[tuple[str, JsonObject]] = field(default_factory=list)
    _exchange: Exchange | None = None

    def __post_init__(self) -> None:
        self._clock = VirtualClock()
        self._world = World(self._clock)

    async def run(
        self, requests: Sequence[Request], note: Callable[[Answered], None], tick: Callable[[], None]
    ) -> None:
        """Ask everything in order; `tick` is called before each request."""
        async with self._world:
            for request in requests:
                tick()
                self.gold.request = request
                server, client = await self._server(request), self._client(request)
                note(await self._one(request, client))
                for _ in range(2):
                    for agent in (client, server):
                        await agent.settle()
                self._clock.advance(SECONDS_BETWEEN)

    def learned(self) -> tuple[int, int]:
        """How many documents there are routines for, and how many routines serve, at all agents together."""
        agents = [*self._clients.values(), *(agent for _, agent in self._servers.values())]
        serving = [routine for agent in agents for routine in agent.routines() if routine.serving]
        return len({routine.protocol_hash for routine in serving}), len(serving)

    def note(self, prompt: int, completion: int, usd: float, *, learning: bool) -> None:
        """Enter one model call."""
        tokens = self.meter.setdefault(PRICED_AS, Tokens())
        tokens.prompt += prompt
        tokens.completion += completion
        tokens.calls += 1
        if self._exchange is None:
            return
        if learning:
            self._exchange.learned_usd += usd
            self._exchange.learned_calls += 1
        else:
            self._exchange.usd += usd
            self._exchange.calls += 1

    async def _one(self, request: Request, client: Agent) -> Answered:
        pair, task = request.pair, self._task(request)
        asked = pair.ask(request.call)
        text = sentence_of(task.description, asked, task.input.json_schema, task.output.json_schema)
        cached = None if self.cache is None or pair.transactional else self.cache.get(pair.service, text)
        if cached is not None:
            came_to = "right" if cached == pair.expected(request.call) else "silently_wrong"
            return Answered(request, came_to, "", None)
        self._called.clear()
        self._exchange = exchange = Exchange(pair.service, request.kind)
        try:
            outcome = await client.ask(f"mem://{pair.service}", task, asked, seconds=REQUEST_SECONDS)
        except NegotiatorError as error:
            logging.getLogger("benchmarks").info("refused: %s: %s", type(error).__name__, error)
            return Answered(request, "refused", f"{type(error).__name__}: {error}"[:200], exchange)
        tiers = (outcome.tier, outcome.peer_tier if outcome.peer_tier in _ORDER else outcome.tier)
        exchange.tier = min(tiers, key=_ORDER.index)
        done = [json.dumps(given, sort_keys=True) for _, given in self._called]
        meant = [json.dumps(_meant(asked_of_server(request), request), sort_keys=True)]
        right = done == meant and outcome.json == pair.expected(request.call)
        if right and self.cache is not None and not pair.transactional:
            self.cache.put(pair.service, text, outcome.json)
        why = "" if right else f"{outcome.json} with {self._called}"[:400]
        return Answered(request, "right" if right else "silently_wrong", why, exchange, tiers)

    def _task(self, request: Request) -> Task:
        pair = request.pair
        key = f"{pair.service} {pair.method} {request.variant}"
        if key not in self._tasks:
            self._tasks[key] = Task(
                pair.client_description,
                input=pair.client_takes,
                output=pair.client_gives,
                effect="transactional" if pair.transactional else "safe",
            )
        return self._tasks[key]

    def _client(self, request: Request) -> Agent:
        if request.client not in self._clients:
            self._clients[request.client] = self._world.agent(
                f"client{request.client}",
                Priced(self.model, self),
                cost_policy=self.contender.senders,
                request_seconds=REQUEST_SECONDS,
                publish="none",
            )
        return self._clients[request.client]

    async def _server(self, request: Request) -> Agent:
        """The service in its vocabulary of the moment: one that changes it is another program at the same address."""
        name = request.pair.service
        there = self._servers.get(name)
        if there is not None and there[0] == request.words:
            return there[1]
        if there is not None:
            with suppress(NegotiatorError):
                await there[1].aclose()
        agent = self._world.agent(
            name,
            Priced(self.model, self),
            cost_policy=self.contender.receivers,
            request_seconds=REQUEST_SECONDS,
            **self.contender.server_options,
        )
        for (service, _), pairs in self.services.pairs.items():
            if service == name:
                self._offer(agent, pairs[request.words or VARIANTS[0]], request.words)
        self._servers[name] = (request.words, agent)
        return agent

    def _offer(self, agent: Agent, pair: Pair, words: Words) -> None:
        served = pair.names if words else {name: name for name in pair.names}
        back = {theirs: name for name, theirs in served.items()}
        recorded = {pair.meant(call["parameters"]): call["results"][:MAX_ROWS] for call in pair.calls}
        defaults = {served[name]: value for name, value in pair.defaults.items()}

        async def answer(**parameters: Any) -> dict[str, JsonValue]:
            kept = {name: value for name, value in parameters.items() if defaults.get(name) != value}
            self._called.append((pair.method, kept))
            rows = recorded.get(pair.meant({back[name]: value for name, value in parameters.items()}), [])
            return {"results": [{served[name]: value for name, value in row.items()} for row in rows]}

        agent.tool(
            effect="transactional" if pair.transactional else "safe",
            name=pair.method,
            description=pair.client_description if words else pair.description,
            input=pair.client_takes if words else pair.takes,
            output=pair.client_gives if words else pair.gives,
        )(answer)


def _meant(parameters: JsonObject, request: Request) -> JsonObject:
    defaults = {request.served[name]: value for name, value in request.pair.defaults.items()}
    return {name: value for name, value in parameters.items() if defaults.get(name) != value}
