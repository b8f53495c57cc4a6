"""Fields that a task's schema does not name are refused, and not lost on the way."""

import pytest

from negotiator import BadInput, Task
from negotiator.closing import closed
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.testing import World
from tests.negotiator.engine_world import TEXT, obj

PART: JsonObject = {"type": "object", "properties": {"a": TEXT}}


@pytest.mark.parametrize(
    ("schema", "fits", "refused"),
    [
        (PART, {"a": "1"}, {"a": "1", "b": "2"}),
        ({"type": "object", "properties": {"data": PART}}, {"data": {}}, {"data": {"b": "2"}}),
        ({"type": "object", "properties": {"rows": {"type": "array", "items": PART}}}, {"rows": [{}]}, {"rows": [{"b": 1}]}),
        ({"type": "object", "properties": {"d": {"$ref": "#/$defs/D"}}, "$defs": {"D": PART}}, {"d": {}}, {"d": {"b": 1}}),
        ({"type": "object", "properties": {"d": {"anyOf": [PART, {"type": "null"}]}}}, {"d": None}, {"d": {"b": 1}}),
    ],
)  # fmt: skip
def test_a_task_is_asked_with_the_fields_that_its_schema_names_and_no_others(
    schema: JsonObject, fits: JsonValue, refused: JsonValue
) -> None:
    task = Task("Send", input=schema, output={})
    task.check_input(fits)
    with pytest.raises(BadInput):
        task.check_input(refused)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "object"}, {"b": 1}),
        ({**PART, "additionalProperties": True}, {"a": "1", "b": 2}),
        ({**PART, "additionalProperties": {"type": "integer"}}, {"b": 2}),
        ({**PART, "patternProperties": {"^x-": {}}}, {"x-b": 2}),
        ({"allOf": [{"$ref": "#/$defs/D"}, {"properties": {"b": {}}}], "$defs": {"D": PART}}, {"a": "1", "b": 2}),
        ({"type": "object", "properties": {"properties": PART}}, {"properties": {"a": "1"}}),
    ],
)
def test_what_a_schema_leaves_open_outright_or_is_made_of_several_stays_open(
    schema: JsonObject, value: JsonValue
) -> None:
    Task("Send", input=schema, output={}).check_input(value)


def test_what_was_closed_already_is_the_same() -> None:
    assert closed(obj(a=TEXT)) == obj(a=TEXT)


@pytest.mark.anyio
async def test_nothing_is_left_out_of_a_request_without_a_word() -> None:
    schema = {"type": "object", "properties": {"data": PART}, "required": ["data"]}
    calls: list[JsonObject] = []
    async with World() as world:
        server, asker = world.agent("server"), world.agent("asker")

        @server.tool(input=schema, output={"type": "object"}, description="Send some data")
        def send(**given: JsonValue) -> JsonObject:
            calls.append(given)
            return {}

        task = Task("Send some data", input=schema, output={"type": "object"}, name="send")
        with pytest.raises(BadInput) as refused:
            await asker.ask("mem://server", task, {"data": {"a": "1", "b": "2"}})
    ((where, why),) = refused.value.violations
    assert where == "/data"
    assert "b" in why
    assert calls == []
