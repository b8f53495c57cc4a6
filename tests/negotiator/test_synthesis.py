"""From documents and schemas to candidates: by rule where rules know, else by the model, never without a check."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from negotiator import Agent
from negotiator.clock import Deadline
from negotiator.fitting import judge_sender, suitable_tool
from negotiator.ledger import Account
from negotiator.models.scripted import InTurn, ScriptedModel
from negotiator.synthesis import exact_receiver, make_receiver, make_sender
from negotiator.testing import World
from protocol_docs import ProtocolDocument, draft_document
from sandbox import SandboxUnavailable
from tests.negotiator.engine_world import (
    CITY_DAY,
    EXACT,
    FORECAST,
    OTHER,
    OTHER_VALUE,
    TEXT,
    obj,
    offer_booking,
    offer_forecast,
    oracle,
    write_fields,
    written,
)

pytestmark = pytest.mark.anyio

NUMBER = {"type": "integer"}
DOCUMENT = draft_document(
    name="forecast", description="Weather forecast", request_schema=CITY_DAY, reply_schema=FORECAST, effect="safe"
)  # fmt: skip
BY_PARTS = draft_document(
    name="forecast",
    description="Weather forecast",
    request_schema=obj(city=TEXT, y=NUMBER, m=NUMBER, d=NUMBER),
    reply_schema=FORECAST,
    effect="safe",
)
PROSE = ProtocolDocument.from_text("Send JSON with c and d, get JSON with h and s.\n")


async def make(agent: Agent, document: ProtocolDocument, task: object = OTHER) -> list[str]:
    engine = agent.engine
    objections = await make_sender(engine, task, document, Account(), Deadline.after(60, engine.clock))  # type: ignore[arg-type]
    return [each.kind for each in objections]


async def test_schemas_that_leave_no_choice_make_a_routine_that_serves_at_once(world: World) -> None:
    agent = world.agent("a")
    assert (await judge_sender(agent.engine, EXACT, DOCUMENT)).exact
    assert await make(agent, DOCUMENT, EXACT) == []
    (routine,) = agent.routines()
    assert (routine.serving, routine.verdict.basis, routine.made_by) == (True, "exact", "rules")


async def test_what_is_not_exact_is_a_candidate_and_needs_a_model_to_be_sure(world: World) -> None:
    without = world.agent("without")
    assert await make(without, DOCUMENT)
    assert without.routines() == []
    agent = world.agent("a", oracle())
    assert await make(agent, DOCUMENT) == []
    (routine,) = agent.routines()
    assert not routine.serving
    assert routine.verdict.basis == "examples_and_shadow"
    assert routine.verdict.firm > 0, "pairs that no shadowed exchange can confirm are named in the verdict"


async def test_a_safe_task_is_not_judged_to_fit_what_is_not_safe(world: World) -> None:
    unsafe = draft_document(
        name="f", description="F", request_schema=CITY_DAY, reply_schema=FORECAST, effect="transactional"
    )  # fmt: skip
    fit = await judge_sender(world.agent("a").engine, EXACT, unsafe)
    assert not fit.ready
    assert not (await judge_sender(world.agent("b").engine, EXACT, PROSE)).ready


async def test_written_code_is_tried_on_what_was_seen_before_it_is_kept(world: World) -> None:
    wrong = "```python\ndef encode(source):\n    return {'y': 'x', 'm': 1, 'd': 1}\n```"
    agent = world.agent("a", oracle(write_fields=wrong))
    agent.engine.observe(OTHER.digest, OTHER_VALUE)
    assert await make(agent, BY_PARTS) == ["other"]
    assert agent.routines() == []
    assert written(agent.engine.model) == 2  # type: ignore[arg-type]
    assert await make(agent, BY_PARTS) == ["other"], "and it is not paid for again so soon"
    assert written(agent.engine.model) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        "import os\n    return {'y': 1, 'm': 1, 'd': 1}",
        "return {'y': source.__class__, 'm': 1, 'd': 1}",
        "return open('/etc/passwd').read()",
        "return [1, 2]",
        "return {'y': 1}",
        "raise ValueError('no')",
    ],
)
async def test_code_that_does_what_it_may_not_is_never_kept(world: World, body: str) -> None:
    agent = world.agent("a", oracle(write_fields=f"def encode(source):\n    {body}\n"))
    agent.engine.observe(OTHER.digest, OTHER_VALUE)
    assert await make(agent, BY_PARTS) == ["other"]
    assert agent.routines() == []


async def test_code_that_loops_is_never_kept() -> None:
    async with World() as world:  # the sandbox keeps the machine's time
        agent = world.agent("a", oracle(write_fields="def encode(source):\n    while True:\n        pass\n"))
        agent.engine.observe(OTHER.digest, OTHER_VALUE)
        assert await make(agent, BY_PARTS) == ["other"]


async def test_a_mapping_that_cannot_carry_what_was_seen_is_left_to_code(world: World) -> None:
    """Whatever the words say, a pair is tried on the inputs that came."""
    document = draft_document(
        name="f",
        description="F",
        request_schema=obj(city=TEXT, count={"type": "integer", "description": "the number of days"}),
        reply_schema=FORECAST,
        effect="safe",
    )
    from negotiator import Task

    task = Task(
        "F",
        input=obj(city=TEXT, count={"type": "string", "description": "the number of days"}),
        output=FORECAST,
        effect="safe",
    )
    code = "def encode(source):\n    return {'count': 2}\n"
    agent = world.agent("a", ScriptedModel({"choose_fields": choose_namesakes, "write_fields": code}))
    agent.engine.observe(task.digest, {"city": "Rome", "count": "two"})
    assert await make(agent, document, task) == []
    (routine,) = agent.routines()
    assert routine.kind == "code"


def choose_namesakes(_messages: object, schema: dict[str, Any]) -> dict[str, str]:
    return {name: name if name in part["enum"] else "none" for name, part in schema["properties"].items()}


async def test_without_a_sandbox_no_model_is_asked_to_write_and_none_is_blamed(world: World) -> None:
    class Away:
        @property
        def level(self) -> None:
            raise SandboxUnavailable("none here")

    agent = world.agent("a", oracle(write_sender="def encode(task):\n    return {}\n"))
    agent.engine.executor = Away  # type: ignore[assignment]
    assert await make(agent, BY_PARTS) == ["other"]
    assert await make(agent, PROSE) == ["unclear"]
    assert written(agent.engine.model) == 0  # type: ignore[arg-type]
    assert agent.routines() == []


async def test_prose_gets_a_candidate_of_both_functions_or_an_objection(world: World) -> None:
    assert await make(world.agent("without"), PROSE) == ["unclear"]
    source = "def encode(task):\n    return {}\n\ndef decode(reply):\n    return {}\n"
    agent = world.agent("a", ScriptedModel({"write_sender": source}))
    assert await make(agent, PROSE) == []
    (routine,) = agent.routines()
    assert (routine.serving, routine.verdict.basis) == (False, "shadow_only")
    lazy = world.agent("lazy", ScriptedModel({"write_sender": "def encode(task):\n    return {}\n"}))
    assert await make(lazy, PROSE) == ["unclear"]


async def test_a_receivers_tool_is_found_by_rule_where_one_alone_fits(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    offer_booking(server)
    found = await suitable_tool(server.engine, DOCUMENT)
    assert found is not None
    assert found.name == "forecast"
    assert await suitable_tool(server.engine, PROSE) is None
    twin = server.engine.tools["forecast"]
    server.engine.tools["twin"] = replace(twin, name="twin")
    assert await suitable_tool(server.engine, DOCUMENT) is None, "two fit: a model has to say"


async def test_an_exact_receiver_is_made_at_sight_once(world: World) -> None:
    server = world.agent("server")
    offer_forecast(server)
    made = await exact_receiver(server.engine, DOCUMENT)
    assert made is not None
    assert made.routine.serving
    assert await exact_receiver(server.engine, DOCUMENT) is made
    server.engine.routines.demote(made.routine, "tried")
    again = await exact_receiver(server.engine, DOCUMENT)
    assert again is not None
    assert not again.routine.serving
    world.clock.advance(server.engine.cost_policy.no_agreement_seconds + 1)
    anew = await exact_receiver(server.engine, DOCUMENT)
    assert anew is not None
    assert anew.routine.serving


async def test_a_receiver_that_could_not_be_made_is_not_tried_with_every_request(world: World) -> None:
    model = ScriptedModel({"write_receiver": "words"})
    server = world.agent("server", model)
    offer_forecast(server)
    tool = server.engine.tools["forecast"]
    for _ in range(3):
        await make_receiver(server.engine, PROSE, tool, Account(), Deadline.after(60, world.clock))
    assert len(model.calls) == 2


async def test_strangers_schemas_are_compared_beside_the_loop_and_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from negotiator import engine

    real, threads = engine.infer_pair, []

    def infer(*pairs: object, **others: object) -> object:
        threads.append(threading.get_ident())
        return real(*pairs, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "infer_pair", infer)
    server = world.agent("server")
    offer_forecast(server)
    for _ in range(3):
        await suitable_tool(server.engine, BY_PARTS)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_schemas_that_are_long_compared_take_no_thread_of_a_tool(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from negotiator import engine
    from negotiator.answer import answer
    from negotiator.messages import Request
    from negotiator.proposals import document_of
    from negotiator.serving import ExchangeContext

    release, real = threading.Event(), engine.infer_pair

    def long(*pairs: object, **others: object) -> object:
        assert release.wait(30)
        return real(*pairs, **others)  # type: ignore[arg-type]

    server = world.agent("server")

    @server.tool(effect="safe", input=CITY_DAY, output=FORECAST, description="Weather forecast")
    def forecast(city: str, day: str) -> object:
        return {"high": "1", "summary": city}

    good = document_of(server.engine.tools["forecast"])
    context = ExchangeContext(dialect="agora-2025", deadline=Deadline.after(60, world.clock))
    request = Request(body={"city": "Rome", "day": "2026-11-24"}, hashes=good.aliases)
    server.engine.documents.put(good)
    assert (await answer(server.engine, request, context)).status == "success"
    monkeypatch.setattr(engine, "infer_pair", long)
    strange = [
        draft_document(name=f"x{number}", description="x", request_schema=obj(**{f"a{number}": TEXT}), reply_schema=FORECAST, effect="safe")
        for number in range(40)
    ]  # fmt: skip
    waiting = [asyncio.ensure_future(suitable_tool(server.engine, each)) for each in strange]
    await asyncio.sleep(0)
    assert (await answer(server.engine, request, context)).status == "success"
    release.set()
    await asyncio.gather(*waiting)


async def test_a_model_that_is_away_is_tried_again_soon(world: World) -> None:
    from negotiator import ModelUnavailable

    agent = world.agent("a", oracle(write_fields=ModelUnavailable("away")))
    with pytest.raises(ModelUnavailable):
        await make(agent, BY_PARTS)
    assert agent.engine.routines.wanted(BY_PARTS.hash, "sender", OTHER.digest)


async def test_what_failed_is_shown_to_the_model_once_with_its_line_and_the_repair_is_kept(world: World) -> None:
    wrong = "def encode(source):\n    day = source['when']\n    return {'y': int(day), 'm': 1, 'd': 1}\n"
    refused = "import os\n\ndef encode(source):\n    return {}\n"
    for first, said in ((wrong, "line 3"), (refused, "line 1")):
        agent = world.agent(f"a {said}", oracle(write_fields=InTurn(first, write_fields)))
        agent.engine.observe(OTHER.digest, OTHER_VALUE)
        assert await make(agent, BY_PARTS) == []
        asked = [call for call in agent.engine.model.calls if call.purpose == "write_fields"]  # type: ignore[attr-defined]
        assert [said in call.messages[1].content for call in asked] == [False, True]


async def test_code_that_contradicts_what_is_kept_is_told_where_and_not_what_was_right(world: World) -> None:
    from negotiator.evidence import Exchange, keep
    from negotiator.fitting import sender_half

    constant = "def encode(source):\n    return {'y': 2020, 'm': 1, 'd': 1}\n"
    agent = world.agent("a", oracle(write_fields=InTurn(constant, write_fields)))
    half = sender_half(agent.engine, OTHER, BY_PARTS)
    passed = {"city": "Rome", "y": 2026, "m": 11, "d": 24}
    output = {"warmest": "21", "outlook": "clear"}
    returned = {"high": "21", "summary": "clear"}
    keep(agent.engine.text, half.place, Exchange(given=OTHER_VALUE, passed=passed, returned=returned, made=output), 8)
    assert await make(agent, BY_PARTS) == []
    asked = [call for call in agent.engine.model.calls if call.purpose == "write_fields"]  # type: ignore[attr-defined]
    told = asked[1].messages[1].content.split("What went wrong")[1]
    assert "/y" in told
    assert "2026, " not in told
    assert agent.routines()[0].verdict.shadows == 1, "what is kept is an exchange that it agreed on"
