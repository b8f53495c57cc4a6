"""Functions for other frameworks, tools from them, and a host's model, as far as no framework is needed for it.

With each framework installed: tests/interop/test_frameworks.py.
"""

import asyncio
import inspect
import subprocess
import sys
import typing
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from negotiator import Agent, BadInput, ModelUnavailable, PeerUnreachable, Task, Tool, UsageError
from negotiator.clock import Deadline
from negotiator.errors import DeadlinePassed
from negotiator.frameworks.functions import MAX_NAME, Told, async_function
from negotiator.frameworks.host_model import HostModel, Said
from negotiator.frameworks.recognize import adapter_of
from negotiator.frameworks.toolset import tools_of
from negotiator.function_schemas import of_function
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models import open_model
from negotiator.models.base import Message, Model
from negotiator.models.scripted import ScriptedModel
from negotiator.schemas import Schema
from negotiator.testing import VirtualClock, World

pytestmark = pytest.mark.anyio


class Place(BaseModel):
    """Where."""

    city: Annotated[str, Field(description="The city.", min_length=1)]
    country: str | None = None


class Wanted(BaseModel):
    place: Place
    days: Annotated[int, Field(ge=1, le=7)] = 3
    unit: Literal["C", "F"] = "C"
    tags: list[str] | None = None
    note: str = Field(default="", description="Anything  else.")


class Forecast(BaseModel):
    high: float
    by_day: dict[str, float] = {}


FORECAST = Task("Weather forecast.", name="weather-forecast", input=Wanted, output=Forecast, effect="safe")


def function_of(schema: Any, name: str = "f", seen: list[JsonObject] | None = None) -> Any:
    async def run(arguments: JsonObject) -> JsonValue:
        if seen is not None:
            seen.append(arguments)
        return arguments

    told = Told(name=name, description="Do it.", input=Schema.of(schema), output=Schema({}))
    return async_function(told, run)


def test_a_function_has_the_signature_docstring_and_schemas_of_its_task() -> None:
    function = Agent(state="memory").as_tools(FORECAST)[0]
    assert inspect.iscoroutinefunction(function)
    assert function.__name__ == "weather_forecast"
    parameters = inspect.signature(function).parameters
    assert [*parameters] == ["place", "days", "unit", "tags", "note"]
    assert parameters["place"].default is inspect.Parameter.empty
    assert (parameters["days"].default, parameters["unit"].default, parameters["tags"].default) == (3, "C", None)
    hints = typing.get_type_hints(function)
    assert hints["days"] is int
    assert hints["unit"] == Literal["C", "F"]
    assert hints["tags"] == list[str] | None
    assert hints["place"].__required_keys__ == {"city"}
    assert (hints["return"].__required_keys__, hints["return"].__optional_keys__) == ({"high"}, {"by_day"})
    assert inspect.getdoc(function).splitlines()[:6] == [
        "Weather forecast.",
        "",
        "Args:",
        "    place: Where.",
        "    days: days",
        "    unit: unit",
    ]
    assert "    note: Anything else." in inspect.getdoc(function)
    assert function.input_schema == FORECAST.input.json_schema
    assert function.output_schema == FORECAST.output.json_schema


def test_what_reads_signatures_reads_the_same_schema_out_of_it_again() -> None:
    """Pydantic, and what stands on it, sees what the task said: names, types, needed ones, constraints, descriptions."""
    read = of_function(Agent(state="memory").as_tools(FORECAST)[0]).input.json_schema
    said = FORECAST.input.json_schema
    assert set(read["required"]) == set(said["required"])
    assert read["properties"]["days"]["maximum"] == 7
    assert read["properties"]["unit"]["enum"] == ["C", "F"]
    place = read["$defs"][read["properties"]["place"].get("$ref", "/Place").rsplit("/", 1)[-1]]
    assert place["properties"]["city"]["minLength"] == 1
    assert place["properties"]["city"]["description"] == "The city."


async def test_arguments_go_as_they_are_and_what_was_not_given_stays_absent() -> None:
    seen: list[JsonObject] = []
    function = function_of(Wanted, seen=seen)
    await function({"city": "Rome"}, days=2)
    await function(place=Place(city="Rome"), tags=None)
    assert seen == [{"place": {"city": "Rome"}, "days": 2}, {"place": {"city": "Rome", "country": None}, "tags": None}]
    with pytest.raises(TypeError):
        await function()


