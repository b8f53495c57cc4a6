"""Shadow runs: a candidate earns its verdict on exchanges that were answered already."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negotiator import Agent, CostPolicy, shadow
from negotiator.comparison import same
from negotiator.evidence import Exchange
from negotiator.fitting import receiver_half, sender_half
from negotiator.jsonvalue import JsonValue
from negotiator.routines import Routine, Verdict
from negotiator.testing import World
from protocol_docs import ProtocolDocument
from sandbox import POLICY_VERSION
from tests.negotiator.engine_world import EXACT, EXACT_VALUE, offer_booking, oracle

pytestmark = pytest.mark.anyio

DOCUMENT = ProtocolDocument.from_text("Send city and day as JSON, get high and summary as JSON.\n")
SOURCE = """
def encode(task):
    return {"c": task["city"], "d": task["day"]}

def decode(reply):
    return {"high": reply["h"], "summary": reply["s"]}
"""
SENT, RECEIVED = {"c": "Rome", "d": "2026-11-24"}, {"h": "21", "s": "sunny"}
OUTPUT = {"high": "21", "summary": "sunny"}


def candidate(agent: Agent, basis: str = "shadow_only", source: str = SOURCE) -> Routine:
    from negotiator.routines import Direction

    routine = Routine(
        protocol_hash=DOCUMENT.hash,
        role="sender",
        kind="code",
        key_digest=EXACT.digest,
        into=Direction(entry="encode"),
        back=Direction(entry="decode"),
        source=source,
        verdict=Verdict(passed=False, basis=basis, sandbox_policy=POLICY_VERSION),  # type: ignore[arg-type]
    )
    agent.engine.routines.put(routine)
    return routine


async def observe(agent: Agent, sent: JsonValue = SENT, received: JsonValue = RECEIVED, output: JsonValue = OUTPUT) -> None:  # fmt: skip
    exchange = Exchange(given=EXACT_VALUE, passed=sent, returned=received, made=output)
    await shadow.observe(agent.engine, sender_half(agent.engine, EXACT, DOCUMENT), exchange)


async def observe_booking(agent: Agent, body: JsonValue, arguments: JsonValue) -> None:
    half = receiver_half(agent.engine, DOCUMENT, agent.engine.tools["book"])
    exchange = Exchange(given=body, passed=arguments, returned={"reference": "r"}, made={"ticket": "r"})
    await shadow.observe(agent.engine, half, exchange)


def now(agent: Agent) -> Routine:
    (routine,) = agent.routines()
    return routine


async def test_three_agreements_in_a_row_and_it_serves(world: World) -> None:
    agent = world.agent("a", oracle())
    candidate(agent)
    for shadows in (1, 2):
        await observe(agent)
        assert (now(agent).state, now(agent).verdict.shadows) == ("candidate", shadows)
    await observe(agent)
    assert now(agent).serving


async def test_a_miss_starts_the_count_anew_and_too_many_drop_it(world: World) -> None:
    agent = world.agent("a", oracle())
    candidate(agent)
    await observe(agent)
    await observe(agent)
    await observe(agent, sent={"c": "Oslo", "d": "2026-11-24"})
    assert (now(agent).verdict.shadows, now(agent).verdict.misses) == (0, 1)
    await observe(agent, output={"high": "22", "summary": "sunny"})
    assert now(agent).state == "candidate"
    await observe(agent, received={"nothing": 1})
    assert now(agent).state == "demoted"
    for _ in range(5):
        await observe(agent)
    assert now(agent).state == "demoted"


async def test_free_text_is_no_evidence_for_a_document_without_schemas(world: World) -> None:
    agent = world.agent("a", oracle())
    candidate(agent, source=SOURCE.replace('reply["h"]', '"21"').replace('reply["s"]', '"sunny"'))
    for _ in range(5):
        await observe(agent, received="It will be sunny and 21.")
    assert (now(agent).state, now(agent).verdict.shadows, now(agent).verdict.misses) == ("candidate", 0, 0)


async def test_comparisons_that_run_at_once_are_all_counted(world: World) -> None:
    agent = world.agent("a", oracle(), cost_policy=CostPolicy(shadow_exchanges=5))
    candidate(agent)
    await asyncio.gather(*(observe(agent) for _ in range(4)))
    assert now(agent).verdict.shadows == 4


async def test_a_comparison_under_way_does_not_bring_a_demoted_routine_back(world: World) -> None:
    agent = world.agent("a", oracle())
    routine = candidate(agent)
    observing = asyncio.ensure_future(observe(agent))
    await asyncio.sleep(0)
    agent.engine.routines.demote(routine, "meanwhile")
    await observing
    assert now(agent).state == "demoted"


async def test_a_comparison_of_a_program_that_was_replaced_does_not_count_for_the_new_one(world: World) -> None:
    agent = world.agent("a", oracle())
    candidate(agent)
    observing = asyncio.ensure_future(observe(agent))
    await asyncio.sleep(0)
    candidate(agent, source=SOURCE + "\n# another\n")
    await observing
    assert now(agent).verdict.shadows == 0
    await observe(agent)
    assert now(agent).verdict.shadows == 1


async def test_two_processes_on_one_disk_count_together_and_undo_nothing(world: World, tmp_path: object) -> None:
    one, other = (world.agent(name, oracle(), state=str(tmp_path)) for name in ("one", "other"))
    candidate(one)
    for _ in range(2):
        await observe(one)
    assert other.engine.routines.get(DOCUMENT.hash, "sender", EXACT.digest) is not None
    await observe(one)
    assert now(other).serving
    await observe(other)
    assert now(one).serving, "the other's older view of it as a candidate is not written back"
    one.engine.routines.demote(now(one), "failed there")
    runnable = other.engine.routines.serving(DOCUMENT.hash, "sender", EXACT.digest)
    assert runnable is None, "what one process demotes serves nowhere"
    third = world.agent("third", state=str(tmp_path))
    assert third.engine.routines.serving(DOCUMENT.hash, "sender", EXACT.digest) is None


async def test_shadow_runs_of_a_receiver_call_no_tool(world: World) -> None:
    agent = world.agent("a", oracle())
    calls = offer_booking(agent)
    source = """
