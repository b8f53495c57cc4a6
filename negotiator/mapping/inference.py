"""From two schemas to a mapping between them, or to exactly what is missing for one.

Fields of both sides are paired one-to-one so that all pairs together are the likeliest reading. A pair is used
only where every other reading is less likely by a margin; what is below it is left open for a model or a person.
Nothing is ever guessed.
"""

from collections.abc import Mapping as MappingOf

from negotiator.errors import UsageError
from negotiator.jsonvalue import JsonObject
from negotiator.mapping.building import Builder, no_inference
from negotiator.mapping.exactness import exact_inference, is_exact
from negotiator.mapping.examples import Examples
from negotiator.mapping.layout import Direction
from negotiator.mapping.problem import Pairing, Problem, Thresholds, pair_up
from negotiator.mapping.result import Inference, PairInference
from negotiator.mapping.stating import state_problem
from protocol_docs.search_index import Embedder


def infer(
    source: JsonObject,
    target: JsonObject,
    *,
    direction: Direction = "request",
    thresholds: Thresholds | None = None,
    examples: Examples | None = None,
    embedder: Embedder | None = None,
) -> Inference:
    """Infer a mapping from values of one schema to values of another.

    Args:
        source: JSON Schema of what there is.
        target: JSON Schema of what is wanted.
        direction: in a `request` every source field must find its place, or be known to have none (it is then
            refused when it comes), because leaving it out would change what is asked; of a `reply`, what nobody
            asked for is left out.
        thresholds: how sure to be.
        examples: whole values seen of `source` and of `target`; they need not belong together.
        embedder: what tells nearness of meaning, beside words.
    """
    seen = {} if examples is None else {direction: examples}
    return solve(state_problem({direction: (source, target)}, thresholds, seen, embedder))[direction]


def infer_pair(
    request: tuple[JsonObject, JsonObject],
    reply: tuple[JsonObject, JsonObject],
    *,
    thresholds: Thresholds | None = None,
    examples: MappingOf[Direction, Examples] | None = None,
    embedder: Embedder | None = None,
) -> PairInference:
    """Infer both directions of one task: a field that stands in both must mean the same in both.

    Args:
        request: (ours, theirs): from our input to their input.
        reply: (theirs, ours): from their output to our output.
        thresholds: how sure to be.
        examples: whole values seen of source and target, for `request` and `reply`.
        embedder: what tells nearness of meaning, beside words.
    """
    return pair_of(state_problem({"request": request, "reply": reply}, thresholds, examples, embedder))


def pair_of(problem: Problem) -> PairInference:
    """Solve a problem that holds both directions."""
    solved = solve(problem)
    return PairInference(solved["request"], solved["reply"], problem)


def solve(problem: Problem, pairing: Pairing | None = None) -> dict[Direction, Inference]:
    """Pair the fields and build what can be built, for each direction of the problem.

    Args:
        problem: what to solve.
        pairing: the problem's own, where `pair_up` has found it already.
    """
    pairing = pairing or pair_up(problem)
    solved: dict[Direction, Inference] = {}
    for scope, (source, target) in problem.shapes.items():
        direction, inside = scope
        if inside:
            continue
        try:
            if is_exact(source, target, direction):
                solved[direction] = exact_inference(source, target, problem)
            elif source.is_whole and target.is_whole:
                solved[direction] = Builder(problem, pairing, direction).inference(scope)
            else:
                solved[direction] = no_inference(problem, "there are too many fields")
        except UsageError as error:
            # What a schema may hold is wider than what a mapping may.
            solved[direction] = no_inference(problem, str(error))
    return solved
