"""SGD and SGD-X as services: schemas of two vocabularies, recorded calls, and the gold renaming between them.

Schema-Guided Dialogue and its robustness variants, Google, CC BY-SA 4.0. Variant files hold the same services,
slots and intents in the same order with other names, which gives the gold renaming by index.
"""

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.data import DataMissing

MAX_ROWS = 3
"""Rows of one reply here."""


@dataclass(frozen=True)
class Pair:
    """One (service, method) in the server's and the client's vocabulary."""

    service: str
    method: str
    description: str
    """The server's words for the method."""
    takes: dict[str, Any]
    gives: dict[str, Any]
    client_description: str
    client_takes: dict[str, Any]
    client_gives: dict[str, Any]
    transactional: bool
    names: dict[str, str]
    """Gold: the server's slot name -> the client's."""
    calls: tuple[dict[str, Any], ...]
    """Recorded calls: {parameters, results}, in the server's names."""
    defaults: dict[str, str] = field(default_factory=dict)
    """What the service takes an optional parameter to be where it is not given."""

    def meant(self, parameters: dict[str, Any]) -> str:
        """The call that parameters mean: a default that is given says no more than one that is not."""
        kept = {name: value for name, value in parameters.items() if self.defaults.get(name) != value}
        return json.dumps(kept, sort_keys=True)

    def ask(self, call: dict[str, Any]) -> dict[str, Any]:
        """What the client asks, in its own names."""
        return {self.names[name]: value for name, value in call["parameters"].items()}

    def expected(self, call: dict[str, Any]) -> dict[str, Any]:
        """The right answer, in the client's names."""
        rows = [{self.names[name]: value for name, value in row.items()} for row in call["results"][:MAX_ROWS]]
        return {"results": rows}


def split_directory(data: Path, split: str) -> Path:
    """The folder of one split, under `data` or `data/sgd`."""
    for found in (data / "sgd" / split, data / split):
        if (found / "schema_v0.json").is_file():
            return found
    raise DataMissing(f"there is no SGD split {split!r} under {data}; fetch it with: python -m benchmarks fetch sgd")


def load_pairs(
    directory: Path, *, variant: int, pairs: int, requests: int, seed: int, every: bool = False
) -> list[Pair]:
    """`pairs` pairs over as many services as there are, each with `requests` recorded calls, or with `every` all of them.

    Services take turns in a seeded order; methods with too few recorded calls are left out. Slots are shuffled in
    both schemas, so that their order says nothing.
    """
    chance = random.Random(seed)
    servers = json.loads((directory / "schema_v0.json").read_text(encoding="utf-8"))
    clients = json.loads((directory / f"schema_v{variant}.json").read_text(encoding="utf-8"))
    recorded: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in (directory / "calls.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        recorded.setdefault((call["service"], call["method"]), []).append(call)
    queues: list[list[Pair]] = []
    for server, client in zip(servers, clients, strict=True):
        queue = []
        for at, intent in enumerate(server["intents"]):
            calls = _distinct(recorded.get((server["service_name"], intent["name"]), []), intent["optional_slots"])
            required = set(intent["required_slots"])
            calls = [call for call in calls if required <= call["parameters"].keys()]
            if len(calls) >= requests:
                chosen = tuple(calls if every else chance.sample(calls, requests))
                queue.append(_pair(server, client, at, chosen, chance))
        chance.shuffle(queue)
        queues.append(queue)
    chance.shuffle(queues)
    taken: list[Pair] = []
    while len(taken) < pairs and any(queues):
        for queue in queues:
            if queue and len(taken) < pairs:
                taken.append(queue.pop())
    return taken


def _distinct(calls: list[dict[str, Any]], defaults: dict[str, str]) -> list[dict[str, Any]]:
    """One recording per parameters: the first wins, as the answers must be a function of the call."""
    seen: dict[str, dict[str, Any]] = {}
    for call in calls:
        kept = {name: value for name, value in call["parameters"].items() if defaults.get(name) != value}
        seen.setdefault(json.dumps(kept, sort_keys=True), call)
    return list(seen.values())


def _pair(
    server: dict[str, Any],
    client: dict[str, Any],
    at: int,
    calls: tuple[dict[str, Any], ...],
    chance: random.Random,
) -> Pair:
    intent, asked = server["intents"][at], client["intents"][at]
    names = {one["name"]: other["name"] for one, other in zip(server["slots"], client["slots"], strict=True)}
    return Pair(
        service=server["service_name"],
        method=intent["name"],
        description=f"{intent['description']} ({server['description']})",
        takes=_input(server, intent, chance),
        gives=_output(server, intent, chance),
        client_description=f"{asked['description']} ({client['description']})",
        client_takes=_input(client, asked, chance),
        client_gives=_output(client, asked, chance),
        transactional=bool(intent["is_transactional"]),
        names=names,
        calls=calls,
        defaults=dict(intent["optional_slots"]),
    )


def _input(service: dict[str, Any], intent: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    names = [*intent["required_slots"], *intent["optional_slots"]]
    return _object(service, names, intent["required_slots"], chance)


def _output(service: dict[str, Any], intent: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    row = _object(service, intent["result_slots"], intent["result_slots"], chance)
    return {
        "type": "object",
        "properties": {"results": {"type": "array", "items": row, "maxItems": MAX_ROWS}},
        "required": ["results"],
        "additionalProperties": False,
    }


def _object(
    service: dict[str, Any],
    names: list[str],
    required: list[str],
    chance: random.Random,
) -> dict[str, Any]:
    slots = {slot["name"]: slot for slot in service["slots"]}
    # "dontcare" is SGD's value for an optional slot that may be anything; it is recorded in results too.
    optional = {name for intent in service["intents"] for name in intent["optional_slots"]}
    properties = {}
    shuffled = sorted(names)
    chance.shuffle(shuffled)
    for name in shuffled:
        field: dict[str, Any] = {"type": "string", "description": slots[name]["description"]}
        if slots[name]["is_categorical"]:
            field["enum"] = [*slots[name]["possible_values"], *(["dontcare"] if name in optional else [])]
        properties[name] = field
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }
