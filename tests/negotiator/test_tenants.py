"""Whom a worker process serves: one document and one class of peers."""

from typing import Any, Unpack

import pytest

from negotiator.answer import answer
from negotiator.clock import Deadline
from negotiator.messages import PeerClass, Request
from negotiator.routines import Routine, Verdict
from negotiator.running import tenant_of
from negotiator.serving import ANONYMOUS, ExchangeContext
from negotiator.shelf import RoutineShelf
from negotiator.testing import VirtualClock, World
from protocol_docs import MemoryTextStore, as_data_uri, draft_document
from sandbox import POLICY_VERSION, Level, Options
from sandbox.cache import RoutineCache
from sandbox.trusted import Trusted
from tests.negotiator.engine_world import EAGER, OTHER, OTHER_VALUE, SERVER, obj, offer_forecast_by_parts, oracle

pytestmark = pytest.mark.anyio

TEXT = {"type": "string"}


class Noting:
    """An executor that notes for whom it was to run."""

    name = "noting"
    level = Level.FULL

    def __init__(self) -> None:
        self.tenants: list[str] = []
        self._trusted = Trusted()

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        raise AssertionError("an agent waits for its routines")

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        self.tenants.append(options.get("tenant", ""))
        return await self._trusted.arun(source, data, **options)

    def check(self, source: str, *, entry: str = "handle") -> None:
        self._trusted.check(source, entry=entry)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(("principal", "peer"), [(ANONYMOUS, "stranger"), ("did:web:example.org", "known")])
async def test_who_has_proved_nothing_shares_no_process_with_who_has(
    world: World, principal: str, peer: PeerClass
) -> None:
    noting = Noting()
    server = world.agent("server", executor=noting)
    document = draft_document(
        name="Shout", description="Shouts", request_schema=obj(text=TEXT), reply_schema=obj(text=TEXT), effect="safe"
    )
    server.engine.routines.put(
        Routine(
            protocol_hash=document.hash,
            role="receiver",
            kind="code",
            key_digest=server.engine.toolset,
            source="def handle(request):\n    return {'text': request['text'].upper()}\n",
            whole=True,
            state="serving",
            verdict=Verdict(passed=True, basis="shadow_only", sandbox_policy=POLICY_VERSION),
        )
    )
    request = Request(body={"text": "a"}, hashes=document.aliases, sources=(as_data_uri(document),))
    context = ExchangeContext(
        dialect="agora-2025", deadline=Deadline.after(60, server.engine.clock), principal=principal
    )
    reply = await answer(server.engine, request, context)
    assert reply.body == {"text": "A"}
    assert noting.tenants == [tenant_of(document.hash, peer)]


async def test_a_caller_tries_code_on_values_of_its_own_in_one_process_and_serves_in_another(world: World) -> None:
    noting = Noting()
    offer_forecast_by_parts(world.agent("server", oracle(), cost_policy=EAGER))
    caller = world.agent("caller", oracle(), cost_policy=EAGER, executor=noting)
    outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    await world.settle()
    tried = len(noting.tenants)
    for _ in range(8):
        outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
        await world.settle()
    assert outcome.tier == "routine"
    assert noting.tenants[-1] == tenant_of(outcome.protocol_hash or "", "known")
    assert set(noting.tenants) == {tenant_of(outcome.protocol_hash or "", peer) for peer in ("own", "known")}
    assert tried < len(noting.tenants)


def test_a_tenant_is_a_document_and_a_class_of_peers() -> None:
    classes: tuple[PeerClass, ...] = ("own", "known", "stranger")
    assert len({tenant_of(document, peer) for document in ("sha256:1", "sha256:2") for peer in classes}) == 6


def test_a_thousand_routines_are_taken_from_the_cache_without_running_or_compiling_any() -> None:
    async def run(*_: object, **__: object) -> None:
        raise AssertionError("nothing is run here")

    store = MemoryTextStore()
    routines = [
        Routine(
            protocol_hash=f"sha256:{number:064x}",
            role="receiver",
            kind="code",
            key_digest="d",
            source=f"def handle(request):\n    return {number}\n",
            whole=True,
            state="serving",
            verdict=Verdict(passed=True, basis="shadow_only", sandbox_policy=POLICY_VERSION),
        )
        for number in range(1000)
    ]
    shelf = RoutineShelf(RoutineCache(store, [b"s" * 32], now=VirtualClock().time), run)
    for routine in routines:
        shelf.put(routine)
    again = RoutineShelf(RoutineCache(store, [b"s" * 32], now=VirtualClock().time), run)
    for routine in routines:
        found = again.serving(routine.protocol_hash, "receiver", "d")
        assert found is not None
        assert found.routine == routine
