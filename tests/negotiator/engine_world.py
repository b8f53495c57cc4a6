"""What the engine's tests talk about: a forecast in two vocabularies, and a model that knows both."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from negotiator import Agent, CostPolicy, Task
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel
from negotiator.testing import World

SERVER = "mem://server"
WORDS_FIRST = CostPolicy(agree_first=False, documents_of_askers=False)
"""Talk in words first, and let each asker make its own half for the server's document."""
EAGER = replace(WORDS_FIRST, agreement_in_interpreted=1.0)
"""The same, and agree after the first interpreted exchange."""

TEXT = {"type": "string"}


def obj(**properties: JsonValue) -> JsonObject:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


CITY_DAY = obj(city=TEXT, day={"type": "string", "format": "date"})
FORECAST = obj(high=TEXT, summary=TEXT)

EXACT = Task("Weather forecast for a city and a day", input=CITY_DAY, output=FORECAST, effect="safe", name="forecast")
"""The server's own words: no model is needed."""
EXACT_VALUE = {"city": "Rome", "day": "2026-11-24"}

OTHER_INPUT = obj(
    place={"type": "string", "description": "name of the city"},
    when={"type": "string", "format": "date", "description": "the day"},
)
OTHER_FORECAST = obj(
    warmest={"type": "string", "description": "the high of the day"},
    outlook={"type": "string", "description": "a summary in words"},
)
OTHER = Task(
    "The weather that is expected somewhere on a date",
    input=OTHER_INPUT,
    output=OTHER_FORECAST,
    effect="safe",
    name="expected_weather",
)
"""Another vocabulary for it, which a mapping carries once a model has said what means what."""
OTHER_VALUE = {"place": "Rome", "when": "2026-11-24"}
OTHER_OUTPUT = {"warmest": "21", "outlook": "sunny in Rome on 2026-11-24"}

BOOKING = obj(room=TEXT, night={"type": "string", "format": "date"})
BOOKED = obj(reference=TEXT)
BOOK = Task("Book a room for a night", input=BOOKING, output=BOOKED, effect="transactional", name="book")
BOOK_VALUE = {"room": "12", "night": "2026-11-24"}


def offer_forecast(agent: Agent) -> list[JsonObject]:
    """A safe tool; returns the list of its calls."""
    calls: list[JsonObject] = []

    @agent.tool(
        effect="safe",
        inline=True,
        input=CITY_DAY,
        output=FORECAST,
        description="Weather forecast for a city and a day",
    )
    def forecast(city: str, day: str) -> JsonObject:
        calls.append({"city": city, "day": day})
        return {"high": "21", "summary": f"sunny in {city} on {day}"}

    return calls


def offer_forecast_by_parts(agent: Agent) -> list[JsonObject]:
    """A safe tool that takes a date in three parts, which no mapping makes of one."""
    calls: list[JsonObject] = []
    number = {"type": "integer"}

    @agent.tool(
        effect="safe",
        inline=True,
        input=obj(city=TEXT, y=number, m=number, d=number),
        output=FORECAST,
        description="Weather forecast for a city and a day",
    )
    def forecast(**given: Any) -> JsonObject:
        calls.append(given)
        day = f"{given['y']:04d}-{given['m']:02d}-{given['d']:02d}"
        return {"high": "21", "summary": f"sunny in {given['city']} on {day}"}

    return calls


def offer_booking(agent: Agent) -> list[JsonObject]:
    """A transactional tool; returns the list of its calls."""
    calls: list[JsonObject] = []

    @agent.tool(
        effect="transactional", inline=True, input=BOOKING, output=BOOKED, description="Book a room for a night"
    )
    def book(room: str, night: str) -> JsonObject:
        calls.append({"room": room, "night": night})
        return {"reference": f"{room}/{night}/{len(calls)}"}

    return calls


