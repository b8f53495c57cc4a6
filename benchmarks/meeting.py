"""Two agents meet, agree on a document or not, verify their routines, and are judged by calls that were held out.

Both are agents of this package over a transport in memory, each with its own model. What they are shown of each other
is the condition:

- `both`: the asker's opening has its schemas, and the server's documents have the server's;
- `one`: the asker's schemas are taken out of its openings on the way, so that only the server's are shown;
- `descriptions`: no schemas are shown. The server lists its document without the annex, in prose that names and
  describes the fields, and the dialogue over schemas does not get through.

Time is that of the models' calls: what else happens takes none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, Self, TypeAlias

import orjson

from benchmarks.errands import Errand, Exchange, Gold, Offer
from negotiator import CostPolicy
from negotiator.clock import Deadline
from negotiator.engine import Engine
from negotiator.errors import NegotiatorError
from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Completion, Message, Model, Usage
from negotiator.models.none import NoModel
from negotiator.models.scripted import UnknownPrompt
from negotiator.negotiate import agree_and_make
from negotiator.plan import NEVER, Counts
from negotiator.proposals import document_of
from negotiator.routines import Role
from negotiator.running import Runnable
from negotiator.testing import VirtualClock, World
from negotiator.wire import WireHandler, WireReply, WireRequest
from protocol_docs import ProtocolDocument, catalog
from protocol_docs.errors import DocumentError
from sandbox import SandboxError

Condition: TypeAlias = Literal["both", "one", "descriptions"]
CONDITIONS: Final[tuple[Condition, ...]] = ("both", "one", "descriptions")
SERVER: Final = "mem://server"
SIDES: Final = ("asker", "server")
LONG_SECONDS: Final = 14_400.0
"""Of a request and of a negotiation: a model on a slow machine is slow, and that is no failure of an agreement."""
_NOTHING: Final[JsonObject] = {"results": []}
"""What a tool gives that is not the one that is meant."""
UNBOUNDED: Final = 1e9
"""Strangers' budgets are no part of this."""


@dataclass(slots=True)
class Timed:
    """A model whose calls take the meeting's time, and are counted."""

    inner: Model
    clock: VirtualClock
    usage: Usage = field(default_factory=Usage)
    asked: Counter[str] = field(default_factory=Counter)
    """Purpose -> calls, those that failed too."""

    @property
    def name(self) -> str:
        """See `Model.name`."""
        return self.inner.name

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
        self.asked[purpose] += 1
        made = await self.inner.complete(
            messages, purpose=purpose, schema=schema, max_tokens=max_tokens, deadline=deadline
        )
        self.usage = self.usage + made.usage
        self.clock.advance(made.usage.seconds)
        return made

    async def aclose(self) -> None:
        """The model is somebody else's."""


@dataclass(frozen=True, slots=True)
class Veil:
    """What stands before the server where the asker's schemas are not to be seen."""

    handler: WireHandler
    condition: Condition

    async def __call__(self, wire: WireRequest) -> WireReply:
        """See `WireHandler`."""
        body = orjson.loads(wire.body) if wire.method == "POST" and wire.body else None
        if not isinstance(body, dict) or body.get("protocolDigest") != catalog.negotiation_dialogue().hash:
            return await self.handler(wire)
        if self.condition == "descriptions":
            # A document that nobody has: the dialogue is answered as one that is not spoken here.
            body = {**body, "protocolDigest": f"sha256:{'0' * 64}"}
        else:
            said = body.get("body")
            message = orjson.loads(said) if isinstance(said, str) else said
            shown = _without_schemas(message)
            body = {**body, "body": orjson.dumps(shown).decode() if isinstance(said, str) else shown}
        return await self.handler(replace(wire, body=orjson.dumps(body)))


def _without_schemas(message: JsonObject) -> JsonObject:
    match message:
        case {"type": "opening", "intent": dict(intent)}:
            hidden = {"input_schema": None, "output_schema": None, "input_summary": ""}
            return {**message, "intent": {**intent, **hidden}}
        case {"type": "counter"}:
            return {**message, "document": None}
    return message


def in_prose(document: ProtocolDocument) -> ProtocolDocument:
    """The same document without its annex: names and descriptions, and no schemas."""
    return ProtocolDocument.from_text(document.text.partition("## Annex")[0] + "\n")


