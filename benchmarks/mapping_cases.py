"""SGD-X as cases for mapping inference: schemas of both sides, what is true of them, and verdicts.

A client speaks one of the five variants, the server the original words, and the order of both is shuffled. From
either side some slots may be missing, which makes the rest of the case harder: what is near to a missing field is
tempting, and has to be left alone.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from negotiator.jsonvalue import JsonObject, JsonValue
from negotiator.mapping import Inference, PairInference
from negotiator.mapping.examples import Examples
from negotiator.mapping.layout import Direction

VARIANTS = (1, 2, 3, 4, 5)
Removal = Literal["none", "target", "source", "both"]
REMOVALS: tuple[Removal, ...] = get_args(Removal)
"""`target`: a fifth of the fields that are mapped to, in request and reply; `source`: a fifth of those that are mapped
from, so that required fields have no counterpart; `both`: a fifth of each side's slots, in request and reply alike."""
_REMOVED = 0.2
EXAMPLES = 8
"""Recorded calls that each side has seen, where examples are asked for: never the same ones."""
Verdict = Literal["right", "wrong", "incomplete", "refused", "impossible"]


@dataclass(frozen=True)
class Case:
    """One (service, intent, variant)."""

    service: str
    intent: str
    variant: int
    description: str
    request: tuple[JsonObject, JsonObject]
    """(client, server)"""
    reply: tuple[JsonObject, JsonObject]
    """(server, client)"""
    gold: dict[str, str]
    """The client's slot -> the server's."""
    examples: dict[Direction, Examples] = field(default_factory=dict)

    def gold_of(self, direction: Direction) -> dict[str, str]:
        """The target's slot -> the source's."""
        return {theirs: ours for ours, theirs in self.gold.items()} if direction == "request" else self.gold

    def sides(self, direction: Direction) -> tuple[JsonObject, JsonObject]:
        """The objects that hold the slots: source and target."""
        if direction == "request":
            return self.request
        source, target = (schema["properties"]["results"]["items"] for schema in self.reply)
        return source, target


def cases(
    directory: Path, *, remove: Removal = "none", seed: int = 0, examples: bool = False, variants: Any = VARIANTS
) -> Iterator[Case]:
    """All cases of one split, in the order of its files.

    Args:
        directory: of the split.
        remove: which slots are missing.
        seed: of shuffling and removing.
        examples: whether both sides have seen values: each half of the recorded calls, at most `EXAMPLES`.
        variants: of the client's words.
    """
    servers = json.loads((directory / "schema_v0.json").read_text(encoding="utf-8"))
    recorded = _recorded(directory) if examples else {}
    for variant in variants:
        clients = json.loads((directory / f"schema_v{variant}.json").read_text(encoding="utf-8"))
        for server, client in zip(servers, clients, strict=True):
            pairs = zip(client["slots"], server["slots"], strict=True)
            gold = {one["name"]: other["name"] for one, other in pairs}
            for ours, theirs in zip(client["intents"], server["intents"], strict=True):
                chance = random.Random(f"{seed} {variant} {server['service_name']} {theirs['name']}")
                gone = [_gone(side, chance) if remove == "both" else set() for side in (client, server)]
                lost = [_gone(side, chance) if remove in ("target", "source") else set() for side in (client, server)]
                # In a request the server's fields are the target, in a reply the client's.
                asked, told = (lost, lost[::-1]) if remove == "source" else (lost[::-1], lost)
                seen = _examples(recorded.get((server["service_name"], theirs["name"]), []), gold, chance)
                yield Case(
                    server["service_name"],
                    theirs["name"],
                    variant,
                    f"{theirs['description']} ({server['description']})",
                    (
                        _request(client, ours, gone[0] | (asked[0] if remove == "source" else set()), chance),
                        _request(server, theirs, gone[1] | (asked[0] if remove == "target" else set()), chance),
                    ),
                    (
                        _reply(server, theirs, gone[1] | (told[0] if remove == "source" else set()), chance),
                        _reply(client, ours, gone[0] | (told[0] if remove == "target" else set()), chance),
                    ),
                    gold,
                    seen if examples else {},
                )


def _gone(side: dict[str, Any], chance: random.Random) -> set[str]:
    return {slot["name"] for slot in side["slots"] if chance.random() < _REMOVED}


