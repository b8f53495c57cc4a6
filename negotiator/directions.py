"""One direction of a routine: the mapping that rules and a model's answers make, and code for what no mapping does."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from negotiator.code_writing import compiles, require_sandbox, went_wrong, write_direction
from negotiator.comparison import same
from negotiator.engine import Engine
from negotiator.errors import BadInput, NegotiatorError, PeerMisspoke
from negotiator.evidence import kept
from negotiator.fitting import Half, Way
from negotiator.interpret import Interpreter, part_of
from negotiator.jsonvalue import JsonValue
from negotiator.mapping import FieldMapping, Inference, Mapping, PairInference, merge, question_for
from negotiator.negotiation import Objection
from negotiator.routines import Direction
from negotiator.running import lay_over, tenant_of
from sandbox import SandboxError, SandboxUnavailable

MAX_VOTES: Final = 3
MAX_TRIED: Final = 6
"""Examples that a written function is tried on at once."""


class Unsettled(NegotiatorError):
    """There are fields that nothing decides: why there is no direction."""

    def __init__(self, objections: tuple[Objection, ...]) -> None:
        super().__init__("fields without a counterpart")
        self.objections = objections


async def make_direction(
    engine: Engine,
    half: Half,
    way: Way,
    interpreter: Interpreter,
    inference: Inference,
    seen: Sequence[JsonValue],
    sources: list[tuple[str, str]],
) -> Direction:
    """A mapping where one does it, else the sure part of one with a written function for the rest.

    `seen` is what came in before; what is written is added to `sources`. Raises `Unsettled`, `CodeRefused` and
    `ModelMisspoke` where there is none, `SandboxUnavailable`, and the errors of the model.
    """
    source, target = half.source(way), half.target(way)
    if source is None or target is None:
        raise ValueError("a half without schemas has no mapping")
    samples = [*seen, *(half.shown_examples("into") if way == "into" else half.back_samples())]
    # A pair that cannot carry what was seen is no pair, whatever the words say.
    refuted = {_first(each.to) for each in inference.partial.fields if not _carries(each, samples)}
    if inference.mapping is not None and not refuted:
        return Direction(mapping=inference.mapping)
    open_fields = {_first(pointer) for pointer in inference.rest} | refuted
    if not open_fields or "" in open_fields:
        raise Unsettled(missing(inference))
    entry = half.entry(way)
    below = Mapping(tuple(each for each in inference.partial.fields if _first(each.to) not in open_fields))
    compiled = below.compile()

    async def run(written: str, sample: JsonValue) -> JsonValue:
        part = await engine.run_source(written, sample, entry=entry, tenant=tenant_of(half.document.hash, "own"))
        made = lay_over(compiled(sample), part)
        target.check(made)
        return made

    async def trial(written: str) -> str | None:
        wrong = await compiles(engine, written, (entry,))
        if wrong is not None:
            return wrong
        for sample in samples[:MAX_TRIED]:
            try:
                await run(written, sample)
            except SandboxUnavailable:
                raise
            except (BadInput, PeerMisspoke, SandboxError) as error:
                return went_wrong(error, sample)
        return await _contradicted(engine, half, way, partial(run, written))

    await require_sandbox(engine)
    written = await write_direction(
        interpreter,
        trial,
        name=entry,
        description=half.description,
        source_schema=source.json_schema,
        target_schema=part_of(target.json_schema, open_fields).json_schema,
        samples=samples,
    )
    sources.append((entry, written))
    return Direction(mapping=below, entry=entry)


def _carries(field: FieldMapping, samples: Sequence[JsonValue]) -> bool:
    carried = Mapping((field,)).compile()
    try:
        for sample in samples:
            carried(sample)
    except BadInput:
        return False
    return True


async def _contradicted(
    engine: Engine, half: Half, way: Way, run: Callable[[JsonValue], Awaitable[JsonValue]]
) -> str | None:
    """How what was written differs from most of the exchanges that are kept; what they held is not said."""
    found: list[str] = []
    exchanges = kept(engine.text, half.place)
    for each in exchanges:
        value, wanted = (each.given, each.passed) if way == "into" else (each.returned, each.made)
        try:
            made = await run(value)
        except SandboxUnavailable:
            raise
        except (BadInput, PeerMisspoke, SandboxError) as error:
            found.append(went_wrong(error, value))
            continue
        if not same(made, wanted):
            fields = (
                [name for name in wanted if not same(wanted[name], made.get(name))] if isinstance(made, dict) else []
            )
            found.append(f"for the example {value!r:.300} the result is wrong at /{', /'.join(fields)}")
    return found[0] if 2 * len(found) > len(exchanges) else None


async def settle(interpreter: Interpreter, pair: PairInference, description: str) -> PairInference:
    """Ask the model about the fields that rules could not pair, and count its answers as votes.

    Each vote puts the fields in another order, because small models lean to a place in a list; two votes that
    agree settle it, and a third is asked for only where they do not.
    """
    answers: list[JsonValue] = []
    settled = pair
    for order in range(MAX_VOTES):
        question = question_for(pair, description=description, order=order)
        if question is None:
            break
        answers.append(await interpreter.choose_fields(question))
        settled = merge(pair, answers)
        if len(answers) > 1 and settled.complete:
            break
    return settled


def _first(pointer: str) -> str:
    return pointer.split("/")[1].replace("~1", "/").replace("~0", "~") if pointer else ""


def missing(inference: Inference) -> tuple[Objection, ...]:
    """Why there is no mapping, as objections."""
    return tuple(Objection(kind="missing_field", detail=why[:300]) for why in inference.blocking[:8])
