"""The weights of the evidence for a pair of fields, fitted so that the gold pairing is the likeliest.

Each field's partner is one of the other side's fields, or none at log-odds 0: a softmax over both rows and columns of
the table of pairs, by gradient descent (Adam). Every case is seen twice, with the whole lexicon and with one that
lacks the words of its own group of services, so that what the lexicon happens to hold is not taken for granted.
Needs numpy, which the extra `embeddings` brings.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.mapping_cases import REMOVALS, VARIANTS, Case, cases
from benchmarks.mapping_scores import lexicon_without, occurrences
from negotiator.mapping import examples, words
from negotiator.mapping.assignment import FORBIDDEN
from negotiator.mapping.likeness import EMBEDDED, FEATURES, SEEN, evidence
from negotiator.mapping.problem import Problem
from negotiator.mapping.stating import kinds_of, nearness_of, state_problem
from protocol_docs.search_index import Embedder

STEPS = 300
PULL = 0.002
"""Of each weight towards 0."""
SEED = 1


@dataclass
class _Table:
    """One case: the evidence for each pair of fields, what is possible, and what is true."""

    evidence: list[list[tuple[float, ...]]]
    possible: list[list[bool]]
    gold: list[int]


def fitted(directory: Path, embedder: Embedder | None) -> dict[str, Any]:
    """The weights for one split, by name."""
    import numpy as np  # noqa: PLC0415 - of an extra

    tables = list(_tables(directory, embedder))
    names = [*FEATURES, *(EMBEDDED if embedder else ()), "other_place"]
    base = _descend(np, tables, range(len(names)), None)
    offsets = [np.array(table.evidence)[:, :, : len(names)] @ base[:-1] + base[-1] for table in tables]
    seen = _descend(np, tables, range(len(names), len(names) + len(SEEN)), offsets)
    return {
        "cases": len(tables),
        "weights": dict(zip(names, (round(float(weight), 2) for weight in base[:-1]), strict=True)),
        "bias": round(float(base[-1]), 2),
        "seen": dict(zip(SEEN, (round(float(weight), 2) for weight in seen), strict=True)),
    }


def _tables(directory: Path, embedder: Embedder | None) -> Iterator[_Table]:
    schemas = (
        json.loads((directory / f"schema_v{variant}.json").read_text(encoding="utf-8")) for variant in (0, *VARIANTS)
    )
    occurring = occurrences(schemas, lambda service: service.split("_")[0])
    for removal in REMOVALS:
        for case in cases(directory, remove=removal, seed=SEED, examples=True):
            yield from _table(case, embedder)
            with lexicon_without(case.service.split("_")[0], occurring):
                yield from _table(case, embedder)


def _table(case: Case, embedder: Embedder | None) -> Iterator[_Table]:
    problem = state_problem({"request": case.request, "reply": case.reply}, None, case.examples, embedder)
    if not problem.ours or not problem.theirs:
        return
    labels = [slot.label for slot in problem.theirs]
    yield _Table(
        _evidence(problem, embedder),
        [[gain > FORBIDDEN for gain in row] for row in problem.gains],
        [labels.index(case.gold[slot.label]) if case.gold[slot.label] in labels else -1 for slot in problem.ours],
    )


def _evidence(problem: Problem, embedder: Embedder | None) -> list[list[tuple[float, ...]]]:
    slots = (*problem.ours, *problem.theirs)
    rare, kinds = words.rarity([slot.reading.both for slot in slots]), kinds_of(problem.ours, problem.theirs)
    near = None if embedder is None else nearness_of(embedder, slots)
    return [
        [
            (
                *evidence(one.reading, other.reading, rare, kinds, near),
                float(len(one.places.keys() ^ other.places.keys())),
                *examples.likeness(one.reading.seen, other.reading.seen),
            )
            for other in problem.theirs
        ]
        for one in problem.ours
    ]


def _descend(np: Any, tables: list[_Table], columns: range, offsets: "list[Any] | None") -> Any:
    """The weights of `columns`, and with no offsets the bias after them."""
    rows, width = max(len(table.evidence) for table in tables), max(len(table.evidence[0]) for table in tables)
    shape = (len(tables), rows, width)
    found = np.zeros((*shape, len(columns)), np.float32)
    base, gold, possible = np.zeros(shape), np.zeros(shape), np.zeros(shape, bool)
    for at, table in enumerate(tables):
        here = np.array(table.evidence)[:, :, columns.start : columns.stop]
        high, wide = here.shape[:2]
        found[at, :high, :wide], possible[at, :high, :wide] = here, table.possible
        if offsets is not None:
            base[at, :high, :wide] = offsets[at]
        for row, column in enumerate(table.gold):
            gold[at, row, column] = 1.0 if column >= 0 else gold[at, row, column]
    free_bias = offsets is None
    weights = np.zeros(len(columns) + 1)
    momentum, spread = np.zeros_like(weights), np.zeros_like(weights)
    count = sum(len(table.evidence) + len(table.evidence[0]) for table in tables)
    for step in range(1, STEPS + 1):
        scores = np.where(possible, base + found @ weights[:-1].astype(np.float32) + weights[-1], -30.0)
        error = np.where(possible, _chances(np, scores, 2) + _chances(np, scores, 1) - 2 * gold, 0.0)
        slope = np.append(np.tensordot(error, found, axes=3) / count + PULL * weights[:-1], error.sum() / count)
        slope[-1] *= free_bias
        momentum = 0.9 * momentum + 0.1 * slope
        spread = 0.99 * spread + 0.01 * slope * slope
        pace = 0.3 if step < STEPS * 2 / 3 else 0.08
        weights -= pace * momentum / (1 - 0.9**step) / (np.sqrt(spread / (1 - 0.99**step)) + 1e-8)
    return weights if free_bias else weights[:-1]


def _chances(np: Any, scores: Any, axis: int) -> Any:
    """Chances of each score beside that of none, whose score is 0; none's own is left out."""
    top = np.maximum(scores.max(axis, keepdims=True), 0.0)
    exponents = np.exp(scores - top)
    return exponents / (exponents.sum(axis, keepdims=True) + np.exp(-top))