async def test_none_stands_for_absent_where_the_schema_has_no_null() -> None:
    seen: list[JsonObject] = []
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": ["integer", "null"]}},
    }
    await function_of(schema, seen=seen)(a=None, b=None)
    assert seen == [{"b": None}]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"not-a-name": {"type": "string"}}},
        {"type": "object", "properties": {"class": {"type": "string"}}},
        {"type": "object", "properties": {"_private": {"type": "string"}}},
    ],
)
async def test_what_cannot_be_parameters_is_one(schema: JsonObject) -> None:
    seen: list[JsonObject] = []
    function = function_of(schema, seen=seen)
    assert [*inspect.signature(function).parameters] == ["input"]
    await function({"not-a-name": "x"})
    assert seen == [{"not-a-name": "x"}]


@pytest.mark.parametrize(
    ("name", "made"),
    [("a b", "a_b"), ("7 days", "task_7_days"), ("class", "class_"), ("\u00fc", "task_"), ("x" * 99, "x" * MAX_NAME)],
)
def test_a_function_has_a_name_that_can_be_one(name: str, made: str) -> None:
    found = function_of({"type": "object"}, name).__name__
    assert found == made
    assert found.isidentifier()


SCALARS: dict[str, Any] = {
    "string": st.text(max_size=5),
    "integer": st.integers(-9, 9),
    "boolean": st.booleans(),
    "null": st.none(),
}
schemas = st.recursive(
    st.sampled_from(sorted(SCALARS)).map(lambda kind: {"type": kind}),
    lambda inner: st.one_of(
        inner.map(lambda each: {"type": "array", "items": each}),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda parts: {"type": "object", "properties": parts, "required": sorted(parts)[:1]}
        ),
        st.lists(inner, min_size=2, max_size=2).map(lambda two: {"anyOf": two}),
    ),
    max_leaves=8,
)


def values(schema: JsonObject) -> Any:
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if schema["type"] == "array":
        return st.lists(values(schema["items"]), max_size=2)
    if schema["type"] == "object":
        required = set(schema["required"])
        parts = {name: values(part) for name, part in schema["properties"].items()}
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in required},
            optional={name: part for name, part in parts.items() if name not in required},
        )
    return SCALARS[schema["type"]]


@given(st.data())
def test_what_fits_a_schema_fits_the_type_that_is_read_from_it_and_comes_out_unchanged(data: Any) -> None:
    part = data.draw(schemas)
    value = data.draw(values(part))
    seen: list[JsonObject] = []
    function = function_of({"type": "object", "properties": {"x": part}, "required": ["x"]}, seen=seen)
    hint = typing.get_type_hints(function, include_extras=True)["x"]
    read = TypeAdapter(hint).validate_python(value, strict=True)
    asyncio.run(function(read))
    assert seen == [{"x": value}]


async def test_a_task_is_asked_of_the_peer_that_is_named_or_of_one_that_is_known(world: World) -> None:
    server = world.agent("server")

    @server.tool(effect="safe", input=Wanted, output=Forecast, description=FORECAST.description)
    def forecast(**wanted: Any) -> Forecast:
        return Forecast(high=wanted["days"])

    caller = world.agent("caller")
    named = caller.as_tools(FORECAST, peer="mem://server")[0]
    assert await named(place={"city": "Rome"}, days=2) == {"high": 2.0, "by_day": {}}
    caller.know("mem://server")
    assert (await caller.as_tools(FORECAST)[0](place={"city": "Rome"}))["high"] == 3.0
    with pytest.raises(BadInput):
        await named(place={"city": "Rome"}, days=9)
    with pytest.raises(PeerUnreachable):
        await caller.as_tools(FORECAST, peer="mem://nobody")[0](place={"city": "Rome"})


async def test_without_a_task_what_the_agent_offers_and_what_finds_and_runs_all_it_knows(world: World) -> None:
    server = world.agent("server", publish="all")
    server.tool(effect="safe", name="far")(double)
    near = world.agent("near", peers=["mem://server"])
    near.tool(effect="transactional")(double)
    tools = {each.__name__: each for each in near.as_tools()}
    assert [*tools] == ["double", "find_task", "run_task"]
    assert await tools["double"](number=4) == 8
    found = (await tools["find_task"](query="double a number"))["tasks"]
    far = next(each["task"] for each in found if each["where"] == "mem://server")
    assert (await tools["run_task"](task=far, input={"number": 5}))["output"] == 10
    with pytest.raises(BadInput):
        await tools["double"](number="four")


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


