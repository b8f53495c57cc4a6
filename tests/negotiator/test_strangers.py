"""However many identities strangers have, they spend one budget: through the real receiver."""

import anyio
import pytest

from negotiator import Agent, BudgetSpent, CostPolicy, NegotiatorError
from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.messages import Reply, Request
from negotiator.models.base import Completion, Usage
from negotiator.models.scripted import ScriptedModel
from negotiator.serving import ExchangeContext
from negotiator.testing import World
from protocol_docs import as_data_uri, draft_document
from tests.negotiator.engine_world import TEXT, obj, offer_forecast

pytestmark = pytest.mark.anyio

IDENTITIES = 10_000
USD = 0.004
"""Of each model call."""
STRANGE = draft_document(
    name="Expected weather",
    description="The weather that is expected somewhere on a date",
    request_schema=obj(place=TEXT, when={"type": "string", "format": "date"}),
    reply_schema=obj(warmest=TEXT, outlook=TEXT),
    effect="safe",
)


class Priced(ScriptedModel):
    """A model whose calls cost money, and take a turn of the event loop, so that many are under way at once."""

    def __init__(self, usd: float = USD) -> None:
        self.usd, self.spent, self.at_once, self.most_at_once = usd, 0.0, 0, 0
        super().__init__(
            {
                "choose_tool": {"tool": "forecast"},
                "read_request": {"answer": {"city": "Rome", "day": "2026-11-24"}},
                "pair_fields": lambda _messages, schema: {
                    name: part["enum"][0] for name, part in schema["properties"].items()
                },
                "choose_fields": lambda _messages, schema: {
                    name: part["enum"][0] for name, part in schema["properties"].items()
                },
            }
        )

    async def complete(self, messages, **options) -> Completion:  # type: ignore[no-untyped-def, override]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await anyio.lowlevel.checkpoint()
        try:
            completion = await super().complete(messages, **options)
        finally:
            self.at_once -= 1
        self.spent += self.usd
        return Completion(text=completion.text, model="priced", usage=Usage(calls=1, usd=self.usd))


async def knock(server: Agent, number: int) -> str:
    """One request of one identity: in words, or under a document of its own spelling."""
    engine = server.engine
    if number % 3:
        request = Request(body=f"How warm is it in Rome? I am number {number}.")
    else:
        body = {"place": "Rome", "when": "2026-11-24"}
        request = Request(body=body, hashes=STRANGE.aliases, sources=(as_data_uri(STRANGE),))
    context = ExchangeContext(
        dialect="agora-2025", deadline=Deadline.after(60, engine.clock), principal=f"did:key:stranger-{number}"
    )
    try:
        reply: Reply = await answer(engine, request, context)
    except BudgetSpent:
        return "spent"
    except NegotiatorError as error:
        return type(error).__name__
    return reply.status


@pytest.mark.parametrize("together", [1, 100])
async def test_ten_thousand_identities_spend_no_more_than_the_strangers_budget(together: int) -> None:
    model = Priced()
    policy = CostPolicy(max_strangers_usd_per_day=1.0)
    async with World() as world:
        server = world.agent("server", model, cost_policy=policy)
        offer_forecast(server)
        outcomes: list[str] = []

        async def one(number: int) -> None:
            outcomes.append(await knock(server, number))

        for first in range(0, IDENTITIES, together):
            async with anyio.create_task_group() as group:
                for number in range(first, first + together):
                    group.start_soon(one, number)
        await world.settle()
        assert len(outcomes) == IDENTITIES
        assert outcomes.count("success") > 50, "the budget is there to be used"
        assert "spent" in outcomes
        assert model.spent <= policy.max_strangers_usd_per_day + 1e-9
        assert server.engine.ledger.strangers(server.engine.today).usd == pytest.approx(model.spent)
        if together > 1:
            assert model.most_at_once > 1, "requests were under way together"


async def test_a_budget_of_tomorrow_is_whole_again_and_routines_are_outside_of_it() -> None:
    model = Priced(usd=0.4)
    async with World() as world:
        server = world.agent("server", model, cost_policy=CostPolicy(max_strangers_usd_per_day=1.0))
        offer_forecast(server)
        assert await knock(server, 1) == "success"
        assert await knock(server, 2) == "spent"
        world.clock.advance(86_400)
        assert await knock(server, 4) == "success"


async def test_requests_that_begin_together_set_aside_what_the_dearest_one_cost() -> None:
    model = Priced(usd=0.1)
    async with World() as world:
        server = world.agent("server", model, cost_policy=CostPolicy(max_strangers_usd_per_day=1.0))
        offer_forecast(server)
        assert await knock(server, 1) == "success"
        outcomes: list[str] = []

        async def one(number: int) -> None:
            outcomes.append(await knock(server, number))

        async with anyio.create_task_group() as group:
            for number in range(1, 60, 3):
                group.start_soon(one, number)
        assert outcomes.count("success") == 4, "0.2 USD are gone, and each request costs as much"
        assert model.spent == pytest.approx(1.0)
