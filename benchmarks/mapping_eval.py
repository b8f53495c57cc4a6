"""How good mapping inference is on SGD-X: a client in each of five vocabularies, a server in the original one.

For each (service, intent), the request from the client's slots to the server's and the reply the other way, with
the slots shuffled. Right: every field that has a counterpart is mapped to it. Wrong: a mapping is offered with any
field from another than its counterpart. Refused: no mapping is offered. Impossible: a required field has no
counterpart, and it was refused.

    python -m benchmarks.mapping_eval --data DIR --split dev [--remove target] [--model WEIGHTS.gguf] [--fit]
"""

import argparse
import json
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import data_directory
from benchmarks.scenarios.sgdx_data import split_directory
from negotiator.jsonvalue import JsonObject
from negotiator.mapping import Inference, PairInference, Thresholds, infer_pair, merge, question_for
from negotiator.mapping.likeness import BIAS, FEATURES, WEIGHTS, evidence
from negotiator.mapping.problem import Problem, state_problem
from negotiator.mapping.words import rarity

VARIANTS = (1, 2, 3, 4, 5)
_REMOVED = 0.2
"""Of the slots, where some are removed."""


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


def cases(directory: Path, *, remove: str = "none", seed: int = 0) -> Iterator[Case]:
    """All cases of one split.

    Args:
        directory: of the split.
        remove: `none`; `target` removes a fifth of the server's request slots and of the client's reply slots;
            `both` a fifth of each side's slots, in request and reply alike.
        seed: of shuffling and removing.
    """
    servers = json.loads((directory / "schema_v0.json").read_text(encoding="utf-8"))
    for variant in VARIANTS:
        clients = json.loads((directory / f"schema_v{variant}.json").read_text(encoding="utf-8"))
        for server, client in zip(servers, clients, strict=True):
            pairs = zip(client["slots"], server["slots"], strict=True)
            gold = {one["name"]: other["name"] for one, other in pairs}
            for ours, theirs in zip(client["intents"], server["intents"], strict=True):
                chance = random.Random(f"{seed} {variant} {server['service_name']} {theirs['name']}")
                gone = [_gone(side, chance) if remove == "both" else set() for side in (client, server)]
                lost = [_gone(side, chance) if remove == "target" else set() for side in (client, server)]
                yield Case(
                    server["service_name"],
                    theirs["name"],
                    variant,
                    f"{theirs['description']} ({server['description']})",
                    (_request(client, ours, gone[0], chance), _request(server, theirs, gone[1] | lost[1], chance)),
                    (_reply(server, theirs, gone[1], chance), _reply(client, ours, gone[0] | lost[0], chance)),
                    gold,
                )


def _gone(side: dict[str, Any], chance: random.Random) -> set[str]:
    return {slot["name"] for slot in side["slots"] if chance.random() < _REMOVED}


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


def judge(found: Inference, source: JsonObject, target: JsonObject, gold: dict[str, str]) -> str:
    """One direction's verdict; `gold` names the source's field for each of the target's."""
    given, wanted = set(source["properties"]), target["properties"]
    if found.mapping is None:
        blocked = any(gold[name] not in given for name in target["required"])
        if any(match.target.endswith("/-/results") for match in found.matches):
            return "refused"
        return "impossible" if blocked or _drops(found, source, target, gold) else "refused"
    mapped = {match.target.rsplit("/", 1)[1]: match.source.rsplit("/", 1)[1] for match in found.matches}
    mapped.pop("results", None)
    if any(gold[name] != origin for name, origin in mapped.items()):
        return "wrong"
    return "right" if all(name in mapped for name in wanted if gold[name] in given) else "incomplete"


def _drops(found: Inference, source: JsonObject, target: JsonObject, gold: dict[str, str]) -> bool:
    """Whether a request could only be sent by leaving out what is always given."""
    if any(match.target == "/results" for match in found.matches):
        return False
    placed = {gold[name] for name in target["properties"]}
    return any(name not in placed for name in source["required"])


def judge_pair(case: Case, found: PairInference) -> tuple[str, str]:
    """The verdicts on request and reply."""
    back = {theirs: ours for ours, theirs in case.gold.items()}
    rows = [schema["properties"]["results"]["items"] for schema in case.reply]
    request = judge(found.request, *case.request, back)
    reply = judge(found.reply, rows[0], rows[1], case.gold)
    return request, reply