# What each field of either vocabulary says, given what is known.
_SAYS = {
    "place": lambda known: known["city"],
    "city": lambda known: known["city"],
    "when": lambda known: known["day"],
    "day": lambda known: known["day"],
    "y": lambda known: int(known["day"][:4]),
    "m": lambda known: int(known["day"][5:7]),
    "d": lambda known: int(known["day"][8:10]),
    "high": lambda known: known["high"],
    "warmest": lambda known: known["high"],
    "summary": lambda known: known["summary"],
    "outlook": lambda known: known["summary"],
    "room": lambda known: known["room"],
    "chamber": lambda known: known["room"],
    "night": lambda known: known["night"],
    "evening": lambda known: known["night"],
    "reference": lambda known: known["reference"],
    "ticket": lambda known: known["reference"],
}
_MEANS = {
    "place": "city", "city": "city", "when": "day", "day": "day", "high": "high", "warmest": "high",
    "summary": "summary", "outlook": "summary", "room": "room", "chamber": "room", "night": "night",
    "evening": "night", "reference": "reference", "ticket": "reference",
}  # fmt: skip
_PYTHON = {
    "place": 'source["city"]',
    "city": 'source["place"]',
    "y": 'int(source["when"][:4])',
    "m": 'int(source["when"][5:7])',
    "d": 'int(source["when"][8:10])',
    "when": '"{0}-{1:02d}-{2:02d}".format(source["y"], source["m"], source["d"])',
    "warmest": 'source["high"]',
    "outlook": 'source["summary"]',
    "high": 'source["warmest"]',
    "summary": 'source["outlook"]',
    "room": 'source["chamber"]',
    "night": 'source["evening"]',
    "ticket": 'source["reference"]',
}
_FENCED = re.compile(r"<<<begin data (\w+)\n(.*?)\n<<<end data \1", re.DOTALL)


def known_from(value: JsonObject) -> JsonObject:
    """What a value in either vocabulary says, in one."""
    known = {_MEANS[name]: item for name, item in value.items() if name in _MEANS}
    if "y" in value:
        known["day"] = f"{value['y']:04d}-{value['m']:02d}-{value['d']:02d}"
    return known


def _fenced(messages: Sequence[Message]) -> list[str]:
    return [text for _, text in _FENCED.findall(messages[1].content)]


def _asked(schema: JsonObject) -> list[str]:
    return list(schema["anyOf"][0]["properties"]["answer"].get("properties", {}))


def fill(messages: Sequence[Message], schema: JsonObject) -> JsonValue:
    known = known_from(orjson.loads(_fenced(messages)[-1]))
    return {"answer": {name: _SAYS[name](known) for name in _asked(schema)}}


def read_words(messages: Sequence[Message], schema: JsonObject) -> JsonValue:
    lines = dict(re.findall(r"^- (\w+)[^:\n]*: (.+)$", _fenced(messages)[-1], re.MULTILINE))
    known = known_from(lines)
    return {"answer": {name: _SAYS[name](known) for name in _asked(schema) if name in _SAYS}}


def choose_tool(messages: Sequence[Message], schema: JsonObject) -> JsonValue:
    words = set(re.findall(r"\w+", _fenced(messages)[-1].lower()))
    tools = dict(re.findall(r"^- (\w+): (.*)$", messages[1].content, re.MULTILINE))
    tools = {name: text for name, text in tools.items() if name in schema["properties"]["tool"]["enum"]}
    return {"tool": max(tools, key=lambda name: len(words & set(re.findall(r"\w+", tools[name].lower()))))}


def choose_fields(_messages: Sequence[Message], schema: JsonObject) -> JsonValue:
    def chosen(name: str, part: JsonObject) -> str:
        same = [other for other in part["enum"] if other != "none" and _MEANS.get(other, other) == _MEANS.get(name)]
        return same[0] if same else "none"

    return {name: chosen(name, part) for name, part in schema["properties"].items()}


def write_fields(messages: Sequence[Message], _schema: JsonObject | None) -> str:
    text = messages[1].content
    name = re.search(r"^def (\w+)\(", text, re.MULTILINE)
    asked = re.findall(r"^- (\w+) \(", text.split("Target fields to return:")[1], re.MULTILINE)
    body = ", ".join(f'"{field}": {_PYTHON[field]}' for field in asked)
    return f"```python\ndef {name[1] if name else ''}(source):\n    return {{{body}}}\n```"


ORACLE: dict[str, Any] = {
    "choose_tool": choose_tool,
    "choose_fields": choose_fields,
    "pair_fields": choose_fields,
    "read_request": read_words,
    "read_reply": read_words,
    "encode_request": fill,
    "decode_reply": fill,
    "decode_request": fill,
    "encode_reply": fill,
    "write_fields": write_fields,
}


def oracle(**changed: Any) -> ScriptedModel:
    """A model that answers as it should, but for `changed`."""
    return ScriptedModel({**ORACLE, **changed})


def written(model: ScriptedModel, function: str = "encode") -> int:
    """How often the model was asked to write this function."""
    return sum(f"def {function}(" in call.messages[1].content for call in model.calls)


async def until_routine(world: World, caller: Agent, task: Task, value: JsonValue, most: int = 12) -> list[str]:
    """Ask until both sides answer by routine; the tiers on the way, `<ours>/<theirs>`."""
    tiers: list[str] = []
    for _ in range(most):
        outcome = await caller.ask(SERVER, task, value)
        tiers.append(f"{outcome.tier}/{outcome.peer_tier}")
        if tiers[-1] == "routine/routine":
            break
        await world.settle()
    return tiers
