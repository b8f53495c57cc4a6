"""What the settings of the cost policy do to agents: budgets of a day, agreeing first, documents of askers."""

import pytest

from negotiator import Agent, BudgetSpent, CostPolicy, Task
from negotiator.models.base import Completion, Usage
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import World
from tests.negotiator.engine_world import (
    EXACT,
    EXACT_VALUE,
    OTHER,
    OTHER_INPUT,
    OTHER_OUTPUT,
    OTHER_VALUE,
    TEXT,
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


WORDS_ALONE = {"agreement_in_interpreted": 1e6}


async def test_a_days_budget_ends_asking_and_a_new_day_begins_it_again() -> None:
    async with World() as world:
        offer_forecast(world.agent("server", oracle()))
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
        caller = world.agent("caller", Priced(0.1), cost_policy=CostPolicy(max_usd_per_day=0.1, agree_first=True))
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
        caller = world.agent("caller", model, cost_policy=CostPolicy(agree_first=True))
        outcome = await caller.ask(SERVER, EXACT, EXACT_VALUE)
        assert (outcome.tier, model.calls) == ("routine", 0)
        assert len(world.exchanges()) == 1


async def test_where_rules_cannot_agree_the_first_exchange_is_in_words_all_the_same() -> None:
    async with World() as world:
        offer_forecast_by_parts(world.agent("server", oracle()))
        model = Priced(0.0)
        caller = world.agent("caller", model, cost_policy=CostPolicy(agree_first=True))
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        assert outcome.tier == "natural_language"
        assert caller.engine.agreements.refused(OTHER.digest, SERVER) is None, "what rules cannot, a model may yet"


async def test_a_peer_that_rules_cannot_agree_with_is_asked_again_ever_more_seldom() -> None:
    async with World() as world:
        offer_forecast_by_parts(world.agent("server", oracle()))
        caller = world.agent("caller", Priced(0.0), cost_policy=CostPolicy(agree_first=True, **WORDS_ALONE))
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
        callers = [world.agent(f"caller{n}", Priced(0.1), cost_policy=CostPolicy(agree_first=True)) for n in range(3)]
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
        policy = CostPolicy(documents_of_askers=True, agreement_in_interpreted=0.5)
        server = world.agent("server", Noting(0.1), cost_policy=policy)
        offer_forecast_by_parts(server)
        caller = world.agent("caller", Priced(0.1), cost_policy=CostPolicy(agree_first=True))
        assert (await caller.ask(SERVER, OTHER, OTHER_VALUE)).tier == "natural_language"
        await world.settle()
        purposes.clear()
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        assert outcome.protocol_hash is not None
        assert outcome.peer_tier == "structured"
        assert "choose_tool" not in purposes