def _recorded(directory: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for line in (directory / "calls.jsonl").read_text(encoding="utf-8").splitlines():
        call = json.loads(line)
        found.setdefault((call["service"], call["method"]), []).append(call)
    return found


def _examples(calls: list[dict[str, Any]], gold: dict[str, str], chance: random.Random) -> dict[Direction, Examples]:
    """What each side has seen, of calls that the other has not."""
    picked = chance.sample(calls, min(len(calls), 2 * EXAMPLES))
    halves = picked[: len(picked) // 2], picked[len(picked) // 2 :]
    names = {theirs: ours for ours, theirs in gold.items()}

    def renamed(row: dict[str, Any]) -> JsonObject:
        return {names[name]: value for name, value in row.items() if name in names}

    def replies(half: list[dict[str, Any]], *, client: bool) -> list[JsonValue]:
        return [{"results": [renamed(row) if client else row for row in call["results"][:3]]} for call in half]

    return {
        "request": Examples([renamed(call["parameters"]) for call in halves[0]], [c["parameters"] for c in halves[1]]),
        "reply": Examples(replies(halves[1], client=False), replies(halves[0], client=True)),
    }


def _request(side: dict[str, Any], intent: dict[str, Any], gone: set[str], chance: random.Random) -> JsonObject:
    return _object(side, [*intent["required_slots"], *intent["optional_slots"]], intent["required_slots"], gone, chance)


def _reply(side: dict[str, Any], intent: dict[str, Any], gone: set[str], chance: random.Random) -> JsonObject:
    row = _object(side, intent["result_slots"], intent["result_slots"], gone, chance)
    return {"type": "object", "properties": {"results": {"type": "array", "items": row}}, "required": ["results"]}


def _object(
    side: dict[str, Any], names: list[str], required: list[str], gone: set[str], chance: random.Random
) -> JsonObject:
    slots = {slot["name"]: slot for slot in side["slots"]}
    optional = {name for intent in side["intents"] for name in intent["optional_slots"]}
    kept = sorted(set(names) - gone)
    chance.shuffle(kept)
    properties: JsonObject = {}
    for name in kept:
        properties[name] = {"type": "string", "description": slots[name]["description"]}
        if slots[name]["is_categorical"]:
            either = ["dontcare"] if name in optional else []
            properties[name]["enum"] = [*slots[name]["possible_values"], *either]
    return {"type": "object", "properties": properties, "required": sorted(set(required) & set(kept))}


def judge(found: Inference, case: Case, direction: Direction) -> Verdict:
    """What a whole mapping of one direction is worth.

    Right: offered, and every target field that has a counterpart is read from it. Wrong: offered with any field read
    from another. Impossible: refused, as a required field has no counterpart.
    """
    (source, target), gold = case.sides(direction), case.gold_of(direction)
    given, wanted = set(source["properties"]), target["properties"]
    if found.mapping is None:
        return "refused" if is_possible(case, direction) else "impossible"
    mapped = _mapped(found)
    if any(gold.get(name) != origin for name, origin in mapped.items()):
        return "wrong"
    return "right" if all(name in mapped for name in wanted if gold[name] in given) else "incomplete"


def is_possible(case: Case, direction: Direction) -> bool:
    """Whether there is a mapping: every required field has its source, and nothing that is always said is lost."""
    (source, target), gold = case.sides(direction), case.gold_of(direction)
    if any(gold[name] not in source["properties"] for name in target["required"]):
        return False
    placed = {gold[name] for name in target["properties"]}
    return direction == "reply" or all(name in placed for name in source["required"])


def _mapped(found: Inference) -> dict[str, str]:
    mapped = {match.target.rsplit("/", 1)[1]: match.source.rsplit("/", 1)[1] for match in found.matches}
    mapped.pop("results", None)
    return mapped


def judge_pair(case: Case, found: PairInference) -> tuple[Verdict, Verdict]:
    """The verdicts on request and reply."""
    return judge(found.request, case, "request"), judge(found.reply, case, "reply")


def worse(one: Verdict, other: Verdict) -> Verdict:
    """The verdict on a pair: as bad as its worse half."""
    order: tuple[Verdict, ...] = ("wrong", "impossible", "refused", "incomplete", "right")
    return min(one, other, key=order.index)


@dataclass(frozen=True)
class FieldVerdict:
    """One target field, and the best source that was found for it."""

    has_counterpart: bool
    margin: float | None
    """None where no source was found at all."""
    right: bool
    basis: str = "words"


def judge_fields(case: Case, found: PairInference) -> list[FieldVerdict]:
    """Each target field of request and reply, whatever the margin that was asked for."""
    verdicts = []
    for direction, inference in (("request", found.request), ("reply", found.reply)):
        (source, target), gold = case.sides(direction), case.gold_of(direction)  # type: ignore[arg-type]
        matches = {match.target.rsplit("/", 1)[1]: match for match in (*inference.matches, *inference.doubtful)}
        for name in target["properties"]:
            match = matches.get(name)
            origin = match.source.rsplit("/", 1)[1] if match else None
            verdicts.append(
                FieldVerdict(
                    gold[name] in source["properties"],
                    match.margin if match else None,
                    origin == gold[name],
                    match.basis if match else "words",
                )
            )
    return verdicts


def counted(verdicts: list[Verdict]) -> Counter[str]:
    """Verdicts with their number as `n`."""
    return Counter({**Counter(verdicts), "n": len(verdicts)})
