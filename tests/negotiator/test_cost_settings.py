"""What the settings of the cost policy do to agents: budgets of a day, agreeing first, documents of askers."""

from typing import Any

import pytest

from negotiator import Agent, BudgetSpent, CostPolicy, Task
from negotiator.models.base import Completion, Usage
from negotiator.models.scripted import ScriptedModel
from negotiator.plan import Counts
from negotiator.testing import World
from tests.negotiator.engine_world import (
    EXACT,
    EXACT_VALUE,
    OTHER,
    OTHER_INPUT,
    OTHER_OUTPUT,
    OTHER_VALUE,
    TEXT,
    WORDS_FIRST,
    obj,
    offer_forecast,
    offer_forecast_by_parts,
    oracle,
)

pytestmark = pytest.mark.anyio

SERVER = "mem://server"


class Priced:
    """The oracle, at a price for each call."""

    def __init__(self, usd: float, inner: ScriptedModel | None = None) -> None:
        self.usd, self.inner, self.calls = usd, inner or oracle(), 0
        self.name = "priced"

    async def complete(self, messages, **options) -> Completion:  # type: ignore[no-untyped-def]
        completion = await self.inner.complete(messages, **options)
        self.calls += 1
        return Completion(text=completion.text, model=self.name, usage=Usage(calls=1, usd=self.usd))

    async def aclose(self) -> None:
        """Nothing is held."""


async def ask_often(caller: Agent, peers: list[str], task: Task = OTHER) -> int:
    """How many requests were answered before a budget was spent."""
    for number in range(40):
        try:
            await caller.ask(peers[number % len(peers)], task, OTHER_VALUE)
        except BudgetSpent:
            return number
        await caller.settle()
    return 40


WORDS_ALONE: dict[str, Any] = {"agreement_in_interpreted": 1e6, "agree_first": False}


async def test_a_days_budget_ends_asking_and_a_new_day_begins_it_again() -> None:
    async with World() as world:
        offer_forecast(world.agent("server", oracle(), cost_policy=WORDS_FIRST))
        model = Priced(0.1)
        caller = world.agent("caller", model, cost_policy=CostPolicy(max_usd_per_day=0.55, **WORDS_ALONE))
        assert await ask_often(caller, [SERVER]) == 6, "the last call may pass the budget"
        sent = len(world.exchanges())
        with pytest.raises(BudgetSpent):
            await caller.ask(SERVER, OTHER, OTHER_VALUE)
        assert len(world.exchanges()) == sent, "nothing is sent that could not be read"
        world.clock.advance(86_400)
        assert (await caller.ask(SERVER, OTHER, OTHER_VALUE)).json == OTHER_OUTPUT


async def test_a_peers_budget_is_its_own() -> None:
    async with World() as world:
        for name in ("a", "b"):
            offer_forecast(world.agent(name, oracle()))
        caller = world.agent("caller", Priced(0.1), cost_policy=CostPolicy(max_peer_usd_per_day=0.15, **WORDS_ALONE))
        assert await ask_often(caller, ["mem://a"]) == 2
        assert await ask_often(caller, ["mem://b"]) == 2


async def test_routines_are_outside_of_every_budget() -> None:
    async with World() as world:
        offer_forecast(world.agent("server", oracle()))
        caller = world.agent("caller", Priced(0.1), cost_policy=CostPolicy(max_usd_per_day=0.1))
        assert (await caller.ask(SERVER, EXACT, EXACT_VALUE)).tier == "routine"
        caller.engine.ledger.asked(caller.engine.today, SERVER, _spent(5.0))
        assert (await caller.ask(SERVER, EXACT, EXACT_VALUE)).tier == "routine"


def _spent(usd: float):  # type: ignore[no-untyped-def]
    from negotiator.ledger import Account

    return Account(usage=Usage(calls=1, usd=usd))