def test_sync_functions_are_for_programs_without_an_event_loop() -> None:
    agent = Agent(state="memory")
    agent.tool(effect="safe")(double)
    function = agent.as_tools(sync=True)[0]
    assert not inspect.iscoroutinefunction(function)
    assert function(number=4) == 8
    assert "def called" in inspect.getsource(function), "some frameworks read it"
    agent.close()


def test_tools_of_every_kind_are_taken_and_effects_are_said_of_all_or_by_name() -> None:
    def other(number: int) -> int:
        return number

    made = Tool.of(lambda number: number, name="third", input={"type": "object"}, effect="safe")
    agent = Agent.from_tools([double, [other], {"x": made}], effect={"double": "safe"}, state="memory", name="n")
    assert {name: tool.effect for name, tool in agent.engine.tools.items()} == {
        "double": "safe",
        "other": "transactional",
        "third": "safe",
    }
    assert agent.engine.name == "n"
    assert [tool.effect for tool in tools_of([double, other], "safe")] == ["safe", "safe"]


@pytest.mark.parametrize("given", [[3], "text", [double, double], [None]])
def test_what_is_no_tool_or_is_there_already_is_refused(given: Any) -> None:
    with pytest.raises(UsageError):
        Agent.from_tools(given, state="memory")


def test_a_program_s_own_package_that_is_called_agents_is_no_framework() -> None:
    own = type("Own", (), {"__module__": "agents.mine", "__call__": lambda self, text: text})()
    assert adapter_of(own) is None
    assert Agent(respond=own, state="memory").engine.own_words is not None


def test_no_framework_is_imported_before_one_of_its_objects_is_handed_in() -> None:
    code = (
        "import sys; from negotiator import Agent; agent = Agent(respond=lambda text: text, state='memory');"
        "agent.as_tools();"
        "found = {'langchain_core', 'langgraph', 'pydantic_ai', 'agents', 'smolagents'} & set(sys.modules);"
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# --- a host's model ---


def model(clock: VirtualClock, say: Any) -> HostModel:
    async def ask(messages: Any, max_tokens: int, deadline: Deadline) -> Said:
        return await say(messages)

    return HostModel("somebody/gpt-5-mini", ask, clock)


async def test_a_hosts_model_is_told_the_schema_in_words_and_its_use_is_counted(world: World) -> None:
    heard: list[Any] = []

    async def say(messages: Any) -> Said:
        heard.append(messages)
        return Said('{"a": 1}', 100, 10)

    made = model(world.clock, say)
    assert isinstance(made, Model)
    deadline = Deadline.after(5, world.clock)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    completion = await made.complete(
        [Message("system", "S"), Message("user", "U")], purpose="p", schema=schema, deadline=deadline
    )
    assert completion.text == '{"a": 1}'
    assert (completion.usage.calls, completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1, 100, 10)
    assert completion.usage.usd is not None, "its price is that of the model of this name"
    assert "JSON Schema" in heard[0][0].content
    assert heard[0][1].content == "U"


async def test_what_a_hosts_model_raises_is_a_model_that_is_away(world: World) -> None:
    async def say(messages: Any) -> Said:
        raise RuntimeError("quota of account 12345")

    with pytest.raises(ModelUnavailable) as caught:
        await model(world.clock, say).complete(
            [Message("user", "U")], purpose="p", deadline=Deadline.after(5, world.clock)
        )
    assert "12345" not in str(caught.value)


async def test_a_hosts_model_that_does_not_answer_is_left_at_the_deadline(world: World) -> None:
    begun = asyncio.Event()

    async def say(messages: Any) -> Said:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    deadline = Deadline.after(5, world.clock)
    asking = asyncio.ensure_future(
        model(world.clock, say).complete([Message("user", "U")], purpose="p", deadline=deadline)
    )
    await begun.wait()
    world.clock.advance(6)
    with pytest.raises(DeadlinePassed):
        await asking


@pytest.mark.parametrize("given", [3, object(), double])
def test_what_is_no_model_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="model"):
        open_model(given)


def test_a_model_of_ours_is_taken_as_it_is() -> None:
    made = ScriptedModel({})
    assert open_model(made) is made