@dataclass(slots=True)
class Met:
    """What a meeting came to."""

    protocol_hash: str | None = None
    """The one hash that both agreed on."""
    why_not: str = ""
    """What the asker remembers, where there is no agreement."""
    offered: list[str] = field(default_factory=list)
    """The server's tools whose own documents the asker was offered."""
    rounds: int = 0
    """Messages of the asker's in the dialogue."""
    asker: JsonObject | None = None
    """The asker's routine: kind, who made it, state, what its verdict rests on."""
    server: JsonObject | None = None
    spent: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Phase -> side -> calls, tokens, seconds, USD. Phases: agreeing, building, held_out."""
    asked: dict[str, dict[str, int]] = field(default_factory=dict)
    """Side -> purpose -> model calls, those that failed too."""
    building: list[JsonObject] = field(default_factory=list)
    held_out: list[JsonObject] = field(default_factory=list)
    dialogue: list[JsonObject] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether both routines serve."""
        return all(side is not None and side["state"] == "serving" for side in (self.asker, self.server))

    def used(self, *phases: str) -> Usage:
        """What both sides' models took in those phases, or in all."""
        total = Usage()
        for phase in phases or tuple(self.spent):
            for one in self.spent.get(phase, {}).values():
                total = total + Usage(**one)
        return total


class Meeting:
    """Two agents for one errand. An async context manager, which closes them."""

    def __init__(
        self,
        errand: Errand,
        condition: Condition,
        models: tuple[Model, Model],
        *,
        askers_documents: bool = True,
        shadows: int = 3,
        gold: Gold | None = None,
    ) -> None:
        """`models` are the asker's and the server's; `gold` is told of each call before it is made."""
        self.errand, self._gold = errand, gold
        self.world = World(VirtualClock())
        policy = CostPolicy(
            counts=Counts(look=0, agree=NEVER, routine=1),
            shadow_exchanges=shadows,
            max_negotiation_seconds=LONG_SECONDS,
            no_agreement_seconds=2 * LONG_SECONDS,
            documents_of_askers=askers_documents and condition == "both",
            max_strangers_usd_per_day=UNBOUNDED,
            max_strangers_seconds_per_day=UNBOUNDED,
        )
        # An agent without a model is known by the kind of its model.
        self._models = [each if isinstance(each, NoModel) else Timed(each, self.world.clock) for each in models]
        self.asker = self.world.agent(
            "asker", self._models[0], publish="none", cost_policy=policy, request_seconds=LONG_SECONDS
        )
        self.server = self.world.agent("server", self._models[1], cost_policy=policy, request_seconds=LONG_SECONDS)
        self.called: list[tuple[str, JsonObject]] = []
        """Tools that were called, and with what, in the exchange at hand."""
        self._offer()
        if condition != "both":
            self.world.memory.serve(SERVER, Veil(self.server.handler(), condition))
        if condition == "descriptions":
            engine = self.server.engine
            document = in_prose(document_of(engine.tools[errand.offer.name]))
            engine.documents.put(document)
            engine.agreements.serve(engine.toolset, document.hash)

    async def __aenter__(self) -> Self:
        await self.world.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.world.__aexit__(*raised)

    def _offer(self) -> None:
        errand = self.errand
        results = {errand.meant(each.arguments): each.result for each in (*errand.build, *errand.held_out)}
        for offer in (errand.offer, *errand.others):

            async def tool(offer: Offer = offer, **arguments: Any) -> Any:
                self.called.append((offer.name, arguments))
                return results[errand.meant(arguments)] if offer is errand.offer else _NOTHING

            self.server.tool(
                effect=offer.effect, name=offer.name, description=offer.description, input=offer.takes,
                output=offer.gives,
            )(tool)  # fmt: skip

    def used(self, side: str) -> Usage:
        """What one side's model has taken so far."""
        return _usage(self._models[SIDES.index(side)])

    async def run(self) -> Met:
        """Agree, build, and be judged. Raises `UnknownPrompt` where a model has no answer on file."""
        met = Met()
        if self._gold is not None:
            self._gold.errand = self.errand
        with self._phase(met, "agreeing"):
            await self.agree(met)
        if met.protocol_hash is not None:
            with self._phase(met, "building"):
                await self.build(met)
            if met.verified:
                with self._phase(met, "held_out"):
                    met.held_out = [await self.ask(each) for each in self.errand.held_out]
                self._note_routines(met)
        met.asked = {
            side: dict(model.asked) if isinstance(model, Timed) else {}
            for side, model in zip(SIDES, self._models, strict=True)
        }
        return met

    async def agree(self, met: Met) -> None:
        """Negotiate, as an asker does for whom it is worth its price."""
        engine, task = self.asker.engine, self.errand.task
        try:
            await agree_and_make(engine, SERVER, task)
        except UnknownPrompt:
            raise
        except (NegotiatorError, DocumentError, SandboxError) as error:
            met.why_not = f"{type(error).__name__}: {error}"[:400]
        await self.world.settle()
        agreed = engine.agreements.find(task.digest, SERVER)
        served = self.server.engine.agreements.served(self.server.engine.toolset)
        if agreed is not None and agreed.protocol_hash in served:
            met.protocol_hash = agreed.protocol_hash
        tools = self.server.engine.tools.values()
        met.offered = [tool.name for tool in tools if engine.documents.get(document_of(tool).hash) is not None]
        self._note_routines(met)
        met.dialogue = self.world.dialogue()
        met.rounds = len(met.dialogue)

    async def build(self, met: Met) -> None:
        """Exchanges, one after the other, until both routines serve, or one of them will not come any more."""
        for exchange in self.errand.build:
            if met.verified or self._given_up(met):
                return
            met.building.append(await self.ask(exchange))
            self._note_routines(met)

    def _given_up(self, met: Met) -> bool:
        """Whether a side has no routine and makes none: what it could not make is remembered for longer than this takes."""
        assert met.protocol_hash is not None  # noqa: S101 - there is an agreement
        asker, server = self.asker.engine, self.server.engine
        places: tuple[tuple[Engine, Role, str], ...] = (
            (asker, "sender", self.errand.task.digest),
            (server, "receiver", server.toolset),
        )
        for engine, role, digest in places:
            found = engine.routines.get(met.protocol_hash, role, digest)
            made = found is not None and found.routine.state != "demoted"
            if not made and not engine.routines.wanted(met.protocol_hash, role, digest):
                return True
        return False

    async def ask(self, exchange: Exchange) -> JsonObject:
        """One exchange, what it took, and whether it was right: the tool got what it should, and the asker too."""
        before = sum(self.used(side).tokens for side in SIDES)
        row = await self._asked(exchange)
        return {**row, "tokens": sum(self.used(side).tokens for side in SIDES) - before}

    async def _asked(self, exchange: Exchange) -> JsonObject:
        if self._gold is not None:
            self._gold.exchange = exchange
        self.called.clear()
        try:
            outcome = await self.asker.ask(SERVER, self.errand.task, exchange.asked)
        except UnknownPrompt:
            raise
        except NegotiatorError as error:
            await self.world.settle()
            return {"came_to": "refused", "why": f"{type(error).__name__}: {error}"[:200]}
        await self.world.settle()
        errand = self.errand
        called = [(name, errand.meant(arguments)) for name, arguments in self.called]
        done = called == [(errand.offer.name, errand.meant(exchange.arguments))]
        came_to = "right" if done and outcome.json == exchange.answer else "wrong"
        return {"came_to": came_to, "tier": outcome.tier, "peer_tier": outcome.peer_tier}

    def _phase(self, met: Met, name: str) -> "_Phase":
        return _Phase(met, name, self._models)

    def _note_routines(self, met: Met) -> None:
        if met.protocol_hash is None:
            return
        asker, server = self.asker.engine, self.server.engine
        met.asker = _routine(asker.routines.get(met.protocol_hash, "sender", self.errand.task.digest))
        met.server = _routine(server.routines.get(met.protocol_hash, "receiver", server.toolset))