def both(request: str, reply: str) -> str:
    """The verdict on a pair: as bad as its worse half."""
    order = ("wrong", "impossible", "refused", "incomplete", "right")
    return min(request, reply, key=order.index)


def evaluate(
    directory: Path,
    *,
    remove: str,
    thresholds: Thresholds,
    ask: "Callable[[PairInference, str], list[Any]] | None" = None,
    show: bool = False,
) -> dict[str, Counter[str]]:
    """Verdicts counted, by variant and together."""
    counted: dict[str, Counter[str]] = {}
    for case in cases(directory, remove=remove):
        found = infer_pair(case.request, case.reply, thresholds=thresholds)
        verdicts = judge_pair(case, found)
        if ask is not None and not found.complete and question_for(found) is not None:
            before = verdicts
            found = merge(found, ask(found, case.description))
            verdicts = judge_pair(case, found)
            if show:
                print(f"  asked: {case.service} {case.intent} v{case.variant}: {before} -> {verdicts}", flush=True)
        if show and "wrong" in verdicts:
            print(f"  wrong: {case.service} {case.intent} v{case.variant}: {verdicts}")
        for name in (f"v{case.variant}", "all"):
            counter = counted.setdefault(name, Counter())
            counter.update((f"request {verdicts[0]}", f"reply {verdicts[1]}", f"pair {both(*verdicts)}", "n"))
    return counted


def print_table(counted: dict[str, Counter[str]]) -> None:
    """A line a variant; shares are of the pairs that a mapping is possible for."""
    words = ("right", "wrong", "incomplete", "refused", "impossible")
    print(f"{'':6}{'n':>5}  {'':10}" + "".join(f"{word:>12}" for word in words))
    for name, counter in counted.items():
        for kind in ("request", "reply", "pair"):
            line = "".join(f"{counter[f'{kind} {word}'] / counter['n']:12.3f}" for word in words)
            print(f"{name:6}{counter['n']:5}  {kind:10}{line}")


def local_model(weights: Path, orders: int) -> "Callable[[PairInference, str], list[Any]]":
    """A function that asks a GGUF model in this process, `orders` times with the fields in other orders."""
    # OpenMP reads these when it is loaded: threads that spin starve a busy machine.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ["GOMP_SPINCOUNT"] = "0"
    import xllamacpp  # noqa: PLC0415 - after the environment is set

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.n_ctx = 4096
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 2
    params.fit_params = params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)

    def ask(found: PairInference, description: str) -> list[Any]:
        answers = []
        for order in range(orders):
            question = question_for(found, description=description, order=order)
            if question is None:
                continue
            body = {
                "messages": [
                    {"role": "system", "content": question.system},
                    {"role": "user", "content": question.user},
                ],
                "temperature": 0,
                "max_tokens": question.max_tokens,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "fields", "strict": True, "schema": question.schema},
                },
            }
            try:
                answers.append(json.loads(server.handle_chat_completions(body)["choices"][0]["message"]["content"]))
            except (ValueError, KeyError):
                answers.append(None)
        return answers

    return ask


def fit(directory: Path, *, steps: int = 120, pull: float = 0.002) -> tuple[list[float], float]:
    """The weights of the evidence that make the gold pairing likeliest, by gradient descent.

    Each slot's partner is one of the other side's slots or none; fitted in both directions, over whole schemas and
    over such with a fifth of the slots removed. Pure Python: some minutes.
    """
    problems = [
        _evidence_of(case) for remove in ("none", "target", "both") for case in cases(directory, remove=remove, seed=1)
    ]
    weights = [0.0] * len(FEATURES) + [0.0]
    momentum, spread = [0.0] * len(weights), [0.0] * len(weights)
    for step in range(1, steps + 1):
        slope = [pull * weight for weight in weights[:-1]] + [0.0]
        count = sum(len(rows) + len(rows[0]) for rows, _ in problems if rows)
        for rows, gold in problems:
            for at, total in enumerate(_slope(rows, gold, weights)):
                slope[at] += total / count
        for at, value in enumerate(slope):
            momentum[at] = 0.9 * momentum[at] + 0.1 * value
            spread[at] = 0.99 * spread[at] + 0.01 * value * value
            pace = 0.3 if step < steps * 2 / 3 else 0.1
            scale = math.sqrt(spread[at] / (1 - 0.99**step)) + 1e-8
            weights[at] -= pace * momentum[at] / (1 - 0.9**step) / scale
        print(f"\rstep {step}/{steps}", end="", file=sys.stderr, flush=True)
    return weights[:-1], weights[-1]