def handle(request):
    return {"ticket": book(room=request["chamber"], night="2026-11-24")["reference"]}
"""
    agent.engine.routines.put(
        Routine(
            protocol_hash=DOCUMENT.hash,
            role="receiver",
            kind="code",
            key_digest=agent.engine.toolset,
            source=source,
            whole=True,
            verdict=Verdict(passed=False, basis="shadow_only", sandbox_policy=POLICY_VERSION),
        )
    )
    body, arguments = {"chamber": "12"}, {"room": "12", "night": "2026-11-24"}
    for _ in range(3):
        await observe_booking(agent, body, arguments)
    assert now(agent).serving
    assert calls == []


async def test_a_receiver_that_calls_twice_or_not_at_all_does_not_agree(world: World) -> None:
    for body in (
        '    return {"ticket": "r"}',
        '    book(room="12", night="2026-11-24")\n' * 2 + '    return {"ticket": "r"}',
    ):
        agent = world.agent("a", oracle())
        offer_booking(agent)
        agent.engine.routines.put(
            Routine(
                protocol_hash=DOCUMENT.hash,
                role="receiver",
                kind="code",
                key_digest=agent.engine.toolset,
                source=f"def handle(request):\n{body}\n",
                whole=True,
                verdict=Verdict(passed=False, basis="shadow_only", sandbox_policy=POLICY_VERSION),
            )
        )
        arguments = {"room": "12", "night": "2026-11-24"}
        await observe_booking(agent, {}, arguments)
        assert now(agent).verdict.misses == 1


values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-1e6, 1e6) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(value=values, other=values)
def test_same_is_symmetric_and_holds_for_a_value_itself(value: JsonValue, other: JsonValue) -> None:
    assert same(value, value)
    assert same(value, other) == same(other, value)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (0.1 + 0.2, 0.3, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        ({"a": None}, {}, True),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        ([1], [1, None], False),
        ([], {}, False),
        (None, {}, False),
        ("a", "A", False),
        (21.0, 21.1, False),
    ],
)
def test_what_is_the_same(one: JsonValue, other: JsonValue, expected: bool) -> None:
    assert same(one, other) is expected