async def test_with_agreeing_first_no_model_is_asked_where_rules_can_agree() -> None:
    async with World() as world:
        offer_forecast(world.agent("server", oracle()))
        model = Priced(0.1)
        caller = world.agent("caller", model, cost_policy=CostPolicy())
        outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
        assert (outcome.tier, model.calls) == ("routine", 0)
        assert len(world.exchanges()) == 1


async def test_where_rules_cannot_agree_the_first_exchange_is_in_words_all_the_same() -> None:
    async with World() as world:
        offer_forecast_by_parts(world.agent("server", oracle(), cost_policy=WORDS_FIRST))
        model = Priced(0.0)
        caller = world.agent("caller", model, cost_policy=CostPolicy())
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        assert outcome.tier == "natural_language"
        assert caller.engine.agreements.refused(OTHER.digest, SERVER) is None, "what rules cannot, a model may yet"


async def test_a_peer_that_rules_cannot_agree_with_is_asked_again_ever_more_seldom() -> None:
    async with World() as world:
        offer_forecast_by_parts(world.agent("server", oracle(), cost_policy=WORDS_FIRST))
        caller = world.agent("caller", Priced(0.0), cost_policy=CostPolicy(**WORDS_ALONE | {"agree_first": True}))
        opened = []
        for _ in range(9):
            await caller.ask(SERVER, OTHER, OTHER_VALUE)
            await caller.settle()
            opened.append(sum(message["type"] == "opening" for message in world.dialogue()))
        assert opened == [2, 3, 3, 4, 4, 4, 4, 5, 5], "before the first exchange, and after 1, 2, 4 and 8"


async def test_a_receiver_that_takes_documents_of_askers_spares_each_of_them_a_routine_to_learn() -> None:
    async with World() as world:
        policy = CostPolicy(documents_of_askers=True)
        server = world.agent("server", oracle(), cost_policy=policy)
        offer_forecast(server)
        words = Task("Weather forecast for a city and a day", input=OTHER_INPUT, output=obj(high=TEXT, summary=TEXT),
                     effect="safe", name="forecast")  # fmt: skip
        callers = [world.agent(f"caller{n}", Priced(0.1), cost_policy=CostPolicy()) for n in range(3)]
        hashes = set()
        for _ in range(4):
            for caller in callers:
                outcome = await caller.ask(SERVER, words, OTHER_VALUE)
                hashes.add(outcome.protocol_hash)
                await world.settle()
        assert len(hashes) == 1
        assert outcome.tier == "routine"
        assert outcome.peer_tier == "routine"
        assert [caller.engine.ledger.total.calls for caller in callers] == [0, 0, 0]
        serving = [routine for routine in server.routines() if routine.serving]
        assert len(serving) == 1


async def test_which_tool_a_document_of_an_asker_is_for_is_asked_no_model() -> None:
    purposes: list[str] = []

    class Noting(Priced):
        async def complete(self, messages, **options) -> Completion:  # type: ignore[no-untyped-def, override]
            purposes.append(options["purpose"])
            return await super().complete(messages, **options)

    async with World() as world:
        offer_forecast_by_parts(world.agent("server", Noting(0.1)))
        caller = world.agent("caller", Priced(0.1))
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        assert (outcome.tier, outcome.peer_tier) == ("routine", "structured"), "to take the document costs nothing"
        assert purposes
        assert "choose_tool" not in purposes


async def test_with_fixed_counts_a_document_of_an_asker_waits_for_its_number_of_exchanges_in_words() -> None:
    async with World() as world:
        counts = CostPolicy(counts=Counts(look=0, agree=2, routine=1))
        offer_forecast_by_parts(world.agent("server", Priced(0.01), cost_policy=counts))
        caller = world.agent("caller", Priced(0.01))
        tiers = []
        for _ in range(4):
            tiers.append((await caller.ask(SERVER, OTHER, OTHER_VALUE)).peer_tier)
            await caller.settle()
        assert tiers[:2] == ["natural_language"] * 2
        assert "natural_language" not in tiers[2:]
