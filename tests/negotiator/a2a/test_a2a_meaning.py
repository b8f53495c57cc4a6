"""What a message over A2A asks, before anything is done about it."""

from negotiator.a2a import meaning
from negotiator.dialects.a2a.objects import Message, data_part
from negotiator.task import Tool


def tools_of(number: int) -> dict[str, Tool]:
    made = {}
    for at in range(number):

        def one(value: list[int]) -> int:
            return len(value)

        one.__name__ = f"tool_{at}"
        made[one.__name__] = Tool.of(one, effect="safe")
    return made


def message(value: object, **metadata: object) -> Message:
    return Message(id="m", speaker="user", parts=(data_part({"value": value}),), metadata=metadata)


def test_what_names_no_skill_is_held_against_few_schemas_where_it_is_large(monkeypatch):
    held = []
    restored = meaning.restored
    monkeypatch.setattr(meaning, "restored", lambda value, schema: held.append(schema) or restored(value, schema))
    large = [1.0] * 20_000
    asked = meaning.read(message(large), {}, tools_of(40), lambda _: None)
    assert (held, asked.in_words) == ([], True)
    asked = meaning.read(message(large), {}, tools_of(1), lambda _: None)
    assert asked.direct
    assert asked.request.body["input"] == {"value": [1] * 20_000}
    asked = meaning.read(message(large, skill="tool_3", skillId="tool_3"), {}, tools_of(40), lambda _: None)
    assert asked.request.body["task"] == "tool_3"
    held.clear()
    assert meaning.read(message([1.0]), {}, tools_of(40), lambda _: None).in_words
    assert len(held) == 40