@dataclass(slots=True)
class _Phase:
    met: Met
    name: str
    models: Sequence[Model]
    before: list[Usage] = field(default_factory=list)

    def __enter__(self) -> None:
        self.before = [_usage(model) for model in self.models]

    def __exit__(self, *_raised: object) -> None:
        spent = [_minus(_usage(model), before) for model, before in zip(self.models, self.before, strict=True)]
        self.met.spent[self.name] = dict(zip(SIDES, map(asdict, spent), strict=True))


def _usage(model: Model) -> Usage:
    return model.usage if isinstance(model, Timed) else Usage()


def _minus(one: Usage, other: Usage) -> Usage:
    return Usage(
        calls=one.calls - other.calls,
        prompt_tokens=one.prompt_tokens - other.prompt_tokens,
        completion_tokens=one.completion_tokens - other.completion_tokens,
        seconds=round(one.seconds - other.seconds, 3),
        usd=None if one.usd is None or other.usd is None else one.usd - other.usd,
    )


def _routine(found: Runnable | None) -> JsonObject | None:
    if found is None:
        return None
    routine, verdict = found.routine, found.routine.verdict
    return {
        "kind": routine.kind,
        "state": routine.state,
        "made_by": routine.made_by,
        "basis": verdict.basis,
        "shadows": verdict.shadows,
        "misses": verdict.misses,
        "detail": verdict.detail,
    }