def _evidence_of(case: Case) -> tuple[list[list[tuple[float, ...]]], list[int]]:
    problem = state_problem({"request": case.request, "reply": case.reply})
    rare = rarity([slot.reading.both for slot in (*problem.ours, *problem.theirs)])
    kinds = _kinds(problem)
    rows = [[evidence(one.reading, other.reading, rare, kinds) for other in problem.theirs] for one in problem.ours]
    labels = [slot.label for slot in problem.theirs]
    gold = [labels.index(case.gold[slot.label]) if case.gold[slot.label] in labels else -1 for slot in problem.ours]
    return rows, gold


def _kinds(problem: Problem) -> dict[str, float]:
    slots = (*problem.ours, *problem.theirs)
    counts = Counter(slot.reading.kind for slot in slots)
    return {kind: math.log(len(slots) / count) for kind, count in counts.items()}


def _slope(rows: list[list[tuple[float, ...]]], gold: list[int], weights: list[float]) -> list[float]:
    """The gradient of the negative log-likelihood of one gold pairing, rows and columns alike."""
    slope = [0.0] * len(weights)
    scores = [[weights[-1] + sum(w * x for w, x in zip(weights, found, strict=False)) for found in row] for row in rows]
    partner = {column: row for row, column in enumerate(gold) if column >= 0}
    cells: dict[tuple[int, int], float] = {}
    for row, line in enumerate(scores):
        for column, chance in enumerate(_softmax(line)):
            cells[row, column] = chance - (1.0 if gold[row] == column else 0.0)
    for column in range(len(scores[0]) if scores else 0):
        for row, chance in enumerate(_softmax([line[column] for line in scores])):
            cells[row, column] += chance - (1.0 if partner.get(column) == row else 0.0)
    for (row, column), error in cells.items():
        for at, value in enumerate(rows[row][column]):
            slope[at] += error * value
        slope[-1] += error
    return slope


def _softmax(scores: list[float]) -> list[float]:
    """Chances of each score beside that of none, whose score is 0; none's own is left out."""
    top = max(0.0, *scores)
    exponents = [math.exp(score - top) for score in scores]
    total = sum(exponents) + math.exp(-top)
    return [exponent / total for exponent in exponents]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="the folder that holds sgd/ (or the variable NEGOTIATOR_DATA)")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--remove", choices=("none", "target", "both"), default="none")
    parser.add_argument("--margin", type=float, nargs="*", default=[Thresholds().margin])
    parser.add_argument("--closed-bonus", type=float, default=Thresholds().closed_bonus)
    parser.add_argument("--model", type=Path, help="a GGUF file to ask about what rules leave open")
    parser.add_argument("--orders", type=int, default=2, help="questions to the model, each in another order")
    parser.add_argument("--show", action="store_true", help="print what is wrong and what was asked")
    parser.add_argument("--fit", action="store_true", help="fit the weights on this split and print them")
    chosen = parser.parse_args()
    directory = split_directory(data_directory(chosen.data), chosen.split)
    if chosen.fit:
        weights, bias = fit(directory)
        print(f"\nbefore: {WEIGHTS} {BIAS}\nfitted: {tuple(round(weight, 2) for weight in weights)} {bias:.2f}")
        return
    ask = local_model(chosen.model, chosen.orders) if chosen.model else None
    for margin in chosen.margin:
        thresholds = Thresholds(margin=margin, closed_bonus=chosen.closed_bonus)
        began = time.perf_counter()
        counted = evaluate(directory, remove=chosen.remove, thresholds=thresholds, ask=ask, show=chosen.show)
        spent = time.perf_counter() - began
        print(f"\n{chosen.split}, removed: {chosen.remove}, {thresholds}, model: {chosen.model and chosen.model.name}")
        print_table(counted)
        print(f"{spent / counted['all']['n'] * 1000:.0f} ms a pair")


if __name__ == "__main__":
    main()
