"""The live functions of BFCL as tools, with their questions and right calls.

Their types are those of several languages: `dict`, `float`, `tuple` and `any` are put into JSON Schema's words here.
Names of functions that are no identifiers get an underscore for what is not allowed in one.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.data import DataMissing
from benchmarks.errands import Offer
from benchmarks.fetch_bfcl import PARTS
from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.schemas import Schema

TYPES: Final = {"dict": "object", "hashmap": "object", "float": "number", "tuple": "array", "list": "array"}
GIVES: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "accepted": {"type": "boolean", "description": "Whether the call was accepted"},
        "reference": {"type": "string", "description": "Under which the call is known from now on"},
    },
    "required": ["accepted", "reference"],
    "additionalProperties": False,
}
"""What every function answers here: the data set has calls and no results."""
OMITTED: Final = ""
"""Among the values that are right for a parameter: it may be left out."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the data set."""

    id: str
    text: str
    offered: tuple[Offer, ...]
    """All functions that it may be answered with."""
    right: Mapping[str, Any]
    """Parameter -> the values that are right; objects in them have lists of right values again."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function, with the questions that are answered by it."""

    offer: Offer
    questions: tuple[Question, ...]


def read_functions(folder: Path) -> tuple[list[Function], int]:
    """The functions in the order of the data set, and how many questions were left out. Raises `DataMissing`.

    Left out are those whose function is no JSON Schema even so, or whose right call does not fit it or cannot be read.
    """
    found: dict[str, list[Question]] = {}
    offers: dict[str, Offer] = {}
    left_out = 0
    for part in PARTS:
        if not (folder / "possible_answer" / part).is_file():
            raise DataMissing(f"{folder} has no {part}: run python -m benchmarks fetch bfcl --data {folder.parent}")
        truths = {row["id"]: row["ground_truth"] for row in _rows(folder / "possible_answer" / part)}
        for row in _rows(folder / part):
            made = _question(row, truths.get(row["id"], []))
            if made is None:
                left_out += 1
                continue
            offer, question = made
            key = json.dumps([offer.name, offer.description, offer.takes], sort_keys=True)
            offers.setdefault(key, offer)
            found.setdefault(key, []).append(question)
    return [Function(offers[key], tuple(questions)) for key, questions in found.items()], left_out


def _rows(path: Path) -> Iterable[Any]:
    return (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _question(row: JsonObject, truth: list[JsonObject]) -> tuple[Offer, Question] | None:
    text = "\n".join(str(said["content"]) for said in row["question"][0])
    try:
        offered = tuple(_offer(each) for each in row["function"])
        ((name, right),) = truth[0].items()
        offer = next(each for each in offered if each.name == _identifier(name))
        schema = Schema.of(offer.takes)
    except (UsageError, StopIteration, IndexError, ValueError):
        return None
    question = Question(row["id"], text, offered, right)
    call = first_right(question)
    return (offer, question) if schema.is_valid(call) and is_right(question.right, call) else None


def first_right(question: Question) -> JsonObject:
    """A right call: of each parameter the first right value, and none where the first is that it is left out."""
    made: JsonObject = _first(dict(question.right))
    return made


def _first(value: Any) -> JsonValue:
    if isinstance(value, list):
        return [_first(each) for each in value]
    if not isinstance(value, dict):
        return value
    chosen = {name: allowed[0] for name, allowed in value.items() if isinstance(allowed, list) and allowed}
    return {name: _first(one) for name, one in chosen.items() if one != OMITTED}


def is_right(right: Mapping[str, Any], called: Mapping[str, Any]) -> bool:
    """Whether a call is one of the right ones, as the data set's own checker has it for calls without order."""
    if not set(called) <= set(right):
        return False
    return all(
        any(_same(one, called[name]) for one in allowed) if name in called else OMITTED in allowed
        for name, allowed in right.items()
    )


def _same(right: Any, given: Any) -> bool:
    if isinstance(right, dict) and isinstance(given, dict):
        return is_right({name: each if isinstance(each, list) else [each] for name, each in right.items()}, given)
    if isinstance(right, list) and isinstance(given, list):
        return len(right) == len(given) and all(map(_same, right, given))
    if isinstance(right, str) and isinstance(given, str):
        return _plain(right) == _plain(given)
    return isinstance(right, bool) == isinstance(given, bool) and bool(right == given)


def _plain(text: str) -> str:
    """The data set's checker looks past case, spaces and these marks."""
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')


def _offer(function: JsonObject) -> Offer:
    return Offer(
        name=_identifier(str(function["name"])),
        description=" ".join(str(function["description"]).split()),
        takes={**_schema(function["parameters"]), "additionalProperties": False},
        gives=GIVES,
        effect="safe",
    )


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _schema(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    made: JsonObject = {}
    for word, value in part.items():
        if word == "type" and isinstance(value, str):
            kind = TYPES.get(value.lower(), value.lower())
            if kind != "any":
                made[word] = kind
        elif word == "properties" and isinstance(value, dict):
            made[word] = {name: _schema(each) for name, each in value.items()}
        elif word in ("items", "additionalProperties"):
            made[word] = _schema(value)
        elif word in ("description", "enum", "required"):
            made[word] = value
        # Defaults are the function's own business: to leave a parameter out says what they say.
    return made
