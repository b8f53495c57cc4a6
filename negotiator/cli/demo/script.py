"""Prepared answers in the place of a model: worked out from each prompt, so that they are right and never learned."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from negotiator.jsonvalue import JsonObject
from negotiator.models.base import Message
from negotiator.models.scripted import ScriptedModel, UnknownPrompt

_GIVEN: Final = re.compile(r"^- (place|when|celsius|sky)\b[^\n]*?: ([^\n:]+)$", re.MULTILINE)
"""A value as requests and replies in plain words give it."""
_OBJECT: Final = re.compile(r"^\{.*\}$", re.MULTILINE)
_WANTED: Final = re.compile(r"^def (\w+)\(", re.MULTILINE)

_PAIRS: Final = {"city": "place", "day": "when", "temperature_f": "celsius", "conditions": "sky"}
"""Of each target field, the source field that means the same."""

_ENCODE: Final = """\
```python
import datetime


def encode(source: dict) -> dict:
    day = datetime.datetime.strptime(source["when"], "%d %b %Y")
    return {"day": day.strftime("%Y-%m-%d")}
```
"""


def scripted() -> ScriptedModel:
    """A model that knows the demo's one task and nothing else."""
    return ScriptedModel(
        {
            "choose_tool": {"tool": "forecast"},
            "read_request": _from_words,
            "read_reply": _from_words,
            "encode_request": _from_json,
            "decode_reply": _from_json,
            "pair_fields": _pairs,
            "write_fields": _code,
        }
    )


def _from_words(messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    return _wanted(dict(_GIVEN.findall(messages[-1].content)), schema)


def _from_json(messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    return _wanted(json.loads(_OBJECT.findall(messages[-1].content)[-1]), schema)


def _pairs(_messages: Sequence[Message], schema: JsonObject | None) -> JsonObject:
    return {name: _PAIRS[name] for name in (schema or {})["properties"]}


def _code(messages: Sequence[Message], _schema: JsonObject | None) -> str:
    if _WANTED.findall(messages[-1].content) != ["encode"]:
        raise UnknownPrompt("the demo's script has code for encode() alone")
    return _ENCODE


def _wanted(given: dict[str, Any], schema: JsonObject | None) -> JsonObject:
    """The fields that are asked for, out of all that follow from what is given."""
    known: dict[str, Any] = dict(given)
    if "place" in given:
        known["city"] = given["place"]
    if "when" in given:
        known["day"] = datetime.strptime(given["when"], "%d %b %Y").date().isoformat()  # noqa: DTZ007 - a day
    if "celsius" in given:
        known["temperature_f"] = float(given["celsius"]) * 9 / 5 + 32
    if "sky" in given:
        known["conditions"] = given["sky"]
    asked = schema["anyOf"][0]["properties"]["answer"]["properties"] if schema else {}
    return {"answer": {name: known[name] for name in asked if name in known}}
