"""Code that a model wrote runs at the level that was asked for, or not at all; and which one it was is said."""

import logging
from contextlib import nullcontext
from typing import Any, Unpack

import pytest

from negotiator import Agent, Outcome, UsageError
from negotiator.testing import World
from sandbox import STRANGERS, AtLeast, Level, Options, SandboxUnavailable, open_executor
from sandbox.trusted import Trusted
from tests.negotiator.engine_world import (
    EAGER,
    OTHER,
    OTHER_OUTPUT,
    OTHER_VALUE,
    SERVER,
    offer_forecast_by_parts,
    oracle,
    written,
)

pytestmark = pytest.mark.anyio


class At:
    """An executor that says it is at a level; it runs nothing but what `Trusted` does."""

    name = "stated"

    def __init__(self, level: Level) -> None:
        self.level = level
        self.calls = 0
        self._trusted = Trusted()

    def run(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        self.calls += 1
        return self._trusted.run(source, data, **options)

    async def arun(self, source: str, data: Any, **options: Unpack[Options]) -> Any:
        self.calls += 1
        return await self._trusted.arun(source, data, **options)

    def check(self, source: str, *, entry: str = "handle") -> None:
        self._trusted.check(source, entry=entry)

    def close(self) -> None:
        pass


def details(outcome: Outcome) -> str:
    return "\n".join(step.detail for step in outcome.trace)


async def asked_for_dates_in_parts(world: World, times: int = 8, **options: Any) -> tuple[Agent, list[Outcome]]:
    """A caller whose half needs code, and what its requests came to."""
    offer_forecast_by_parts(world.agent("server", oracle(), cost_policy=EAGER))
    caller = world.agent("caller", oracle(), cost_policy=EAGER, **options)
    outcomes = []
    for _ in range(times):
        outcomes.append(await caller.ask(SERVER, OTHER, OTHER_VALUE))
        await world.settle()
    return caller, outcomes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"executor": At(Level.NO_LANDLOCK)}, "the executor stated, at the level no_landlock"),
        ({"executor": At(Level.NO_LANDLOCK), "sandbox_level": "no_landlock"}, "stated, at the level no_landlock"),
        ({"executor": "trusted"}, "the executor trusted, at the level trusted"),
    ],
)
async def test_code_runs_at_the_level_that_will_do_and_the_trace_names_it(
    world: World, options: dict[str, Any], said: str
) -> None:
    _, outcomes = await asked_for_dates_in_parts(world, **options)
    assert outcomes[-1].tier == "routine"
    assert said in details(outcomes[-1])


@pytest.mark.parametrize("level", [Level.NO_LANDLOCK, Level.MONTY, Level.PROCESS_ONLY, Level.TRUSTED])
async def test_below_the_level_no_code_is_written_and_every_request_is_answered(world: World, level: Level) -> None:
    weak = At(level)
    caller, outcomes = await asked_for_dates_in_parts(world, 4, executor=weak, sandbox_level="full")
    assert {outcome.tier for outcome in outcomes} <= {"natural_language", "structured"}
    assert [outcome.json for outcome in outcomes] == [OTHER_OUTPUT] * 4
    assert written(caller.engine.model) == 0  # type: ignore[arg-type]
    assert weak.calls == 0
    assert all(routine.kind == "mapping" for routine in caller.routines())


async def test_a_routine_that_was_made_on_a_stronger_machine_is_not_run_and_not_demoted(world: World) -> None:
    caller, outcomes = await asked_for_dates_in_parts(world, executor=At(Level.FULL))
    assert outcomes[-1].tier == "routine"
    weak = At(Level.PROCESS_ONLY)
    caller._executor = AtLeast(STRANGERS, weak)
    outcome = await caller.ask(SERVER, OTHER, OTHER_VALUE)
    assert outcome.json == OTHER_OUTPUT
    assert outcome.tier != "routine"
    assert "process_only, and monty is asked for" in details(outcome)
    assert weak.calls == 0
    assert [routine.state for routine in caller.routines() if routine.kind == "code"] == ["serving"]


def test_strangers_code_runs_by_default_where_every_probe_of_the_self_test_is_held() -> None:
    assert {level for level in Level if level.meets(STRANGERS)} == {Level.FULL, Level.NO_LANDLOCK, Level.MONTY}
    assert Agent(state="memory")._executor.floor is STRANGERS


@pytest.mark.parametrize("options", [{"executor": "docker"}, {"sandbox_level": "strong"}])
def test_names_that_there_are_not_are_the_callers_mistake(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(options.values()))):
        Agent(state="memory", **options)


def test_executors_are_opened_by_name_one_of_each() -> None:
    for name in ("locked", "trusted"):
        assert open_executor(name) is open_executor(name)
        assert open_executor(name).name == name


@pytest.mark.parametrize(
    ("level", "floor", "logged", "said"),
    [
        (Level.FULL, Level.FULL, logging.INFO, "code routines run in the executor stated, at the level full"),
        (Level.TRUSTED, Level.TRUSTED, logging.WARNING, "run in the executor stated, at the level trusted"),
        (Level.NO_SECCOMP, STRANGERS, logging.WARNING, "no code runs here: stated is at the level no_seccomp"),
    ],
)
def test_which_executor_serves_is_one_line_on_the_log(
    level: Level, floor: Level, logged: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "sandbox")
    executor = AtLeast(floor, At(level))
    for _ in range(3):
        with nullcontext() if level.meets(floor) else pytest.raises(SandboxUnavailable, match=said):
            executor.run("def handle(data):\n    return data", 1)
    (line,) = [record for record in caplog.records if record.name == "sandbox"]
    assert line.levelno == logged
    assert said in line.getMessage()
